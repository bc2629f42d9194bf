// What the machine said of events that are on the screen. A client asks again at every redraw, mostly when nothing has changed: then the answer is the one
// given before, the very object.

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
  readonly #said = new Map<string, Said<T>>();
  #turns = -1;

  /** The answer for an event: remembered, or what `ask` says, frozen. What it throws is not remembered. */
  of(names: EventNames, turns: number, ask: () => T): T {
    if (turns !== this.#turns || this.#said.size >= most) this.#said.clear();
    this.#turns = turns;
    const said = this.#said.get(names.eventId);
    if (said !== undefined && same(said.names, names)) return said.answer;
    const answer = frozen(ask());
    this.#said.set(names.eventId, { names, answer });
    return answer;
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
