/*
 * The schema of the database: a list of upgrades that only ever grows at its end. An upgrade that has been released is never
 * changed, whatever we would do better today. Numbers within one hundred read each other (100 to 199): such an upgrade may add
 * stores, indexes and columns, and must not take away or give a new meaning. So a client that is rolled back opens what its
 * successor wrote; a step into the next hundred is a breaking one, and older code refuses it (`schema_too_new`).
 */

/** One step of the schema. `run` only issues requests of its transaction and waits for nothing else. */
export interface SchemaUpgrade {
  readonly version: number;
  readonly reason: string;
  readonly run: (database: IDBDatabase, transaction: IDBTransaction) => void;
}

/** What a database must look like. */
export interface Schema {
  readonly upgrades: readonly SchemaUpgrade[];
  /** The highest version whose databases this code can read and write. */
  readonly compatibleUpTo: number;
}

/** The tables of core/store, each an object store of rows. */
export const TABLES = ["copies", "users", "tombstones", "replays", "withheld", "meta", "quarantine"] as const;

/** The indexes of each table. The index and the column of the row have one name. */
export const INDEXES: Readonly<Record<string, readonly ("waiting" | "owner" | "due")[]>> = { copies: ["waiting", "owner", "due"] };

/** The object store of the counters, `{ k: name, n: bigint }`. */
export const COUNTERS = "counters";

/** The object store of facts about the database itself, `{ k: name, v: string }`. */
export const SYSTEM = "system";

/** The row of SYSTEM that names this very database: a deleted one that was made again has another value. */
export const GENERATION = "generation";

/** A row as it lies in an object store. Columns are arrays of strings, so no two ids are ever joined. */
export interface StoredRow {
  k: string[];
  r: number;
  v: Uint8Array<ArrayBuffer>;
  waiting?: string[];
  owner?: string[];
  due?: string[];
}

function randomName(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The schema of this version. */
export const SCHEMA: Schema = {
  compatibleUpTo: 199,
  upgrades: [
    {
      version: 100,
      reason: "The first schema: one store per table, counters beside the rows so that nothing is ever counted by walking it.",
      run(database, transaction) {
        for (const table of TABLES) {
          const store = database.createObjectStore(table, { keyPath: "k" });
          for (const index of INDEXES[table] ?? []) {
            // The row's own key is part of the index key: a page that begins behind a row is then one range, and rows that
            // leave the index between two pages move nobody's place. Rows without the column are not in the index.
            store.createIndex(index, [index, "k"]);
          }
        }
        database.createObjectStore(COUNTERS, { keyPath: "k" });
        database.createObjectStore(SYSTEM, { keyPath: "k" });
        transaction.objectStore(SYSTEM).put({ k: GENERATION, v: randomName() });
      },
    },
  ],
};

/** The version that a schema's upgrades lead to. */
export function schemaVersion(schema: Schema): number {
  return schema.upgrades.at(-1)?.version ?? 1;
}
