// Runs every fuzz target of the module for a short time, one after the other.
//
//   node web/packaging/fuzz.mjs TIME

import { spawnSync } from "node:child_process";
import { fuzzTargets } from "./rooms.mjs";

const time = process.argv[2] ?? "20s";
let failed = 0;
for (const { folder, name } of fuzzTargets()) {
  console.log(`${folder} ${name}`);
  const run = spawnSync("go", ["test", "-run=^$", `-fuzz=^${name}$`, `-fuzztime=${time}`, "-fuzzminimizetime=5x", `./${folder}`], { stdio: "inherit" });
  if (run.status !== 0) failed++;
}
process.exit(failed === 0 ? 0 : 1);
