/*
 * Rows between frames and the database. What comes out of the database is not trusted to be what we put in: a row may have been
 * edited, or damaged on the disk. A row that cannot be named is passed over; one that can be named always comes out, with an
 * empty value when its value is not bytes, so that its reader can set it aside. One bad row never hides the others.
 */

import type { FrameItem, FrameReader } from "../frame.js";
import { StoreError } from "./errors.js";
import { INDEXES, TABLES, type IndexName, type StoredRow } from "./tables.js";

/** A demand that any revision meets, none included. */
export const ANY_REVISION = 0xffff_ffff_ffff_ffffn;

/** One operation of a batch: a put, or a delete when `row` is undefined. */
export interface Operation {
  readonly table: string;
  readonly key: string[];
  readonly expect: bigint;
  readonly row: StoredRow | undefined;
}

/** Reads the name of a table. */
export function readTable(reader: FrameReader): string {
  const table = reader.text();
  if (!(TABLES as readonly string[]).includes(table)) {
    throw new StoreError("bad_request", "There is no such table.");
  }
  return table;
}

/** Reads the key of a row: strings, at least one. */
export function readKey(reader: FrameReader): string[] {
  const key = reader.texts();
  if (key.length === 0) {
    throw new StoreError("bad_request", "A key has at least one part.");
  }
  return key;
}

/** Reads one operation: table, key, expected revision, "put" or "delete", value, index entries (name, value, name, value). */
export function readOperation(reader: FrameReader): Operation {
  const table = readTable(reader);
  const key = readKey(reader);
  const expect = reader.unsigned();
  const verb = reader.text();
  // The copy is needed: a view would be stored with all of the buffer it looks into, and the buffer is not ours to keep.
  const row: StoredRow = { k: key, r: 1, v: reader.bytes().slice() };
  const entries = reader.frame();
  reader.end();
  while (entries.left > 0) {
    const name = entries.text();
    const index = INDEXES[table]?.find((known) => known === name);
    if (index === undefined) {
      throw new StoreError("bad_request", "There is no such index.");
    }
    row[index] = readKey(entries);
  }
  if (verb !== "put" && verb !== "delete") {
    throw new StoreError("bad_request", "An operation is a put or a delete.");
  }
  return { table, key, expect, row: verb === "put" ? row : undefined };
}

/** Whether a value from the database is a key as ours are: strings, at least one. */
export function isKey(value: unknown): value is string[] {
  // A lone surrogate has no UTF-8 form; such a key cannot be one of ours.
  return Array.isArray(value) && value.length > 0 && value.every((part) => typeof part === "string" && !/\p{Cs}/u.test(part));
}

/** Orders keys as IndexedDB does: part by part by UTF-16 code units, a key before its extensions. */
export function compareKeys(a: readonly string[], b: readonly string[]): number {
  for (let at = 0; at < a.length && at < b.length; at++) {
    const [x, y] = [a[at] as string, b[at] as string];
    if (x !== y) {
      return x < y ? -1 : 1;
    }
  }
  return a.length - b.length;
}

/** Whether a key begins with all parts of a prefix. */
export function hasPrefix(key: readonly string[], prefix: readonly string[]): boolean {
  return key.length >= prefix.length && prefix.every((part, at) => key[at] === part);
}

/** A property of what may be anything. */
export function field(row: unknown, name: string): unknown {
  return typeof row === "object" && row !== null ? (row as Record<string, unknown>)[name] : undefined;
}

/** The revision of a stored row: 0 when there is none, 1 when the row is there but its revision is damaged. */
export function revisionOf(row: unknown): number {
  if (row === undefined) {
    return 0;
  }
  const revision = field(row, "r");
  return typeof revision === "number" && Number.isSafeInteger(revision) && revision > 0 ? revision : 1;
}

/**
 * A stored row as a frame item: key, revision, value, index entries. Undefined when the row has no usable key. Of its columns those
 * are entries that `stands` confirms.
 */
export function rowItem(row: unknown, indexes: readonly IndexName[] = [], stands?: (index: IndexName, value: string[]) => boolean): FrameItem | undefined {
  const key = field(row, "k");
  if (!isKey(key)) {
    return undefined;
  }
  const value = field(row, "v");
  const entries: FrameItem[] = [];
  for (const index of indexes) {
    const column = field(row, index);
    if (isKey(column) && stands?.(index, column) === true) {
      entries.push(index, column);
    }
  }
  return [key, BigInt(revisionOf(row)), value instanceof Uint8Array ? value : new Uint8Array(0), entries];
}

/** The item of a row that is not there. */
export function missingItem(key: readonly string[]): FrameItem {
  return [key, 0n, new Uint8Array(0), []];
}
