// From navigation to a machine that is ready, in profiles of their own and in a Chrome that was started for it: the first visit, a later one, and a later
// one with 10,000 sessions and 500 users in the store.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { keysQueryAnswer } from "../../build/test/people.js";
import { bundles } from "../bundles.mjs";
import { inProfile } from "../chrome.mjs";
import { crowd } from "../crowd.mjs";
import { load, turn } from "../race.mjs";
import { exportedBy } from "./files.mjs";

const sessions = 10_000;
/** Milliseconds. */
const stay = 3_000;

export async function start({ server, rounds, record }) {
  const { ours, theirs } = await bundles();
  for (const [prefix, file] of [["/start/bench/", ours.script], ["/start/dist/", ours.wasm], ["/start/peer/", theirs.wasm]]) server.mount(prefix, dirname(file), "max-age=3600");
  const profiles = await mkdtemp(join(tmpdir(), "knownsender-bench-"));
  try {
    /** Visits once, and stays: what Chrome keeps of a page for the next visit, compiled code for one, it writes some seconds later. */
    const visit = (who, profile, row, { sessions = 0, stay = 0 } = {}) => inProfile(join(profiles, profile), async (page) => {
      await page.goto(`${server.origin}/bench/start.html?who=${who}`);
      const { ready, block } = await (await page.waitForFunction("globalThis.started")).jsonValue();
      const stored = await page.evaluate(async () => Number((await globalThis.machine.roomKeyCounts()).total));
      if (stored !== sessions) throw new Error(`${who}: ${stored} sessions are stored, not ${sessions}`);
      if (row !== null) record(row, who, ready, block);
      await page.waitForTimeout(stay);
    });
    const devices = crowd();
    const args = { users: [...new Set(devices.map(({ userId }) => userId))], answer: keysQueryAnswer(devices), text: JSON.stringify(exportedBy(devices, sessions)) };
    for (const who of ["ours", "theirs"]) {
      await inProfile(join(profiles, `full ${who}`), async (page) => {
        await page.goto(`${server.origin}/page`);
        await load(page);
        await turn(page, who, async ({ side, args: { users, answer, text } }) => {
          await side.open("start");
          await side.query(users, answer);
          await side.import(text);
          await side.close();
        }, args);
      });
      await visit(who, `full ${who}`, null, { sessions, stay });
    }
    for (let round = 0; round < rounds; round++) {
      for (const who of round % 2 === 0 ? ["ours", "theirs"] : ["theirs", "ours"]) {
        await visit(who, `${who} ${round}`, "start.first", { stay });
        await visit(who, `${who} ${round}`, "start.later");
        await visit(who, `full ${who}`, "start.full", { sessions });
      }
    }
  } finally {
    await rm(profiles, { recursive: true, force: true });
  }
}
