// Closing and opening again: what the machines said before and after, held against each other part by part.

import type { MessageRow, SessionRow } from "./account.js";
import { requirements } from "./account.js";
import { el } from "./dom.js";

/** What the machines said at one time. */
export interface Said {
  readonly rows: readonly SessionRow[];
  readonly messages: readonly MessageRow[];
}

export interface Comparison {
  readonly what: string;
  readonly count: number;
  readonly same: boolean;
}

/** Compares all there is, not a digest of it. */
export function compare(before: Said, after: Said): readonly Comparison[] {
  const part = (what: string, count: number, of: (said: Said) => unknown): Comparison => {
    return { what, count, same: JSON.stringify(of(before)) === JSON.stringify(of(after)) };
  };
  const keys = before.rows.length;
  return [
    part("room keys, and where each begins", keys, ({ rows }) => rows.map(({ sessionId, copy }) => [sessionId, copy.senderKey, copy.firstKnownIndex])),
    part("senders, as known now and on arrival", keys, ({ rows }) => rows.map(({ copy }) => [copy.senderData, copy.atReception])),
    part("explanations, step by step", keys, ({ rows }) => rows.map(({ copy }) => copy)),
    part("verdicts", keys * requirements.length, ({ rows }) => rows.map(({ verdicts }) => verdicts)),
    part("messages, decrypted again", before.messages.length, ({ messages }) => messages),
  ];
}

/** The comparison as a table. */
export function comparisonTable(comparisons: readonly Comparison[]): HTMLElement {
  return el(
    "table",
    { class: "compared" },
    el("caption", { class: "quiet" }, "What the machines said before and after"),
    el("thead", {}, el("tr", {}, ...["Compared", "How many", "Afterwards"].map((title) => el("th", { scope: "col" }, title)))),
    el("tbody", {}, ...comparisons.map(line)),
  );
}

function line({ what, count, same }: Comparison): HTMLElement {
  const said = same ? "the same" : "different";
  return el("tr", { "data-same": said }, el("th", { scope: "row" }, what), el("td", {}, String(count)), el("td", {}, el("span", { class: same ? "yes" : "wrong" }, said)));
}
