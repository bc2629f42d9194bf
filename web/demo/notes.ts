// What the lanes board remembers by itself: the switch, how far its server has come, and which keys there are and what was seen of them.
// Nothing of it is about senders or schedules; those are asked of the machines. It lies in localStorage, so that a tab that is closed and
// opened again, and a second one beside it, show the same board.

/** What was seen of one room key. */
export interface KeyNote {
  /** The receiver. */
  readonly account: string;
  readonly roomId: string;
  readonly sessionId: string;
  /** Recorded, or made in this page. */
  readonly made: boolean;
  /** The receipt's word. */
  readonly lane: "fast" | "slow";
  /** The slow lane has handed it to the retry, once. */
  readonly handed: boolean;
  /** How often its sender was asked about in vain, when last seen: a sender who is known has no schedule any more. */
  readonly tries: number;
  /** Each kind of sender data it was seen with, first to last. */
  readonly track: readonly string[];
}

export interface Notes {
  readonly online: boolean;
  /** How many answers the server has given, by receiver. */
  readonly served: Readonly<Record<string, number>>;
  readonly keys: readonly KeyNote[];
}

const place = "knownsender-demo-lanes";
const none: Notes = { online: true, served: {}, keys: [] };

/** The notes as they are now, whoever wrote them last. */
export function readNotes(): Notes {
  try {
    return { ...none, ...(JSON.parse(localStorage.getItem(place) ?? "{}") as Partial<Notes>) };
  } catch {
    return none; // somebody else's text
  }
}

/** Changes the notes. Without an argument they are as at first. */
export function changeNotes(change: (notes: Notes) => Notes = () => none): void {
  localStorage.setItem(place, JSON.stringify(change(readNotes())));
}

/** Changes the note of one key. `change` is given the note as it is now, which may be newer than the one the caller has. */
export function changeNote(sessionId: string, change: (note: KeyNote) => Partial<KeyNote>): void {
  changeNotes((notes) => ({ ...notes, keys: notes.keys.map((note) => (note.sessionId === sessionId ? { ...note, ...change(note) } : note)) }));
}

/** Calls when another tab has changed the notes. */
export function watchNotes(changed: () => void): void {
  addEventListener("storage", ({ key }) => {
    if (key === place || key === null) changed();
  });
}
