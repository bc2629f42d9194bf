// Go's own test programs, compiled for the browser and run in a page with the real IndexedDB behind them.

import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { top, useChrome } from "./harness.js";

const chrome = useChrome();

type ProgramModule = typeof import("../src/program.js");
type FrameModule = typeof import("../src/frame.js");
type IdbModule = typeof import("../src/idb/index.js");

const programs = join(top, "web/build/gotests");
const tally = join(top, "web/build/tally");

const files = existsSync(programs) ? readdirSync(programs).filter((name) => name.endsWith(".wasm")) : [];

test("there are Go test programs to run (make test-build)", () => assert.ok(files.length > 0));

for (const file of files) {
  test(`${file.replace(".wasm", "").replaceAll("_", "/")} in Chrome`, { timeout: 300_000 }, async (t) => {
    await chrome.withPage(async ({ inPage }) => {
      const { ended, lines } = await inPage(async (url: string) => {
        const { Program } = (await import("/dist/program.js" as string)) as ProgramModule;
        const { decodeFrame } = (await import("/dist/frame.js" as string)) as FrameModule;
        const { IdbHost } = (await import("/dist/idb/index.js" as string)) as IdbModule;
        const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
        // [handle, method, request]: every handle is a database host of its own, as every tab has one.
        const hosts = new Map<string, InstanceType<IdbModule["IdbHost"]>>();
        const lines: string[] = [];
        const program = await Program.run(await WebAssembly.compileStreaming(fetch(url)), {
          args: ["-test.v"],
          onLine: (_fd, line) => lines.push(line),
          methods: {
            idb: (request) => {
              const [handle, method, inner] = decodeFrame(request);
              if (handle === undefined || method === undefined || inner === undefined) throw new Error("idb takes a handle, a method and a request");
              const host = hosts.get(text(handle)) ?? new IdbHost();
              hosts.set(text(handle), host);
              return host.call(text(method), inner);
            },
          },
        });
        return { ended: (await program.ended).message, lines };
      }, `/build/gotests/${file}`);
      const passed = lines.filter((line) => /^\s*--- PASS: /.test(line)).length;
      const failed = lines.filter((line) => /^\s*--- FAIL: /.test(line)).length;
      mkdirSync(tally, { recursive: true });
      writeFileSync(join(tally, `${file}.json`), JSON.stringify({ passed, failed }));
      t.diagnostic(`${passed} passed, ${failed} failed`);
      assert.match(ended, /it returned$/, `${ended}\n${lines.join("\n")}`);
      assert.equal(failed, 0, lines.join("\n"));
      assert.ok(passed > 0, `ran no test\n${lines.join("\n")}`);
    });
  });
}
