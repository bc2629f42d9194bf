// Every code that an error, a report or a refusal can have is named by some test, by its constant or its text: none is added that no test thinks of. That the
// test produces it is for its reader to see.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { top } from "./server.js";

/** The texts of files below a folder. */
function* texts(folder: string, is: (name: string) => boolean): Generator<string> {
  for (const entry of readdirSync(join(top, folder), { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile() && is(entry.name) && !/\/(testkit|build|dist|node_modules)\//.test(path)) yield readFileSync(path, "utf8");
  }
}

const rooms = ["core", "idbstore", "jsbridge", "wasm"];

/** Codes by their text, with the names of the constants that hold them; none where the text stands where it is given. */
function codes(): Map<string, Set<string>> {
  const all = new Map<string, Set<string>>();
  const note = (code: string, constant?: string): void => {
    const names = all.get(code) ?? new Set();
    if (constant !== undefined) names.add(constant);
    all.set(code, names);
  };
  for (const room of rooms) {
    for (const text of texts(room, (name) => name.endsWith(".go") && !name.endsWith("_test.go"))) {
      for (const [, constant, code = ""] of text.matchAll(/^\s*(?:const )?(Code\w+)(?: \w+)?\s*=\s*"([a-z0-9_]+)"/gm)) note(code, constant);
      for (const [, code = ""] of text.matchAll(/\bCode:\s*"([a-z0-9_]+)"/g)) note(code);
    }
  }
  for (const text of texts("web/src", (name) => name.endsWith(".ts"))) {
    for (const [, code = ""] of text.matchAll(/\b(?:KnownSenderError|StoreError|DecryptionError|report)\(\s*"([a-z0-9_]+)"/g)) note(code);
    for (const [, code = ""] of text.matchAll(/\bkind: "([a-z_]+)"/g)) if (text.includes("IdbEvent")) note(code);
  }
  return all;
}

test("every code is in a test", () => {
  const tests = [
    ...rooms.flatMap((room) => [...texts(room, (name) => name.endsWith("_test.go") || name.endsWith(".json"))]),
    ...texts("core/store/storetest", (name) => name.endsWith(".go")), ...texts("web/test", (name) => name.endsWith(".ts")),
  ].join("\n");
  // As a text of its own, or where one of several is expected.
  const texted = new Set([...tests.matchAll(/(?<=["'`|^(])[a-z0-9]+(?:_[a-z0-9]+)*(?=["'`|)$:])/g)].map(([word]) => word));
  const names = new Set(tests.match(/\bCode\w+/g));
  const all = codes();
  assert.ok(all.size > 220, String(all.size));
  const unseen = [...all].filter(([code, constants]) => !texted.has(code) && ![...constants].some((name) => names.has(name)));
  assert.deepEqual(unseen.map(([code, constants]) => `${code} ${[...constants].join()}`), []);
});

test("a program that somebody else starts says that there is no host, `no_host`, and ends", () => {
  const goRoot = spawnSync("go", ["env", "GOROOT"], { encoding: "utf8" }).stdout.trim();
  const start = `
    require(process.argv[1] + "/lib/wasm/wasm_exec.js");
    globalThis.context = { binding: {} };
    const go = new Go();
    WebAssembly.instantiate(require("fs").readFileSync(process.argv[2]), go.importObject).then(({ instance }) => go.run(instance)).then(() => console.log("ended"));`;
  const { stdout, stderr } = spawnSync("node", ["-e", start, goRoot, join(top, "web/dist/knownsender.wasm")], { encoding: "utf8" });
  assert.deepEqual([stdout, stderr], ["ended\n", "knownsender: The program was started without its host object; start it with initAsync and Engine.start.\n"]);
});
