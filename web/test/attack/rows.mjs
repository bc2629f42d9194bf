// The threat and fault rows as data, rows.json: for each what is done, and the tests that show that it is held, by name.
//
//   go      "PACKAGE: TestName", or "PACKAGE: TestName/WORDS" for its subtests whose names hold the words
//   chrome  "FILE: title", the title in full, or its beginning and *
//   only    why there are tests of one kind only
//   notApplicable  why there is no test at all

import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { top } from "../../packaging/rooms.mjs";

export const rows = JSON.parse(readFileSync(join(top, "web/test/attack/rows.json"), "utf8"));

/** Every row there is: T01 to T57 and F01 to F48. */
export const wanted = [...numbered("T", 57), ...numbered("F", 48)];

function numbered(letter, count) {
  return Array.from({ length: count }, (_, i) => letter + String(i + 1).padStart(2, "0"));
}

/** The two parts of a name. */
export function parts(name) {
  const at = name.indexOf(": ");
  return [name.slice(0, at), name.slice(at + 2)];
}

/** Whether a test's title is the one named. */
export function isTitle(named, title) {
  return named.endsWith("*") ? title.startsWith(named.slice(0, -1)) : title === named;
}

/** What is wrong with the rows, as far as the sources tell: rows that are missing, tests that do not exist. */
export function mistakes() {
  const wrong = [];
  const have = rows.map(({ row }) => row);
  for (const row of wanted) if (have.filter((one) => one === row).length !== 1) wrong.push(`${row} is there ${have.filter((one) => one === row).length} times`);
  for (const row of have) if (!wanted.includes(row)) wrong.push(`there is no row ${row}`);
  const sources = new Map();
  const read = (path) => {
    if (!sources.has(path)) sources.set(path, existsSync(path) ? readFileSync(path, "utf8") : "");
    return sources.get(path);
  };
  const packageOf = (room) => {
    const folder = join(top, room);
    return existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith("_test.go")).map((name) => read(join(folder, name))).join("\n") : "";
  };
  for (const { row, what, go, chrome, only, notApplicable } of rows) {
    if (!(what?.length > 10)) wrong.push(`${row} does not say what is done`);
    if (notApplicable !== undefined) {
      if (go.length + chrome.length > 0 || notApplicable.length < 30) wrong.push(`${row} is not applicable, and has tests or no reason`);
      continue;
    }
    if (go.length + chrome.length === 0) wrong.push(`${row} has no test`);
    else if ((go.length === 0 || chrome.length === 0) !== (only !== undefined)) wrong.push(`${row} has tests of one kind only and does not say why, or says why and has both`);
    for (const name of go) {
      const [room, test] = parts(name);
      const [func, words] = test.split("/");
      const source = packageOf(room);
      if (!source.includes(`func ${func}(t *testing.T)`)) wrong.push(`${row}: there is no ${name}`);
      // The suite of all stores is a package of its own.
      else if (words !== undefined && !(source + read(join(top, "core/store/storetest/storetest.go"))).includes(words)) wrong.push(`${row}: no subtest of ${func} is called ${words}`);
    }
    for (const name of chrome) {
      const [file, title] = parts(name);
      if (!titles(file, read).some((one) => one(title))) wrong.push(`${row}: there is no ${name}`);
    }
  }
  return wrong;
}

/** The titles in a test file and in the kits whose stories it tells, each as a question whether it is the one named. */
function titles(file, read) {
  const source = read(join(top, "web/test", file));
  const kits = [...source.matchAll(/from "\.\/(\w+kit)\.js"/g)].map(([, kit]) => read(join(top, `web/test/${kit}.ts`)));
  const found = [];
  for (const [, quote, text] of source.matchAll(/\btest\(\s*(["`])((?:\\.|(?!\1).)*)\1/g)) {
    if (quote === '"') found.push((named) => isTitle(named, JSON.parse(`"${text}"`)));
    else {
      const [first, ...rest] = text.split(/\$\{(?:[^{}]|\{[^}]*\})*\}/);
      const pattern = new RegExp(`^${[first, ...rest].map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join(".*")}$`);
      found.push((named) => (named.endsWith("*") ? first.startsWith(named.slice(0, -1)) : pattern.test(named)));
    }
  }
  for (const kit of kits) for (const [, text] of kit.matchAll(/^ {2}("(?:\\.|[^"\\])*"): /gm)) found.push((named) => isTitle(named, JSON.parse(text)));
  return found;
}
