// The walls can fall: each rule of make arch, given what breaks it.

import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { top } from "./server.js";

interface Arch {
  importFaults(list: { ImportPath: string; Imports?: string[]; TestImports?: string[]; XTestImports?: string[] }[]): string[];
  linkFaults(bytes: Uint8Array): string[];
  corpusFaults(targets: { folder: string; name: string; inputs: number }[]): string[];
}

const arch = (await import(pathToFileURL(join(top, "web/packaging/arch.mjs")).href)) as Arch;

test("imports", () => {
  const broken: [string, string][] = [
    ["core/keys", "syscall/js"], ["idbstore", "syscall/js"], ["web/test/doorkit", "syscall/js"],
    ["wasm", "github.com/hack-pad/safejs"], ["idbstore", "github.com/hack-pad/safejs"],
    ["core", "github.com/syumai/workers/cloudflare/fetch"], ["wasm", "github.com/syumai/workers"],
    ["core/store", "github.com/vmihailenco/msgpack/v5"], ["idbstore", "github.com/vmihailenco/msgpack/v5"],
    ["core", "maunium.net/go/mautrix/crypto/goolm/session"], ["core/megolm", "maunium.net/go/mautrix/crypto/goolm/message"],
    ["core/store", "knownsender/idbstore"], ["core", "knownsender/jsbridge/frame"],
    ["core/trust", "encoding/json"], ["core", "net/http"], ["core/ids", "os"],
  ];
  for (const [name, path] of broken) {
    assert.equal(arch.importFaults([{ ImportPath: `knownsender/${name}`, Imports: [path] }]).length, 1, `${name} imports ${path}`);
  }
  assert.equal(arch.importFaults([{ ImportPath: "knownsender/idbstore", XTestImports: ["syscall/js"] }]).length, 1);
  const sound: [string, string][] = [
    ["jsbridge", "syscall/js"], ["wasm", "syscall/js"], ["jsbridge", "github.com/hack-pad/safejs"], ["jsbridge/fetch", "github.com/syumai/workers/cloudflare/fetch"],
    ["core/record", "github.com/vmihailenco/msgpack/v5"], ["core/olm", "maunium.net/go/mautrix/crypto/goolm/session"], ["core", "knownsender/core/trust"], ["idbstore", "knownsender/core/store"], ["core/testkit", "encoding/json"],
  ];
  for (const [name, path] of sound) assert.deepEqual(arch.importFaults([{ ImportPath: `knownsender/${name}`, Imports: [path] }]), []);
});

test("what is linked", () => {
  const wasm = (...names: string[]): Uint8Array => Buffer.from(`\0${names.join("\0")}\0`);
  assert.deepEqual(arch.linkFaults(wasm("runtime.mallocgc", "net/http.(*Request).Write")), []);
  assert.equal(arch.linkFaults(wasm("runtime.mallocgc", "net/http.(*Transport).RoundTrip")).length, 1);
  assert.equal(arch.linkFaults(wasm("runtime.mallocgc", "crypto/tls.(*Conn).Read")).length, 1);
  assert.equal(arch.linkFaults(wasm("nothing")).length, 1, "a wasm whose functions have no names cannot be judged");
});

test("fuzz corpora", () => {
  assert.deepEqual(arch.corpusFaults([{ folder: "core/keys", name: "FuzzBase64", inputs: 3 }]), []);
  assert.deepEqual(arch.corpusFaults([{ folder: "core/keys", name: "FuzzBase64", inputs: 0 }]), ["core/keys/testdata/fuzz/FuzzBase64 is empty"]);
});
