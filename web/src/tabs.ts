/*
 * Tabs: several machines over one database. A Web Lock says which of them leads, that is, runs the slow and the retry lane; the browser
 * hands it on when a tab is closed or dies. What a machine wrote, and whom it wants to know of, goes to the others over a channel.
 *
 * The rule of this file: nothing in it keeps anything right. Every write is compare-and-set, and two tabs that do the same work come to the
 * join of it. So a leader that was wrongly held for dead, or two at once for a moment, cost some work and lose nothing.
 *
 * A leader that holds the lock and does nothing (frozen, stopped in a debugger) is found out by asking: whoever follows asks now and then who
 * leads, and at once when its machine wants something. The leader answers in the event itself, for its timers may be throttled. One that
 * does not answer twice running loses the lock, and learns so when it wakes.
 *
 *   {kind: "news", json}  rows were written, users are wanted or were answered: what the machine tells its peers
 *   {kind: "who"}         who leads?
 *   {kind: "here"}        I do
 *   {kind: "nudge"}       whoever leads, ask about everything again
 */

/** Milliseconds of patience. */
export interface Patience {
  /** Between two questions who leads. */
  readonly every: number;
  /** How long a question may go unanswered; the second such ends the leader. */
  readonly grace: number;
}

const usualPatience: Patience = { every: 10_000, grace: 2_000 };

/** What the tab's machine is to be told. */
export interface TabsOptions {
  /** The database's name. */
  readonly name: string;
  /** Whether this tab can run the lanes. One that cannot only hears and tells. */
  readonly canLead: boolean;
  /** Hears whether this tab leads. */
  readonly leads: (leads: boolean) => void;
  /** Hears what another tab's machine told. One call at a time, in the order told. */
  readonly hear: (json: string) => Promise<unknown>;
  /** Hears that another tab wants everything asked again. */
  readonly nudge: () => void;
  readonly patience?: Patience;
}

type Message = { kind: "news"; json: string } | { kind: "who" | "here" | "nudge" };

/** One tab's place among those over the same database. What it hears is kept until {@link opened}: a machine loads while others write. */
export class Tabs {
  readonly #options: TabsOptions;
  readonly #patience: Patience;
  readonly #name: string;
  readonly #channel: BroadcastChannel | undefined;
  readonly #locks: LockManager | undefined;
  /** What was heard and is being told to the machine. */
  #heard: Promise<unknown>;
  #open: () => void = () => undefined;
  #leading = false;
  /** Lets go of the lock. */
  #release: (() => void) | undefined;
  /** Leaves the queue for the lock. */
  #queue: AbortController | undefined;
  #steal = false;
  /** Goes on after {@link rest}. */
  #back: (() => void) | undefined;
  #resting: Promise<void> | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** How many questions in a row nobody answered. */
  #unanswered = 0;
  #closed = false;

  constructor(options: TabsOptions) {
    this.#options = options;
    this.#patience = options.patience ?? usualPatience;
    this.#name = `knownsender:${options.name}`;
    this.#heard = new Promise<void>((resolve) => (this.#open = resolve));
    const { navigator, BroadcastChannel } = globalThis as Partial<typeof globalThis>;
    if (typeof BroadcastChannel === "function") {
      this.#channel = new BroadcastChannel(this.#name);
      this.#channel.onmessage = ({ data }) => this.#takeIn(data);
      this.#locks = navigator?.locks; // absent where the page is not secure
    }
  }

  /** Whether there can be others: without a channel nobody could be told. */
  get company(): boolean {
    return this.#channel !== undefined;
  }

  /** Whether this tab runs the lanes. */
  get leading(): boolean {
    return this.#leading;
  }

  /** The machine is open: it is told what was heard meanwhile, and this tab may lead. Until it does, it follows. */
  opened(): void {
    this.#open();
    if (!this.#options.canLead) return;
    if (this.#locks === undefined) this.#leads(true);
    else {
      this.#options.leads(false);
      void this.#compete(this.#locks);
    }
  }

  /** Tells the others what this tab's machine has to tell. */
  tell(json: string): void {
    this.#say({ kind: "news", json });
    // The machine wants to know of somebody, and waits for whoever leads. Inside a name the quotes would be escaped.
    if (json.includes('"asked":["') && this.#unanswered === 0) this.#ask();
  }

  /** Has whoever leads ask about everything again. */
  nudge(): void {
    this.#say({ kind: "nudge" });
  }

  /** Lets another tab lead, because this one is about to be frozen or put away. */
  rest(): void {
    if (this.#resting !== undefined || this.#closed) return;
    this.#resting = new Promise((resolve) => (this.#back = resolve));
    this.#letGo();
  }

  /** This tab may lead again. */
  back(): void {
    this.#back?.();
    this.#back = this.#resting = undefined;
  }

  /** Leaves the lock to others, and hears and tells nothing any more. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.back();
    this.#letGo();
    this.#channel?.close();
  }

  async #compete(locks: LockManager): Promise<void> {
    while (!this.#closed) {
      if (this.#resting !== undefined) {
        await this.#resting;
        continue;
      }
      this.#watch();
      const queue = (this.#queue = new AbortController());
      const how: LockOptions = this.#steal ? { steal: true } : { signal: queue.signal };
      this.#steal = false;
      try {
        await locks.request(this.#name, how, () => this.#hold());
      } catch (thrown) {
        // An AbortError: we left the queue ourselves, or the lock was taken from us.
        if ((thrown as Partial<DOMException> | undefined)?.name !== "AbortError") {
          if (!this.#closed) this.#leads(true); // no lock can be had in this page: it leads by itself, as every other does
          return;
        }
      }
      this.#release = undefined;
      if (this.#leading) this.#leads(false);
    }
  }

  /** Leads until the lock is let go of. */
  #hold(): Promise<void> {
    return new Promise((release) => {
      if (this.#closed || this.#resting !== undefined) return release();
      this.#release = release;
      this.#stopWatching();
      this.#leads(true);
      this.#say({ kind: "here" });
    });
  }

  #leads(leads: boolean): void {
    this.#leading = leads;
    if (!this.#closed) this.#options.leads(leads);
  }

  #letGo(): void {
    this.#stopWatching();
    this.#queue?.abort();
    this.#release?.();
  }

  /** Asks after a while who leads. */
  #watch(): void {
    this.#stopWatching();
    this.#timer = setTimeout(() => this.#ask(), this.#patience.every);
  }

  #stopWatching(): void {
    clearTimeout(this.#timer);
    this.#unanswered = 0;
  }

  #ask(): void {
    if (this.#leading || this.#closed || this.#resting !== undefined || this.#locks === undefined || !this.#options.canLead) return;
    clearTimeout(this.#timer);
    this.#say({ kind: "who" });
    // A tab that has slept finds its time run out and the answer unread. So it is never the first question that ends a leader.
    this.#unanswered++;
    this.#timer = setTimeout(() => (this.#unanswered < 2 ? this.#ask() : this.#takeOver()), this.#patience.grace);
  }

  /** Takes the lock from a leader that does not answer. */
  #takeOver(): void {
    this.#stopWatching();
    this.#steal = true;
    this.#queue?.abort();
  }

  #say(message: Message): void {
    if (!this.#closed) this.#channel?.postMessage(message);
  }

  /** Anything may come: the tabs may have different versions. */
  #takeIn(data: unknown): void {
    if (this.#closed || typeof data !== "object" || data === null) return;
    const { kind, json } = data as { kind?: unknown; json?: unknown };
    if (kind === "who" && this.#leading) this.#say({ kind: "here" });
    else if (kind === "nudge" && this.#leading) this.#options.nudge();
    else if (kind === "here" && this.#queue !== undefined && !this.#leading) this.#watch();
    else if (kind === "news" && typeof json === "string") {
      this.#heard = this.#heard.then(() => (this.#closed ? undefined : this.#options.hear(json))).then(undefined, () => undefined); // the next conflict brings it to light
    }
  }
}
