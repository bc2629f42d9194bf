// Ed25519 by WebCrypto: the same verdicts as Go's, on signatures made to tell implementations apart.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { join } from "node:path";
import { top, useChrome } from "./harness.js";

const chrome = useChrome();

type EngineModule = typeof import("../src/engine.js");
type FrameModule = typeof import("../src/frame.js");

interface Vector {
  A: string;
  R: string;
  S: string;
  M: string;
}

/** In a page: verdicts by the host and by Go, and how often the host was asked. */
async function verdicts({ json, host }: { json: string; host: string }): Promise<{ asked: string; own: string; calls: number }> {
  const { Engine } = (await import("/dist/engine.js" as string)) as EngineModule;
  const { verifySignatures } = (await import("/dist/webcrypto.js" as string)) as typeof import("../src/webcrypto.js");
  const { decodeFrame } = (await import("/dist/frame.js" as string)) as FrameModule;
  let calls = 0;
  const engine = await Engine.start(await WebAssembly.compileStreaming(fetch("/build/doorkit.wasm")), {
    methods: { verify: async (request) => {
      calls++;
      const n = Math.floor(decodeFrame(request).length / 3);
      if (host === "real") return verifySignatures(request);
      if (host === "short") return new Uint8Array(Math.max(0, n - 1)).fill(1);
      if (host === "undecided") return new Uint8Array(n).fill(2);
      if (host === "odd") return new Uint8Array(n).fill(77);
      if (host === "unsupported") throw Object.assign(new Error("no Ed25519 here"), { code: "webcrypto_unsupported" });
      throw new Error("broken");
    } },
  });
  let [asked = "", own = ""] = decodeFrame(await engine.call("verify", [json])).map((item) => new TextDecoder().decode(item));
  [asked = "", own = ""] = decodeFrame(await engine.call("verify", [json])).map((item) => new TextDecoder().decode(item));
  return { asked, own, calls };
}

async function vectors(): Promise<Vector[]> {
  const list = JSON.parse(await readFile(join(top, "core/testdata/ed25519vectors/ed25519vectors.json"), "utf8")) as Vector[];
  assert.ok(list.length > 700, `${list.length} vectors`);
  return list;
}

/** Signatures that hold, and the same with one bit wrong in the message, the signature or the key, made by Node. */
async function honest(): Promise<Vector[]> {
  const hex = (bytes: ArrayBuffer | Uint8Array): string => Buffer.from(bytes as Uint8Array).toString("hex");
  const list: Vector[] = [];
  for (let i = 0; i < 40; i++) {
    const pair = (await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"])) as CryptoKeyPair;
    const A = hex(await crypto.subtle.exportKey("raw", pair.publicKey));
    const M = `message ${i} ${"é€".repeat(i)}`;
    const signature = hex(await crypto.subtle.sign("Ed25519", pair.privateKey, Buffer.from(M)));
    const good = { A, R: signature.slice(0, 64), S: signature.slice(64), M };
    list.push(good, { ...good, M: `${M}.` }, { ...good, R: flip(good.R) }, { ...good, S: flip(good.S) }, { ...good, A: flip(good.A) });
  }
  return list;
}

function flip(hex: string): string {
  const bytes = Buffer.from(hex, "hex");
  bytes.writeUInt8(bytes.readUInt8(3) ^ 4, 3);
  return bytes.toString("hex");
}

test("WebCrypto and Go agree on every ed25519 vector, one by one in one batch", async () => {
  const list = await vectors();
  await chrome.withPage(async ({ inPage }) => {
    const { asked, own, calls } = await inPage(verdicts, { json: JSON.stringify(list), host: "real" });
    assert.equal(own.length, list.length);
    for (let i = 0; i < list.length; i++) assert.equal(asked[i], own[i], JSON.stringify(list[i]));
    assert.ok(own.includes("1") && own.includes("0"));
    assert.equal(calls, 2, "one host call for each list");
  });
});

test("and on honest signatures and their damaged twins", async () => {
  const list = await honest();
  await chrome.withPage(async ({ inPage }) => {
    const { asked, own } = await inPage(verdicts, { json: JSON.stringify(list), host: "real" });
    assert.equal(own, "10000".repeat(40));
    assert.equal(asked, own);
  });
});

for (const host of ["broken", "short", "undecided", "odd", "unsupported"]) {
  test(`a host that is ${host} changes no verdict`, async () => {
    const list = [...(await honest()).slice(0, 10), ...(await vectors()).slice(0, 20)];
    await chrome.withPage(async ({ inPage }) => {
      const { asked, own, calls } = await inPage(verdicts, { json: JSON.stringify(list), host });
      assert.equal(asked, own);
      assert.equal(own.slice(0, 10), "1000010000");
      assert.equal(calls, host === "unsupported" ? 1 : 2, "one that has no Ed25519 is not asked again");
    });
  });
}

test("no WebCrypto at all is webcrypto_unsupported", async () => {
  const { verifySignatures } = await import("../src/webcrypto.js");
  const { crypto } = globalThis;
  Object.defineProperty(globalThis, "crypto", { value: undefined, configurable: true });
  try {
    await assert.rejects(verifySignatures(new Uint8Array(4)), { code: "webcrypto_unsupported" });
  } finally {
    Object.defineProperty(globalThis, "crypto", { value: crypto, configurable: true });
  }
  assert.deepEqual([...(await verifySignatures(new Uint8Array(4)))], []);
});
