// The databases of the demo, beside what the package does with them: they are deleted, and for one scene a stored record is changed in a way that
// the package never would.

import { KnownSenderError, type OlmMachine } from "../dist/index.js";
import { decodeFrame } from "../dist/frame.js";

/** Closes a machine. A database that another tab has deleted takes no last write; there is nothing to keep then. */
export async function closeMachine(machine: OlmMachine | undefined): Promise<void> {
  try {
    await machine?.close();
  } catch (thrown) {
    if (!(thrown instanceof KnownSenderError && thrown.code === "store_lost")) throw thrown;
  }
}

/** Deletes a database. Resolves when it is gone. */
export function deleteDatabase(name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.deleteDatabase(name);
    request.onsuccess = () => resolve();
    request.onerror = () => reject(request.error ?? new Error(`The database ${name} could not be deleted.`));
    // Another tab of this page closes its connection when it is asked to; this waits for it.
  });
}

/** What was changed: which byte of the record, and what it was before and after. */
export interface Damage {
  readonly byte: number;
  readonly length: number;
  readonly before: number;
  readonly after: number;
}

/** Turns one bit in the middle of the stored record of a room key. Nobody may have the database open. */
export async function damageRecord(database: string, sessionId: string): Promise<Damage> {
  const opened = await done(indexedDB.open(database));
  try {
    const copies = opened.transaction("copies", "readwrite").objectStore("copies");
    // Several records lie in one object, each a frame of its key, its revision, its value and what it is found by.
    for (const leaf of (await done(copies.getAll())) as { readonly rows: readonly Uint8Array<ArrayBuffer>[] }[]) {
      for (const row of leaf.rows) {
        const [key, , value] = decodeFrame(row);
        if (key === undefined || value === undefined || !new TextDecoder("latin1").decode(key).includes(sessionId)) continue;
        const byte = value.length >> 1;
        const before = value[byte] ?? 0;
        value[byte] = before ^ 1; // a view into the row
        await done(copies.put(leaf));
        return { byte, length: value.length, before, after: before ^ 1 };
      }
    }
    throw new Error("The record is not there.");
  } finally {
    opened.close();
  }
}

function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("IndexedDB gave no reason."));
  });
}
