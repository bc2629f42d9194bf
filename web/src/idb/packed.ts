/*
 * A row of a leaf as it lies there: one frame [key, revision, value, [index, value, ...]], the very bytes in which it came and in which
 * an answer gives it. Most rows of a leaf are only passed by when it is read or written, and what is one byte string costs a tenth of
 * what a tree of objects costs. So keys are compared as the bytes they are, and a row is taken apart only when somebody wants to know.
 */

import { decodeFrame, encodeFrame, FrameReader, type FrameItem } from "../frame.js";
import type { IndexName } from "./tables.js";

/** The bytes of a row. Its key, a frame of strings, begins at KEY: behind the row's count of items and the key's length. */
export type PackedRow = Uint8Array<ArrayBuffer>;

const KEY = 8;

/** A key as a frame of strings. */
export type KeyFrame = Uint8Array;

function number(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 24)) >>> 0;
}

/** A row from its parts. `key` and `entries` are frames. */
export function packRow(key: KeyFrame, revision: number, value: Uint8Array, entries: Uint8Array): PackedRow {
  return encodeFrame([key, BigInt(revision), value, entries]);
}

/** Whether a value from the database is a row with a usable key. What follows the key may be anything. */
export function isPackedRow(value: unknown): value is PackedRow {
  return value instanceof Uint8Array && number(value, 0) === 4 && isKeyWithin(value, KEY, KEY + number(value, 4));
}

/** Whether bytes are a key: a frame of strings in UTF-8, at least one. */
export function isKeyFrame(bytes: Uint8Array): bytes is KeyFrame {
  return isKeyWithin(bytes, 0, bytes.length);
}

function isKeyWithin(bytes: Uint8Array, begin: number, end: number): boolean {
  let left = number(bytes, begin);
  if (left === 0 || end > bytes.length) {
    return false;
  }
  let plain = true;
  let at = begin + 4;
  for (; left > 0 && at + 4 <= end; left--) {
    const part = at + 4 + number(bytes, at);
    if (part > end) {
      return false;
    }
    for (at += 4; at < part; at++) {
      plain &&= (bytes[at] as number) < 0x80;
    }
  }
  return left === 0 && at === end && (plain || isText(bytes.subarray(begin, end)));
}

function isText(key: KeyFrame): boolean {
  try {
    new FrameReader(key).rest();
    return true;
  } catch {
    return false;
  }
}

/** The frame of a row's key. */
export function keyFrame(row: PackedRow): KeyFrame {
  return row.subarray(KEY, KEY + number(row, 4));
}

/** The key of a row. */
export function keyOf(row: PackedRow): string[] {
  return new FrameReader(keyFrame(row)).rest();
}

/** Orders the keys of two rows. */
export function compareRows(a: PackedRow, b: PackedRow): number {
  return compare(a, KEY, b, KEY);
}

/** Orders the key of a row and another key. */
export function compareToKey(row: PackedRow, key: KeyFrame): number {
  return compare(row, KEY, key, 0);
}

/**
 * Orders keys as IndexedDB does: part by part by UTF-16 code units, a key before its extensions. Bytes of UTF-8 have the same order
 * but for one case: U+E000 to U+FFFF (EE, EF) lie behind the characters whose UTF-16 form begins with a surrogate (F0 and up).
 */
function compare(a: Uint8Array, atA: number, b: Uint8Array, atB: number): number {
  const [countA, countB] = [number(a, atA), number(b, atB)];
  atA += 4;
  atB += 4;
  for (let part = 0; part < countA && part < countB; part++) {
    const [lengthA, lengthB] = [number(a, atA), number(b, atB)];
    atA += 4;
    atB += 4;
    for (let at = 0; at < lengthA && at < lengthB; at++) {
      const [x, y] = [a[atA + at] as number, b[atB + at] as number];
      if (x !== y) {
        const turned = (x >= 0xf0 && y >= 0xee && y < 0xf0) || (y >= 0xf0 && x >= 0xee && x < 0xf0);
        return x < y === turned ? 1 : -1;
      }
    }
    if (lengthA !== lengthB) {
      return lengthA - lengthB;
    }
    atA += lengthA;
    atB += lengthB;
  }
  return countA - countB;
}

/** Orders two keys. */
export function compareFrames(a: KeyFrame, b: KeyFrame): number {
  return compare(a, 0, b, 0);
}

/** Whether a row's key begins with all parts of a prefix. */
export function beginsWith(row: PackedRow, prefix: KeyFrame): boolean {
  return begins(row, KEY, prefix);
}

/** Whether a key begins with all parts of a prefix. */
export function keyBeginsWith(key: KeyFrame, prefix: KeyFrame): boolean {
  return begins(key, 0, prefix);
}

function begins(bytes: Uint8Array, key: number, prefix: KeyFrame): boolean {
  if (number(bytes, key) < number(prefix, 0)) {
    return false;
  }
  for (let at = 4; at < prefix.length; at++) {
    if (bytes[key + at] !== prefix[at]) {
      return false;
    }
  }
  return true;
}

/** The first so many parts of a key, or all if it has no more. */
export function groupOf(key: KeyFrame, parts: number): KeyFrame {
  return encodeFrame(new FrameReader(key).rest().slice(0, parts));
}

function revisionAt(row: PackedRow): number {
  return KEY + number(row, 4) + 4;
}

/** The revision of a row: 0 when there is none, 1 when the row is there but its revision is damaged. */
export function revisionOfRow(row: PackedRow | undefined): number {
  if (row === undefined) {
    return 0;
  }
  const at = revisionAt(row);
  const revision = number(row, at - 4) === 8 ? number(row, at) + number(row, at + 4) * 2 ** 32 : 0;
  return Number.isSafeInteger(revision) && revision > 0 ? revision : 1;
}

/** Where a row's index entries begin, -1 when the row is damaged. They reach to its end. */
export function entriesAt(row: PackedRow): number {
  const value = revisionAt(row) + 8;
  const entries = value + 4 + number(row, value);
  return number(row, value - 12) === 8 && entries + 8 <= row.length && number(row, entries) === row.length - entries - 4 ? entries + 4 : -1;
}

/** The index entries of a row: those in indexes we know, and whether there is nothing else. */
export interface Entries {
  readonly values: ReadonlyMap<IndexName, string[]>;
  readonly whole: boolean;
}

/** What a damaged row says. */
const nothing: Entries = { values: new Map(), whole: false };

/** Reads entries. Neighbouring rows mostly have the same, and are given the same object. */
export class EntryReader {
  #bytes: Uint8Array | undefined;
  #entries = nothing;

  constructor(private readonly indexes: readonly IndexName[]) {}

  of(row: PackedRow): Entries {
    const at = entriesAt(row);
    return at < 0 ? nothing : this.read(row.subarray(at));
  }

  read(bytes: Uint8Array): Entries {
    if (this.#bytes === undefined || !sameBytes(bytes, this.#bytes)) {
      this.#bytes = bytes;
      this.#entries = readEntries(bytes, this.indexes);
    }
    return this.#entries;
  }
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) {
    return false;
  }
  for (let at = 0; at < a.length; at++) {
    if (a[at] !== b[at]) {
      return false;
    }
  }
  return true;
}

function readEntries(bytes: Uint8Array, indexes: readonly IndexName[]): Entries {
  const values = new Map<IndexName, string[]>();
  let whole = true;
  try {
    for (const reader = new FrameReader(bytes); reader.left > 0; ) {
      const name = reader.text();
      const value = reader.texts();
      const index = indexes.find((known) => known === name);
      if (index === undefined || value.length === 0 || values.has(index)) {
        whole = false;
      } else {
        values.set(index, value);
      }
    }
  } catch {
    whole = false;
  }
  return { values, whole };
}

/** A row as a frame item, with those of its entries that stand: the row's own bytes, when that is all they say. */
export function itemOf(row: PackedRow, entries: Entries, standing: ReadonlyMap<IndexName, string[]>): FrameItem {
  const revision = revisionOfRow(row);
  const at = revisionAt(row);
  if (entries.whole && standing.size === entries.values.size && number(row, at) + number(row, at + 4) * 2 ** 32 === revision) {
    return row;
  }
  const value = entriesAt(row) >= 0 ? (decodeFrame(row)[2] as Uint8Array) : new Uint8Array(0);
  return [keyFrame(row), BigInt(revision), value, [...standing].flat()];
}
