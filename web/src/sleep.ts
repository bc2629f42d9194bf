/*
 * When the lanes sleep: there is no connection, or the page is frozen or put away. They wake with it, and look at the clock whenever the page
 * comes into view, for timers of a page out of view may have been late. The rule of this file: what is not there is not missed. In a worker
 * there is no document, and in Node nothing of all this.
 */

/** What a watcher is told. */
export interface Sleeper {
  /** The lanes may work, or not; `true` comes again whenever the page comes into view. */
  awake(awake: boolean): void;
  /** The connection is back: what was tried without it was tried in vain. */
  online(): void;
  /** The page is about to be frozen or put away, or is back: whether another tab should work in its place. */
  present(present: boolean): void;
}

/** Watches until the function returned is called. */
export function watchSleep(sleeper: Sleeper): () => void {
  const scope = globalThis as Partial<Pick<typeof globalThis, "navigator" | "document" | "addEventListener" | "removeEventListener">>;
  const { document } = scope;
  const offline = (): boolean => scope.navigator?.onLine === false;
  let away = false;
  let asleep = false;
  const tell = (): void => {
    const now = away || offline();
    if (!now || !asleep) sleeper.awake(!now);
    asleep = now;
  };
  const be = (absent: boolean): void => {
    away = absent;
    sleeper.present(!absent);
    tell();
  };
  const listeners: [target: Partial<EventTarget> | undefined, event: string, listener: () => void][] = [
    [scope, "online", () => {
      sleeper.online(); // first, so that waking and this make one pass
      tell();
    }],
    [scope, "offline", tell],
    [scope, "pagehide", () => be(true)],
    [scope, "pageshow", () => be(false)],
    [document, "freeze", () => be(true)],
    [document, "resume", () => be(false)],
    [document, "visibilitychange", () => {
      if (document?.visibilityState === "visible" && !asleep) tell();
    }],
  ];
  for (const [target, event, listener] of listeners) target?.addEventListener?.(event, listener);
  if (offline()) tell();
  return () => {
    for (const [target, event, listener] of listeners) target?.removeEventListener?.(event, listener);
  };
}
