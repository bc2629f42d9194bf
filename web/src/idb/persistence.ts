/*
 * Asking the browser not to evict us. Some browsers ask the user, who may take all day: the wish is never waited for longer than
 * a moment, and a late answer is an event. Workers cannot ask, only look.
 */

import type { Persistence } from "./events.js";

/** Asks for persistent storage. Never throws. `later` hears an answer that came after the promise was resolved. */
export async function requestPersistence(
  storage: StorageManager | undefined,
  patienceMs: number,
  later: (state: Persistence) => void,
): Promise<Persistence> {
  if (typeof storage?.persisted !== "function") {
    return "unsupported";
  }
  const ask = async (): Promise<Persistence> => {
    try {
      if (await storage.persisted()) {
        return "granted";
      }
      return typeof storage.persist === "function" && (await storage.persist()) ? "granted" : "denied";
    } catch {
      return "denied";
    }
  };
  const answer = ask();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const patience = new Promise<Persistence>((resolve) => {
    timer = setTimeout(() => resolve("unanswered"), patienceMs);
  });
  const state = await Promise.race([answer, patience]);
  clearTimeout(timer);
  if (state === "unanswered") {
    void answer.then(later);
  }
  return state;
}
