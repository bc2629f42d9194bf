// Writes results.md, and growth.svg beside it: the tables of a run of everything, and where it was; and what README.md has of them.

import { readFile, writeFile } from "node:fs/promises";
import { cpus, release, totalmem, type } from "node:os";
import { plotted } from "./plot.mjs";
import { markdown } from "./report.mjs";
import { longestBlock, mostGrowth, tolerance } from "./targets.mjs";

export async function writeResults(tables, { chrome, rounds }) {
  const peer = JSON.parse(await readFile(new URL("../../node_modules/@matrix-org/matrix-sdk-crypto-wasm/package.json", import.meta.url), "utf8"));
  const machine = `${cpus()[0].model.trim()}, ${cpus().length} cores, ${(totalmem() / 2 ** 30).toFixed(0)} GiB, ${type()} ${release()}`;
  await writeFile(new URL("results.md", import.meta.url), `# knownsender beside matrix-sdk-crypto

Written by \`make bench\`. Chrome ${chrome}, headless, with IndexedDB; ${peer.name} ${peer.version}; ${machine}.

Both do the same in one page with the same inputs, in turn (A B B A), ${rounds} rounds, fewer where one takes long; what concerns starting and memory has a
page of its own for each. A cell is the median of the rounds, the ratio the median of each round's, the peer's by ours: above 1 where ours is less. What a
client pays for is in it: JSON in and out, and waiting until all is on disk where the call promises that. What came out was checked on both sides. *With a
key* is each with its store encrypted. The longest block is the longest time for which the page's thread was not free; it is to be below
${longestBlock} ms. The run fails where a ratio is below ${tolerance} of its target, or a block as much too long.

${markdown(tables.scenarios)}

## What grows

The same work beside ever more stored sessions. Its cost is to grow with what it changes, not with what is stored: more than ${mostGrowth} times as much
beside the most sessions as beside the fewest is a failure, with the same tolerance.

${markdown(tables.growth)}

![The same as curves](growth.svg)

## What the page itself costs

${markdown(tables.limits)}
`);
  await writeFile(new URL("growth.svg", import.meta.url), plotted(tables.curves));
  const readme = new URL("../../README.md", import.meta.url);
  const [before, rest] = halves(await readFile(readme, "utf8"), "<!-- make bench writes from here -->\n");
  const [, after] = halves(rest, "<!-- to here -->\n");
  const brief = markdown({ head: ["", "knownsender", "matrix-sdk-crypto", "ratio"], rows: tables.scenarios.rows.map(([title, ours, theirs, , , ratio]) => [title, ours, theirs, ratio]) });
  await writeFile(readme, `${before}<!-- make bench writes from here -->
Chrome ${chrome}, headless, with IndexedDB; ${machine}; ${peer.name} ${peer.version}.

${brief}
<!-- to here -->
${after}`);
}

function halves(text, at) {
  const parts = text.split(at);
  if (parts.length !== 2) throw new Error(`README.md has not one line ${at}`);
  return parts;
}
