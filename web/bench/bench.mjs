// What the benches share: a page of headless Chrome that can take times, and tables of medians. In the page, `bench` is a Stopwatch.

import { chromium } from "playwright-core";
import { fileURLToPath } from "node:url";
import { chromePath, flags } from "../build/test/harness.js";
import { serve } from "../build/test/server.js";

/** Runs a story in a page over which the package lies at /dist/ and the peer at /peer/, and says in which Chrome. */
export async function inChrome(story) {
  const server = await serve();
  server.mount("/peer/", fileURLToPath(new URL("../../node_modules/@matrix-org/matrix-sdk-crypto-wasm/", import.meta.url)));
  const browser = await chromium.launch({ executablePath: chromePath, args: flags });
  try {
    const page = await browser.newPage();
    page.on("console", (message) => message.type() === "error" && console.error(message.text()));
    await page.goto(`${server.origin}/page`);
    await page.evaluate(`globalThis.bench = new (${Stopwatch})()`);
    await story(page, `in Chrome ${browser.version()}`);
  } finally {
    await browser.close();
    await server.close();
  }
}

/** Runs in the page. */
class Stopwatch {
  #longest = 0;
  #last = 0;
  /** What was measured: by what it is, and whose, the times in milliseconds and the longest one for which the page's thread was not free. */
  rows = {};

  constructor() {
    setInterval(() => this.#tick(), 1);
  }

  #tick() {
    const now = performance.now();
    this.#longest = Math.max(this.#longest, now - this.#last);
    this.#last = now;
  }

  /** Takes the time of work, after a rest. Returns what work returns. */
  async measure(what, who, work) {
    const rest = () => new Promise((resolve) => setTimeout(resolve, 50));
    await rest();
    this.#longest = 0;
    this.#last = performance.now();
    const start = performance.now();
    const result = await work();
    const took = performance.now() - start;
    await rest();
    const row = ((this.rows[what] ??= {})[who] ??= { took: [], longest: 0 });
    row.took.push(took);
    row.longest = Math.max(row.longest, this.#longest);
    return result;
  }

  /** The other implementation, ready. */
  async peer() {
    const peer = await import("/peer/index.mjs");
    await peer.initAsync(new URL("/peer/pkg/matrix_sdk_crypto_wasm_bg.wasm", location.href));
    return peer;
  }
}

/** The one in the middle. */
export const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];

/** Prints rows of cells in columns. */
export function print(head, rows) {
  const widths = head.map((_, i) => Math.max(...[head, ...rows].map((row) => row[i].length)));
  for (const row of [head, ...rows]) console.log(row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i] + 3))).join(""));
}
