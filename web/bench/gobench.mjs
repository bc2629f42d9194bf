// Runs the Go benchmarks of a test program in headless Chrome: node web/bench/gobench.mjs <pattern>. The program is web/build/bench/wasm.wasm; the
// page is the one the tests use.

import { inChrome } from "./chrome.mjs";

await inChrome(({ browser, inPage }) => inPage(async (page) => {
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
}));
