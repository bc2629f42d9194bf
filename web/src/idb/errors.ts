/*
 * What can go wrong in the database, as stable codes. A code says what the caller can do about it; the DOMException behind it is
 * kept as the cause. Codes are those of core/store.
 */

/** The codes of a StoreError. */
export type StoreErrorCode =
  | "conflict"
  | "quota"
  | "closed"
  | "unavailable"
  | "aborted"
  | "schema_too_new"
  | "blocked"
  | "store_lost"
  | "bad_request";

/** A row that was not as a batch expected it. */
export interface Conflict {
  readonly table: string;
  readonly key: readonly string[];
  readonly expect: bigint;
  /** The row's revision, 0 when there is none. */
  readonly got: bigint;
}

/** The error of every operation on the database. */
export class StoreError extends Error {
  override readonly name = "StoreError";
  constructor(
    readonly code: StoreErrorCode,
    message: string,
    override readonly cause?: unknown,
    readonly conflicts: readonly Conflict[] = [],
  ) {
    super(message);
  }
}

/** The name of a DOMException or Error, "" for anything else that may be thrown. */
export function nameOf(error: unknown): string {
  return typeof error === "object" && error !== null && "name" in error && typeof error.name === "string" ? error.name : "";
}

/** Maps what a transaction or request of an open database failed with. */
export function storeError(error: unknown): StoreError {
  if (error instanceof StoreError) {
    return error;
  }
  switch (nameOf(error)) {
    case "QuotaExceededError":
      return new StoreError("quota", "The browser gives this site no more room.", error);
    case "AbortError":
    case "TransactionInactiveError":
      return new StoreError("aborted", "The transaction was aborted.", error);
    case "DataError":
    case "DataCloneError":
    case "FrameError":
    case "ReadOnlyError":
      return new StoreError("bad_request", "The database refuses the request.", error);
    default:
      // UnknownError (a failing disk), InvalidStateError (the connection is gone), NotFoundError, SecurityError, and whatever else.
      return new StoreError("unavailable", "The database does not work.", error);
  }
}

/** Maps what opening a database failed with: there, an AbortError is a database that cannot be had (a full disk, private mode). */
export function openError(error: unknown): StoreError {
  if (error instanceof StoreError) {
    return error;
  }
  switch (nameOf(error)) {
    case "VersionError":
      return new StoreError("schema_too_new", "A newer version has written this database.", error);
    case "QuotaExceededError":
      return new StoreError("quota", "The browser gives this site no more room.", error);
    default:
      return new StoreError("unavailable", "The database cannot be opened.", error);
  }
}
