// Stories of the IndexedDB bridge, told inside a page. Each gets the name of a database that no other story uses. This file is imported
// by the page that tells them and by idb.test.ts, which lists them.

import { encodeFrame, FrameReader, type FrameItem } from "../src/frame.js";
import { IdbHost, SCHEMA, schemaVersion, type IdbEvent, type IdbHostOptions, type Schema } from "../src/idb/index.js";

export interface StoredRow {
  readonly key: readonly string[];
  readonly revision: bigint;
  readonly value: string;
  readonly index: Readonly<Record<string, readonly string[]>>;
}

/** One operation: table, key, expected revision, value (undefined deletes), index entries. */
export type Op = readonly [table: string, key: readonly string[], expect: bigint, value?: string | Uint8Array, index?: readonly FrameItem[]];

export class BridgeError extends Error {
  constructor(
    readonly code: string,
    readonly conflicts: number,
  ) {
    super(code);
  }
}

/** A host, spoken to in values instead of frames. */
export class Bridge {
  readonly events: IdbEvent[] = [];
  readonly host: IdbHost;

  constructor(options: IdbHostOptions = {}) {
    this.host = new IdbHost({ blockedTimeoutMs: 150, ...options, onEvent: (event) => this.events.push(event) });
  }

  async call(method: string, ...items: FrameItem[]): Promise<FrameReader> {
    const reader = new FrameReader(await this.host.call(method, encodeFrame(items)));
    if (reader.text() === "ok") return reader;
    const code = reader.text();
    reader.text();
    throw new BridgeError(code, reader.left);
  }

  async open(name: string, generation = ""): Promise<{ generation: string; version: bigint; created: string }> {
    const reader = await this.call("open", name, generation);
    return { generation: reader.text(), version: reader.unsigned(), created: reader.text() };
  }

  /** Resolves with the places of the operations that were found lone. */
  async commit(ops: readonly Op[], counters: readonly FrameItem[] = [], durability = "relaxed", lone: readonly FrameItem[] = []): Promise<number[]> {
    const reader = await this.call("commit", durability, counters, lone, ...ops.map(([table, key, expect, value, index]): FrameItem =>
      [table, key, expect, value === undefined ? "delete" : "put", value ?? "", index ?? []]));
    const places: number[] = [];
    while (reader.left > 0) places.push(Number(reader.unsigned()));
    return places;
  }

  async get(table: string, ...keys: string[][]): Promise<StoredRow[]> {
    return rows(await this.call("get", table, ...keys));
  }

  async page(table: string, { index = "", prefix = [], afterValue = [], after = [], limit = 100n }: {
    index?: string; prefix?: string[]; afterValue?: string[]; after?: string[]; limit?: bigint;
  } = {}): Promise<StoredRow[]> {
    return rows((await this.call("pages", [table, index, prefix, afterValue, after, limit])).frame());
  }

  async counters(): Promise<Record<string, bigint>> {
    const reader = await this.call("counters");
    const all: Record<string, bigint> = {};
    while (reader.left > 0) all[reader.text()] = reader.signed();
    return all;
  }

  async close(): Promise<void> {
    await this.call("close");
  }

  /** What happened, but for the browser's answer on persistence, which comes when it likes. */
  kinds(): string[] {
    return this.events.map((event) => event.kind).filter((kind) => kind !== "persistence");
  }
}

function rows(reader: FrameReader): StoredRow[] {
  const all: StoredRow[] = [];
  while (reader.left > 0) {
    const row = reader.frame();
    const key = row.texts();
    const revision = row.unsigned();
    const value = row.text();
    const entries = row.frame();
    const index: Record<string, readonly string[]> = {};
    while (entries.left > 0) index[entries.text()] = entries.texts();
    all.push({ key, revision, value, index });
  }
  return all;
}

export function same(got: unknown, want: unknown, what: string): void {
  const text = (value: unknown): string => JSON.stringify(value, (_, inner: unknown) => (typeof inner === "bigint" ? `${inner}n` : inner)) ?? "undefined";
  if (text(got) !== text(want)) throw new Error(`${what}: got ${text(got)}, want ${text(want)}`);
}

/** The code a call fails with, "" when it does not fail. */
export async function code(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return "";
  } catch (error) {
    if (error instanceof BridgeError) return error.code;
    throw error;
  }
}

export function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Opens the database behind the bridge's back. */
export async function raw<T>(name: string, use: (database: IDBDatabase) => T | Promise<T>): Promise<T> {
  const database = await done(indexedDB.open(name));
  try {
    return await use(database);
  } finally {
    database.close();
  }
}

export async function write(name: string, store: string, ...values: unknown[]): Promise<void> {
  await raw(name, async (database) => {
    const transaction = database.transaction(store, "readwrite");
    for (const value of values) transaction.objectStore(store).put(value);
    await new Promise((resolve) => (transaction.oncomplete = resolve));
  });
}

/** A row as it lies in a leaf. */
export function packed({ k, r = 1, v = "", ...columns }: { k: readonly string[]; r?: number; v?: string; waiting?: string[]; owner?: string[] }): Uint8Array {
  return encodeFrame([k, BigInt(r), v, Object.entries(columns).flat()]);
}

/** Edits one leaf behind the bridge's back. */
export async function editLeaf(name: string, key: IDBValidKey, edit: (leaf: { rows: unknown[] } & Record<string, unknown>) => void, table = "copies"): Promise<void> {
  const leaf = await raw(name, (database) => done(database.transaction(table).objectStore(table).get(key)) as Promise<{ rows: unknown[] } & Record<string, unknown>>);
  edit(leaf);
  await write(name, table, leaf);
}

/** All there is, for comparisons of before and after. */
export async function dump(name: string): Promise<string> {
  return raw(name, async (database) => {
    const all: Record<string, unknown> = {};
    for (const store of database.objectStoreNames) all[store] = await done(database.transaction(store).objectStore(store).getAll());
    return JSON.stringify(all, (_, value: unknown) => (typeof value === "bigint" ? `${value}n` : value));
  });
}

/** Puts another function in the place of a method while `body` runs. */
export async function replaced<K extends string, T>(object: { [name in K]: unknown }, method: K, make: (original: never) => unknown, body: () => Promise<T>): Promise<T> {
  const original = object[method];
  object[method] = make(original as never) as (typeof object)[K];
  try {
    return await body();
  } finally {
    object[method] = original;
  }
}

/** A factory that hands out the connections it opened. */
function watched(opened: IDBDatabase[]): IDBFactory {
  return {
    open: (name: string, version?: number) => {
      const request = version === undefined ? indexedDB.open(name) : indexedDB.open(name, version);
      request.addEventListener("success", () => opened.push(request.result));
      return request;
    },
    cmp: (a: unknown, b: unknown) => indexedDB.cmp(a, b),
    databases: () => indexedDB.databases(),
    deleteDatabase: (name: string) => indexedDB.deleteDatabase(name),
  };
}

const NOW = schemaVersion(SCHEMA);

function schema(...versions: number[]): Schema {
  return {
    compatibleUpTo: Math.floor((versions.at(-1) ?? NOW) / 100) * 100 + 99,
    upgrades: [...SCHEMA.upgrades, ...versions.map((version) => ({
      version, reason: "A test needs it.", run: (database: IDBDatabase) => void database.createObjectStore(`added in ${version}`),
    }))],
  };
}

const row = (name: string, expect = 0n, value = "v"): Op => ["users", [name], expect, value];

/** The stories by name. A story that does not hold throws. */
export const stories: Readonly<Record<string, (name: string) => Promise<void>>> = {
  "opening tells what it found": async (name) => {
    const first = await new Bridge().open(name);
    same([first.version, first.created, first.generation.length], [BigInt(NOW), "created", 32], "first");
    const second = await new Bridge().open(name, first.generation);
    same([second.version, second.created, second.generation], [BigInt(NOW), "existing", first.generation], "second");
  },

  "F03: a strict batch is strict, others are relaxed, reads are neither": async (name) => {
    const seen: unknown[] = [];
    await replaced(IDBDatabase.prototype, "transaction", (original: IDBDatabase["transaction"]) => function (this: IDBDatabase, stores: string[], mode: IDBTransactionMode, options: IDBTransactionOptions) {
      seen.push([stores, mode, options?.durability]);
      return original.call(this, stores, mode, options);
    }, async () => {
      const bridge = new Bridge();
      await bridge.open(name);
      seen.length = 0;
      await bridge.commit([row("@a"), ["meta", ["m"], 0n, "v"]], ["n", 1n], "strict");
      await bridge.commit([row("@b")]);
      await bridge.get("users", ["@a"]);
    });
    // One transaction for each call, over the stores it touches and no others.
    same(seen, [[["users", "meta", "counters"], "readwrite", "strict"], [["users"], "readwrite", "relaxed"], [["users"], "readonly", "default"]], "transactions");
  },

  "F34: nothing is awaited inside a transaction": async (name) => {
    const open = new Set<IDBTransaction>();
    const inside: string[] = [];
    const spied = <A extends unknown[], R>(what: string) => (original: (...args: A) => R) => (...args: A): R => {
      if (open.size > 0) inside.push(what);
      return original.apply(globalThis, args);
    };
    const bridge = new Bridge();
    await bridge.open(name);
    await replaced(IDBDatabase.prototype, "transaction", (original: IDBDatabase["transaction"]) => function (this: IDBDatabase, ...args: Parameters<IDBDatabase["transaction"]>) {
      const transaction = original.apply(this, args);
      open.add(transaction);
      transaction.addEventListener("complete", () => open.delete(transaction));
      transaction.addEventListener("abort", () => open.delete(transaction));
      return transaction;
    }, () => replaced(globalThis, "setTimeout", spied("setTimeout"), () => replaced(globalThis, "fetch", spied("fetch"), () => replaced(globalThis, "queueMicrotask", spied("queueMicrotask"), async () => {
      await bridge.commit(Array.from({ length: 100 }, (_, i) => row(`@${i}`)), ["n", 100n]);
      same(await code(bridge.commit([row("@0"), row("@new")])), "conflict", "conflict");
      same((await bridge.page("users", { limit: 1000n })).length, 100, "rows");
    }))));
    same(inside, [], "inside");
    while (open.size > 0) await new Promise((resolve) => setTimeout(resolve)); // what was read is there before its transaction has ended
  },

  "F05: a transaction whose commit fails for quota leaves nothing": async (name) => {
    const bridge = new Bridge();
    await bridge.open(name);
    await bridge.commit([row("@old")]);
    const before = await dump(name);
    // The browser tells of a full disk by the transaction's error, no request having failed.
    await replaced(IDBDatabase.prototype, "transaction", (original: IDBDatabase["transaction"]) => function (this: IDBDatabase, ...args: Parameters<IDBDatabase["transaction"]>) {
      const transaction = original.apply(this, args);
      Object.defineProperty(transaction, "error", { value: new DOMException("full", "QuotaExceededError") });
      queueMicrotask(() => transaction.abort());
      return transaction;
    }, async () => same(await code(bridge.commit([row("@a"), row("@old", 1n)])), "quota", "code"));
    same(await dump(name), before, "store");
    await bridge.commit([row("@a"), row("@old", 1n)]);
  },

  "F07: whichever put fails, by throwing or by an error event, nothing is left": async (name) => {
    const bridge = new Bridge();
    await bridge.open(name);
    await bridge.commit([row("@old"), row("@older")], ["n", 1n]);
    const before = await dump(name);
    const ops: Op[] = [row("@old", 1n), ["meta", ["a"], 0n, "v"], row("@older", 1n), ["meta", ["b"], 0n, "v"], ["withheld", ["c"], 0xffff_ffff_ffff_ffffn, "v"]];
    for (const [method, count] of [["put", 4], ["add", 2], ["get", 4]] as const) {
      for (let n = 0; n < count; n++) {
        for (const [kind, want] of [["DataError", "bad_request"], ["UnknownError", "unavailable"], ["QuotaExceededError", "quota"], ["error event", "aborted"]] as const) {
          let seen = 0;
          await replaced(IDBObjectStore.prototype, method, (original: (...args: unknown[]) => IDBRequest) => function (this: IDBObjectStore, ...args: unknown[]) {
            if (seen++ !== n) return original.apply(this, args);
            if (kind !== "error event") throw new DOMException("as told", kind);
            const request = original.apply(this, args);
            this.transaction.abort();
            return request;
          }, async () => same(await code(bridge.commit(ops, ["n", 1n, "m", 1n])), want, `${kind} at ${method} ${n}`));
          same(await dump(name), before, `store after ${kind} at ${method} ${n}`);
        }
      }
    }
    await bridge.commit(ops, ["n", 1n]);
  },

  "F08: an abort without any request's error is aborted, and nothing is left": async (name) => {
    const bridge = new Bridge();
    await bridge.open(name);
    const before = await dump(name);
    await replaced(IDBDatabase.prototype, "transaction", (original: IDBDatabase["transaction"]) => function (this: IDBDatabase, ...args: Parameters<IDBDatabase["transaction"]>) {
      const transaction = original.apply(this, args);
      queueMicrotask(() => transaction.abort());
      return transaction;
    }, async () => {
      same(await code(bridge.commit([row("@a")])), "aborted", "commit");
      same(await code(bridge.get("users", ["@a"])), "aborted", "get");
    });
    same(await dump(name), before, "store");
  },

  "F09: a connection the browser closed is opened again, once and unasked": async (name) => {
    const opened: IDBDatabase[] = [];
    const bridge = new Bridge({ indexedDB: watched(opened) });
    await bridge.open(name);
    await bridge.commit([row("@a")]);
    opened[0]?.close();
    // Several calls at once open it once.
    const all = await Promise.all([bridge.get("users", ["@a"]), bridge.page("users"), bridge.commit([row("@b")])]);
    same([all[0][0]?.revision, opened.length, bridge.kinds()], [1n, 2, ["terminated", "reopened"]], "after one close");
    // A browser that closes every connection at once is not fought for ever.
    const stubborn = new Bridge({ indexedDB: watched(opened) });
    await stubborn.open(name);
    opened.at(-1)?.close();
    await replaced(IDBDatabase.prototype, "transaction", (original: IDBDatabase["transaction"]) => function (this: IDBDatabase, ...args: Parameters<IDBDatabase["transaction"]>) {
      if (args[0] !== "system") this.close();
      return original.apply(this, args);
    }, async () => same(await code(stubborn.get("users", ["@a"])), "unavailable", "stubborn"));
    same((await stubborn.get("users", ["@a"]))[0]?.revision, 1n, "afterwards");
  },

  "F10: a database deleted by another tab is lost, and no other is made in its place": async (name) => {
    const bridge = new Bridge();
    const { generation } = await bridge.open(name);
    await bridge.commit([row("@a")]);
    await done(indexedDB.deleteDatabase(name));
    same(await code(bridge.get("users", ["@a"])), "store_lost", "get");
    same(await code(bridge.commit([row("@b")])), "store_lost", "commit");
    same(bridge.kinds(), ["blocking", "store_lost"], "events");
    same(await code(new Bridge().open(name, generation)), "store_lost", "open");
    same((await indexedDB.databases()).some((database) => database.name === name), false, "a database is there");
  },

  "F10: a database replaced by another of the same name is lost": async (name) => {
    const opened: IDBDatabase[] = [];
    const bridge = new Bridge({ indexedDB: watched(opened) });
    await bridge.open(name);
    opened[0]?.close(); // as the browser does when it evicts
    await done(indexedDB.deleteDatabase(name));
    const other = new Bridge();
    await other.open(name);
    same(await code(bridge.commit([row("@a")])), "store_lost", "commit");
    same([await code(bridge.get("users", ["@a"])), bridge.kinds()], ["store_lost", ["terminated", "store_lost"]], "afterwards");
    same((await other.get("users", ["@a"]))[0]?.revision, 0n, "the other database was written");
  },

  "F12: the wish for persistence is reported, whatever becomes of it": async (name) => {
    const asked: string[] = [];
    const storage = (persisted: boolean, persist: () => Promise<boolean>): StorageManager =>
      ({ persisted: () => Promise.resolve(persisted), persist: () => (asked.push("persist"), persist()) }) as unknown as StorageManager;
    const state = async (options: IdbHostOptions): Promise<unknown> => {
      const bridge = new Bridge(options);
      await bridge.open(name);
      await pause(10);
      return bridge.events;
    };
    const heard = (state: string): unknown => [{ kind: "persistence", state }];
    same(await state({ storage: storage(true, () => Promise.resolve(false)) }), heard("granted"), "granted before");
    same(asked, [], "asked although it was granted");
    same(await state({ storage: storage(false, () => Promise.resolve(true)) }), heard("granted"), "granted now");
    same(await state({ storage: storage(false, () => Promise.resolve(false)) }), heard("denied"), "denied");
    same(await state({ storage: storage(false, () => Promise.reject(new Error("no"))) }), heard("denied"), "rejected");
    same(await state({ storage: {} as StorageManager }), heard("unsupported"), "unsupported");
    // A worker can look but not ask.
    same(await state({ storage: { persisted: () => Promise.resolve(false) } as unknown as StorageManager }), heard("denied"), "worker");
    // Who takes all day is not waited for.
    same(await state({ storage: storage(false, () => new Promise(() => undefined)) }), [], "unanswered");
  },

  "F13: an old tab that does not let go is blocked, typed and in time; later it works": async (name) => {
    const old = await done(indexedDB.open(name, 1)); // it listens to nothing
    const bridge = new Bridge();
    const begun = performance.now();
    same(await code(bridge.open(name)), "blocked", "while it is held");
    same([bridge.kinds(), performance.now() - begun < 3000], [["blocked"], true], "events");
    old.close();
    await pause(50);
    const { version } = await bridge.open(name);
    same(version, BigInt(NOW), "version");
    // The attempt that was given up left no connection behind that would block others.
    await bridge.close();
    await done(indexedDB.deleteDatabase(name));
  },

  "F13, F21: our own tabs flush, close and say so when another needs to upgrade": async (name) => {
    const flushed: string[] = [];
    let old: Bridge;
    old = new Bridge({ beforeClose: async () => { await old.commit([row("@flushed")]); flushed.push("flushed"); } });
    await old.open(name);
    const next = new Bridge({ schema: schema(NOW + 1), blockedTimeoutMs: 3000 });
    same((await next.open(name)).version, BigInt(NOW + 1), "version");
    same([flushed, old.kinds()], [["flushed"], ["blocking"]], "events");
    same(await code(old.get("users", ["@flushed"])), "closed", "the old tab");
    same((await next.get("users", ["@flushed"]))[0]?.revision, 1n, "what was flushed");
    // A flush that hangs or throws does not keep the other tab waiting.
    const hanging = new Bridge({ flushTimeoutMs: 30, schema: schema(NOW + 1), beforeClose: () => new Promise(() => undefined) });
    await hanging.open(name);
    const throwing = new Bridge({ schema: schema(NOW + 1), beforeClose: () => Promise.reject(new Error("no")) });
    await throwing.open(name);
    await next.close();
    same((await new Bridge({ schema: schema(NOW + 1, NOW + 2), blockedTimeoutMs: 3000 }).open(name)).version, BigInt(NOW + 2), "version");
  },

  "F14: a schema that is too new is refused and untouched; one within our hundred is used": async (name) => {
    await new Bridge({ schema: schema(NOW + 1, NOW + 50) }).open(`${name} near`);
    const near = new Bridge();
    same((await near.open(`${name} near`)).version, BigInt(NOW + 50), "near");
    await near.commit([row("@a")]);
    same((await near.get("users", ["@a"]))[0]?.revision, 1n, "near");
    const far = new Bridge({ schema: schema(NOW + 100) });
    await far.open(name);
    await far.close();
    const before = await dump(name);
    same(await code(new Bridge().open(name)), "schema_too_new", "far");
    same(await dump(name), before, "store");
    await done(indexedDB.deleteDatabase(name)); // nothing holds it
  },

  "F15: an upgrade that fails at any step leaves the old version and its data": async (name) => {
    const bridge = new Bridge();
    await bridge.open(name);
    await bridge.commit([row("@a")], ["n", 1n]);
    await bridge.close();
    const before = await dump(name);
    for (let failing = 0; failing < 3; failing++) {
      const broken: Schema = { compatibleUpTo: SCHEMA.compatibleUpTo, upgrades: schema(NOW + 1, NOW + 2, NOW + 3).upgrades.map((upgrade, i) => (i !== failing + SCHEMA.upgrades.length ? upgrade : {
        ...upgrade,
        run: (database, transaction) => {
          transaction.objectStore("users").clear();
          upgrade.run(database, transaction);
          throw new Error("as told");
        },
      })) };
      same(await code(new Bridge({ schema: broken }).open(name)), "unavailable", `step ${failing}`);
      same([await dump(name), await raw(name, (database) => database.version)], [before, NOW], `after step ${failing}`);
    }
    const next = new Bridge({ schema: schema(NOW + 1, NOW + 2, NOW + 3) });
    same((await next.open(name)).version, BigInt(NOW + 3), "the next open");
    same([(await next.get("users", ["@a"]))[0]?.value, await next.counters()], ["v", { n: 1n }], "data");
    // The very first schema, too: a failure leaves no database.
    const first: Schema = { compatibleUpTo: 299, upgrades: [{ version: 200, reason: "It fails.", run: () => { throw new Error("as told"); } }] };
    same(await code(new Bridge({ schema: first }).open(`${name} new`)), "unavailable", "the first step");
    same((await new Bridge().open(`${name} new`)).created, "created", "after the first step");
  },

  "F16: the schema's numbers ascend and each step says why": async () => {
    let last = 0;
    for (const { version, reason } of SCHEMA.upgrades) {
      same([version > last, Number.isInteger(version), reason.length > 20], [true, true, true], `upgrade to ${version}`);
      last = version;
    }
    same(last <= SCHEMA.compatibleUpTo, true, "the ceiling is below the schema");
  },

  "F20: a writer that read before another wrote is told, in the same transaction": async (name) => {
    const [a, b] = [new Bridge(), new Bridge()];
    await a.open(name);
    await b.open(name);
    await a.commit([row("@a")]);
    const results = await Promise.all([code(a.commit([row("@a", 1n, "from a")])), code(b.commit([row("@a", 1n, "from b")]))]);
    same([...results].sort(), ["", "conflict"], "results");
    same((await a.get("users", ["@a"]))[0]?.revision, 2n, "revision");
  },

  "F35: damaged rows come out with an empty value or not at all, and hide nobody": async (name) => {
    const bridge = new Bridge();
    await bridge.open(name);
    await bridge.commit([["copies", ["!a"], 0n, "good"], ["copies", ["!z"], 0n, "good", ["waiting", ["@u", "k"]]]]);
    const hi = packed({ k: ["!l"], r: 2, v: "hi" });
    const twice = (...items: FrameItem[]): Uint8Array => encodeFrame(items);
    const damaged: unknown[] = [
      // The key can be read, and what follows it cannot.
      twice(["!b"], 1n, "", []).subarray(0, 22).slice(), twice(["!c"], 3n, "text", "entries"), twice(["!d"], "3", "hi", []), twice(["!e"], 0n, "hi", []),
      twice(["!f"], 2n ** 63n, "hi", []), twice(["!g"], 5n, "hi", ["waiting"]), twice(["!h"], 5n, "hi", ["waiting", [], "owner", new Uint8Array([255]), "of a later version", ["x"]]),
      // Neither can the key.
      twice([], 1n, "hi", []), twice(["!i", new Uint8Array([255])], 1n, "hi", []), twice(["!j", new Uint8Array([0xed, 0xa0, 0x80])], 1n, "hi", []),
      twice("!k", 1n, "hi", []), twice(["!k"], 1n, "hi"), new Uint8Array(), hi.slice(0, 10), new Uint8Array(40).fill(255), { k: ["!k"], r: 1, v: new Uint8Array() }, 5, null, "text", new ArrayBuffer(8),
      hi, packed({ k: ["!m"], r: 2, v: "hi", waiting: ["@u"] })];
    await editLeaf(name, [[]], (leaf) => leaf.rows.push(...damaged));
    // What is no leaf at all lies around it.
    await write(name, "copies", { k: 7 }, { k: "text", rows: [] }, { k: ["!i", 7], rows: [] }, { k: ["!j", ["x"]] }, { k: ["!k\ud800"] }, { k: [] }, { k: ["!b"] }, { k: ["!d"], rows: "rows" });
    const want = [
      ["!a", "1", "good"], ["!b", "1", ""], ["!c", "3", "text"], ["!d", "1", ""], ["!e", "1", "hi"], ["!f", "1", "hi"], ["!g", "5", "hi"], ["!h", "5", "hi"],
      ["!l", "2", "hi"], ["!m", "2", "hi"], ["!z", "1", "good"],
    ];
    for (const limit of [1n, 2n, 3n, 100n]) {
      const got: string[][] = [];
      for (let after: string[] = []; ; ) {
        const page = await bridge.page("copies", { after, limit });
        got.push(...page.map((found) => [found.key.join("/"), String(found.revision), found.value]));
        after = [...(page.at(-1)?.key ?? [])];
        if (BigInt(page.length) < limit) break;
      }
      same(got, want, `pages of ${limit}`);
    }
    // F36: columns of the wrong shape are no index entries; the rows that have good ones are found.
    same((await bridge.page("copies", { index: "waiting", prefix: ["@u"] })).map((found) => found.key), [["!z"]], "index");
    same((await bridge.get("copies", ["!h"], ["!m"])).map(({ index }) => index), [{}, {}], "columns");
    // A damaged row can be written over, with the revision it was given out with.
    await bridge.commit([["copies", ["!e"], 1n, "repaired"], ["copies", ["!g"], 5n, "repaired"]]);
    same((await bridge.get("copies", ["!e"], ["!g"])).map((found) => [found.revision, found.value]), [[2n, "repaired"], [6n, "repaired"]], "repaired");
    // Those of other tables are objects, and judged one by one like these.
    await bridge.commit([["meta", ["!a"], 0n, "good"], ["meta", ["!z"], 0n, "good"]]);
    await write(name, "meta",
      { k: ["!b"] }, { k: ["!c"], r: 3, v: "text" }, { k: ["!d"], r: 3, v: [1, 2, 3] }, { k: ["!e"], r: "3", v: null }, { k: ["!f"], r: -1, v: new Uint8Array([104, 105]) },
      { k: ["!g"], r: 2 ** 60, v: new ArrayBuffer(2) }, { k: ["!h"], r: 1.5, v: {} },
      { k: "text", r: 1, v: new Uint8Array() }, { k: 7 }, { k: ["!i", 7] }, { k: ["!j", ["x"]] }, { k: ["!k\ud800"] }, { k: [] });
    for (const limit of [1n, 2n, 100n]) {
      const got: string[][] = [];
      for (let after: string[] = []; ; ) {
        const page = await bridge.page("meta", { after, limit });
        got.push(...page.map((found) => [found.key.join("/"), String(found.revision), found.value]));
        after = [...(page.at(-1)?.key ?? [])];
        if (BigInt(page.length) < limit) break;
      }
      same(got, [["!a", "1", "good"], ["!b", "1", ""], ["!c", "3", ""], ["!d", "3", ""], ["!e", "1", ""], ["!f", "1", "hi"], ["!g", "1", ""], ["!h", "1", ""], ["!z", "1", "good"]], `meta by ${limit}`);
    }
    // Counters of the wrong shape count as nothing.
    await write(name, "counters", { k: "a", n: 5 }, { k: "b", n: 5n }, { k: "c" }, { k: ["d"], n: 1n });
    await bridge.commit([], ["a", 1n, "c", 2n]);
    same(await bridge.counters(), { a: 1n, b: 5n, c: 2n }, "counters");
  },

  "F36: a row whose index columns were taken away is still found by its key": async (name) => {
    const bridge = new Bridge();
    await bridge.open(name);
    await bridge.commit([["copies", ["!a"], 0n, "v", ["waiting", ["@u", "k"]]]]);
    await editLeaf(name, [[]], (leaf) => delete leaf["waiting"]);
    same(await bridge.page("copies", { index: "waiting" }), [], "index");
    same((await bridge.page("copies"))[0]?.value, "v", "walk");
  },

  "F39: close waits for what is under way; later calls answer closed": async (name) => {
    const bridge = new Bridge();
    await bridge.open(name);
    const under = code(bridge.commit(Array.from({ length: 500 }, (_, i) => row(`@${i}`))));
    await bridge.close();
    same([await under, await code(bridge.get("users", ["@1"])), await code(bridge.commit([row("@x")])), await code(bridge.close())], ["", "closed", "closed", ""], "codes");
    const again = new Bridge();
    await again.open(name);
    same((await again.page("users", { limit: 1000n })).length, 500, "rows");
  },

  "F40: no IndexedDB, or one that does not open, is unavailable": async (name) => {
    const factory = (open: () => IDBOpenDBRequest): IDBFactory => ({ open, cmp: indexedDB.cmp.bind(indexedDB) }) as unknown as IDBFactory;
    const failing = (kind: string): IDBFactory => factory(() => {
      const request = { error: new DOMException("as told", kind) } as unknown as IDBOpenDBRequest;
      setTimeout(() => request.onerror?.call(request, new Event("error")), 1);
      return request;
    });
    for (const [kind, want] of [["AbortError", "unavailable"], ["UnknownError", "unavailable"], ["InvalidStateError", "unavailable"], ["QuotaExceededError", "quota"]] as const) {
      same(await code(new Bridge({ indexedDB: failing(kind) }).open(name)), want, kind);
    }
    same(await code(new Bridge({ indexedDB: factory(() => { throw new DOMException("private", "SecurityError"); }) }).open(name)), "unavailable", "throws");
    const own = Object.getOwnPropertyDescriptor(globalThis, "indexedDB");
    Object.defineProperty(globalThis, "indexedDB", { configurable: true, get: () => { throw new Error("private"); } });
    try {
      same(await code(new Bridge().open(name)), "unavailable", "absent");
    } finally {
      if (own !== undefined) Object.defineProperty(globalThis, "indexedDB", own);
    }
    // An open that failed may be tried again.
    const bridge = new Bridge();
    await bridge.open(name);
  },

  "requests that make no sense are refused, before and behind the frame": async (name) => {
    const bridge = new Bridge();
    same(await code(bridge.get("users", ["@a"])), "bad_request", "before open");
    await bridge.open(name);
    same(await code(bridge.open(name)), "bad_request", "open twice");
    same(await code(bridge.call("destroy")), "bad_request", "unknown method");
    same(await code(bridge.get("elsewhere", ["a"])), "bad_request", "unknown table");
    same(await code(bridge.get("users", [])), "bad_request", "empty key");
    same(await code(bridge.page("users", { index: "owner" })), "bad_request", "unknown index");
    same(await code(bridge.commit([["counters", ["a"], 0n, "v"]])), "bad_request", "a table that is not one");
    same(await code(bridge.commit([["users", ["a"], 0n, "v", ["owner", ["x"]]]])), "bad_request", "an index of another table");
    same(await code(bridge.call("commit", "strict", [], [], ["users", ["a"], 0n, "burn", "", []])), "bad_request", "an unknown verb");
    same(await code(bridge.call("commit", "strict", [], [], ["users", ["a"], "0", "put", "", []])), "bad_request", "a number of one byte");
    same(await code(bridge.call("commit", "strict", [], [], ["users", ["a"], 0n, "put", "", [], "more"])), "bad_request", "an item too many");
    same(await code(bridge.call("get", new Uint8Array([255]))), "bad_request", "a table that is not UTF-8");
    same(await code(bridge.call("open")), "bad_request", "an item too few");
    const answer = new FrameReader(await bridge.host.call("counters", new Uint8Array([1, 0, 0])));
    same([answer.text(), answer.text()], ["error", "bad_request"], "no frame");
    same(await bridge.page("users"), [], "nothing was written");
  },
};
