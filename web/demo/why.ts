// Why this verdict: the finder's steps, A to J, with the way that was taken lit.

import type { CopyExplanation, ExplanationStep } from "../dist/index.js";
import type { SessionRow } from "./account.js";
import { el, short } from "./dom.js";
import { badge, verdictList } from "./sessions.js";
import { found, questions, states } from "./words.js";

const time = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });

/** The panel for one room key. */
export function why(row: SessionRow): HTMLElement[] {
  const { copy } = row;
  return [
    el("ol", { class: "steps", "aria-label": "The way" }, ...questions.map(({ step, asks }) => line(copy, step, asks))),
    el(
      "div",
      { class: "conclusions" },
      el("h3", {}, "So the sender is"),
      el("p", { class: "conclusion" }, badge(copy), el("span", { class: "under" }, states.find(({ type }) => type === copy.senderData.type)?.says ?? "")),
      el("h3", {}, "And each policy says"),
      verdictList(row.verdicts),
      el("h3", {}, "What would change it"),
      el("p", { class: "change" }, copy.wouldChange),
      el("h3", {}, "The key"),
      facts(row),
    ),
  ];
}

/** The way and where it ends, for those who do not see it lit. */
export function inShort({ sessionId, copy }: SessionRow): string {
  return `${sessionId.slice(0, 6)}…: ${copy.senderData.type}, by the steps ${[...new Set(copy.steps.map(({ step }) => step))].join(", ")}.`;
}

function facts({ sender, sessionId, copy }: SessionRow): HTMLElement {
  const { masterKey } = copy.senderData;
  return el(
    "dl",
    { class: "facts" },
    el("dt", {}, "Session"),
    el("dd", {}, short(sessionId, 20)),
    el("dt", {}, "Sender"),
    el("dd", {}, sender),
    el("dt", {}, "Sender key"),
    el("dd", {}, short(copy.senderKey, 20)),
    el("dt", {}, "Master key"),
    el("dd", {}, masterKey === undefined ? "none known" : short(masterKey, 20)),
    el("dt", {}, "Arrived"),
    el("dd", {}, time.format(copy.receivedAt)),
  );
}

/** Steps that a known sender has behind it. They are taken once: what is known stays known, whatever becomes of the device. */
const behind: readonly ExplanationStep["step"][] = ["D", "E", "G", "H"];

function line({ steps }: CopyExplanation, letter: ExplanationStep["step"], asks: string): HTMLElement {
  const taken = steps.filter(({ step }) => step === letter);
  const settled = taken.length === 0 && behind.includes(letter) && steps.some(({ evidence }) => evidence === "already_known");
  const last = steps.at(-1)?.step === letter;
  const words = [...new Set(taken.map(({ evidence }) => evidence))];
  return el(
    "li",
    { class: ["step", taken.length > 0 && "lit", settled && "settled", last && "last"].filter(Boolean).join(" "), "data-step": letter },
    el("span", { class: "letter", "aria-hidden": "true" }, letter),
    el("p", {}, el("span", { class: "quiet" }, `Step ${letter}, ${taken.length > 0 ? "taken" : settled ? "taken when it became known" : "not taken"}: `), asks),
    ...words.map((word) => el("p", { class: "evidence" }, words.length > 1 ? `${where(taken, word)}: ${found(word)}` : found(word))),
  );
}

function where(steps: readonly ExplanationStep[], word: string): string {
  return steps.find(({ evidence }) => evidence === word)?.device === "embedded" ? "With the key" : "From the server";
}
