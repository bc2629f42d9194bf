// A closer look at the lanes board: without a network the keys are stored, shown, and asked about in vain; the page is loaded again; the network comes
// back.

import { brief, expect, mark, print, readByLibolm, recording, sceneSays, sessions } from "./kit.mjs";

const report = (page) => page.evaluate(async () => (await import("/demo/main.js")).demo.board.report());
const drawn = (page, lane) => page.$$eval(`#lane-${lane} .key`, (cards) => cards.map(({ dataset }) => dataset.session).sort());
const statesAt = (name) => Object.fromEntries(sceneSays(name, "#sessions [data-state]").map((state, i) => [sessions[i], state]));
// Without a network the keys are what they are in the first stage, with it what they are in the last.
const atFirst = statesAt("arrive");
const atLast = statesAt("signed");
const known = (sessionId) => atLast[sessionId] === "SenderUnverified";

function bodyOf(sessionId) {
  const event = recording.flatMap(({ events }) => events).find((one) => one.sessionId === sessionId);
  return event.plaintext ?? readByLibolm(event);
}

function table(shown, good) {
  const lines = shown.cards.map((card, i) => {
    const { sessionId, made, lane, column, track, tries, copy } = card;
    const due = copy.schedule === null ? "settled" : `in ${Math.max(0, Math.ceil((copy.schedule.next - Date.now()) / 1000))} s`;
    const body = shown.messages[i];
    return [brief(sessionId), lane, column, String(tries), due, made ? "made in the page" : body === null ? "withheld" : `“${body}”`, track.join(" -> ") + mark(good(card, body))];
  });
  console.log();
  print(["room key", "came by", "lane", "tries", "next due", "under Untrusted", "what is known"], lines);
}

/** The schedules that were stored when the network was off. */
let before;

const schedules = ({ cards }) => cards.map(({ sessionId, copy }) => [sessionId, copy.schedule]);

async function resumed(page, how) {
  const after = await report(page);
  // A key that became due meanwhile has rightly been asked about again.
  const going = schedules(before).map(([sessionId, schedule], i) => (schedule !== null && schedule.next > Date.now() ? [sessionId, schedule] : schedules(after)[i]));
  if (expect(`lanes, ${how}`, schedules(after), going)) console.log(`  ${how}: still there, with the schedules stored beside them.`);
}

export async function offline(page) {
  before = await report(page);
  table(before, ({ sessionId, lane, column, copy }, body) => {
    const { tries, next } = copy.schedule ?? {};
    const got = { state: copy.senderData.type, lane, column, tries, due: next > Date.now(), body };
    return expect(`lanes, ${sessionId}, network off`, got, { state: atFirst[sessionId], lane: "slow", column: "retry", tries: 1, due: true, body: bodyOf(sessionId) });
  });
  expect("lanes, the keys", before.cards.map(({ sessionId }) => sessionId), sessions);
  expect("lanes, counted", before.counts, { fast: 0, slow: 0, retry: sessions.length });
  expect("lanes, drawn under retry", await drawn(page, "retry"), [...sessions].sort());
}

export async function reopened(page) {
  await resumed(page, "Closed and opened again");
  await page.reload();
  await page.evaluate(async () => (await import("/demo/main.js")).demo.idle());
  await resumed(page, "The page was loaded again");
}

export async function end(page) {
  const after = await report(page);
  table(after, ({ sessionId, made, lane, column, track, copy }) => {
    const got = { lane, column, track, waits: copy.schedule !== null, state: copy.senderData.type };
    if (made) return expect("lanes, one more key", got, { lane: "fast", column: "fast", track: ["SenderUnverified"], waits: false, state: "SenderUnverified" });
    return expect(`lanes, ${sessionId}, network on`, got, { lane: "slow", column: "retry", track: [atFirst[sessionId], atLast[sessionId]], waits: !known(sessionId), state: atLast[sessionId] });
  });
  expect("lanes, counted at the end", after.counts, { fast: 1, slow: 0, retry: sessions.filter((sessionId) => !known(sessionId)).length });
  expect("lanes, drawn under fast", await drawn(page, "fast"), after.cards.filter(({ made }) => made).map(({ sessionId }) => sessionId));
}
