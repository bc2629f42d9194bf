/*
 * A leaf: neighbouring rows of a table in one object, because IndexedDB asks the same price for every object whatever its size.
 * The leaves of a table share out its keys like the leaves of a B+ tree. A leaf's key is its upper bound: it holds the rows whose
 * keys lie above the key of the leaf before it and not above its own, so the leaf of a row is the first one at or behind the row's
 * key. The last leaf is named by LAST, which lies behind all keys. Rows keep what they had alone: key, revision, value, index
 * entries, in the bytes that packed.ts tells of; only the object they lie in is shared. For each index the leaf has a column of its own, one entry [value, leaf's key] for
 * every value its rows have. A row that cannot be named, or lies where no look-up finds it, is a stray: nobody sees it, and it stays
 * in its leaf whatever is written.
 */

import { encodeFrame, type FrameItem } from "../frame.js";
import {
  beginsWith,
  compareRows,
  compareToKey,
  EntryReader,
  isPackedRow,
  itemOf,
  keyBeginsWith,
  keyOf,
  packRow,
  revisionOfRow,
  type Entries,
  type KeyFrame,
  type PackedRow,
} from "./packed.js";
import { compareKeys, field, isKey, type Operation } from "./rows.js";
import { INDEXES, type IndexName } from "./tables.js";

/** The key of a leaf: that of a row, or LAST. */
export type LeafKey = string[] | [[]];

/** The key of the last leaf: an array lies behind every string. */
export const LAST: LeafKey = [[]];

/** A leaf with more rows is split. Larger leaves make single rows dear to write, smaller ones make many rows dear. */
export const MAX_ROWS = 24;

/** The rows of a leaf that was just split or packed: room for more on both sides. */
export const GOOD_ROWS = 16;

/** A leaf of several rows with more bytes is split too: a block of replay memory grows to some six kilobytes, and is written with its neighbours. */
const MAX_BYTES = 64 << 10;

/** The bytes of a leaf that was split or packed for its bytes. */
const GOOD_BYTES = 40 << 10;

/** A leaf as it lies in its object store, but for the columns of the indexes. */
export interface StoredLeaf {
  readonly k: LeafKey;
  readonly rows: readonly unknown[];
}

/** Those of all tables: where there are none, no row has an entry. */
const indexes = Object.values(INDEXES).flat();

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
export function leafObject(key: LeafKey, rows: readonly PackedRow[], strays: readonly unknown[] = []): StoredLeaf {
  const columns = new Map<IndexName, Map<string, unknown>>();
  const reader = new EntryReader(indexes);
  let last: Entries | undefined;
  for (const row of rows) {
    const entries = reader.of(row);
    for (const [index, value] of entries === last ? [] : entries.values) {
      const column = columns.get(index) ?? new Map<string, unknown>();
      columns.set(index, column.set(JSON.stringify(value), [value, key]));
    }
    last = entries;
  }
  const object: Record<string, unknown> = { k: key, rows: strays.length === 0 ? rows : [...rows, ...strays] };
  for (const [index, column] of columns) {
    object[index] = [...column.values()];
  }
  return object as unknown as StoredLeaf;
}

/** Into how many leaves rows are to be split: one where they fit. */
function piecesOf(rows: readonly PackedRow[]): number {
  const bytes = rows.reduce((sum, row) => sum + row.length, 0);
  const byRows = rows.length > MAX_ROWS ? Math.ceil(rows.length / GOOD_ROWS) : 1;
  const byBytes = bytes > MAX_BYTES ? Math.ceil(bytes / GOOD_BYTES) : 1;
  return Math.min(Math.max(byRows, byBytes), Math.max(rows.length, 1));
}

/** How many of the first rows make a leaf that has room for more. */
export function packable(rows: readonly PackedRow[]): number {
  let bytes = 0;
  const full = rows.findIndex((row, at) => at === GOOD_ROWS || (bytes += row.length) > GOOD_BYTES);
  return full < 0 ? rows.length : Math.max(full, 1);
}

/** One leaf in memory: its key, and its rows in order. */
export class Leaf {
  #rows: PackedRow[] = [];
  #strays: unknown[] = [];
  readonly #found: object | undefined;
  readonly #entries = new EntryReader(indexes);
  readonly #columns = new Map<IndexName, ReadonlySet<string>>();
  #last: { readonly entries: Entries; readonly standing: ReadonlyMap<IndexName, string[]> } | undefined;

  constructor(
    readonly key: LeafKey,
    found?: object,
  ) {
    this.#found = found;
    const bound = isLast(key) ? undefined : encodeFrame(key);
    const rows = field(found, "rows");
    let sorted = true;
    for (const row of Array.isArray(rows) ? (rows as unknown[]) : []) {
      if (!isPackedRow(row) || (bound !== undefined && compareToKey(row, bound) > 0)) {
        this.#strays.push(row);
        continue;
      }
      const last = this.#rows.at(-1);
      sorted &&= last === undefined || compareRows(last, row) < 0;
      this.#rows.push(row);
    }
    if (!sorted) {
      this.#sort();
    }
  }

  #sort(): void {
    const rows: PackedRow[] = [];
    for (const row of this.#rows.sort(compareRows)) {
      const last = rows.at(-1);
      if (last !== undefined && compareRows(last, row) === 0) {
        this.#strays.push(row);
      } else {
        rows.push(row);
      }
    }
    this.#rows = rows;
  }

  /** Reads an object of the store. Undefined when it is no leaf: it has no key that a leaf can have, or no rows. */
  static of(found: unknown): Leaf | undefined {
    const key = field(found, "k");
    return isLeafKey(key) && Array.isArray(field(found, "rows")) ? new Leaf(key, found as object) : undefined;
  }

  /** The rows in the order of their keys. */
  get rows(): readonly PackedRow[] {
    return this.#rows;
  }

  get empty(): boolean {
    return this.#rows.length === 0 && this.#strays.length === 0;
  }

  get full(): boolean {
    return piecesOf(this.#rows) > 1;
  }

  /** The row of a key, undefined when there is none. */
  find(key: KeyFrame): PackedRow | undefined {
    const row = this.#rows[this.#place(key)];
    return row !== undefined && compareToKey(row, key) === 0 ? row : undefined;
  }

  /** Where the row of a key lies, or would. */
  #place(key: KeyFrame): number {
    let low = 0;
    for (let high = this.#rows.length; low < high; ) {
      const middle = (low + high) >>> 1;
      if (compareToKey(this.#rows[middle] as PackedRow, key) < 0) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

  /**
   * Whether no row of any leaf begins with `group`, the beginning of a key that is not here. Undefined where it is for the leaf before to say. False also
   * where the leaf behind would have to be asked.
   */
  alone(key: KeyFrame, group: KeyFrame): boolean | undefined {
    const at = this.#place(key);
    const [before, after] = [this.#rows[at - 1], this.#rows[at]];
    const somebody = [before, after].some((row) => row !== undefined && beginsWith(row, group));
    if (somebody || (after === undefined && !isLast(this.key) && keyBeginsWith(encodeFrame(this.key), group))) {
      return false;
    }
    return before === undefined ? undefined : true;
  }

  /** The index entries of a row, whether or not they stand. */
  entries(row: PackedRow): Entries {
    return this.#entries.of(row);
  }

  /**
   * A row as a frame item. An index entry stands when the leaf's column has it as well: a row that its index would not find must not
   * look like one that it does.
   */
  item(row: PackedRow): FrameItem {
    const entries = this.#entries.of(row);
    if (this.#last?.entries !== entries) {
      this.#last = { entries, standing: new Map([...entries.values].filter(([index, value]) => this.#column(index).has(JSON.stringify(value)))) };
    }
    return itemOf(row, entries, this.#last.standing);
  }

  #column(index: IndexName): ReadonlySet<string> {
    let column = this.#columns.get(index);
    if (column === undefined) {
      const entries = field(this.#found, index);
      column = new Set((Array.isArray(entries) ? (entries as unknown[]) : []).map((entry) => JSON.stringify(entryValue(entry, this.key))));
      this.#columns.set(index, column);
    }
    return column;
  }

  /** Applies operations on keys of this leaf, in ascending order. Says whether anything is to be written. */
  apply(operations: readonly Operation[]): boolean {
    const merged: PackedRow[] = [];
    let changed = false;
    let at = 0;
    for (const { key, put } of operations) {
      let old = this.#rows[at];
      let order = -1;
      for (; old !== undefined && (order = compareToKey(old, key)) < 0; old = this.#rows[++at]) {
        merged.push(old);
      }
      const there = old !== undefined && order === 0;
      if (there) {
        at++;
      }
      if (put !== undefined) {
        merged.push(packRow(key, revisionOfRow(there ? old : undefined) + 1, put.value, put.entries));
      }
      changed ||= there || put !== undefined;
    }
    this.#rows = merged.concat(this.#rows.slice(at));
    return changed;
  }

  /**
   * The objects to be written for this leaf: itself, or when it is full the pieces it is split into, of which the last keeps its key.
   * `before` is the leaf before this one, when it is known to lie among our rows: those up to it are not ours.
   */
  objects(before?: LeafKey): StoredLeaf[] {
    const below = before === undefined || isLast(before) ? undefined : encodeFrame(before);
    const first = below === undefined ? 0 : this.#rows.findIndex((row) => compareToKey(row, below) > 0);
    const ours = first < 0 ? [] : this.#rows.slice(first);
    const strays = [...this.#strays, ...this.#rows.slice(0, first < 0 ? undefined : first)];
    const count = piecesOf(ours);
    const pieces: StoredLeaf[] = [];
    for (let piece = 1; piece < count; piece++) {
      const rows = ours.slice(Math.floor(((piece - 1) * ours.length) / count), Math.floor((piece * ours.length) / count));
      pieces.push(leafObject(keyOf(rows.at(-1) as PackedRow), rows));
    }
    const top = leafObject(this.key, ours.slice(Math.floor(((count - 1) * ours.length) / count)), strays);
    // What a later version has added to the leaf stays with it.
    pieces.push(this.#found === undefined ? top : { ...without(this.#found), ...top });
    return pieces;
  }
}

/** What is in a leaf besides its rows and the columns we know. */
function without(found: object): object {
  return Object.fromEntries(Object.entries(found).filter(([name]) => name !== "k" && name !== "rows" && !(indexes as readonly string[]).includes(name)));
}
