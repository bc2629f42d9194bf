// Fault rows that take a whole machine in a real browser: every request to the database fails once, the disk is full, the renderer crashes in the middle of a
// batch, databases are evicted, damaged, held by an old tab or written by a newer version, the program runs out of memory, the page is put away.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { JsonObject } from "../src/index.js";
import { Browser } from "./browser.js";
import { useChrome, wasmPath } from "./harness.js";
import { furnish } from "./lanekit.js";
import { withKit } from "./machinekit.js";
import { keysQueryAnswer, Outbound, Person } from "./people.js";

const chrome = useChrome();
const room = "!room:test";
const me = new Person("@me:test", "MINE", "yes");
const alice = new Person("@alice:test", "ALICE", "yes");
const bob = new Person("@bob:test", "BOB", "yes");

/** make attack takes its time; make test takes a sample of long lists. */
const full = process.env["ATTACK"] === "full";

type Event = JsonObject & { readonly content: { readonly session_id: string } };

/** Sessions of a sender, as keys and as their first events. */
function sessions(count: number, from: Person, options: { embed?: boolean; room?: string } = {}): { items: ReturnType<Outbound["item"]>[]; events: Event[]; exported: JsonObject[] } {
  const all = Array.from({ length: count }, () => new Outbound(options.room ?? room));
  return {
    items: all.map((session) => session.item(from, me, options)),
    events: all.map((session, i) => session.event(from.userId, `$${session.sessionId} ${i}`, "hello") as never as Event),
    exported: all.map((session) => session.exported(from) as JsonObject),
  };
}

for (const [title, kind] of [
  ["F07: any request of a life to the database throws", "UnknownError"], ["F05: any request of a life finds the disk full", "QuotaExceededError"],
  ["F09: any request of a life finds the connection closed", "InvalidStateError"], ["F01, F08: any request of a life has its transaction aborted", "aborts"],
] as const) test(`${title}; done again, what failed comes to the same end`, { timeout: 300_000 }, async (t) => {
  const [known, waiting, imported] = [sessions(2, alice), sessions(2, bob, { embed: false }), sessions(2, alice)];
  await withKit(chrome, async ({ inPage }) => {
    const got = await inPage(async ({ own, first, late, known, waiting, imported, kind, step }) => {
      const methods = [[IDBObjectStore.prototype, ["put", "add", "get", "getAll", "delete", "clear"]], [IDBIndex.prototype, ["get", "getAll", "getAllKeys"]], [IDBDatabase.prototype, ["transaction"]]] as const;
      let seen = 0;
      let at = 0;
      let way = "";
      for (const [prototype, names] of methods) {
        for (const name of names) {
          const target = prototype as unknown as Record<string, (...args: unknown[]) => unknown>;
          const original = target[name];
          if (original === undefined) continue;
          target[name] = function (this: IDBObjectStore | IDBIndex | IDBDatabase, ...args: unknown[]) {
            if (++seen !== at) return original.apply(this, args);
            if (way !== "aborts") throw new DOMException("as told", way);
            const made = original.apply(this, args);
            const transaction = made instanceof IDBTransaction ? made : (made as IDBRequest).transaction;
            queueMicrotask(() => { try { transaction?.abort(); } catch { /* it is over */ } });
            return made;
          };
        }
      }
      const codes = new Set<string>();
      const live = async (name: string): Promise<{ end: string; failures: number; requests: number }> => {
        let failures = 0;
        // As a client does: what is not acknowledged is done again.
        const again = async <R>(what: () => Promise<R>): Promise<R> => {
          for (let tries = 0; ; tries++) {
            try {
              return await what();
            } catch (thrown) {
              failures++;
              codes.add(thrown instanceof kit.ks.KnownSenderError ? thrown.code : `untyped: ${String(thrown)}`);
              if (tries === 3) throw thrown;
            }
          }
        };
        const open = (): ReturnType<typeof kit.ks.OlmMachine.open> => again(() => kit.ks.OlmMachine.open({ ...own, store: { name } }));
        let machine = await open();
        await again(() => machine.receiveKeysQueryResponse(first));
        await again(() => machine.receiveRoomKeys([...known.items, ...waiting.items]).stored);
        await again(() => machine.importExportedRoomKeys(imported.exported));
        await again(() => machine.decryptRoomEvent(known.events[0] ?? "", "!room:test"));
        await again(() => machine.receiveKeysQueryResponse(late));
        await again(() => machine.receiveRoomKeys(known.items).stored);
        // A failing close is told; the machine is closed all the same.
        await machine.close().catch((thrown: unknown) => { failures++; codes.add(thrown instanceof kit.ks.KnownSenderError ? thrown.code : `untyped: ${String(thrown)}`); });
        at = 0;
        const requests = seen;
        machine = await open();
        const told: string[] = [];
        machine.registerStoreReportCallback(({ code }) => void (code.startsWith("persistence") || told.push(code)));
        for (const event of [...known.events, ...waiting.events, ...imported.events]) {
          const { copies } = await machine.explain("!room:test", event.content.session_id);
          told.push(...copies.map(({ provenance, senderData, firstKnownIndex, legacySession }) => `${provenance} ${senderData.type} ${firstKnownIndex} ${legacySession}`));
          told.push(await machine.decryptRoomEvent(event, "!room:test").then(({ encryptionInfo }) => encryptionInfo.verdict.state, (thrown: { code: string }) => thrown.code));
        }
        told.push(JSON.stringify(await machine.roomKeyCounts()), machine.getIdentity("@alice:test")?.verification ?? "none");
        await machine.close();
        await new Promise((resolve) => (indexedDB.deleteDatabase(name).onsuccess = resolve));
        return { end: told.join("; "), failures, requests };
      };
      // The requests of the last opening do not count: nothing fails there.
      const { end: want, requests } = await live("undisturbed");
      const others: string[] = [];
      let failed = 0;
      let n = 1;
      for (way = kind; n <= requests; n += step) {
        seen = 0;
        at = n;
        const { end, failures } = await live(`life ${n}`).catch((thrown: unknown) => ({ end: String(thrown), failures: 1 }));
        if (end !== want) others.push(`request ${n}: ${end}`);
        if (failures > 0) failed++;
      }
      return { want, others, failed, requests, codes: [...codes].sort() };
    }, { own: me.own, first: keysQueryAnswer([me, alice]), late: keysQueryAnswer([bob]), known, waiting, imported, kind, step: full ? 1 : 4 });
    assert.deepEqual(got.others, []);
    assert.match(got.want, /^direct SenderUnverified 0 false; sender_unverified; /);
    for (const code of got.codes) assert.match(code, /^(aborted|quota|unavailable|bad_request|closed)$/);
    assert.ok(got.requests > 30 && got.failed > 0, `${got.requests} requests, ${got.failed} lives in which a call failed`);
    t.diagnostic(`${got.requests} requests; in ${got.failed} lives a call failed: ${got.codes.join(", ")}`);
  });
});

test("F04: the renderer crashes in the middle of a batch of 800 keys, at several moments: all are there, or none", { timeout: 120_000 }, async (t) => {
  const { items } = sessions(800, alice, { embed: false });
  const context = await chrome.browser.newContext();
  const moments = full ? [0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.2] : [0.5, 0.7, 0.9];
  const found: number[] = [];
  try {
    let whole = 0;
    for (const [i, part] of [0, ...moments].entries()) {
      const page = await context.newPage();
      await page.goto(`${chrome.server.origin}/page`);
      await furnish({ inPage: (fn, args) => page.evaluate(fn as never, args as never) as never });
      await page.evaluate(async (own) => Object.assign(globalThis, { machine: await kit.ks.OlmMachine.open({ ...own.own, store: { name: own.name } }) }) && undefined, { own: me.own, name: `crash ${i}` });
      const began = performance.now();
      const stored = page.evaluate((items) => (globalThis as unknown as { machine: import("../src/index.js").OlmMachine }).machine.receiveRoomKeys(items).stored, items);
      if (i === 0) {
        await stored;
        whole = performance.now() - began;
        await page.close();
        continue;
      }
      stored.catch(() => undefined);
      const crashed = new Promise((resolve) => page.once("crash", resolve));
      const session = await context.newCDPSession(page);
      await new Promise((resolve) => setTimeout(resolve, whole * part - (performance.now() - began)));
      session.send("Page.crash").catch(() => undefined);
      await crashed;
      await page.close();
    }
    await withKit(chrome, async ({ inPage }) => {
      found.push(...(await inPage(async ({ own, items, count }) => {
        const totals: number[] = [];
        for (let i = 1; i <= count; i++) {
          const machine = await kit.ks.OlmMachine.open({ ...own, store: { name: `crash ${i}` } });
          totals.push((await machine.roomKeyCounts()).total);
          await machine.receiveRoomKeys(items).stored;
          if ((await machine.roomKeyCounts()).total !== items.length) throw new Error("delivered again, they are not all there");
          await machine.close();
        }
        return totals;
      }, { own: me.own, items, count: moments.length })));
    }, { context });
  } finally {
    await context.close();
  }
  assert.deepEqual(found.filter((total) => total !== 0 && total !== items.length), []);
  t.diagnostic(`found ${found.join(", ")}`);
});

test("F05, F06: the disk is full when keys arrive and when their senders become known; the keys are used, and written when there is room", { timeout: 120_000 }, async () => {
  const [old, fresh] = [sessions(20, alice, { embed: false }), sessions(1500, bob, { embed: false })];
  await withKit(chrome, async ({ page, context, origin, inPage }) => {
    const session = await context.newCDPSession(page);
    await session.send("Storage.overrideQuotaForOrigin", { origin, quotaSize: 12_000_000 }); // set later it has no effect on an open database
    const got = await inPage(async ({ own, old, fresh, answer }) => {
      const done = <T>(request: IDBRequest<T>): Promise<T> => new Promise((resolve, reject) => { request.onsuccess = () => resolve(request.result); request.onerror = () => reject(request.error ?? new Error("no reason")); });
      const machine = await kit.ks.OlmMachine.open({ ...own, store: { name: "full" } });
      await machine.receiveRoomKeys(old.items).stored;
      // Something else of the site's takes all the room there is.
      const filler = indexedDB.open("filler", 1);
      filler.onupgradeneeded = () => filler.result.createObjectStore("s", { autoIncrement: true });
      const database = await done(filler);
      for (let size = 4_000_000; size >= 1000; ) {
        const bytes = new Uint8Array(size);
        for (let i = 0; i < size; i += 65536) crypto.getRandomValues(bytes.subarray(i, Math.min(i + 65536, size)));
        const transaction = database.transaction("s", "readwrite", { durability: "strict" });
        transaction.objectStore("s").put(bytes);
        const full = await new Promise<boolean>((resolve) => { transaction.oncomplete = () => resolve(false); transaction.onabort = () => resolve(true); });
        if (full) size >>= 1;
      }
      const full = await kit.failure(() => machine.receiveRoomKeys(fresh.items).stored);
      const [oldEvent, freshEvent] = [old.events[0] ?? "", fresh.events[0] ?? ""];
      const state = async (event: JsonObject | string): Promise<string> => machine.decryptRoomEvent(event, "!room:test").then(({ encryptionInfo }) => encryptionInfo.verdict.state, (thrown: { code: string }) => thrown.code);
      const meanwhile = [await state(oldEvent), await state(freshEvent)];
      const upgrade = await kit.failure(() => machine.receiveKeysQueryResponse(answer));
      const learned = await state(oldEvent);
      const onDisk = JSON.parse(await kit.dump("full")) as [string, { rows?: unknown[] }[]][];
      const rows = onDisk.find(([table]) => table === "copies")?.[1].reduce((sum, leaf) => sum + (leaf.rows?.length ?? 0), 0);
      database.close();
      await done(indexedDB.deleteDatabase("filler"));
      let later = "quota";
      for (let tries = 0; later !== "" && tries < 100; tries++) {
        later = (await kit.failure(() => machine.receiveKeysQueryResponse(answer))).code;
        if (later !== "") await new Promise((resolve) => setTimeout(resolve, 50));
      }
      await machine.close();
      const again = await kit.ks.OlmMachine.open({ ...own, store: { name: "full" } });
      const { total } = await again.roomKeyCounts();
      const ends = [oldEvent, freshEvent].map((event) => again.decryptRoomEvent(event, "!room:test").then(({ encryptionInfo }) => encryptionInfo.verdict.state, (thrown: { code: string }) => thrown.code));
      const states = await Promise.all(ends);
      await again.close();
      return { full: full.code, meanwhile, upgrade: upgrade.code, learned, rows, later, total, states };
    }, { own: me.own, old, fresh, answer: keysQueryAnswer([alice, bob]) });
    assert.equal(got.full, "quota");
    assert.deepEqual([got.meanwhile, got.rows], [["unknown_device", "unknown_device"], 20], "what does not fit is used from memory; what was there is there");
    assert.match(got.upgrade, /^(quota|)$/);
    assert.deepEqual([got.later, got.total, got.states], ["", 1520, ["sender_unverified", "sender_unverified"]]);
  });
});

test("F11: of two accounts' databases one is evicted: that machine says so and writes nothing, the other goes on", async () => {
  const other = new Person("@other:test", "OTHER");
  const [mine, later] = [sessions(1, alice), sessions(1, alice)];
  const theirs = new Outbound(room);
  await withKit(chrome, async ({ inPage }) => {
    const got = await inPage(async ({ own, other, mine, later, theirs }) => {
      const [one, two] = [await kit.ks.OlmMachine.open({ ...own, store: { name: "one" } }), await kit.ks.OlmMachine.open({ ...other, store: { name: "two" } })];
      const heard: string[] = [];
      one.registerStoreReportCallback(({ code }) => void (code.startsWith("persistence") || heard.push(`one: ${code}`)));
      two.registerStoreReportCallback(({ code }) => void (code.startsWith("persistence") || heard.push(`two: ${code}`)));
      await one.receiveRoomKeys(mine.items).stored;
      await new Promise((resolve) => (indexedDB.deleteDatabase("one").onsuccess = resolve));
      const lost = await kit.failure(() => one.receiveRoomKeys(later.items).stored);
      await two.receiveRoomKeys([theirs]).stored;
      const { total } = await two.roomKeyCounts();
      await one.close().catch(() => undefined);
      await two.close();
      return { lost: lost.code, total, heard, left: (await indexedDB.databases()).map(({ name }) => name) };
    }, { own: me.own, other: other.own, mine, later, theirs: theirs.item(alice, other) });
    assert.deepEqual(got, { lost: "store_lost", total: 1, heard: ["one: blocking", "one: store_lost"], left: ["two"] });
  });
});

test("F13, F14: an old tab that does not let go, and a database of a newer version, are told by name, and nothing is written", async () => {
  await withKit(chrome, async ({ inPage }) => {
    const got = await inPage(async (own) => {
      const held = await new Promise<IDBDatabase>((resolve) => { const request = indexedDB.open("held", 1); request.onsuccess = () => resolve(request.result); });
      const blocked = await kit.failure(() => kit.ks.OlmMachine.open({ ...own, store: { name: "held" } }));
      held.close();
      await new Promise((resolve) => setTimeout(resolve, 100));
      const machine = await kit.ks.OlmMachine.open({ ...own, store: { name: "held" } });
      await machine.close();
      const newer = await new Promise<IDBDatabase>((resolve) => {
        const request = indexedDB.open("newer", 100_000);
        request.onupgradeneeded = () => request.result.createObjectStore("copies", { keyPath: "k" }).put({ k: ["x"], of: "tomorrow" });
        request.onsuccess = () => resolve(request.result);
      });
      newer.close();
      const before = await kit.dump("newer");
      const tooNew = await kit.failure(() => kit.ks.OlmMachine.open({ ...own, store: { name: "newer" } }));
      return { blocked: blocked.code, tooNew: tooNew.code, same: before === (await kit.dump("newer")) };
    }, me.own);
    assert.deepEqual(got, { blocked: "blocked", tooNew: "schema_too_new", same: true });
  });
});

/** The engine with a ceiling on its memory: the section of the wasm that says how much it wants gets a maximum. */
function withCeiling(wasm: Buffer, spare: number): Buffer {
  const leb = (n: number): number[] => (n < 128 ? [n] : [(n & 127) | 128, ...leb(n >>> 7)]);
  const read = (at: number): [value: number, next: number] => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = wasm[at++] ?? 0;
      value |= (byte & 127) << shift;
      if (byte < 128) return [value, at];
    }
  };
  for (let at = 8; at < wasm.length; ) {
    const id = wasm[at];
    const [size, body] = read(at + 1);
    if (id === 5) {
      const [pages] = read(body + 2);
      const section = [1, 1, ...leb(pages), ...leb(pages + spare)];
      return Buffer.concat([wasm.subarray(0, at), Buffer.from([5, ...leb(section.length), ...section]), wasm.subarray(body + size)]);
    }
    at = body + size;
  }
  throw new Error("the wasm has no memory");
}

test("F11, F43: the header of an encrypted store is weakened, changed, lost or another database's: it fails closed, nothing is written, and as it was it opens", { timeout: 120_000 }, async () => {
  const { items, events } = sessions(2, alice);
  await withKit(chrome, async ({ inPage }) => {
    const got = await inPage(async ({ own, items, event }) => {
      const { raw, done, write, dump } = (await import("/build/test/idbkit.js" as string)) as typeof import("./idbkit.js");
      const encryption = { passphrase: "correct horse battery staple" };
      const open = (name: string): ReturnType<typeof kit.ks.OlmMachine.open> => kit.ks.OlmMachine.open({ ...own, store: { name, encryption } });
      for (const name of ["sealed", "other"]) {
        const machine = await open(name);
        await machine.receiveRoomKeys(items).stored;
        await machine.close();
      }
      type Header = { k: string[]; v: Uint8Array<ArrayBuffer> };
      const header = (name: string): Promise<Header> => raw(name, (database) => done(database.transaction("meta").objectStore("meta").get(["!key"])) as Promise<Header>);
      const [good, other] = [await header("sealed"), await header("other")];
      const changes: Record<string, (bytes: Uint8Array) => Uint8Array | undefined> = {
        // Magic, version and mode; then how often the passphrase is hashed, and the salt.
        "one iteration": (bytes) => (bytes.set([0, 0, 0, 1], 6), bytes),
        "no iteration": (bytes) => (bytes.set([0, 0, 0, 0], 6), bytes),
        "2^32 - 1 iterations": (bytes) => (bytes.set([255, 255, 255, 255], 6), bytes),
        "another salt": (bytes) => (bytes.set([(bytes[12] ?? 0) ^ 1], 12), bytes),
        "another wrapped key": (bytes) => (bytes.set([(bytes[60] ?? 0) ^ 1], 60), bytes),
        "cut off": (bytes) => bytes.slice(0, 50),
        "empty": () => new Uint8Array(),
        "lost": () => undefined,
      };
      const ends: Record<string, string> = {};
      for (const [how, change] of Object.entries(changes)) {
        const changed = change(good.v.slice());
        if (changed === undefined) {
          await raw("sealed", (database) => done(database.transaction("meta", "readwrite").objectStore("meta").delete(["!key"])));
        } else await write("sealed", "meta", { ...good, v: changed });
        const before = await dump("sealed");
        const began = performance.now();
        const { code } = await kit.failure(() => open("sealed"));
        ends[how] = `${code}${(await dump("sealed")) === before ? "" : ", and it was written"}${performance.now() - began > 10_000 ? ", after long" : ""}`;
      }
      await write("sealed", "meta", good);
      const machine = await open("sealed");
      const body = kit.body(await machine.decryptRoomEvent(event, "!room:test"));
      await machine.close();
      // With the header of another database under the same passphrase nothing in it opens.
      await write("sealed", "meta", { ...other, r: (good as unknown as { r: number }).r });
      const stranger = await open("sealed");
      const foreign = await kit.failure(() => stranger.decryptRoomEvent(event, "!room:test"));
      await stranger.close();
      return { ends, body, foreign: foreign.code };
    }, { own: me.own, items, event: events[0] as Event });
    assert.deepEqual(got, {
      ends: {
        "one iteration": "store_key_parameters", "no iteration": "store_key_parameters", "2^32 - 1 iterations": "store_key_parameters", "another salt": "wrong_store_key", "another wrapped key": "wrong_store_key",
        "cut off": "store_header_damaged", empty: "store_header_damaged", lost: "store_not_encrypted",
      },
      body: "hello", foreign: "no_key",
    });
  });
});

test("F33: the program runs out of memory: the call says so, what was stored is there, and a new program works", async () => {
  const { items, events } = sessions(3, alice);
  await withKit(chrome, async ({ inPage }) => {
    const got = await inPage(async ({ own, wasm, items, event }) => {
      const bytes = Uint8Array.from(atob(wasm), (character) => character.charCodeAt(0));
      await kit.ks.initAsync({ wasmBytes: bytes });
      const machine = await kit.ks.OlmMachine.open({ ...own, store: { name: "memory" } });
      await machine.receiveRoomKeys(items).stored;
      const huge = `[${Array.from({ length: 60 }, () => JSON.stringify({ padding: "A".repeat(1_000_000) })).join(",")}]`;
      const answer = `{"device_keys":{"@alice:test":{"ALICE":{"x":${huge}}}}}`;
      const out = await kit.failure(() => machine.receiveKeysQueryResponse(answer));
      const later = await kit.failure(() => machine.roomKeyCounts());
      const again = await kit.ks.OlmMachine.open({ ...own, store: { name: "memory" } });
      const { total } = await again.roomKeyCounts();
      const body = kit.body(await again.decryptRoomEvent(event, "!room:test"));
      await again.close();
      return { out: [out.name, out.code], later: later.code, total, body };
    }, { own: me.own, wasm: withCeiling(readFileSync(wasmPath), 480).toString("base64"), items, event: events[0] as Event });
    assert.deepEqual(got, { out: ["EngineStoppedError", "engine_stopped"], later: "engine_stopped", total: 3, body: "hello" });
  });
});

test("F35: a field of a row is missing, of another type or cut off, in every table: that row is set aside, and the others say what they said", { timeout: 240_000 }, async (t) => {
  const [first, second] = [sessions(1, alice, { room: "!a:test" }), sessions(1, bob, { room: "!b:test" })];
  await withKit(chrome, async ({ inPage }) => {
    const got = await inPage(async ({ own, first, second, answer, notice }) => {
      const { Bridge: _, editLeaf, raw, done, write } = (await import("/build/test/idbkit.js" as string)) as typeof import("./idbkit.js");
      const { decodeFrame, encodeFrame } = (await import("/dist/frame.js" as string)) as typeof import("../src/frame.js");
      void _;
      const open = (name: string): ReturnType<typeof kit.ks.OlmMachine.open> => kit.ks.OlmMachine.open({ ...own, store: { name } });
      const prepare = async (name: string): Promise<void> => {
        const machine = await open(name);
        await machine.receiveKeysQueryResponse(answer);
        await machine.receiveRoomKeys([...first.items, ...second.items]).stored;
        await machine.receiveRoomKeysWithheld([notice]);
        for (const [event, room] of [[first.events[0], "!a:test"], [second.events[0], "!b:test"]] as const) await machine.decryptRoomEvent(event ?? "", room);
        await machine.close();
      };
      const bad: [name: string, value: unknown][] = [["missing", undefined], ["null", null], ["a number", 7], ["text", "text"], ["a list", [1, 2]], ["empty", new Uint8Array()], ["noise", new Uint8Array(60).fill(255)]];
      const wrong: string[] = [];
      let damaged = 0;
      let reported = 0;
      const check = async (name: string, hit: "copy" | "other"): Promise<void> => {
        damaged++;
        const machine = await open(name).catch((thrown: unknown) => void wrong.push(`${name}: does not open: ${String(thrown)}`));
        if (machine === undefined) return;
        const reports: string[] = [];
        machine.registerStoreReportCallback(({ code }) => void (code.startsWith("persistence") || reports.push(code)));
        const state = (event: JsonObject | undefined, room: string): Promise<string> => machine.decryptRoomEvent(event ?? "", room).then(({ encryptionInfo }) => encryptionInfo.verdict.state, (thrown: { code: string }) => thrown.code);
        const one = await state(first.events[0], "!a:test");
        const two = await state(second.events[0], "!b:test");
        // What was sent by the damaged row's sender may be less well known, never better; the other is as it was.
        if (two !== "sender_unverified") wrong.push(`${name}: the other key is ${two}`);
        if (hit === "copy" ? !["no_key", "sender_unverified"].includes(one) : one !== "sender_unverified") wrong.push(`${name}: ${one}`);
        const failed = await kit.failure(() => machine.receiveRoomKeys([...first.items, ...second.items]).stored);
        await kit.failure(() => machine.receiveKeysQueryResponse(answer));
        const healed = await state(first.events[0], "!a:test");
        if (failed.code !== "" || healed !== "sender_unverified") wrong.push(`${name}: delivered again: ${failed.code} ${healed}`);
        if (reports.some((code) => code !== "record_quarantined")) wrong.push(`${name}: ${reports.join()}`);
        reported += reports.length;
        await machine.close();
        await done(indexedDB.deleteDatabase(name));
      };
      // The parts of a row in a leaf: key, revision, value, index entries.
      const inLeaves = [["copies", "copy"], ["replays", "other"]] as const;
      for (const [table, hit, part, field] of inLeaves.flatMap((of) => ["key", "revision", "value", "entries"].map((field, part) => [...of, part, field] as const))) {
        for (const [how, value] of [...bad, ["cut", "cut"] as [string, unknown]]) {
          const name = `${table} ${field} ${how}`;
          await prepare(name);
          await editLeaf(name, [[]], (leaf) => {
            const items = decodeFrame(leaf.rows[0] as Uint8Array).map((item) => item.slice());
            if (how === "missing") items.splice(part, 1);
            else if (how === "cut") items[part] = (items[part] ?? new Uint8Array()).slice(0, (items[part]?.length ?? 0) >> 1);
            else items[part] = value instanceof Uint8Array ? value.slice() : new TextEncoder().encode(String(value));
            leaf.rows[0] = encodeFrame(items);
          }, table);
          await check(name, hit);
        }
      }
      for (const [table, hit] of inLeaves) {
        for (const [how, value] of bad) {
          const name = `${table} row ${how}`;
          await prepare(name);
          await editLeaf(name, [[]], (leaf) => void (leaf.rows[0] = value), table);
          await check(name, hit);
        }
      }
      // Every field of the first row of every other table.
      for (const table of ["users", "withheld", "meta", "counters"]) {
        for (const field of table === "counters" ? ["n"] : ["r", "v"]) {
          for (const [how, value] of bad) {
            const name = `${table} ${field} ${how}`;
            await prepare(name);
            const [row] = (await raw(name, (database) => done(database.transaction(table).objectStore(table).getAll()))) as Record<string, unknown>[];
            if (row === undefined) {
              wrong.push(`${table} has no row`);
              break;
            }
            if (value === undefined) delete row[field];
            else row[field] = value;
            await write(name, table, row);
            await check(name, "other");
          }
        }
      }
      return { wrong, damaged, reported };
    }, {
      own: me.own, first, second, answer: keysQueryAnswer([alice, bob, me]),
      notice: { type: "m.room_key.withheld", sender: alice.userId, content: { algorithm: "m.megolm.v1.aes-sha2", code: "m.unverified", reason: "no", room_id: "!a:test", session_id: new Outbound(room).sessionId, sender_key: alice.curve25519 } },
    });
    assert.deepEqual(got.wrong, []);
    t.diagnostic(`${got.damaged} databases damaged, ${got.reported} rows set aside`);
    assert.ok(got.damaged > 80 && got.reported > 20);
  });
});

test("F41: a page that is put away and taken out again goes on, and sees what another tab wrote meanwhile", async () => {
  const profile = await mkdtemp(join(tmpdir(), "knownsender-"));
  const browser = new Browser(profile);
  const [mine, theirs] = [sessions(1, alice, { embed: false }), sessions(1, bob, { embed: false })];
  try {
    const url = `${chrome.server.origin}/page`;
    const [one, two] = [await browser.open(url), await browser.open(url)];
    await furnish(one);
    await furnish(two);
    await one.inPage(async ({ own, items }) => {
      const shown: boolean[] = [];
      addEventListener("pageshow", ({ persisted }) => void shown.push(persisted));
      const { machine } = await net.open(kit.ks, own, "away");
      await machine.receiveRoomKeys(items).stored;
      Object.assign(globalThis, { shown, machine });
    }, { own: me.own, items: mine.items });
    const away = async (meanwhile: () => Promise<void>): Promise<{ shown: boolean[] | null; states: string[] }> => {
      await one.send("Page.navigate", { url: `${url}?elsewhere` });
      await new Promise((resolve) => setTimeout(resolve, 500));
      await meanwhile();
      const { entries, currentIndex } = (await one.send("Page.getNavigationHistory")) as { entries: { id: number }[]; currentIndex: number };
      await one.send("Page.navigateToHistoryEntry", { entryId: entries[currentIndex - 1]?.id });
      await new Promise((resolve) => setTimeout(resolve, 500));
      return one.inPage(async (events) => {
        const { shown, machine } = globalThis as unknown as { shown?: boolean[]; machine: import("../src/index.js").OlmMachine };
        const states: string[] = [];
        if (shown !== undefined) for (const event of events) states.push(await machine.decryptRoomEvent(event, "!room:test").then(({ encryptionInfo }) => encryptionInfo.verdict.state, (thrown: { code: string }) => thrown.code));
        return { shown: shown ?? null, states };
      }, [...mine.events, ...theirs.events]);
    };
    assert.deepEqual(await away(() => Promise.resolve()), { shown: [true], states: ["unknown_device", "no_key"] }, "it is the same machine");
    // What another tab says ends the page in Chrome while it is put away; where a browser keeps it, it must have heard.
    const { shown, states } = await away(() => two.inPage(async ({ own, items, answer }) => {
      const { machine } = await net.open(kit.ks, own, "away", new net.Homeserver().know(answer));
      await machine.receiveRoomKeys(items).stored;
      await machine.receiveKeysQueryResponse(answer);
      await machine.close();
    }, { own: me.own, items: theirs.items, answer: keysQueryAnswer([alice, bob]) }));
    assert.deepEqual(states, shown === null ? [] : ["sender_unverified", "sender_unverified"]);
  } finally {
    await browser.kill();
    await rm(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
});

test("F48: the user logs out, the database is deleted while keys arrive: none of them comes back", async () => {
  const lot = Array.from({ length: 20 }, () => sessions(3, alice, { embed: false }).items);
  await withKit(chrome, async ({ inPage }) => {
    const got = await inPage(async ({ own, lot }) => {
      const ends: string[] = [];
      for (let round = 0; round < 10; round++) {
        const machine = await kit.ks.OlmMachine.open({ ...own, store: { name: "logout" } });
        const under = lot.map((items, i) => new Promise((resolve) => setTimeout(resolve, i * 8)).then(() => machine.receiveRoomKeys(items).stored).then(() => "", (thrown: { code?: string }) => thrown.code ?? String(thrown)));
        await new Promise((resolve) => setTimeout(resolve, round * 10));
        await new Promise((resolve) => (indexedDB.deleteDatabase("logout").onsuccess = resolve));
        ends.push(...(await Promise.all(under)));
        await machine.close().catch(() => undefined);
        const left = (await indexedDB.databases()).length;
        const next = await kit.ks.OlmMachine.open({ ...own, store: { name: "logout" } });
        const { total } = await next.roomKeyCounts();
        await next.close();
        await new Promise((resolve) => (indexedDB.deleteDatabase("logout").onsuccess = resolve));
        if (left + total > 0) ends.push(`round ${round}: ${left} databases, ${total} keys`);
      }
      return [...new Set(ends)].sort();
    }, { own: me.own, lot });
    assert.deepEqual(got.filter((end) => !["", "store_lost", "closed"].includes(end)), []);
    assert.ok(got.includes("store_lost") || got.includes("closed"), "some were on their way");
  });
});
