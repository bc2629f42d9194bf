/*
 * The connection to one database: opening it at the right version, letting go of it when another tab must upgrade, and noticing
 * when the browser has taken it away. A connection that was lost is opened again once per call, and only onto the same database:
 * every database carries a random name from its first upgrade on (the generation), and one that was deleted and made again has
 * another. We never go on in silence with an empty database.
 */

import { nameOf, openError, storeError, StoreError } from "./errors.js";
import type { IdbEvent } from "./events.js";
import { schemaVersion, type Schema } from "./schema.js";
import { GENERATION, SYSTEM } from "./tables.js";
import { Transaction } from "./transaction.js";

export interface ConnectionOptions {
  readonly factory: IDBFactory | undefined;
  readonly schema: Schema;
  readonly blockedTimeoutMs: number;
  readonly flushTimeoutMs: number;
  readonly onEvent: (event: IdbEvent) => void;
  /** Called when another tab waits for us to close: the last chance to write what is still in memory. */
  readonly beforeClose: () => void | Promise<void>;
}

/** What opening found. */
export interface Opened {
  readonly generation: string;
  readonly version: number;
  readonly created: boolean;
}

interface Attempt {
  readonly database: IDBDatabase;
  readonly created: boolean;
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

export class Connection {
  #database: IDBDatabase | undefined;
  #opening: Promise<Opened> | undefined;
  #ended: StoreError | undefined;
  #generation = "";
  #wasOpen = false;
  #underWay = new Set<Promise<void>>();

  constructor(
    readonly name: string,
    private readonly options: ConnectionOptions,
  ) {}

  /**
   * Opens the database, or makes it. With a generation, only that very database will do (`store_lost`).
   * Codes: `unavailable`, `quota`, `schema_too_new`, `blocked`, `store_lost`.
   */
  async open(generation: string): Promise<Opened> {
    this.#generation = generation;
    return this.#connect();
  }

  #connect(): Promise<Opened> {
    this.#opening ??= this.#connectOnce().finally(() => {
      this.#opening = undefined;
    });
    return this.#opening;
  }

  async #connectOnce(): Promise<Opened> {
    const again = this.#wasOpen;
    const { database, created } = await this.#attempt();
    // From here on other tabs may ask us to let go, so this comes before anything that takes time.
    database.onversionchange = (event) => void this.#yield(database, event.newVersion);
    database.onclose = () => this.#drop(database);
    let generation: string;
    try {
      generation = await readGeneration(database);
    } catch (error) {
      database.close();
      throw openError(error);
    }
    if (this.#ended !== undefined) {
      database.close();
      throw this.#ended;
    }
    if (generation === "" || (this.#generation !== "" && this.#generation !== generation)) {
      database.close();
      throw this.#lost();
    }
    this.#generation = generation;
    this.#database = database;
    this.#wasOpen = true;
    if (again) {
      this.options.onEvent({ kind: "reopened" });
    }
    return { generation, version: database.version, created };
  }

  /** Forgets a connection that the browser has closed. */
  #drop(database: IDBDatabase): void {
    if (this.#database === database) {
      this.#database = undefined;
      this.options.onEvent({ kind: "terminated" });
    }
  }

  /** Opens at our version; a database that is ahead of us, but within the hundred we can read, is opened as it is. */
  async #attempt(): Promise<Attempt> {
    const { schema } = this.options;
    try {
      return await this.#request(schemaVersion(schema));
    } catch (error) {
      if (!(error instanceof StoreError) || error.code !== "schema_too_new") {
        throw error;
      }
      const attempt = await this.#request(undefined);
      if (attempt.database.version > schema.compatibleUpTo) {
        attempt.database.close();
        throw error;
      }
      return attempt;
    }
  }

  #request(version: number | undefined): Promise<Attempt> {
    const { factory, schema, blockedTimeoutMs, onEvent } = this.options;
    return new Promise((resolve, reject) => {
      if (factory === undefined) {
        reject(new StoreError("unavailable", "This browser has no IndexedDB here."));
        return;
      }
      let request: IDBOpenDBRequest;
      try {
        request = version === undefined ? factory.open(this.name) : factory.open(this.name, version);
      } catch (error) {
        reject(openError(error));
        return;
      }
      let over: StoreError | undefined;
      let created = false;
      let timer: ReturnType<typeof setTimeout> | undefined;
      request.onupgradeneeded = (event) => {
        const transaction = request.transaction as IDBTransaction;
        created = event.oldVersion === 0;
        if (created && (this.#generation !== "" || version === undefined)) {
          // The database we know is gone: this would be another. The abort leaves none behind.
          over = this.#lost();
        }
        try {
          for (const upgrade of over === undefined ? schema.upgrades : []) {
            if (upgrade.version > event.oldVersion) {
              upgrade.run(request.result, transaction);
            }
          }
        } catch (error) {
          over = openError(error);
        }
        if (over !== undefined) {
          new Transaction(transaction).fail(over);
        }
        transaction.onabort = () => {
          // The request only says that it was aborted. A full disk is the transaction's to tell.
          over ??= transaction.error === null ? undefined : openError(transaction.error);
        };
      };
      request.onblocked = () => {
        onEvent({ kind: "blocked" });
        timer ??= setTimeout(() => {
          over = new StoreError("blocked", "An older tab of this site holds the database.");
          reject(over);
        }, blockedTimeoutMs);
      };
      request.onsuccess = () => {
        clearTimeout(timer);
        if (over !== undefined) {
          // Nobody waits any more. The connection must not become the one that blocks others.
          request.result.close();
          return;
        }
        resolve({ database: request.result, created });
      };
      request.onerror = (event) => {
        clearTimeout(timer);
        event.preventDefault();
        reject(over ?? openError(request.error));
      };
    });
  }

  #lost(): StoreError {
    if (this.#ended?.code !== "store_lost") {
      this.#ended = new StoreError("store_lost", "The database was deleted or replaced.");
      this.options.onEvent({ kind: "store_lost" });
    }
    return this.#ended;
  }

  /** Another tab waits for the database. Flush, close, and do not come back. */
  async #yield(database: IDBDatabase, newVersion: number | null): Promise<void> {
    try {
      await Promise.race([this.options.beforeClose(), delay(this.options.flushTimeoutMs)]);
    } catch {
      // What could not be written now is the flusher's to report; the other tab must not wait for it.
    }
    if (this.#database === database) {
      this.#database = undefined;
    }
    database.close(); // transactions under way come to their end first
    this.options.onEvent({ kind: "blocking", newVersion });
    if (newVersion === null) {
      this.#lost();
    } else {
      this.#ended ??= new StoreError("closed", "The database was closed because another tab upgrades it.");
    }
  }

  /**
   * Runs one transaction. `body` issues its first requests at once and the rest in callbacks. The connection is opened again when
   * the browser had closed it.
   */
  async transaction(
    stores: string[],
    options: { readonly mode: IDBTransactionMode; readonly durability: IDBTransactionDurability },
    body: (transaction: Transaction) => void,
  ): Promise<void> {
    for (let reopened = false; ; ) {
      if (this.#ended !== undefined) {
        throw this.#ended;
      }
      const database = this.#database;
      if (database === undefined) {
        if (reopened) {
          throw new StoreError("unavailable", "The browser keeps closing the database.");
        }
        reopened = true;
        await this.#connect();
        continue;
      }
      let raw: IDBTransaction;
      try {
        raw = database.transaction(stores, options.mode, { durability: options.durability });
      } catch (error) {
        if (nameOf(error) !== "InvalidStateError") {
          throw storeError(error);
        }
        // Chromium tells of a connection it has closed by throwing here, often before any `close` event.
        this.#drop(database);
        database.close();
        continue;
      }
      // No await between here and the first request.
      const transaction = new Transaction(raw);
      const ended = transaction.ended();
      this.#underWay.add(ended);
      const over = (): void => void this.#underWay.delete(ended);
      ended.then(over, over);
      transaction.guard(() => body(transaction));
      await (options.mode === "readonly" ? transaction.read(ended) : ended);
      return;
    }
  }

  /** Closes after the transactions under way. Later calls answer `closed`. */
  async close(): Promise<void> {
    this.#ended ??= new StoreError("closed", "The store is closed.");
    const database = this.#database;
    this.#database = undefined;
    database?.close();
    await Promise.allSettled([...this.#underWay]);
  }
}

function readGeneration(database: IDBDatabase): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = database.transaction(SYSTEM, "readonly").objectStore(SYSTEM).get(GENERATION);
    request.onsuccess = () => {
      const row: unknown = request.result;
      resolve(typeof row === "object" && row !== null && "v" in row && typeof row.v === "string" ? row.v : "");
    };
    request.onerror = () => reject(storeError(request.error));
  });
}
