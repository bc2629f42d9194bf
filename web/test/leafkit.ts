// Stories of the leaves that the copies lie in, told inside a page like those of idbkit.ts. What a store must do is told there and by the
// suite of core/store; here it is held against a model in memory while leaves split, empty and are damaged, and each leaf is looked at.

import { encodeFrame, FrameReader, type FrameItem } from "../src/frame.js";
import { SCHEMA, schemaVersion, type Schema } from "../src/idb/index.js";
import { Bridge, BridgeError, code, done, dump, editLeaf, packed, raw, replaced, same, write, type Op, type StoredRow } from "./idbkit.js";

const ANY = 0xffff_ffff_ffff_ffffn;
const MAX_ROWS = 24;
/** How many rows leaves get when more are put at once than one can hold. */
const GOOD_ROWS = 16;
const MAX_BYTES = 64 * 1024;

/** Numbers that look random, the same in every run. */
function dice(seed: number): (sides: number) => number {
  let state = seed;
  return (sides) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * sides);
  };
}

function compare(a: readonly string[], b: readonly string[]): number {
  return indexedDB.cmp([...a], [...b]);
}

type Index = Readonly<Record<string, readonly string[]>>;
type ModelRow = StoredRow;

/** What the store should hold. */
class Model {
  readonly rows = new Map<string, ModelRow>();

  get(key: readonly string[]): ModelRow {
    return this.rows.get(JSON.stringify(key)) ?? { key, revision: 0n, value: "", index: {} };
  }

  apply(ops: readonly Op[]): void {
    for (const [, key, , value, entries] of ops) {
      const revision = this.get(key).revision + 1n;
      if (value === undefined) this.rows.delete(JSON.stringify(key));
      else this.rows.set(JSON.stringify(key), { key, revision, value: String(value), index: indexOf(entries) });
    }
  }

  conflicts(ops: readonly Op[]): number {
    return ops.filter(([, key, expect]) => expect !== ANY && expect !== this.get(key).revision).length;
  }

  page({ index = "", prefix = [], afterValue = [], after = [], limit = 100n }: Query): ModelRow[] {
    const place = ({ key, index: entries }: ModelRow): [readonly string[], readonly string[]] => [index === "" ? [] : (entries[index] ?? []), key];
    const begins = (key: readonly string[]): boolean => prefix.every((part, at) => key[at] === part);
    const order = (a: [readonly string[], readonly string[]], b: [readonly string[], readonly string[]]): number => compare(a[0], b[0]) || compare(a[1], b[1]);
    return [...this.rows.values()]
      .filter((row) => (index === "" ? begins(row.key) : row.index[index] !== undefined && begins(row.index[index])))
      .filter((row) => after.length === 0 || order(place(row), [index === "" ? [] : afterValue, after]) > 0)
      .sort((a, b) => order(place(a), place(b)))
      .slice(0, Number(limit));
  }
}

interface Query {
  index?: string;
  prefix?: string[];
  afterValue?: string[];
  after?: string[];
  limit?: bigint;
}

function indexOf(entries: readonly FrameItem[] = []): Index {
  const all: Record<string, readonly string[]> = {};
  for (let at = 0; at < entries.length; at += 2) all[entries[at] as string] = entries[at + 1] as readonly string[];
  // In the order in which rows come out.
  return Object.fromEntries(["waiting", "owner", "due", "backup"].filter((name) => all[name] !== undefined).map((name) => [name, all[name] as readonly string[]]));
}

interface RawLeaf {
  readonly k: string[] | [[]];
  readonly rows: readonly unknown[];
  readonly [index: string]: unknown;
}

async function leavesOf(name: string, table = "copies"): Promise<RawLeaf[]> {
  return raw(name, (database) => done(database.transaction(table).objectStore(table).getAll() as IDBRequest<RawLeaf[]>));
}

/** A row of a leaf taken apart. */
function unpacked(row: unknown): { k: string[]; r: bigint; index: Index } {
  const reader = new FrameReader(row as Uint8Array);
  const [k, r] = [reader.texts(), reader.unsigned()];
  reader.bytes();
  const index: Record<string, readonly string[]> = {};
  for (const entries = reader.frame(); entries.left > 0; ) index[entries.text()] = entries.texts();
  reader.end();
  return { k, r, index };
}

/** Every leaf is as leaves are. */
async function sound(name: string, what: string, table = "copies"): Promise<RawLeaf[]> {
  const leaves = await leavesOf(name, table);
  let before: IDBValidKey = [];
  for (const leaf of leaves) {
    same([leaf.rows.length > 0, leaf.rows.length <= MAX_ROWS], [true, true], `${what}: ${leaf.rows.length} rows in a leaf`);
    const rows = leaf.rows.map(unpacked);
    for (const { k } of rows) {
      same([indexedDB.cmp(before, k) < 0, indexedDB.cmp(k, leaf.k) <= 0], [true, true], `${what}: ${JSON.stringify(k)} in ${JSON.stringify(leaf.k)} after ${JSON.stringify(before)}`);
      before = k;
    }
    before = leaf.k;
    for (const index of ["waiting", "owner", "due", "backup"]) {
      const values = new Set(rows.flatMap((row) => (row.index[index] === undefined ? [] : [JSON.stringify([row.index[index], leaf.k])])));
      same(((leaf[index] ?? []) as unknown[]).map((entry) => JSON.stringify(entry)).sort(), [...values].sort(), `${what}: column ${index}`);
    }
  }
  return leaves;
}

async function all(bridge: Bridge, query: Query = {}, table = "copies"): Promise<StoredRow[]> {
  const rows: StoredRow[] = [];
  for (let next = query; ; ) {
    const page = await bridge.page(table, next);
    rows.push(...page);
    const last = page.at(-1);
    if (BigInt(page.length) < (query.limit ?? 100n) || last === undefined) return rows;
    next = { ...query, after: [...last.key], afterValue: [...(last.index[query.index ?? ""] ?? [])] };
  }
}

const name4 = (n: number): string => String(n).padStart(4, "0");
const put = (key: string[], expect = 0n, value = "v", index: FrameItem[] = []): Op => ["copies", key, expect, value, index];
/** A row of replay memory, of so many bytes. */
const block = (key: string[], size = 1, expect = 0n): Op => ["replays", key, expect, "x".repeat(size)];

/** A database as version 100 made it, by other code than ours. */
export async function makeVersion100(name: string, rows: readonly unknown[], options: IDBTransactionOptions = {}): Promise<void> {
  const request = indexedDB.open(name, 100);
  request.onupgradeneeded = () => {
    const database = request.result;
    for (const table of ["copies", "users", "tombstones", "replays", "withheld", "meta", "quarantine", "counters", "system"]) {
      const store = database.createObjectStore(table, { keyPath: "k" });
      for (const index of table === "copies" ? ["waiting", "owner", "due"] : []) store.createIndex(index, [index, "k"]);
    }
  };
  (await done(request)).close();
  await write(name, "system", { k: "generation", v: "0123456789abcdef0123456789abcdef" });
  await write(name, "counters", { k: "copies", n: 1000n });
  await write(name, "users", { k: ["@u"], r: 3, v: new Uint8Array([117]) });
  await raw(name, async (database) => {
    const transaction = database.transaction("copies", "readwrite", options);
    for (const row of rows) transaction.objectStore("copies").put(row);
    await new Promise((resolve) => (transaction.oncomplete = resolve));
  });
}

export function rowsOf100(count: number): { k: string[]; r: number; v: Uint8Array; waiting?: string[]; owner?: string[]; due?: string[] }[] {
  return Array.from({ length: count }, (_, i) => ({
    k: [`!room${i % 7}`, `session${name4(i)}`, "curve", "direct"], r: 1 + (i % 5), v: new TextEncoder().encode(`value ${i}`),
    ...(i % 3 === 0 ? { waiting: [`@user${i % 4}`, "curve"], due: [name4(i % 100), `@user${i % 4}`] } : i % 3 === 1 ? { owner: [`@user${i % 4}`, "master"] } : {}),
  }));
}

/** The stories by name. A story that does not hold throws. */
export const stories: Readonly<Record<string, (name: string) => Promise<void>>> = {
  "batches of every size are split into leaves that are evenly filled": async (name) => {
    for (let count = 1; count <= 100; count++) {
      const bridge = new Bridge();
      await bridge.open(`${name} ${count}`);
      await bridge.commit(Array.from({ length: count }, (_, i) => put([name4(i)])));
      const leaves = await sound(`${name} ${count}`, `${count} rows`);
      const sizes = leaves.map(({ rows }) => rows.length);
      same([sizes.reduce((sum, size) => sum + size, 0), Math.max(...sizes) - Math.min(...sizes) <= 1], [count, true], `${count} rows: ${sizes.join()}`);
      same(leaves.at(-1)?.k, [[]], "the last leaf");
      same((await all(bridge, { limit: 7n })).map(({ key }) => key[0]), Array.from({ length: count }, (_, i) => name4(i)), `${count} rows`);
      await bridge.close();
      if (count !== 100) continue;
      // One more at every boundary and beside it.
      const again = new Bridge();
      await again.open(`${name} ${count}`);
      const names = Array.from({ length: count }, (_, i) => name4(i));
      for (let place = -1; place < count; place++) {
        const added = place < 0 ? "" : `${name4(place)}+`;
        names.push(added);
        await again.commit([put([added])]);
        await again.commit([put([added, "under"])]);
        same((await again.get("copies", [added], [added, "under"])).map(({ revision }) => revision), [1n, 1n], added);
      }
      await sound(`${name} ${count}`, "after single rows");
      same((await all(again)).filter(({ key }) => key.length === 1).map(({ key }) => key[0]), names.sort(), "all");
    }
  },

  "rows one by one, ascending and descending, are all found": async (name) => {
    for (const [way, of] of [["up", (i: number) => i], ["down", (i: number) => 999 - i]] as const) {
      const bridge = new Bridge();
      await bridge.open(`${name} ${way}`);
      for (let i = 0; i < 200; i++) await bridge.commit([put([name4(of(i))])]);
      await sound(`${name} ${way}`, way);
      same((await all(bridge, { limit: 31n })).map(({ key }) => key[0]), Array.from({ length: 200 }, (_, i) => name4(of(i))).sort(), way);
    }
  },

  "whatever is written in whatever order, rows, pages and indexes are those of a plain list": async (name) => {
    const parts = ["", "a", "b", "\uffff", "😀", "\uff61", "m", "n", "o", "p", "__proto__", "\u0000"];
    const values = [["@a", "k1"], ["@a", "k2"], ["@b", "k1"], ["@b"], ["@", "😀"], ["@a", "k1", ""], ["@c", "\uff61"]];
    const indexes = ["waiting", "owner", "due", "backup"];
    let told = 0;
    for (let seed = 1; seed <= 4; seed++) {
      const roll = dice(seed);
      const pick = <T>(list: readonly T[]): T => list[roll(list.length)] as T;
      const model = new Model();
      const bridge = new Bridge();
      await bridge.open(`${name} ${seed}`);
      const key = (): string[] => Array.from({ length: 1 + roll(4) }, () => pick(parts));
      const known = (): string[] => [...(pick([...model.rows.values()])?.key ?? key())];
      for (let round = 0; round < 60; round++) {
        // Growing at first, then shrinking.
        const deletes = round < 30 ? 10 : 65;
        const ops = new Map<string, Op>();
        for (let n = pick([1, 1, 3, 20, 150]); n > 0; n--) {
          const at = roll(100) < (round < 30 ? 25 : 75) ? known() : key();
          const { revision } = model.get(at);
          const expect = roll(3) === 0 ? ANY : roll(400) === 0 ? revision + 1n : revision;
          const index = indexes.flatMap((index) => (roll(3) === 0 ? [index, pick(values)] : []));
          ops.set(JSON.stringify(at), roll(100) < deletes ? ["copies", at, expect] : put(at, expect, `${seed}.${round}.${n}`, index));
        }
        const batch = [...ops.values()];
        const wrong = model.conflicts(batch);
        let got = 0;
        try {
          const width = 1 + roll(2);
          const lone = await bridge.commit(batch, [], "relaxed", [BigInt(width), "tombstones"]);
          const fresh = batch.map(([, key, , value]) => value !== undefined && model.get(key).revision === 0n);
          model.apply(batch);
          for (const at of lone) {
            const [, key, expect] = batch[at] as Op;
            same([expect, fresh[at], model.page({ prefix: key.slice(0, width), limit: 2n }).length], [0n, true, 1], `seed ${seed}, round ${round}: a lone row`);
          }
          told += lone.length;
        } catch (error) {
          if (!(error instanceof BridgeError) || error.code !== "conflict") throw error;
          got = error.conflicts;
        }
        const what = `seed ${seed}, round ${round}`;
        same(got, wrong, `${what}: conflicts`);
        const asked = Array.from({ length: 40 }, () => (roll(2) === 0 ? known() : key()));
        same(await bridge.get("copies", ...asked), asked.map((key) => model.get(key)), `${what}: get`);
        for (let query = 0; query < 12; query++) {
          const index = pick(["", ...indexes]);
          const prefix = (index === "" ? known() : [...pick(values)]).slice(0, roll(3));
          const cursor = roll(2) === 0 ? { after: roll(2) === 0 ? known() : key(), afterValue: [...(index === "" ? [] : pick([...values, []]))] } : {};
          const page: Query = { index, prefix, ...cursor, limit: BigInt(pick([1, 2, 5, 30, 500])) };
          same(await bridge.page("copies", page), model.page(page), `${what}: ${JSON.stringify({ ...page, limit: Number(page.limit) })}`);
        }
        if (round % 10 === 9) {
          await sound(`${name} ${seed}`, what);
          for (const index of ["", ...indexes]) {
            const limit = BigInt(pick([1, 3, 17, 64]));
            same(await all(bridge, { index, limit }), model.page({ index, limit: 10_000n }), `${what}: walk of ${index} by ${limit}`);
          }
        }
      }
      await bridge.commit([...model.rows.values()].map(({ key, revision }): Op => ["copies", key, revision]));
      same([await leavesOf(`${name} ${seed}`), await all(bridge)], [[], []], "emptied");
    }
    same(told > 100, true, `${told} lone rows were told of`);
  },

  "an empty leaf is gone, the last one too, and what comes later has a place": async (name) => {
    const bridge = new Bridge();
    await bridge.open(name);
    const keys = Array.from({ length: 3 * GOOD_ROWS }, (_, i) => [name4(i)]);
    await bridge.commit(keys.map((key) => put(key)));
    same((await sound(name, "before")).map(({ k }) => k), [["0015"], ["0031"], [[]]], "leaves");
    await bridge.commit(keys.slice(32).map((key): Op => ["copies", key, 1n]));
    same((await leavesOf(name)).map(({ k }) => k), [["0015"], ["0031"]], "without the last");
    same((await bridge.get("copies", ["0040"], ["0031"])).map(({ revision }) => revision), [0n, 1n], "beyond the last");
    await bridge.commit([put(["0040"]), put(["\uffff"])]);
    await bridge.commit(keys.slice(0, 16).map((key): Op => ["copies", key, ANY]));
    same((await sound(name, "after")).map(({ k }) => k), [["0031"], [[]]], "leaves");
    await bridge.commit([put(["0001"]), ["copies", ["0002"], 0n], ["copies", ["zzz"], ANY]]);
    same((await all(bridge)).map(({ key }) => key[0]), ["0001", ...keys.slice(16, 32).map(([key]) => key), "0040", "\uffff"], "rows");
  },

  "a row is named once in a batch": async (name) => {
    const bridge = new Bridge();
    await bridge.open(name);
    same(await code(bridge.commit([put(["a"]), put(["b"]), put(["a"])])), "bad_request", "twice");
    same(await all(bridge), [], "nothing was written");
  },

  "the buffer of a request is the caller's again at once": async (name) => {
    const bridge = new Bridge();
    await bridge.open(name);
    const call = async (method: string, ...items: FrameItem[]): Promise<FrameReader> => {
      const request = encodeFrame(items);
      const answer = bridge.host.call(method, request);
      request.fill(255);
      const reader = new FrameReader(await answer);
      same(reader.text(), "ok", method);
      return reader;
    };
    await call("commit", "relaxed", [], [], ["copies", ["a"], 0n, "put", "value", ["waiting", ["@u"]]], ["meta", ["m"], 0n, "put", "value", []]);
    same((await call("get", "copies", ["a"])).left, 1, "get");
    same((await call("pages", ["copies", "waiting", ["@u"], [], [], 5n])).frame().left, 1, "page");
    same([(await bridge.get("copies", ["a"]))[0]?.value, (await bridge.get("meta", ["m"]))[0]?.value], ["value", "value"], "rows");
  },

  "F07: whichever request on leaves fails, nothing is left": async (name) => {
    const bridge = new Bridge();
    await bridge.open(name);
    await bridge.commit(Array.from({ length: 80 }, (_, i) => put([name4(i * 2)])));
    const before = await dump(name);
    // One leaf changes, one is split, one goes, and rows of other tables are written.
    const ops: Op[] = [block(["!r", "s", "0"]), put(["0000"], 1n), ...Array.from({ length: 13 }, (_, i) => put([name4(i * 2 + 33)])), ...Array.from({ length: 16 }, (_, i): Op => ["copies", [name4(128 + i * 2)], 1n]), ["users", ["@u"], 0n, "v"], ["meta", ["m"], ANY, "v"]];
    for (const [method, count] of [["put", 5], ["getAll", 4], ["delete", 1], ["add", 1]] as const) {
      for (let n = 0; n < count; n++) {
        for (const [kind, want] of [["DataError", "bad_request"], ["UnknownError", "unavailable"], ["QuotaExceededError", "quota"], ["error event", "aborted"]] as const) {
          let seen = 0;
          await replaced(IDBObjectStore.prototype, method, (original: (...args: unknown[]) => IDBRequest) => function (this: IDBObjectStore, ...args: unknown[]) {
            if (seen++ !== n) return original.apply(this, args);
            if (kind !== "error event") throw new DOMException("as told", kind);
            const request = original.apply(this, args);
            this.transaction.abort();
            return request;
          }, async () => same(await code(bridge.commit(ops)), want, `${kind} at ${method} ${n}`));
          same(await dump(name), before, `store after ${kind} at ${method} ${n}`);
        }
      }
    }
    await bridge.commit(ops);
    await sound(name, "afterwards");
  },

  "rows of replay memory lie in leaves, which are split by their bytes": async (name) => {
    const bridge = new Bridge();
    await bridge.open(name);
    const keys = Array.from({ length: 20 }, (_, i) => ["!room", name4(i), "00000000"]);
    await bridge.commit(keys.map((key) => block(key, 40)));
    same((await sound(name, "short", "replays")).map(({ rows }) => rows.length), [20], "short rows");
    // Each grows, a few at a time, as sessions do that are read one after the other.
    for (let at = 0; at < keys.length; at += 3) {
      await bridge.commit(keys.slice(at, at + 3).map((key) => block(key, 6000, 1n)));
      for (const leaf of await sound(name, `${at} grown`, "replays")) {
        same((leaf.rows as Uint8Array[]).reduce((sum, row) => sum + row.length, 0) <= MAX_BYTES, true, `${at} grown: a leaf of ${leaf.rows.length} rows`);
      }
    }
    same((await all(bridge, { limit: 3n }, "replays")).map(({ key, revision, value }) => [key, revision, value.length]), keys.map((key) => [key, 2n, 6000]), "all");
    same((await bridge.get("replays", keys[7] as string[], ["!room", "none"])).map(({ revision, value }) => [revision, value.length]), [[2n, 6000], [0n, 0]], "get");
    // One that is longer than any leaf, alone and among others.
    await bridge.commit([block(["!room", "0007", "long"], MAX_BYTES * 2)]);
    await bridge.commit([block(["!room", "0007", "more"], 40)]);
    await sound(name, "a long one", "replays");
    same((await all(bridge, { prefix: ["!room", "0007"] }, "replays")).map(({ value }) => value.length), [6000, MAX_BYTES * 2, 40], "of one session");
  },

  "a conflict in one table of leaves leaves the other as it was": async (name) => {
    const bridge = new Bridge();
    await bridge.open(name);
    await bridge.commit([put(["a"]), block(["!r", "s", "0"])]);
    const before = await dump(name);
    same(await code(bridge.commit([put(["a"], 1n, "w"), block(["!r", "s", "0"], 2, 7n)])), "conflict", "replays");
    same(await code(bridge.commit([put(["a"], 7n, "w"), block(["!r", "s", "0"], 2, 1n)])), "conflict", "copies");
    same(await dump(name), before, "afterwards");
  },

  "F20: two tabs that write different rows of one leaf at once both succeed, and the same row once": async (name) => {
    const [a, b] = [new Bridge(), new Bridge()];
    await a.open(name);
    await b.open(name);
    await a.commit(Array.from({ length: 30 }, (_, i) => put([name4(i)])));
    for (let round = 0; round < 20; round++) {
      const [x, y] = [[name4(round)], [name4(29 - (round % 9))]];
      const results = await Promise.all([
        code(a.commit([put(x, 1n, `a${round}`), put(["new", `a${round}`])])),
        code(b.commit([put(y, ANY, `b${round}`), put(["new", `b${round}`])])),
      ]);
      same(results, ["", ""], `round ${round}`);
    }
    same(await Promise.all([code(a.commit([put(["0000"], 2n, "a")])), code(b.commit([put(["0000"], 2n, "b")]))]).then((codes) => codes.sort()), ["", "conflict"], "the same row");
    same((await all(b)).length, 70, "rows");
    await sound(name, "afterwards");
  },

  "F35: a leaf whose rows are gone hides nobody, and is set aside before something takes its place": async (name) => {
    for (const rows of [undefined, "text", 5, null, {}, new Uint8Array(3)]) {
      const here = `${name} ${String(rows)}`;
      const bridge = new Bridge();
      await bridge.open(here);
      await bridge.commit(Array.from({ length: 3 * GOOD_ROWS }, (_, i) => put([name4(i)], 0n, "v", ["waiting", ["@u"]])));
      for (const [ruined, key] of [[["0015"], "0011"], [[[]], "0040"]] as [IDBValidKey, string][]) {
        await editLeaf(here, ruined, (leaf) => Object.assign(leaf, { rows, precious: "precious" }));
        const left = key === "0011" ? 32 : 17;
        for (const limit of [1n, 5n, 100n]) {
          same([(await all(bridge, { limit })).length, (await all(bridge, { index: "waiting", limit })).length], [left, left], `pages of ${limit}`);
        }
        same((await bridge.get("copies", [key]))[0]?.revision, 0n, "a row of the ruin");
        same(await code(bridge.commit([put([key], 1n)])), "conflict", "as if it were there");
        same((await bridge.page("quarantine")).length, key === "0011" ? 0 : 1, "nothing was written, nothing set aside");
        await bridge.commit([put([key], 0n, "v", ["waiting", ["@u"]])]);
        await bridge.commit([put([key], 1n, "v", ["waiting", ["@u"]])]);
        const aside = (await raw(here, (database) => done(database.transaction("quarantine").objectStore("quarantine").getAll()))) as { k: string[]; found: { k: unknown; precious: string } }[];
        same(aside.filter(({ found }) => JSON.stringify(found.k) === JSON.stringify(ruined)).map(({ k, found }) => [k.every((part) => typeof part === "string"), found.precious]), [[true, "precious"]], "set aside once");
        same((await all(bridge)).length, left + 1, "rows afterwards");
      }
      await sound(here, "afterwards");
    }
  },

  "F35: rows that cannot be named stay in their leaf whatever is written": async (name) => {
    const bridge = new Bridge();
    await bridge.open(name);
    await bridge.commit([put(["b"]), put(["d"])]);
    const strays = [{ k: 7, v: "seven" }, "text", null, new Uint8Array([1]), new Uint8Array(50).fill(7), packed({ k: [] })];
    await editLeaf(name, [[]], (leaf) => leaf.rows.unshift(...strays));
    await bridge.commit(Array.from({ length: 90 }, (_, i) => put(["c", name4(i)])));
    await bridge.commit((await all(bridge)).map(({ key, revision }): Op => ["copies", key, revision]));
    same([(await all(bridge)).length, (await leavesOf(name)).flatMap(({ rows }) => rows)], [0, strays], "strays");
    await bridge.commit([put(["a"])]);
    same((await all(bridge)).map(({ key }) => key), [["a"]], "rows");
  },

  "F35: rows in disorder, doubled or in a leaf that is not theirs are never lost and never served out of order": async (name) => {
    const bridge = new Bridge();
    await bridge.open(name);
    await bridge.commit(Array.from({ length: 2 * GOOD_ROWS }, (_, i) => put([name4(i)], 0n, "v", ["owner", ["@u"]])));
    await editLeaf(name, ["0015"], (leaf) => {
      leaf.rows.reverse();
      leaf.rows.push(packed({ k: ["0003"], r: 9, owner: ["@u"] }), packed({ k: ["0030"], r: 5, owner: ["@u"] }));
    });
    await editLeaf(name, [[]], (leaf) => leaf.rows.push(packed({ k: ["0001"], r: 7, owner: ["@u"] })));
    for (const limit of [1n, 2n, 7n, 100n]) {
      const rows = await all(bridge, { limit });
      same(rows.map(({ key }) => key[0]), Array.from({ length: 2 * GOOD_ROWS }, (_, i) => name4(i)), `pages of ${limit}`);
      same(rows.every(({ revision }) => revision === 1n), true, "the rows of the leaves they belong to");
      const owned = (await all(bridge, { index: "owner", prefix: ["@u"], limit })).map(({ key }) => key[0] ?? "");
      same(owned, [...new Set(owned)].sort(), `index pages of ${limit}`);
      same(owned.length, 2 * GOOD_ROWS, `index pages of ${limit}`);
    }
    // Splitting a leaf that reaches into the one before does not write over it.
    await bridge.commit(Array.from({ length: 40 }, (_, i) => put(["0020", name4(i)])));
    await bridge.commit(Array.from({ length: 40 }, (_, i) => put(["0010", name4(i)])));
    same((await all(bridge)).length, 112, "rows");
    const kept = (await leavesOf(name)).flatMap(({ rows }) => rows.map(unpacked)).filter(({ r }) => r > 1n);
    same(kept.map(({ k, r }) => `${k[0]} ${r}`).sort(), ["0001 7", "0003 9", "0030 5"], "what was out of place");
  },

  "F36: a row looks indexed only when its leaf's column would find it; any write makes the columns anew": async (name) => {
    const wrong: [string, unknown][] = [
      ["gone", undefined], ["text", "@u"], ["of another leaf", [[["@u"], ["elsewhere"]]]], ["of another value", [[["@v"], [[]]]]],
      ["no pairs", [["@u"], 7, [["@u"]]]], ["no keys", [{}, [["@u"], {}], [[7], [[]]]]],
    ];
    for (const [what, column] of wrong) {
      const here = `${name} ${what}`;
      const bridge = new Bridge();
      await bridge.open(here);
      await bridge.commit([put(["a"], 0n, "v", ["waiting", ["@u"], "due", ["1"]]), put(["b"], 0n, "v", ["waiting", ["@u"]])]);
      await editLeaf(here, [[]], (leaf) => (column === undefined ? delete leaf["waiting"] : (leaf["waiting"] = column)));
      for (const limit of [1n, 100n]) same(await all(bridge, { index: "waiting", limit }), [], `${what}: index`);
      same((await all(bridge)).map(({ index }) => index), [{ due: ["1"] }, {}], `${what}: rows`);
      same((await all(bridge, { index: "due" })).map(({ index }) => index), [{ due: ["1"] }], `${what}: the other index`);
      await bridge.commit([put(["a"], 1n, "v", ["waiting", ["@u"]])]);
      same((await all(bridge, { index: "waiting" })).map(({ key, index }) => [key[0], index]), [["a", { waiting: ["@u"] }], ["b", { waiting: ["@u"] }]], `${what}: written again`);
    }
    // Foreign entries before and between the good ones move nobody.
    const bridge = new Bridge();
    await bridge.open(name);
    await bridge.commit(Array.from({ length: 3 * GOOD_ROWS }, (_, i) => put([name4(i)], 0n, "v", ["waiting", [`@${i % 3}`]])));
    await editLeaf(name, ["0015"], (leaf) => {
      leaf["waiting"] = [[["@0"], "x"], [["@1"], [[]]], [["@1"], ["0031"]], [["@2"], ["0031"], 1], ["@3"], {}, [["@0"], {}], ...(leaf["waiting"] as unknown[]), ...(leaf["waiting"] as unknown[])];
    });
    await write(name, "copies", { k: 5, rows: [], waiting: [[["@1"], ["0015"]], [["@2"], ["0031"]]] }, { k: ["0020"], waiting: [[["@1"], ["0031"]]] });
    for (const limit of [1n, 2n, 5n, 15n, 100n]) {
      const rows = await all(bridge, { index: "waiting", limit });
      same(rows.map(({ key }) => key[0]), [0, 1, 2].flatMap((value) => Array.from({ length: GOOD_ROWS }, (_, i) => name4(i * 3 + value))), `pages of ${limit}`);
    }
  },

  "a later version's columns and entries stay in the leaf": async (name) => {
    const bridge = new Bridge();
    await bridge.open(name);
    await bridge.commit([put(["a"])]);
    const later = packed({ k: ["b"], r: 4, v: "v", ...{ later: ["entry"] } });
    await editLeaf(name, [[]], (leaf) => Object.assign(leaf, { later: [1], rows: [...leaf.rows, later] }));
    same((await bridge.get("copies", ["b"])).map(({ revision, value, index }) => [revision, value, index]), [[4n, "v", {}]], "the row");
    await bridge.commit([put(["c"])]);
    const [leaf] = await leavesOf(name);
    same([leaf?.["later"], leaf?.rows[1]], [[1], later], "column and row");
  },

  "F16: the rows of version 100 are packed, and nothing else is touched": async (name) => {
    const rows = rowsOf100(1000);
    const damaged = [{ k: 7, v: "seven" }, { k: "text" }, { k: ["!room1", 7] }, { k: ["!room2", "x\ud800"], v: "surrogate" }];
    const bad = { k: ["!room3", "bad"], r: "x", v: "text", waiting: "@u" };
    await makeVersion100(name, [...rows, ...damaged, bad]);
    const bridge = new Bridge({ blockedTimeoutMs: 5000 });
    const opened = await bridge.open(name, "0123456789abcdef0123456789abcdef");
    same([opened.version, opened.created], [BigInt(schemaVersion(SCHEMA)), "existing"], "opened");
    const model = new Model();
    for (const { k, r, v, waiting, owner, due } of rows) {
      model.rows.set(JSON.stringify(k), { key: k, revision: BigInt(r), value: new TextDecoder().decode(v), index: { ...(waiting && { waiting }), ...(owner && { owner }), ...(due && { due }) } });
    }
    model.rows.set("bad", { key: ["!room3", "bad"], revision: 1n, value: "", index: {} });
    for (const index of ["", "waiting", "owner", "due", "backup"]) same(await all(bridge, { index }), model.page({ index, limit: 5000n }), `walk of ${index}`);
    const leaves = await leavesOf(name);
    same([leaves.length > 60, leaves.length < 65, leaves.every(({ rows }) => rows.length <= MAX_ROWS)], [true, true, true], `${leaves.length} leaves`);
    const aside = (await raw(name, (database) => done(database.transaction("quarantine").objectStore("quarantine").getAll()))) as { k: string[]; found: { k: unknown } }[];
    const keys = (rows: readonly { k: unknown }[]): string[] => rows.map(({ k }) => JSON.stringify(k)).sort();
    same(keys(aside.map(({ found }) => found)), keys([...damaged, bad]), "what could not be packed as it was");
    same([await bridge.counters(), (await bridge.get("users", ["@u"]))[0]?.revision], [{ copies: 1000n }, 3n], "other tables");
    same(await raw(name, (database) => [...database.objectStoreNames]), ["channels", "copies", "counters", "meta", "outbound", "quarantine", "replays", "system", "tombstones", "users", "withheld"], "stores");
    await bridge.commit([put(["!room0", "session0000", "curve", "direct"], 1n), put(["!room0", "new"])]);
    same((await all(bridge)).length, 1002, "afterwards");
    // Code of the hundred before refuses what it cannot read.
    const before: Schema = { compatibleUpTo: 199, upgrades: SCHEMA.upgrades.slice(0, 1) };
    same(await code(new Bridge({ schema: before, blockedTimeoutMs: 5000 }).open(name)), "schema_too_new", "older code");
    // Tables of every small size, an empty one among them.
    for (const count of [0, 1, 15, 16, 17, 32, 33, 319, 320, 321]) {
      const here = `${name} ${count}`;
      await makeVersion100(here, rowsOf100(count));
      const small = new Bridge({ blockedTimeoutMs: 5000 });
      await small.open(here);
      same((await all(small)).length, count, `${count} rows`);
      await sound(here, `${count} rows`);
    }
  },

  "F16: the replay memory of version 202 is packed, long rows fewer to a leaf, and nothing else is touched": async (name) => {
    const before: Schema = { compatibleUpTo: 299, upgrades: SCHEMA.upgrades.filter(({ version }) => version < 300) };
    const old = new Bridge({ schema: before });
    const { generation } = await old.open(name);
    await old.commit([put(["a"]), ["users", ["@u"], 0n, "v"]]);
    await old.close();
    const sizes = Array.from({ length: 50 }, (_, i) => (i % 10 === 0 ? 6000 : i === 25 ? MAX_BYTES * 2 : 60));
    const rows = sizes.map((size, i) => ({ k: ["!room", name4(i), "00000000"], r: 1 + (i % 3), v: new Uint8Array(size).fill(120) }));
    await write(name, "replays", ...rows, { k: 7, v: "seven" }, { k: ["!room", "bad"], r: 2, v: "text" });
    const bridge = new Bridge({ blockedTimeoutMs: 5000 });
    await bridge.open(name, generation);
    const found = await all(bridge, { limit: 7n }, "replays");
    same(found.map(({ key, revision, value }) => [key, revision, value.length]), [...rows.map(({ k, r, v }) => [k, BigInt(r), v.length]), [["!room", "bad"], 2n, 0]], "rows");
    for (const { rows } of await sound(name, "packed", "replays")) {
      same(rows.length === 1 || (rows as Uint8Array[]).reduce((sum, row) => sum + row.length, 0) <= MAX_BYTES, true, `a leaf of ${rows.length} rows`);
    }
    same([(await all(bridge)).length, (await bridge.get("users", ["@u"]))[0]?.value], [1, "v"], "other tables");
    const aside = (await raw(name, (database) => done(database.transaction("quarantine").objectStore("quarantine").getAll()))) as { k: string[] }[];
    same(aside.map(({ k }) => k.slice(0, 2)), [["replays", "row"], ["replays", "row"]], "set aside");
    same(await code(new Bridge({ schema: before, blockedTimeoutMs: 5000 }).open(name)), "schema_too_new", "older code");
  },

  "F15, F17: packing that fails anywhere leaves version 100 and all its rows": async (name) => {
    await makeVersion100(name, rowsOf100(1000));
    const before = await dump(name);
    const calls = { put: 0, getAll: 0, createIndex: 0 };
    for (const [method, places] of [["put", [0, 1, 30, 62]], ["getAll", [0, 1, 3]], ["createIndex", [0, 3]]] as const) {
      for (const place of places) {
        for (const kind of ["throws", "aborts"]) {
          let seen = 0;
          const got = await replaced(IDBObjectStore.prototype, method, (original: (...args: unknown[]) => unknown) => function (this: IDBObjectStore, ...args: unknown[]) {
            if (seen++ === place) {
              calls[method]++;
              if (kind === "throws") throw new DOMException("as told", "UnknownError");
              this.transaction.abort();
            }
            return original.apply(this, args);
          }, () => code(new Bridge({ blockedTimeoutMs: 5000 }).open(name)));
          same(got, "unavailable", `${method} ${place} ${kind}`);
          same([await raw(name, (database) => database.version), await dump(name)], [100, before], `after ${method} ${place} ${kind}`);
        }
      }
    }
    same(calls, { put: 8, getAll: 6, createIndex: 4 }, "all were tried");
    const bridge = new Bridge({ blockedTimeoutMs: 5000 });
    await bridge.open(name);
    same((await all(bridge)).length, 1000, "at last");
  },
};
