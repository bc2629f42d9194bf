// Writes what the wasm is built with: parts of libraries that it would link and never runs give way, and one thing is changed. OUTPUT is an overlay for the standard
// library; beside it come wasm.mod (for -modfile) and wasm.sum.
//
//   - net/http is web/packaging/slimhttp, whose first paragraph says why. Files are named one by one from the Go that builds, so a new Go version
//     brings no file of its own along unseen.
//   - crypto/ecdh is X25519 alone. What stays is the library's own source; the NIST curves' tables and start-up code are left out. A private key's public
//     half is computed when it is asked for: golang.org/x/crypto/curve25519 makes a private key for every key agreement, which otherwise costs two.
//   - The runtime begins goroutines with a stack of 32 kilobytes instead of two. Every call from JavaScript is a goroutine, and would grow its stack three
//     or four times, by copying: a sixth of the time of a sync that brings nothing.
//   - msgpack registers at start-up what it does by reflection, which core/record never asks of it. Without the registration the linker leaves
//     that out; single values, all that record uses, are the library's own source.
//   - mautrix is its Olm alone. Its ids of users, rooms and files compile regular expressions at start-up, for which the tables of Unicode are
//     linked; goolm asks of ids the names of key types. Its JSON, which core/olm never asks for, and the numbers it writes by reflection give way too.
//
//   node web/packaging/overlay.mjs OUTPUT

import { execFileSync } from "node:child_process";
import { copyFileSync, cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";

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

/** A file with pieces replaced, each of which must stand in it exactly once. */
function changed(folder, file, ...changes) {
  let source = readFileSync(join(folder, file), "utf8");
  for (const [from, to] of changes) {
    if (source.split(from).length !== 2) throw new Error(`${file} is not the one that was looked at: ${JSON.stringify(from)}`);
    source = source.replace(from, to);
  }
  return source;
}

const ecdh = join(library, "crypto/ecdh");
const lazy = "\tx25519Basepoint := [32]byte{9}\n\tx25519ScalarMult(publicKey, key, x25519Basepoint[:])\n";
for (const [file, ...changes] of [
  ["ecdh.go", ['\t"crypto/internal/fips140/ecdh"\n', ""], ["*ecdh.PublicKey", "*struct{}"], ["*ecdh.PrivateKey", "*struct{}"],
    ["\treturn k.publicKey\n", `\tpublicKey, key := make([]byte, x25519PublicKeySize), k.privateKey\n${lazy}\treturn &PublicKey{curve: k.curve, publicKey: publicKey}\n`]],
  ["x25519.go", ["\tpublicKey := make([]byte, x25519PublicKeySize)\n", ""], [lazy, ""], ["\t\tpublicKey:  &PublicKey{curve: c, publicKey: publicKey},\n", ""]],
]) {
  const slim = join(dirname(output), `${file}.slim`); // no package of ours for `./...`
  writeFileSync(slim, changed(ecdh, file, ...changes));
  replace[join(ecdh, file)] = slim;
}
replace[join(ecdh, "nist.go")] = "";

const slimStack = join(dirname(output), "stack.go.slim");
writeFileSync(slimStack, changed(join(library, "runtime"), "stack.go",
  ["startingStackSize uint32 = fixedStack", "startingStackSize uint32 = 32 << 10"],
  ["\t\tstartingStackSize = fixedStack\n", "\t\tstartingStackSize = 32 << 10\n"],
  ["\tif avg < fixedStack {\n\t\tavg = fixedStack\n", "\tif avg < 32<<10 {\n\t\tavg = 32 << 10\n"]));
replace[join(library, "runtime/stack.go")] = slimStack;
writeFileSync(output, JSON.stringify({ Replace: replace }, null, 1));

// Files of a module cannot be replaced by an overlay; a module can, by a go.mod of the build's own.
const replaced = [];

/** A copy of parts of a module, which the build takes instead and finds under `as`. Returns how to change a file of it. */
function copied(name, as, ...parts) {
  execFileSync("go", ["mod", "download", name]); // until it is, no folder of it is named
  const folder = execFileSync("go", ["list", "-m", "-f", "{{.Dir}}", name], { encoding: "utf8" }).trim();
  const copy = join(dirname(output), as);
  rmSync(copy, { recursive: true, force: true });
  for (const part of parts) cpSync(join(folder, part), join(copy, part), { recursive: true });
  // The path is told in the wasm, so where it can be it is the same on every machine.
  const within = relative(".", copy);
  replaced.push(`replace ${name} => ${within.startsWith("..") ? copy : `./${within}`}\n`);
  return (file, ...changes) => {
    rmSync(join(copy, file), { force: true }); // it may be read-only
    writeFileSync(join(copy, file), changed(folder, file, ...changes));
  };
}

const msgpack = copied("github.com/vmihailenco/msgpack/v5", "msgpack", ".");
for (const file of ["decode_value.go", "encode_value.go", "intern.go", "time.go", "types.go"]) msgpack(file, ["func init() {", "func _() {"]);

const mautrix = copied("maunium.net/go/mautrix", "mautrix", "go.mod", "id/crypto.go", "id/trust.go", "crypto/aescbc", "crypto/ed25519", "crypto/goolm", "crypto/olm");
mautrix("id/crypto.go", ['\n\t"go.mau.fi/util/random"\n', ""], ["random.String(32)", '""'], ["UserID      UserID", "UserID      string"]);
mautrix("crypto/goolm/account/account.go", ['\t"encoding/json"\n', ""], ["// Account stores", "var json struct{ Marshal func(any) ([]byte, error) }\n\n// Account stores"]);
const byReflection = "exerrors.PanicIfNotNil(binary.Write(&p.Buffer, binary.BigEndian, value))";
mautrix("crypto/goolm/libolmpickle/encoder.go", [byReflection, "exerrors.Must(p.Write(binary.BigEndian.AppendUint32(nil, value)))"]);

writeFileSync(join(dirname(output), "wasm.mod"), `${readFileSync("go.mod", "utf8")}\n${replaced.join("")}`);
copyFileSync("go.sum", join(dirname(output), "wasm.sum"));
