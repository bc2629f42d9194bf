// Mutation testing of the rooms that decide: every operator of their code is changed, one at a time, and the room's own tests must fail. A mutant that
// survives is a gap in the tests, unless core/testdata/mutants.json lists it and says why nothing can tell it from the code. One that is not listed,
// and one that is listed and did not survive, fail the run. It takes an hour or more, and so is no part of make test.
//
//   node web/packaging/mutants.mjs [ROOM...]     rooms of core; policy, sender, trust and megolm when none is named
//
// The tool, gremlins, is given a go of its own, which mends three things. It tries only what a coverage profile shows as covered, in which no condition of
// a `case` and no constant ever is: the whole of every file is added to the profile. It knows by the exit status whether tests failed or did not compile,
// which go does not tell. And it waits for a mutant without end by the clock, for very long where the machine is busy: what takes more than 20 seconds
// of processor time, or 8 GiB, is ended.

import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { top } from "./rooms.mjs";

const tool = "github.com/go-gremlins/gremlins/cmd/gremlins@v0.6.0";
const rooms = process.argv.length > 2 ? process.argv.slice(2) : ["policy", "sender", "trust", "megolm"];

const build = join(top, "web/build/mutants");
const source = join(build, "source");
const temporary = join(build, "temporary");
rmSync(build, { recursive: true, force: true });
for (const folder of [source, temporary, join(build, "bin")]) mkdirSync(folder, { recursive: true });
const go = execFileSync("which", ["go"], { encoding: "utf8" }).trim();
execFileSync(go, ["install", tool], { env: { ...process.env, GOBIN: build }, stdio: "inherit" });
// Of the module only what core is built of: the tool copies all it finds.
for (const part of ["go.mod", "go.sum", "core"]) cpSync(join(top, part), join(source, part), { recursive: true });
const endless = join(build, "endless"); // as long as there were such
writeFileSync(endless, "");
writeFileSync(join(build, "bin/go"), `#!/bin/bash
go=${JSON.stringify(go)}
if [[ " $* " == *" -coverprofile "* ]]; then
  "$go" "$@" || exit
  while [[ $1 != -coverprofile ]]; do shift; done
  room=\${3#./}; room=\${room%/...}
  for file in "$room"/*.go; do [[ $file == *_test.go ]] || echo "knownsender/$file:1.1,100000.1 1 1" >> "$2"; done
elif [[ $1 == test ]]; then
  ulimit -v 8388608 -t 20
  said=$("$go" "$@" 2>&1 | grep -oE "signal: killed|\\[build failed\\]"; exit "\${PIPESTATUS[0]}"); status=$?
  [[ $said != *killed* ]] || echo -n x >> ${JSON.stringify(endless)}
  [[ $said != *failed* ]] || status=2
  exit $status
else
  exec "$go" "$@"
fi
`);
chmodSync(join(build, "bin/go"), 0o755);

/** What survives for a good reason: the room, the file, the line as it stands there, what was changed in it, how often, and why. */
const listed = JSON.parse(readFileSync(join(top, "core/testdata/mutants.json"), "utf8")).survivors;
const nameOf = ({ room, file, line, change, column }) => `${room}/${file}, ${change} in column ${column} of: ${line}`;

let wrong = 0;
for (const room of rooms) {
  const endlessBefore = statSync(endless).size;
  const report = join(build, `${room}.json`);
  const run = spawnSync("nice", ["-n", "19", join(build, "gremlins"), "unleash", `./core/${room}`, "--config", join(top, "web/packaging/gremlins.yaml"), "--output", report, "--output-statuses", "l"], {
    cwd: source, stdio: "inherit",
    env: { ...process.env, PATH: `${join(build, "bin")}:${process.env.PATH}`, TMPDIR: temporary, GOFLAGS: "-count=1 -vet=off" },
  });
  if (run.status !== 0 || !existsSync(report)) {
    console.error(`${room}: the tool failed`);
    wrong++;
    continue;
  }
  const count = { killed: 0, "never came to an end": 0, survived: 0, "did not compile": 0, "not tried": 0 };
  const survivors = new Set();
  for (const { file_name: file, mutations } of JSON.parse(readFileSync(report, "utf8")).files) {
    const text = readFileSync(join(source, "core", room, file), "utf8").split("\n");
    for (const { type: change, status, line, column } of mutations) {
      const word = { KILLED: "killed", "TIMED OUT": "never came to an end", LIVED: "survived", "NOT VIABLE": "did not compile" }[status] ?? "not tried";
      count[word]++;
      if (word !== "survived" && word !== "not tried") continue;
      const whole = text[line - 1] ?? "";
      survivors.add(nameOf({ room, file, line: whole.trim(), change, column: column - (whole.length - whole.trimStart().length) }));
    }
  }
  const ended = statSync(endless).size - endlessBefore;
  count.killed -= ended;
  count["never came to an end"] += ended;
  const reasons = new Map(listed.filter((entry) => entry.room === room).map((entry) => [nameOf(entry), entry.why]));
  for (const name of survivors) {
    if (!reasons.get(name)) {
      console.error(`survived, and is not listed: ${name}`);
      wrong++;
    }
  }
  for (const name of reasons.keys()) {
    if (!survivors.has(name)) {
      console.error(`is listed, and did not survive: ${name}`);
      wrong++;
    }
  }
  console.log(`${room}: ${Object.values(count).reduce((sum, n) => sum + n, 0)} mutants: ${Object.entries(count).map(([word, n]) => `${n} ${word}`).join(", ")}`);
}
process.exit(wrong === 0 ? 0 : 1);
