// A page with the package in it and, beside it, the other implementation, matrix-sdk-crypto-wasm: `peer`, in the page only.

import { join } from "node:path";
import { top, type Chrome, type TestPage } from "./harness.js";
import { withKit } from "./machinekit.js";

type Peer = typeof import("@matrix-org/matrix-sdk-crypto-wasm");

declare global {
  var peer: Peer;
}

/** Opens a page with `kit` and `peer` in it. */
export function withPeer<R>(chrome: Chrome, story: (page: TestPage) => Promise<R>): Promise<R> {
  chrome.server.mount("/peer/", join(top, "node_modules/@matrix-org/matrix-sdk-crypto-wasm"));
  return withKit(chrome, async (page) => {
    await page.inPage(async () => {
      const peer = (await import("/peer/index.mjs" as string)) as Peer;
      await peer.initAsync(new URL("/peer/pkg/matrix_sdk_crypto_wasm_bg.wasm", location.href));
      globalThis.peer = peer;
    }, undefined);
    return story(page);
  });
}
