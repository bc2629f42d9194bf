/*
 * What happens to a database without anybody asking: its owner hears of it, once each.
 */

/** Whether the browser promised not to evict our data when the disk runs low. */
export type Persistence = "granted" | "denied" | "unsupported";

export type IdbEvent =
  /** An older tab holds the database; opening goes on when it lets go. */
  | { readonly kind: "blocked" }
  /** Another tab needs to upgrade or delete the database; we have flushed and closed, and calls answer `closed` or `store_lost`. */
  | { readonly kind: "blocking"; readonly newVersion: number | null }
  /** The browser closed the connection; the next call opens it again. */
  | { readonly kind: "terminated" }
  /** The connection was opened again, on the same database. */
  | { readonly kind: "reopened" }
  /** The database is gone or was replaced by another; calls answer `store_lost`. */
  | { readonly kind: "store_lost" }
  /** The browser answered our wish for persistence. */
  | { readonly kind: "persistence"; readonly state: Persistence }
  /** The room that the browser gives this origin is nearly used up; or a write found none, whatever the browser says of it. */
  | { readonly kind: "storage_low" | "storage_full"; readonly room: Room | undefined };

/** What the browser says an origin uses, and may use, in bytes. */
export interface Room {
  readonly usage: number;
  readonly quota: number;
}
