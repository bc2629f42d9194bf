// A dump of the schema of some version of the package: node web/test/schemas/dump.mjs DIST FOLDER lives a life with the package in DIST (a web/dist) and
// writes FOLDER/VERSION.json. Run it with every new version of the schema, before the next one is written (make build test-build comes first). The dumps
// that are here are never made again: they are what that version wrote.

import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { chromium } from "playwright-core";
import { chromePath, flags } from "../../build/test/harness.js";
import { dumped, live, newLife, recall } from "../../build/test/schemakit.js";
import { serve } from "../../build/test/server.js";

const [dist, folder] = process.argv.slice(2);
const server = await serve();
server.mount("/version/", resolve(dist));
const browser = await chromium.launch({ executablePath: chromePath, headless: true, args: flags });
try {
  const page = await browser.newPage();
  await page.goto(`${server.origin}/page`);
  const life = newLife();
  const where = { url: "/version/index.js", name: "life", life };
  await page.evaluate(live, where);
  await page.evaluate(recall, where); // events are decrypted, and remembered
  const told = await page.evaluate(recall, where);
  const dump = await page.evaluate(dumped, "life");
  const file = join(folder, `${dump.version}.json`);
  writeFileSync(file, `${JSON.stringify({ life, told, dump }, null, 1)}\n`);
  console.log(file);
} finally {
  await browser.close();
  await server.close();
}
