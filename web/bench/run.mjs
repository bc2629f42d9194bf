// Runs the Go benchmarks of a test program in headless Chrome: node web/bench/run.mjs <pattern>. The program is web/build/bench/wasm.wasm; the
// page is the one the tests use.

import { chromium } from "playwright-core";
import { serve } from "../build/test/server.js";

const server = await serve();
const browser = await chromium.launch({
  executablePath: process.env.CHROME ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
try {
  const page = await browser.newPage();
  await page.goto(`${server.origin}/page`);
  const { ended, lines } = await page.evaluate(async (pattern) => {
    const { Program } = await import("/dist/program.js");
    const lines = [];
    const program = await Program.run(await WebAssembly.compileStreaming(fetch("/build/bench/wasm.wasm")), {
      args: ["-test.run=^$", `-test.bench=${pattern}`],
      onLine: (_fd, line) => lines.push(line),
    });
    return { ended: (await program.ended).message, lines };
  }, process.argv[2] ?? ".");
  console.log(`in Chrome ${browser.version()}:`);
  for (const line of lines) console.log(line);
  if (!lines.includes("PASS")) throw new Error(ended);
} finally {
  await browser.close();
  await server.close();
}
