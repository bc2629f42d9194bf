// What ten thousand room keys of one sender cost when the sender becomes known, and how long the page stands still meanwhile. The figures are
// printed; the limits here are wide enough for a busy machine, and catch a change of kind rather than of degree.

import assert from "node:assert/strict";
import { test } from "node:test";
import { longTasks, withGauges } from "./gaugekit.js";
import { useChrome } from "./harness.js";
import { keysQueryAnswer, Outbound, Person } from "./people.js";

const chrome = useChrome();
const count = 10_000;
const me = new Person("@me:test", "MINE");
const alice = new Person("@alice:test", "ALICE", "yes");

test(`${count} copies of one sender: asked about in vain, becoming known, and none of it stops the page`, async (t) => {
  const items = Array.from({ length: count }, (_, i) => new Outbound(`!room${i % 50}:test`).item(alice, me, { embed: false }));
  await withGauges(chrome, async ({ inPage }) => {
    await inPage(async (own) => {
      const client = await net.open(kit.ks, own, "many");
      Object.assign(globalThis, { client });
    }, me.own);
    const part = 500;
    for (let at = 0; at < count; at += part) {
      await inPage(async (items) => {
        const { machine } = (globalThis as unknown as { client: import("./homeserver.js").Client }).client;
        await machine.receiveRoomKeys(items).stored;
      }, items.slice(at, at + part));
    }
    const got = await inPage(async ({ answer, count }) => {
      const { client } = globalThis as unknown as { client: import("./homeserver.js").Client };
      const { machine, server, updates } = client;
      await net.until("nothing is under way", () => machine.laneCounts().slow === 0, 60_000);
      const rows = async (): Promise<number> => {
        const request = indexedDB.open("many");
        const database = await new Promise<IDBDatabase>((resolve) => (request.onsuccess = () => resolve(request.result)));
        // Leaves that hold waiting copies. All copies are of one device, so each leaf stands there once.
        const waiting = database.transaction("copies").objectStore("copies").index("waiting").getAll() as IDBRequest<{ readonly rows: readonly unknown[] }[]>;
        const left = await new Promise<number>((resolve) => (waiting.onsuccess = () => resolve(waiting.result.reduce((sum, { rows }) => sum + rows.length, 0))));
        database.close();
        return left;
      };
      // All are made due, and asked about in vain: the passes write a new time for each.
      const asked = server.requestsFor("@alice:test");
      const vain = await gauges.standstill(async () => {
        machine.retryNow();
        await net.until("asked", () => server.requestsFor("@alice:test") > asked);
        for (let quiet = 0; quiet < 20; quiet++) {
          const { requests } = machine.laneCounts();
          if (requests > 0) quiet = 0;
          await net.pause(50);
        }
      });
      const requests = server.requestsFor("@alice:test") - asked;
      const waiting = await rows();
      server.know(answer);
      const known = await gauges.standstill(async () => {
        machine.retryNow();
        await net.until("all are known", () => updates.length >= count, 60_000);
      });
      const left = await rows();
      await machine.close();
      return { vain, known, requests, waiting, left, told: updates.length };
    }, { answer: keysQueryAnswer([alice]), count });
    t.diagnostic(`becoming known: ${(got.known.took * 1000 / count).toFixed(0)} us a copy (to be below 100), longest standstill ${got.known.longest.toFixed(0)} ms, ${longTasks(got.known.tasks)} (none wanted)`);
    t.diagnostic(`asked about in vain: longest standstill ${got.vain.longest.toFixed(0)} ms, ${longTasks(got.vain.tasks)}; ${got.requests} requests`);
    assert.deepEqual([got.waiting, got.left, got.told], [count, 0, count]);
    assert.ok(got.requests <= 3, `${got.requests} requests for one sender`);
    assert.ok(got.known.took / count < 5, `${got.known.took} ms`);
    assert.ok(got.known.longest < 3000 && got.vain.longest < 3000, `${got.known.longest} and ${got.vain.longest} ms`);
  });
});
