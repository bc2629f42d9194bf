// What a page downloads: the engine, and the package's JavaScript as esbuild bundles it for a page.

import { readFileSync } from "node:fs";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { bundles } from "../bundles.mjs";

const packings = {
  raw: (bytes) => bytes.length,
  gzip: (bytes) => gzipSync(bytes, { level: 9 }).length,
  brotli: (bytes) => brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_LGWIN]: 24, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } }).length,
};

export async function size({ record }) {
  for (const [who, { wasm, script }] of Object.entries(await bundles())) {
    for (const [packing, packed] of Object.entries(packings)) record(`size.${packing}`, who, packed(readFileSync(wasm)) + packed(readFileSync(script)));
  }
}
