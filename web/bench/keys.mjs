// Room keys in and out, ours and the peer's (@matrix-org/matrix-sdk-crypto-wasm) in turn, in one page of headless Chrome, each over an IndexedDB of
// its own: import and export of the same key export. Prints medians, their ratio, and the longest time the page's thread was not free.
//
//   KEYS=10000 ROUNDS=3 node web/bench/keys.mjs

import { Outbound, Person } from "../build/test/people.js";
import { inChrome, median, print } from "./bench.mjs";

const count = Number(process.env.KEYS ?? 10_000);
const rounds = Number(process.env.ROUNDS ?? 3);
const me = new Person("@me:example.org", "MINE");
const senders = Array.from({ length: 100 }, (_, i) => new Person(`@user${i}:example.org`, "PHONE"));
const exported = JSON.stringify(
  Array.from({ length: count }, (_, i) => new Outbound(`!room${i % 50}:example.org`).exported(senders[i % senders.length])),
);

await inChrome(async (page, where) => {
  const rows = await page.evaluate(
    async ({ own, exported, rounds, count }) => {
      const peer = await bench.peer();
      const { OlmMachine } = await import("/dist/index.js");
      for (let round = 0; round < rounds; round++) {
        const ours = await OlmMachine.open({ ...own, store: { name: `ours ${round}` } });
        await bench.measure("import", "ours", () => ours.importExportedRoomKeys(exported));
        await bench.measure("import again", "ours", () => ours.importExportedRoomKeys(exported));
        let text = await bench.measure("export", "ours", () => ours.exportRoomKeys());
        if (JSON.parse(text).length !== count) throw new Error("ours lost some");
        await ours.close();
        const theirs = await peer.OlmMachine.initialize(new peer.UserId(own.userId), new peer.DeviceId(own.deviceId), `theirs ${round}`);
        await bench.measure("import", "theirs", () => theirs.importExportedRoomKeys(exported, () => undefined));
        await bench.measure("import again", "theirs", () => theirs.importExportedRoomKeys(exported, () => undefined));
        text = await bench.measure("export", "theirs", () => theirs.exportRoomKeys(() => true));
        if (JSON.parse(text).length !== count) throw new Error("theirs lost some");
        theirs.close();
      }
      return bench.rows;
    },
    { own: me.own, exported, rounds, count },
  );
  console.log(`${where}, IndexedDB, ${count} room keys, ${rounds} rounds:`);
  print(["", "ours", "theirs", "ratio", "our block", "their block"], Object.entries(rows).map(([what, { ours, theirs }]) => {
    const [a, b] = [median(ours.took), median(theirs.took)];
    return [what, `${a.toFixed(0)} ms`, `${b.toFixed(0)} ms`, (b / a).toFixed(1), `${ours.longest.toFixed(0)} ms`, `${theirs.longest.toFixed(0)} ms`];
  }));
});
