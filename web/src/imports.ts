// Room keys in and out in parts: files and backups may hold a hundred thousand. The program gets a piece at a time and stores whole chunks;
// between two pieces the page has a turn, progress is told, and a wish to stop is heard.

import type { Door } from "./engine.js";
import { KnownSenderError } from "./errors.js";
import { isObject, jsonText, member, parse } from "./json.js";
import { nextTask } from "./task.js";
import type { ExportedRoomKeyInfo, ImportCounts, ImportOptions, ImportProgress, ImportResult, JsonObject } from "./types.js";

/** How many characters of JSON, or how many keys, go to the program at a time: some milliseconds of work. */
const pieceLength = 48 * 1024;
const pieceKeys = 64;
/** The page has a turn at least so often, in milliseconds. */
const turnAfter = 8;
/** Progress is told so often, in milliseconds, and at the beginning and the end. */
const tellAfter = 50;

/** Pieces of a list of room keys, and how many keys there are, as far as one can tell. */
export interface KeyPieces {
  readonly total: number;
  readonly pieces: Iterable<string>;
}

/** The pieces of a key export: JSON text as it is, or objects. */
export function exportedKeys(keys: unknown): KeyPieces {
  if (typeof keys === "string") return { total: countIn(keys, '"session_key"'), pieces: textPieces(keys) };
  if (Array.isArray(keys)) return { total: keys.length, pieces: listPieces(keys) };
  throw new KnownSenderError("bad_request", "Room keys are JSON text or a list of objects.", { expected: "text or an array", got: typeof keys });
}

/** The pieces of an answer of `GET /room_keys/keys`, each in the form of the whole. */
export function backedUpKeys(backup: unknown): KeyPieces {
  let answer: unknown = backup;
  if (typeof backup === "string") {
    try {
      answer = JSON.parse(backup);
    } catch (thrown) {
      throw new KnownSenderError("bad_json", "The answer about the backup is not JSON.", { cause: thrown });
    }
  }
  const rooms = isObject(answer) ? member(answer, "rooms") : undefined;
  if (!isObject(rooms)) throw new KnownSenderError("bad_backup_answer", "This is not an answer about a backup.", { expected: "an object with rooms" });
  let total = 0;
  for (const room of Object.values(rooms)) total += Object.keys(sessionsOf(room) ?? {}).length;
  return { total, pieces: backupPieces(rooms) };
}

function sessionsOf(room: unknown): JsonObject | undefined {
  const sessions = isObject(room) ? member(room, "sessions") : undefined;
  return isObject(sessions) ? sessions : undefined;
}

function* backupPieces(rooms: JsonObject): Generator<string> {
  for (const [roomId, room] of Object.entries(rooms)) {
    const sessions = sessionsOf(room);
    if (sessions === undefined) {
      yield jsonText({ rooms: { [roomId]: room ?? null } }); // the program says what is wrong with it
      continue;
    }
    const entries = Object.entries(sessions);
    for (let from = 0; from < entries.length; from += pieceKeys) {
      yield jsonText({ rooms: { [roomId]: { sessions: Object.fromEntries(entries.slice(from, from + pieceKeys)) } } });
    }
  }
}

function* textPieces(text: string): Generator<string> {
  for (let from = 0; from < text.length; ) {
    let to = Math.min(from + pieceLength, text.length);
    const last = text.charCodeAt(to - 1);
    if (to < text.length && last >= 0xd800 && last < 0xdc00) to--; // the two halves of a character stay together
    yield text.slice(from, to);
    from = to;
  }
}

function* listPieces(keys: readonly unknown[]): Generator<string> {
  yield "[";
  for (let from = 0; from < keys.length; from += pieceKeys) {
    const part = Array.from(keys.slice(from, from + pieceKeys), keyText).join(","); // an element that is not there is one, too
    yield from === 0 ? part : `,${part}`;
  }
  yield "]";
}

/** A key as JSON. What has no JSON form costs only itself: the program refuses null at its position. */
function keyText(key: unknown): string {
  try {
    return isObject(key) ? jsonText(key) : "null";
  } catch {
    return "null";
  }
}

function countIn(text: string, what: string): number {
  let count = 0;
  for (let at = text.indexOf(what); at >= 0; at = text.indexOf(what, at + what.length)) count++;
  return count;
}

/** Where an import's keys come from, for the program: the version of the backup, the kind of its key, the key. */
export type ImportSource = readonly [version: string, kind: "none" | "base64" | "recovery", key: string];

/** Runs an import from its first piece to its end. */
export async function importKeys(engine: Door, source: ImportSource, keys: KeyPieces, options: ImportOptions): Promise<ImportResult> {
  const { signal, progressCallback } = options;
  stopIfAborted(signal);
  const { id } = parse<{ id: string }>(await engine.callText("beginImport", source));
  // Ends the import whatever it is at; what it is at then fails.
  let halted: Promise<unknown> | undefined;
  const halt = (): Promise<unknown> => (halted ??= engine.callText("abortImport", [id]).catch((thrown: unknown) => thrown));
  let failed: { thrown: unknown } | undefined;
  let over = false;
  const tell = (counts: ImportCounts, total: number): void => {
    if (failed !== undefined) return;
    try {
      progressCallback?.(progressOf(counts, total));
    } catch (thrown) {
      failed = { thrown };
      void halt();
    }
  };
  const timer = setInterval(() => {
    if (halted !== undefined) return;
    const told = engine.ask("importCounts", [id]).then((json) => {
      const counts = parse<ImportCounts>(json);
      if (!over) tell(counts, Math.max(keys.total, totalOf(counts)));
    });
    told.catch(() => undefined); // the machine is being closed, or has died: the import is about to fail with that
  }, tellAfter);
  try {
    signal?.addEventListener("abort", halt, { once: true });
    if (signal?.aborted === true) void halt(); // while the import was begun
    tell({ imported: 0, unchanged: 0, better: 0, failed: 0 }, keys.total);
    let turn = performance.now();
    for (const piece of keys.pieces) {
      if (halted !== undefined) break;
      await engine.call("writeImport", [id, piece]);
      if (performance.now() - turn > turnAfter) {
        await nextTask();
        turn = performance.now();
      }
    }
    if (halted === undefined) {
      const result = parse<ImportResult>(await engine.callText("endImport", [id]));
      over = true;
      tell(result, result.total);
      if (failed !== undefined) throw failed.thrown;
      return result;
    }
  } catch (thrown) {
    failed ??= { thrown };
  } finally {
    over = true;
    clearInterval(timer);
    signal?.removeEventListener("abort", halt);
    await halt();
  }
  stopIfAborted(signal);
  throw failed?.thrown;
}

function totalOf({ imported, unchanged, better, failed }: ImportCounts): number {
  return imported + unchanged + better + failed;
}

function progressOf(counts: ImportCounts, total: number): ImportProgress {
  return { stage: "load_keys", successes: totalOf(counts) - counts.failed, failures: counts.failed, total };
}

function stopIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw new KnownSenderError("aborted", "The work was aborted. What an import had stored stays.", { cause: signal.reason });
}

/** Yields the text of a key export piece by piece: together they are one JSON array. */
export async function* exportKeys(engine: Door, predicate: ((key: ExportedRoomKeyInfo) => boolean) | undefined, signal: AbortSignal | undefined): AsyncGenerator<string, void, undefined> {
  const { id } = parse<{ id: string }>(await engine.ask("beginExport", []));
  try {
    let before = "[";
    for (;;) {
      stopIfAborted(signal);
      const page = await engine.callText("nextExport", [id]);
      if (page === "[]") break;
      const chosen = predicate === undefined ? page.slice(1, -1) : chosenOf(page, predicate);
      if (chosen !== "") {
        yield before + chosen;
        before = ",";
      }
      await nextTask();
    }
    yield before === "[" ? "[]" : "]";
  } finally {
    try {
      engine.tell("endExport", [id]);
    } catch {
      // The machine was closed meanwhile, and the export with it.
    }
  }
}

function chosenOf(page: string, predicate: (key: ExportedRoomKeyInfo) => boolean): string {
  return parse<JsonObject[]>(page)
    .filter((key) => predicate({ roomId: String(key["room_id"]), sessionId: String(key["session_id"]), senderKey: String(key["sender_key"]) }))
    .map((key) => JSON.stringify(key))
    .join(",");
}
