// Makes web/dist/wasm_exec.js: Go's wasm_exec.js inside a function whose parameter is named globalThis, so that what Go takes for the
// global object is a scope of our own, one per program, and nothing is added to the page's. Every name the file uses freely is taken from
// that scope; a new Go version that uses another one fails here, not in somebody's page.
//
//   node web/packaging/wasm-exec.mjs OUTPUT

import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

const output = process.argv[2];
const goroot = execFileSync("go", ["env", "GOROOT"], { encoding: "utf8" }).trim();
const source = readFileSync(join(goroot, "lib/wasm/wasm_exec.js"), "utf8");

const taken = ["console", "crypto", "performance", "TextEncoder", "TextDecoder", "setTimeout", "clearTimeout"];
const global = /\bglobalThis\.(\w+)/g;
const known = new Set([...taken, "fs", "process", "path", "Go"]);
for (const [, name] of source.matchAll(global)) {
  if (!known.has(name)) throw new Error(`wasm_exec.js of ${goroot} uses globalThis.${name}, which the scope does not give`);
}
for (const name of ["window", "self", "require", "importScripts", "document"]) {
  if (new RegExp(`\\b${name}\\b`).test(source)) throw new Error(`wasm_exec.js of ${goroot} uses ${name}`);
}

mkdirSync(dirname(output), { recursive: true });
writeFileSync(output, `// Generated from Go's lib/wasm/wasm_exec.js; its licence is in THIRD_PARTY_NOTICES.txt.
export function goIn(globalThis) {
const { fs, ${taken.join(", ")} } = globalThis;
${source}
return globalThis.Go;
}
`);
