// From what the rounds took to the table: medians, ratios with their quartiles, and what is judged by its target.

import { longestBlock, targets, tolerance } from "./targets.mjs";

/** The value below which a part of the list lies. */
function quantile(list, part) {
  const sorted = [...list].sort((a, b) => a - b);
  const at = (sorted.length - 1) * part;
  const [below, above] = [sorted[Math.floor(at)], sorted[Math.ceil(at)]];
  return below + (above - below) * (at % 1);
}

export const median = (list) => quantile(list, 0.5);

/** A time in the unit that reads best, from milliseconds. */
export function duration(ms) {
  if (ms < 1) return `${(ms * 1000).toPrecision(3)} us`;
  if (ms < 1000) return `${ms.toPrecision(3)} ms`;
  return `${(ms / 1000).toPrecision(3)} s`;
}

const times = (ratio) => (ratio < 10 ? ratio.toFixed(2) : ratio.toFixed(0));

/** The rows in the order of the targets, each with its cells and with why it fails, or null. */
export function judged(rows) {
  for (const row of rows.keys()) if (!targets.has(row)) throw new Error(`${row} is not in targets.mjs`);
  return [...targets].filter(([row]) => rows.has(row)).map(([row, [title, target]]) => {
    const { count, ours, theirs } = rows.get(row);
    // Each round has a ratio of its own, for its two turns were neighbours; the median tells more than the ratio of the medians.
    const ratios = ours.took.map((took, round) => theirs.took[round] / took);
    const ratio = median(ratios);
    // What else the machine does can keep a page waiting: the median of the rounds' longest blocks is judged.
    const [block, theirBlock] = [median(ours.block), median(theirs.block)];
    const failures = [];
    if (target !== null && ratio < target * tolerance) failures.push(`${times(ratio)} times as fast, not ${target}`);
    if (block >= longestBlock / tolerance) failures.push(`the page is blocked for ${block.toFixed(0)} ms, not below ${longestBlock}`);
    const met = target === null ? "" : ratio >= target ? "met" : ratio >= target * tolerance ? "near" : "missed";
    return {
      cells: [
        title, duration(median(ours.took) / count), duration(median(theirs.took) / count), times(ratio), `${times(quantile(ratios, 0.25))} to ${times(quantile(ratios, 0.75))}`,
        target === null ? "" : String(target), met, `${block.toFixed(0)} ms`, `${theirBlock.toFixed(0)} ms`,
      ],
      failure: failures.length === 0 ? null : `${title} (${row}): ${failures.join("; ")}`,
    };
  });
}

const head = ["", "ours", "theirs", "ratio", "half of the rounds", "target", "", "our block", "their block"];

/** The table in columns. */
export function printed(table) {
  const lines = [head, ...table.map(({ cells }) => cells)];
  const widths = head.map((_, i) => Math.max(...lines.map((line) => line[i].length)));
  return lines.map((line) => line.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i] + 2))).join("")).join("\n");
}
