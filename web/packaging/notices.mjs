// Collects the licences of everything that is linked into either engine, and of Go itself.
//
//   node web/packaging/notices.mjs OUTPUT

import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

const go = (args) => execFileSync("go", args, { encoding: "utf8", env: { ...process.env, GOOS: "js", GOARCH: "wasm" } }).trim();

const parts = [];
function add(name, folder) {
  const files = readdirSync(folder).filter((file) => /^(LICEN[CS]E|COPYING|NOTICE|PATENTS)/i.test(file)).sort();
  if (files.length === 0) throw new Error(`${name} has no licence file in ${folder}`);
  for (const file of files) parts.push(`${"=".repeat(80)}\n${name}: ${file}\n${"=".repeat(80)}\n\n${readFileSync(join(folder, file), "utf8").trim()}\n`);
}

const goroot = go(["env", "GOROOT"]);
// Debian keeps Go's licence elsewhere; every distribution of Go has its text in one of these.
add(`The Go programming language, ${go(["env", "GOVERSION"])}`, existsSync(join(goroot, "LICENSE")) ? goroot : join(goroot, "src/vendor"));
const modules = go(["list", "-tags", "olm", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}}\t{{.Dir}}{{end}}{{end}}", "./wasm"]);
for (const line of [...new Set(modules.split("\n"))].filter(Boolean).sort()) {
  const [name, folder] = line.split("\t");
  add(name, folder);
}
mkdirSync(dirname(process.argv[2]), { recursive: true });
writeFileSync(process.argv[2], `knownsender contains the following software.\n\n${parts.join("\n")}`);
