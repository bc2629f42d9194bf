// Draws growth: a panel for each kind of work, over the number of stored sessions what it costs on either side, both logarithmic. A flat line is work that
// does not mind what is stored.

import { amount } from "./report.mjs";

const [width, height] = [300, 190];
const [left, right, top, bottom] = [62, 26, 34, 26];
const perLine = 3;
const style = `
  svg { font: 12px system-ui, sans-serif; background: #fff; }
  text { fill: #1f2328; } .quiet { fill: #59636e; font-size: 10px; }
  .grid { stroke: #d1d9e0; } path { fill: none; stroke-width: 2; }
  .ours { stroke: #0969da; } .theirs { stroke: #bc4c00; } text.ours { fill: #0969da; stroke: none; } text.theirs { fill: #bc4c00; stroke: none; }
  @media (prefers-color-scheme: dark) {
    svg { background: #0d1117; } text { fill: #f0f6fc; } .quiet { fill: #9198a1; } .grid { stroke: #3d444d; }
    .ours { stroke: #4493f8; } .theirs { stroke: #db6d28; } text.ours { fill: #4493f8; } text.theirs { fill: #db6d28; }
  }`;

/** The panels as an SVG. `curves` are those of the report. */
export function plotted(curves) {
  const [columns, lines] = [perLine, Math.ceil(curves.length / perLine)];
  const panels = curves.map((curve, i) => `<g transform="translate(${(i % columns) * width} ${20 + Math.floor(i / columns) * height})">${panel(curve)}</g>`);
  const size = [columns * width, 20 + lines * height];
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${size[0]}" height="${size[1]}" viewBox="0 0 ${size.join(" ")}" role="img">
<title>What work costs beside ever more stored sessions</title>
<style>${style}
</style>
<text class="ours" x="${left}" y="16">knownsender</text><text class="theirs" x="${left + 90}" y="16">matrix-sdk-crypto</text><text class="quiet" x="${left + 215}" y="16">over stored sessions; both scales are logarithmic</text>
${panels.join("\n")}
</svg>
`;
}

function panel({ title, ours, theirs }) {
  const points = [...ours, ...theirs];
  const across = scale(points.map(({ stored }) => stored), left, width - right);
  // Whole decades, so that noise does not look like a slope.
  const decades = [Math.floor(Math.log10(Math.min(...points.map(({ value }) => value)))), Math.ceil(Math.log10(Math.max(...points.map(({ value }) => value))))];
  if (decades[0] === decades[1]) decades[1]++;
  const up = scale(decades.map((decade) => 10 ** decade), height - bottom, top);
  const drawn = [`<text x="${left}" y="22">${title}</text>`];
  for (let decade = decades[0]; decade <= decades[1]; decade++) {
    const y = up(10 ** decade);
    drawn.push(`<line class="grid" x1="${left}" x2="${width - right}" y1="${y}" y2="${y}"/><text class="quiet" x="${left - 6}" y="${y + 3}" text-anchor="end">${amount(10 ** decade)}</text>`);
  }
  for (const { stored } of ours) drawn.push(`<text class="quiet" x="${across(stored)}" y="${height - bottom + 14}" text-anchor="middle">${stored.toLocaleString("en")}</text>`);
  for (const [who, curve] of Object.entries({ theirs, ours })) {
    drawn.push(`<path class="${who}" d="M${curve.map(({ stored, value }) => `${across(stored)} ${up(value)}`).join("L")}"/>`);
  }
  return drawn.join("");
}

/** Puts the logarithm of values between two places. */
function scale(values, from, to) {
  const [least, most] = [Math.log10(Math.min(...values)), Math.log10(Math.max(...values))];
  return (value) => Number((from + ((Math.log10(value) - least) / (most - least)) * (to - from)).toFixed(1));
}
