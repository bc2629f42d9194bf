// make test: every check in turn, to the end even when one fails, and then how many tests passed and failed, natively and in Chrome.

import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { goRooms, top } from "../packaging/rooms.mjs";

const build = join(top, "web/build");
const tally = join(build, "tally");
rmSync(tally, { recursive: true, force: true });
mkdirSync(tally, { recursive: true });

const wrong = [];
const js = { GOOS: "js", GOARCH: "wasm" };

function run(command, args, { env = {}, capture = false } = {}) {
  return spawnSync(command, args, { cwd: top, env: { ...process.env, ...env }, encoding: "utf8", maxBuffer: 1 << 30, stdio: ["ignore", capture ? "pipe" : "inherit", "inherit"] });
}

/** One check that passes or fails as a whole. */
function check(name, command, args, options = {}) {
  console.log(`== ${name}`);
  const { status, stdout } = run(command, args, options);
  if (status !== 0 || (options.silent && stdout.trim() !== "")) {
    if (stdout) console.log(stdout);
    wrong.push(name);
  }
}

check("gofmt", "gofmt", ["-l", ...goRooms()], { capture: true, silent: true });
check("go vet", "go", ["vet", "./..."]);
check("go vet for js", "go", ["vet", "-tags", "doorkit", "./..."], { env: js });
check("go vet for js, with Olm", "go", ["vet", "-tags", "olm", "./wasm"], { env: js });
check("staticcheck (build)", "go", ["install", "honnef.co/go/tools/cmd/staticcheck@v0.8.2"], { env: { GOBIN: join(build, "bin") } });
check("staticcheck", join(build, "bin/staticcheck"), ["./..."]);
check("staticcheck for js", join(build, "bin/staticcheck"), ["-tags", "doorkit", "./..."], { env: js });
check("staticcheck for js, with Olm", join(build, "bin/staticcheck"), ["-tags", "olm", "./wasm"], { env: js });
check("core over an encrypted store", "go", ["test", "./core"], { env: { STORE: "sealed" } });
check("types", join(top, "node_modules/.bin/tsc"), ["-p", "web", "--noEmit"]);

/** Native Go tests, told one by one; parents of subtests are not counted beside them. */
function native() {
  console.log("== go test -race");
  const { status, stdout } = run("go", ["test", "-race", "-json", "./..."], { capture: true });
  const ends = new Map();
  const output = new Map();
  for (const line of stdout.split("\n")) {
    let event;
    try {
      event = JSON.parse(line);
    } catch {
      if (line.trim() !== "") console.log(line);
      continue;
    }
    const name = `${event.Package ?? event.ImportPath ?? ""} ${event.Test ?? ""}`;
    if (event.Action === "output" || event.Action === "build-output") output.set(name, (output.get(name) ?? "") + event.Output);
    if (event.Action === "pass" || event.Action === "fail") {
      if (event.Test) ends.set(name, event.Action);
      else console.log(`${event.Action === "pass" ? "ok  " : "FAIL"} ${event.Package} ${event.Elapsed}s`);
    }
  }
  const parents = new Set([...ends.keys()].flatMap((name) => name.split("/").map((_, i, parts) => parts.slice(0, i).join("/"))));
  const count = { passed: 0, failed: 0 };
  for (const [name, end] of ends) {
    if (end === "fail") console.log(output.get(name));
    if (end === "fail" && !parents.has(name)) wrong.push(name);
    if (parents.has(name) && end === "pass") continue;
    if (end === "pass") count.passed++;
    else count.failed++;
  }
  if (status !== 0) {
    wrong.push("go test -race");
    for (const [name, text] of output) if (name.endsWith(" ") && /FAIL|panic|DATA RACE|cannot|undefined/.test(text)) console.log(text);
  }
  return count;
}

/** The tests of web/test in Node and Chrome. */
function chrome() {
  console.log("== tests in Chrome");
  const tests = readdirSync(join(build, "test")).filter((name) => name.endsWith(".test.js")).map((name) => join("web/build/test", name));
  const tap = join(tally, "node.tap");
  const { status } = run("node", ["--test", "--test-concurrency=2", "--test-reporter=spec", "--test-reporter-destination=stdout", "--test-reporter=tap", `--test-reporter-destination=${tap}`, ...tests]);
  if (status !== 0) wrong.push("tests in Chrome");
  const text = readFileSync(tap, "utf8");
  // Told again at the very end, where whoever only sees the last lines looks.
  for (const [, name, why] of text.matchAll(/^ *not ok \d+ - (.*)\n +---\n([^]*?)\n +\.\.\.$/gm)) {
    const { error = "" } = /^ +error: (?<error>[^]*?)\n +(?:code|name|expected|stack):/m.exec(why)?.groups ?? {};
    wrong.push(`${name}: ${error.replace(/\s+/g, " ").slice(0, 600)}`);
  }
  const number = (what) => Number(new RegExp(`^# ${what} (\\d+)$`, "m").exec(text)?.[1] ?? 0);
  const count = { passed: number("pass"), failed: number("fail") + number("cancelled") };
  const go = { passed: 0, failed: 0 };
  for (const name of readdirSync(tally).filter((file) => file.endsWith(".json"))) {
    const { passed, failed } = JSON.parse(readFileSync(join(tally, name), "utf8"));
    go.passed += passed;
    go.failed += failed;
  }
  return { count, go };
}

// Long lists of cases are sampled under the race detector; here they run in full.
check("go test ./core in full", "go", ["test", "./core"]);
const natively = native();
const { count: page, go } = chrome();
check("walls", "node", ["web/packaging/arch.mjs"]);
check("size", "node", ["web/packaging/size.mjs"]);

console.log();
if (natively.passed === 0 || page.passed === 0) wrong.push("a suite ran no test");
for (const name of wrong) console.log(`failed: ${name}`);
console.log(`natively: ${natively.passed} Go tests passed, ${natively.failed} failed`);
console.log(`in Chrome: ${page.passed} TypeScript tests passed, ${page.failed} failed; ${go.passed} Go tests passed, ${go.failed} failed`);
const passed = natively.passed + page.passed + go.passed;
const failed = natively.failed + page.failed + go.failed;
console.log(`${passed} passed, ${wrong.length === 0 ? failed : Math.max(failed, 1)} failed`);
process.exit(wrong.length === 0 && failed === 0 ? 0 : 1);
