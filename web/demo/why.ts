// Why this verdict: the finder's steps, A to J, with the way that was taken lit.

import type { CopyExplanation, ExplanationStep } from "../dist/index.js";
import type { SessionRow } from "./account.js";
import { el, short } from "./dom.js";
import { badge } from "./sessions.js";
import { found, questions } from "./words.js";

const time = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });

/** The panel for one room key. */
export function why(row: SessionRow): HTMLElement[] {
  const { copy } = row;
  const { masterKey } = copy.senderData;
  return [
    el("p", {}, badge(copy), " ", short(row.sessionId)),
    el("ol", { class: "steps" }, ...questions.map(({ step, asks }) => line(copy, step, asks))),
    el("p", { class: "change" }, el("b", {}, "What would change it"), copy.wouldChange),
    el(
      "dl",
      { class: "facts" },
      el("dt", {}, "Arrived"),
      el("dd", {}, time.format(copy.receivedAt)),
      el("dt", {}, "Sender key"),
      el("dd", {}, short(copy.senderKey, 20)),
      el("dt", {}, "Master key"),
      el("dd", {}, masterKey === undefined ? "none known" : short(masterKey, 20)),
    ),
  ];
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
    { class: ["step", taken.length > 0 && "lit", settled && "settled", last && "last"].filter(Boolean).join(" ") },
    el("span", { class: "letter", "aria-hidden": "true" }, letter),
    el("p", {}, el("span", { class: "quiet" }, `Step ${letter}, ${taken.length > 0 ? "taken" : settled ? "taken when it became known" : "not taken"}: `), asks),
    ...words.map((word) => el("p", { class: "evidence" }, words.length > 1 ? `${where(taken, word)}: ${found(word)}` : found(word))),
  );
}

function where(steps: readonly ExplanationStep[], word: string): string {
  return steps.find(({ evidence }) => evidence === word)?.device === "embedded" ? "With the key" : "From the server";
}
