// The walls of the house. Each is a rule that a change could break without any other test noticing.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { fuzzTargets, packages, top } from "./rooms.mjs";

const module = "knownsender";

/** Who may import what. `only` are the rooms allowed, at any depth below them unless the rule says otherwise. */
const importRules = [
  { what: /^syscall\/js$/, only: ["jsbridge", "wasm"], tests: true },
  { what: /^github\.com\/hack-pad\/safejs(\/|$)/, only: ["jsbridge"], tests: true },
  { what: /^github\.com\/syumai\/workers(\/|$)/, only: ["jsbridge"], tests: true },
  { what: /^github\.com\/vmihailenco\/msgpack(\/|$)/, only: ["core/record"], tests: false },
  { what: /^maunium\.net\/go\/mautrix(\/|$)/, only: ["core/olm"], tests: false },
];

/** What the code of core does without, because it must run anywhere and stay small. testkit and storetest are for tests alone. */
const notInCore = ["os", "net", "net/http", "encoding/json", "crypto/tls", "syscall", "os/exec"];

/** What must not be linked: the names of these functions stay in a stripped binary. */
const notLinked = ["net/http.(*Transport).", "crypto/tls.(*Conn)."];

/** The engines, and what else must not be linked into each: the one for clients with an Olm of their own has none. */
const engines = { "web/dist/knownsender.wasm": ["maunium.net/go/mautrix/crypto/goolm/"], "web/dist/knownsender-olm.wasm": [] };

function room(path) {
  return path === module ? "" : path.slice(module.length + 1);
}

function within(name, rooms) {
  return rooms.some((allowed) => name === allowed || name.startsWith(`${allowed}/`));
}

/** Checks the imports of packages as `go list -json` tells them; returns sentences. */
export function importFaults(list) {
  const faults = [];
  for (const pkg of list) {
    const name = room(pkg.ImportPath);
    const tests = [...(pkg.TestImports ?? []), ...(pkg.XTestImports ?? [])];
    for (const rule of importRules) {
      const imports = rule.tests ? [...(pkg.Imports ?? []), ...tests] : (pkg.Imports ?? []);
      for (const path of imports) {
        if (rule.what.test(path) && !within(name, rule.only)) faults.push(`${name} imports ${path}: only ${rule.only.join(" and ")} may`);
      }
    }
    if (!within(name, ["core"])) continue;
    for (const path of [...(pkg.Imports ?? []), ...tests]) {
      if ((path === module || path.startsWith(`${module}/`)) && !within(room(path), ["core"])) faults.push(`${name} imports ${path}: core knows no other room`);
    }
    if (within(name, ["core/testkit", "core/store/storetest"])) continue;
    for (const path of pkg.Imports ?? []) {
      if (notInCore.includes(path)) faults.push(`${name} imports ${path}: core does without it`);
    }
  }
  return faults;
}

/** Checks what is linked into a wasm; returns sentences. */
export function linkFaults(bytes, also = []) {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const faults = [...notLinked, ...also].filter((name) => text.includes(name)).map((name) => `${name} is linked into the wasm`);
  // A binary without function names would pass every time.
  if (!text.includes("runtime.mallocgc")) faults.push("the wasm holds no function names, so what is linked cannot be told");
  return faults;
}

/** Checks the fuzz corpora; returns sentences. */
export function corpusFaults(targets) {
  const faults = targets.filter((target) => target.inputs === 0).map(({ folder, name }) => `${folder}/testdata/fuzz/${name} is empty`);
  return faults;
}

function main() {
  const faults = new Set([...importFaults(packages("native")), ...importFaults(packages("js")), ...corpusFaults(fuzzTargets())]);
  for (const [engine, also] of Object.entries(engines)) {
    const wasm = join(top, engine);
    for (const fault of existsSync(wasm) ? linkFaults(readFileSync(wasm), also) : [`${engine} is not built`]) faults.add(fault);
  }
  for (const fault of faults) console.error(`make arch: ${fault}`);
  console.log(faults.size === 0 ? `make arch: the walls stand (${fuzzTargets().length} fuzz targets)` : `make arch: ${faults.size} faults`);
  process.exit(faults.size === 0 ? 0 : 1);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main();
