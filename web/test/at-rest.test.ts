// A database that is encrypted at rest, in headless Chrome: in every mode across a reload, with the wrong key, edited by hand, in two tabs, with another
// key from then on; and that WebCrypto and Go make the same of the same bytes.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { useChrome } from "./harness.js";
import { withKit } from "./machinekit.js";
import { Outbound, Person } from "./people.js";
import { top } from "./server.js";

const chrome = useChrome();
const me = new Person("@me:test", "MINE");
const alice = new Person("@alice:test", "ALICE", "yes");
const room = "!room:test";

/** Three room keys of Alice's, and a message with each. */
const outbounds = [new Outbound(room), new Outbound(room), new Outbound(room)] as const;
const story = {
  own: me.own,
  items: outbounds.map((outbound) => outbound.item(alice, me)),
  events: outbounds.map((outbound, n) => ({ ...outbound.event(alice.userId, `$${n}`, `hello ${n}`) })),
  /** What is to be read nowhere: ids, and the key and the first part of a ratchet in base64. */
  secrets: [room, "@alice", "ALICE", ...outbounds.flatMap((outbound) => [outbound.sessionId, outbound.sessionKey(0).slice(10, 40)])],
};
/** What stands for a key where it has to be JSON: `hostKey` is the byte that fills it. */
type Key = { passphrase?: string; hostKey?: number; none?: true };

declare global {
  /** What a machine is opened with for a key. */
  var storeOf: (name: string, key: Key) => { name: string; encryption?: import("../src/index.js").StoreKey };
  /** Every string and byte string in a database, keys and values alike, as one text with a character for each byte. */
  var rawText: (name: string) => Promise<string>;
}

/** Opens a page with `kit`, `storeOf` and `rawText` in it. */
function withStores<R>(tell: Parameters<typeof withKit<R>>[1], options: Parameters<typeof withKit<R>>[2] = {}): Promise<R> {
  return withKit(chrome, async (page) => {
    await page.inPage(() => {
      globalThis.storeOf = (name, { passphrase, hostKey }) => {
        if (passphrase !== undefined) return { name, encryption: { passphrase } };
        return hostKey === undefined ? { name } : { name, encryption: { hostKey: new Uint8Array(32).fill(hostKey) } };
      };
      globalThis.rawText = async (name) => {
        const done = <T>(request: IDBRequest<T>): Promise<T> => new Promise((resolve, reject) => {
          request.onsuccess = () => resolve(request.result);
          request.onerror = () => reject(request.error ?? new Error("no reason"));
        });
        const database = await done(indexedDB.open(name));
        let text = "";
        const walk = (value: unknown): void => {
          if (typeof value === "string") text += `${value}\n`;
          else if (value instanceof Uint8Array) text += `${Array.from(value, (byte) => String.fromCharCode(byte)).join("")}\n`;
          else if (typeof value === "object" && value !== null) Object.values(value).forEach(walk);
        };
        for (const store of database.objectStoreNames) (await done(database.transaction(store).objectStore(store).getAll())).forEach(walk);
        database.close();
        return text;
      };
    }, undefined);
    return tell(page);
  }, options);
}

const modes: Record<string, Key> = { none: { none: true }, passphrase: { passphrase: "correct horse battery stäple" }, hostKey: { hostKey: 7 } };

describe("modes", () => {
  for (const [mode, key] of Object.entries(modes)) {
    test(`${mode}: what was received decrypts after a reload${mode === "none" ? "" : ", and nothing of it can be read in the database"}`, async () => {
      await withStores(async ({ inPage }) => {
        const got = await inPage(async ({ own, items, events, key }) => {
          const { OlmMachine } = kit.ks;
          const store = storeOf("modes", key);
          const one = await OlmMachine.open({ ...own, store });
          const { stored, settled } = one.receiveRoomKeys(items);
          await stored;
          const fresh = kit.body(await one.decryptRoomEvent(events[0] ?? {}, "!room:test"));
          await one.receiveDeviceLists({ changed: ["@alice:test"], left: [] });
          await one.close();
          await settled.catch(() => undefined);
          const two = await OlmMachine.open({ ...own, store });
          await two.loadRoom("!room:test");
          const bodies = await Promise.all(events.map(async (event) => kit.body(await two.decryptRoomEvent(event, "!room:test"))));
          const counts = await two.roomKeyCounts();
          const exported = (JSON.parse(await two.exportRoomKeys()) as unknown[]).length;
          await two.close();
          return { fresh, bodies, total: counts.total, exported, text: await rawText("modes") };
        }, { ...story, key });
        assert.deepEqual([got.fresh, got.bodies, got.total, got.exported], ["hello 0", ["hello 0", "hello 1", "hello 2"], 3, 3]);
        const read = story.secrets.filter((secret) => got.text.includes(secret));
        // In a database without a key the ids are there to be read, so the search is one that finds.
        if (mode === "none") assert.ok(read.length >= 4, `only ${read.join()} were found`);
        else assert.deepEqual(read, []);
      });
    });
  }

  test("with an Olm account of its own: the account is there again, and its keys are not to be read", async () => {
    await withStores(async ({ inPage }) => {
      const got = await inPage(async () => {
        await kit.ks.initAsync({ wasmURL: "/dist/knownsender-olm.wasm" });
        const own = { userId: "@me:test", deviceId: "MINE" };
        const store = storeOf("account", { hostKey: 9 });
        const one = await kit.ks.OlmMachine.open({ ...own, store });
        await one.bootstrapCrossSigning();
        const [identity, keys] = [one.identityKeys, await one.exportCrossSigningKeys()];
        await one.close();
        const refused = await kit.failure(() => kit.ks.OlmMachine.open({ ...own, store: storeOf("account", { hostKey: 8 }) }));
        const two = await kit.ks.OlmMachine.open({ ...own, store });
        const same = JSON.stringify(two.identityKeys) === JSON.stringify(identity) && JSON.stringify(await two.exportCrossSigningKeys()) === JSON.stringify(keys);
        await two.close();
        const text = await rawText("account");
        const secrets = [...Object.values(identity), ...Object.values(keys ?? {})].filter((value) => typeof value === "string");
        const found = secrets.filter((secret) => text.includes(secret) || text.includes(atob(secret)));
        return { refused: refused.code, same, secrets: secrets.length, found };
      }, undefined);
      assert.deepEqual(got, { refused: "wrong_store_key", same: true, secrets: 5, found: [] });
    });
  });
});

describe("keys", () => {
  test("F42: a key that is not the database's opens nothing, by name, and writes nothing; then the right one opens it", async () => {
    await withStores(async ({ inPage }) => {
      const got = await inPage(async ({ own, items, modes }) => {
        const { OlmMachine } = kit.ks;
        const open = (store: unknown): Promise<string> => kit.failure(async () => (await OlmMachine.open({ ...own, store: store as { memory: true } })).close()).then(({ code }) => code);
        for (const [name, key] of Object.entries(modes)) {
          const machine = await OlmMachine.open({ ...own, store: storeOf(name, key) });
          await machine.receiveRoomKeys(items).stored;
          await machine.close();
        }
        const raw = (): Promise<string[]> => Promise.all(Object.keys(modes).map(rawText));
        const before = await raw();
        const others: Record<string, Key> = { none: { none: true }, passphrase: { passphrase: "correct horse battery staple" }, hostKey: { hostKey: 8 } };
        const codes: Record<string, string[]> = {};
        for (const name of Object.keys(modes)) {
          codes[name] = [];
          for (const other of Object.values(others)) codes[name].push(await open(storeOf(name, other)));
        }
        const untouched = JSON.stringify(await raw()) === JSON.stringify(before);
        const right: string[] = [];
        for (const [name, key] of Object.entries(modes)) right.push(await open(storeOf(name, key)));
        const bad: Record<string, string> = {};
        for (const [what, encryption] of [
          ["null", null], ["text", "key"], ["empty", {}], ["both", { passphrase: "x", hostKey: new Uint8Array(32) }], ["no text", { passphrase: 7 }], ["empty passphrase", { passphrase: "" }],
          ["31 bytes", { hostKey: new Uint8Array(31) }], ["a list", { hostKey: Array.from({ length: 32 }, () => 1) }],
        ] as const) bad[what] = await open({ name: "bad", encryption });
        const memory = await open({ memory: true, encryption: { passphrase: "x" } });
        const left = (await indexedDB.databases()).filter(({ name }) => name === "bad").length;
        return { codes, untouched, right, bad: [...new Set(Object.values(bad))], memory, left };
      }, { ...story, modes });
      assert.deepEqual(got, {
        codes: {
          none: ["", "store_not_encrypted", "store_not_encrypted"],
          passphrase: ["store_key_required", "wrong_store_key", "wrong_store_key_mode"],
          hostKey: ["store_key_required", "wrong_store_key_mode", "wrong_store_key"],
        },
        untouched: true, right: ["", "", ""], bad: ["bad_store_key"], memory: "bad_store", left: 0,
      });
    });
  });

  test("changeStoreKey: from then on the other key opens the database, whatever kind it is; the tab that is open goes on", async () => {
    await withStores(async ({ inPage }) => {
      const got = await inPage(async ({ own, items, events, modes }) => {
        const { OlmMachine } = kit.ks;
        const [words, bytes] = [{ passphrase: "correct horse battery stäple" }, { hostKey: new Uint8Array(32).fill(7) }];
        const opens = (key: Key): Promise<string> => kit.failure(async () => (await OlmMachine.open({ ...own, store: storeOf("changed", key) })).close()).then(({ code }) => code);
        const machine = await OlmMachine.open({ ...own, store: { name: "changed", encryption: words } });
        await machine.receiveRoomKeys(items.slice(0, 1)).stored;
        const wrong = [
          await kit.failure(() => machine.changeStoreKey({ passphrase: "guess" }, bytes)), await kit.failure(() => machine.changeStoreKey(bytes, words)),
          await kit.failure(() => machine.changeStoreKey(words, { hostKey: new Uint8Array(7) })), await kit.failure(() => machine.changeStoreKey(undefined as never, words)),
        ].map(({ code }) => code);
        await machine.changeStoreKey(words, bytes);
        await machine.receiveRoomKeys(items.slice(1)).stored;
        const then = [await opens(modes["passphrase"] as Key), await opens(modes["hostKey"] as Key)];
        await machine.changeStoreKey(bytes, words);
        await machine.close();
        const back = [await opens(modes["hostKey"] as Key), await opens(modes["passphrase"] as Key)];
        const again = await OlmMachine.open({ ...own, store: { name: "changed", encryption: words } });
        const bodies = await Promise.all(events.map(async (event) => kit.body(await again.decryptRoomEvent(event, "!room:test"))));
        await again.close();
        const plain = await OlmMachine.open({ ...own, store: { name: "plain" } });
        const none = await kit.failure(() => plain.changeStoreKey(words, bytes));
        await plain.close();
        return { wrong, then, back, bodies, none: none.code };
      }, { ...story, modes });
      assert.deepEqual(got, {
        wrong: ["wrong_store_key", "wrong_store_key_mode", "bad_store_key", "bad_store_key"], then: ["wrong_store_key_mode", ""], back: ["wrong_store_key_mode", ""],
        bodies: ["hello 0", "hello 1", "hello 2"], none: "store_not_encrypted",
      });
    });
  });
});

test("T54: a row that somebody has edited in IndexedDB is reported and set aside, and the others are as before", async () => {
  await withStores(async ({ inPage }) => {
    const got = await inPage(async ({ own, items, events }) => {
      const { OlmMachine } = kit.ks;
      const store = storeOf("edited", { hostKey: 7 });
      const one = await OlmMachine.open({ ...own, store });
      await one.receiveRoomKeys(items).stored;
      await one.close();
      // When one bit of a row's value is turned.
      const { decodeFrame } = (await import("/dist/frame.js" as string)) as typeof import("../src/frame.js");
      const done = <T>(request: IDBRequest<T>): Promise<T> => new Promise((resolve, reject) => {
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error ?? new Error("no reason"));
      });
      const database = await done(indexedDB.open("edited"));
      const copies = database.transaction("copies", "readwrite").objectStore("copies");
      const [leaf] = (await done(copies.getAll())) as [{ rows: Uint8Array[] }];
      const value = decodeFrame(leaf.rows[1] as Uint8Array<ArrayBuffer>)[2] as Uint8Array; // a view into the row
      value[value.length >> 1] = (value[value.length >> 1] as number) ^ 1;
      await done(copies.put(leaf));
      database.close();
      // Then it is told, once, and two of three messages decrypt.
      const two = await OlmMachine.open({ ...own, store });
      const reports: string[] = [];
      two.registerStoreReportCallback(({ code, table }) => reports.push(`${code} ${table}`));
      await two.loadRoom("!room:test");
      const ends = async (machine: typeof two): Promise<string[]> => (await Promise.all(events.map((event) => kit.failure(() => machine.decryptRoomEvent(event, "!room:test"))))).map(({ code }) => code).sort();
      const broken = await ends(two);
      // And received again, the key takes its place.
      await two.receiveRoomKeys(items).stored;
      const counts = await two.roomKeyCounts();
      await two.close();
      const three = await OlmMachine.open({ ...own, store });
      const healed = await ends(three);
      await three.close();
      return { rows: leaf.rows.length, first: reports[0], told: new Set(reports.filter((report) => report.startsWith("record"))).size, broken, total: counts.total, healed };
    }, story);
    assert.deepEqual(got, { rows: 3, first: "record_quarantined copies", told: 1, broken: ["", "", "no_key"], total: 3, healed: ["", "", ""] });
  });
});

test("two tabs make one encrypted database at once, and read what the other writes", async () => {
  const context = await chrome.browser.newContext();
  try {
    await withStores(async (one) => withStores(async (two) => {
      const open = (page: typeof one): Promise<string> => page.inPage(async (own) => {
        const failed = await kit.failure(async () => Object.assign(globalThis, { machine: await kit.ks.OlmMachine.open({ ...own, store: storeOf("tabs", { passphrase: "one for both" }) }) }));
        return failed.code;
      }, me.own);
      assert.deepEqual(await Promise.all([open(one), open(two)]), ["", ""]);
      type Machine = { machine: import("../src/index.js").OlmMachine };
      const receive = (page: typeof one, item: unknown): Promise<void> => page.inPage(async (item) => {
        await (globalThis as unknown as Machine).machine.receiveRoomKeys([item as never]).stored;
      }, item);
      await Promise.all([receive(one, story.items[0]), receive(two, story.items[1])]);
      for (const page of [one, two]) {
        const bodies = await page.inPage((events) => Promise.all(events.map(async (event) => kit.body(await (globalThis as unknown as Machine).machine.decryptRoomEvent(event, "!room:test")))), story.events.slice(0, 2));
        assert.deepEqual(bodies, ["hello 0", "hello 1"]);
      }
      await Promise.all([one, two].map((page) => page.inPage(() => (globalThis as unknown as Machine).machine.close(), undefined)));
    }, { context }), { context });
  } finally {
    await context.close();
  }
});

describe("WebCrypto and Go", () => {
  let vectors: Record<string, string>[];
  before(async () => {
    vectors = JSON.parse(await readFile(join(top, "core/store/sealed/testdata/vectors.json"), "utf8")) as typeof vectors;
  });

  test("open what the other has sealed, and nothing that was sealed elsewhere or with another key", async () => {
    await withKit(chrome, async ({ inPage }) => {
      const got = await inPage(async (vectors) => {
        const { storeKeyMethods } = (await import("/dist/storekey.js" as string)) as typeof import("../src/storekey.js");
        const { decodeFrame, encodeFrame } = (await import("/dist/frame.js" as string)) as typeof import("../src/frame.js");
        const bytes = (text = ""): Uint8Array<ArrayBuffer> => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
        const base64 = (data: Uint8Array): string => btoa(String.fromCharCode(...data));
        const ends: unknown[] = [];
        for (const { by, passphrase, hostKey, header, names, identity, plain, sealed } of vectors) {
          const methods = storeKeyMethods();
          const call = async (name: string, ...items: Uint8Array[]): Promise<Uint8Array> => (methods[name] as (request: Uint8Array<ArrayBuffer>, signal: AbortSignal) => Promise<Uint8Array>)(encodeFrame(items), new AbortController().signal);
          const secret = hostKey === undefined ? new TextEncoder().encode(passphrase) : bytes(hostKey);
          const locked = await kit.failure(() => call("sealRows", bytes(identity), bytes(plain)));
          const same = base64(await call("unlockStore", secret, bytes(header))) === names;
          const [opened, elsewhere, short] = decodeFrame(await call("openRows", bytes(identity), bytes(sealed), new Uint8Array([1]), bytes(sealed), bytes(identity), new Uint8Array(12)));
          const [once, twice] = decodeFrame(await call("sealRows", bytes(identity), bytes(plain), bytes(identity), bytes(plain)));
          const [again] = decodeFrame(await call("openRows", bytes(identity), once as Uint8Array));
          const wrong = (await call("unlockStore", new Uint8Array(32), bytes(header))).length;
          ends.push([by, locked.name, same, base64(opened as Uint8Array) === plain, elsewhere?.length, short?.length, base64(again as Uint8Array) === plain, base64(once as Uint8Array) !== base64(twice as Uint8Array), wrong]);
        }
        return ends;
      }, vectors);
      const good = (by: string): unknown[] => [by, "untyped", true, true, 0, 0, true, true, 0];
      assert.deepEqual(got, ["Go", "Go", "WebCrypto", "WebCrypto"].map(good));
    });
  });
});
