// A closer look at the room keys and their messages: the verdicts are held against the policy's table, the clear texts against what was recorded or,
// where nothing was, against libolm.

import { brief, expect, expected, mark, print, readByLibolm, recording, requirements, sceneSays, sessions, verdict, verdictsOf } from "./kit.mjs";

const report = (page) => page.evaluate(async () => (await import("/demo/main.js")).demo.report());

/** sender_unverified for SenderUnverified. */
const rowOf = (state) => state.replaceAll(/(?<=[a-z])(?=[A-Z])/g, "_").toLowerCase();

/** After a stage: what the machines say of each key is what is drawn, and what the table makes of it. */
export async function keys(page, scene) {
  const { rows, missing } = await report(page);
  const states = sceneSays(scene.name, "#sessions [data-state]");
  expect(`${scene.name}, sessions`, rows.map(({ sessionId }) => sessionId), sessions);
  const lines = rows.map(({ sessionId, sender, title, copy, verdicts }, i) => {
    const cells = requirements.map((requirement) => verdict(verdicts[requirement]));
    const good = [expect(`${scene.name}, ${sessionId}`, copy.senderData.type, states[i]), expect(`${scene.name}, ${sessionId}, verdicts`, cells, verdictsOf(rowOf(states[i])))];
    return [brief(sessionId), `${sender} ${copy.senderData.deviceId ?? "?"}`, title, copy.senderData.type, ...cells.slice(0, -1), cells.at(-1) + mark(good.every(Boolean))];
  });
  console.log();
  print(["room key", "sender", "", "what is known", ...requirements], lines);
  if (scene.name !== "signed") return;
  for (const { sessionId, notice } of missing) console.log(`  ${brief(sessionId)}  ${notice.sender}  kept back: ${notice.code}, “${notice.reason}”`);
}

/** The messages under every policy: what is drawn is what the machines say, and nothing of what is withheld is in the page. */
export async function messages(page) {
  const { messages: under } = await report(page);
  const lines = under.Untrusted.map(({ event, body, messageIndex }) => {
    const recorded = event.plaintext !== null;
    const good = expect(`message ${event.eventId}`, body, recorded ? event.plaintext : readByLibolm(event));
    return [brief(event.sessionId), String(messageIndex), `“${body}”`, (recorded ? "as recorded" : "as libolm reads it") + mark(good)];
  });
  expect("messages", lines.length, recording.flatMap(({ events }) => events).length);
  for (const requirement of requirements) {
    await page.check(`#policy-${requirement}`, { force: true });
    await page.evaluate(async () => (await import("/demo/main.js")).demo.idle());
    const drawn = await page.$$eval("#timeline li", (items) => items.map(({ dataset, textContent }) => ({ event: dataset.event, shown: dataset.shown, code: dataset.code, text: textContent })));
    for (const { event, verdict: said } of under[requirement]) {
      const item = drawn.find((one) => one.event === event.eventId);
      const { body } = under.Untrusted.find((one) => one.event.eventId === event.eventId);
      expect(`${requirement}, ${event.eventId} in the page`, [item?.shown, item?.code, item?.text.includes(body)], [said.shown ? "shown" : "withheld", said.code ?? "", said.shown]);
    }
  }
  console.log();
  print(["room key", "index", "message", "compared"], lines);
}

/** What came of the attempts at tampering, by the policy's table. */
export async function tampering(page) {
  const outcomes = await page.evaluate(async () => (await import("/demo/main.js")).demo.outcomes);
  const lines = Object.entries(expected.tampering).map(([name, { title, row, received }]) => {
    const { verdicts, received: got, explanation, recovered } = outcomes[name];
    const cells = requirements.map((requirement) => verdict(verdicts[requirement]));
    const good = [expect(`tampering, ${name}`, cells, verdictsOf(row)), expect(`tampering, ${name}, received`, got, received)];
    const grave = explanation.tombstones[0]?.reason;
    const end = grave !== undefined ? `discarded; tombstone: ${grave}` : recovered !== null ? `suspended; ${recovered} after a good answer` : "";
    return [title, ...cells, end + mark(good.every(Boolean))];
  });
  console.log();
  print(["attempt", ...requirements, ""], lines);
}

/** The page is loaded again: it shows what it showed. */
export async function reload(page) {
  const before = await report(page);
  await page.reload();
  await page.evaluate(async () => (await import("/demo/main.js")).demo.idle());
  if (expect("the page loaded again", await report(page), before)) console.log("  The page was loaded again: the same table and the same messages, from IndexedDB.");
}
