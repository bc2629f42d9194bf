// The IndexedDB bridge in Chrome: what the store suite cannot see from Go, because it takes two tabs, a broken database or a broken browser.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { encodeFrame, FrameError, FrameReader, decodeFrame } from "../src/frame.js";
import { useChrome, type TestPage } from "./harness.js";
import { stories } from "./idbkit.js";

const chrome = useChrome();

type Kit = typeof import("./idbkit.js");

describe("the IndexedDB bridge", () => {
  for (const name of Object.keys(stories)) {
    test(name, async () => {
      await chrome.withPage(async ({ inPage }) => {
        await inPage(async (story: string) => {
          const kit = (await import("/build/test/idbkit.js" as string)) as Kit;
          await kit.stories[story]?.(story);
        }, name);
      });
    });
  }
});

/** A session of the browser's own protocol, for what no page can do to itself. */
async function protocol({ context, page }: TestPage): Promise<{ send: (method: string, params: object) => Promise<unknown> }> {
  const session = await context.newCDPSession(page);
  return { send: (method, params) => session.send(method as never, params as never) as Promise<unknown> };
}

describe("the IndexedDB bridge and the browser", () => {
  test("F05: a full disk aborts the whole batch; what was there stays, small writes go on", async () => {
    await chrome.withPage(async (page) => {
      // Set later it has no effect on an open database.
      await (await protocol(page)).send("Storage.overrideQuotaForOrigin", { origin: page.origin, quotaSize: 6_000_000 });
      const got = await page.inPage(async () => {
        const { Bridge, code } = (await import("/build/test/idbkit.js" as string)) as Kit;
        const bridge = new Bridge();
        await bridge.open("quota");
        await bridge.commit([["meta", ["old"], 0n, "old"]], ["n", 1n]);
        const large = crypto.getRandomValues(new Uint8Array(60_000));
        const value = new Uint8Array(20_000_000).map((_, i) => large[i % 60_000] ?? 0);
        const failed = await code(bridge.commit([["meta", ["small"], 0n, "small"], ["meta", ["large"], 0n, value]], ["n", 1n], "strict"));
        const found = await bridge.get("meta", ["old"], ["small"], ["large"]);
        const counters = await bridge.counters();
        await bridge.commit([["meta", ["later"], 0n, "later"]]);
        return { failed, revisions: found.map(({ revision }) => Number(revision)), n: Number(counters["n"]) };
      }, undefined);
      assert.deepEqual(got, { failed: "quota", revisions: [1, 0, 0], n: 1 });
    });
  });

  test("F09, F10: data cleared by the user while the database is open are noticed at the next call", async () => {
    await chrome.withPage(async (page) => {
      await page.inPage(async () => {
        const { Bridge } = (await import("/build/test/idbkit.js" as string)) as Kit;
        const bridge = new Bridge();
        await bridge.open("cleared");
        await bridge.commit([["meta", ["m"], 0n, "v"]]);
        Object.assign(globalThis, { bridge });
      }, undefined);
      await (await protocol(page)).send("Storage.clearDataForOrigin", { origin: page.origin, storageTypes: "indexeddb" });
      const got = await page.inPage(async () => {
        const { code } = (await import("/build/test/idbkit.js" as string)) as Kit;
        const { bridge } = globalThis as unknown as { bridge: InstanceType<Kit["Bridge"]> };
        return { first: await code(bridge.get("meta", ["m"])), second: await code(bridge.commit([["meta", ["m"], 0n, "v"]])), events: bridge.kinds() };
      }, undefined);
      assert.deepEqual([got.first, got.second], ["store_lost", "store_lost"]);
      assert.equal(got.events.at(-1), "store_lost");
    });
  });

  test("F12: Chrome grants persistence to a site that may have it", async () => {
    await chrome.withPage(async (page) => {
      const { send } = await protocol(page);
      const { targetInfo } = (await send("Target.getTargetInfo", {})) as { targetInfo: { browserContextId: string } };
      await send("Browser.grantPermissions", { origin: page.origin, permissions: ["durableStorage"], browserContextId: targetInfo.browserContextId });
      const state = await page.inPage(async () => {
        const { Bridge } = (await import("/build/test/idbkit.js" as string)) as Kit;
        const bridge = new Bridge();
        await bridge.open("persistence");
        while (bridge.events.length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
        return bridge.events[0];
      }, undefined);
      assert.deepEqual(state, { kind: "persistence", state: "granted" });
    });
  });

  test("F41: a page that goes away lets go of the database", async () => {
    const context = await chrome.browser.newContext();
    await chrome.withPage(async ({ inPage }) => {
      await inPage(async () => {
        const { Bridge } = (await import("/build/test/idbkit.js" as string)) as Kit;
        await new Bridge({ beforeClose: () => new Promise(() => undefined), flushTimeoutMs: 60_000 }).open("gone");
      }, undefined);
    }, { context });
    await chrome.withPage(async ({ inPage }) => {
      const created = await inPage(async () => {
        const { Bridge } = (await import("/build/test/idbkit.js" as string)) as Kit;
        await new Promise((resolve) => (indexedDB.deleteDatabase("gone").onsuccess = resolve));
        return (await new Bridge().open("gone")).created;
      }, undefined);
      assert.equal(created, "created");
    }, { context });
    await context.close();
  });
});

describe("frames", () => {
  const bytes = (...numbers: number[]): Uint8Array => Uint8Array.from(numbers);

  test("are the bytes that Go writes", () => {
    // jsbridge/frame's TestWriterNests has the same frame.
    const frame = encodeFrame(["name", [["a", ""], [], 0x0102030405060708n], new Uint8Array(0)]);
    assert.deepEqual([...frame], [
      3, 0, 0, 0, 4, 0, 0, 0, 110, 97, 109, 101,
      41, 0, 0, 0, 3, 0, 0, 0, 13, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 97, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1,
      0, 0, 0, 0,
    ]);
  });

  test("come back as they went in", () => {
    const reader = new FrameReader(encodeFrame(["\ufeffé😀\u0000", -1n, 2n ** 63n, bytes(1, 2), ["x", "x"], []]));
    assert.equal(reader.text(), "\ufeffé😀\u0000");
    assert.equal(reader.signed(), -1n);
    assert.equal(reader.unsigned(), 2n ** 63n);
    assert.deepEqual([...reader.bytes()], [1, 2]);
    assert.deepEqual(reader.texts(), ["x", "x"]);
    assert.deepEqual(reader.texts(), []);
    reader.end();
  });

  test("cut, lengthened or lying are refused", () => {
    const code = (call: () => unknown): string => {
      try {
        call();
        return "";
      } catch (error) {
        assert.ok(error instanceof FrameError, String(error));
        return error.code;
      }
    };
    const whole = encodeFrame(["abc", "de"]);
    for (let n = 0; n < whole.length; n++) assert.equal(code(() => decodeFrame(whole.subarray(0, n))), "frame_truncated", `${n} bytes`);
    assert.equal(code(() => decodeFrame(bytes(...whole, 0))), "frame_leftover");
    assert.equal(code(() => decodeFrame(bytes(255, 255, 255, 255, 0, 0, 0, 0))), "frame_truncated");
    assert.equal(code(() => decodeFrame(bytes(1, 0, 0, 0, 255, 255, 255, 255))), "frame_truncated");
    assert.equal(code(() => new FrameReader(encodeFrame([bytes(255)])).text()), "frame_bad_item");
    assert.equal(code(() => new FrameReader(encodeFrame([])).text()), "frame_bad_item");
    assert.equal(code(() => new FrameReader(encodeFrame(["1"])).unsigned()), "frame_bad_item");
    assert.equal(code(() => new FrameReader(encodeFrame(["1"])).end()), "frame_bad_item");
  });
});
