// Writes the overlay with which the wasm is built: net/http of the standard library gives way to web/packaging/slimhttp, whose first paragraph
// says why. Files are named one by one from the Go that builds, so a new Go version brings no file of its own along unseen.
//
//   node web/packaging/overlay.mjs OUTPUT

import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

const output = process.argv[2];
const folder = join(execFileSync("go", ["env", "GOROOT"], { encoding: "utf8" }).trim(), "src/net/http");
const kept = ["method.go", "status.go"];

const replace = {};
for (const file of readdirSync(folder)) {
  if (file.endsWith(".go") && !kept.includes(file)) replace[join(folder, file)] = "";
}
replace[join(folder, "http.go")] = resolve("web/packaging/slimhttp/http.go");
mkdirSync(dirname(output), { recursive: true });
writeFileSync(output, JSON.stringify({ Replace: replace }, null, 1));
