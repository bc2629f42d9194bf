// The whole browser is killed with kill -9, again and again on one profile. Scenario 66, F02: while keys are stored and nobody has answered who
// sent them: nothing that was reported stored is ever missing, and when the server answers at last, all of it is known. F26: in the middle of an
// import: whole chunks are there, and running it again completes it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { killed } from "./browser.js";
import { useChrome } from "./harness.js";
import { furnish } from "./lanekit.js";
import { keysQueryAnswer, Outbound, Person } from "./people.js";

const chrome = useChrome();
/** make attack takes its time. */
const runs = process.env["ATTACK"] === "full" ? 50 : 20;
const me = new Person("@me:test", "MINE");
const senders = [new Person("@alice:test", "ALICE", "yes"), new Person("@bob:test", "BOB", "yes")];

test("scenario 66, F02: the browser is killed again and again between stored and the answer; nothing is lost, and all is settled after a restart", (t) => killed(t, async (start) => {
  const url = `${chrome.server.origin}/page`;
  const stored: string[] = [];
  const began = performance.now();
  for (let run = 0; run < runs; run++) {
    const browser = start();
    const page = await browser.open(url);
    await furnish(page);
    const sessions = senders.map(() => new Outbound(`!room${run % 3}:test`));
    const before = await page.inPage(async ({ own, items }) => {
      const { machine, server } = await net.open(kit.ks, own, "killed", new net.Homeserver().hold());
      const { total } = await machine.roomKeyCounts();
      const { stored } = machine.receiveRoomKeys(items);
      await stored;
      await net.until("asked", () => server.asked.length > 0);
      return total;
    }, { own: me.own, items: senders.map((sender, i) => (sessions[i] as Outbound).item(sender, me, { embed: false })) });
    const dead = browser.kill(); // at once: the next thing this browser would do is wait
    assert.equal(before, stored.length, `run ${run}: all that was stored before is there`);
    stored.push(...sessions.map(({ roomId, sessionId }) => `${roomId} ${sessionId}`));
    await dead;
  }
  const browser = start();
  const page = await browser.open(url);
  await furnish(page);
  const ends = await page.inPage(async ({ own, answer, sessions }) => {
    const reports: string[] = [];
    const { machine, updates } = await net.open(kit.ks, own, "killed", new net.Homeserver().know(answer));
    machine.registerStoreReportCallback(({ code }) => void (code.startsWith("persistence") || reports.push(code)));
    await net.until("all are settled", () => updates.length >= sessions.length);
    const known: string[] = [];
    for (const session of sessions) {
      const [room = "", id = ""] = session.split(" ");
      const { copies } = await machine.explain(room, id);
      if (copies.length === 1 && copies[0]?.senderData.type === "SenderUnverified") known.push(session);
    }
    const { total } = await machine.roomKeyCounts();
    await machine.close();
    return { total, known, updates: updates.length, reports };
  }, { own: me.own, answer: keysQueryAnswer(senders), sessions: stored });
  assert.deepEqual(ends, { total: stored.length, known: stored, updates: stored.length, reports: [] });
  t.diagnostic(`${runs} kills, ${((performance.now() - began) / (runs + 1)).toFixed(0)} ms a run`);
}));

test("F26: the browser is killed in the middle of an import, five times; what is there is whole, never less than was told, and the next run completes it", (t) => killed(t, async (start) => {
  const url = `${chrome.server.origin}/page`;
  const chunk = 512;
  const sessions = Array.from({ length: 12_000 }, (_, i) => new Outbound(`!room${i % 50}:test`).exported(senders[0] as Person));
  const text = JSON.stringify(sessions);
  const found: number[] = [];
  let told = 0;
  for (let run = 0; run < 5; run++) {
    const browser = start();
    const page = await browser.open(url);
    await furnish(page);
    const { total, successes } = await page.inPage(async ({ own, text, patience }) => {
      const machine = await kit.ks.OlmMachine.open({ ...own, store: { name: "import" } });
      const { total } = await machine.roomKeyCounts();
      const successes = await new Promise<number>((resolve, reject) => {
        const progressCallback = ({ successes }: { successes: number }): void => {
          if (successes > total) setTimeout(() => resolve(successes), patience);
        };
        machine.importExportedRoomKeys(text, { progressCallback }).then(() => reject(new Error("it ended before anybody killed it")), reject);
      });
      return { total, successes };
    }, { own: me.own, text, patience: 10 * run });
    const dead = browser.kill();
    assert.equal(total % chunk, 0, `run ${run}: ${total} keys are whole chunks`);
    assert.ok(total >= told, `run ${run}: ${total} keys of ${told} that were told`);
    found.push(total);
    told = successes;
    await dead;
  }
  const browser = start();
  const page = await browser.open(url);
  await furnish(page);
  const end = await page.inPage(async ({ own, text }) => {
    const reports: string[] = [];
    const machine = await kit.ks.OlmMachine.open({ ...own, store: { name: "import" } });
    machine.registerStoreReportCallback(({ code }) => void (code.startsWith("persistence") || reports.push(code)));
    const { total: before } = await machine.roomKeyCounts();
    const { imported, unchanged, better, failed } = await machine.importExportedRoomKeys(text);
    const { total } = await machine.roomKeyCounts();
    const exported = JSON.parse(await machine.exportRoomKeys()) as { session_key: string }[];
    await machine.close();
    return { before, ends: [imported, unchanged, better, failed], total, keys: exported.map(({ session_key }) => session_key).sort(), reports };
  }, { own: me.own, text });
  assert.ok(end.before >= told && end.before % chunk === 0 && end.before > 0 && end.before < sessions.length, `${end.before} keys, ${told} were told`);
  assert.deepEqual([end.ends, end.total, end.reports], [[sessions.length - end.before, end.before, 0, 0], sessions.length, []]);
  assert.deepEqual(end.keys, sessions.map((session) => session["session_key"]).sort(), "each key, as it was in the file");
  t.diagnostic(`keys found after each death: ${[...found.slice(1), end.before].join(", ")} of ${sessions.length}`);
}));
