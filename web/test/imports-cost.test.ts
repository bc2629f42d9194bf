// What ten and twenty thousand room keys cost on their way in and out: how long the page stands still meanwhile, and what of the program's memory
// they take. The figures are printed; the limits here are wide enough for a busy machine, and catch a change of kind rather than of degree.

import assert from "node:assert/strict";
import { test } from "node:test";
import { longTasks, withGauges, type Standstill } from "./gaugekit.js";
import { useChrome } from "./harness.js";
import { BackupVault, Outbound, Person, type Json } from "./people.js";

const chrome = useChrome();
const me = new Person("@me:test", "MINE");
const alice = new Person("@alice:test", "ALICE");

function lot(count: number): { [name: string]: Json }[] {
  return Array.from({ length: count }, (_, i) => new Outbound(`!room${i % 50}:test`).exported(alice));
}

function words({ longest, tasks, took, turns }: Standstill, count: number): string {
  return `${((took * 1000) / count).toFixed(0)} us a key, longest standstill ${longest.toFixed(0)} ms (to be below 50), ${longTasks(tasks)}, ${turns} turns`;
}

test("F27: 10,000 room keys in, in again, and out, and none of it stops the page", async (t) => {
  const count = 10_000;
  const keys = lot(count);
  const vault = new BackupVault();
  await withGauges(chrome, async ({ inPage }) => {
    const got = await inPage(async ({ own, text, publicKey, count }) => {
      const machine = await kit.ks.OlmMachine.open({ ...own, store: { name: "many" } });
      const ends: Record<string, Standstill> = {};
      const measured = async <R>(name: string, work: () => Promise<R>): Promise<R> => {
        const { result, ...rest } = await gauges.standstill(work);
        ends[name] = rest;
        return result;
      };
      const list = JSON.parse(text) as never;
      const first = await measured("import of text", () => machine.importExportedRoomKeys(text));
      const second = await measured("import of a list, all known", () => machine.importExportedRoomKeys(list));
      const out = await measured("export", () => machine.exportRoomKeys());
      const chosen = await measured("export by predicate", () => machine.exportRoomKeys(({ roomId }) => roomId === "!room1:test"));
      await machine.enableBackupV1(publicKey, "1");
      let uploads = 0;
      await measured("1,000 into the backup", async () => {
        for (let request; uploads < 10 && (request = await machine.backupRoomKeys()) !== null; uploads++) await machine.markRoomKeysAsBackedUp(request.id);
      });
      await machine.close();
      return { ends, counts: [first.imported, second.unchanged, (JSON.parse(out) as []).length, (JSON.parse(chosen) as []).length, uploads], count };
    }, { own: me.own, text: JSON.stringify(keys), publicKey: vault.public, count });
    assert.deepEqual(got.counts, [count, count, count, count / 50, 10]);
    for (const [name, end] of Object.entries(got.ends)) {
      t.diagnostic(`${name}: ${words(end, name.startsWith("1,000") ? 1000 : count)}`);
      assert.ok(end.longest < 3000, `${name}: ${end.longest} ms`);
      assert.ok(end.turns >= 5 || name.startsWith("1,000"), `${name}: the page had ${end.turns} turns`);
      assert.ok(end.took / count < 5, `${name}: ${end.took} ms`);
    }
  });
});

test("F27: 5,000 room keys of a backup come back, and the page goes on", async (t) => {
  const count = 5000;
  const vault = new BackupVault();
  const answer = JSON.stringify(vault.answer(lot(count)));
  await withGauges(chrome, async ({ inPage }) => {
    const got = await inPage(async ({ own, answer, base64 }) => {
      const ends: Record<string, Standstill> = {};
      const imported: number[] = [];
      const parsed = JSON.parse(answer) as never;
      for (const [name, given] of [["as text", answer], ["as an object", parsed]] as const) {
        const machine = await kit.ks.OlmMachine.open({ ...own, store: { name } });
        const { result, ...rest } = await gauges.standstill(() => machine.importBackedUpRoomKeys(given, { decryptionKey: { base64 }, backupVersion: "1" }));
        await machine.close();
        imported.push(result.imported);
        ends[name] = rest;
      }
      return { imported, ends };
    }, { own: me.own, answer, base64: vault.base64 });
    assert.deepEqual(got.imported, [count, count]);
    for (const [name, end] of Object.entries(got.ends)) {
      t.diagnostic(`import from the backup, ${(answer.length / 1e6).toFixed(1)} MB ${name}: ${words(end, count)}`);
      assert.ok(end.longest < 3000, `${name}: ${end.longest} ms`);
      assert.ok(end.turns >= 5, `${name}: the page had ${end.turns} turns`);
      assert.ok(end.took / count < 5, `${name}: ${end.took} ms`);
    }
  });
});

test("F27: the program's memory does not grow with the file", async (t) => {
  // Some sixteen thousand room keys stay in memory, whatever they come from. Beyond that a longer file takes no more.
  const keys = lot(50_000);
  const texts = [5_000, 20_000, 50_000].map((count) => JSON.stringify(keys.slice(0, count)));
  const used: number[] = [];
  for (const text of texts) {
    used.push(await withGauges(chrome, ({ inPage }) => inPage(async ({ own, text }) => {
      const machine = await kit.ks.OlmMachine.open({ ...own, store: { name: "file" } });
      const { imported } = await machine.importExportedRoomKeys(text);
      if (imported % 5000 !== 0 || imported === 0) throw new Error(`${imported} imported`);
      const used = gauges.memory();
      await machine.close();
      return used;
    }, { own: me.own, text })));
  }
  t.diagnostic(used.map((bytes, i) => `${(bytes / 1e6).toFixed(1)} MB after a file of ${((texts[i] ?? "").length / 1e6).toFixed(1)} MB`).join(", "));
  const [few = 0, some = 0, many = 0] = used;
  const [, longer = "", longest = ""] = texts;
  assert.ok(few > 1e6, "the memory was found");
  assert.ok(many - some < longest.length - longer.length, `${many - some} bytes more for ${longest.length - longer.length} bytes more of file`);
});
