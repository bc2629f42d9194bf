// A machine whose program runs in a worker: the same answers as in the page, by promises; what the client does is done in the page; the page goes on while
// the worker works; and a worker that does not run, or is no more, says so.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Page } from "playwright-core";
import type { DecryptedOlmEvent, OlmMachine } from "../src/index.js";
import type { PageOptions } from "./harness.js";
import { useChrome } from "./harness.js";
import { longTasks } from "./gaugekit.js";
import { withNet } from "./lanekit.js";
import { withKit } from "./machinekit.js";
import { keysQueryAnswer, Outbound, Person, sealedKeys, type Json } from "./people.js";

/** What a page keeps between two steps of the long work. */
declare global {
  var many: { machine: OlmMachine; file: string; items: DecryptedOlmEvent[]; answer: string; tasks: number[] };
}

const chrome = useChrome();
const room = "!room:test";
const me = new Person("@me:test", "MINE", "yes");
const alice = new Person("@alice:test", "ALICE", "yes");
const answer = keysQueryAnswer([me, alice]);
const item = (outbound: Outbound, embed = false): ReturnType<Outbound["item"]> => outbound.item(alice, me, { embed });

/** The workers of machines end with them; the browser tells a moment later. */
async function noWorkers(page: Page): Promise<void> {
  for (const end = Date.now() + 60_000; page.workers().length > 0; await new Promise((resolve) => setTimeout(resolve, 20))) {
    if (Date.now() > end) throw new Error("a worker is still there");
  }
}

test("receives, judges, decrypts, explains, closes, and has all of it when it is opened again, in a worker or in the page", async () => {
  const outbound = new Outbound(room);
  const event = outbound.event(alice.userId, "$1", "body") as never;
  await withKit(chrome, async ({ page, inPage }) => {
    const open = await inPage(async ({ own, item, event, answer, master }) => {
      const machine = await kit.ks.OlmMachine.open({ ...own, store: { name: "first", encryption: { passphrase: "a passphrase" } }, worker: true });
      const heard: string[] = [];
      machine.registerRoomKeyUpdatedCallback((keys) => heard.push(`keys ${keys.length}`));
      machine.registerSenderDataUpdatedCallback((updates) => heard.push(...updates.map(({ before, after, because }) => `${before.type} -> ${after.type} by ${because}`)));
      const { receipts, stored } = await machine.promised.receiveRoomKeys([item]);
      await stored;
      const [receipt] = receipts;
      const before = await machine.promised.getRoomEventEncryptionInfo(event, "!room:test");
      await machine.receiveKeysQueryResponse(answer);
      await machine.trustOwnIdentity(master);
      const { clearEvent, encryptionInfo } = await machine.decryptRoomEvent(event, "!room:test");
      await machine.promised.setTrustRequirement("Verified");
      const withheld = await kit.failure(() => machine.decryptRoomEvent(event, "!room:test"));
      const { copies } = await machine.explain("!room:test", String((event as { content: { session_id: string } }).content.session_id));
      Object.assign(globalThis, { machine });
      return {
        lane: receipt?.accepted === true && receipt.lane, before: before.senderData?.type, body: kit.body({ clearEvent }), after: encryptionInfo.senderData?.type, heard,
        withheld, policy: machine.trustRequirement, copies: copies.length, identity: (await machine.promised.getIdentity("@alice:test"))?.verification,
      };
    }, { own: me.own, item: item(outbound), event, answer, master: me.identity?.master.public ?? "" });
    assert.equal(page.workers().length, 1);
    assert.deepEqual(open, {
      lane: "slow", before: "UnknownDevice", body: "body", after: "SenderUnverified", heard: ["keys 1", "UnknownDevice -> SenderUnverified by keys_query"],
      withheld: open.withheld, policy: "Verified", copies: 1, identity: "Unverified",
    });
    assert.deepEqual([open.withheld.name, open.withheld.code], ["DecryptionError", "unverified_identity"]);
    await inPage(async () => {
      const { machine } = globalThis as unknown as { machine: OlmMachine };
      await machine.close();
      if ((await kit.failure(() => machine.roomKeyCounts())).code !== "closed") throw new Error("it is open");
    }, undefined);
    await noWorkers(page);
    for (const worker of [true, false]) {
      const again = await inPage(async ({ own, event, worker }) => {
        const open = (passphrase: string): Promise<OlmMachine> => kit.ks.OlmMachine.open({ ...own, store: { name: "first", encryption: { passphrase } }, worker });
        const wrong = await kit.failure(() => open("another"));
        const machine = await open("a passphrase");
        const { clearEvent, encryptionInfo } = await machine.decryptRoomEvent(event, "!room:test");
        const { total } = await machine.roomKeyCounts();
        await machine.lock();
        const locked = await kit.failure(() => machine.promised.outdatedUsers());
        return [wrong.code, kit.body({ clearEvent }), encryptionInfo.senderData?.type, total, locked.code];
      }, { own: me.own, event, worker });
      assert.deepEqual(again, ["wrong_store_key", "body", "SenderUnverified", 1, "locked"], `worker: ${worker}`);
    }
    await noWorkers(page);
  });
});

test("what answers at once fails with worker_has_no_sync, and each has a counterpart that promises the same", async () => {
  const [outbound, stranger] = [new Outbound(room), new Outbound(room)];
  await withKit(chrome, async ({ inPage }) => {
    const got = await inPage(async ({ own, item, event, unknown, answer }) => {
      type Calls = Record<string, readonly unknown[]>;
      const calls: Calls = {
        receiveRoomKeys: [[item]], roomKeyBundleDescriptor: [item], queryKeysForUsers: [["@alice:test"]], outgoingRequests: [], outdatedUsers: [], laneCounts: [],
        getIdentity: ["@alice:test"], getRoomEventEncryptionInfo: [event, "!room:test"], setTrustRequirement: ["CrossSigned"],
      };
      const told: Record<string, Record<string, unknown>> = {};
      const failures: Record<string, string> = {};
      for (const worker of [false, true]) {
        const machine = await kit.ks.OlmMachine.open({ ...own, store: { memory: true }, worker });
        const { stored } = await machine.promised.receiveRoomKeys([item]);
        await stored;
        await machine.receiveKeysQueryResponse(answer);
        const direct = machine as unknown as Record<string, (...args: readonly unknown[]) => unknown>;
        const promised = machine.promised as unknown as typeof direct;
        const results: Record<string, unknown> = (told[String(worker)] = { listed: Object.keys(promised).sort().join() === Object.keys(calls).sort().join() });
        for (const [name, args] of Object.entries(calls)) {
          if (worker) failures[name] = (await kit.failure(() => direct[name]?.(...args))).code;
          try {
            results[name] = JSON.stringify(await promised[name]?.(...args)).replace(/"id":"[^"]*"/, "");
          } catch (thrown) {
            results[name] = [thrown instanceof kit.ks.DecryptionError, (thrown as { code: string }).code].join(" ");
          }
        }
        results["policy"] = machine.trustRequirement;
        results["bad policy"] = await kit.failure(() => machine.promised.setTrustRequirement("Everything" as never));
        results["no such event"] = await kit.failure(() => machine.promised.getRoomEventEncryptionInfo(unknown, "!elsewhere:test"));
        results["no event"] = await kit.failure(() => machine.promised.getRoomEventEncryptionInfo("[", "!room:test"));
        results["no list"] = await kit.failure(() => machine.promised.receiveRoomKeys(7 as never));
        results["no text"] = await kit.failure(() => machine.promised.getIdentity((() => undefined) as never));
        machine.retryNow(); // has no answer
        await machine.close();
        results["closed"] = await kit.failure(() => machine.promised.laneCounts());
      }
      return { told, failures };
    }, { own: me.own, item: item(outbound, true), event: outbound.event(alice.userId, "$1", "hello") as never, unknown: stranger.event(alice.userId, "$2", "hello") as never, answer });
    const { told: { true: inWorker, false: here }, failures } = got;
    assert.deepEqual(inWorker, here);
    assert.equal(here?.["listed"], true);
    assert.deepEqual([here["policy"], (here["bad policy"] as { code: string }).code, here["roomKeyBundleDescriptor"]], ["CrossSigned", "bad_trust_requirement", here["roomKeyBundleDescriptor"]]);
    assert.match(String(here["getRoomEventEncryptionInfo"]), /SenderUnverified/);
    assert.deepEqual(Object.values(failures), Array(9).fill("worker_has_no_sync"));
  });
});

describe("the client's fetch", () => {
  test("is called in the page, with a signal; a key that waits settles; failures and limits are retried", async () => {
    await withNet(chrome, async ({ inPage }) => {
      const got = await inPage(async ({ own, answer, keys }) => {
        const server = new net.Homeserver();
        const machine = await kit.ks.OlmMachine.open({ ...own, store: { memory: true }, http: { fetch: server.fetch }, worker: true });
        // A server that wants to be left alone for a moment, as matrix-js-sdk tells it: the key goes to the retry.
        server.instead = () => Promise.reject(Object.assign(new Error("limit"), { httpStatus: 429, data: { retry_after_ms: 700 } }));
        const began = Date.now();
        const first = await machine.promised.receiveRoomKeys([keys[0] as never]);
        await first.stored;
        const [unknown] = await first.settled;
        const { quietUntil } = await machine.promised.laneCounts();
        server.instead = undefined;
        server.know(answer);
        const updates: string[] = [];
        machine.registerSenderDataUpdatedCallback((news) => updates.push(...news.map(({ after }) => after.type)));
        await net.until("the sender is known", async () => {
          machine.retryNow();
          await net.pause(100);
          return updates.length === 1;
        });
        // A request that is under way when the machine is closed is aborted.
        let signal: AbortSignal | undefined;
        server.instead = (request) => new Promise(() => (signal = request.signal));
        const second = await machine.promised.receiveRoomKeys([keys[1] as never]);
        await second.stored;
        const settled = second.settled.then(() => "", (thrown: { code: string }) => thrown.code);
        await net.until("the request leaves", () => signal !== undefined);
        const before = signal?.aborted;
        await machine.close();
        return { unknown: unknown?.known, quiet: quietUntil - began, updates, before, after: signal?.aborted, settled: await settled };
      }, { own: me.own, answer, keys: [item(new Outbound(room)), new Outbound(room).item(new Person("@bob:test", "BOB"), me, { embed: false })] });
      assert.ok(got.quiet >= 700 && got.quiet < 15_000, `${got.quiet} ms`);
      assert.deepEqual(got, { unknown: false, quiet: got.quiet, updates: ["SenderUnverified"], before: false, after: true, settled: got.settled });
      assert.notEqual(got.settled, "", "what waited has failed");
    });
  });
});

test("several thousand room keys are imported, exported and judged while the page goes on", async (t) => {
  const count = 4000;
  const outbounds = Array.from({ length: count }, () => new Outbound(room));
  const file = JSON.stringify(outbounds.map((outbound) => outbound.exported(alice)));
  const items = Array.from({ length: 1000 }, () => item(new Outbound(room)));
  const work = { here: [0, 0, 0], inWorker: [0, 0, 0] };
  for (const worker of [false, true]) {
    await withKit(chrome, async ({ page, context, inPage }) => {
      // Processor time, so that whatever else the machine does makes no difference.
      const devtools = await context.newCDPSession(page);
      await devtools.send("Performance.enable", { timeDomain: "threadTicks" });
      const used = async (): Promise<number> => (await devtools.send("Performance.getMetrics")).metrics.find(({ name }) => name === "TaskDuration")?.value ?? NaN;
      await inPage(async ({ own, worker }) => {
        const machine = await kit.ks.OlmMachine.open({ ...own, store: { name: "many" }, worker });
        const tasks: number[] = [];
        new PerformanceObserver((list) => tasks.push(...list.getEntries().map(({ duration }) => duration))).observe({ type: "longtask" });
        globalThis.many = { machine, tasks, file: "", items: [], answer: "" };
      }, { own: me.own, worker });
      await inPage(({ file, items, answer }) => void Object.assign(many, { file, items, answer }), { file, items, answer });
      const measured = async <R>(work: () => Promise<R>): Promise<[R, number]> => {
        const before = await used();
        return [await work(), 1000 * ((await used()) - before)];
      };
      const [imported, importing] = await measured(() => inPage(async () => {
        const progress: number[] = [];
        const { imported } = await many.machine.importExportedRoomKeys(many.file, { progressCallback: ({ successes }) => void progress.push(successes) });
        return { imported, progress };
      }, undefined));
      const [exported, exporting] = await measured(() => inPage(async () => (JSON.parse(await many.machine.exportRoomKeys(({ sessionId }) => sessionId < "M")) as unknown[]).length, undefined));
      const accepted = await inPage(async () => {
        const { stored, receipts } = await many.machine.promised.receiveRoomKeys(many.items);
        await stored;
        return receipts.filter(({ accepted }) => accepted).length;
      }, undefined);
      const [updates, judging] = await measured(() => inPage(async () => {
        let updates = 0;
        many.machine.registerSenderDataUpdatedCallback((news) => void (updates += news.length));
        await many.machine.receiveKeysQueryResponse(many.answer);
        return updates;
      }, undefined));
      const end = await inPage(async () => {
        const controller = new AbortController();
        const aborted = await kit.failure(() => many.machine.importExportedRoomKeys(many.file, { signal: controller.signal, progressCallback: () => controller.abort() }));
        const { total } = await many.machine.roomKeyCounts();
        await many.machine.close();
        return { aborted: [aborted.name, aborted.code], total, tasks: many.tasks };
      }, undefined);
      assert.deepEqual([imported.imported, accepted, updates, end.total], [count, items.length, items.length, count + items.length]);
      assert.equal(exported, outbounds.filter(({ sessionId }) => sessionId < "M").length);
      assert.deepEqual([imported.progress[0], imported.progress.at(-1)], [0, count]);
      assert.ok(imported.progress.every((n, i) => n >= (imported.progress[i - 1] ?? 0)), imported.progress.join());
      assert.deepEqual(end.aborted, ["KnownSenderError", "aborted"]);
      work[worker ? "inWorker" : "here"] = [importing, exporting, judging];
      t.diagnostic(`${worker ? "in a worker" : "in the page"} the page's thread worked ${importing.toFixed(0)} ms for an import, ${exporting.toFixed(0)} for an export, ${judging.toFixed(0)} to judge ${items.length}; ${longTasks(end.tasks)}`);
      if (worker) assert.ok(end.tasks.every((ms) => ms < 2000), longTasks(end.tasks)); // on a machine that does nothing else there are none
    });
  }
  assert.ok(work.inWorker.every((ms, i) => ms < (work.here[i] ?? 0) / 2), JSON.stringify(work));
});

test("errors keep class, code and details across, whatever is asked", async () => {
  await withKit(chrome, async ({ inPage }) => {
    const got = await inPage(async ({ own, event, file }) => {
      const ends: Record<string, unknown> = {};
      for (const worker of [false, true]) {
        const machine = await kit.ks.OlmMachine.open({ ...own, store: { memory: true }, worker });
        const withheld = await machine.decryptRoomEvent(event, "!room:test").then(() => undefined, (thrown: unknown) => thrown);
        const late = new AbortController();
        late.abort();
        ends[String(worker)] = [
          withheld instanceof kit.ks.DecryptionError && [withheld.code, withheld.reason, withheld.encryptionInfo?.verdict.code],
          await kit.failure(() => machine.loadRoom("no room")),
          await kit.failure(() => machine.importExportedRoomKeys("{")),
          await kit.failure(() => machine.importExportedRoomKeys("[]", { signal: late.signal })),
          await kit.failure(() => machine.receiveKeysQueryResponse("{}", "never asked")),
          await kit.failure(() => machine.changeStoreKey({ passphrase: "a" }, { hostKey: new Uint8Array(32) })),
          await kit.failure(() => machine.receiveSyncChanges({ toDeviceEvents: [] })),
          await kit.failure(() => machine.updateTrackedUsers([7 as never])),
          await kit.failure(() => kit.ks.OlmMachine.open({ ...own, userId: "me", store: { memory: true }, worker })),
        ];
        await machine.close();
      }
      const text = await kit.ks.OlmMachine.decryptExportedRoomKeys(file, "pass");
      return { ends, text };
    }, { own: me.own, event: new Outbound(room).event(alice.userId, "$1", "hello") as never, file: `-----BEGIN MEGOLM SESSION DATA-----\n${sealedKeys("[]", "pass").toString("base64")}\n-----END MEGOLM SESSION DATA-----\n` });
    assert.deepEqual(got.ends["true"], got.ends["false"]);
    const codes = (got.ends["true"] as (Json & { code: string })[]).slice(1).map(({ code }) => code);
    assert.deepEqual(codes, ["bad_room_id", "bad_key_file_json", "aborted", "bad_answer", "store_not_encrypted", "no_account", "bad_request", "bad_user_id"].map((code, i) => (code === "bad_answer" ? codes[i] : code)));
    assert.equal(got.text, "[]");
  });
});

describe("a worker that was given", () => {
  test("serves several machines, and is left running for whoever made it", async () => {
    await withKit(chrome, async ({ page, inPage }) => {
      const got = await inPage(async (own) => {
        const worker = new Worker("/dist/worker.js", { type: "module" });
        worker.postMessage("what is not for it");
        worker.postMessage(null);
        const open = (name: string): Promise<OlmMachine> => kit.ks.OlmMachine.open({ ...own, store: { name }, worker });
        const machines = await Promise.all([open("a"), open("b")]);
        await machines[0]?.close();
        const { total } = (await machines[1]?.roomKeyCounts()) ?? { total: -1 };
        await machines[1]?.close();
        const again = await open("a");
        const counts = await again.roomKeyCounts();
        await again.close();
        return [total, counts.total];
      }, me.own);
      assert.deepEqual([got, page.workers().length], [[0, 0], 1]);
    });
  });

  test("and terminated ends its machines: every call says so, and what was stored is there", async () => {
    const outbound = new Outbound(room);
    await withKit(chrome, async ({ inPage }) => {
      const got = await inPage(async ({ own, item }) => {
        const worker = new Worker("/dist/worker.js", { type: "module" });
        const machine = await kit.ks.OlmMachine.open({ ...own, store: { name: "torn" }, worker });
        await (await machine.promised.receiveRoomKeys([item])).stored;
        const underWay = kit.failure(() => machine.importExportedRoomKeys(Array.from({ length: 5000 }, () => ({}))));
        worker.terminate();
        const ended = await machine.ended;
        const later = await kit.failure(() => machine.roomKeyCounts());
        const closing = await kit.failure(() => machine.close());
        const again = await kit.ks.OlmMachine.open({ ...own, store: { name: "torn" }, worker: true });
        const { total } = await again.roomKeyCounts();
        await again.close();
        return { ended: [ended instanceof kit.ks.EngineStoppedError, ended.message], underWay: (await underWay).name, later: later.name, closing: closing.name, total };
      }, { own: me.own, item: item(outbound) });
      assert.deepEqual(got, {
        ended: [true, "The knownsender program has ended: its worker was terminated"], underWay: "EngineStoppedError", later: "EngineStoppedError", closing: "EngineStoppedError", total: 1,
      });
    });
  });

  test("but does not run fails to open, by name", async () => {
    await withKit(chrome, async ({ page, inPage, uncaught }) => {
      const scripts = { missing: "/dist/none.js", html: "/page", broken: "data:text/javascript,throw new Error('out of order')" };
      for (const [name, script] of Object.entries(scripts)) {
        const failure = await inPage(({ own, script }) => kit.failure(() => kit.ks.OlmMachine.open({ ...own, store: { memory: true }, worker: new Worker(script, { type: "module" }) })), { own: me.own, script });
        assert.deepEqual([failure.name, failure.code], ["KnownSenderError", "worker_failed"], name);
        assert.match(failure.message, /knownsender\/worker/, name);
      }
      for (const worker of [7, "worker.js", {}]) {
        const failure = await inPage(({ own, worker }) => kit.failure(() => kit.ks.OlmMachine.open({ ...own, store: { memory: true }, worker: worker as never })), { own: me.own, worker });
        assert.equal(failure.code, "bad_worker");
      }
      await page.clock.install();
      const silent = inPage((own) => kit.failure(() => kit.ks.OlmMachine.open({ ...own, store: { memory: true }, worker: new Worker("data:text/javascript,0", { type: "module" }) })), me.own);
      let over = false;
      void silent.finally(() => (over = true));
      while (!over) await page.clock.fastForward(10_000);
      assert.match((await silent).message, /did not answer/);
      assert.match(uncaught.splice(0).join(), /^Error: out of order$/, "which the browser tells too");
    });
  });

  test("of another version is told from one that is missing", async () => {
    await withKit(chrome, async ({ inPage }) => {
      const told = await inPage(async () => {
        const worker = new Worker("/dist/worker.js", { type: "module" });
        const { port1, port2 } = new MessageChannel();
        worker.postMessage({ knownsender: 0, port: port2 }, [port2]);
        return new Promise((resolve) => (port1.onmessage = ({ data }) => resolve(data)));
      }, undefined) as { kind: string; error: { code: string; message: string } };
      assert.deepEqual([told.kind, told.error.code], ["ended", "worker_failed"]);
      assert.match(told.error.message, /version/);
    });
  });
});

describe("the page's Content-Security-Policy", () => {
  const policy = "default-src 'none'; connect-src 'self'; script-src 'self' 'wasm-unsafe-eval'";
  const open = (options: PageOptions): Promise<{ code: string; message: string }> => withKit(chrome, ({ inPage, uncaught }) => inPage((own) => kit.failure(async () => {
    const machine = await kit.ks.OlmMachine.open({ ...own, store: { memory: true }, worker: true });
    await machine.close();
  }), me.own).finally(() => uncaught.splice(0)), options);

  test("needs no more for a worker", async () => assert.equal((await open({ csp: policy })).code, ""));
  test("is named when it forbids it", async () => {
    const { code, message } = await open({ csp: `${policy}; worker-src 'none'` });
    assert.equal(code, "worker_failed");
    assert.match(message, /worker-src/);
  });
});

test("the page asks the browser not to evict the worker's database, since only a page can", async () => {
  await withKit(chrome, async ({ inPage }) => {
    const got = await inPage(async (own) => {
      let asked = 0;
      navigator.storage.persist = () => Promise.resolve(++asked > 0);
      const machine = await kit.ks.OlmMachine.open({ ...own, store: { name: "kept" }, worker: true });
      let { store, reports } = await machine.diagnose();
      while (store.persistence !== "granted") ({ store, reports } = await machine.diagnose());
      await machine.close();
      return [asked, store.name, store.created, reports.map(({ code }) => code).filter((code) => code.startsWith("persistence"))];
    }, me.own);
    assert.deepEqual(got, [1, "kept", true, ["persistence_granted"]]);
  });
});
