// The table of room keys.

import type { CopyExplanation, SenderData, TrustRequirement, Verdict, WithheldNotice } from "../dist/index.js";
import { requirements, type SessionRow } from "./account.js";
import { el, short, withRoles } from "./dom.js";

/** A key that was kept back, and the notice that says so. */
export interface MissingKey {
  readonly sessionId: string;
  readonly notice: WithheldNotice;
}

/** The badge of what is known of a sender. */
export function badge(copy: { readonly senderData: SenderData; readonly suspended: boolean; readonly legacySession: boolean }): HTMLElement {
  const { type } = copy.senderData;
  return el(
    "span",
    {},
    el("span", { class: `badge badge-${copy.suspended ? "suspended" : type.toLowerCase()}` }, type),
    copy.suspended && el("span", { class: "tag" }, "suspended"),
    copy.legacySession && el("span", { class: "tag" }, "legacy"),
  );
}

/** Where the sender was learnt from. */
function learnt({ senderData, steps }: CopyExplanation): string {
  if (senderData.masterKey !== undefined) return `cross-signed, under ${senderData.masterKey.slice(0, 6)}…`;
  const word = steps.find(({ step }) => step === "B")?.evidence;
  switch (word) {
    case "embedded":
      return "came with the key";
    case "stored":
      return "from /keys/query";
    case "embedded_and_stored":
      return "with the key, and /keys/query";
    default:
      return "not learnt yet";
  }
}

/** Four dots, one for each policy. */
export function dots(verdicts: { readonly [requirement in TrustRequirement]: Verdict }): HTMLElement {
  const says = requirements.map((requirement) => `${requirement}: ${verdictText(verdicts[requirement])}`).join("; ");
  return el("span", { class: "dots", role: "img", "data-verdicts": requirements.map((requirement) => verdictCode(verdicts[requirement])).join(" "), "aria-label": says, title: says.replaceAll("; ", "\n") }, ...requirements.map((requirement) => dot(verdicts[requirement])));
}

/** One dot: full when the message is shown, in the shield's colour; a ring when it is withheld. */
export function dot(verdict: Verdict): HTMLElement {
  return el("span", { class: verdict.shown ? `dot shown ${verdict.shield.color.toLowerCase()}` : "dot" });
}

/** A verdict as one word: the shield's colour when it is shown, the code when it is withheld. */
function verdictCode({ shown, shield, code }: Verdict): string {
  return shown ? shield.color : (code ?? "");
}

/** A verdict in words. */
export function verdictText(verdict: Verdict): string {
  if (!verdict.shown) return `withheld, ${verdict.code ?? ""}`;
  return verdict.shield.color === "None" ? "shown" : `shown, ${verdict.shield.color.toLowerCase()} shield`;
}

/** What each policy says, a line each. */
export function verdictList(verdicts: { readonly [requirement in TrustRequirement]: Verdict }): HTMLElement {
  const line = (requirement: TrustRequirement): HTMLElement => {
    const verdict = verdicts[requirement];
    return el("li", { "data-verdict": verdictCode(verdict) }, dot(verdict), el("span", {}, requirement), el("span", { class: "under" }, verdictText(verdict)));
  };
  return el("ul", { class: "dots-line", "aria-label": "What each policy says" }, ...requirements.map(line));
}

/** The id of the button that chooses a row. */
export function rowId(sessionId: string): string {
  return `key-${sessionId.replaceAll(/[^A-Za-z0-9]/g, "-")}`;
}

/** The table. `choose` is called with the row that was chosen. */
export function sessionTable(rows: readonly SessionRow[], missing: readonly MissingKey[], chosen: string, choose: (row: SessionRow) => void): HTMLElement {
  const head = ["Room key", "Sender", "What is known", "How it was learnt", "Policies"];
  return withRoles(el(
    "table",
    { class: "sessions" },
    el("caption", { class: "quiet" }, "Room keys and their senders"),
    el("thead", {}, el("tr", {}, ...head.map((title) => el("th", { scope: "col" }, title)))),
    el("tbody", {}, ...rows.map((row) => line(row, row.sessionId === chosen, choose)), ...missing.map(missingLine)),
  ));
}

function line(row: SessionRow, chosen: boolean, choose: (row: SessionRow) => void): HTMLElement {
  const { copy } = row;
  const rose = copy.atReception.type !== copy.senderData.type;
  return el(
    "tr",
    { class: chosen && "chosen", "data-session": row.sessionId },
    el("th", { scope: "row" }, el("button", { id: rowId(row.sessionId), type: "button", class: "choose", "aria-pressed": String(chosen), click: () => choose(row) }, short(row.sessionId)), el("span", { class: "under" }, row.title)),
    el("td", {}, row.sender, el("span", { class: "under" }, `${copy.senderData.deviceId ?? "device not known"}, ${row.client}`)),
    el("td", { "data-state": copy.senderData.type }, badge(copy), rose && el("span", { class: "under" }, `on arrival ${copy.atReception.type}`)),
    el("td", { "data-name": "Learnt:" }, learnt(copy), el("span", { class: "under" }, `from index ${copy.firstKnownIndex}`)),
    el("td", { "data-name": "Policies:" }, dots(row.verdicts)),
  );
}

function missingLine({ sessionId, notice }: MissingKey): HTMLElement {
  return el(
    "tr",
    { class: "notice", "data-session": sessionId, "data-code": notice.code },
    el("th", { scope: "row" }, short(sessionId), el("span", { class: "under" }, "kept back")),
    el("td", {}, notice.sender, el("span", { class: "under" }, "matrix-js-sdk")),
    el("td", { colspan: 3 }, el("span", { class: "badge" }, "no key"), el("span", { class: "under" }, `${notice.code}: “${notice.reason}”`)),
  );
}
