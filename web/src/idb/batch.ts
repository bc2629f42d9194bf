/*
 * A batch inside its transaction. Every row is compared with what the batch expects of it, and what may be written is written at
 * once: a batch that turns out to conflict is taken back by the transaction's abort. The batch counts the answers that it waits for, so
 * that the last of them either commits or gives up, and then knows every conflict. Nobody waits for the answer to a write: one that fails
 * fails the transaction, whether it is committing or not.
 */

import { nameOf, StoreError, type Conflict } from "./errors.js";
import { encodeFrame } from "../frame.js";
import { isLeafKey } from "./leaf.js";
import { findLeaves, writeLeaf, type Follow, type Found } from "./leaves.js";
import { compareFrames, groupOf, keyBeginsWith, revisionOfRow } from "./packed.js";
import { ANY_REVISION, readKey, revisionOf, type Operation } from "./rows.js";
import { COUNTERS, type StoredRow } from "./tables.js";
import type { Transaction } from "./transaction.js";

/** A batch inside its transaction. */
export class BatchRun {
  #pending = 1; // the issuing itself, until issued()

  constructor(
    private readonly transaction: Transaction,
    private readonly conflicts: Conflict[],
  ) {}

  apply({ table, key, expect, put }: Operation): void {
    const store = this.transaction.raw.objectStore(table);
    // The copy is needed: a view would be stored with all of the buffer it looks into, and the buffer is not ours to keep.
    const row: StoredRow | undefined = put === undefined ? undefined : { k: readKey(key), r: 1, v: put.value.slice() };
    if (expect === 0n && row !== undefined) {
      this.#add(store, row, table);
      return;
    }
    if (expect === ANY_REVISION && row === undefined) {
      this.#write(store.delete(readKey(key)));
      return;
    }
    this.#request(store.get(readKey(key)), (old: unknown) => {
      const revision = revisionOf(old);
      if (expect !== ANY_REVISION && expect !== BigInt(revision)) {
        this.conflicts.push({ table, key: readKey(key), expect, got: BigInt(revision) });
      } else if (this.conflicts.length > 0) {
        // Nothing of this batch will stay; the other rows are only compared.
      } else if (row !== undefined) {
        row.r = revision + 1;
        this.#write(store.put(row));
      } else if (revision > 0) {
        this.#write(store.delete(readKey(key)));
      }
    });
  }

  /** A row that must be absent: add() compares and writes at once. */
  #add(store: IDBObjectStore, row: StoredRow, table: string): void {
    const request = store.add(row);
    this.#request(request, () => undefined); // that it is there already is an answer
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

  /**
   * The operations on rows of a table in leaves: all leaves are read and compared with, and only then are those written that change. `lone` is filled with those of
   * new rows that have no other beside them which begins with the same so many parts, as far as their leaf and the key of the one before tell.
   */
  applyToLeaves(table: string, unordered: readonly Operation[], lone?: { readonly parts: number; readonly found: Set<Operation> }): void {
    if (unordered.length === 0) {
      return;
    }
    const operations = [...unordered].sort((a, b) => compareFrames(a.key, b.key));
    if (operations.some(({ key }, at) => at > 0 && compareFrames((operations[at - 1] as Operation).key, key) === 0)) {
      throw new StoreError("bad_request", "A row is named twice in one batch.");
    }
    const follow: Follow = (request, next) => (next === undefined ? this.#write(request) : this.#request(request, next));
    const store = this.transaction.raw.objectStore(table);
    const lies: Found[] = [];
    const compare = (found: Found, from: number, to: number): void => {
      lies.fill(found, from, to);
      for (let at = from; lone !== undefined && at < to; at++) {
        const [before, operation, after] = [operations[at - 1], operations[at] as Operation, operations[at + 1]];
        const group = groupOf(operation.key, lone.parts);
        const beside = [before, after].some((other) => other !== undefined && keyBeginsWith(other.key, group));
        if (beside || operation.expect !== 0n || operation.put === undefined) {
          continue;
        }
        const alone = found.leaf.alone(operation.key, group);
        if (alone === true) {
          lone.found.add(operation);
        } else if (alone === undefined) {
          follow(store.openKeyCursor(IDBKeyRange.upperBound(readKey(operation.key), true), "prev"), (cursor) => {
            if (cursor === null || (isLeafKey(cursor.key) && !keyBeginsWith(encodeFrame(cursor.key), group))) {
              lone.found.add(operation); // the rows of the leaf before lie not above its key, which does not belong to the group
            }
          });
        }
      }
      for (const { key, expect } of operations.slice(from, to)) {
        const got = BigInt(revisionOfRow(found.leaf.find(key)));
        if (expect !== ANY_REVISION && expect !== got) {
          this.conflicts.push({ table, key: readKey(key), expect, got });
        }
      }
    };
    const write = (): void => {
      const quarantine = this.transaction.raw.objectStore("quarantine");
      for (let from = 0, to = 0; this.conflicts.length === 0 && from < operations.length; from = to) {
        const found = lies[from] as Found;
        while (lies[to] === found) {
          to++;
        }
        if (found.leaf.apply(operations.slice(from, to))) {
          writeLeaf(follow, store, quarantine, found);
        }
      }
    };
    lies.length = operations.length;
    findLeaves(follow, store, operations.map(({ key }) => key), compare, write);
  }

  /** Counts the rows of a table. */
  count(table: string, counted: (rows: number) => void): void {
    this.#request(this.transaction.raw.objectStore(table).count(), counted);
  }

  /** Adds to a counter. */
  add(name: string, delta: bigint): void {
    const store = this.transaction.raw.objectStore(COUNTERS);
    this.#request(store.get(name), (row: unknown) => {
      const sum = BigInt.asIntN(64, counted(row) + delta);
      if (this.conflicts.length === 0) {
        if (sum === 0n) {
          this.#write(store.delete(name));
        } else {
          this.#write(store.put({ k: name, n: sum }));
        }
      }
    });
  }

  issued(): void {
    this.#settle();
  }

  #request<T>(request: IDBRequest<T>, next: (result: T) => void): void {
    this.#pending++;
    this.transaction.follow(request, (result) => {
      next(result);
      this.#settle();
    });
  }

  #write(request: IDBRequest): void {
    this.transaction.follow(request);
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

/** The number in a row of the counters. */
export function counted(row: unknown): bigint {
  return typeof row === "object" && row !== null && "n" in row && typeof row.n === "bigint" ? row.n : 0n;
}
