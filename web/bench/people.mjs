// Measures what grows with people and with room keys, in headless Chrome over a real IndexedDB: an answer to /keys/query for 500 users of two
// devices, first and unchanged; 1,000 room keys received in one call; 500 more one by one, among 10,000; 10,000 room keys of one sender who
// becomes known. Beside each figure the longest time the page's thread was not free.

import { keysQueryAnswer, Outbound, Person } from "../build/test/people.js";
import { inChrome, print } from "./bench.mjs";

const room = "!bench:example.org";
const me = new Person("@me:example.org", "MINE");
const stranger = new Person("@alice:example.org", "PHONE", "yes");
const phones = Array.from({ length: 500 }, (_, i) => new Person(`@user${i}:example.org`, "PHONE", "yes"));
const crowd = JSON.parse(keysQueryAnswer(phones));
for (const phone of phones) {
  const desk = new Person(phone.userId, "DESK", "yes");
  desk.identity = phone.identity;
  crowd.device_keys[phone.userId].DESK = desk.deviceKeys();
}
const items = Array.from({ length: Number(process.env.KEYS ?? 10_000) }, () => new Outbound(room).item(stranger, me, { embed: false }));

const single = Array.from({ length: 500 }, () => new Outbound(room).item(stranger, me, { embed: false }));

await inChrome(async (page, where) => {
  const { rows, counts } = await page.evaluate(
    async ({ own, crowd, known, items, single }) => {
      const { OlmMachine } = await import("/dist/index.js");
      const machine = await OlmMachine.open({ ...own, store: { name: "bench" } });
      const counts = {};
      const measure = async (what, count, unit, work) => {
        counts[what] = [count, unit];
        await bench.measure(what, "ours", work);
      };
      await measure("/keys/query, 500 users of 2 devices, first", 500, "a user", () => machine.receiveKeysQueryResponse(crowd));
      await measure("the same, unchanged", 500, "a user", () => machine.receiveKeysQueryResponse(crowd));
      await measure("1,000 room keys received in one call, and stored", 1000, "a key", () => machine.receiveRoomKeys(items.slice(0, 1000)).stored);
      await measure(`${items.length - 1000} more, 500 in a call`, items.length - 1000, "a key", async () => {
        for (let i = 1000; i < items.length; i += 500) await machine.receiveRoomKeys(items.slice(i, i + 500)).stored;
      });
      await measure(`${single.length} more one by one, each stored before the next`, single.length, "a key", async () => {
        for (const item of single) await machine.receiveRoomKeys([item]).stored;
      });
      const all = items.length + single.length;
      let told = 0;
      machine.registerSenderDataUpdatedCallback((updates) => (told += updates.length));
      await measure(`${all} room keys, their sender becomes known`, all, "a key", () => machine.receiveKeysQueryResponse(known));
      if (told !== all) throw new Error(`told of ${told} of ${all}`);
      await machine.close();
      return { rows: bench.rows, counts };
    },
    { own: me.own, crowd: JSON.stringify(crowd), known: keysQueryAnswer([stranger]), items, single },
  );
  console.log(`${where}, IndexedDB:`);
  print(["", "took", "each", "longest block"], Object.entries(rows).map(([what, { ours }]) => {
    const [count, unit] = counts[what];
    return [what, `${ours.took[0].toFixed(0)} ms`, `${((ours.took[0] * 1000) / count).toFixed(0)} us ${unit}`, `${ours.longest.toFixed(0)} ms`];
  }));
});
