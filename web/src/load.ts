// Finding and compiling the wasm. Nothing happens before initAsync is called, and a failure is not remembered: the next call tries again.
// Every error names the address, what came from there, and what to do about it.

import { KnownSenderError, textOf } from "./errors.js";

/** Where the wasm comes from; at most one of the three. Without any: `knownsender.wasm` beside this module. */
export interface InitOptions {
  /** Address of knownsender.wasm, absolute or relative to the page. */
  wasmURL?: string | URL;
  /** A module compiled by the application. */
  wasmModule?: WebAssembly.Module;
  /** The bytes of knownsender.wasm. */
  wasmBytes?: BufferSource;
}

interface Loading {
  options: InitOptions;
  module: Promise<WebAssembly.Module>;
}

let loading: Loading | undefined;

/**
 * Loads the wasm. Calls share one load: a call without options takes whatever is loaded, a call with other options than the first is
 * refused (`init_conflict`). After a failure any options may be given again.
 *
 * Error codes: `init_options`, `init_conflict`, `wasm_unreachable`, `wasm_http_status`, `wasm_is_html`, `wasm_invalid`,
 * `wasm_blocked_by_csp`.
 */
export async function initAsync(options: InitOptions = {}): Promise<void> {
  await wasmModule(options);
}

/** The compiled module, loaded when it is not yet. */
export async function wasmModule(options: InitOptions = {}): Promise<WebAssembly.Module> {
  const given = [options.wasmURL, options.wasmModule, options.wasmBytes].filter((source) => source !== undefined).length;
  if (given > 1) {
    throw new KnownSenderError("init_options", "initAsync takes at most one of wasmURL, wasmModule and wasmBytes.", { expected: "at most 1", got: String(given) });
  }
  if (loading !== undefined) {
    if (given === 1 && !sameSource(loading.options, options)) {
      throw new KnownSenderError("init_conflict", "initAsync was called before with another source of the wasm; one page loads it once. Give the same options, or none.");
    }
    return loading.module;
  }
  const mine: Loading = { options, module: load(options) };
  loading = mine;
  try {
    return await mine.module;
  } catch (thrown) {
    if (loading === mine) loading = undefined;
    throw thrown;
  }
}

function sameSource(a: InitOptions, b: InitOptions): boolean {
  if (a.wasmModule !== b.wasmModule || a.wasmBytes !== b.wasmBytes) return false;
  return (a.wasmURL === undefined) === (b.wasmURL === undefined) && (a.wasmURL === undefined || b.wasmURL === undefined || absolute(a.wasmURL).href === absolute(b.wasmURL).href);
}

async function load(options: InitOptions): Promise<WebAssembly.Module> {
  if (options.wasmModule !== undefined) return options.wasmModule;
  if (options.wasmBytes !== undefined) return compile(options.wasmBytes, "wasmBytes");
  // The literal form is what Vite and webpack recognise and turn into an asset.
  const url = options.wasmURL === undefined ? new URL("./knownsender.wasm", import.meta.url) : absolute(options.wasmURL);
  const file = url.protocol === "file:" ? await readFile(url) : undefined;
  return file === undefined ? fetchModule(url) : compile(file, url.href);
}

function absolute(url: string | URL): URL {
  try {
    return new URL(url, typeof document === "undefined" ? (globalThis.location?.href ?? import.meta.url) : document.baseURI);
  } catch (thrown) {
    throw new KnownSenderError("init_options", `wasmURL is not a URL: ${String(url)}.`, { cause: thrown });
  }
}

/** Reads a file where there is a file system to read from; undefined in browsers. */
async function readFile(url: URL): Promise<Uint8Array<ArrayBuffer> | undefined> {
  // Not an import: bundlers for the web would look for node:fs.
  const fs = nodeFiles();
  if (fs === undefined) return undefined;
  try {
    return new Uint8Array(await fs.readFile(url));
  } catch (thrown) {
    throw new KnownSenderError("wasm_unreachable", `The wasm could not be read from ${url.href}: ${textOf(thrown)}. Give initAsync wasmURL, or wasmBytes.`, { cause: thrown });
  }
}

/** Whether this is Node as it is: there is no IndexedDB. */
export function nodeHasNoStore(): boolean {
  return nodeFiles() !== undefined && globalThis.indexedDB === undefined;
}

interface NodeFiles {
  readFile(url: URL): Promise<Uint8Array>;
}

function nodeFiles(): NodeFiles | undefined {
  const { process } = globalThis as { process?: { getBuiltinModule?: (name: string) => unknown } };
  return process?.getBuiltinModule?.("node:fs/promises") as NodeFiles | undefined;
}

async function fetchModule(url: URL): Promise<WebAssembly.Module> {
  const response = await fetchResponse(url);
  if (mimeType(response) === "application/wasm") {
    try {
      return await WebAssembly.compileStreaming(response);
    } catch (thrown) {
      if (blockedByPolicy(thrown)) throw policyError(url.href, thrown);
      // What came is not wasm, or the stream broke: look at the bytes, which can say which.
      return compile(await bytesOf(await fetchResponse(url), url), url.href);
    }
  }
  return compile(await bytesOf(response, url), url.href);
}

async function fetchResponse(url: URL): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, { credentials: "same-origin" });
  } catch (thrown) {
    const fix = url.protocol === "file:"
      ? "Pages opened from file:// may not fetch files; serve the page over http, or give initAsync wasmBytes."
      : "Check that the address can be reached from this page (network, Content-Security-Policy connect-src, CORS), or give initAsync wasmURL.";
    throw new KnownSenderError("wasm_unreachable", `The wasm could not be fetched from ${url.href}: ${textOf(thrown)}. ${fix}`, { cause: thrown });
  }
  if (!response.ok) {
    throw new KnownSenderError("wasm_http_status", `The wasm could not be fetched from ${url.href}: the server answered ${response.status}. Copy knownsender.wasm (exported as "knownsender/knownsender.wasm") to where the page can fetch it and give its address as initAsync({ wasmURL }).`, { expected: "200", got: String(response.status) });
  }
  return response;
}

async function bytesOf(response: Response, url: URL): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return new Uint8Array(await response.arrayBuffer());
  } catch (thrown) {
    throw new KnownSenderError("wasm_unreachable", `The wasm from ${url.href} broke off: ${textOf(thrown)}. Try again.`, { cause: thrown });
  }
}

function mimeType(response: Response): string {
  return (response.headers.get("content-type") ?? "").split(";", 1)[0]?.trim().toLowerCase() ?? "";
}

async function compile(source: BufferSource, from: string): Promise<WebAssembly.Module> {
  // Always a Uint8Array: V8 does not compile from a DataView.
  const bytes = ArrayBuffer.isView(source) ? new Uint8Array(source.buffer, source.byteOffset, source.byteLength) : new Uint8Array(source);
  const first = hex(bytes.subarray(0, 4));
  if (first !== "00 61 73 6d") {
    if (looksLikeHTML(bytes)) {
      throw new KnownSenderError("wasm_is_html", `An HTML page came from ${from} in place of the wasm: the server answers unknown addresses with its index page. Copy knownsender.wasm (exported as "knownsender/knownsender.wasm") to where the page can fetch it and give its address as initAsync({ wasmURL }).`, { expected: "00 61 73 6d", got: first });
    }
    throw new KnownSenderError("wasm_invalid", `What came from ${from} is not wasm. Check that the file is the package's knownsender.wasm, not compressed twice and not a placeholder.`, { expected: "00 61 73 6d", got: first });
  }
  try {
    return await WebAssembly.compile(bytes);
  } catch (thrown) {
    if (blockedByPolicy(thrown)) throw policyError(from, thrown);
    throw new KnownSenderError("wasm_invalid", `The wasm from ${from} does not compile: ${textOf(thrown)}. Check that the whole file arrived.`, { cause: thrown });
  }
}

function looksLikeHTML(bytes: Uint8Array): boolean {
  // A byte order mark and white space may stand before the first tag.
  for (const byte of bytes.subarray(0, 64)) {
    if (byte === 0x3c) return true;
    if (![0xef, 0xbb, 0xbf, 0x20, 0x09, 0x0a, 0x0d].includes(byte)) return false;
  }
  return false;
}

function hex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
}

function blockedByPolicy(thrown: unknown): boolean {
  return /unsafe-eval|content security policy/i.test(textOf(thrown));
}

function policyError(from: string, cause: unknown): KnownSenderError {
  return new KnownSenderError("wasm_blocked_by_csp", `The page's Content-Security-Policy forbids compiling the wasm from ${from}. Add 'wasm-unsafe-eval' to its script-src.`, { cause });
}
