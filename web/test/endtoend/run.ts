// make test-homeserver: plays every act with every kind of Bob, prints a line for every story, and closes with how many passed and failed. A story that
// fails ends its act. ACT=words plays the acts whose titles hold the words, BOB=matrix-js-sdk, BOB=fetch or BOB=libolm one kind of Bob.

import { kindsOfBob } from "./client.js";
import { mutualActs } from "./mutual.js";
import { acts, type Line } from "./stories.js";
import { World } from "./world.js";

const begun = Date.now();
const played = kindsOfBob.filter((kind) => kind.includes(process.env["BOB"] ?? "")).flatMap((kind) => [...acts, ...(kind === "matrix-js-sdk" ? mutualActs : [])].map((act) => [kind, act] as const));
const chosen = played.filter(([, { title }]) => title.includes(process.env["ACT"] ?? ""));
let passed = 0;
let failed = 0;

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => process.exit(1)); // what was started ends with us

const line: Line = async (title, story) => {
  const start = Date.now();
  const outcome = await story();
  passed++;
  console.log(`ok    ${title} -> ${outcome} (${((Date.now() - start) / 1000).toFixed(1)} s)`);
};

const world = await World.begin();
console.log(`== dendrite at ${world.dendrite.baseUrl}, Chrome ${world.browser.version()} (${((Date.now() - begun) / 1000).toFixed(1)} s)`);
try {
  for (const [kind, act] of chosen) {
    const start = Date.now();
    world.kind = kind;
    console.log(`== ${act.title} (Bob: ${kind})`);
    let at = "before its first story";
    try {
      await act.run(world, (title, story) => line((at = title), story));
    } catch (thrown) {
      failed++;
      console.log(`FAIL  ${at}: ${thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)}`);
      for (const printed of world.printed()) console.log(`      ${printed}`);
      console.log(world.dendrite.printed.slice(-1500));
    }
    const uncaught = await world.sendAway();
    for (const error of uncaught) console.log(`FAIL  uncaught in a page: ${error}`);
    failed += uncaught.length;
    console.log(`      (${((Date.now() - start) / 1000).toFixed(1)} s)`);
  }
} finally {
  await world.end();
}
if (passed === 0) failed++;
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
