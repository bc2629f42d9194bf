// One damaged record: six room keys in a database of their own, one bit turned behind the machine's back, and what the machine says of each key
// when it is opened again.

import { OlmMachine, type CopyExplanation, type StoreReport } from "../dist/index.js";
import { decrypt } from "./account.js";
import { closeMachine, damageRecord, deleteDatabase, type Damage } from "./databases.js";
import { byId, el, fill, say, short } from "./dom.js";
import { makeKey } from "./made.js";
import type { RecordedAccount, RecordedKey } from "./recording.js";
import { badge } from "./sessions.js";
import { Turns } from "./turns.js";

const database = "knownsender-demo-damage";
const made = 4;
/** Told when the scene begins anew in one tab: the others have lost it then. */
const channel = new BroadcastChannel(database);

/** What became of a key: it stands; its record is damaged and nobody has noticed yet; it was set aside. */
type Fate = "stands" | "damaged" | "set aside";

export class DamagePanel {
  #machine: OlmMachine | undefined;
  #keys: readonly RecordedKey[] = [];
  #damaged = new Map<string, Damage>();
  #reports: StoreReport[] = [];
  readonly #turns = new Turns(() => byId("damage"));
  readonly #recorded: RecordedAccount;

  constructor(recorded: RecordedAccount) {
    this.#recorded = recorded;
  }

  start(): void {
    byId("damage-reopen").addEventListener("click", () => this.#do(() => this.#reopen()));
    byId("damage-receive").addEventListener("click", () => this.#do(() => this.#receive()));
    byId("damage-restart").addEventListener("click", () => this.#do(() => this.#restart()));
    channel.addEventListener("message", () => this.#do(async () => {
      await closeMachine(this.#machine);
      this.#machine = undefined;
      this.#keys = [];
      this.#reports = [];
      return "Another tab has this scene now. Start over to have it here.";
    }));
    this.#do(async () => {
      await this.#restart();
      return "";
    });
  }

  /** What an action returns is said. */
  #do(action: () => Promise<string>): void {
    const turn = async (): Promise<void> => {
      const said = await action();
      await this.#draw();
      say("damage-status", "", said);
    };
    this.#turns.take(turn, (sentence) => say("damage-status", "bad", sentence));
  }

  async #open(): Promise<OlmMachine> {
    const { userId, deviceId, identityKeys } = this.#recorded;
    const machine = await OlmMachine.open({ userId, deviceId, identityKeys, store: { name: database } });
    machine.registerStoreReportCallback((report) => {
      if (report.code === "record_quarantined") this.#reports.push(report);
    });
    this.#machine = machine;
    return machine;
  }

  /** An empty database, the sender's identity, two recorded keys of hers and four that are made here. */
  async #restart(): Promise<string> {
    await closeMachine(this.#machine);
    await deleteDatabase(database);
    channel.postMessage("restarted");
    this.#damaged.clear();
    this.#reports = [];
    const machine = await this.#open();
    await machine.updateTrackedUsers([...new Set(this.#recorded.keys.map(({ sender }) => sender))]);
    await machine.receiveKeysQueryResponse(this.#recorded.answers.at(-1) ?? "{}", machine.queryKeysForUsers(machine.outdatedUsers()).id);
    this.#keys = [...this.#recorded.keys, ...(await Promise.all(Array.from({ length: made }, () => makeKey(this.#recorded))))];
    return this.#receive();
  }

  async #receive(): Promise<string> {
    if (this.#machine === undefined) await this.#open();
    await this.#machine?.receiveRoomKeys(this.#keys).stored;
    const healed = this.#damaged.size;
    this.#damaged.clear();
    this.#reports = [];
    return healed === 0 ? `${this.#keys.length} room keys are stored.` : "Received again, and stored: all keys stand.";
  }

  async #reopen(): Promise<string> {
    await closeMachine(this.#machine);
    this.#reports = [];
    const machine = await this.#open();
    const stands = (await Promise.all(this.#keys.map((key) => this.#copy(machine, key)))).filter((copy) => copy !== null).length;
    if (stands === this.#keys.length) return "Opened again: every key stands.";
    return `Opened again: ${this.#keys.length - stands === 1 ? "one record is" : `${this.#keys.length - stands} records are`} set aside, ${stands} keys stand.`;
  }

  /** Closes the machine and turns a bit of the key's record. It stays closed until it is opened again. */
  async #damage(key: RecordedKey): Promise<string> {
    await closeMachine(this.#machine);
    this.#machine = undefined;
    this.#damaged.set(key.sessionId, await damageRecord(database, key.sessionId));
    return "One bit is turned. Nobody has noticed: close and reopen.";
  }

  async #copy(machine: OlmMachine, { roomId, sessionId }: RecordedKey): Promise<CopyExplanation | null> {
    await machine.loadRoom(roomId);
    return (await machine.explain(roomId, sessionId)).copies[0] ?? null;
  }

  async #draw(): Promise<void> {
    const tiles: HTMLElement[] = [];
    for (const [i, key] of this.#keys.entries()) tiles.push(this.#tile(key, i, ...(await this.#look(key))));
    fill(byId("damage-keys"), ...tiles);
    const [report] = this.#reports;
    const said = report === undefined ? [] : ["The machine reported ", el("code", { "data-report": report.code }, report.code), `: ${report.message}`];
    fill(byId("damage-report"), ...said);
  }

  /** What the machine says of a key: what became of it, its copy, and its message. While the machine is closed it says nothing. */
  async #look(key: RecordedKey): Promise<[fate: Fate, copy: CopyExplanation | null, said: string]> {
    const machine = this.#machine;
    const event = this.#recorded.events.find(({ sessionId }) => sessionId === key.sessionId);
    const unasked = event === undefined ? "made here" : "recorded";
    if (machine === undefined) return [this.#damaged.has(key.sessionId) ? "damaged" : "stands", null, unasked];
    const copy = await this.#copy(machine, key);
    const fate = copy === null ? "set aside" : "stands";
    if (event === undefined) return [fate, copy, unasked];
    const { body, verdict } = await decrypt(machine, event.text, event.roomId);
    return [fate, copy, body === null ? `its message: ${verdict.code ?? ""}` : `opens “${body}”`];
  }

  #tile(key: RecordedKey, i: number, fate: Fate, copy: CopyExplanation | null, said: string): HTMLElement {
    const done = this.#damaged.get(key.sessionId);
    const damage = (): void => this.#do(() => this.#damage(key));
    const hex = (byte: number): string => byte.toString(16).padStart(2, "0");
    return el(
      "li",
      { class: "tile", "data-fate": fate, "data-session": key.sessionId },
      el("p", { class: "tile-head" }, short(key.sessionId), el("span", { class: "fate" }, fate)),
      el("p", {}, copy === null ? el("span", { class: "badge" }, fate === "set aside" ? "no key" : "not asked") : badge(copy), el("span", { class: "under" }, said)),
      done !== undefined && el("p", { class: "diff" }, `byte ${done.byte} of ${done.length}: `, el("del", {}, hex(done.before)), " ", el("ins", {}, hex(done.after))),
      fate === "stands" && el("button", { type: "button", id: `damage-${i + 1}`, "aria-label": `Damage it: key ${i + 1}`, click: damage }, "Damage it"),
    );
  }
}
