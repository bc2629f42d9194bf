// Both packages as a client's bundler makes them: one script each, in web/build/bench/.

import { build } from "esbuild";
import { fileURLToPath } from "node:url";

const path = (relative) => fileURLToPath(new URL(relative, import.meta.url));

/** By side the files that a page loads. */
export const files = {
  ours: { wasm: path("../dist/knownsender-olm.wasm"), script: path("../build/bench/ours.js") },
  theirs: { wasm: path("../../node_modules/@matrix-org/matrix-sdk-crypto-wasm/pkg/matrix_sdk_crypto_wasm_bg.wasm"), script: path("../build/bench/theirs.js") },
};

/** Makes the bundles, and returns the files. */
export async function bundles() {
  for (const [entry, { script }] of [["../dist/index.js", files.ours], ["../../node_modules/@matrix-org/matrix-sdk-crypto-wasm/index.mjs", files.theirs]]) {
    await build({ entryPoints: [path(entry)], outfile: script, bundle: true, minify: true, format: "esm", target: "es2022", logLevel: "warning" });
  }
  return files;
}
