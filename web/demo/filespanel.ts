// The panel of key files: what was chosen, how far the import is, what came of it, and what is stored. Only what begins and ends is said aloud, by
// a status line; progress is drawn.

import { KnownSenderError, type ImportFailure, type ImportProgress, type ImportResult } from "../dist/index.js";
import { byId, el, fill, say, short } from "./dom.js";
import { isSealed, madePassphrase, type Files, type KeyFile, type Stored, type StoredKey } from "./files.js";
import { badge, verdictList } from "./sessions.js";
import { Turns } from "./turns.js";

/** What became of the last import. */
export interface LastImport {
  readonly result: ImportResult | null;
  /** Why there is no result. */
  readonly code: string | null;
  /** Everything that was told while it was under way. */
  readonly progress: readonly ImportProgress[];
}

/** What the panel shows, as data. */
export interface FilesShown extends Stored {
  readonly last: LastImport | null;
}

/** How many keys can be made: some to see how it goes, and so many that there is time to cancel. */
const madeCounts = [5000, 30_000] as const;

/** How many failures are drawn. */
const mostFailures = 20;

/** The two status lines: of the import, and of what is stored. */
type Line = "files-status" | "files-stored-status";

const numbers = new Intl.NumberFormat("en-GB");

export class FilesPanel {
  #files: Files | undefined;
  #file: KeyFile | undefined;
  #stored: Stored = { total: 0, rooms: 0, keys: [] };
  #last: LastImport | null = null;
  #stop: AbortController | undefined;
  #saved = "";
  #busy = false;
  readonly #turns = new Turns(() => byId("files"));

  /** Opens the machine and draws what it has. */
  start(files: Files): void {
    this.#files = files;
    const click = (id: string, line: Line, action: () => Promise<string> | string): void => byId(id).addEventListener("click", () => this.#try(id, line, action));
    const submit = (form: string, button: string, line: Line, action: () => Promise<string>): void => byId(form).addEventListener("submit", (event) => {
      event.preventDefault();
      this.#try(button, line, action);
    });
    const picker = field("files-input");
    byId("files-choose").addEventListener("click", () => {
      if (enabled("files-choose")) picker.click();
    });
    picker.addEventListener("change", () => {
      this.#take(picker.files);
      picker.value = ""; // the same file may be chosen again
    });
    for (const recorded of files.exports) click(`files-recorded-${recorded.account}`, "files-status", () => this.#choose(recorded, recorded.passphrase, ` It was written by ${recorded.client}.`));
    for (const count of madeCounts) {
      click(`files-make-${count}`, "files-status", async () => {
        say("files-status", "", `Making ${numbers.format(count)} sessions…`);
        return this.#choose(await files.make(count), madePassphrase, " Three entries are spoilt. Each of three rooms claims something else: the recorded device; its sender key beside a wrong fingerprint key; a device of nobody’s.");
      });
    }
    submit("files-form", "files-import", "files-status", () => this.#import(files));
    byId("files-cancel").addEventListener("click", () => this.#stop?.abort());
    click("files-ask", "files-stored-status", () => this.#ask(files));
    click("files-restart", "files-stored-status", async () => {
      await files.restart();
      this.#last = null;
      this.#drawLast();
      this.#drawSaved("");
      say("files-status", "", "");
      return "The database is empty again.";
    });
    submit("files-export-form", "files-export", "files-stored-status", () => this.#export(files));
    byId("files-reveal").addEventListener("click", () => this.#reveal());
    this.#watchDrops();
    this.#do("files-stored-status", async () => {
      await files.open();
      const total = await files.count();
      return total === 0 ? "" : `Opened from IndexedDB: ${keys(total)}.`;
    });
  }

  /** Resolves when nothing that was clicked is under way. Rejects with what went wrong last. */
  idle(): Promise<void> {
    return this.#turns.idle();
  }

  /** What is drawn, asked of the machine once more. */
  async report(): Promise<FilesShown> {
    await this.#turns.idle().catch(() => undefined);
    if (this.#files === undefined) throw new Error("The panel was not started.");
    return { ...(await this.#files.look()), last: this.#last };
  }

  #try(id: string, line: Line, action: () => Promise<string> | string): void {
    if (enabled(id)) this.#do(line, action);
  }

  /** What an action returns is said on its line. */
  #do(line: Line, action: () => Promise<string> | string): void {
    const turn = async (): Promise<void> => {
      this.#busy = true;
      this.#drawControls();
      try {
        say(line, "", await action());
      } finally {
        await this.#look();
        this.#busy = false;
        this.#drawControls();
      }
    };
    this.#turns.take(turn, (sentence) => say(line, "bad", sentence));
  }

  #choose(file: KeyFile, passphrase: string, note = ""): string {
    this.#file = file;
    field("files-passphrase").value = passphrase;
    const size = file.text.length < 2048 ? `${numbers.format(file.text.length)} characters` : `${numbers.format(Math.round(file.text.length / 1024))} KiB`;
    fill(byId("files-chosen"), el("b", {}, file.name), `, ${size}${isSealed(file.text) ? "" : ", not encrypted: it needs no passphrase"}.${note}`);
    return "The file is ready to be imported.";
  }

  /** Takes a file that was dropped or chosen; of several the first. */
  #take(list: FileList | null | undefined): void {
    const file = list?.[0];
    if (file === undefined || !enabled("files-choose")) return;
    this.#do("files-status", async () => {
      const said = this.#choose({ name: file.name, text: await file.text() }, "");
      field("files-passphrase").focus();
      return said;
    });
  }

  #watchDrops(): void {
    const zone = byId("files-drop");
    const carries = (event: DragEvent): boolean => event.dataTransfer?.types.includes("Files") === true;
    addEventListener("dragover", (event) => {
      if (!carries(event)) return;
      event.preventDefault(); // or the browser would leave this page for the file
      zone.classList.add("over");
    });
    addEventListener("dragleave", (event) => {
      if (event.relatedTarget === null) zone.classList.remove("over");
    });
    addEventListener("drop", (event) => {
      if (!carries(event)) return;
      event.preventDefault();
      zone.classList.remove("over");
      zone.scrollIntoView({ block: "nearest" });
      this.#take(event.dataTransfer?.files);
    });
  }

  async #import(files: Files): Promise<string> {
    const file = this.#file;
    if (file === undefined) return "";
    const stop = (this.#stop = new AbortController());
    const progress: ImportProgress[] = [];
    const before = await files.count();
    this.#last = null;
    this.#drawLast();
    byId("files-progress").removeAttribute("value"); // opening it takes a moment, and nobody can say how long
    say("files-status", "", `Importing ${file.name}…`);
    this.#drawControls();
    const from = performance.now();
    try {
      const result = await files.import(file, field("files-passphrase").value, {
        signal: stop.signal,
        progressCallback: (now) => {
          progress.push(now);
          drawProgress(now);
        },
      });
      this.#last = { result, code: null, progress };
      const { imported, unchanged, better, failed, total } = result;
      const took = ((performance.now() - from) / 1000).toFixed(1);
      return `${keys(total)} in ${took} s: ${numbers.format(imported)} new, ${numbers.format(unchanged)} here before, ${numbers.format(better)} better than before, ${numbers.format(failed)} failed.`;
    } catch (thrown) {
      if (!(thrown instanceof KnownSenderError)) throw thrown;
      this.#last = { result: null, code: thrown.code, progress };
      if (thrown.code !== "aborted") throw thrown;
      const now = (await files.count()) - before;
      return `Cancelled: ${keys(now)} of it ${now === 1 ? "is" : "are"} stored, in whole chunks. Import again, and it goes on from there.`;
    } finally {
      this.#stop = undefined;
      if (progress.length === 0) byId("files-progress").setAttribute("value", "0");
      this.#drawLast();
    }
  }

  /** The answers come: hints may appear. That nothing else does is looked at, not supposed. */
  async #ask(files: Files): Promise<string> {
    const before = await files.look();
    await files.ask();
    const after = await files.look();
    const hints = after.keys.filter(({ copy }, i) => JSON.stringify(copy.hint) !== JSON.stringify(before.keys[i]?.copy.hint)).length;
    const same = JSON.stringify(before.keys.map(withoutHint)) === JSON.stringify(after.keys.map(withoutHint));
    if (!same) throw new Error("What is known of an imported key has changed.");
    return hints === 0 ? "Answered. No key below claims anything that is new." : `Answered: ${hints === 1 ? "one hint is" : `${hints} hints are`} new below. What is known of the senders, and what the policies say, is as before.`;
  }

  async #export(files: Files): Promise<string> {
    const { text, count } = await files.export(field("files-export-passphrase").value);
    this.#drawSaved(text, count);
    return `A key file of ${keys(count)} is written. Save it below.`;
  }

  #drawSaved(text: string, count = 0): void {
    if (this.#saved !== "") URL.revokeObjectURL(this.#saved);
    this.#saved = text === "" ? "" : URL.createObjectURL(new Blob([text], { type: "text/plain" }));
    fill(byId("files-saved"), text !== "" && el("a", { id: "files-download", href: this.#saved, download: "knownsender-keys.txt" }, `Save knownsender-keys.txt, ${keys(count)}`));
  }

  #reveal(): void {
    const passphrase = field("files-passphrase");
    const hidden = passphrase.type === "password";
    passphrase.type = hidden ? "text" : "password";
    byId("files-reveal").setAttribute("aria-pressed", String(hidden));
  }

  async #look(): Promise<void> {
    if (this.#files === undefined) return;
    try {
      this.#stored = await this.#files.look();
    } catch (thrown) {
      say("files-stored-status", "bad", thrown instanceof Error ? thrown.message : String(thrown));
      return;
    }
    const { total, rooms, keys: drawn } = this.#stored;
    byId("files-stored").textContent =
      total === 0 ? "Nothing yet." : `${keys(total)} in ${rooms === 1 ? "one room" : `${numbers.format(rooms)} rooms`}${drawn.length < total ? `; ${drawn.length} are drawn, some of each room` : ""}. What they claim is looked up now and stored nowhere.`;
    fill(byId("files-keys"), ...drawn.map(keyCard));
  }

  #drawLast(): void {
    const { result = null, code = null, progress = [] } = this.#last ?? {};
    drawProgress(progress.at(-1) ?? { stage: "load_keys", successes: 0, failures: 0, total: 0 });
    byId("files-result").dataset["code"] = code ?? "";
    fill(byId("files-result"), ...(result === null ? [] : [roomTable(result), ...failureTable(result)]));
  }

  #drawControls(): void {
    // Not `disabled`, which would take the focus from under the finger.
    const enable = (id: string, can: boolean): void => byId(id).setAttribute("aria-disabled", String(!can));
    const idle = !this.#busy;
    for (const id of ["files-choose", "files-ask", ...madeCounts.map((count) => `files-make-${count}`), ...(this.#files?.exports ?? []).map(({ account }) => `files-recorded-${account}`)]) enable(id, idle);
    enable("files-import", idle && this.#file !== undefined);
    enable("files-cancel", this.#stop !== undefined);
    enable("files-export", idle && this.#stored.total > 0);
    enable("files-restart", idle);
  }
}

/** A card without what depends on the claimed device. */
function withoutHint({ copy, ...rest }: StoredKey): object {
  const { hint: _, why: __, ...known } = copy;
  return { ...rest, copy: known };
}

function keyCard({ roomId, sessionId, copy, verdicts, body }: StoredKey): HTMLElement {
  return el(
    "article",
    { class: "card stored", "data-session": sessionId, "data-state": copy.senderData.type, "data-hint": copy.hint === null ? "" : `${copy.hint.userId} ${copy.hint.deviceId}` },
    el("header", {}, short(sessionId), badge(copy)),
    el("p", {}, roomId, el("span", { class: "under" }, body === null ? "no recorded message" : `opens “${body}”`)),
    copy.why !== null && el("p", { class: "change" }, el("b", {}, "What it is"), copy.why),
    el("p", { class: "change" }, el("b", {}, "What would change it"), copy.wouldChange),
    verdictList(verdicts),
  );
}

function roomTable({ rooms }: ImportResult): HTMLElement {
  const head = ["Room", "New", "Here before", "Better", "Failed"];
  return el(
    "div",
    { class: "scroll" },
    el(
      "table",
      { class: "numbers" },
      el("caption", { class: "quiet" }, "What came of the import, by room"),
      el("thead", {}, el("tr", {}, ...head.map((title) => el("th", { scope: "col" }, title)))),
      el("tbody", {}, ...Object.entries(rooms).map(([room, counts]) => el("tr", { "data-room": room }, el("th", { scope: "row" }, room), ...[counts.imported, counts.unchanged, counts.better, counts.failed].map((count) => el("td", {}, numbers.format(count)))))),
    ),
  );
}

function failureTable({ failures, failed }: ImportResult): HTMLElement[] {
  if (failed === 0) return [];
  const line = ({ position, code, message }: ImportFailure): HTMLElement => el("tr", { "data-position": position, "data-code": code }, el("th", { scope: "row" }, numbers.format(position)), el("td", {}, el("code", {}, code), el("span", { class: "under" }, message)));
  const table = el(
    "table",
    { class: "failures" },
    el("caption", { class: "quiet" }, "Entries that failed"),
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Position"), el("th", { scope: "col" }, "Why it failed"))),
    el("tbody", {}, ...failures.slice(0, mostFailures).map(line)),
  );
  const more = failed - Math.min(failures.length, mostFailures);
  return [el("div", { class: "scroll" }, table), ...(more > 0 ? [el("p", { class: "under" }, `${numbers.format(more)} more failed.`)] : [])];
}

function drawProgress({ successes, failures, total }: ImportProgress): void {
  const bar = byId("files-progress");
  bar.setAttribute("max", String(Math.max(total, 1)));
  bar.setAttribute("value", String(successes + failures));
  byId("files-successes").textContent = numbers.format(successes);
  byId("files-failures").textContent = numbers.format(failures);
  byId("files-total").textContent = numbers.format(total);
}

function field(id: string): HTMLInputElement {
  const found = byId(id);
  if (!(found instanceof HTMLInputElement)) throw new Error(`${id} is no field.`);
  return found;
}

function enabled(id: string): boolean {
  return byId(id).getAttribute("aria-disabled") !== "true";
}

function keys(count: number): string {
  return count === 1 ? "1 room key" : `${numbers.format(count)} room keys`;
}
