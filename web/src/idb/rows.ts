/*
 * Rows between frames and the database. What comes out of the database is not trusted to be what we put in: a row may have been
 * edited, or damaged on the disk. A row that cannot be named is passed over; one that can be named always comes out, with an
 * empty value when its value is not bytes, so that its reader can set it aside. One bad row never hides the others.
 */

import { FrameReader, type FrameItem } from "../frame.js";
import { StoreError } from "./errors.js";
import { EntryReader, isKeyFrame, type KeyFrame } from "./packed.js";
import { INDEXES, TABLES } from "./tables.js";

/** A demand that any revision meets, none included. */
export const ANY_REVISION = 0xffff_ffff_ffff_ffffn;

/** One operation of a batch: a put of a value and index entries (a frame), or a delete when `put` is undefined. */
export interface Operation {
  readonly table: string;
  /** The key, which readKey reads. */
  readonly key: KeyFrame;
  readonly expect: bigint;
  readonly put: { readonly value: Uint8Array; readonly entries: Uint8Array } | undefined;
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
export function readKey(frame: KeyFrame): string[] {
  const key = new FrameReader(frame).rest();
  if (key.length === 0) {
    throw new StoreError("bad_request", "A key has at least one part.");
  }
  return key;
}

/**
 * Reads the operations of a request: table, key, expected revision, "put" or "delete", value, index entries (name, value, name,
 * value). What they hold are views into the request.
 */
export function readOperations(reader: FrameReader): Operation[] {
  const operations: Operation[] = [];
  const entryReaders = new Map(TABLES.map((table) => [table as string, new EntryReader(INDEXES[table] ?? [])]));
  while (reader.left > 0) {
    const operation = reader.frame();
    const table = readTable(operation);
    const key = operation.bytes();
    if (!isKeyFrame(key)) {
      throw new StoreError("bad_request", "A key is a frame of strings, at least one.");
    }
    const expect = operation.unsigned();
    const verb = operation.text();
    const value = operation.bytes();
    const entries = operation.bytes();
    operation.end();
    if (entryReaders.get(table)?.read(entries).whole !== true) {
      throw new StoreError("bad_request", "There is no such index.");
    }
    if (verb !== "put" && verb !== "delete") {
      throw new StoreError("bad_request", "An operation is a put or a delete.");
    }
    operations.push({ table, key, expect, put: verb === "put" ? { value, entries } : undefined });
  }
  return operations;
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

/** A stored row as a frame item: key, revision, value, no index entries. Undefined when the row has no usable key. */
export function rowItem(row: unknown): FrameItem | undefined {
  const key = field(row, "k");
  if (!isKey(key)) {
    return undefined;
  }
  const value = field(row, "v");
  return [key, BigInt(revisionOf(row)), value instanceof Uint8Array ? value : new Uint8Array(0), []];
}

/** The item of a row that is not there. */
export function missingItem(key: KeyFrame): FrameItem {
  return [key, 0n, new Uint8Array(0), []];
}
