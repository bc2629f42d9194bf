// The policy table, drawn from its data: five states, four policies.

import type { ShieldColor, TrustRequirement } from "../dist/index.js";
import { requirements, type SessionRow } from "./account.js";
import { breakable, el, shield, withRoles } from "./dom.js";
import { states } from "./words.js";

/** core/testdata/policy.json, as far as it is drawn. */
export interface Policy {
  readonly rows: readonly {
    readonly state: string;
    readonly code: string;
    readonly shown: { readonly [requirement in TrustRequirement]: boolean };
    readonly lax: { readonly color: ShieldColor; readonly code: string };
  }[];
}

/** The table; a column is marked as the one in force, and each state says how many of the room keys above are in it. */
export function matrix(policy: Policy, rows: readonly SessionRow[], current: TrustRequirement): HTMLElement {
  const head = requirements.map((requirement) => el("th", { scope: "col", "aria-current": requirement === current && "true" }, ...breakable(requirement)));
  return withRoles(el(
    "table",
    { class: "matrix" },
    el("caption", { class: "quiet" }, "What each policy shows of each state"),
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "What is known"), ...head)),
    el(
      "tbody",
      {},
      ...states.map(({ type, row, says }) => {
        const here = rows.filter(({ copy }) => copy.senderData.type === type).length;
        return el(
          "tr",
          {},
          el("th", { scope: "row" }, el("span", { class: `badge badge-${type.toLowerCase()}` }, type), here > 0 && el("span", { class: "tag" }, here === 1 ? "1 key" : `${here} keys`), el("span", { class: "under" }, says)),
          ...requirements.map((requirement) => cell(policy, row, requirement, requirement === current)),
        );
      }),
    ),
  ));
}

function cell(policy: Policy, state: string, requirement: TrustRequirement, current: boolean): HTMLElement {
  const row = policy.rows.find((candidate) => candidate.state === state);
  if (row === undefined) throw new Error(`The policy has no row ${state}.`);
  const old = policy.rows.find((candidate) => candidate.state === `${state}_legacy`);
  const legacy = !row.shown[requirement] && old?.shown[requirement] === true;
  const at = { "data-requirement": requirement, "data-current": String(current) };
  const note = legacy && el("span", { class: "under" }, "legacy: shown, grey");
  if (row.shown[requirement]) {
    return el("td", { ...at, "data-shown": "shown" }, el("span", { class: "cell" }, shield(row.lax.color, `${row.lax.color} shield`), "shown"));
  }
  return el("td", { ...at, class: "no", "data-shown": "withheld" }, el("span", { class: "cell" }, "withheld"), el("code", {}, ...row.code.split(/(?<=_)/).flatMap((part) => [part, el("wbr")])), note);
}
