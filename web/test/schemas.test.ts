// F15 to F17: databases of every version of the schema that there ever was, as that version of the package wrote them (schemas/*.json, made by schemas/dump.mjs),
// are opened by this one, and it says of them what that one said. And a large one whose upgrade is killed with its browser, again and again.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { JsonObject } from "../src/index.js";
import { SCHEMA } from "../src/idb/index.js";
import { killed } from "./browser.js";
import { top, useChrome } from "./harness.js";
import { withKit } from "./machinekit.js";
import { recall, restored, type Dump, type Life } from "./schemakit.js";

const chrome = useChrome();

for (const { version } of SCHEMA.upgrades) {
  test(`F16: a database of version ${version}, as it was written then, says the same, and goes on from there`, async () => {
    const { life, told, dump } = JSON.parse(readFileSync(join(top, `web/test/schemas/${version}.json`), "utf8")) as { life: Life; told: string[]; dump: Dump };
    assert.equal(dump.version, version);
    await withKit(chrome, async ({ inPage, printed }) => {
      await inPage(restored, { name: "life", dump });
      const where = { url: "/dist/index.js", name: "life", life };
      const [first, again] = [await inPage(recall, where), await inPage(recall, where)];
      assert.deepEqual(first, told);
      assert.deepEqual(again, told, "and once more, after the upgrade");
      const end = await inPage(async ({ life }) => {
        const machine = await kit.ks.OlmMachine.open({ ...life.own, store: { name: "life" } });
        const reports: string[] = [];
        machine.registerStoreReportCallback(({ code }) => void (code.startsWith("persistence") || reports.push(code)));
        // The stranger becomes known: the index of those who wait has come along. And all is delivered again, which changes nothing.
        const { roomKeys } = await machine.receiveKeysQueryResponse(life.late);
        const before = await kit.dump("life");
        await machine.receiveRoomKeys(life.keys).stored;
        const same = (await kit.dump("life")) === before;
        const stranger = life.events[3] as JsonObject;
        const { encryptionInfo } = await machine.decryptRoomEvent(stranger, "!room:test");
        await machine.close();
        return { roomKeys, same, state: encryptionInfo.verdict.state, reports };
      }, { life });
      assert.deepEqual(end, { roomKeys: 1, same: true, state: "sender_unverified", reports: [] });
      assert.deepEqual(printed, []);
    });
  });
}

/** make attack takes its time. */
const count = process.env["ATTACK"] === "full" ? 100_000 : 10_000;

test("F15, F17: an upgrade of a large database is killed with its browser, four times; nothing is lost, and the next one completes it", { timeout: 240_000 }, (t) => killed(t, async (start) => {
  let browser = start();
  const page = await browser.open(`${chrome.server.origin}/page`);
  await page.inPage(async (count) => {
    const { makeVersion100, rowsOf100 } = (await import("/build/test/leafkit.js" as string)) as typeof import("./leafkit.js");
    await makeVersion100("large", rowsOf100(count), { durability: "strict" });
  }, count);
  const ended: number[] = [];
  for (const patience of [0, 100, 300, count / 50]) {
    await browser.kill();
    browser = start();
    const again = await browser.open(`${chrome.server.origin}/page`);
    const found = await again.inPage(async (patience) => {
      const { Bridge, raw } = (await import("/build/test/idbkit.js" as string)) as typeof import("./idbkit.js");
      const found = await raw("large", (database) => database.version);
      void new Bridge({ blockedTimeoutMs: 60_000 }).open("large").catch(() => undefined);
      await new Promise((resolve) => setTimeout(resolve, patience));
      return found;
    }, patience);
    assert.ok(found >= 100, `found at version ${[...ended, found].join(", ")}`);
    ended.push(found);
  }
  await browser.kill();
  browser = start();
  const last = await browser.open(`${chrome.server.origin}/page`);
  const { before, took, rows, waiting } = await last.inPage(async () => {
    const { Bridge, raw } = (await import("/build/test/idbkit.js" as string)) as typeof import("./idbkit.js");
    const before = await raw("large", (database) => database.version);
    const began = performance.now();
    const bridge = new Bridge({ blockedTimeoutMs: 60_000 });
    await bridge.open("large");
    const took = performance.now() - began;
    const count = async (index: string): Promise<number> => {
      let rows = 0;
      for (let after: string[] = [], afterValue: string[] = []; ; ) {
        const page = await bridge.page("copies", { index, after, afterValue, limit: 5000n });
        rows += page.length;
        const row = page.at(-1);
        if (row === undefined) return rows;
        after = [...row.key];
        afterValue = index === "" ? [] : [...(row.index[index] ?? [])];
      }
    };
    return { before, took, rows: await count(""), waiting: await count("waiting") };
  }, undefined);
  const found = `found at version ${[...ended, before].join(", ")}`;
  assert.equal(ended[0], 100, found);
  assert.ok(ended.slice(1).includes(100), `killed in the middle: ${found}`);
  assert.deepEqual([rows, waiting], [count, Math.ceil(count / 3)], `${rows} keys, ${waiting} waiting; ${found}`);
  t.diagnostic(`${count} keys, ${found}; the last upgrade took ${took.toFixed(0)} ms`);
}));
