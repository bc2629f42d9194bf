/*
 * Asking the browser not to evict us. Some browsers ask the user, who may take all day, and the others take their time too: nobody waits for the answer, which
 * is an event. Workers cannot ask, only look.
 */

import type { Persistence } from "./events.js";

/** Asks for persistent storage. Never rejects. */
export async function requestPersistence(storage: StorageManager | undefined): Promise<Persistence> {
  if (typeof storage?.persisted !== "function") {
    return "unsupported";
  }
  try {
    if (await storage.persisted()) {
      return "granted";
    }
    return typeof storage.persist === "function" && (await storage.persist()) ? "granted" : "denied";
  } catch {
    return "denied";
  }
}
