/*
 * The step to leaves: the rows of `copies`, objects of their own until version 199, are packed in the order of their keys, some at a
 * time, so that the memory this takes does not grow with the table. All of it is one upgrade transaction: a tab that dies on the way
 * leaves the old table as it was. Rows keep all that is in them; those without a usable key go along as strays.
 */

import { GOOD_ROWS, LAST, leafObject, type LeafKey } from "./leaf.js";
import { field, isKey } from "./rows.js";
import { LEAVES } from "./tables.js";
import { Transaction } from "./transaction.js";

/** So many rows are in memory at once. */
const AT_ONCE = 20 * GOOD_ROWS;

export function packCopies(database: IDBDatabase, transaction: IDBTransaction): void {
  const old = transaction.objectStore(LEAVES);
  old.name = `${LEAVES} as rows`;
  const leaves = database.createObjectStore(LEAVES, { keyPath: "k" });
  for (const index of ["waiting", "owner", "due", "backup"]) {
    leaves.createIndex(index, index, { multiEntry: true });
  }
  const upgrade = new Transaction(transaction);
  let rows: unknown[] = [];
  let strays: unknown[] = [];
  const write = (key: LeafKey, count: number): void => {
    upgrade.follow(leaves.put(leafObject(key, rows.slice(0, count), strays)));
    rows = rows.slice(count);
    strays = [];
  };
  const next = (range: IDBKeyRange | undefined): void => {
    upgrade.follow(old.getAll(range, AT_ONCE), (found: unknown[]) => {
      for (const row of found) {
        (isKey(field(row, "k")) ? rows : strays).push(row);
      }
      const end = found.at(-1);
      while (rows.length > GOOD_ROWS) {
        write(field(rows[GOOD_ROWS - 1], "k") as string[], GOOD_ROWS);
      }
      if (end !== undefined && found.length === AT_ONCE) {
        next(IDBKeyRange.lowerBound(field(end, "k"), true));
        return;
      }
      if (rows.length > 0 || strays.length > 0) {
        write(LAST, rows.length);
      }
      database.deleteObjectStore(old.name);
    });
  };
  next(undefined);
}
