// The same work beside ever more stored sessions: what it costs is to grow with what it changes, not with what lies there.

import { Outbound } from "../../build/test/people.js";
import { Channels } from "../channels.mjs";
import { close, crowd, devicesOf, tell } from "../crowd.mjs";
import { Race } from "../race.mjs";
import { decryptEvents, reopen } from "./decryption.mjs";
import { importInto } from "./files.mjs";

/** The largest takes two minutes: a run of a part of the benchmark has it where that is asked for. */
const largest = Number(process.env.GROWTH ?? (process.env.ONLY === undefined ? 100_000 : 10_000));
const sizes = [1_000, 10_000, 100_000].filter((size) => size <= largest);
/** Sessions of a device, and of a room. */
const [each, inRoom] = [20, 200];

export async function growth({ rounds, ...bench }) {
  for (const size of sizes) {
    const record = (row, who, value) => bench.record(row, who, value, undefined, size); // nobody asks for blocks here
    await Race.of(async (race) => {
      const channels = await Channels.open(race, 5);
      const devices = Array.from({ length: size / each }, (_, i) => devicesOf(`@sender${i}:example.org`, 1)).flat();
      const sessions = Array.from({ length: size }, (_, i) => ({ outbound: new Outbound(`!room${Math.floor(i / inRoom)}:example.org`), device: devices[i % devices.length] }));
      for (let i = 0; i < size; i += 10_000) {
        const part = sessions.slice(i, i + 10_000);
        await importInto(race, JSON.stringify(part.map(({ outbound, device }) => outbound.exported(device))), part.length);
      }
      const known = crowd(100);
      await tell(race, known);
      for (const round of race.rounds()) {
        await reopen(race, "growth.open");
        const first = (round * inRoom) % size;
        await decryptEvents(race, "growth.decryption", messages(sessions.slice(first, first + 50)), { room: sessions[first].outbound.roomId });
        await channels.receive(channels.roomKeys(50), { row: "growth.reception" });
        await race.inTurn(({ side, time }) => time("growth.sync", 20, async () => {
          for (let i = 0; i < 20; i++) await side.sync([]);
        }));
        const more = Array.from({ length: 100 }, () => new Outbound("!room0:example.org").exported(devices[0]));
        await importInto(race, JSON.stringify(more), more.length, "growth.import");
        await tell(race, known, { row: "growth.people" });
        await tell(race, [devices.at(-1 - round)], { row: "growth.known" });
      }
      await close(race);
    })({ ...bench, rounds: Math.min(rounds, 5), record });
  }
}

const messages = (sessions) => sessions.map(({ outbound, device }) => outbound.event(device.userId, `$${outbound.sessionId}`, `$${outbound.sessionId}`));
