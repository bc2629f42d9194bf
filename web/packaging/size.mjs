// Says what a page downloads (the wasm and the package's JavaScript, each with brotli at quality 11) and fails above the budget.

import { readFileSync, readdirSync } from "node:fs";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const budget = 1_300_000;
const dist = new URL("../dist/", import.meta.url);

function brotli(bytes) {
  return brotliCompressSync(bytes, {
    params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_LGWIN]: 24, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length },
  }).length;
}

let total = 0;
const rows = [];
for (const name of readdirSync(dist, { recursive: true }).sort()) {
  if (!/\.(js|wasm)$/.test(name)) continue;
  const bytes = readFileSync(new URL(name, dist));
  const packed = brotli(bytes);
  total += packed;
  rows.push([name, bytes.length, gzipSync(bytes, { level: 9 }).length, packed]);
}
const row = (cells) => console.log(cells[0].padEnd(28) + cells.slice(1).map((cell) => String(cell).padStart(11)).join(""));
row(["bytes", "raw", "gzip", "brotli"]);
rows.forEach(row);
row(["together", "", "", total]);
row(["budget", "", "", budget]);
if (total > budget) {
  console.error(`make size: ${total - budget} bytes above the budget`);
  process.exit(1);
}
