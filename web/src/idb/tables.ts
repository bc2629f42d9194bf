/*
 * The names of what lies in the database, and the form of a row. Which version of the schema brought what is told in schema.ts.
 */

/** The tables of core/store, each an object store of rows. */
export const TABLES = ["copies", "users", "tombstones", "replays", "withheld", "channels", "outbound", "meta", "quarantine"] as const;

/** The tables whose rows lie in leaves: many small rows, mostly read and written with their neighbours. Those of the others are objects of their own. */
export const LEAVES: readonly string[] = ["copies", "replays"];

/** The names of indexes. The index, the column of a leaf and that of a row have one name. */
export type IndexName = "waiting" | "owner" | "due" | "backup";

/** The indexes of each table: tables in leaves alone have any. */
export const INDEXES: Readonly<Record<string, readonly IndexName[]>> = { copies: ["waiting", "owner", "due", "backup"] };

/** The object store of the counters, `{ k: name, n: bigint }`. */
export const COUNTERS = "counters";

/** The object store of facts about the database itself, `{ k: name, v: string }`. */
export const SYSTEM = "system";

/** The row of SYSTEM that names this very database: a deleted one that was made again has another value. */
export const GENERATION = "generation";

/** A row that is an object of its own. Keys are arrays of strings, so no two ids are ever joined. */
export interface StoredRow {
  k: string[];
  r: number;
  v: Uint8Array<ArrayBuffer>;
}

/** A name that nobody else thinks of. */
export function randomName(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
