// What the machine said of events that are on the screen. A client asks when it has decrypted an event, and again at every redraw, mostly when nothing has
// changed: then the answer is the one given before, the very object.

/** What an event is asked about by. */
export interface EventNames {
  readonly roomId: string;
  readonly sessionId: string;
  readonly sender: string;
  readonly eventId: string;
  readonly ciphertext: string;
}

interface Said<T> {
  readonly names: EventNames;
  readonly answer: T;
}

/** Answers by event, for as long as the machine has not had another turn. */
export class Verdicts<T extends object> {
  /** Of events that were decrypted: their message indexes are their own. */
  readonly #decrypted = new Map<string, Said<T>>();
  /** Of others, until an event is decrypted: it may take the message index of one of them, which then is a replay. */
  readonly #asked = new Map<string, Said<T>>();
  #turns = -1;

  /** The answer for an event: remembered, or what `ask` says, frozen. What it throws is not remembered. */
  of(names: EventNames, turns: number, ask: () => T): T {
    this.#upTo(turns);
    const said = this.#decrypted.get(names.eventId) ?? this.#asked.get(names.eventId);
    if (said !== undefined && same(said.names, names)) return said.answer;
    const answer = frozen(ask());
    this.#asked.set(names.eventId, { names, answer });
    return answer;
  }

  /** An event was decrypted at this turn, and has taken its message index; without names one that is not to be remembered. */
  decrypted(turns: number, names: EventNames | undefined, answer: T): void {
    this.#upTo(turns);
    this.#asked.clear();
    if (names !== undefined) this.#decrypted.set(names.eventId, { names, answer: frozen(answer) });
  }

  #upTo(turns: number): void {
    if (turns !== this.#turns || this.#decrypted.size + this.#asked.size >= most) {
      this.#decrypted.clear();
      this.#asked.clear();
    }
    this.#turns = turns;
  }
}

/** So many answers are remembered: more than are ever on a screen. */
const most = 4096;

function same(a: EventNames, b: EventNames): boolean {
  return a.roomId === b.roomId && a.sessionId === b.sessionId && a.sender === b.sender && a.ciphertext === b.ciphertext;
}

function frozen<T extends object>(object: T): T {
  for (const value of Object.values(object)) if (typeof value === "object" && value !== null) frozen(value as object);
  return Object.freeze(object);
}
