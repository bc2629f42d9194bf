// Headless Chrome for the benches: pages over which the package lies at /dist/, the peer at /peer/, and the benches' own scripts at /bench/.

import { chromium } from "playwright-core";
import { fileURLToPath } from "node:url";
import { chromePath, flags } from "../build/test/harness.js";
import { serve } from "../build/test/server.js";

/** Chrome and the server of its pages, until the story is told. */
export async function inChrome(story) {
  const server = await serve();
  server.mount("/peer/", fileURLToPath(new URL("../../node_modules/@matrix-org/matrix-sdk-crypto-wasm/", import.meta.url)));
  server.mount("/bench/", fileURLToPath(new URL("page/", import.meta.url)));
  const browser = await chromium.launch({ executablePath: chromePath, args: flags });
  try {
    return await story({ browser, server, inPage: (told) => inPage(browser, server, told) });
  } finally {
    await browser.close();
    await server.close();
  }
}

/** A page of a Chrome that is started for it, with the storage and the caches that lie in a folder. */
export async function inProfile(folder, story) {
  const context = await chromium.launchPersistentContext(folder, { executablePath: chromePath, args: flags });
  try {
    const page = await context.newPage();
    await page.waitForTimeout(300); // Chrome has started by then
    return await story(page);
  } finally {
    await context.close();
  }
}

/** An empty page with a storage of its own. */
async function inPage(browser, server, story) {
  const context = await browser.newContext();
  try {
    const page = await context.newPage();
    page.on("console", (message) => message.type() === "error" && console.error(message.text()));
    page.on("pageerror", (error) => console.error(String(error)));
    await page.goto(`${server.origin}/page`);
    return await story(page);
  } finally {
    await context.close();
  }
}
