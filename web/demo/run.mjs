// make demo: plays every scene in headless Chrome and prints what the page shows, so that it can be seen without a window. Everything is held against
// what it should be: the page against the scenes, the verdicts against the policy's table, the messages against the plaintext that was recorded or,
// where none was, against libolm. Then it serves the page until interrupted; SERVE=0 leaves that out.

import Olm from "@matrix-org/olm";
import { chromium } from "playwright-core";
import { files } from "./check/files.mjs";
import { keys, messages, reload, tampering } from "./check/keys.mjs";
import { expect, wrong } from "./check/kit.mjs";
import * as lanes from "./check/lanes.mjs";
import { playScenes } from "./check/play.mjs";
import { serveDemo } from "./serve.mjs";

async function main() {
  await Olm.init();
  const server = await serveDemo(Number(process.env.PORT ?? 8137));
  const browser = await chromium.launch({
    executablePath: process.env.CHROME ?? "/usr/bin/chromium",
    headless: true,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
  try {
    const page = await browser.newPage();
    const requests = [];
    page.on("request", (request) => requests.push(request.url()));
    page.on("console", (message) => wrong.push(`the page printed: ${message.text()}`));
    page.on("pageerror", (error) => wrong.push(`uncaught in the page: ${error}`));
    await page.goto(`${server.origin}/`);
    console.log();
    await playScenes(page, {
      closer: {
        arrive: (scene) => keys(page, scene),
        answered: (scene) => keys(page, scene),
        signed: (scene) => keys(page, scene),
        "cross-signed": () => messages(page),
        renamed: () => tampering(page),
        offline: () => lanes.offline(page),
        "reopened-while-waiting": () => lanes.reopened(page),
        "known-sender": () => lanes.end(page),
        many: () => files(page),
        reopened: () => reload(page),
      },
    });
    expect("requests to elsewhere", requests.filter((url) => !url.startsWith(`${server.origin}/`)), []);
  } finally {
    await browser.close();
  }
  console.log();
  for (const fault of wrong) console.error(`not as expected: ${fault}`);
  if (wrong.length === 0) console.log("Everything is as expected.");
  if (process.env.SERVE === "0" || wrong.length > 0) {
    await server.close();
    process.exit(wrong.length === 0 ? 0 : 1);
  }
  process.on("SIGINT", () => process.exit(0));
  console.log(`\nThe page is at ${server.origin}/ until this is interrupted.`);
}

await main();
