// The page: plays the stages, draws what the machines say, and answers to clicks. `demo` is for whoever runs the page from outside.

import { initAsync, type TrustRequirement } from "../dist/index.js";
import { requirements, type Account, type MessageRow, type SessionRow } from "./account.js";
import { Board } from "./board.js";
import { DamagePanel } from "./damage.js";
import { breakable, byId, el, fill, say, short } from "./dom.js";
import { Files } from "./files.js";
import { FilesPanel } from "./filespanel.js";
import { Lanes } from "./lanes.js";
import { matrix, type Policy } from "./matrix.js";
import { Player } from "./player.js";
import { readExports, readRecording, type RecordedAccount } from "./recording.js";
import { compare, comparisonTable } from "./reopened.js";
import type { Scene } from "./scenes.js";
import { badge, sessionTable, type MissingKey } from "./sessions.js";
import { closeAll, deleteAll, openAll, play, stages, type Stage } from "./stage.js";
import { attempts, card, type Outcome } from "./tamper.js";
import { timeline } from "./timeline.js";
import { Turns } from "./turns.js";
import { inShort, why } from "./why.js";
import { policies } from "./words.js";

/** What the page shows, as data. */
export interface Shown {
  readonly stage: Stage;
  readonly rows: readonly SessionRow[];
  readonly missing: readonly MissingKey[];
  /** Under the policy in force. */
  readonly messages: readonly MessageRow[];
}

/** What it would show under each policy. */
export interface Report extends Omit<Shown, "messages"> {
  readonly messages: { readonly [requirement in TrustRequirement]: readonly MessageRow[] };
}

/** Where a tab says that it has gone on with the play: the others have the same databases. */
const channel = new BroadcastChannel("knownsender-demo-play");

class Demo {
  #recording: readonly RecordedAccount[] = [];
  #accounts: Account[] = [];
  #policy: Policy = { rows: [] };
  #stage: Stage = 1;
  #requirement: TrustRequirement = "Untrusted";
  #chosen = "";
  #shown: Shown | undefined;
  #outcomes = new Map<string, Outcome>();
  readonly #turns = new Turns(() => byId("top"));

  /** The lanes board: it goes its own way beside the play. */
  readonly board = new Board();

  /** The panel of key files, which goes its own way too. */
  readonly files = new FilesPanel();

  /** What plays the scenes in the page. */
  player: Player | undefined;

  /** Resolves when nothing is under way; rejects with what went wrong last. */
  idle(): Promise<void> {
    return this.#turns.idle();
  }

  /** Asks the machines for everything, under each policy. */
  async report(): Promise<Report> {
    await this.#turns.idle();
    const messages: MessageRow[][] = [];
    for (const requirement of requirements) messages.push(await this.#messages(requirement));
    await this.#messages(this.#requirement);
    const [Untrusted = [], CrossSignedOrLegacy = [], CrossSigned = [], Verified = []] = messages;
    return { stage: this.#stage, ...(await this.#keys()), messages: { Untrusted, CrossSignedOrLegacy, CrossSigned, Verified } };
  }

  /** What came of the attempts at tampering that were made, by name. */
  get outcomes(): Record<string, Outcome> {
    return Object.fromEntries(this.#outcomes);
  }

  start(): void {
    this.#drawChoices();
    channel.addEventListener("message", () => this.#do(() => this.#follow()));
    byId("reopen-now").addEventListener("click", () => this.#do(() => this.#reopen()));
    this.#do(async () => {
      await initAsync();
      this.#recording = await readRecording((path) => fetchText(`/recorded/${path}`));
      this.#policy = JSON.parse(await fetchText("/policy.json")) as Policy;
      // The receiver whose sender signs her device: her identity is known from the last answer.
      const signed = this.#recording.find(({ answers }) => answers.length > 1);
      if (signed === undefined) throw new Error("The recording is not whole.");
      this.#drawTampering(signed);
      this.player = new Player(JSON.parse(await fetchText("/demo/scenes.json")) as Scene[]);
      this.player.start();
      await this.#openOrPlay();
      new DamagePanel(signed).start();
      this.board.start((changed) => new Lanes(this.#recording, changed));
      this.files.start(new Files(this.#recording, await readExports((path) => fetchText(`/recorded/${path}`))));
    });
  }

  #do(action: () => Promise<void>): void {
    this.#turns.take(action, (sentence) => say("status", "bad", sentence));
  }

  /** Finds the play where a former visit left it, or begins it. */
  async #openOrPlay(): Promise<void> {
    this.#accounts = await openAll(this.#recording);
    const keys = await this.#keys();
    if (keys.rows.length === this.#recording.flatMap(({ keys }) => keys).length) {
      await this.#show(stageOf(keys.rows));
      say("status", "good", "Opened from IndexedDB, where the last visit left it.");
      return;
    }
    await this.#playTo(1);
  }

  /** Plays to a stage: on from where we are, or from the beginning with empty databases. */
  async #playTo(stage: Stage): Promise<void> {
    let from = this.#shown?.stage ?? 0;
    if (from === 0 || stage <= from) {
      await closeAll(this.#accounts);
      await deleteAll(this.#recording);
      this.#accounts = await openAll(this.#recording);
      from = 0;
    }
    await play(this.#accounts, from, stage);
    await this.#show(stage);
    say("status", "", "");
    channel.postMessage(stage);
  }

  /** Another tab has gone on, or begun anew. */
  async #follow(): Promise<void> {
    await closeAll(this.#accounts);
    this.#accounts = await openAll(this.#recording);
    await this.#show(stageOf((await this.#keys()).rows));
    say("status", "", "Another tab has gone on; this one shows the same.");
  }

  /** Closes every machine, opens new ones on the same databases, and compares what they say. */
  async #reopen(): Promise<void> {
    const before = this.#shown;
    if (before === undefined) return;
    const from = performance.now();
    await closeAll(this.#accounts);
    this.#accounts = await openAll(this.#recording);
    const after = await this.#show(this.#stage);
    const took = Math.round(performance.now() - from);
    const comparisons = compare(before, after);
    fill(byId("reopened"), comparisonTable(comparisons));
    const same = comparisons.every((one) => one.same);
    if (same) say("reopen-status", "good", `Closed, and opened again from IndexedDB in ${took} ms: everything is the same.`);
    else say("reopen-status", "bad", "Opened again, and something is different.");
  }

  /** Asks the machines for the table. */
  async #keys(): Promise<Pick<Shown, "rows" | "missing">> {
    const rows = (await Promise.all(this.#accounts.map((account) => account.rows()))).flat();
    const missing: MissingKey[] = [];
    for (const account of this.#accounts) {
      for (const text of account.recorded.withheld) {
        const { content } = JSON.parse(text) as { content: { room_id: string; session_id: string } };
        const { withheld } = await account.explain({ roomId: content.room_id, sessionId: content.session_id });
        if (withheld !== null) missing.push({ sessionId: content.session_id, notice: withheld });
      }
    }
    return { rows, missing };
  }

  /** Decrypts the messages under a policy, which is in force from then on. What it withholds is nowhere in what comes back. */
  async #messages(requirement: TrustRequirement): Promise<MessageRow[]> {
    return (await Promise.all(this.#accounts.map((account) => account.messages(requirement)))).flat();
  }

  async #show(stage: Stage): Promise<Shown> {
    const shown = { stage, ...(await this.#keys()), messages: await this.#messages(this.#requirement) };
    this.#shown = shown;
    this.#stage = stage;
    for (const input of document.querySelectorAll<HTMLInputElement>("#stages input")) {
      input.checked = Number(input.value) === stage;
      input.parentElement?.classList.toggle("past", Number(input.value) < stage);
    }
    byId("story").textContent = stages.find((one) => one.stage === stage)?.story ?? "";
    this.#draw();
    return shown;
  }

  #draw(): void {
    if (this.#shown === undefined) return;
    const { rows, missing, messages } = this.#shown;
    const chosen = rows.find(({ sessionId }) => sessionId === this.#chosen) ?? rows[0];
    const choose = (row: SessionRow): void => {
      this.#chosen = row.sessionId;
      this.#draw();
    };
    fill(byId("sessions"), sessionTable(rows, missing, chosen?.sessionId ?? "", choose));
    const pick = (row: SessionRow): HTMLElement =>
      choice("why", row.sessionId, row === chosen, () => choose(row), short(row.sessionId, 6), badge(row.copy), el("small", {}, row.title));
    fill(byId("why-keys"), el("legend", { class: "quiet" }, "Room key"), ...rows.map(pick));
    fill(byId("why-panel"), ...(chosen === undefined ? [] : why(chosen)));
    byId("why-status").textContent = chosen === undefined ? "" : inShort(chosen);
    fill(byId("timeline"), ...timeline(messages));
    fill(byId("matrix"), matrix(this.#policy, rows, this.#requirement));
    const visible = messages.filter(({ verdict }) => verdict.shown).length;
    byId("policy-status").textContent = `${this.#requirement}: ${visible} of ${messages.length} messages are shown.`;
  }

  #drawChoices(): void {
    for (const { stage, title } of stages) {
      const play = (): void => this.#do(() => this.#playTo(stage));
      byId("stages").append(choice("stage", String(stage), stage === this.#stage, play, el("span", { class: "number" }, String(stage)), title));
    }
    for (const requirement of requirements) {
      const set = (): void => this.#do(() => this.#setPolicy(requirement));
      byId("policies").append(choice("policy", requirement, requirement === this.#requirement, set, ...breakable(requirement), el("small", {}, policies[requirement])));
    }
  }

  async #setPolicy(requirement: TrustRequirement): Promise<void> {
    this.#requirement = requirement;
    await this.#show(this.#stage);
  }

  #drawTampering(recorded: RecordedAccount): void {
    byId("tamper").append(
      ...attempts(recorded).map((attempt) => card(attempt, (outcome) => this.#do(async () => void this.#outcomes.set(attempt.name, await outcome)))),
    );
  }
}

/** A radio button that looks like what it chooses. */
function choice(name: string, value: string, checked: boolean, chosen: () => void, ...label: (Node | string | null | false)[]): HTMLElement {
  const id = `${name}-${value.replaceAll(/[^A-Za-z0-9]/g, "-")}`;
  return el("label", { class: "choice" }, el("input", { id, type: "radio", name, value, checked, change: chosen }), el("span", {}, ...label));
}

/** How far the play has come, told by what is known. */
function stageOf(rows: readonly SessionRow[]): Stage {
  const known = rows.filter(({ copy }) => copy.senderData.masterKey !== undefined).length;
  return known === 0 ? 1 : known === 1 ? 2 : 3;
}

async function fetchText(path: string): Promise<string> {
  const response = await fetch(path);
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response.text();
}

export const demo = new Demo();
demo.start();
