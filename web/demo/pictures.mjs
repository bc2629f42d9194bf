// make pictures: has the page play scenes in headless Chrome and draws what they come to, into web/demo/pictures. Each picture has its size whatever is
// in it, and is not made when a scene is not as expected or something would be cut off.

import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { top } from "../packaging/rooms.mjs";
import { serveDemo } from "./serve.mjs";
import { smallPng } from "./smallpng.mjs";

/** What is drawn: the part whose scenes are played, from which element to the end of which, and how high the picture is in CSS pixels. */
const pictures = [
  { name: "senders", section: "keys", from: "#keys-title", to: "#keys .legend", height: 872, schemes: ["light", "dark"] },
  { name: "policies", section: "policy", from: "#policy-title", to: "#policy .split", height: 1010, schemes: ["light", "dark"] },
  { name: "why", section: "why", from: "#why-title", to: "#why-panel", height: 954, schemes: ["light"] },
];

const folder = join(top, "web/demo/pictures");
const margin = 28;
const width = 1120 + 2 * margin;
const faults = [];

const server = await serveDemo(0);
const browser = await chromium.launch({ executablePath: process.env.CHROME ?? "/usr/bin/chromium", headless: true, args: ["--no-sandbox", "--disable-gpu", "--hide-scrollbars"] });
try {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const page = await browser.newPage({ viewport: { width: 1280, height: 1000 }, deviceScaleFactor: 1.5, reducedMotion: "reduce", timezoneId: "UTC" });
  await page.clock.setFixedTime("2026-01-01T12:00:00Z"); // the same traffic gives the same picture on any day
  await page.goto(`${server.origin}/`);
  await page.evaluate(async () => (await import("/demo/main.js")).demo.idle());
  for (const { name, section, from, to, height, schemes } of pictures) {
    const wrong = await page.evaluate(async (section) => (await (await import("/demo/main.js")).demo.player.playQuickly([section])).flatMap((played) => played.wrong), section);
    faults.push(...wrong.map((sentence) => `${section}: ${sentence}`));
    // The bar sticks to the top of the window: the window is as high as the page, and it is out of the picture.
    await page.setViewportSize({ width: 1280, height: await page.evaluate(() => document.documentElement.scrollHeight) });
    for (const colorScheme of schemes) {
      await page.emulateMedia({ colorScheme });
      const first = await page.locator(from).boundingBox();
      const last = await page.locator(to).boundingBox();
      const left = height - (last.y + last.height - first.y + 2 * margin);
      if (left < 0) faults.push(`${name}: ${Math.ceil(-left)} pixels would be cut off`);
      const png = await page.screenshot({ clip: { x: first.x - margin, y: Math.round(first.y - margin - left / 2), width, height } });
      const small = smallPng(png);
      writeFileSync(join(folder, `${name}-${colorScheme}.png`), small);
      console.log(`web/demo/pictures/${name}-${colorScheme}.png  ${Math.ceil(small.length / 1000)} kB, ${Math.round(left)} pixels to spare`);
    }
    await page.setViewportSize({ width: 1280, height: 1000 });
  }
} finally {
  await browser.close();
  await server.close();
}
for (const fault of faults) console.error(`make pictures: ${fault}`);
process.exit(faults.length === 0 ? 0 : 1);
