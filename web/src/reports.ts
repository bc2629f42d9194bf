// What happens to the store without anybody asking: it is told to those who listen, and kept for those who ask later. The first of it happens before
// anybody can have begun to listen.

import type { IdbEvent, Room } from "./idb/index.js";
import type { PastStoreReport, StoreReport } from "./types.js";

/** How many are kept. */
const KEPT = 50;

/** The reports of one machine. */
export class Reports {
  readonly #listeners = new Set<(report: StoreReport) => void>();
  readonly #past: PastStoreReport[] = [];

  /** The last ones, oldest first. */
  get past(): readonly PastStoreReport[] {
    return [...this.#past];
  }

  /** Tells and keeps a report. */
  tell(report: StoreReport): void {
    this.#past.push({ at: Date.now(), ...report });
    if (this.#past.length > KEPT) this.#past.shift();
    for (const listener of [...this.#listeners]) {
      try {
        listener(report);
      } catch (thrown) {
        console.error(thrown); // one callback's failure is not another's
      }
    }
  }

  /** Has a callback hear of what comes, until the function returned is called. */
  on(callback: (report: StoreReport) => void): () => void {
    const own = (report: StoreReport): void => callback(report);
    this.#listeners.add(own);
    return () => void this.#listeners.delete(own);
  }
}

/** The report of what happened to a database. */
export function storeReport(event: IdbEvent): StoreReport {
  const report = (code: string, message: string): StoreReport => ({ code, table: null, message });
  switch (event.kind) {
    case "blocked":
      return report("blocked", "An older tab holds the database; opening goes on when it lets go.");
    case "blocking":
      return report("blocking", "Another tab upgrades or deletes the database; it was closed here.");
    case "terminated":
      return report("terminated", "The browser closed the connection to the database; the next call opens it again.");
    case "reopened":
      return report("reopened", "The connection to the database was opened again.");
    case "store_lost":
      return report("store_lost", "The database was deleted or replaced.");
    case "persistence":
      return report(`persistence_${event.state}`, "The browser answered the wish not to evict the database.");
    case "storage_low":
      return report(event.kind, `There is little room left for this site${used(event.room)}.`);
    case "storage_full":
      return report(event.kind, `The browser gives this site no more room${used(event.room)}; what could not be written is tried again with the next write.`);
  }
}

function used(room: Room | undefined): string {
  return room === undefined ? "" : `: ${room.usage} of ${room.quota} bytes are used`;
}
