// Loading the wasm: from everywhere it may come from, and from everywhere it does not.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, test } from "node:test";
import { pathToFileURL } from "node:url";
import { top, useChrome, wasmPath } from "./harness.js";

const chrome = useChrome();

type Package = typeof import("../src/index.js");

/** How a load ended, as plain data. */
interface Outcome {
  code: string;
  message: string;
  expected?: string | undefined;
  got?: string | undefined;
}

/** In a page: calls initAsync and tells how it ended. */
async function init({ options }: { options?: Record<string, string> }): Promise<Outcome> {
  const ks = (await import("/dist/index.js" as string)) as Package;
  try {
    await ks.initAsync(options);
    return { code: "loaded", message: "" };
  } catch (thrown) {
    if (!(thrown instanceof ks.KnownSenderError)) return { code: "untyped", message: String(thrown) };
    return { code: thrown.code, message: thrown.message, expected: thrown.expected, got: thrown.got };
  }
}

describe("sources", () => {
  test("the default is the file beside the module", async () => {
    await chrome.withPage(async ({ inPage }) => assert.equal((await inPage(init, {})).code, "loaded"));
    assert.ok(chrome.server.requests.includes("/dist/knownsender.wasm"));
  });

  for (const url of ["/dist/knownsender.wasm", "dist/knownsender.wasm"]) {
    test(`wasmURL ${url} is taken relative to the page`, async () => {
      await chrome.withPage(async ({ inPage }) => assert.equal((await inPage(init, { options: { wasmURL: url } })).code, "loaded"));
    });
  }

  test("a URL object, a module and bytes", async () => {
    await chrome.withPage(async ({ inPage }) => {
      const outcomes = await inPage(async () => {
        const results: string[] = [];
        const bytes = await (await fetch("/dist/knownsender.wasm")).arrayBuffer();
        const sources = [
          { wasmURL: new URL("/dist/knownsender.wasm", location.href) },
          { wasmModule: await WebAssembly.compile(bytes) },
          { wasmBytes: bytes },
          { wasmBytes: new Uint8Array(bytes) },
          { wasmBytes: new DataView(bytes) },
        ];
        for (const [i, source] of sources.entries()) {
          // A module record of its own for each: one page loads the wasm once.
          const ks = (await import(`/dist/load.js?${i}` as string)) as typeof import("../src/load.js");
          await ks.initAsync(source);
          results.push((await ks.wasmModule()) instanceof WebAssembly.Module ? "module" : "nothing");
        }
        return results;
      }, undefined);
      assert.deepEqual(outcomes, ["module", "module", "module", "module", "module"]);
    });
  });

  for (const mode of ["octet-stream", "no-type", "bagel"]) {
    test(`a server that gives the wrong MIME type (${mode}) does no harm`, async () => {
      await chrome.withPage(async ({ inPage }) => assert.equal((await inPage(init, { options: { wasmURL: `/bad/${mode}/knownsender.wasm` } })).code, "loaded"));
    });
  }

  test("in Node the file is read", async () => {
    const { initAsync, wasmModule } = (await import(pathToFileURL(`${top}web/dist/load.js`).href)) as typeof import("../src/load.js");
    await initAsync();
    assert.ok((await wasmModule()) instanceof WebAssembly.Module);
  });

  test("in Node a program starts and stops", async () => {
    const { Engine } = (await import(pathToFileURL(`${top}web/dist/engine.js`).href)) as typeof import("../src/engine.js");
    const engine = await Engine.start(await WebAssembly.compile(await readFile(wasmPath)));
    assert.throws(() => engine.syncCall("none", []), { code: "unknown_method" });
    engine.stop();
    assert.throws(() => engine.syncCall("none", []), { code: "engine_stopped" });
  });
});

describe("what servers do", () => {
  const cases: [mode: string, code: string, says: RegExp, got: string | undefined][] = [
    ["missing", "wasm_http_status", /answered 404\..*wasmURL/, "404"],
    ["server-error", "wasm_http_status", /answered 503\./, "503"],
    ["html", "wasm_is_html", /An HTML page came.*wasmURL/, "ef bb bf 0a"],
    ["html-as-wasm", "wasm_is_html", /An HTML page came.*wasmURL/, "ef bb bf 0a"],
    ["truncated", "wasm_invalid", /does not compile.*whole file/, undefined],
    ["noise", "wasm_invalid", /is not wasm/, "01 01 01 01"],
    ["reset", "wasm_unreachable", /could not be fetched.*wasmURL/, undefined],
  ];
  for (const [mode, code, says, got] of cases) {
    test(`${mode}: ${code}`, async () => {
      await chrome.withPage(async ({ inPage, origin }) => {
        const url = `${origin}/bad/${mode}/knownsender.wasm`;
        const outcome = await inPage(init, { options: { wasmURL: url } });
        assert.equal(outcome.code, code);
        assert.ok(outcome.message.includes(url), outcome.message);
        assert.match(outcome.message, says);
        assert.equal(outcome.got, got);
      });
    });
  }

  test("file: wasm_unreachable tells of file://", async () => {
    await chrome.withPage(async ({ inPage }) => {
      const outcome = await inPage(init, { options: { wasmURL: "file:///nowhere/knownsender.wasm" } });
      assert.equal(outcome.code, "wasm_unreachable");
      assert.match(outcome.message, /file:\/\/\/nowhere\/knownsender\.wasm.*wasmBytes/);
    });
  });

  test("a failure is not remembered: the next call, with any options, tries again", async () => {
    await chrome.withPage(async ({ inPage }) => {
      const flaky = { options: { wasmURL: `/bad/flaky/knownsender.wasm?${process.pid}` } };
      assert.equal((await inPage(init, flaky)).code, "wasm_http_status");
      assert.equal((await inPage(init, flaky)).code, "loaded");
    });
    await chrome.withPage(async ({ inPage }) => {
      assert.equal((await inPage(init, { options: { wasmURL: "/bad/missing/knownsender.wasm" } })).code, "wasm_http_status");
      assert.equal((await inPage(init, {})).code, "loaded");
    });
  });
});

describe("options", () => {
  test("calls share one load; other options later are refused", async () => {
    await chrome.withPage(async ({ inPage, origin }) => {
      const asked = (): number => chrome.server.requests.filter((path) => path === "/dist/knownsender.wasm").length;
      const before = asked();
      const codes = await inPage(async (url: string) => {
        const ks = (await import("/dist/index.js" as string)) as Package;
        const end = (options?: object): Promise<string> => ks.initAsync(options).then(() => "loaded", (thrown: unknown) => (thrown instanceof ks.KnownSenderError ? thrown.code : "untyped"));
        const together = await Promise.all([end({ wasmURL: url }), end({ wasmURL: url }), end({ wasmURL: "/dist/knownsender.wasm" }), end(), end({ wasmURL: "/elsewhere.wasm" })]);
        return [...together, await end({ wasmURL: new URL(url) }), await end(), await end({ wasmBytes: new ArrayBuffer(4) })];
      }, `${origin}/dist/knownsender.wasm`);
      assert.deepEqual(codes, ["loaded", "loaded", "loaded", "loaded", "init_conflict", "loaded", "loaded", "init_conflict"]);
      assert.equal(asked() - before, 1);
    });
  });

  test("more than one source, and what is no URL, are refused", async () => {
    await chrome.withPage(async ({ inPage }) => {
      assert.equal((await inPage(init, { options: { wasmURL: "/x", wasmBytes: "x" } })).code, "init_options");
      const outcome = await inPage(init, { options: { wasmURL: "http://[" } });
      assert.equal(outcome.code, "init_options");
      assert.match(outcome.message, /http:\/\/\[/);
    });
  });

  test("wasm of another program is refused by name", async () => {
    await chrome.withPage(async ({ inPage }) => {
      const outcome = await inPage(async () => {
        const ks = (await import("/dist/index.js" as string)) as Package;
        const empty = await WebAssembly.compile(new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]));
        return ks.Engine.start(empty).then(() => "started", (thrown: unknown) => (thrown instanceof ks.KnownSenderError ? thrown.code : "untyped"));
      }, undefined);
      assert.equal(outcome, "wasm_not_ours");
    });
  });
});

describe("the page", () => {
  test("gets no new name on window, and importing touches nothing", async () => {
    await chrome.withPage(async ({ inPage }) => {
      const found = await inPage(async () => {
        const names = (): string[] => Object.getOwnPropertyNames(window).sort();
        const before = names();
        const fetched = performance.getEntriesByType("resource").filter((entry) => entry.name.endsWith(".wasm")).length;
        const ks = (await import("/dist/index.js" as string)) as Package;
        const after = performance.getEntriesByType("resource").filter((entry) => entry.name.endsWith(".wasm")).length;
        const load = (await import("/dist/load.js" as string)) as typeof import("../src/load.js");
        await ks.initAsync();
        const engine = await ks.Engine.start(await load.wasmModule());
        const running = names();
        engine.stop();
        return { added: [...running, ...names()].filter((name) => !before.includes(name)), gone: before.filter((name) => !names().includes(name)), fetched: after - fetched };
      }, undefined);
      assert.deepEqual(found, { added: [], gone: [], fetched: 0 });
    });
  });

  const strict = "default-src 'none'; connect-src 'self'; script-src 'self'";
  test("runs under a Content-Security-Policy with 'wasm-unsafe-eval'", async () => {
    await chrome.withPage(async ({ inPage }) => {
      assert.equal((await inPage(init, {})).code, "loaded");
      const code = await inPage(async () => {
        const { Engine } = (await import("/dist/index.js" as string)) as Package;
        const { wasmModule } = (await import("/dist/load.js" as string)) as typeof import("../src/load.js");
        const engine = await Engine.start(await wasmModule());
        try {
          engine.syncCall("none", []);
          return "";
        } catch (thrown) {
          return (thrown as { code: string }).code;
        }
      }, undefined);
      assert.equal(code, "unknown_method");
    }, { csp: `${strict} 'wasm-unsafe-eval'` });
  });

  for (const wasmURL of ["/dist/knownsender.wasm", "/bad/octet-stream/knownsender.wasm"]) {
    test(`without it, ${wasmURL} fails and names the directive`, async () => {
      await chrome.withPage(async ({ inPage }) => {
        const outcome = await inPage(init, { options: { wasmURL } });
        assert.equal(outcome.code, "wasm_blocked_by_csp");
        assert.match(outcome.message, /'wasm-unsafe-eval'/);
      }, { csp: strict });
    });
  }
});
