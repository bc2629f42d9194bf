// What every check of the demo uses: what is expected and what is not, tables for the terminal, and readers of the recordings that share nothing with
// the package.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import Olm from "@matrix-org/olm";
import { top } from "../../packaging/rooms.mjs";
import { readExports, readRecording } from "../../build/demo/recording.js";

const read = (path) => readFileSync(join(top, path), "utf8");
const recorded = async (path) => read(`core/testdata/recorded/${path}`);

/** The scenes, as the page plays them too. */
export const scenes = JSON.parse(read("web/demo/scenes.json"));
/** What is expected beside what is drawn. */
export const expected = JSON.parse(read("web/demo/expected.json"));
const policy = JSON.parse(read("core/testdata/policy.json"));
export const requirements = policy.requirements;
export const recording = await readRecording(recorded);
export const exported = await readExports(recorded);

/** The recorded room keys, in the table's order. */
export const sessions = recording.flatMap(({ keys }) => keys).map(({ sessionId }) => sessionId);

/** Everything that was not as expected. */
export const wrong = [];

/** Whether something is as expected; notes it when it is not. */
export function expect(what, got, wanted) {
  if (JSON.stringify(got) === JSON.stringify(wanted)) return true;
  wrong.push(`${what}: expected ${JSON.stringify(wanted)}, got ${JSON.stringify(got)}`);
  return false;
}

export const bold = (text) => (process.stdout.isTTY ? `\u001b[1m${text}\u001b[0m` : text);
export const mark = (good) => (good ? "" : "  <- not as expected");
export const brief = (sessionId) => sessionId.slice(0, 10);

/** Prints rows of cells in columns. The last cell of a row may be as long as it likes. */
export function print(head, rows) {
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => (i < head.length - 1 ? row[i].length : 0))));
  const line = (cells) => `  ${cells.map((cell, i) => (i < cells.length - 1 ? cell.padEnd(widths[i]) : cell)).join("  ")}`;
  console.log(bold(line(head)));
  for (const row of rows) console.log(line(row));
  console.log();
}

/** What the scene expects at a place. */
export const sceneSays = (name, at) => scenes.find((scene) => scene.name === name).expected.find((one) => one.at === at).is;

/** What the policy's table says of a state, by requirement: a code, or "shown" with the shield's colour. */
export function verdictsOf(state) {
  const row = policy.rows.find((candidate) => candidate.state === state);
  return requirements.map((requirement) => (row.shown[requirement] ? shown(row.lax.color) : row.code));
}

const shown = (color) => (color === "None" ? "shown" : `shown, ${color.toLowerCase()}`);
export const verdict = ({ shown: isShown, shield, code }) => (isShown ? shown(shield.color) : code);

/** What libolm reads in an event. */
export function readByLibolm(event) {
  const key = recording.flatMap(({ keys }) => keys).find(({ sessionId }) => sessionId === event.sessionId);
  const session = new Olm.InboundGroupSession();
  try {
    session.create(JSON.parse(key.payload).content.session_key);
    return JSON.parse(session.decrypt(JSON.parse(event.text).content.ciphertext).plaintext).content.body;
  } finally {
    session.free();
  }
}

/** Resolves when nothing in the page says that it is busy. */
export async function idle(page) {
  await page.waitForTimeout(20); // what was clicked is under way
  while (await page.evaluate(() => document.querySelector('[aria-busy="true"]') !== null)) await page.waitForTimeout(20);
}
