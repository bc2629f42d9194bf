// Ten thousand stored sessions of one device, and then /keys/query says something of it: that it exists, whose it is, that it has another name.

import { keysQueryAnswer } from "../../build/test/people.js";
import { Channels } from "../channels.mjs";
import { close, devicesOf, openNew, tell } from "../crowd.mjs";
import { Race } from "../race.mjs";
import { exportedBy, importInto } from "./files.mjs";

const count = 10_000;

export const standing = Race.of(async (race) => {
  const [device] = devicesOf("@alice:example.org", 1);
  const text = JSON.stringify(exportedBy([device], count));
  const renamed = JSON.parse(keysQueryAnswer([device]));
  renamed.device_keys[device.userId][device.deviceId].unsigned = { device_display_name: "another name" };
  for (const _ of race.rounds(2)) {
    await openNew(race);
    await importInto(race, text, count);
    await tell(race, [device], { row: "standing.imported.known" });
    await tell(race, [device], { row: "standing.imported.renamed", answer: JSON.stringify(renamed) });
    await close(race);
  }
});

/** Sessions that came inside Olm, from somebody nobody had heard of. */
export const risen = Race.of(async (race) => {
  for (const _ of race.rounds(2)) {
    const channels = await Channels.open(race, 0);
    const [stranger] = await channels.strangers(1);
    await channels.receive(channels.roomKeys(1, { senders: [stranger], answered: false, embed: false }));
    const sessions = [];
    for (let received = 0; received < count; received += 1_000) sessions.push(...(await channels.receive(channels.roomKeys(1_000, { senders: [stranger], embed: false }), { together: 500 })));
    const answer = keysQueryAnswer([stranger.person]);
    const shields = await race.inTurn(async ({ side, args: { users, answer, count, event, room }, time }) => {
      const risen = side.countRisen();
      await time("risen", 1, () => side.query(users, answer));
      const told = risen();
      if (told !== null && told < count) throw new Error(`told of ${told} of ${count}`);
      await side.decrypt(event, room);
      return side.shield(await side.info(event, room));
    }, { users: [stranger.person.userId], answer, count, event: sessions[count - 1].message(), room: sessions[0].room });
    if (Object.values(shields).some((shield) => shield !== "None")) throw new Error(`the sender is not known now: ${JSON.stringify(shields)}`);
    await close(race);
  }
});
