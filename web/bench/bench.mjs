// Ahead of the peer or not: every scenario on knownsender and on @matrix-org/matrix-sdk-crypto-wasm in one page of headless Chrome, over IndexedDB.
// Prints the table and fails when a ratio is below 0.8 of its target. A run of everything writes web/bench/results.md.
//
//   node web/bench/bench.mjs                            everything
//   ONLY=decryption,verdict ROUNDS=3 node web/bench/bench.mjs   groups whose names begin so

import { inChrome } from "./chrome.mjs";
import { Race } from "./race.mjs";
import { judged, printed } from "./report.mjs";
import { decryption } from "./scenarios/decryption.mjs";
import { reception } from "./scenarios/reception.mjs";
import { sync } from "./scenarios/sync.mjs";
import { verdict } from "./scenarios/verdict.mjs";

/** By name, in the order of the table. */
const groups = { reception, sync, decryption, verdict };

const only = process.env.ONLY?.split(",");
const rounds = Number(process.env.ROUNDS ?? 5);
const chosen = Object.entries(groups).filter(([name]) => only?.some((begin) => name.startsWith(begin)) ?? true);
if (chosen.length === 0) throw new Error(`ONLY takes beginnings of ${Object.keys(groups).join(", ")}`);

await inChrome(async ({ browser, inPage }) => {
  const rows = new Map();
  for (const [name, scenarios] of chosen) {
    const start = performance.now();
    await inPage(async (page) => {
      const race = await Race.in(page, rounds);
      await scenarios(race);
      for (const [row, measured] of race.rows) rows.set(row, measured);
    });
    console.error(`${name}: ${((performance.now() - start) / 1000).toFixed(0)} s`);
  }
  const table = judged(rows);
  console.log(`in Chrome ${browser.version()}, IndexedDB, medians of ${rounds} rounds:`);
  console.log(printed(table));
  for (const { failure } of table) {
    if (failure === null) continue;
    console.error(`bench: ${failure}`);
    process.exitCode = 1;
  }
});
