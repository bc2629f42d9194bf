/*
 * The schema of the database: a list of upgrades that only ever grows at its end. An upgrade that has been released is never
 * changed, whatever we would do better today. Numbers within one hundred read each other (100 to 199): such an upgrade may add
 * stores, indexes and columns, and must not take away or give a new meaning. So a client that is rolled back opens what its
 * successor wrote; a step into the next hundred is a breaking one, and older code refuses it (`schema_too_new`).
 */

import { packTable } from "./packing.js";
import { COUNTERS, GENERATION, randomName, SYSTEM } from "./tables.js";

/**
 * One step of the schema. `run` only issues requests of its transaction and waits for nothing else. What it asks for in callbacks
 * comes after what later steps ask for at once.
 */
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

/** The schema of this version. */
export const SCHEMA: Schema = {
  compatibleUpTo: 399,
  upgrades: [
    {
      version: 100,
      reason: "The first schema: one store per table, counters beside the rows so that nothing is ever counted by walking it.",
      run(database, transaction) {
        for (const table of ["copies", "users", "tombstones", "replays", "withheld", "meta", "quarantine"]) {
          const store = database.createObjectStore(table, { keyPath: "k" });
          for (const index of table === "copies" ? ["waiting", "owner", "due"] : []) {
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
    {
      version: 200,
      reason: "The copies lie in leaves: what ten thousand rows cost is the number of objects they lie in. An index of what the backup lacks.",
      run: (database, transaction) => packTable(database, transaction, "copies", ["waiting", "owner", "due"], ["waiting", "owner", "due", "backup"]),
    },
    {
      version: 201,
      reason: "The Olm sessions of a device that has its account here, a row for each device at the other end.",
      run: (database) => void database.createObjectStore("channels", { keyPath: "k" }),
    },
    {
      version: 202,
      reason: "What a device with an account here sends with: for each room the Megolm session, and who has its key.",
      run: (database) => void database.createObjectStore("outbound", { keyPath: "k" }),
    },
    {
      version: 300,
      reason: "Replay memory lies in leaves: a message of each of many sessions is remembered in as many rows, and costs what it costs to write their objects.",
      run: (database, transaction) => packTable(database, transaction, "replays", [], []),
    },
  ],
};

/** The version that a schema's upgrades lead to. */
export function schemaVersion(schema: Schema): number {
  return schema.upgrades.at(-1)?.version ?? 1;
}
