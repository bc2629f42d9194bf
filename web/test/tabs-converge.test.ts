// F18, F19: two real tabs do the same things to the same sessions at once, a thousand times over, with nothing between them but the store and
// what they tell each other. In the end every session is the join of all that was done to it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { useChrome } from "./harness.js";
import { withNet } from "./lanekit.js";
import { keysQueryAnswer, Outbound, Person } from "./people.js";

const chrome = useChrome();
const room = "!room:test";
const me = new Person("@me:test", "MINE");
const sendersCount = 125;
/** Rounds with each sender. */
const perSender = 8;

type Item = ReturnType<Outbound["item"]>;
/** What each tab does in a round: a key to receive, or an answer to apply. */
type Turn = { key: Item } | { answer: string };

/**
 * Of each sender four sessions. First both tabs get the keys: the same; one better than the other's, either way round; both from the middle. Then
 * one tab learns of the sender while the other gets the middle one from its beginning (F19). Last they swap the keys they had, and both get
 * one of a session that nobody has seen while the sender is known to one of them only by hearsay of the other.
 */
function rounds(sender: Person, swap: boolean): { turns: [Turn, Turn][]; firstIndex: Record<string, number> } {
  const [same, one, other, middle, last] = [0, 1, 2, 3, 4].map(() => new Outbound(room)) as [Outbound, Outbound, Outbound, Outbound, Outbound];
  const key = (session: Outbound, index: number): Turn => ({ key: session.item(sender, me, { embed: false, index }) });
  const turns: [Turn, Turn][] = [
    [key(same, 0), key(same, 0)],
    [key(one, 0), key(one, 2)],
    [key(other, 5), key(other, 3)],
    [key(middle, 7), key(middle, 7)],
    [{ answer: keysQueryAnswer([sender]) }, key(middle, 1)],
    [key(one, 2), key(one, 0)],
    [key(other, 1), key(other, 5)],
    [key(last, 4), key(last, 4)],
  ];
  if (swap) for (const turn of turns) turn.reverse();
  return { turns, firstIndex: { [same.sessionId]: 0, [one.sessionId]: 0, [other.sessionId]: 1, [middle.sessionId]: 1, [last.sessionId]: 4 } };
}

test("F18, F19: 1,000 rounds in two tabs converge to the join, nothing is lost, every row is readable", async (t) => {
  const senders = Array.from({ length: sendersCount }, (_, i) => new Person(`@sender${i}:test`, `DEVICE${i}`, "yes"));
  const all = senders.map((sender, i) => rounds(sender, i % 2 === 1));
  assert.equal(sendersCount * perSender, 1000);
  const context = await chrome.browser.newContext();
  try {
    await withNet(chrome, (one) => withNet(chrome, async (two) => {
      const began = performance.now();
      const ends = await Promise.all([one, two].map(({ inPage }, tab) => inPage(async ({ own, turns, tab }) => {
        const { machine, server, updates } = await net.open(kit.ks, own, "converge");
        const reports: string[] = [];
        machine.registerStoreReportCallback(({ code, message }) => void (code.startsWith("persistence") || reports.push(`${code}: ${message}`)));
        // Each round begins in both tabs at once, as well as two processes can.
        const barrier = new BroadcastChannel("barrier");
        let there = -1;
        let go: () => void = () => undefined;
        barrier.onmessage = ({ data }) => {
          there = Math.max(there, Number(data));
          go();
        };
        const meet = async (round: number): Promise<void> => {
          for (barrier.postMessage(round); there < round; ) await new Promise<void>((resolve) => (go = resolve));
        };
        // Until the other listens, nobody hears.
        for (const end = performance.now() + 60_000; there < 0 && performance.now() < end; ) {
          barrier.postMessage(0);
          await net.pause(20);
        }
        const failures: string[] = [];
        const works: Promise<unknown>[] = [];
        for (const [round, turn] of turns.entries()) {
          await meet(round);
          // Handed out as received, settled later: no round waits for the lanes.
          const work = "key" in turn ? machine.receiveRoomKeys([turn.key]) : undefined;
          if (work !== undefined) works.push(work.settled);
          const done = work?.stored ?? machine.receiveKeysQueryResponse("answer" in turn ? turn.answer : "{}");
          await done.then(undefined, (thrown: unknown) => void failures.push(`round ${round} in tab ${tab}: ${String(thrown)}`));
        }
        await meet(turns.length);
        await Promise.all(works);
        barrier.close();
        return { failures, reports, requests: server.asked.length, updates: updates.length };
      }, { own: me.own, turns: all.flatMap(({ turns }) => turns.map((turn) => turn[tab] as Turn)), tab })));
      const took = (performance.now() - began) / 1000;
      assert.deepEqual(ends.map(({ failures, reports }) => ({ failures, reports })), Array(2).fill({ failures: [], reports: [] }));

      // A third machine sees what lies in the store, and both tabs see the same.
      const want = all.map(({ firstIndex }) => firstIndex).reduce((together, some) => Object.assign(together, some), {});
      await withNet(chrome, async ({ inPage }) => {
        const got = await inPage(async ({ own, sessions }) => {
          const machine = await kit.ks.OlmMachine.open({ ...own, store: { name: "converge" } });
          const reports: string[] = [];
          machine.registerStoreReportCallback(({ code }) => void (code.startsWith("persistence") || reports.push(code)));
          await machine.loadRoom("!room:test");
          const found: Record<string, number> = {};
          const unknown: string[] = [];
          for (const session of sessions) {
            const { copies } = await machine.explain("!room:test", session);
            for (const { firstKnownIndex, senderData } of copies) {
              found[session] = firstKnownIndex;
              if (copies.length !== 1 || senderData.type !== "SenderUnverified") unknown.push(`${session}: ${senderData.type}, ${copies.length} copies`);
            }
          }
          const { total } = await machine.roomKeyCounts();
          const waiting = (await kit.dump("converge")).split('"waiting"').length - 1;
          await machine.close();
          return { found, unknown, total, waiting, reports };
        }, { own: me.own, sessions: Object.keys(want) });
        assert.deepEqual(got.reports, []);
        assert.deepEqual(got.found, want, "the earliest index of all");
        assert.deepEqual(got.unknown, []);
        assert.deepEqual([got.total, got.waiting], [sendersCount * 5, 0]);
      }, { context });
      t.diagnostic(`${took.toFixed(1)} s; requests ${ends.map(({ requests }) => requests).join(" and ")}, changes told ${ends.map(({ updates }) => updates).join(" and ")}`);
    }, { context }), { context });
  } finally {
    await context.close();
  }
});
