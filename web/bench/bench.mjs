// Ahead of the peer or not: every scenario on knownsender and on @matrix-org/matrix-sdk-crypto-wasm in one page of headless Chrome, over IndexedDB, and
// on the peer with its store encrypted. Prints the tables and fails when a ratio is below 0.8 of its target. A run of everything writes results.md.
//
//   node web/bench/bench.mjs                                     everything
//   ONLY=decryption,verdict ROUNDS=3 node web/bench/bench.mjs    groups whose names begin so; without the encrypted store, but for KEYED=1
//   GROWTH=100000 ONLY=growth node web/bench/bench.mjs           up to 100,000 stored sessions, as a run of everything has it

import { inChrome } from "./chrome.mjs";
import { judged, Measurements, printed } from "./report.mjs";
import { writeResults } from "./results.mjs";
import { decryption } from "./scenarios/decryption.mjs";
import { files, imported } from "./scenarios/files.mjs";
import { growth } from "./scenarios/growth.mjs";
import { limits } from "./scenarios/limits.mjs";
import { memory } from "./scenarios/memory.mjs";
import { people } from "./scenarios/people.mjs";
import { reception } from "./scenarios/reception.mjs";
import { sending } from "./scenarios/sending.mjs";
import { size } from "./scenarios/size.mjs";
import { risen, standing } from "./scenarios/standing.mjs";
import { start } from "./scenarios/start.mjs";
import { sync } from "./scenarios/sync.mjs";
import { verdict } from "./scenarios/verdict.mjs";

/** By name. Those of the second list take long, or have nothing to do with what is encrypted at rest, and do without the encrypted store. */
const groups = { reception, sync, decryption, imported, verdict, files, people, sending, memory };
const plain = { size, start, standing, risen, growth, limits };

const only = process.env.ONLY?.split(",");
const rounds = Number(process.env.ROUNDS ?? 5);
const keyed = only === undefined || process.env.KEYED === "1";
const chosen = Object.entries({ ...groups, ...plain }).filter(([name]) => only?.some((begin) => name.startsWith(begin)) ?? true);
if (chosen.length === 0) throw new Error(`ONLY takes beginnings of ${Object.keys({ ...groups, ...plain }).join(", ")}`);

await inChrome(async ({ browser, server, inPage }) => {
  const measurements = new Measurements();
  const record = (...measured) => measurements.record(...measured);
  for (const [name, scenarios] of chosen) {
    const start = performance.now();
    const sides = ["ours", "theirs", ...(keyed && name in groups ? ["oursKeyed", "theirsKeyed"] : [])];
    await scenarios({ server, inPage, rounds, sides, record });
    console.error(`${name}: ${((performance.now() - start) / 1000).toFixed(0)} s`);
  }
  const tables = judged(measurements);
  console.log(`Chrome ${browser.version()}, IndexedDB, medians of ${rounds} rounds:`);
  console.log(printed(tables));
  if (only === undefined) await writeResults(tables, { chrome: browser.version(), rounds });
  for (const failure of tables.failures) console.error(`bench: ${failure}`);
  if (tables.failures.length > 0) process.exitCode = 1;
});
