// Room keys in and out, ours and the peer's (@matrix-org/matrix-sdk-crypto-wasm) in turn, in one page of headless Chrome, each over an IndexedDB of
// its own: import and export of the same key export. Prints medians, their ratio, and the longest time the page's thread was not free.
//
//   KEYS=10000 ROUNDS=3 node web/bench/keys.mjs

import { chromium } from "playwright-core";
import { fileURLToPath } from "node:url";
import { Outbound, Person } from "../build/test/people.js";
import { serve } from "../build/test/server.js";

const count = Number(process.env.KEYS ?? 10_000);
const rounds = Number(process.env.ROUNDS ?? 3);
const me = new Person("@me:example.org", "MINE");
const senders = Array.from({ length: 100 }, (_, i) => new Person(`@user${i}:example.org`, "PHONE"));
const exported = JSON.stringify(
  Array.from({ length: count }, (_, i) => new Outbound(`!room${i % 50}:example.org`).exported(senders[i % senders.length])),
);

const server = await serve();
server.mount("/peer/", fileURLToPath(new URL("../../node_modules/@matrix-org/matrix-sdk-crypto-wasm/", import.meta.url)));
const browser = await chromium.launch({
  executablePath: process.env.CHROME ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
try {
  const page = await browser.newPage();
  page.on("console", (message) => message.type() === "error" && console.error(message.text()));
  await page.goto(`${server.origin}/page`);
  const rows = await page.evaluate(
    async ({ own, exported, rounds, count }) => {
      const peer = await import("/peer/index.mjs");
      await peer.initAsync(new URL("/peer/pkg/matrix_sdk_crypto_wasm_bg.wasm", location.href));
      const { OlmMachine } = await import("/dist/index.js");
      let longest = 0;
      let last = performance.now();
      setInterval(() => {
        longest = Math.max(longest, performance.now() - last);
        last = performance.now();
      }, 1);
      const rest = () => new Promise((resolve) => setTimeout(resolve, 100));
      const rows = {};
      const measure = async (what, who, work) => {
        await rest();
        longest = 0;
        last = performance.now();
        const start = performance.now();
        await work();
        const took = performance.now() - start;
        await rest();
        const row = ((rows[what] ??= {})[who] ??= { took: [], longest: 0 });
        row.took.push(took);
        row.longest = Math.max(row.longest, longest);
      };
      for (let round = 0; round < rounds; round++) {
        const ours = await OlmMachine.open({ ...own, store: { name: `ours ${round}` } });
        await measure("import", "ours", () => ours.importExportedRoomKeys(exported));
        await measure("import again", "ours", () => ours.importExportedRoomKeys(exported));
        let text;
        await measure("export", "ours", async () => (text = await ours.exportRoomKeys()));
        if (JSON.parse(text).length !== count) throw new Error("ours lost some");
        await ours.close();
        const theirs = await peer.OlmMachine.initialize(new peer.UserId(own.userId), new peer.DeviceId(own.deviceId), `theirs ${round}`);
        await measure("import", "theirs", () => theirs.importExportedRoomKeys(exported, () => undefined));
        await measure("import again", "theirs", () => theirs.importExportedRoomKeys(exported, () => undefined));
        await measure("export", "theirs", async () => (text = await theirs.exportRoomKeys(() => true)));
        if (JSON.parse(text).length !== count) throw new Error("theirs lost some");
        theirs.close();
      }
      return rows;
    },
    { own: me.own, exported, rounds, count },
  );
  const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];
  console.log(`in Chrome ${browser.version()}, IndexedDB, ${count} room keys, ${rounds} rounds:`);
  console.log("".padEnd(16) + ["ours", "theirs", "ratio", "our block", "their block"].map((cell) => cell.padStart(14)).join(""));
  for (const [what, { ours, theirs }] of Object.entries(rows)) {
    const [a, b] = [median(ours.took), median(theirs.took)];
    const cells = [`${a.toFixed(0)} ms`, `${b.toFixed(0)} ms`, (b / a).toFixed(1), `${ours.longest.toFixed(0)} ms`, `${theirs.longest.toFixed(0)} ms`];
    console.log(what.padEnd(16) + cells.map((cell) => cell.padStart(14)).join(""));
  }
} finally {
  await browser.close();
  await server.close();
}
