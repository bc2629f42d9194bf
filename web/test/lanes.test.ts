// The slow lane and the background retry in a page: the client's fetch asks a homeserver that answers, waits, or does everything that hosts do.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { useChrome } from "./harness.js";
import { withNet } from "./lanekit.js";
import { keysQueryAnswer, Outbound, Person } from "./people.js";

const chrome = useChrome();
const room = "!room:test";
const me = new Person("@me:test", "MINE");
const alice = new Person("@alice:test", "ALICE", "yes");
const answer = keysQueryAnswer([alice]);

/** A key from somebody, without the device's description beside it: whose it is can only be asked. */
const item = (outbound: Outbound, from = alice, index = 0): ReturnType<Outbound["item"]> => outbound.item(from, me, { embed: false, index });
const fresh = (): ReturnType<Outbound["item"]> => item(new Outbound(room));

describe("slow lane", () => {
  test("scenario 61: what is known asks nobody", async () => {
    await withNet(chrome, async ({ inPage }) => {
      const got = await inPage(async ({ own, answer, key }) => {
        const { machine, server } = await net.open(kit.ks, own, "61");
        await machine.receiveKeysQueryResponse(answer);
        const { receipts, settled } = machine.receiveRoomKeys([key]);
        const [receipt] = receipts;
        const [known] = await settled;
        const asked = server.requestsFor("@alice:test");
        await machine.close();
        return { lane: receipt?.accepted === true && receipt.lane, known: known?.known, asked };
      }, { own: me.own, answer, key: fresh() });
      assert.deepEqual(got, { lane: "fast", known: true, asked: 0 });
    });
  });

  test("scenarios 62, 63, 83: stored before anybody answers, nothing blocked meanwhile, settled with the answer", async () => {
    const [waiting, better, other] = [new Outbound(room), new Outbound(room), new Outbound(room)];
    await withNet(chrome, async ({ inPage }) => {
      const got = await inPage(async ({ own, answer, keys, events }) => {
        const { machine, server, updates } = await net.open(kit.ks, own, "62");
        server.know(answer).hold();
        const first = machine.receiveRoomKeys([keys.waiting, keys.better2]);
        await first.stored;
        let over = false;
        void first.settled.then(() => (over = true));
        await net.until("the request leaves", () => server.requestsFor("@alice:test") === 1);
        // While nobody answers, everything else goes on: other keys, events, the store.
        const second = machine.receiveRoomKeys([keys.other]);
        await second.stored;
        const shown = kit.body(await machine.decryptRoomEvent(events.other, "!room:test"));
        // Scenario 74: a better copy of a waiting key is merged at once.
        const early = await kit.failure(() => machine.decryptRoomEvent(events.better, "!room:test"));
        await machine.receiveRoomKeys([keys.better0]).stored;
        const merged = kit.body(await machine.decryptRoomEvent(events.better, "!room:test"));
        const { total } = await machine.roomKeyCounts();
        const counts = machine.laneCounts();
        const before = { over, requests: server.requestsFor("@alice:test") };
        server.release();
        const settled = [...(await first.settled), ...(await second.settled)].map(({ known, senderData }) => `${known} ${senderData.type}`);
        await net.until("all are told", () => updates.length === 3);
        const again = machine.receiveRoomKeys([keys.better0]);
        const fast = again.receipts[0]?.accepted === true && again.receipts[0].lane;
        await machine.close();
        return { shown, early: early.code, merged, total, counts, before, settled, updates: updates.map(({ because, after }) => `${because} ${after.type}`), fast };
      }, {
        own: me.own, answer,
        keys: { waiting: item(waiting), better2: item(better, alice, 2), better0: item(better), other: item(other) },
        events: { better: { ...better.event(alice.userId, "$1", "earlier") }, other: { ...other.event(alice.userId, "$2", "shown") } },
      });
      assert.deepEqual(got.before, { over: false, requests: 1 });
      assert.deepEqual([got.shown, got.early, got.merged, got.total], ["shown", "unknown_index", "earlier", 3]);
      assert.equal(got.counts.slow, 3);
      assert.deepEqual(got.settled, Array(3).fill("true SenderUnverified"));
      assert.deepEqual(got.updates, Array(3).fill("keys_query SenderUnverified"));
      assert.equal(got.fast, "fast");
    });
  });

  test("scenario 64: an answer without the device hands the key to the retry, which a person can hurry", async () => {
    await withNet(chrome, async ({ inPage }) => {
      const got = await inPage(async ({ own, answer, key }) => {
        const { machine, server, updates } = await net.open(kit.ks, own, "64");
        const [settled] = await machine.receiveRoomKeys([key]).settled;
        const requests = server.requestsFor("@alice:test");
        server.know(answer);
        await net.pause(300);
        const quiet = server.requestsFor("@alice:test");
        machine.retryNow();
        await net.until("the sender is known", () => updates.length === 1);
        // Scenario 69: who is known is not asked about again.
        machine.retryNow();
        await net.pause(100);
        const known = server.requestsFor("@alice:test");
        await machine.close();
        return { settled: [settled?.known, settled?.senderData.type], requests, quiet, known, after: updates[0]?.after.type };
      }, { own: me.own, answer, key: fresh() });
      assert.deepEqual(got, { settled: [false, "UnknownDevice"], requests: 1, quiet: 1, known: 2, after: "SenderUnverified" });
    });
  });
});

describe("scenario 65, F30: whatever the client's fetch does", () => {
  const faults = ["rejects", "rejects with nothing", "throws", "nothing", "null", "an error of matrix-js-sdk", "500", "429", "not JSON", "an array", "an empty body", "a truncated answer", "other users", "failures", "never"] as const;
  test("the key stays, and the sender is found when the server answers again", async () => {
    await withNet(chrome, async ({ inPage }) => {
      const got = await inPage(async ({ own, answer, faults, keys }) => {
        const never = new Promise<never>(() => undefined);
        const does: Record<(typeof faults)[number], () => unknown> = {
          "rejects": () => Promise.reject(new TypeError("Failed to fetch")),
          "rejects with nothing": () => Promise.reject(undefined as unknown as Error),
          "throws": () => { throw new Error("a client's own fault"); },
          "nothing": () => undefined,
          "null": () => null,
          "an error of matrix-js-sdk": () => Promise.reject(Object.assign(new Error("limit"), { httpStatus: 429, data: { errcode: "M_LIMIT_EXCEEDED", retry_after_ms: 1500 } })),
          "500": () => new Response("no", { status: 500 }),
          "429": () => new Response('{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":1500}', { status: 429 }),
          "not JSON": () => "<html>",
          "an array": () => "[]",
          "an empty body": () => new Response(null, { status: 200 }),
          "a truncated answer": () => answer.slice(0, -40),
          "other users": () => answer.replaceAll("@alice:test", "@carol:test"),
          "failures": () => '{"device_keys":{},"failures":{"test":{"status":503}}}',
          "never": () => never,
        };
        return Promise.all(faults.map(async (fault, i) => {
          const { machine, server, updates } = await net.open(kit.ks, own, undefined);
          server.instead = does[fault];
          const { stored, settled } = machine.receiveRoomKeys([keys[i] as (typeof keys)[number]]);
          await stored;
          const began = performance.now();
          const [at] = await settled;
          const took = performance.now() - began;
          const { quietUntil } = machine.laneCounts();
          const { total } = await machine.roomKeyCounts();
          server.instead = undefined;
          server.know(answer);
          machine.retryNow();
          await net.until(`${fault}: found`, () => updates.length === 1);
          const counts = machine.laneCounts();
          await machine.close();
          return { fault, known: at?.known, total, took, quiet: quietUntil > Date.now() - 1500, after: updates[0]?.after.type, left: counts.waiting + counts.slow };
        }));
      }, { own: me.own, answer, faults, keys: faults.map(fresh) });
      for (const { fault, took, quiet, ...rest } of got) {
        assert.deepEqual(rest, { known: false, total: 1, after: "SenderUnverified", left: 0 }, fault);
        assert.equal(quiet, fault === "429" || fault === "an error of matrix-js-sdk", `${fault}: the server wants to be left alone`);
        if (fault === "never") assert.ok(took > 9_000 && took < 20_000, `the budget of ten seconds: ${took}`);
        else assert.ok(took < 9_000, `${fault}: ${took}`);
      }
    });
  });
});

describe("background retry", () => {
  test("scenarios 71, 72: any answer about a user settles all that wait for them, and no user is in two requests at once", async () => {
    await withNet(chrome, async ({ inPage }) => {
      const got = await inPage(async ({ own, answer, keys }) => {
        const { machine, server, updates } = await net.open(kit.ks, own, "71");
        await machine.receiveRoomKeys(keys.slice(0, 2)).settled; // in vain: their time is seconds ahead
        server.hold().know(answer);
        const before = server.requestsFor("@alice:test");
        const { settled } = machine.receiveRoomKeys(keys.slice(2));
        await net.until("asked", () => server.requestsFor("@alice:test") === before + 1);
        for (let i = 0; i < 5; i++) {
          machine.retryNow();
          await net.pause(20);
        }
        const during = server.requestsFor("@alice:test") - before;
        server.release();
        await settled;
        await net.until("all are known", () => updates.length === keys.length);
        await net.pause(50);
        const after = server.requestsFor("@alice:test") - before;
        await machine.close();
        return { during, after };
      }, { own: me.own, answer, keys: [fresh(), fresh(), fresh()] });
      assert.equal(got.during, 1);
      assert.ok(got.after <= 2, `${got.after} requests for one question and one pass`);
    });
  });

  test("scenario 76, F28, F29: a clock that was put back starves nobody, hours of sleep are noticed on waking, and neither makes a storm", async () => {
    await withNet(chrome, async ({ inPage }) => {
      const got = await inPage(async ({ own, answer, keys }) => {
        let shift = 0;
        const { getTime } = Date.prototype;
        Date.prototype.getTime = function () { return getTime.call(this) + shift; };
        try {
          const requests: number[] = [];
          const ends: boolean[] = [];
          for (const [i, by] of [-10 * 365.25 * 24, 10 * 365.25 * 24, 8].entries()) {
            shift = 0;
            const { machine, server, updates } = await net.open(kit.ks, own, `76 ${by}`);
            await machine.receiveRoomKeys([keys[i] as (typeof keys)[number]]).settled;
            const before = server.requestsFor("@alice:test");
            shift = by * 3_600_000;
            for (let n = 0; n < 10; n++) dispatchEvent(new Event("pageshow")); // the page is back
            await net.until("asked on waking", () => server.requestsFor("@alice:test") > before);
            await net.pause(100);
            requests.push(server.requestsFor("@alice:test") - before);
            server.know(answer);
            machine.retryNow();
            await net.until("known", () => updates.length === 1);
            ends.push(updates[0]?.after.type === "SenderUnverified");
            await machine.close();
          }
          return { requests, ends };
        } finally {
          Date.prototype.getTime = getTime;
        }
      }, { own: me.own, answer, keys: [fresh(), fresh(), fresh()] });
      assert.deepEqual(got, { requests: [1, 1, 1], ends: [true, true, true] });
    });
  });

  test("without a connection nothing is asked and nothing waited for; with it the work is done", async () => {
    await withNet(chrome, async ({ inPage, context }) => {
      await inPage(async ({ own, answer }) => {
        const client = await net.open(kit.ks, own, "offline");
        client.server.know(answer);
        await net.until("our own devices", () => client.server.asked.length === 1);
        Object.assign(globalThis, { client });
      }, { own: me.own, answer });
      await context.setOffline(true);
      const offline = await inPage(async (keys) => {
        const { machine, server, updates } = (globalThis as unknown as { client: import("./homeserver.js").Client }).client;
        await net.until("offline", () => !navigator.onLine);
        const began = performance.now();
        const settled = await machine.receiveRoomKeys(keys).settled;
        machine.retryNow();
        await net.pause(50);
        return { known: settled.map(({ known }) => known), soon: performance.now() - began < 5000, asked: server.requestsFor("@alice:test"), updates: updates.length };
      }, [fresh(), fresh()]);
      assert.deepEqual(offline, { known: [false, false], soon: true, asked: 0, updates: 0 });
      await context.setOffline(false);
      const online = await inPage(async () => {
        const { machine, server, updates } = (globalThis as unknown as { client: import("./homeserver.js").Client }).client;
        await net.until("both are known", () => updates.length === 2);
        await machine.close();
        return server.requestsFor("@alice:test");
      }, undefined);
      assert.equal(online, 1);
    });
  });

  test("scenario 66, 84: a page that goes before the answer, and one that never learns more: the next one goes on where it stopped", async () => {
    const context = await chrome.browser.newContext();
    try {
      await withNet(chrome, async ({ inPage }) => {
        await inPage(async ({ own, keys }) => {
          const { machine, server } = await net.open(kit.ks, own, "66");
          server.hold();
          await machine.receiveRoomKeys(keys).stored;
        }, { own: me.own, keys: [fresh(), item(new Outbound(room), new Person("@gone:test", "GONE"))] });
      }, { context });
      await withNet(chrome, async ({ inPage }) => {
        const got = await inPage(async ({ own, answer }) => {
          const { machine, server, updates } = await net.open(kit.ks, own, "66", new net.Homeserver().know(answer));
          await net.until("the sender of one is found", () => updates.length === 1);
          await net.pause(100);
          const rows = await kit.dump("66");
          const asked = server.requestsFor("@gone:test");
          machine.retryNow();
          await net.until("the other is asked about", () => server.requestsFor("@gone:test") > asked);
          const { total } = await machine.roomKeyCounts();
          await machine.close();
          return { total, after: updates.map(({ after }) => after.type), rows: rows.length > 0, asked };
        }, { own: me.own, answer });
        assert.deepEqual(got, { total: 2, after: ["SenderUnverified"], rows: true, asked: 1 });
      }, { context });
    } finally {
      await context.close();
    }
  });
});

describe("redelivery", () => {
  test("scenario 67, F44: the server sends the same again, and no row changes", async () => {
    const embedded = new Outbound(room).item(alice, me);
    await withNet(chrome, async ({ inPage }) => {
      const got = await inPage(async ({ own, answer, keys }) => {
        const { machine, server } = await net.open(kit.ks, own, "44");
        await machine.receiveRoomKeys(keys.slice(0, 2)).settled; // in vain, with a schedule
        const waiting = await kit.dump("44");
        server.hold();
        for (let i = 0; i < 3; i++) await machine.receiveRoomKeys(keys.slice(0, 2)).stored;
        const same = waiting === (await kit.dump("44"));
        server.know(answer).release();
        machine.retryNow();
        await machine.receiveRoomKeys(keys).settled;
        await net.until("nothing is under way", () => machine.laneCounts().requests === 0);
        const known = await kit.dump("44");
        for (let i = 0; i < 3; i++) await machine.receiveRoomKeys([...keys].reverse()).settled;
        const still = known === (await kit.dump("44"));
        const { total } = await machine.roomKeyCounts();
        await machine.close();
        return { same, still, differ: waiting !== known, total };
      }, { own: me.own, answer, keys: [fresh(), embedded, fresh()] });
      assert.deepEqual(got, { same: true, still: true, differ: true, total: 3 });
    });
  });
});

describe("F31: callbacks and fetches that call back", () => {
  test("into every kind of method: nothing locks up, and each change is told once", async () => {
    const [one, two] = [new Outbound(room), new Outbound(room)];
    await withNet(chrome, async ({ inPage }) => {
      const got = await inPage(async ({ own, answer, keys, event }) => {
        const { machine, server, updates } = await net.open(kit.ks, own, "31");
        const heard: string[] = [];
        server.know(answer);
        server.instead = (request) => {
          heard.push(machine.laneCounts().requests > 0 ? "fetch while it is under way" : "fetch by nobody");
          machine.receiveRoomKeys([keys[1] as (typeof keys)[number]]); // from inside the request it is a matter of
          machine.setTrustRequirement("CrossSigned");
          return server.answer(request.body);
        };
        machine.registerRoomKeyUpdatedCallback((fresh) => {
          heard.push(`keys ${fresh.length}`);
          machine.receiveRoomKeys([keys[0] as (typeof keys)[number]]);
        });
        const inside: Promise<unknown>[] = [];
        machine.registerSenderDataUpdatedCallback((news) => {
          for (const { after, sessionId, roomId } of news) {
            heard.push(`${after.type}, policy ${machine.trustRequirement}, ${machine.getRoomEventEncryptionInfo(event, "!room:test").senderData?.type}`);
            inside.push(machine.explain(roomId, sessionId), machine.decryptRoomEvent(event, "!room:test"), machine.receiveRoomKeys(keys).settled);
          }
          machine.retryNow();
        });
        await machine.loadRoom("!room:test");
        await machine.receiveRoomKeys(keys.slice(0, 1)).settled;
        await net.until("both senders are found", () => updates.length === 2);
        await Promise.all(inside);
        await machine.close();
        return { heard, inside: inside.length, sessions: new Set(updates.map(({ sessionId }) => sessionId)).size };
      }, { own: me.own, answer, keys: [item(one), item(two)], event: { ...one.event(alice.userId, "$1", "hello") } });
      assert.equal(got.sessions, 2);
      assert.equal(got.inside, 6);
      assert.deepEqual([...new Set(got.heard)].sort(), ["SenderUnverified, policy CrossSigned, SenderUnverified", "fetch while it is under way", "keys 1"]);
      assert.equal(got.heard.filter((line) => line.startsWith("SenderUnverified")).length, 2, "once for each");
    });
  });
});

describe("a client that sends requests itself", () => {
  test("meets each until it is answered, and waits for nothing", async () => {
    await withNet(chrome, async ({ inPage }) => {
      const got = await inPage(async ({ own, answer, key }) => {
        const server = new net.Homeserver().know(answer);
        const machine = await kit.ks.OlmMachine.open({ ...own, store: { name: "pump" } });
        const [first] = await machine.receiveRoomKeys([key]).settled;
        const [request, ...others] = machine.outgoingRequests();
        const again = machine.outgoingRequests();
        const refused = await kit.failure(() => machine.markRequestAsSent(request?.id ?? "", "<html>"));
        const unknown = await kit.failure(() => machine.markRequestAsSent("no such", "{}"));
        const still = machine.outgoingRequests();
        const change = await machine.markRequestAsSent(request?.id ?? "", server.answer(request?.body ?? ""));
        const none = machine.outgoingRequests();
        await machine.updateTrackedUsers(["@alice:test"]);
        await machine.markRequestAsSent(machine.outgoingRequests()[0]?.id ?? "", server.answer('{"device_keys":{"@alice:test":[],"@me:test":[]}}'));
        const upToDate = machine.outdatedUsers().includes("@alice:test");
        await machine.markAllTrackedUsersAsDirty();
        const dirty = machine.outdatedUsers();
        await machine.close();
        return { first: first?.known, users: Object.keys((JSON.parse(request?.body ?? "") as { device_keys: object }).device_keys).sort(), others: others.length, same: again[0]?.id === request?.id && still[0]?.id === request?.id, refused: refused.code, unknown: unknown.code, changed: change?.roomKeys, none: none.filter(({ body }) => body.includes("alice")).length, upToDate, dirty };
      }, { own: me.own, answer, key: fresh() });
      assert.deepEqual(got, { first: false, users: ["@alice:test", "@me:test"], others: 0, same: true, refused: "bad_answer", unknown: "unknown_request", changed: 1, none: 0, upToDate: false, dirty: ["@alice:test", "@me:test"] });
    });
  });
});
