// Key exports, in and out, and messages of sessions that came so.

import { Outbound } from "../../build/test/people.js";
import { close, devicesOf, openNew, tell } from "../crowd.mjs";
import { Race } from "../race.mjs";
import { decryptEvents } from "./decryption.mjs";

/** So many sessions of the devices in turn, in rooms of two hundred. */
export const exportedBy = (devices, count) => Array.from({ length: count }, (_, i) => new Outbound(`!room${i % Math.ceil(count / 200)}:example.org`).exported(devices[i % devices.length]));

/** Has both import an export of so many sessions that are new to them. With a row, what that takes is measured. */
export function importInto(race, text, count, row = null) {
  return race.inTurn(async ({ side, args: { text, count, row }, time }) => {
    const imported = await (row === null ? side.import(text) : time(row, 1, () => side.import(text)));
    if (imported !== count) throw new Error(`${imported} of ${count} were imported`);
  }, { text, count, row });
}

export const files = Race.of(async (race) => {
  const senders = Array.from({ length: 100 }, (_, i) => devicesOf(`@user${i}:example.org`, 1)).flat();
  for (const [count, name, most] of [[1_000, "1000", Infinity], [10_000, "10000", 3]]) {
    const text = JSON.stringify(exportedBy(senders, count));
    for (const _ of race.rounds(most)) {
      await openNew(race);
      await importInto(race, text, count, `files.import.${name}`);
      await race.inTurn(async ({ side, args: { count, row }, time }) => {
        const exported = JSON.parse(await time(row, 1, () => side.export()));
        if (exported.length !== count) throw new Error(`${exported.length} of ${count} were exported`);
      }, { count, row: `files.export.${name}` });
      await close(race);
    }
  }
});

export const imported = Race.of(async (race) => {
  const devices = devicesOf("@alice:example.org", 50);
  await openNew(race);
  await tell(race, devices);
  for (const _ of race.rounds()) {
    const sessions = Array.from({ length: 100 }, () => new Outbound("!room:example.org"));
    await importInto(race, JSON.stringify(sessions.map((session) => session.exported(devices[7]))), sessions.length);
    await decryptEvents(race, "imported.decryption", sessions.map((session, i) => session.event(devices[7].userId, `$${session.sessionId}`, `$${session.sessionId}`)));
  }
});
