/*
 * One transaction from its first request to its end. An IndexedDB transaction commits by itself as soon as control returns to the
 * event loop with no request pending, so nothing in here awaits: work goes on in the callbacks of requests. What was written is settled
 * by the transaction's own `complete` or `abort`, never by a request: what `complete` has not confirmed is not stored. What was only read is
 * settled with its last request; nothing that comes after it can change what was read.
 */

import { nameOf, StoreError, storeError } from "./errors.js";

/** A transaction under way. */
export class Transaction {
  #failure: StoreError | undefined;
  #pending = 0;
  #read: () => void = () => undefined;

  constructor(readonly raw: IDBTransaction) {}

  /** Gives up: nothing is written, and the transaction's promise is rejected with this error. */
  fail(error: unknown): void {
    try {
      this.raw.abort();
    } catch {
      return; // It has ended already, by an abort of its own, of which this error is only a consequence.
    }
    this.#failure ??= storeError(error);
  }

  /** Follows a request. A failed request fails the transaction, as does a callback that throws. */
  follow<T>(request: IDBRequest<T>, next?: (result: T) => void): void {
    this.#pending++;
    request.onsuccess = () => {
      if (next !== undefined) {
        this.guard(() => next(request.result));
      }
      if (--this.#pending === 0 && this.#failure === undefined) {
        this.#read();
      }
    };
    request.onerror = () => {
      // Requests that fall with their transaction fail with AbortError; why it fell is the transaction's to say.
      if (nameOf(request.error) !== "AbortError") {
        this.#failure ??= storeError(request.error);
      }
    };
  }

  /** Runs what may throw (put throws DataError at once) as part of the transaction. */
  guard(body: () => void): void {
    try {
      body();
    } catch (error) {
      this.fail(error);
    }
  }

  /** The promise of what was read: it is fulfilled when no request is pending any more, or rejected with the transaction. */
  read(ended: Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#read = resolve;
      ended.then(resolve, reject);
    });
  }

  /** The promise of the transaction's end. */
  ended(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.raw.oncomplete = () => resolve();
      this.raw.onabort = () => {
        const error = this.raw.error;
        // An abort without a request's error is a failed commit: the browser tells why in the transaction's error, or not at all.
        reject(this.#failure ?? (error === null ? new StoreError("aborted", "The transaction was aborted.") : storeError(error)));
      };
    });
  }
}
