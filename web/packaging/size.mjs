// Says what a page downloads (one of the two engines, and the package's JavaScript, each with brotli at quality 11) and fails above a budget. The
// entry for matrix-js-sdk and what a worker takes are counted by themselves: only clients that use them download them.

import { readFileSync, readdirSync } from "node:fs";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

/** By engine: for clients with an Olm of their own, and with Olm in it. */
const budgets = { "knownsender.wasm": 1_315_000, "knownsender-olm.wasm": 1_468_000 };
/** Of the entry for matrix-js-sdk. */
const compatBudget = 8_000;
/** Of what only pages with a worker load, beside what they share with it. */
const workerBudget = 3_500;
const dist = new URL("../dist/", import.meta.url);

function brotli(bytes) {
  return brotliCompressSync(bytes, {
    params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_LGWIN]: 24, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length },
  }).length;
}

const row = (cells) => console.log(cells[0].padEnd(28) + cells.slice(1).map((cell) => String(cell).padStart(11)).join(""));
row(["bytes", "raw", "gzip", "brotli"]);
let javascript = 0;
let compat = 0;
let worker = 0;
const engines = new Map();
for (const name of readdirSync(dist, { recursive: true }).sort()) {
  if (!/\.(js|wasm)$/.test(name)) continue;
  const bytes = readFileSync(new URL(name, dist));
  const packed = brotli(bytes);
  if (name in budgets) engines.set(name, packed);
  else if (name.startsWith("compat/")) compat += packed;
  else if (["hosted.js", "wire.js", "worker.js"].includes(name)) worker += packed;
  else javascript += packed;
  row([name, bytes.length, gzipSync(bytes, { level: 9 }).length, packed]);
}
let above = false;
const totals = [...Object.entries(budgets).map(([name, budget]) => [`with ${name}`, engines.get(name) + javascript, budget]), ["compat", compat, compatBudget], ["worker", worker, workerBudget]];
for (const [name, total, budget] of totals) {
  row([name, "", "", total]);
  row(["budget", "", "", budget]);
  if (!(total <= budget)) {
    console.error(`make size: ${total - budget} bytes above the budget`);
    above = true;
  }
}
if (above) process.exit(1);
