// make attack: runs the tests that rows.json names, natively and in Chrome, in full length, and prints the two tables: what is done, and what came of it.
// It fails when a row has no test that passed, when a named test did not run, or when one failed.

import { spawn } from "node:child_process";
import { join } from "node:path";
import { run } from "node:test";
import { top } from "../../packaging/rooms.mjs";
import { isTitle, mistakes, parts, rows } from "./rows.mjs";

const wrong = mistakes();
if (wrong.length > 0) {
  console.log(wrong.join("\n"));
  process.exit(1);
}
process.env.ATTACK = "full"; // long lists of cases in full
const began = performance.now();

/** The outcome of every Go test by "PACKAGE: TestName" and "PACKAGE: TestName/subtest". */
async function natively() {
  const named = rows.flatMap(({ go }) => go).map(parts);
  const functions = [...new Set(named.map(([, test]) => test.split("/")[0]))];
  const packages = [...new Set(named.map(([room]) => `./${room}`))];
  const ends = new Map();
  const output = new Map();
  const go = spawn("go", ["test", "-json", "-count=1", "-timeout=20m", "-run", `^(${functions.join("|")})$`, ...packages], { cwd: top, stdio: ["ignore", "pipe", "inherit"] });
  let rest = "";
  for await (const chunk of go.stdout.setEncoding("utf8")) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      let event;
      try {
        event = JSON.parse(line);
      } catch {
        console.log(line);
        continue;
      }
      const name = `${(event.Package ?? "").replace("knownsender/", "")}: ${event.Test ?? ""}`;
      if (event.Action === "output") output.set(name, (output.get(name) ?? "") + event.Output);
      if (event.Action === "pass" || event.Action === "fail" || event.Action === "skip") {
        ends.set(name, event.Action === "pass");
        if (event.Action === "fail") console.log(output.get(name));
        if (!event.Test) console.log(`${event.Action} ${event.Package} ${event.Elapsed}s`);
      }
    }
  }
  return ends;
}

/** The outcome of every test in Chrome by "FILE: title", and what the tests had to say. */
async function inChrome() {
  const named = rows.flatMap(({ chrome }) => chrome).map(parts);
  const files = [...new Set(named.map(([file]) => join(top, "web/build/test", file.replace(/\.ts$/, ".js"))))];
  const patterns = [...new Set(named.map(([, title]) => title.replace(/\*$/, "")))].map((title) => new RegExp(title.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")));
  const ends = new Map();
  const said = [];
  for await (const { type, data } of run({ files, testNamePatterns: patterns, concurrency: 2 })) {
    const file = (data.file ?? "").split("/").at(-1).replace(/\.js$/, ".ts");
    if (type === "test:diagnostic" && data.nesting > 0) said.push(`${file}: ${data.message}`);
    if (type === "test:diagnostic" && /^\d+ (kills|keys|databases|requests)|^found/.test(data.message)) said.push(`${file}: ${data.message}`);
    if (type !== "test:pass" && type !== "test:fail") continue;
    if (data.skip !== undefined || data.details?.type === "suite") continue;
    ends.set(`${file}: ${data.name}`, type === "test:pass" && ends.get(`${file}: ${data.name}`) !== false);
    if (type === "test:fail") console.log(`${file}: ${data.name}\n${String(data.details.error?.cause?.stack ?? data.details.error)}`);
  }
  return { ends, said: [...new Set(said)] };
}

const go = await natively();
const { ends: chrome, said } = await inChrome();

/** How many tests bear a name and passed; what failed or was not there goes to the list. */
function passed(name, ends, list) {
  const [place, title] = parts(name);
  const found = [...ends].filter(([one]) => {
    const [where, what] = parts(one);
    if (where !== place) return false;
    if (ends === chrome) return isTitle(title, what);
    const [func, words] = title.split("/");
    return words === undefined ? what === func : what.startsWith(`${func}/`) && what.includes(words);
  });
  if (found.length === 0) list.push(`${name} did not run`);
  for (const [one, well] of found) if (!well) list.push(`${one} failed`);
  return found.filter(([, well]) => well).length;
}

const failures = [];
for (const [title, letter] of [["Attacks", "T"], ["Faults", "F"]]) {
  const table = rows.filter(({ row }) => row.startsWith(letter)).map(({ row, what, go: natives, chrome: pages, notApplicable }) => {
    if (notApplicable !== undefined) return [row, what, `not applicable: ${notApplicable}`];
    const list = [];
    const counts = [natives.reduce((sum, name) => sum + passed(name, go, list), 0), pages.reduce((sum, name) => sum + passed(name, chrome, list), 0)];
    failures.push(...list.map((failure) => `${row}: ${failure}`));
    const tests = [`${counts[0]} natively`, `${counts[1]} in Chrome`].filter((count) => !count.startsWith("0 "));
    return [row, what, list.length > 0 || tests.length === 0 ? `FAILED: ${list.join("; ")}` : `held (${tests.join(", ")})`];
  });
  const width = Math.max(...table.map(([, what]) => what.length));
  console.log(`\n${title}\n`);
  for (const [row, what, outcome] of table) console.log(`${row}  ${what.padEnd(width)}  ${outcome}`);
  const count = (word) => table.filter(([, , outcome]) => outcome.startsWith(word)).length;
  console.log(`\n${table.length} rows: ${count("held")} held, ${count("not applicable")} not applicable, ${count("FAILED") || "none"} failed`);
}
console.log();
for (const line of said) console.log(line);
for (const failure of failures) console.log(`failed: ${failure}`);
console.log(`${((performance.now() - began) / 60_000).toFixed(1)} minutes`);
process.exit(failures.length === 0 ? 0 : 1);
