// Runs every fuzz target of the module one after the other, for a minute each unless told otherwise.
//
//   node web/packaging/fuzz.mjs TIME

import { spawnSync } from "node:child_process";
import { fuzzTargets } from "./rooms.mjs";

const time = process.argv[2] ?? "1m";
let failed = 0;
for (const { folder, name } of fuzzTargets()) {
  console.log(`${folder} ${name}`);
  const run = spawnSync("go", ["test", "-run=^$", `-fuzz=^${name}$`, `-fuzztime=${time}`, "-fuzzminimizetime=5x", `./${folder}`], { stdio: "inherit" });
  if (run.status !== 0) failed++;
}
process.exit(failed === 0 ? 0 : 1);
