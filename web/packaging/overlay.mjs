// Writes the overlay with which the wasm is built: parts of the standard library that it links and never runs give way.
//
//   - net/http is web/packaging/slimhttp, whose first paragraph says why. Files are named one by one from the Go that builds, so a new Go version
//     brings no file of its own along unseen.
//   - crypto/ecdh is X25519 alone. What stays is the library's own source; the NIST curves' tables and start-up code are left out.
//
//   node web/packaging/overlay.mjs OUTPUT

import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

const output = resolve(process.argv[2]);
const library = join(execFileSync("go", ["env", "GOROOT"], { encoding: "utf8" }).trim(), "src");
const replace = {};
mkdirSync(dirname(output), { recursive: true });

const http = join(library, "net/http");
const kept = ["method.go", "status.go"];
for (const file of readdirSync(http)) {
  if (file.endsWith(".go") && !kept.includes(file)) replace[join(http, file)] = "";
}
replace[join(http, "http.go")] = resolve("web/packaging/slimhttp/http.go");

const ecdh = join(library, "crypto/ecdh");
let source = readFileSync(join(ecdh, "ecdh.go"), "utf8");
for (const [from, to] of [['\t"crypto/internal/fips140/ecdh"\n', ""], ["*ecdh.PublicKey", "*struct{}"], ["*ecdh.PrivateKey", "*struct{}"]]) {
  if (source.split(from).length !== 2) throw new Error(`crypto/ecdh of this Go is not the one that was looked at: ${JSON.stringify(from)}`);
  source = source.replace(from, to);
}
const slim = join(dirname(output), "ecdh.go");
writeFileSync(slim, source);
replace[join(ecdh, "ecdh.go")] = slim;
replace[join(ecdh, "nist.go")] = "";

writeFileSync(output, JSON.stringify({ Replace: replace }, null, 1));
