// What a machine says of itself and its store when somebody asks, whatever has happened to it; and the sentences that go with the codes.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { Room } from "../src/idb/index.js";
import { RoomWatch } from "../src/idb/room.js";
import { sentenceOf } from "../src/sentences.js";
import { formats, version } from "../src/version.js";
import { useChrome } from "./harness.js";
import { withKit } from "./machinekit.js";
import { keysQueryAnswer, Outbound, Person } from "./people.js";
import { top } from "./server.js";

const chrome = useChrome();
const me = new Person("@me:test", "MINE", "yes");
const alice = new Person("@alice:test", "ALICE", "yes");
const room = "!room:test";
const read = (path: string): string => readFileSync(join(top, path), "utf8");

describe("diagnose", () => {
  test("says of a new database, and of the same one opened again, what there is", async () => {
    const item = new Outbound(room).item(alice, me);
    await withKit(chrome, async ({ inPage }) => {
      const got = await inPage(async ({ own, item }) => {
        const began = Date.now();
        const machine = await kit.ks.OlmMachine.open({ ...own, store: { name: "new" } });
        const empty = await machine.diagnose();
        await machine.receiveRoomKeys([item]).stored;
        while ((await machine.diagnose()).store.persistence === "asked") await new Promise((resolve) => setTimeout(resolve, 10));
        const full = await machine.diagnose();
        const plain = JSON.stringify(full) === JSON.stringify(structuredClone(full));
        await machine.close();
        const closed = await kit.failure(() => machine.diagnose());
        const again = await kit.ks.OlmMachine.open({ ...own, store: { name: "new", } });
        const later = await again.diagnose();
        await again.close();
        const memory = await kit.ks.OlmMachine.open({ ...own, store: { memory: true } });
        const nowhere = await memory.diagnose();
        await memory.lock();
        const locked = await kit.failure(() => memory.diagnose());
        return { began, empty, full, plain, closed: closed.code, later, nowhere, locked: locked.code };
      }, { own: me.own, item });
      const { store, lanes, versions } = got.full;
      assert.ok(got.plain, "plain data");
      for (const name of ["@", "!room", ":test", me.curve25519, me.ed25519.public, alice.curve25519]) assert.ok(!JSON.stringify(got.full).includes(name), `it names ${name}`);
      assert.ok(got.empty.at >= got.began);
      assert.deepEqual(versions, { package: version, schema: 300, readsSchemasUpTo: 399, formats });
      assert.deepEqual(got.empty.roomKeys, { total: 0, backedUp: 0 });
      assert.deepEqual([got.full.roomKeys, got.full.quarantined, got.full.unwritten, got.full.failure], [{ total: 1, backedUp: 0 }, [], 0, null]);
      assert.deepEqual([store.name, store.encryption, store.schema, store.created, store.low], ["new", null, 300, true, false]);
      assert.match(store.generation ?? "", /^[0-9a-f]{32}$/);
      assert.match(store.persistence ?? "", /^(granted|denied)$/);
      assert.ok((store.usage ?? 0) > 0 && (store.quota ?? 0) > (store.usage ?? 0));
      // Nobody could listen when the browser answered; it is told all the same.
      assert.deepEqual(got.full.reports.map(({ code }) => code), [`persistence_${store.persistence}`]);
      assert.ok((got.full.reports[0]?.at ?? 0) >= got.began);
      // No fetch was given: who asks is the client, and the key waits for that.
      assert.deepEqual(lanes, { waiting: 1, requests: 0, slow: 0, quietUntil: 0, nextRetry: 0, asleep: false, runs: "client" });
      assert.deepEqual([got.later.store.created, got.later.store.generation], [false, store.generation]);
      assert.deepEqual({ ...got.nowhere.store }, { name: null, encryption: null, schema: null, generation: null, created: true, persistence: null, usage: null, quota: null, low: false });
      assert.deepEqual([got.closed, got.locked], ["closed", "locked"]);
    });
  });

  test("F11: tells an evicted database from the one that was there, by its generation", async () => {
    await withKit(chrome, async ({ inPage }) => {
      const got = await inPage(async (own) => {
        const health = async () => {
          const machine = await kit.ks.OlmMachine.open({ ...own, store: { name: "evicted" } });
          const { store } = await machine.diagnose();
          await machine.close();
          return { generation: store.generation, created: store.created };
        };
        const [first, second] = [await health(), await health()];
        await new Promise((resolve) => (indexedDB.deleteDatabase("evicted").onsuccess = resolve));
        return { first, second, third: await health() };
      }, me.own);
      assert.deepEqual([got.first.created, got.second, got.third.created], [true, { generation: got.first.generation, created: false }, true]);
      assert.notEqual(got.third.generation, got.first.generation);
    });
  });

  test("answers when the store is lost, and when the program has died", async () => {
    await withKit(chrome, async ({ inPage }) => {
      const got = await inPage(async (own) => {
        const machine = await kit.ks.OlmMachine.open({ ...own, store: { name: "lost" } });
        await new Promise((resolve) => (indexedDB.deleteDatabase("lost").onsuccess = resolve));
        const lost = await machine.diagnose();
        const dying = await kit.ks.OlmMachine.open({ ...own, store: { name: "dying" } });
        Object.defineProperty(performance, "now", { value: () => { throw new WebAssembly.RuntimeError("unreachable"); }, configurable: true });
        await kit.failure(() => dying.receiveRoomKeys([]));
        await kit.failure(() => dying.receiveRoomKeys([{ sender: "", senderKey: "", payload: "" }]));
        Reflect.deleteProperty(performance, "now");
        await dying.ended;
        const dead = await dying.diagnose();
        await machine.close().catch(() => undefined);
        return { lost, dead };
      }, me.own);
      assert.equal(got.lost.failure?.code, "store_lost");
      assert.deepEqual([got.lost.roomKeys, got.lost.quarantined, got.lost.unwritten], [null, null, null]);
      assert.deepEqual(got.lost.reports.map(({ code }) => code).filter((code) => !code.startsWith("persistence")), ["blocking", "store_lost"]);
      assert.equal(got.dead.failure?.code, "engine_stopped");
      assert.deepEqual([got.dead.lanes, got.dead.store.name, got.dead.versions.package], [null, "dying", version]);
    });
  });

  test("F35: tells what was set aside, in an encrypted database too, and which kind of key that has", async () => {
    const items = Array.from({ length: 3 }, () => new Outbound(room).item(alice, me));
    const { session_id } = new Outbound(room).event(alice.userId, "$1", "x")["content"] as { session_id: string };
    const withheld = { algorithm: "m.megolm.v1.aes-sha2", room_id: room, session_id, sender_key: alice.curve25519, code: "m.unverified" };
    await withKit(chrome, async ({ inPage }) => {
      const got = await inPage(async ({ own, items, withheld }) => {
        const open = (name: string) => kit.ks.OlmMachine.open({ ...own, store: { name, ...(name === "plain" ? {} : { encryption: { hostKey: new Uint8Array(32).fill(7) } }) } });
        const told: Record<string, unknown>[] = [];
        for (const name of ["plain", "sealed"]) {
          const first = await open(name);
          for (const item of items) await first.receiveRoomKeys([item]).stored;
          const [refusal] = await first.receiveRoomKeysWithheld([{ type: "m.room_key.withheld", sender: "@alice:test", content: withheld }]);
          if (refusal !== null) throw new Error(refusal?.message);
          await first.close();
          const database = await new Promise<IDBDatabase>((resolve) => { const request = indexedDB.open(name); request.onsuccess = () => resolve(request.result); });
          const store = database.transaction("withheld", "readwrite").objectStore("withheld");
          await new Promise<void>((resolve) => {
            store.openCursor().onsuccess = ({ target }) => {
              const cursor = (target as IDBRequest<IDBCursorWithValue | null>).result;
              if (cursor === null) return resolve();
              const row = cursor.value as { v: Uint8Array };
              row.v[row.v.length - 1] = (row.v[row.v.length - 1] ?? 0) ^ 1;
              cursor.update(row);
              cursor.continue();
            };
          });
          database.close();
          const began = Date.now();
          const again = await open(name);
          await again.loadRoom("!room:test");
          const { quarantined, store: health, reports } = await again.diagnose();
          told.push({ ...quarantined?.[0], kinds: quarantined?.length, when: (quarantined?.[0]?.lastFoundAt ?? 0) >= began, encryption: health.encryption, reports: reports.filter(({ code }) => !code.startsWith("persistence")).map(({ code, table }) => `${code} ${table}`) });
          if (name === "sealed") {
            await again.changeStoreKey({ hostKey: new Uint8Array(32).fill(7) }, { passphrase: "a passphrase" });
            told.push({ encryption: (await again.diagnose()).store.encryption });
          }
          await again.close();
        }
        return told;
      }, { own: me.own, items, withheld });
      const expected = { table: "withheld", count: 1, kinds: 1, when: true, reports: ["record_quarantined withheld"] };
      assert.deepEqual(got.map(({ lastFoundAt, ...rest }) => (void lastFoundAt, rest)), [
        { ...expected, code: "bad_checksum", encryption: null }, { ...expected, code: "bad_row_key", encryption: "hostKey" }, { encryption: "passphrase" },
      ]);
    });
  });

  test("F06: that there is no room is told, once", async () => {
    const items = Array.from({ length: 1500 }, () => new Outbound(room).item(alice, me, { embed: false }));
    await withKit(chrome, async ({ page, context, origin, inPage }) => {
      const session = await context.newCDPSession(page);
      await session.send("Storage.overrideQuotaForOrigin", { origin, quotaSize: 1_500_000 });
      const got = await inPage(async ({ own, items }) => {
        const machine = await kit.ks.OlmMachine.open({ ...own, store: { name: "small" } });
        const heard: string[] = [];
        machine.registerStoreReportCallback(({ code }) => heard.push(code));
        // Bytes that nobody can pack, by another part of the site.
        const filler = await new Promise<IDBDatabase>((resolve) => {
          const request = indexedDB.open("filler", 1);
          request.onupgradeneeded = () => request.result.createObjectStore("s", { autoIncrement: true });
          request.onsuccess = () => resolve(request.result);
        });
        for (let size = 600_000; size >= 1000; ) {
          const bytes = new Uint8Array(size);
          for (let i = 0; i < size; i += 65536) crypto.getRandomValues(bytes.subarray(i, Math.min(i + 65536, size)));
          const transaction = filler.transaction("s", "readwrite", { durability: "strict" });
          transaction.objectStore("s").put(bytes);
          if (await new Promise<boolean>((resolve) => { transaction.oncomplete = () => resolve(false); transaction.onabort = () => resolve(true); })) size >>= 1;
        }
        const codes = [];
        for (let i = 0; i < 3; i++) codes.push((await kit.failure(() => machine.receiveRoomKeys(items).stored)).code);
        while (!heard.includes("storage_full")) await new Promise((resolve) => setTimeout(resolve, 10));
        const after = await machine.diagnose();
        await machine.close().catch(() => undefined);
        return { after, codes, heard: heard.filter((code) => !code.startsWith("persistence")) };
      }, { own: me.own, items });
      assert.deepEqual(got.codes, ["quota", "quota", "quota"]);
      assert.deepEqual(got.heard.filter((code) => code === "storage_full"), ["storage_full"], "once, however often it fails");
      const { store, reports, unwritten } = got.after;
      assert.match(reports.find(({ code }) => code === "storage_full")?.message ?? "", /^The browser gives this site no more room: \d+ of \d+ bytes are used; what could not be written is tried again with the next write\.$/);
      assert.ok(unwritten === 1500 && (store.usage ?? 0) > 700_000, JSON.stringify(store));
    });
  });

  test("F06: little room is told, as the browser estimates it", async () => {
    await withKit(chrome, async ({ inPage }) => {
      const got = await inPage(async (own) => {
        // Chrome estimates no less than ten gigabytes, whatever there is; others say what they have.
        navigator.storage.estimate = () => Promise.resolve({ usage: 70_000_000, quota: 100_000_000 });
        const machine = await kit.ks.OlmMachine.open({ ...own, store: { name: "low" } });
        const low = await machine.diagnose();
        navigator.storage.estimate = () => Promise.reject(new Error("not today"));
        const unknown = await machine.diagnose();
        await machine.close();
        return { low, unknown: unknown.store };
      }, me.own);
      const { usage, quota, low } = got.low.store;
      assert.deepEqual({ usage, quota, low }, { usage: 70_000_000, quota: 100_000_000, low: true });
      assert.equal(got.low.reports.find(({ code }) => code === "storage_low")?.message, "There is little room left for this site: 70000000 of 100000000 bytes are used.");
      assert.deepEqual([got.unknown.usage, got.unknown.quota, got.unknown.low], [null, null, false]);
    });
  });

  test("says who runs the lanes, and that they sleep", async () => {
    await withKit(chrome, async ({ context, inPage }) => {
      const open = (own: object): Promise<string> => inPage(async (own) => {
        const machine = await kit.ks.OlmMachine.open({ ...(own as typeof me.own), store: { name: "tabs" }, http: { fetch: () => Promise.reject(new Error("no server")) } });
        Object.assign(globalThis, { machine });
        for (let tries = 0; tries < 300 && (await machine.diagnose()).lanes?.runs !== "here"; tries++) await new Promise((resolve) => setTimeout(resolve, 10));
        return (await machine.diagnose()).lanes?.runs ?? "";
      }, own);
      assert.equal(await open(me.own), "here");
      await withKit(chrome, async (second) => {
        const follows = await second.inPage(async (own) => {
          const machine = await kit.ks.OlmMachine.open({ ...own, store: { name: "tabs" }, http: { fetch: () => Promise.reject(new Error("no server")) } });
          const { runs } = (await machine.diagnose()).lanes ?? {};
          await machine.close();
          return runs;
        }, me.own);
        assert.equal(follows, "other_tab");
      }, { context });
      await context.setOffline(true);
      const asleep = await inPage(async () => {
        const { machine } = globalThis as unknown as { machine: Awaited<ReturnType<typeof kit.ks.OlmMachine.open>> };
        while ((await machine.diagnose()).lanes?.asleep !== true) await new Promise((resolve) => setTimeout(resolve, 10));
        await machine.close();
        return true;
      }, undefined);
      assert.ok(asleep);
      await context.setOffline(false);
    }, { context: await chrome.browser.newContext() });
  });
});

describe("room", () => {
  test("is looked at now and then, told once when it is low and once when it is gone, and again only after there was some", async (t) => {
    t.mock.timers.enable({ apis: ["Date"], now: 1_700_000_000_000 });
    let [usage, looks] = [0, 0];
    const told: string[] = [];
    const storage = { estimate: () => Promise.resolve({ usage, quota: (looks++, 100 << 20) }) } as unknown as StorageManager;
    const watch = new RoomWatch(storage, ({ kind }) => told.push(kind));
    const wrote = async (minutes: number, used: number): Promise<void> => {
      t.mock.timers.tick(minutes * 60_000);
      usage = used << 20;
      await watch.wrote();
    };
    await wrote(0, 68);
    await wrote(4, 69);
    assert.deepEqual([told, looks], [[], 1], "the second look is too early");
    await wrote(1, 69);
    await wrote(5, 90);
    assert.deepEqual(told, ["storage_low"]);
    await watch.full();
    await watch.full();
    assert.deepEqual(told, ["storage_low", "storage_full"]);
    await wrote(5, 90); // some of it was given back, and little is left
    assert.deepEqual(told, ["storage_low", "storage_full", "storage_low"]);
    await wrote(5, 10);
    await wrote(5, 99);
    assert.deepEqual(told.slice(3), ["storage_low"]);
    for (const silent of [undefined, {}, { estimate: () => Promise.resolve({}) }, { estimate: () => Promise.reject(new Error("private mode")) }]) {
      const heard: (Room | undefined)[] = [];
      const blind = new RoomWatch(silent as StorageManager | undefined, (event) => heard.push("room" in event ? event.room : undefined));
      await blind.wrote();
      await blind.full();
      assert.deepEqual(heard, [undefined], "that it is full is told by the write");
    }
  });
});

describe("sentences", () => {
  /** The values of string constants with a prefix in a Go file. */
  const constants = (path: string, prefix: string): string[] => [...read(path).matchAll(new RegExp(`^\\s+${prefix}\\w+\\s*=\\s*"([a-z0-9_]+)"`, "gm"))].map(([, value = ""]) => value);

  test("there is one for every word of a trace and every code of a verdict, and they are sentences", () => {
    const words = [...new Set([...constants("core/sender/trace.go", "Word"), ...constants("core/policy/names.go", "Code")])];
    assert.ok(words.length > 38, String(words.length));
    const seen = new Set<string>();
    for (const word of words) {
      const sentence = sentenceOf(word) ?? "";
      assert.match(sentence, /^[A-Z][^\n]{10,110}\.$/, word);
      assert.ok(!seen.has(sentence), `${word}: said of another code too`);
      seen.add(sentence);
    }
    const listed = [...read("web/src/sentences.ts").matchAll(/^ {2}([a-z_0-9]+): "/gm)].map(([, word = ""]) => word);
    assert.deepEqual(listed.filter((word) => !words.includes(word)), [], "sentences for codes that nobody gives");
    assert.equal(listed.length, words.length);
    for (const other of ["", "no such code", "constructor", "__proto__"]) assert.equal(sentenceOf(other), null);
  });

  test("explain has them, and errors of decryption are them", async () => {
    const stranger = new Person("@bob:test", "BOB");
    const [known, unknown] = [new Outbound(room), new Outbound(room)];
    await withKit(chrome, async ({ inPage }) => {
      const got = await inPage(async ({ own, items, ids, event, answer }) => {
        const machine = await kit.ks.OlmMachine.open({ ...own, store: { memory: true }, trustRequirement: "CrossSigned" });
        await machine.receiveKeysQueryResponse(answer);
        await machine.receiveRoomKeys(items).stored;
        const told = await Promise.all(ids.map((id) => machine.explain("!room:test", id)));
        const failure = await kit.failure(() => machine.decryptRoomEvent(event, "!room:test"));
        await machine.close();
        return { told: told.map(({ copies }) => copies[0]), failure };
      }, { own: me.own, items: [known.item(alice, me), unknown.item(stranger, me, { embed: false })], ids: [known.event("@a:t", "$1", "x"), unknown.event("@b:t", "$1", "x")].map(({ content }) => String((content as { session_id: string }).session_id)), event: unknown.event(stranger.userId, "$2", "x"), answer: keysQueryAnswer([me, alice]) });
      const [first, second] = got.told;
      assert.deepEqual(first?.steps.map(({ step, sentence }) => [step, sentence]).at(-1), ["J", "You have not verified the owner."]);
      assert.deepEqual([first?.remedy, second?.remedy], ["verification", "device_keys"]);
      for (const { evidence, sentence } of [...(first?.steps ?? []), ...(second?.steps ?? [])]) assert.equal(sentence, sentenceOf(evidence));
      assert.deepEqual([got.failure.code, got.failure.message], ["unknown_device", sentenceOf("unknown_device")]);
    });
  });
});

describe("versions", () => {
  test("are those of package.json and of the records that are written", () => {
    assert.equal(version, (JSON.parse(read("package.json")) as { version: string }).version);
    const written: Record<string, number> = {};
    for (const file of readdirSync(join(top, "core/record"))) {
      if (!file.endsWith(".go") || file.endsWith("_test.go")) continue;
      for (const [, name = "", number = ""] of read(`core/record/${file}`).matchAll(/^(?:const)?\s+(\w+)Version\s*=\s*(\d+)/gm)) written[name] = Number(number);
    }
    assert.deepEqual(written, { ...formats });
  });
});
