/*
 * The database as Go's idbstore asks for it: six methods, a frame in and a frame out. Each method is one transaction. A method
 * never rejects: what goes wrong is answered as ["error", code, sentence, conflict...], all else as ["ok", ...].
 *
 *   open      name, generation or ""                        → generation, persistence, schema version, "created" or "existing"
 *   get       table, key...                                 → row...  (in the order of the keys; revision 0: no such row)
 *   page      table, index or "", prefix, after value, after key, limit → row...
 *   commit    "strict" or "relaxed", counters (name, delta, ...), operation... → nothing
 *   counters  nothing                                       → name, number, ...
 *   close     nothing                                       → nothing
 *
 * A key is a frame of strings, a number eight bytes, a row [key, revision, value, [index, value, ...]], an operation [table, key,
 * expected revision, "put" or "delete", value, [index, value, ...]], a conflict [table, key, expected, got].
 */

import { encodeFrame, FrameReader, type FrameItem } from "../frame.js";
import { BatchRun, counted } from "./batch.js";
import { Connection } from "./connection.js";
import { storeError, StoreError, type Conflict } from "./errors.js";
import type { IdbEvent } from "./events.js";
import { findLeaves } from "./leaves.js";
import { compareFrames, isKeyFrame, type KeyFrame } from "./packed.js";
import { pageOfIndex, pageOfLeaves, pageOfRows, type PageQuery } from "./pages.js";
import { requestPersistence } from "./persistence.js";
import { missingItem, readKey, readOperations, readTable, rowItem } from "./rows.js";
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
  /** How long an open may wait for the browser's answer on persistence, in milliseconds. */
  readonly persistTimeoutMs?: number;
  /** The storage manager to ask for persistence instead of the browser's. */
  readonly storage?: StorageManager;
  /** Hears what happens to the database without anybody asking. */
  readonly onEvent?: (event: IdbEvent) => void;
  /** The last chance to write before we close for another tab. */
  readonly beforeClose?: () => void | Promise<void>;
}

/** The methods by name. */
export type IdbMethod = "open" | "get" | "page" | "commit" | "counters" | "close";

/** The largest number of rows in one page, as in core/store. */
const MAX_LIMIT = 4096n;

export class IdbHost {
  readonly #options: IdbHostOptions;
  #connection: Connection | undefined;

  constructor(options: IdbHostOptions = {}) {
    this.#options = options;
  }

  /** Whether `method` is one of ours. */
  static has(method: string): method is IdbMethod {
    return ["open", "get", "page", "commit", "counters", "close"].includes(method);
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
    const { onEvent, beforeClose, schema, blockedTimeoutMs, flushTimeoutMs, persistTimeoutMs, storage } = this.#options;
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
    const persistence = requestPersistence(storage ?? browserStorage(), persistTimeoutMs ?? 500, (state) =>
      emit({ kind: "persistence", state }),
    );
    try {
      const opened = await connection.open(generation);
      return [opened.generation, await persistence, BigInt(opened.version), opened.created ? "created" : "existing"];
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
        if (table !== LEAVES) {
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

  page(request: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
    return answer(request, async (reader) => {
      const table = readTable(reader);
      const index = reader.text();
      const prefix = reader.texts();
      const afterValue = reader.texts();
      const afterKey = reader.texts();
      const wanted = reader.unsigned();
      reader.end();
      const column = INDEXES[table]?.find((known) => known === index);
      if (index !== "" && column === undefined) {
        throw new StoreError("bad_request", "There is no such index.");
      }
      const query: PageQuery = { index: column, prefix, afterValue, afterKey, limit: Number(wanted > MAX_LIMIT ? MAX_LIMIT : wanted) };
      const items: FrameItem[] = [];
      await this.#opened().transaction([table], { mode: "readonly", durability: "default" }, (transaction) => {
        const store = transaction.raw.objectStore(table);
        const follow = transaction.follow.bind(transaction);
        if (column !== undefined) {
          pageOfIndex(follow, store, { ...query, index: column }, items, (a, b) => this.#factory().cmp(a, b));
        } else if (table === LEAVES) {
          pageOfLeaves(follow, store, query, items);
        } else {
          pageOfRows(follow, store, query, items);
        }
      });
      return items;
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
      const operations = readOperations(reader);
      const tables = new Set(operations.map((operation) => operation.table));
      if (tables.has(LEAVES)) {
        tables.add("quarantine"); // where the ruin of a leaf goes
      }
      if (counters.length > 0) {
        tables.add(COUNTERS);
      }
      const connection = this.#opened();
      if (tables.size === 0) {
        return [];
      }
      const conflicts: Conflict[] = [];
      await connection.transaction([...tables], { mode: "readwrite", durability }, (transaction) => {
        const batch = new BatchRun(transaction, conflicts);
        for (const operation of operations) {
          if (operation.table !== LEAVES) {
            batch.apply(operation);
          }
        }
        batch.applyToLeaves(operations.filter((operation) => operation.table === LEAVES));
        for (const { name, delta } of counters) {
          batch.count(name, delta);
        }
        batch.issued();
      });
      return [];
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
