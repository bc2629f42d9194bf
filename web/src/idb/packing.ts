/*
 * The step to leaves: the rows of a table (`copies` until version 199, `replays` until 299), objects of their own, are packed in the order of their keys, some at a
 * time, so that the memory this takes does not grow with the table. All of it is one upgrade transaction: a tab that dies on the way
 * leaves the old table as it was. What a packed row cannot hold as it is, because it was damaged, is set aside whole.
 */

import { encodeFrame } from "../frame.js";
import { GOOD_ROWS, LAST, leafObject, packable, type LeafKey } from "./leaf.js";
import { keyOf, packRow, type PackedRow } from "./packed.js";
import { field, isKey, revisionOf } from "./rows.js";
import { randomName, type IndexName } from "./tables.js";
import { Transaction } from "./transaction.js";

/** So many rows are in memory at once. */
const AT_ONCE = 20 * GOOD_ROWS;

/** The step for a table, from the indexes that its rows stood in to those that its leaves have: see the top of this file. */
export function packTable(database: IDBDatabase, transaction: IDBTransaction, table: string, from: readonly IndexName[], to: readonly IndexName[]): void {
  const old = transaction.objectStore(table);
  old.name = `${table} as rows`;
  const leaves = database.createObjectStore(table, { keyPath: "k" });
  for (const index of to) {
    leaves.createIndex(index, index, { multiEntry: true });
  }
  const upgrade = new Transaction(transaction);
  let rows: PackedRow[] = [];
  const write = (key: LeafKey, count: number): void => {
    upgrade.follow(leaves.put(leafObject(key, rows.slice(0, count))));
    rows = rows.slice(count);
  };
  const setAside = (row: unknown): void => {
    upgrade.follow(transaction.objectStore("quarantine").add({ k: [table, "row", randomName()], r: 1, v: new Uint8Array(0), found: row }));
  };
  const next = (range: IDBKeyRange | undefined): void => {
    upgrade.follow(old.getAll(range, AT_ONCE), (found: unknown[]) => {
      for (const row of found) {
        const key = field(row, "k");
        const value = field(row, "v");
        const columns = from.flatMap((index) => {
          const column = field(row, index);
          return isKey(column) ? [index, column] : [];
        });
        if (!isKey(key) || !(value instanceof Uint8Array)) {
          setAside(row);
        }
        if (isKey(key)) {
          rows.push(packRow(encodeFrame(key), revisionOf(row), value instanceof Uint8Array ? value : new Uint8Array(0), encodeFrame(columns)));
        }
      }
      for (let count = packable(rows); count < rows.length; count = packable(rows)) {
        write(keyOf(rows[count - 1] as PackedRow), count);
      }
      const end = found.at(-1);
      if (end !== undefined && found.length === AT_ONCE) {
        next(IDBKeyRange.lowerBound(field(end, "k"), true));
        return;
      }
      if (rows.length > 0) {
        write(LAST, rows.length);
      }
      database.deleteObjectStore(old.name);
    });
  };
  next(undefined);
}
