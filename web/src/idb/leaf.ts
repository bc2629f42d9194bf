/*
 * A leaf: neighbouring rows of a table in one object, because IndexedDB asks the same price for every object whatever its size.
 * The leaves of a table share out its keys like the leaves of a B+ tree. A leaf's key is its upper bound: it holds the rows whose
 * keys lie above the key of the leaf before it and not above its own, so the leaf of a row is the first one at or behind the row's
 * key. The last leaf is named by LAST, which lies behind all keys. Rows keep what they had alone: key, revision, value, index
 * entries; only the object they lie in is shared. For each index the leaf has a column of its own, one entry [value, leaf's key] for
 * every value its rows have. A row that cannot be named, or lies where no look-up finds it, is a stray: nobody sees it, and it stays
 * in its leaf whatever is written.
 */

import type { FrameItem } from "../frame.js";
import { compareKeys, field, isKey, revisionOf, rowItem, type Operation } from "./rows.js";
import { INDEXES, LEAVES, type IndexName } from "./tables.js";

/** The key of a leaf: that of a row, or LAST. */
export type LeafKey = string[] | [[]];

/** The key of the last leaf: an array lies behind every string. */
export const LAST: LeafKey = [[]];

/** A leaf with more rows is split. Larger leaves make single rows dear to write, smaller ones make many rows dear. */
export const MAX_ROWS = 32;

/** The rows of a leaf that was just split or packed: room for more on both sides. */
export const GOOD_ROWS = 24;

/** A leaf as it lies in its object store, but for the columns of the indexes. */
export interface StoredLeaf {
  readonly k: LeafKey;
  readonly rows: readonly unknown[];
}

const indexes: readonly IndexName[] = INDEXES[LEAVES] ?? [];

/** Whether a value from the database can be the key of a leaf. */
export function isLeafKey(value: unknown): value is LeafKey {
  return isKey(value) || (Array.isArray(value) && value.length === 1 && Array.isArray(value[0]) && value[0].length === 0);
}

/** Whether a leaf is the last one. */
export function isLast(key: LeafKey): key is [[]] {
  return typeof key[0] !== "string";
}

/** Orders the key of a row and that of a leaf. */
export function compareToLeaf(key: readonly string[], leaf: LeafKey): number {
  return isLast(leaf) ? -1 : compareKeys(key, leaf);
}

/** A leaf's key as a name that no other has. */
export function leafName(key: LeafKey): string {
  return JSON.stringify(key);
}

/** The value of an index entry `[value, leaf's key]`, undefined when it is not one of this leaf. */
export function entryValue(entry: unknown, leaf: LeafKey): string[] | undefined {
  if (!Array.isArray(entry) || entry.length !== 2 || !isKey(entry[0]) || !isLeafKey(entry[1])) {
    return undefined;
  }
  const own = isLast(entry[1]) ? isLast(leaf) : compareToLeaf(entry[1], leaf) === 0;
  return own ? entry[0] : undefined;
}

/** The object of a leaf: rows in their order, then strays, and the columns that the rows ask for. */
export function leafObject(key: LeafKey, rows: readonly unknown[], strays: readonly unknown[] = []): StoredLeaf {
  const object: Record<string, unknown> = { k: key, rows: strays.length === 0 ? rows : [...rows, ...strays] };
  for (const index of indexes) {
    const values = new Map<string, unknown[]>();
    let last: string[] | undefined;
    for (const row of rows) {
      const value = field(row, index);
      if (isKey(value) && (last === undefined || compareKeys(value, last) !== 0)) {
        last = value;
        values.set(JSON.stringify(value), [value, key]);
      }
    }
    if (values.size > 0) {
      object[index] = [...values.values()];
    }
  }
  return object as unknown as StoredLeaf;
}

/** A row that can be named. What else is in it may be anything. */
export interface LeafRow {
  readonly key: string[];
  readonly row: unknown;
}

export class Leaf {
  #rows: LeafRow[] = [];
  #strays: unknown[] = [];
  #columns = new Map<IndexName, Set<string>>();
  readonly #found: object | undefined;

  constructor(
    readonly key: LeafKey,
    found?: object,
  ) {
    this.#found = found;
    const rows = field(found, "rows");
    let sorted = true;
    for (const row of Array.isArray(rows) ? (rows as unknown[]) : []) {
      const rowKey = field(row, "k");
      if (!isKey(rowKey) || compareToLeaf(rowKey, key) > 0) {
        this.#strays.push(row);
        continue;
      }
      const last = this.#rows.at(-1);
      sorted &&= last === undefined || compareKeys(last.key, rowKey) < 0;
      this.#rows.push({ key: rowKey, row });
    }
    if (!sorted) {
      this.#rows.sort((a, b) => compareKeys(a.key, b.key));
      this.#rows = this.#rows.filter((row, at, all) => {
        const before = all[at - 1];
        const double = before !== undefined && compareKeys(before.key, row.key) === 0;
        if (double) {
          this.#strays.push(row.row);
        }
        return !double;
      });
    }
  }

  /** Reads an object of the store. Undefined when it is no leaf: it has no key that a leaf can have, or no rows. */
  static of(found: unknown): Leaf | undefined {
    const key = field(found, "k");
    return isLeafKey(key) && Array.isArray(field(found, "rows")) ? new Leaf(key, found as object) : undefined;
  }

  /** The rows in the order of their keys. */
  get rows(): readonly LeafRow[] {
    return this.#rows;
  }

  get empty(): boolean {
    return this.#rows.length === 0 && this.#strays.length === 0;
  }

  get full(): boolean {
    return this.#rows.length > MAX_ROWS;
  }

  /** The row of a key, undefined when there is none. */
  find(key: readonly string[]): unknown {
    let low = 0;
    for (let high = this.#rows.length; low < high; ) {
      const middle = (low + high) >>> 1;
      if (compareKeys(this.#rows[middle]?.key ?? [], key) < 0) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    const row = this.#rows[low];
    return row !== undefined && compareKeys(row.key, key) === 0 ? row.row : undefined;
  }

  /**
   * A row as a frame item. An index entry counts when the leaf's column has it as well: a row that its index would not find must
   * not look like one that it does.
   */
  item(row: unknown): FrameItem | undefined {
    return rowItem(row, indexes, (index, value) => this.#column(index).has(JSON.stringify(value)));
  }

  #column(index: IndexName): Set<string> {
    let column = this.#columns.get(index);
    if (column === undefined) {
      column = new Set();
      const entries = field(this.#found, index);
      for (const entry of Array.isArray(entries) ? (entries as unknown[]) : []) {
        const value = entryValue(entry, this.key);
        if (value !== undefined) {
          column.add(JSON.stringify(value));
        }
      }
      this.#columns.set(index, column);
    }
    return column;
  }

  /** Applies operations on keys of this leaf, in ascending order. Says whether anything is to be written. */
  apply(operations: readonly Operation[]): boolean {
    const merged: LeafRow[] = [];
    let changed = false;
    let at = 0;
    for (const { key, row } of operations) {
      let old = this.#rows[at];
      for (; old !== undefined && compareKeys(old.key, key) < 0; old = this.#rows[++at]) {
        merged.push(old);
      }
      const there = old !== undefined && compareKeys(old.key, key) === 0;
      if (there) {
        at++;
      }
      if (row !== undefined) {
        row.r = (there ? revisionOf(old?.row) : 0) + 1;
        merged.push({ key, row });
      }
      changed ||= there || row !== undefined;
    }
    while (at < this.#rows.length) {
      merged.push(this.#rows[at++] as LeafRow);
    }
    this.#rows = merged;
    return changed;
  }

  /**
   * The objects to be written for this leaf: itself, or when it is full the pieces it is split into, of which the last keeps its key.
   * `before` is the leaf before this one, when it is known to lie among our rows: those up to it are not ours.
   */
  objects(before?: LeafKey): StoredLeaf[] {
    const ours = before === undefined ? this.#rows : this.#rows.filter(({ key }) => compareToLeaf(key, before) > 0);
    const strays = before === undefined ? this.#strays : [...this.#strays, ...this.#rows.filter((row) => !ours.includes(row)).map(({ row }) => row)];
    const count = ours.length > MAX_ROWS ? Math.ceil(ours.length / GOOD_ROWS) : 1;
    const pieces: StoredLeaf[] = [];
    for (let piece = 0; piece < count; piece++) {
      const rows = ours.slice(Math.floor((piece * ours.length) / count), Math.floor(((piece + 1) * ours.length) / count));
      const top = piece === count - 1;
      const object = leafObject(top ? this.key : (rows.at(-1)?.key ?? this.key), rows.map(({ row }) => row), top ? strays : []);
      // What a later version has added to the leaf stays with it.
      pieces.push(top && this.#found !== undefined ? { ...without(this.#found), ...object } : object);
    }
    return pieces;
  }
}

/** What is in a leaf besides its rows and the columns we know. */
function without(found: object): object {
  return Object.fromEntries(Object.entries(found).filter(([name]) => name !== "k" && name !== "rows" && !(indexes as readonly string[]).includes(name)));
}
