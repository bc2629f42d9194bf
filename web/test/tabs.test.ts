// Several tabs over one database, as pages of one browser context: who leads, who follows, what they tell each other, and what becomes of the
// work when a leader is closed, crashes, freezes or hangs.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Browser, type Tab } from "./browser.js";
import { useChrome, type TestPage } from "./harness.js";
import { furnish, withNet } from "./lanekit.js";
import { keysQueryAnswer, Outbound, Person } from "./people.js";

const chrome = useChrome();
const room = "!room:test";
const me = new Person("@me:test", "MINE");
const alice = new Person("@alice:test", "ALICE", "yes");
const answer = keysQueryAnswer([alice]);
/** What a page can be told to do. */
type Page = Pick<TestPage, "inPage">;
type Item = ReturnType<Outbound["item"]>;
const item = (outbound = new Outbound(room), from = alice, index = 0): Item => outbound.item(from, me, { embed: false, index });

declare global {
  /** The page's machine, from {@link enter} on. */
  var client: import("./homeserver.js").Client;
}

/** Tells a story of tabs that share their storage. */
async function withTabs(count: number, story: (...tabs: TestPage[]) => Promise<void>): Promise<void> {
  const context = await chrome.browser.newContext();
  const open = async (tabs: TestPage[]): Promise<void> => {
    if (tabs.length === count) return story(...tabs);
    await withNet(chrome, (tab) => open([...tabs, tab]), { context });
  };
  try {
    await open([]);
  } finally {
    await context.close();
  }
}

/** Opens the page's machine. */
function enter(tab: Page, name = "tabs", knows = ""): Promise<void> {
  return tab.inPage(async ({ own, name, knows }) => {
    globalThis.client = await net.open(kit.ks, own, name, knows === "" ? new net.Homeserver() : new net.Homeserver().know(knows));
  }, { own: me.own, name, knows });
}

/** Waits until a tab leads, which its server sees: only who leads asks about our own devices. */
function leads(tab: Page, patience = 60_000): Promise<void> {
  return tab.inPage((patience) => net.until("this tab leads", () => client.server.asked.length > 0, patience), patience);
}

/** Receives keys in a tab and waits until they are settled. */
function receive(tab: Page, ...items: Item[]): Promise<(boolean | undefined)[]> {
  return tab.inPage(async (items) => (await client.machine.receiveRoomKeys(items).settled).map(({ known }) => known), items);
}

const requests = (tab: Page): Promise<number> => tab.inPage(() => client.server.requestsFor("@alice:test"), undefined);
const close = (tab: Page): Promise<void> => tab.inPage(() => client.machine.close(), undefined);

describe("who leads", () => {
  test("scenario 75: one tab asks for all; the others are told, and their keys are settled as their own", async () => {
    await withTabs(3, async (one, two, three) => {
      await enter(one, "tabs", answer);
      await leads(one);
      await Promise.all([enter(two, "tabs", answer), enter(three, "tabs", answer)]);
      assert.deepEqual(await receive(two, item(), item()), [true, true]);
      assert.deepEqual(await Promise.all([one, two, three].map(requests)), [1, 0, 0]);
      await two.inPage(() => net.until("both are told", () => client.updates.length >= 2), undefined);
      const heard = await two.inPage(() => client.updates.map(({ because, after }) => `${because} ${after.type}`), undefined);
      assert.deepEqual(heard, ["other_tab SenderUnverified", "other_tab SenderUnverified"]);
      // What one tab has learned is fast in all of them.
      await three.inPage(() => net.until("Alice is known here", () => client.machine.getIdentity("@alice:test") !== null), undefined);
      assert.deepEqual(await receive(three, item()), [true]);
      assert.deepEqual(await Promise.all([one, two, three].map(requests)), [1, 0, 0]);
    });
  });

  test("a leader that closes its machine hands over at once, and leaves no lock behind", async () => {
    await withTabs(2, async (one, two) => {
      await enter(one);
      await leads(one);
      await enter(two);
      await close(one);
      await leads(two, 2000);
      await close(two);
      const left = await two.inPage(async () => {
        const { held, pending } = await navigator.locks.query();
        return [...(held ?? []), ...(pending ?? [])].length;
      }, undefined);
      assert.equal(left, 0);
    });
  });

  test("retryNow and the own wishes of a tab that follows reach the leader", async () => {
    await withTabs(2, async (one, two) => {
      await enter(one);
      await leads(one);
      await enter(two);
      assert.deepEqual(await receive(two, item()), [false]);
      await one.inPage((answer) => void client.server.know(answer), answer);
      await two.inPage(async () => {
        client.machine.retryNow();
        await net.until("told", () => client.updates.length === 1);
      }, undefined);
      // A list that a follower marks outdated is asked for by the leader.
      const before = await requests(one);
      await two.inPage(async () => {
        await client.machine.updateTrackedUsers(["@alice:test"]);
        await net.until("up to date", () => !client.machine.outdatedUsers().includes("@alice:test"));
      }, undefined);
      assert.equal(await requests(one), before + 1);
      assert.equal(await requests(two), 0);
    });
  });

  test("without Web Locks, or without a channel, each tab leads by itself", async () => {
    for (const [without, object] of [["locks", "navigator"], ["BroadcastChannel", "globalThis"]] as const) {
      await withTabs(2, async (one, two) => {
        for (const tab of [one, two]) {
          await tab.inPage(({ without, object }) => {
            Object.defineProperty(object === "navigator" ? navigator : globalThis, without, { value: undefined });
          }, { without, object });
          await enter(tab, without, answer);
          await leads(tab);
          assert.deepEqual(await receive(tab, item()), [true]);
        }
      });
    }
  });

  test("F21: whatever else is said on the channel, by another version or a stranger, changes nothing", async () => {
    await withTabs(2, async (one, two) => {
      await enter(one, "tabs", answer);
      await leads(one);
      await enter(two, "tabs", answer);
      await two.inPage(() => {
        const stranger = new BroadcastChannel("knownsender:tabs");
        for (const message of [
          null, 7, "news", {}, { kind: "later version" }, { kind: "news" }, { kind: "news", json: 7 }, { kind: "news", json: "" }, { kind: "news", json: "[]" },
          { kind: "news", json: '{"copies":["!r:x"],"users":["@alice:test"],"asked":[],"answered":[]}' },
          { kind: "news", json: '{"copies":["!r:x","s","k","direct"],"users":["nobody"],"asked":["\\u0000"],"answered":[]}' },
          { kind: "news", json: '{"copies":[],"users":["@nobody:test"],"asked":[],"answered":["@nobody:test"]}' },
          { kind: "news", json: "x".repeat(100_000) },
        ]) stranger.postMessage(message);
        stranger.close();
      }, undefined);
      assert.deepEqual(await receive(two, item()), [true]);
      assert.deepEqual(await receive(one, item()), [true]);
      assert.equal(await requests(two), 0);
    });
  });
});

describe("a program that dies", () => {
  test("leads nobody any more, though its page lives on", async () => {
    await withTabs(2, async (one, two) => {
      await enter(one);
      await leads(one);
      await enter(two, "tabs", answer);
      await one.inPage(async () => {
        // A clock that throws is the end of a Go program.
        const { getTime } = Date.prototype;
        const { now } = performance;
        const fatal = (): never => { throw new WebAssembly.RuntimeError("unreachable"); };
        Date.prototype.getTime = fatal;
        Object.defineProperty(performance, "now", { value: fatal, configurable: true });
        await kit.failure(() => client.machine.retryNow());
        Date.prototype.getTime = getTime;
        Object.defineProperty(performance, "now", { value: now, configurable: true });
        await client.machine.ended;
      }, undefined);
      assert.deepEqual(await receive(two, item()), [true]);
      assert.equal(await requests(two), 1);
    });
  });
});

describe("F47: what a tab has in memory", () => {
  test("follows what another tab learned, verdict and all", async () => {
    const outbound = new Outbound(room);
    await withTabs(2, async (one, two) => {
      await enter(one);
      await leads(one);
      await enter(two);
      const event = outbound.event(alice.userId, "$1", "hello");
      const verdict = (): Promise<string> => two.inPage((event) => client.machine.getRoomEventEncryptionInfo(event, "!room:test").verdict.state, event);
      await receive(one, item(outbound));
      await two.inPage(() => client.machine.loadRoom("!room:test"), undefined);
      const before = await verdict();
      await one.inPage((answer) => client.machine.receiveKeysQueryResponse(answer), answer);
      await two.inPage(() => net.until("told", () => client.updates.length === 1), undefined);
      assert.deepEqual([before, await verdict()], ["unknown_device", "sender_unverified"]);
      assert.equal(await two.inPage(() => client.updates[0]?.because, undefined), "other_tab");
    });
  });
});

describe("a leader that goes", () => {
  /** One tab leads and hangs at the server; the other has stored keys too. Then something happens to the first. */
  async function lose(one: Page, two: Page, happens: () => Promise<unknown>): Promise<string> {
    const sessions = [new Outbound(room), new Outbound(room), new Outbound(room)] as const;
    await enter(one);
    await leads(one);
    await enter(two, "tabs", answer);
    await one.inPage(async (items) => {
      client.server.hold();
      await client.machine.receiveRoomKeys(items).stored;
      await net.until("asked", () => client.server.requestsFor("@alice:test") > 0);
    }, [item(sessions[0]), item(sessions[1])]);
    const began = performance.now();
    await happens();
    const third = two.inPage(async (item) => void (await client.machine.receiveRoomKeys([item]).stored), item(sessions[2]));
    await leads(two);
    const took = performance.now() - began;
    await third;
    const ends = await two.inPage((sessions) => net.until("the work of the one that went is done as well", async () => {
      for (const session of sessions) {
        const [copy] = (await client.machine.explain("!room:test", session)).copies;
        if (copy?.senderData.type !== "SenderUnverified") return false;
      }
      return true;
    }), sessions.map(({ sessionId }) => sessionId));
    assert.equal(ends, undefined);
    return `another leads after ${took.toFixed(0)} ms`;
  }

  /** It is back, and leaves the work to the other. */
  async function follows(one: Page): Promise<void> {
    assert.deepEqual(await receive(one, item()), [true], "what was learned meanwhile is known here");
    await receive(one, item(new Outbound(room), new Person("@bob:test", "BOB")));
    assert.equal(await one.inPage(() => client.server.requestsFor("@bob:test"), undefined), 0, "the other one asks");
  }

  test("closed: another leads and finishes the work", async (t) => {
    await withTabs(2, async (one, two) => t.diagnostic(await lose(one, two, () => one.page.close())));
  });

  test("F04: its renderer crashes", async (t) => {
    await withTabs(2, async (one, two) => {
      t.diagnostic(await lose(one, two, async () => {
        const crashed = new Promise((resolve) => one.page.once("crash", resolve));
        const session = await one.context.newCDPSession(one.page);
        session.send("Page.crash").catch(() => undefined);
        await crashed;
      }));
    });
  });

  test("F20: frozen, it hands over, and follows when it is back", async (t) => {
    // The driver of the other stories keeps every page active.
    const profile = await mkdtemp(join(tmpdir(), "knownsender-"));
    const browser = new Browser(profile);
    try {
      const open = async (): Promise<Tab> => {
        const tab = await browser.open(`${chrome.server.origin}/page`);
        await furnish(tab);
        return tab;
      };
      const [one, two] = [await open(), await open()];
      t.diagnostic(await lose(one, two, () => one.send("Page.setWebLifecycleState", { state: "frozen" })));
      await one.send("Page.setWebLifecycleState", { state: "active" });
      await follows(one);
    } finally {
      await browser.kill();
      await rm(profile, { recursive: true, force: true, maxRetries: 5 });
    }
  });

  test("F20: hung, it loses the lock, and learns so", async (t) => {
    await withTabs(2, async (one, two) => {
      t.diagnostic(await lose(one, two, async () => {
        // It holds the lock and hears nothing for as long as this runs.
        one.page.evaluate(() => {
          for (const end = performance.now() + 7_000; performance.now() < end; );
        }).catch(() => undefined);
        await Promise.resolve();
      }));
      await follows(one);
    });
  });
});
