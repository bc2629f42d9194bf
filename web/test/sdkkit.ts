// A page with a real matrix-js-sdk client in it whose crypto is knownsender, and a homeserver played by its fetch. Bundled for pages; `sdkkit` is set
// in the page by withSdk, never in the tests' own process.

import { build } from "esbuild";
import { join } from "node:path";
import type { Chrome, TestPage } from "./harness.js";
import type { SdkKit } from "./sdkpage.js";
import { top } from "./server.js";

declare global {
  var sdkkit: SdkKit;
}

let bundled: Promise<unknown> | undefined;

/** Opens a page with `sdkkit` in it; every page has storage of its own. */
export function withSdk<R>(chrome: Chrome, story: (page: TestPage) => Promise<R>): Promise<R> {
  bundled ??= build({
    entryPoints: [join(top, "web/build/test/sdkpage.js")], outdir: join(top, "web/build/sdk"), splitting: true,
    bundle: true, format: "esm", platform: "browser", target: "es2022", logLevel: "error", define: { global: "globalThis" },
    external: ["@matrix-org/matrix-sdk-crypto-wasm"], // the SDK's own crypto, which is never loaded
  });
  return chrome.withPage(async (page) => {
    await bundled;
    await openSdk(page);
    return story(page);
  });
}

/** Loads the kit into a page, again after a reload. */
export async function openSdk(page: TestPage): Promise<void> {
  await page.inPage(async () => {
    await import("/build/sdk/sdkpage.js" as string);
    await sdkkit.ks.initAsync({ wasmURL: "/dist/knownsender-olm.wasm" });
  }, undefined);
}
