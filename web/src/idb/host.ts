/*
 * The database as Go's idbstore asks for it: six methods, a frame in and a frame out. Each method is one transaction. A method
 * never rejects: what goes wrong is answered as ["error", code, sentence, conflict...], all else as ["ok", ...].
 *
 *   open      name, generation or ""                        → generation, schema version, "created" or "existing"
 *   get       table, key...                                 → row...  (in the order of the keys; revision 0: no such row)
 *   pages     [table, index or "", prefix, after value, after key, limit]... → [row...]...  (one page for each query, all at one moment)
 *   commit    "strict" or "relaxed", counters (name, delta, ...), lone (parts, empty table) or nothing, operation... → the places of the lone ones...
 *   counters  nothing                                       → name, number, ...
 *   close     nothing                                       → nothing
 *
 * A key is a frame of strings, a number eight bytes, a row [key, revision, value, [index, value, ...]], an operation [table, key,
 * expected revision, "put" or "delete", value, [index, value, ...]], a conflict [table, key, expected, got].
 */

import { encodeFrame, FrameReader, type FrameItem } from "../frame.js";
import { BatchRun, counted } from "./batch.js";
import { Connection, type Opened } from "./connection.js";
import { storeError, StoreError, type Conflict } from "./errors.js";
import type { IdbEvent, Persistence, Room } from "./events.js";
import { findLeaves } from "./leaves.js";
import { compareFrames, isKeyFrame, type KeyFrame } from "./packed.js";
import { pageOfIndex, pageOfLeaves, pageOfRows, type PageQuery } from "./pages.js";
import { requestPersistence } from "./persistence.js";
import { isLow, roomLeft, RoomWatch } from "./room.js";
import { missingItem, readKey, readOperations, readTable, rowItem, type Operation } from "./rows.js";
import { SCHEMA, type Schema } from "./schema.js";
import { COUNTERS, INDEXES, LEAVES } from "./tables.js";

export interface IdbHostOptions {
  /** The factory to use instead of the browser's. */
  readonly indexedDB?: IDBFactory;
  /** The schema to use instead of SCHEMA. */
  readonly schema?: Schema;
  /** How long an open may wait for other tabs before it answers `blocked`, in milliseconds. */
  readonly blockedTimeoutMs?: number;
  /** How long `beforeClose` may take while another tab waits for us, in milliseconds. */
  readonly flushTimeoutMs?: number;
  /** The storage manager to ask for persistence, and for how much room there is, instead of the browser's. */
  readonly storage?: StorageManager;
  /** Hears what happens to the database without anybody asking. */
  readonly onEvent?: (event: IdbEvent) => void;
  /** The last chance to write before we close for another tab. */
  readonly beforeClose?: () => void | Promise<void>;
}

/** The methods by name. */
export type IdbMethod = "open" | "get" | "pages" | "commit" | "counters" | "close";

/** How a database does, for people who ask. */
export interface DatabaseHealth extends Opened {
  /** What the browser said to the wish not to evict it; `asked` as long as it says nothing. */
  readonly persistence: Persistence | "asked";
  readonly room: Room | undefined;
  readonly low: boolean;
}

/** The largest number of rows in one page, as in core/store. */
const MAX_LIMIT = 4096n;

export class IdbHost {
  readonly #options: IdbHostOptions;
  #connection: Connection | undefined;
  #opening: Opened | undefined;
  #persistence: Persistence | "asked" = "asked";
  #room: RoomWatch | undefined;

  constructor(options: IdbHostOptions = {}) {
    this.#options = options;
  }

  /** Whether `method` is one of ours. */
  static has(method: string): method is IdbMethod {
    return ["open", "get", "pages", "commit", "counters", "close"].includes(method);
  }

  /** Calls a method by name. The request is read before this returns; the caller may reuse its buffer. */
  call(method: string, request: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
    if (!IdbHost.has(method)) {
      return Promise.resolve(failure(new StoreError("bad_request", "The database has no such method.")));
    }
    return this[method](request);
  }

  open(request: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
    return answer(request, (reader) => {
      const name = reader.text();
      const generation = reader.text();
      reader.end();
      return this.#open(name, generation);
    });
  }

  async #open(name: string, generation: string): Promise<FrameItem[]> {
    if (this.#connection !== undefined) {
      throw new StoreError("bad_request", "The database is open already.");
    }
    const { onEvent, beforeClose, schema, blockedTimeoutMs, flushTimeoutMs } = this.#options;
    const emit = (event: IdbEvent): void => {
      try {
        onEvent?.(event);
      } catch {
        // A listener that throws is its owner's matter; the database goes on.
      }
    };
    const connection = new Connection(name, {
      factory: this.#options.indexedDB ?? browserFactory(),
      schema: schema ?? SCHEMA,
      blockedTimeoutMs: blockedTimeoutMs ?? 5000,
      flushTimeoutMs: flushTimeoutMs ?? 2000,
      onEvent: emit,
      beforeClose: beforeClose ?? (() => undefined),
    });
    this.#connection = connection;
    try {
      const opened = (this.#opening = await connection.open(generation));
      void requestPersistence(this.#storage()).then((state) => emit({ kind: "persistence", state: (this.#persistence = state) }));
      this.#room = new RoomWatch(this.#storage(), emit);
      void this.#room.wrote();
      return [opened.generation, BigInt(opened.version), opened.created ? "created" : "existing"];
    } catch (error) {
      this.#connection = undefined; // an open may be tried again
      throw error;
    }
  }

  get(request: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
    return answer(request, async (reader) => {
      const table = readTable(reader);
      const keys: { readonly key: KeyFrame; readonly at: number }[] = [];
      while (reader.left > 0) {
        const key = reader.bytes();
        if (!isKeyFrame(key)) {
          throw new StoreError("bad_request", "A key is a frame of strings, at least one.");
        }
        keys.push({ key, at: keys.length });
      }
      const items: FrameItem[] = keys.map(({ key }) => missingItem(key));
      await this.#opened().transaction([table], { mode: "readonly", durability: "default" }, (transaction) => {
        const store = transaction.raw.objectStore(table);
        const follow = transaction.follow.bind(transaction);
        if (!LEAVES.includes(table)) {
          for (const { key, at } of keys) {
            follow(store.get(readKey(key)), (row: unknown) => {
              items[at] = rowItem(row) ?? missingItem(key);
            });
          }
          return;
        }
        keys.sort((a, b) => compareFrames(a.key, b.key));
        findLeaves(follow, store, keys.map(({ key }) => key), ({ leaf }, from, to) => {
          for (const { key, at } of keys.slice(from, to)) {
            const row = leaf.find(key);
            items[at] = row === undefined ? missingItem(key) : leaf.item(row);
          }
        });
      });
      return items;
    });
  }

  pages(request: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
    return answer(request, async (reader) => {
      const queries: PageQuery[] = [];
      while (reader.left > 0) {
        queries.push(readQuery(reader.frame()));
      }
      const pages = queries.map((): FrameItem[] => []);
      if (queries.length === 0) {
        return pages;
      }
      const tables = [...new Set(queries.map(({ table }) => table))];
      await this.#opened().transaction(tables, { mode: "readonly", durability: "default" }, (transaction) => {
        const follow = transaction.follow.bind(transaction);
        queries.forEach((query, at) => {
          const store = transaction.raw.objectStore(query.table);
          const items = pages[at] as FrameItem[];
          if (query.index !== undefined) {
            pageOfIndex(follow, store, { ...query, index: query.index }, items, (a, b) => this.#factory().cmp(a, b));
          } else if (LEAVES.includes(query.table)) {
            pageOfLeaves(follow, store, query, items);
          } else {
            pageOfRows(follow, store, query, items);
          }
        });
      });
      return pages;
    });
  }

  commit(request: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
    return answer(request, async (reader) => {
      const durability = reader.text() === "strict" ? "strict" : "relaxed";
      const deltas = reader.frame();
      const counters: { readonly name: string; readonly delta: bigint }[] = [];
      while (deltas.left > 0) {
        counters.push({ name: deltas.text(), delta: deltas.signed() });
      }
      const asked = readLone(reader.frame());
      const operations = readOperations(reader);
      const tables = new Set(operations.map((operation) => operation.table));
      if (LEAVES.some((table) => tables.has(table))) {
        tables.add("quarantine"); // where the ruin of a leaf goes
      }
      if (counters.length > 0) {
        tables.add(COUNTERS);
      }
      if (asked !== undefined) {
        tables.add(asked.empty);
      }
      const connection = this.#opened();
      if (operations.length === 0 && counters.length === 0) {
        return [];
      }
      const conflicts: Conflict[] = [];
      await this.#watched(connection.transaction([...tables], { mode: "readwrite", durability }, (transaction) => {
        const batch = new BatchRun(transaction, conflicts);
        for (const operation of operations) {
          if (!LEAVES.includes(operation.table)) {
            batch.apply(operation);
          }
        }
        if (asked !== undefined) {
          batch.count(asked.empty, (rows) => (asked.holds = rows === 0));
        }
        for (const table of LEAVES) {
          batch.applyToLeaves(table, operations.filter((operation) => operation.table === table), asked);
        }
        for (const { name, delta } of counters) {
          batch.add(name, delta);
        }
        batch.issued();
      }));
      return asked?.holds !== true ? [] : operations.flatMap((operation, at) => (asked.found.has(operation) ? [BigInt(at)] : []));
    });
  }

  counters(request: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
    return answer(request, async (reader) => {
      reader.end();
      const items: FrameItem[] = [];
      await this.#opened().transaction([COUNTERS], { mode: "readonly", durability: "default" }, (transaction) => {
        transaction.follow(transaction.raw.objectStore(COUNTERS).getAll(), (rows: unknown[]) => {
          for (const row of rows) {
            const name = typeof row === "object" && row !== null && "k" in row ? row.k : undefined;
            if (typeof name === "string") {
              items.push(name, counted(row));
            }
          }
        });
      });
      return items;
    });
  }

  close(request: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
    return answer(request, async (reader) => {
      reader.end();
      await this.#connection?.close();
      return [];
    });
  }

  /** How the database does; undefined before it was opened. Never rejects. */
  async health(): Promise<DatabaseHealth | undefined> {
    const opened = this.#opening;
    if (opened === undefined) {
      return undefined;
    }
    const room = await roomLeft(this.#storage());
    return { ...opened, persistence: this.#persistence, room, low: isLow(room) };
  }

  /** Follows a write: it says whether there is room. */
  async #watched(write: Promise<void>): Promise<void> {
    try {
      await write;
      void this.#room?.wrote();
    } catch (error) {
      if (storeError(error).code === "quota") {
        void this.#room?.full();
      }
      throw error;
    }
  }

  #storage(): StorageManager | undefined {
    return this.#options.storage ?? browserStorage();
  }

  #opened(): Connection {
    if (this.#connection === undefined) {
      throw new StoreError("bad_request", "The database is not open.");
    }
    return this.#connection;
  }

  #factory(): IDBFactory {
    return this.#options.indexedDB ?? (browserFactory() as IDBFactory);
  }
}

/** What is asked of new rows: see core/store's Lone. */
interface Lone {
  readonly parts: number;
  readonly empty: string;
  readonly found: Set<Operation>;
  holds: boolean;
}

function readLone(reader: FrameReader): Lone | undefined {
  if (reader.left === 0) {
    return undefined;
  }
  const parts = Number(reader.unsigned());
  const empty = readTable(reader);
  reader.end();
  return { parts, empty, found: new Set(), holds: false };
}

function readQuery(reader: FrameReader): PageQuery {
  const table = readTable(reader);
  const name = reader.text();
  const prefix = reader.texts();
  const afterValue = reader.texts();
  const afterKey = reader.texts();
  const wanted = reader.unsigned();
  reader.end();
  const index = INDEXES[table]?.find((known) => known === name);
  if (name !== "" && index === undefined) {
    throw new StoreError("bad_request", "There is no such index.");
  }
  return { table, index, prefix, afterValue, afterKey, limit: Number(wanted > MAX_LIMIT ? MAX_LIMIT : wanted) };
}

function browserFactory(): IDBFactory | undefined {
  try {
    return (globalThis as { indexedDB?: IDBFactory }).indexedDB;
  } catch {
    return undefined; // Some private modes throw at the mere mention.
  }
}

function browserStorage(): StorageManager | undefined {
  return (globalThis as { navigator?: { storage?: StorageManager } }).navigator?.storage;
}

async function answer(request: Uint8Array, method: (reader: FrameReader) => Promise<FrameItem[]>): Promise<Uint8Array<ArrayBuffer>> {
  try {
    // What is read are views, and they are looked at until the transaction ends. The buffer is the caller's again when call returns.
    return encodeFrame(["ok", ...(await method(new FrameReader(request.slice())))]);
  } catch (error) {
    return failure(storeError(error));
  }
}

function failure(error: StoreError): Uint8Array<ArrayBuffer> {
  const conflicts = error.conflicts.map(({ table, key, expect, got }): FrameItem => [table, key, expect, got]);
  return encodeFrame(["error", error.code, error.message, ...conflicts]);
}
