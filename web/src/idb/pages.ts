/*
 * Pages of rows inside a transaction: rows in the order of their keys or of an index, from behind a position, as many as were asked
 * for. A page that ends short is the last, so where rows are passed over the page is filled from behind them. Rows come out in
 * strictly ascending order whatever lies in the database: a cursor that goes back would never come to an end.
 */

import { encodeFrame, type FrameItem } from "../frame.js";
import { entryValue, GOOD_ROWS, isLast, isLeafKey, Leaf } from "./leaf.js";
import type { Follow } from "./leaves.js";
import { beginsWith, compareFrames, compareToKey, keyFrame, type Entries, type KeyFrame } from "./packed.js";
import { compareKeys, hasPrefix, isKey, rowItem } from "./rows.js";
import type { IndexName } from "./tables.js";

/** What a page is asked for: rows whose key, or value in the index, begins with `prefix`, behind a position. */
export interface PageQuery {
  readonly table: string;
  readonly index: IndexName | undefined;
  readonly prefix: string[];
  readonly afterValue: string[];
  /** The key of the row before the page; empty: the page begins with the first row. */
  readonly afterKey: string[];
  readonly limit: number;
}

/** The most leaves that are read at once. */
const MAX_LEAVES = 64;

/** A page of a table whose rows are objects of their own. */
export function pageOfRows(follow: Follow, store: IDBObjectStore, { prefix, afterKey, limit }: PageQuery, items: FrameItem[]): void {
  // An array lies behind every string, and a longer array behind a shorter one it begins with: [...p, []] is the end of all keys
  // that begin with p.
  const end: IDBValidKey = [...prefix, []];
  const next = (from: IDBValidKey, open: boolean): void => {
    const missing = limit - items.length;
    if (missing <= 0) {
      return;
    }
    follow(store.getAll(IDBKeyRange.bound(from, end, open, true), missing), (rows: unknown[]) => {
      for (const row of rows) {
        const item = rowItem(row);
        if (item !== undefined) {
          items.push(item);
        }
      }
      const last = rows.at(-1) as { readonly k: IDBValidKey } | undefined;
      if (rows.length === missing && last !== undefined) {
        next(last.k, true);
      }
    });
  };
  if (afterKey.length === 0 || compareKeys(afterKey, prefix) < 0) {
    next(prefix, false);
  } else if (hasPrefix(afterKey, prefix)) {
    next(afterKey, true);
  }
}

/** A page of leaves in the order of keys. */
export function pageOfLeaves(follow: Follow, store: IDBObjectStore, { prefix, afterKey, limit }: PageQuery, items: FrameItem[]): void {
  const begin = encodeFrame(prefix);
  let last: KeyFrame | undefined = afterKey.length > 0 ? encodeFrame(afterKey) : undefined;
  const next = (range: IDBKeyRange, count: number): void => {
    follow(store.getAll(range, count), (objects: unknown[]) => {
      for (const object of objects) {
        const leaf = Leaf.of(object);
        if (leaf === undefined) {
          continue;
        }
        for (const row of leaf.rows) {
          if ((last !== undefined && compareToKey(row, last) <= 0) || !beginsWith(row, begin)) {
            continue;
          }
          if (items.length === limit) {
            return;
          }
          items.push(leaf.item(row));
          last = keyFrame(row);
        }
        const bound = leaf.key;
        if (isLast(bound) || items.length === limit || (compareKeys(bound, prefix) > 0 && !hasPrefix(bound, prefix))) {
          return;
        }
        const passed = encodeFrame(bound);
        if (last === undefined || compareFrames(last, passed) < 0) {
          last = passed; // A row below this leaf's bound that lies in a later leaf is a stray there.
        }
      }
      const end = objects.at(-1) as { readonly k: IDBValidKey } | undefined;
      if (objects.length === count && end !== undefined) {
        next(IDBKeyRange.lowerBound(end.k, true), Math.min(count * 2, MAX_LEAVES, leavesFor(limit - items.length)));
      }
    });
  };
  if (limit > 0) {
    const from = compareKeys(afterKey, prefix) > 0 ? afterKey : prefix;
    // Of a whole table as many leaves are read as the rows will fill; what begins with a prefix is mostly little, and may end soon.
    next(IDBKeyRange.lowerBound(from), prefix.length === 0 ? leavesFor(limit) : Math.min(2, leavesFor(limit)));
  }
}

/**
 * A page of leaves in the order of an index. The index lists leaves by [value, leaf's key], a leaf once for each of its values; which
 * one it stands there for is not told with it. But entries come in their order, so it is the least that lies behind the entry before.
 */
export function pageOfIndex(
  follow: Follow,
  store: IDBObjectStore,
  { index, prefix, afterValue, afterKey, limit }: PageQuery & { readonly index: IndexName },
  items: FrameItem[],
  cmp: (a: unknown, b: unknown) => number,
): void {
  const order = entryOrder(cmp);
  const end: IDBValidKey = [[...prefix, []]];
  let last: { readonly value: string[]; readonly key: KeyFrame } | undefined = afterKey.length > 0 ? { value: afterValue, key: encodeFrame(afterKey) } : undefined;
  let place: { readonly entry: IDBValidKey; readonly key: IDBValidKey } | undefined;
  const next = (from: IDBValidKey, open: boolean, count: number): void => {
    const range = order.compare(from, end) < 0 ? IDBKeyRange.bound(from, end, open, true) : undefined;
    if (range === undefined) {
      return;
    }
    const already = items.length;
    follow(store.index(index).getAll(range, count), (objects: unknown[]) => {
      let own = false;
      for (const object of objects) {
        const key = (object as { readonly k: IDBValidKey }).k;
        const entry = order.least((object as Record<string, unknown>)[index], (candidate) => {
          const back = order.compare(candidate, place?.entry ?? from);
          const behindPlace = back > 0 || (back === 0 && (place === undefined ? !open : order.compare(key, place.key) > 0));
          return behindPlace && order.compare(candidate, end) < 0;
        });
        if (entry === undefined) {
          continue; // In the range by the index and not by its own column: no browser does that.
        }
        place = { entry, key };
        const leaf = Leaf.of(object);
        const value = leaf === undefined ? undefined : entryValue(entry, leaf.key);
        own = value !== undefined;
        if (leaf === undefined || value === undefined) {
          continue;
        }
        const behind = last !== undefined && compareKeys(value, last.value) <= 0 ? last : undefined;
        if (behind !== undefined && compareKeys(value, behind.value) < 0) {
          continue;
        }
        let entries: Entries | undefined;
        let here = false;
        for (const row of leaf.rows) {
          if (entries !== leaf.entries(row)) {
            entries = leaf.entries(row);
            const own = entries.values.get(index);
            here = own !== undefined && compareKeys(own, value) === 0;
          }
          if (!here || (behind !== undefined && compareToKey(row, behind.key) <= 0)) {
            continue;
          }
          if (items.length === limit) {
            return;
          }
          items.push(leaf.item(row));
          last = { value, key: keyFrame(row) };
        }
      }
      if (objects.length < count || place === undefined || items.length === limit) {
        return;
      }
      if (own) {
        const rowsPerLeaf = Math.max(1, (items.length - already) / objects.length);
        next(place.entry, true, Math.min(MAX_LEAVES / 2, Math.ceil((limit - items.length) / rowsPerLeaf)));
      } else {
        // An entry that is not its leaf's own may stand before that of the leaf whose it is, and is then the same.
        const { entry } = place;
        place = undefined;
        next(entry, false, count * 2);
      }
    });
  };
  if (limit > 0) {
    const first: IDBValidKey = [prefix];
    // The leaf that holds the row before the page has that row's key or a greater one.
    const after: IDBValidKey | undefined = afterKey.length === 0 ? undefined : [afterValue, afterKey];
    next(after !== undefined && order.compare(after, first) > 0 ? after : first, false, leavesFor(limit));
  }
}

function leavesFor(rows: number): number {
  return Math.max(1, Math.min(MAX_LEAVES, Math.ceil(rows / GOOD_ROWS)));
}

/** The order of IndexedDB's keys, by our own means where they are arrays and strings: a call of the browser's for each pair is dear. */
function entryOrder(cmp: (a: unknown, b: unknown) => number): {
  compare(a: unknown, b: unknown): number;
  /** The least entry of a column that is accepted. What is no key stands in no index. */
  least(column: unknown, accept: (entry: IDBValidKey) => boolean): IDBValidKey | undefined;
} {
  const compare = (a: unknown, b: unknown): number => {
    if (typeof a === "string" && typeof b === "string") {
      return a < b ? -1 : a > b ? 1 : 0;
    }
    if (!Array.isArray(a) || !Array.isArray(b)) {
      return cmp(a, b);
    }
    for (let at = 0; at < a.length && at < b.length; at++) {
      const order = compare(a[at], b[at]);
      if (order !== 0) {
        return order;
      }
    }
    return a.length - b.length;
  };
  const valid = (entry: unknown): entry is IDBValidKey => {
    if (Array.isArray(entry) && entry.length === 2 && isKey(entry[0]) && isLeafKey(entry[1])) {
      return true;
    }
    try {
      return cmp(entry, entry) === 0;
    } catch {
      return false;
    }
  };
  const least = (column: unknown, accept: (entry: IDBValidKey) => boolean): IDBValidKey | undefined => {
    let found: IDBValidKey | undefined;
    for (const entry of Array.isArray(column) ? (column as unknown[]) : []) {
      if (valid(entry) && accept(entry) && (found === undefined || compare(entry, found) < 0)) {
        found = entry;
      }
    }
    return found;
  };
  return { compare, least };
}
