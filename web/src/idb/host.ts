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
import { Connection } from "./connection.js";
import { nameOf, storeError, StoreError, type Conflict } from "./errors.js";
import type { IdbEvent } from "./events.js";
import { requestPersistence } from "./persistence.js";
import { ANY_REVISION, isKey, missingItem, readKey, readOperation, readTable, revisionOf, rowItem, type Operation } from "./rows.js";
import { COUNTERS, INDEXES, SCHEMA, type Schema, type StoredRow } from "./schema.js";
import type { Transaction } from "./transaction.js";

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
      const keys: string[][] = [];
      while (reader.left > 0) {
        keys.push(readKey(reader));
      }
      const items: FrameItem[] = keys.map(missingItem);
      await this.#opened().transaction([table], { mode: "readonly", durability: "default" }, (transaction) => {
        const store = transaction.raw.objectStore(table);
        keys.forEach((key, at) => {
          transaction.follow(store.get(key), (row: unknown) => {
            if (row !== undefined) {
              items[at] = rowItem(table, row) ?? missingItem(key);
            }
          });
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
      const limit = Number(wanted > MAX_LIMIT ? MAX_LIMIT : wanted);
      const items: FrameItem[] = [];
      // An array sorts behind every string, and a longer array behind a shorter one it begins with: [...p, []] is the end of all
      // keys that begin with p.
      const first: IDBValidKey = column === undefined ? prefix : [prefix];
      const end: IDBValidKey = column === undefined ? [...prefix, []] : [[...prefix, []]];
      const after: IDBValidKey | undefined = afterKey.length === 0 ? undefined : column === undefined ? afterKey : [afterValue, afterKey];
      await this.#opened().transaction([table], { mode: "readonly", durability: "default" }, (transaction) => {
        const store = transaction.raw.objectStore(table);
        const source = column === undefined ? store : store.index(column);
        const compare = (a: IDBValidKey, b: IDBValidKey): number => this.#factory().cmp(a, b);
        const next = (behind: IDBValidKey | undefined): void => {
          const open = behind !== undefined && compare(behind, first) >= 0;
          const from = open ? behind : first;
          const missing = limit - items.length;
          if (missing <= 0 || compare(from, end) >= 0) {
            return;
          }
          transaction.follow(source.getAll(IDBKeyRange.bound(from, end, open, true), missing), (rows: unknown[]) => {
            let last: IDBValidKey | undefined;
            for (const row of rows) {
              const { k, [index]: value } = row as Record<string, IDBValidKey>;
              last = column === undefined ? k : ([value, k] as IDBValidKey);
              const item = rowItem(table, row);
              // A row whose index column is not one of ours has no position that a cursor could name.
              if (item !== undefined && (column === undefined || isKey(value))) {
                items.push(item);
              }
            }
            // Where rows were passed over the page is filled from behind them: a short page is the last.
            if (rows.length === missing) {
              next(last);
            }
          });
        };
        next(after);
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
      const operations: Operation[] = [];
      while (reader.left > 0) {
        operations.push(readOperation(reader.frame()));
      }
      const tables = new Set(operations.map((operation) => operation.table));
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
          batch.apply(operation);
        }
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

/** A batch inside its transaction: counts what is pending, so that the last answer either commits or gives up. */
class BatchRun {
  #pending = 1; // the issuing itself, until issued()

  constructor(
    private readonly transaction: Transaction,
    private readonly conflicts: Conflict[],
  ) {}

  apply({ table, key, expect, row }: Operation): void {
    const store = this.transaction.raw.objectStore(table);
    if (expect === 0n && row !== undefined) {
      this.#add(store, row, table);
      return;
    }
    if (expect === ANY_REVISION && row === undefined) {
      this.#request(store.delete(key));
      return;
    }
    this.#request(store.get(key), (old: unknown) => {
      const revision = revisionOf(old);
      if (expect !== ANY_REVISION && expect !== BigInt(revision)) {
        this.conflicts.push({ table, key, expect, got: BigInt(revision) });
      } else if (this.conflicts.length > 0) {
        // Nothing of this batch will stay; the other rows are only compared.
      } else if (row !== undefined) {
        row.r = revision + 1;
        this.#request(store.put(row));
      } else if (revision > 0) {
        this.#request(store.delete(key));
      }
    });
  }

  /** A row that must be absent: add() compares and writes at once. */
  #add(store: IDBObjectStore, row: StoredRow, table: string): void {
    const request = store.add(row);
    this.#request(request);
    const failed = request.onerror;
    request.onerror = (event) => {
      if (nameOf(request.error) !== "ConstraintError") {
        failed?.call(request, event);
        return;
      }
      // The error is an answer here. Unprevented it would abort the transaction before the other conflicts are known.
      event.preventDefault();
      event.stopPropagation();
      this.transaction.guard(() => {
        this.#request(store.get(row.k), (old: unknown) => {
          this.conflicts.push({ table, key: row.k, expect: 0n, got: BigInt(revisionOf(old)) });
        });
        this.#settle();
      });
    };
  }

  count(name: string, delta: bigint): void {
    const store = this.transaction.raw.objectStore(COUNTERS);
    this.#request(store.get(name), (row: unknown) => {
      const sum = BigInt.asIntN(64, counted(row) + delta);
      if (this.conflicts.length === 0) {
        if (sum === 0n) {
          this.#request(store.delete(name));
        } else {
          this.#request(store.put({ k: name, n: sum }));
        }
      }
    });
  }

  issued(): void {
    this.#settle();
  }

  #request<T>(request: IDBRequest<T>, next?: (result: T) => void): void {
    this.#pending++;
    this.transaction.follow(request, (result) => {
      next?.(result);
      this.#settle();
    });
  }

  #settle(): void {
    if (--this.#pending > 0) {
      return;
    }
    if (this.conflicts.length > 0) {
      this.transaction.fail(new StoreError("conflict", "Rows have changed since they were read.", undefined, this.conflicts));
    } else {
      this.transaction.raw.commit();
    }
  }
}

function counted(row: unknown): bigint {
  return typeof row === "object" && row !== null && "n" in row && typeof row.n === "bigint" ? row.n : 0n;
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
    return encodeFrame(["ok", ...(await method(new FrameReader(request)))]);
  } catch (error) {
    return failure(storeError(error));
  }
}

function failure(error: StoreError): Uint8Array<ArrayBuffer> {
  const conflicts = error.conflicts.map(({ table, key, expect, got }): FrameItem => [table, key, expect, got]);
  return encodeFrame(["error", error.code, error.message, ...conflicts]);
}
