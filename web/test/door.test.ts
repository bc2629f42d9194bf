// The door, both leaves of it, against a program that misuses it (web/test/doorkit).

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Engine, EngineOptions } from "../src/engine.js";
import { useChrome, type TestPage } from "./harness.js";

const chrome = useChrome();

type EngineModule = typeof import("../src/engine.js");
type ProgramModule = typeof import("../src/program.js");
type FrameModule = typeof import("../src/frame.js");

/** What a story in the page is given: a fresh engine on the doorkit program. */
interface Kit {
  engine: Engine;
  start: (options?: EngineOptions) => Promise<Engine>;
  decodeFrame: (bytes: Uint8Array) => string[];
  code: (call: () => unknown) => Promise<{ code: string; message: string; expected?: string; got?: string }>;
}

declare global {
  // Set in the page by kit(), never in the tests' own process.
  var doorkit: () => Promise<Kit>;
}

/** Puts `doorkit()` on the page: tests of window's names live elsewhere. */
async function withKit<R>(story: (page: TestPage) => Promise<R>): Promise<R> {
  return chrome.withPage(async (page) => {
    await page.inPage(async () => {
      const { Engine } = (await import("/dist/engine.js" as string)) as EngineModule;
      const { decodeFrame } = (await import("/dist/frame.js" as string)) as FrameModule;
      const module = await WebAssembly.compileStreaming(fetch("/build/doorkit.wasm"));
      globalThis.doorkit = async () => ({
        engine: await Engine.start(module, { onLine: () => undefined }),
        start: (options) => Engine.start(module, { onLine: () => undefined, ...options }),
        decodeFrame: (bytes) => decodeFrame(bytes).map((item) => new TextDecoder().decode(item)),
        code: async (call) => {
          try {
            await call();
            return { code: "", message: "" };
          } catch (thrown) {
            const { code, message, expected, got } = thrown as { code: string; message: string; expected?: string; got?: string };
            return { code, message, ...(expected === undefined ? {} : { expected }), ...(got === undefined ? {} : { got }) };
          }
        },
      });
    }, undefined);
    return story(page);
  });
}

describe("requests and answers", () => {
  test("every kind of text and bytes crosses unchanged, both doors", async () => {
    const texts = ["", "a", "é", "€".repeat(1000), "𐀀".repeat(5000), "x".repeat(100_000), "\u0000", "\ud800", "ab\udc00cd", "\ufeff"];
    await withKit(async ({ inPage }) => {
      const got = await inPage(async (sent) => {
        const { engine, decodeFrame } = await doorkit();
        const bytes = new Uint8Array(70_000).map((_, i) => i);
        const same = (answer: Uint8Array): boolean => answer.length > 70_000 && bytes.every((byte, i) => answer[answer.length - 70_000 + i] === byte);
        const sync = engine.syncCall("echo", [...sent, bytes]);
        const later = await engine.call("echo", [...sent, bytes]);
        return { sync: decodeFrame(sync).slice(0, -1), later: decodeFrame(later).slice(0, -1), bytes: same(sync) && same(later) };
      }, texts);
      // TextEncoder writes U+FFFD for a lone surrogate; TextDecoder drops one leading byte order mark.
      const want = texts.map((text) => text.replace(/^\ufeff/, "").replace(/[\ud800-\udfff]/gu, "\ufffd"));
      assert.deepEqual(got, { sync: want, later: want, bytes: true });
    });
  });

  test("what a handler keeps is not written over by later calls, nor by the growth of memory and a collection", async () => {
    await withKit(async ({ inPage }) => {
      const kept = await inPage(async () => {
        const { engine, decodeFrame } = await doorkit();
        for (let i = 0; i < 50; i++) {
          engine.syncCall("keep", [`first ${i}`, `second ${i}`.repeat(100)]);
          engine.syncCall("echo", ["x".repeat(1000)]);
        }
        engine.syncCall("grow", [String(64 << 20)]);
        engine.syncCall("collect", []);
        const items = decodeFrame(engine.syncCall("kept", []));
        return items.every((text, i) => text === (i % 2 === 0 ? `first ${i / 2}` : `second ${(i - 1) / 2}`.repeat(100))) ? items.length : -1;
      }, undefined);
      assert.equal(kept, 100);
    });
  });

  test("memory grows in the middle of a call and of writing a request", async () => {
    await withKit(async ({ inPage }) => {
      const got = await inPage(async () => {
        const { engine } = await doorkit();
        const tails: number[][] = [];
        for (const size of [1 << 20, 8 << 20, 40 << 20]) tails.push([...engine.syncCall("grow", [String(size)])]);
        const big = "é".repeat(4 << 20); // twice as long in UTF-8: measured and written again
        return { tails, big: engine.syncText("echo", [big]).length };
      }, undefined);
      assert.deepEqual(got, { tails: Array(3).fill([0, 0, 0, 7]), big: 8 + (4 << 20) });
    });
  });

  test("a request that no memory would hold is refused, and the program goes on", async () => {
    await withKit(async ({ inPage }) => {
      const got = await inPage(async () => {
        const { engine, code } = await doorkit();
        const part = new Uint8Array(180 << 20); // three of them are more than 512 MiB
        const refused = [await code(() => engine.syncCall("echo", [part, part, part])), await code(() => engine.call("echo", [part, part, part]))];
        return { codes: refused.map(({ code }) => code), expected: refused[0]?.expected, after: engine.syncText("ping", []) };
      }, undefined);
      assert.deepEqual(got, { codes: Array(2).fill("request_too_large"), expected: `at most ${512 << 20} bytes`, after: "pong" });
    });
  });

  test("clock and randomness are the platform's", async () => {
    await withKit(async ({ inPage }) => {
      const got = await inPage(async () => {
        const { engine } = await doorkit();
        const [a, b] = [engine.syncCall("random", []), engine.syncCall("random", [])];
        return { length: a.length, differ: a.some((byte, i) => byte !== b[i]), off: Math.abs(Number(engine.syncText("now", [])) - Date.now()) };
      }, undefined);
      assert.equal(got.length, 32);
      assert.ok(got.differ);
      assert.ok(got.off < 1000);
    });
  });
});

describe("errors", () => {
  test("cross with code, message, expected and got", async () => {
    await withKit(async ({ inPage }) => {
      const got = await inPage(async () => {
        const { engine, code } = await doorkit();
        return [
          await code(() => engine.syncCall("fail", [])),
          await code(() => engine.call("fail", [])),
          await code(() => engine.syncCall("failPlain", [])),
          await code(() => engine.syncCall("nowhere", [])),
          await code(() => engine.call("nowhere", [])),
          await code(() => engine.syncCall("one", ["a", "b"])),
          await code(() => engine.syncCall("echo", [undefined as unknown as string])),
        ];
      }, undefined);
      const told = { code: "as_told", message: "It went wrong as told.", expected: "right", got: "wrong" };
      assert.deepEqual(got, [
        told,
        told,
        { code: "internal", message: "plain \ufffd words" },
        { code: "unknown_method", message: 'The program has no method "nowhere".' },
        { code: "unknown_method", message: 'The program has no method "nowhere".' },
        { code: "bad_request", message: "The call has the wrong number of arguments.", expected: "1", got: "2" },
        { code: "bad_request", message: "Argument 1 of echo is neither text nor a Uint8Array." },
      ]);
    });
  });

  test("F32: a panic in any handler is an error named internal, and the next call is answered", async () => {
    await withKit(async ({ inPage }) => {
      const got = await inPage(async () => {
        const { engine, code } = await doorkit();
        const ends: string[] = [];
        for (const how of ["index", "nil", "secret", "error", "none"]) {
          for (const call of [() => engine.syncCall("panic", [how]), () => engine.call("panic", [how]), () => engine.syncCall("panic", [])]) {
            const end = await code(call);
            ends.push(`${end.code} ${end.message}`);
            if (engine.syncText("ping", []) !== "pong" || (await engine.callText("ping", [])) !== "pong") ends.push("dead");
          }
        }
        return ends;
      }, undefined);
      assert.equal(got.length, 15);
      for (const end of got) assert.match(end, /^internal The method "panic" panicked at main\.\S+:\d+: /);
      assert.match(got[0] ?? "", /index out of range/);
      // What a handler panicked with may be a secret: only the runtime's own words are shown.
      assert.ok(!got.join().includes("secret material"), got.join());
    });
  });
});

describe("calls that wait", () => {
  test("a synchronous call while promise calls are pending", async () => {
    await withKit(async ({ inPage }) => {
      const got = await inPage(async () => {
        const { engine } = await doorkit();
        const pending = [30, 60, 90].map((ms) => engine.callText("sleep", [String(ms)]));
        let pongs = 0;
        for (let i = 0; i < 1000; i++) pongs += Number(engine.syncText("ping", []) === "pong");
        const slept = await Promise.all(pending);
        return { pongs, slept };
      }, undefined);
      assert.deepEqual(got, { pongs: 1000, slept: ["slept", "slept", "slept"] });
    });
  });

  test("1,000 promise calls at a time, each with its own answer", async () => {
    await withKit(async ({ inPage }) => {
      const wrong = await inPage(async () => {
        const { start } = await doorkit();
        const engine = await start({ methods: { later: async (request) => {
          await new Promise((resolve) => setTimeout(resolve, (request[0] ?? 0) % 7));
          return request;
        } } });
        const calls = Array.from({ length: 1000 }, (_, i) => engine.callText("ask", ["later", `${i} of a thousand`]).then((text) => text === `${i} of a thousand`));
        return (await Promise.all(calls)).filter((right) => !right).length;
      }, undefined);
      assert.equal(wrong, 0);
    });
  });

  test("a synchronous method that waits is found out, and ends the program: its stack is in ruins", async () => {
    await withKit(async ({ inPage }) => {
      const got = await inPage(async () => {
        const { engine, code } = await doorkit();
        const pending = code(() => engine.call("sleep", ["60000"]));
        const ends = [await code(() => engine.syncCall("wait", [])), await pending, await code(() => engine.syncCall("ping", []))];
        await new Promise((resolve) => setTimeout(resolve, 60)); // what it waited for has come by now, and nothing breaks
        return ends.map((end) => `${end.code}: ${end.message}`);
      }, undefined);
      for (const end of got) assert.match(end, /^engine_stopped: .*the synchronous method wait had to wait/);
    });
  });

  test("a goroutine that a synchronous method starts runs once it is woken", async () => {
    await withKit(async ({ inPage }) => {
      const got = await inPage(async () => {
        const { start } = await doorkit();
        const heard: string[] = [];
        const engine = await start({ methods: { later: async (request) => {
          await new Promise((resolve) => setTimeout(resolve, 1));
          return request;
        } } });
        engine.on("done", (text) => heard.push(text));
        engine.syncCall("spawn", ["wake", "woken"]);
        await new Promise((resolve) => setTimeout(resolve, 30));
        heard.push("then");
        engine.syncCall("spawn", ["", "left"]);
        await new Promise((resolve) => setTimeout(resolve, 30));
        heard.push("ping");
        await engine.call("ping", []); // any event does
        await new Promise((resolve) => setTimeout(resolve, 30));
        return heard;
      }, undefined);
      assert.deepEqual(got, ["woken", "then", "ping", "left"]);
    });
  });

  test("the collector works in the middle of synchronous calls, with promise calls and timers under way", async () => {
    await withKit(async ({ inPage }) => {
      const got = await inPage(async () => {
        const { start } = await doorkit();
        const engine = await start({ methods: { later: (request) => new Promise((resolve) => setTimeout(() => resolve(request), 3)) } });
        const pending: Promise<string>[] = [];
        let churned = 0;
        for (let i = 0; i < 40; i++) {
          pending.push(engine.callText("sleep", [String(i)]), engine.callText("ask", ["later", "slept", "5000"]));
          churned += Number(engine.syncText("churn", ["20000"]) === "churned");
          if (i % 8 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
        }
        return { churned, slept: (await Promise.all(pending)).filter((text) => text === "slept").length };
      }, undefined);
      assert.deepEqual(got, { churned: 40, slept: 80 });
    });
  });

  test("abort reaches the program and what the program asked of its host", async () => {
    await withKit(async ({ inPage }) => {
      const got = await inPage(async () => {
        const { start, code } = await doorkit();
        let heard = "";
        const engine = await start({ methods: { hang: (_request, signal) => new Promise((resolve) => signal.addEventListener("abort", () => {
          heard = "aborted";
          resolve(new Uint8Array(3));
        })) } });
        const slept = new AbortController();
        const asked = new AbortController();
        const ends = [code(() => engine.call("sleep", ["60000"], { signal: slept.signal })), code(() => engine.call("ask", ["hang", ""], { signal: asked.signal }))];
        await new Promise((resolve) => setTimeout(resolve, 5));
        slept.abort();
        asked.abort();
        const before = await code(() => engine.call("ping", [], { signal: asked.signal }));
        const timeout = await code(() => engine.call("ask", ["hang", "", "10"]));
        return [...(await Promise.all(ends)).map((end) => end.code), heard, before.code, timeout.code, engine.syncText("ping", [])];
      }, undefined);
      assert.deepEqual(got, ["aborted", "aborted", "aborted", "aborted", "timeout", "pong"]);
    });
  });
});

describe("the host", () => {
  test("may throw, reject with anything and resolve to anything", async () => {
    await withKit(async ({ inPage }) => {
      const got = await inPage(async () => {
        const { start, code } = await doorkit();
        const hostile = { toString: () => { throw new Error("no"); }, get code(): string { throw new Error("no"); } };
        const never = (value: unknown) => (): never => { throw value; };
        const odd = (value: unknown) => () => Promise.resolve(value as Uint8Array);
        const engine = await start({ methods: {
          good: (request) => request.slice().reverse(),
          empty: () => new Uint8Array(0),
          throws: never(new Error("thrown")),
          throwsNothing: never(undefined),
          throwsCode: never(Object.assign(new Error("full"), { code: "quota" })),
          throwsOddCode: never(Object.assign(new Error("odd"), { code: "Not A Code" })),
          throwsHostile: never(hostile),
          rejects: () => Promise.reject(new TypeError("rejected")),
          rejectsText: () => Promise.reject("text"),
          rejectsNull: () => Promise.reject(null),
          undef: odd(undefined), text: odd("text"), list: odd([1, 2]), buffer: odd(new ArrayBuffer(2)), number: odd(7),
          proxy: odd(new Proxy({}, { get() { throw new Error("trap"); } })),
          thenable: () => ({ then() { throw new Error("bad then"); } }) as unknown as Promise<Uint8Array>,
        } });
        const ends: Record<string, string> = {};
        for (const name of ["good", "empty", "throws", "throwsNothing", "throwsCode", "throwsOddCode", "throwsHostile", "rejects", "rejectsText", "rejectsNull",
          "undef", "text", "list", "buffer", "number", "proxy", "thenable", "absent", "toString"]) {
          let answer = "";
          const end = await code(async () => (answer = await engine.callText("ask", [name, "abc"])));
          ends[name] = end.code === "" ? answer : `${end.code}: ${end.message}`;
        }
        ends["alive"] = engine.syncText("ping", []);
        return ends;
      }, undefined);
      assert.deepEqual(got, {
        good: "cba",
        empty: "",
        throws: "host_failed: thrown",
        throwsNothing: "host_failed: undefined",
        throwsCode: "quota: full",
        throwsOddCode: "host_failed: odd",
        throwsHostile: "host_failed: something that has no text",
        rejects: "host_failed: rejected",
        rejectsText: "host_failed: text",
        rejectsNull: "host_failed: null",
        undef: "host_answer_type: The host's undef answered with something that is not a Uint8Array.",
        text: "host_answer_type: The host's text answered with something that is not a Uint8Array.",
        list: "host_answer_type: The host's list answered with something that is not a Uint8Array.",
        buffer: "host_answer_type: The host's buffer answered with something that is not a Uint8Array.",
        number: "host_answer_type: The host's number answered with something that is not a Uint8Array.",
        proxy: "host_failed: trap",
        thenable: "host_failed: bad then",
        absent: "host_method_unknown: The host has no method absent.",
        toString: "host_method_unknown: The host has no method toString.",
        alive: "pong",
      });
    });
  });

  test("hears events after the call that made them, in order; a listener that throws stops nobody", async () => {
    await withKit(async ({ inPage }) => {
      const got = await inPage(async () => {
        const { engine } = await doorkit();
        const heard: string[] = [];
        engine.on("news", () => { throw new Error("a listener's own fault"); });
        const off = engine.on("news", (json) => heard.push(json, engine.syncText("ping", [])));
        engine.syncCall("emit", ["news"]);
        heard.push("call over");
        await Promise.resolve();
        off();
        engine.syncCall("emit", ["news"]);
        engine.syncCall("emit", ["constructor"]);
        await new Promise((resolve) => setTimeout(resolve, 5));
        return heard;
      }, undefined);
      assert.deepEqual(got, ["call over", '{"n":0}', "pong", '{"n":1}', "pong", '{"n":2}', "pong"]);
    });
  });
});

describe("a program that dies", () => {
  const deaths: [name: string, method: string, kind: "sync" | "promise", says: RegExp][] = [
    ["exits", "exit", "sync", /exited with code 3/],
    ["panics where nothing recovers", "die", "promise", /exited with code 2: panic: told to die/],
    ["panics in a timer", "dieLater", "promise", /exited with code 2: panic: told to die later/],
    ["overflows its stack", "overflow", "sync", /stack/i],
  ];
  for (const [name, method, kind, says] of deaths) {
    test(`${name}: the call, those under way and later ones say so`, async () => {
      await withKit(async ({ inPage }) => {
        const got = await inPage(async ({ method, kind }: { method: string; kind: string }) => {
          const { engine, start, code } = await doorkit();
          const other = await start();
          const pending = code(() => engine.call("sleep", ["60000"]));
          const dying = await code(() => (kind === "sync" ? engine.syncCall(method, []) : engine.call(method, [])));
          const ends = [dying, await pending, await code(() => engine.syncCall("ping", [])), await code(() => engine.call("ping", []))];
          const ended = await engine.ended;
          engine.stop();
          return { ends, ended: ended.message, other: other.syncText("ping", []) };
        }, { method, kind });
        for (const end of got.ends) {
          assert.equal(end.code, "engine_stopped");
          assert.match(end.message, says);
        }
        assert.match(got.ended, says);
        assert.equal(got.other, "pong", "another program on the page is not affected");
      });
    });
  }

  test("stop ends it", async () => {
    await withKit(async ({ inPage }) => {
      const got = await inPage(async () => {
        const { engine, code } = await doorkit();
        const pending = code(() => engine.call("sleep", ["60000"]));
        engine.stop();
        engine.stop();
        return [(await pending).message, (await code(() => engine.syncCall("ping", []))).message];
      }, undefined);
      assert.deepEqual(got, Array(2).fill("The knownsender program has ended: it was closed"));
    });
  });

  test("one that dies before it serves makes the start reject", async () => {
    await chrome.withPage(async ({ inPage }) => {
      const message = await inPage(async () => {
        const { Program } = (await import("/dist/program.js" as string)) as ProgramModule;
        const module = await WebAssembly.compileStreaming(fetch("/build/doorkit.wasm"));
        return Program.serve(module, { env: { DOORKIT_PANIC: "1" }, onLine: () => undefined }).then(() => "", (thrown: unknown) => String(thrown));
      }, undefined);
      assert.match(message, /EngineStoppedError: .*panic: told to panic before serving/);
    });
  });

  test("what it printed reaches the console", async () => {
    await chrome.withPage(async ({ inPage, printed }) => {
      await inPage(async () => {
        const { Engine } = (await import("/dist/engine.js" as string)) as EngineModule;
        const engine = await Engine.start(await WebAssembly.compileStreaming(fetch("/build/doorkit.wasm")));
        await engine.call("die", []).catch(() => undefined);
      }, undefined);
      assert.ok(printed.some((line) => line.startsWith("panic: told to die")), printed.join("\n"));
    });
  });
});

describe("what a call costs", () => {
  test("is far below what the fast lane may take", async (t) => {
    await withKit(async ({ inPage }) => {
      const cost = await inPage(async () => {
        const { start } = await doorkit();
        const engine = await start({ methods: { nothing: () => new Uint8Array(0) } });
        const event = JSON.stringify({ type: "m.room.encrypted", content: { ciphertext: "A".repeat(1500) } });
        const median = async (n: number, body: () => unknown): Promise<number> => {
          const times: number[] = [];
          for (let round = 0; round < 9; round++) {
            const from = performance.now();
            for (let i = 0; i < n; i++) await body();
            times.push(((performance.now() - from) * 1000) / n);
          }
          return times.sort((a, b) => a - b)[4] ?? NaN;
        };
        const medianSync = (n: number, body: () => unknown): number => {
          const times: number[] = [];
          for (let round = 0; round < 9; round++) {
            const from = performance.now();
            for (let i = 0; i < n; i++) body();
            times.push(((performance.now() - from) * 1000) / n);
          }
          return times.sort((a, b) => a - b)[4] ?? NaN;
        };
        return {
          sync: medianSync(5000, () => engine.syncText("ping", [])),
          syncEvent: medianSync(2000, () => engine.syncCall("echo", [event])),
          promise: await median(500, () => engine.callText("ping", [])),
          host: await median(500, () => engine.call("ask", ["nothing", ""])),
        };
      }, undefined);
      const us = (n: number): string => `${n.toFixed(2)} us`;
      t.diagnostic(`sync ${us(cost.sync)}, sync echo of a 1.5 kB event ${us(cost.syncEvent)}, promise ${us(cost.promise)}, promise with one host call ${us(cost.host)}`);
      assert.ok(cost.sync < 1000, us(cost.sync)); // a change of kind, not of degree: the limit holds on a busy machine
    });
  });
});
