// The lanes at work: a machine for each receiver, over databases apart from those of the play, each with a fetch to the server in this page.
// Where a key is, how often its sender was asked about and when next is what the machines say; the board only draws it.

import { KnownSenderError, OlmMachine, type CopyExplanation } from "../dist/index.js";
import { decrypt } from "./account.js";
import { closeMachine, deleteDatabase } from "./databases.js";
import { makeKey } from "./made.js";
import { changeNote, changeNotes, readNotes, type KeyNote } from "./notes.js";
import { playServer } from "./playserver.js";
import type { RecordedAccount, RecordedKey } from "./recording.js";

export const laneNames = ["fast", "slow", "retry"] as const;
export type Lane = (typeof laneNames)[number];

/** A room key on the board. */
export interface LaneCard extends KeyNote {
  readonly sender: string;
  readonly title: string;
  readonly client: string;
  /** Where it is, or was when its sender became known. */
  readonly column: Lane;
  /** The stored copy, as the machine explains it. */
  readonly copy: CopyExplanation;
}

/** What the board shows, as data. */
export interface LanesShown {
  readonly online: boolean;
  readonly cards: readonly LaneCard[];
  /** Room keys in each lane. Those in the slow lane are counted by the machines. */
  readonly counts: { readonly [lane in Lane]: number };
  /** Requests under way. */
  readonly requests: number;
  /** When the first sender is asked about again, in milliseconds since 1970; null when nobody is. */
  readonly nextDue: number | null;
}

/** How many keys can be made: more would not show more. */
export const mostMade = 6;

/** How long a key can be in the slow lane, in milliseconds: ten seconds, and a moment more. */
const longestSlow = 11_000;

export class Lanes {
  #machines = new Map<string, OlmMachine>();
  /** Keys whose reception has not settled yet. */
  readonly #settling = new Set<string>();

  /** `changed` is called when there may be something new to see. */
  constructor(
    private readonly recording: readonly RecordedAccount[],
    private readonly changed: () => void,
  ) {}

  async open(): Promise<void> {
    for (const recorded of this.recording) {
      const { name, userId, deviceId, identityKeys } = recorded;
      // The machine has its answer a moment after the server gave it.
      const fetch = playServer(recorded, () => setTimeout(this.changed, 120));
      const machine = await OlmMachine.open({ userId, deviceId, identityKeys, store: { name: database(recorded) }, http: { fetch } });
      machine.registerSenderDataUpdatedCallback((updates) => {
        for (const { sessionId, before, after } of updates) changeNote(sessionId, ({ track }) => ({ track: withSeen(withSeen(track, before.type), after.type) }));
        this.changed();
      });
      this.#machines.set(name, machine);
    }
  }

  async close(): Promise<void> {
    this.leave();
    const machines = [...this.#machines.values()];
    this.#machines = new Map();
    await Promise.all(machines.map(closeMachine));
  }

  /** Notes that what is in the slow lane of this tab is the retry's from now on: whoever waits for it goes. */
  leave(): void {
    for (const sessionId of this.#settling) changeNote(sessionId, () => ({ handed: true }));
    this.#settling.clear();
  }

  /** Closes every machine and opens new ones, as when the tab is closed and opened again. */
  async reopen(): Promise<void> {
    await this.close();
    await this.open();
  }

  /** Begins anew, with empty databases. */
  async restart(): Promise<void> {
    await this.close();
    await Promise.all(this.recording.map((recorded) => deleteDatabase(database(recorded))));
    changeNotes();
    await this.open();
  }

  get online(): boolean {
    return readNotes().online;
  }

  /** Whether there are no keys any more, as after a restart. */
  get emptied(): boolean {
    return readNotes().keys.length === 0;
  }

  /** Cuts the connection, or brings it back: then everything that waits is asked about, as when the browser's own comes back. */
  connect(online: boolean): void {
    changeNotes((notes) => ({ ...notes, online }));
    if (online) this.askNow();
  }

  askNow(): void {
    for (const machine of this.#machines.values()) machine.retryNow();
  }

  /** The recorded keys arrive. Resolves when they are stored. */
  async receiveRecorded(): Promise<void> {
    await Promise.all(this.recording.map((recorded) => this.#receive(recorded, recorded.keys, false)));
  }

  /** One more key arrives, from each sender in turn. Resolves when it is stored. */
  async receiveMade(): Promise<RecordedKey> {
    const made = readNotes().keys.filter(({ made }) => made).length;
    const recorded = this.recording[made % this.recording.length];
    if (recorded === undefined) throw new Error("The recording is not whole.");
    const key = await makeKey(recorded);
    await this.#receive(recorded, [key], true);
    return key;
  }

  async #receive(recorded: RecordedAccount, keys: readonly RecordedKey[], made: boolean): Promise<void> {
    const { receipts, stored, settled } = this.#machine(recorded.name).receiveRoomKeys(keys);
    const added: KeyNote[] = [];
    for (const receipt of receipts) {
      if (!receipt.accepted) throw new Error(`The room key was refused: ${receipt.refusal.code}`);
      const { roomId, sessionId, lane, senderData } = receipt;
      added.push({ account: recorded.name, roomId, sessionId, made, lane, handed: false, tries: 0, track: [senderData.type] });
      if (lane === "slow") this.#settling.add(sessionId);
    }
    changeNotes((notes) => ({ ...notes, keys: [...notes.keys, ...added] }));
    this.changed();
    void settled
      .then((keys) => {
        for (const { sessionId, known } of keys) if (!known) changeNote(sessionId, () => ({ handed: true }));
      })
      .catch(() => undefined) // the machine was closed meanwhile; what there is to say of it, `stored` says
      .finally(() => {
        for (const { sessionId } of added) this.#settling.delete(sessionId);
        this.changed();
      });
    await stored;
  }

  /** Asks the machines for everything that is on the board. Fails while they are closed. */
  async look(): Promise<LanesShown> {
    for (const { name } of this.recording) this.#machine(name);
    const cards: LaneCard[] = [];
    for (const note of readNotes().keys) {
      const recorded = this.recording.find(({ name }) => name === note.account);
      if (recorded === undefined) continue;
      const { copies } = await this.#machine(note.account).explain(note.roomId, note.sessionId);
      const copy = copies[0];
      if (copy !== undefined) cards.push(this.#card(recorded, note, copy));
    }
    const lanes = [...this.#machines.values()].map((machine) => machine.laneCounts());
    const sum = (of: "slow" | "requests"): number => lanes.reduce((all, counts) => all + counts[of], 0);
    const retry = cards.filter(({ column, copy }) => column === "retry" && copy.schedule !== null);
    return {
      online: this.online,
      cards,
      counts: { fast: cards.filter(({ column }) => column === "fast").length, slow: sum("slow"), retry: retry.length },
      requests: sum("requests"),
      nextDue: retry.length === 0 ? null : Math.min(...retry.map(({ copy }) => copy.schedule?.next ?? 0)),
    };
  }

  #card(recorded: RecordedAccount, old: KeyNote, copy: CopyExplanation): LaneCard {
    const known = recorded.keys.find(({ sessionId }) => sessionId === old.sessionId) ?? recorded.keys.at(-1);
    // A tab that was killed has noted nothing; but no key is in the slow lane for longer than it waits.
    const late = old.lane === "slow" && copy.schedule !== null && Date.now() - copy.receivedAt > longestSlow;
    const note = renewed(old, late, copy);
    if (note !== old) changeNote(old.sessionId, (now) => renewed(now, late, copy));
    const column = note.lane === "fast" ? "fast" : note.handed ? "retry" : "slow";
    const { sender = "", title = "", client = "" } = known ?? {};
    return { ...note, sender, title: note.made ? "one more from that device" : title, client, column, copy };
  }

  /** The first recorded message of a key as it is shown under Untrusted; null for a key that has none, or when it is withheld. */
  async message({ account, sessionId }: KeyNote): Promise<string | null> {
    const event = this.recording.find(({ name }) => name === account)?.events.find((one) => one.sessionId === sessionId);
    if (event === undefined) return null;
    return (await decrypt(this.#machine(account), event.text, event.roomId)).body;
  }

  #machine(name: string): OlmMachine {
    const machine = this.#machines.get(name);
    if (machine === undefined) throw new KnownSenderError("closed", "The machine was closed.");
    return machine;
  }
}

/** A note with what a copy says now; the note itself when that is nothing new. */
function renewed(note: KeyNote, handed: boolean, { senderData, schedule }: CopyExplanation): KeyNote {
  const tries = schedule?.tries ?? note.tries;
  const track = withSeen(note.track, senderData.type);
  return (note.handed || !handed) && tries === note.tries && track === note.track ? note : { ...note, handed: note.handed || handed, tries, track };
}

/** What is known of a sender never becomes less, so each kind is there once; the callback and a look may both bring it, in any order. */
function withSeen(track: readonly string[], type: string): readonly string[] {
  return track.includes(type) ? track : [...track, type];
}

function database({ name }: RecordedAccount): string {
  return `knownsender-demo-lanes-${name}`;
}
