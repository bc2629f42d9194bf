// From what the rounds took to tables: medians, ratios with their quartiles, and what is judged by its target.

import { growing, limits, longestBlock, mostGrowth, targets, tolerance } from "./targets.mjs";

/** What was measured, by row and side: the values of the rounds, and the longest time for which the page's thread was not free, in milliseconds. */
export class Measurements {
  rows = new Map();
  /** By row, then by how many sessions lie in the store, then by side: the values of the rounds. */
  growth = new Map();

  record(row, who, value, block, stored) {
    if (![targets, limits, growing].some((known) => known.has(row))) throw new Error(`${row} is not in targets.mjs`);
    if (stored !== undefined) {
      if (!this.growth.has(row)) this.growth.set(row, new Map());
      const sizes = this.growth.get(row);
      if (!sizes.has(stored)) sizes.set(stored, {});
      (sizes.get(stored)[who] ??= []).push(value);
      return;
    }
    if (!this.rows.has(row)) this.rows.set(row, {});
    const side = (this.rows.get(row)[who] ??= { values: [], blocks: [] });
    side.values.push(value);
    if (block !== undefined) side.blocks.push(block);
  }
}

/** The value below which a part of the list lies. */
function quantile(list, part) {
  const sorted = [...list].sort((a, b) => a - b);
  const at = (sorted.length - 1) * part;
  const [below, above] = [sorted[Math.floor(at)], sorted[Math.ceil(at)]];
  return below + (above - below) * (at % 1);
}

export const median = (list) => quantile(list, 0.5);

/** A number with three figures, and no more than it needs. */
const figures = (number) => (number >= 100 ? number.toFixed(0) : number.toPrecision(3));

/** A value with its unit; of times, in milliseconds, the one that reads best. */
export function amount(value, unit) {
  if (unit === "kB") return `${(value / 1000).toFixed(0)} kB`;
  if (unit !== undefined) return `${figures(value)} ${unit}`;
  if (value < 1) return `${figures(value * 1000)} µs`;
  return value < 1000 ? `${figures(value)} ms` : `${figures(value / 1000)} s`;
}

const times = (ratio) => (ratio < 10 ? ratio.toFixed(2) : ratio.toFixed(0));

/** The tables, in the order of the targets, and why the run fails. */
export function judged({ rows, growth }) {
  const failures = [];
  const table = [...targets].filter(([row]) => rows.has(row)).map(([row, [title, target, unit]]) => {
    const { ours, theirs, oursKeyed, theirsKeyed } = rows.get(row);
    // Each round has a ratio of its own, for its turns were neighbours; their median tells more than the ratio of the medians.
    const ratios = ours.values.map((value, round) => theirs.values[round] / value);
    const ratio = median(ratios);
    // Whatever else the machine does can keep a page waiting: the median of the rounds' longest blocks is judged.
    const [block, theirBlock] = [ours, theirs].map(({ blocks }) => (blocks.length === 0 ? null : median(blocks)));
    const blocked = block !== null && block >= longestBlock;
    const failed = [];
    if (target !== null && ratio < target * tolerance) failed.push(`${times(ratio)} times as fast, not ${target}`);
    if (block !== null && block * tolerance >= longestBlock) failed.push(`the page is blocked for ${block.toFixed(0)} ms, not below ${longestBlock}`);
    if (failed.length > 0) failures.push(`${title} (${row}): ${failed.join("; ")}`);
    const ms = (value) => (value === null ? "" : `${value.toFixed(0)} ms`);
    return [
      title, ...[ours, theirs, oursKeyed, theirsKeyed].map((side) => (side === undefined ? "" : amount(median(side.values), unit))),
      times(ratio), ratios.length < 3 ? "" : `${times(quantile(ratios, 0.25))} to ${times(quantile(ratios, 0.75))}`,
      target === null ? "" : String(target), target === null ? "" : ratio >= target ? "met" : ratio >= target * tolerance ? "near" : "missed",
      ms(block) + (blocked ? " (missed)" : ""), ms(theirBlock),
    ];
  });
  const floor = [...limits].filter(([row]) => rows.has(row)).map(([row, title]) => [title, amount(median(rows.get(row).page.values))]);
  /** By operation, its title and for each side the medians by size. */
  const curves = [...growing].filter(([row]) => growth.has(row)).map(([row, title]) => {
    const sizes = [...growth.get(row)];
    const curve = (who) => sizes.map(([stored, sides]) => ({ stored, value: median(sides[who]) }));
    return { row, title, ours: curve("ours"), theirs: curve("theirs") };
  });
  const factor = (curve) => curve.at(-1).value / curve[0].value;
  for (const { row, title, ours } of curves) {
    if (factor(ours) > mostGrowth / tolerance) failures.push(`${title} (${row}): ${times(factor(ours))} times as much beside ${ours.at(-1).stored} sessions as beside ${ours[0].stored}`);
  }
  const grown = curves.map(({ title, ours, theirs }) => [title, ...[ours, theirs].flatMap((curve) => [...curve.map(({ value }) => amount(value)), times(factor(curve))])]);
  const stored = (curves[0]?.ours ?? []).map(({ stored }) => stored.toLocaleString("en"));
  return {
    failures,
    curves,
    growth: grown.length === 0 ? null : { head: ["sessions stored", ...["ours", "theirs"].flatMap((who) => [...stored.map((size) => `${who}, ${size}`), "growth"])], rows: grown },
    scenarios: table.length === 0 ? null : { head: ["", "ours", "theirs", "ours, with a key", "theirs, with a key", "ratio", "half of the rounds", "target", "", "our longest block", "theirs"], rows: table },
    limits: floor.length === 0 ? null : { head: ["the page itself", ""], rows: floor },
  };
}

/** A table in columns. */
function columns({ head, rows }) {
  const lines = [head, ...rows];
  const widths = head.map((_, i) => Math.max(...lines.map((line) => line[i].length)));
  return lines.map((line) => line.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i] + 2))).join("")).join("\n");
}

/** Tables for people who wait. */
export const printed = (tables) => [tables.scenarios, tables.growth, tables.limits].filter((table) => table !== null).map(columns).join("\n\n");

/** A table in Markdown. */
export const markdown = ({ head, rows }) => [head, head.map((_, i) => (i === 0 ? "---" : "--:")), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
