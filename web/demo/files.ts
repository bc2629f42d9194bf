// Room keys in and out of files: a machine over a database of its own. What is stored, what each key claims and what the policies say to it is
// asked of the machine, every time; a file is only read where it is imported.

import { KnownSenderError, OlmMachine, type CopyExplanation, type ExportedRoomKeyInfo, type ImportProgress, type ImportResult, type TrustRequirement, type Verdict } from "../dist/index.js";
import { decrypt, verdictsOf } from "./account.js";
import { closeMachine, deleteDatabase } from "./databases.js";
import { makeExport } from "./madefile.js";
import type { RecordedAccount, RecordedEvent, RecordedExport } from "./recording.js";

/** A key file that was chosen. */
export interface KeyFile {
  readonly name: string;
  readonly text: string;
}

/** One stored key, as its card shows it. */
export interface StoredKey extends ExportedRoomKeyInfo {
  readonly copy: CopyExplanation;
  readonly verdicts: { readonly [requirement in TrustRequirement]: Verdict };
  /** The recorded message that it opens; null for a key that has none. */
  readonly body: string | null;
}

/** What is stored. */
export interface Stored {
  readonly total: number;
  readonly rooms: number;
  /** Those that are drawn: the ones with a recorded message first, then the first of each room, then the second, and so on. */
  readonly keys: readonly StoredKey[];
}

/** How many keys are drawn. */
const mostDrawn = 6;

const database = "knownsender-demo-files";
/** What the file of made keys is sealed with. */
export const madePassphrase = "made in this page";

export class Files {
  #machine: OlmMachine | undefined;
  readonly #recorded: RecordedAccount;

  constructor(
    private readonly recording: readonly RecordedAccount[],
    readonly exports: readonly RecordedExport[],
  ) {
    const [recorded] = recording;
    if (recorded === undefined) throw new Error("The recording is not whole.");
    this.#recorded = recorded;
  }

  async open(): Promise<void> {
    const { userId, deviceId, identityKeys } = this.#recorded;
    this.#machine = await OlmMachine.open({ userId, deviceId, identityKeys, store: { name: database } });
  }

  /** Begins anew, with an empty database. */
  async restart(): Promise<void> {
    await closeMachine(this.#machine);
    this.#machine = undefined;
    await deleteDatabase(database);
    await this.open();
  }

  /** Opens a file with its passphrase and imports what is in it. One that is not sealed is imported as it is. */
  async import({ text }: KeyFile, passphrase: string, options: { readonly progressCallback: (progress: ImportProgress) => void; readonly signal: AbortSignal }): Promise<ImportResult> {
    const keys = isSealed(text) ? await OlmMachine.decryptExportedRoomKeys(text, passphrase) : text;
    return this.#open().importExportedRoomKeys(keys, options);
  }

  /** Makes a file of thousands of keys, some of which name the recorded device of a sender as theirs. */
  async make(count: number): Promise<KeyFile> {
    const [key] = this.#recorded.keys;
    if (key === undefined) throw new Error("The recording is not whole.");
    const { keys } = JSON.parse(key.payload) as { readonly keys: { readonly ed25519: string } };
    const list = await makeExport(count, { senderKey: key.senderKey, ed25519: keys.ed25519 });
    return { name: `${count}-made-keys.txt`, text: await OlmMachine.encryptExportedRoomKeys(list, madePassphrase) };
  }

  /** The senders of the recorded files are asked about, and the recorded answers come. */
  async ask(): Promise<void> {
    const machine = this.#open();
    for (const { keys, answers } of this.recording.filter(({ name }) => this.exports.some(({ account }) => account === name))) {
      const senders = [...new Set(keys.map(({ sender }) => sender))];
      await machine.updateTrackedUsers(senders);
      await machine.receiveKeysQueryResponse(answers[0] ?? "{}", machine.queryKeysForUsers(senders).id);
    }
  }

  /** Writes a file of everything that is stored. */
  async export(passphrase: string): Promise<{ readonly text: string; readonly count: number }> {
    let count = 0;
    const keys = await this.#open().exportRoomKeys(() => ++count > 0);
    return { text: await OlmMachine.encryptExportedRoomKeys(keys, passphrase), count };
  }

  /** How many keys are stored. */
  async count(): Promise<number> {
    return (await this.#open().roomKeyCounts()).total;
  }

  /** Asks the machine for everything that is drawn. */
  async look(): Promise<Stored> {
    const machine = this.#open();
    const events = this.recording.flatMap(({ events }) => events);
    const recorded: ExportedRoomKeyInfo[] = [];
    const others: { readonly key: ExportedRoomKeyInfo; readonly place: number }[] = [];
    const inRoom = new Map<string, number>();
    await machine.exportRoomKeys((key) => {
      const before = inRoom.get(key.roomId) ?? 0;
      inRoom.set(key.roomId, before + 1);
      if (events.some(({ sessionId }) => sessionId === key.sessionId)) recorded.push(key);
      else if (before < mostDrawn) others.push({ key, place: before });
      return false; // looked at, not exported
    });
    const keys: StoredKey[] = [];
    others.sort((a, b) => a.place - b.place); // rooms stay in their order
    for (const key of [...recorded, ...others.map(({ key }) => key)].slice(0, mostDrawn)) keys.push(await this.#stored(key, events));
    return { total: await this.count(), rooms: inRoom.size, keys };
  }

  async #stored(key: ExportedRoomKeyInfo, events: readonly RecordedEvent[]): Promise<StoredKey> {
    const machine = this.#open();
    const { copies } = await machine.explain(key.roomId, key.sessionId);
    const copy = copies.find(({ senderKey }) => senderKey === key.senderKey) ?? copies[0];
    if (copy === undefined) throw new Error("A stored key has no copy.");
    await machine.loadRoom(key.roomId);
    const event = events.find(({ sessionId }) => sessionId === key.sessionId);
    const verdicts = verdictsOf(machine, { text: event?.text ?? standIn(events[0], key), roomId: key.roomId });
    return { ...key, copy, verdicts, body: event === undefined ? null : (await decrypt(machine, event.text, event.roomId)).body };
  }

  #open(): OlmMachine {
    if (this.#machine === undefined) throw new KnownSenderError("closed", "The machine was closed.");
    return this.#machine;
  }
}

/** Whether a key file has to be opened with a passphrase. */
export function isSealed(text: string): boolean {
  return !text.trimStart().startsWith("[");
}

/** A message for a session in which nobody wrote one: the policies are asked about it, and nothing is decrypted for that. */
function standIn(like: RecordedEvent | undefined, { sessionId }: ExportedRoomKeyInfo): string {
  const event = JSON.parse(like?.text ?? "{}") as { readonly content: object };
  return JSON.stringify({ ...event, event_id: "$nobody-sent-this", content: { ...event.content, session_id: sessionId } });
}
