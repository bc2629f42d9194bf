// The demo for everybody: axe finds no violation in light, in dark and at 360 pixels, before and after everything was played; every control is reached
// and left with the keyboard alone, and shows that it has the focus; nothing is to be scrolled sideways.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { after, before, describe, test } from "node:test";
import type { AxeResults } from "axe-core";
import { chromium, type Browser, type Page } from "playwright-core";
import { chromePath, flags, top } from "./harness.js";

type Demo = { readonly demo: { idle(): Promise<void>; readonly player: { playQuickly(sections?: readonly string[]): Promise<readonly { readonly scene: { readonly name: string }; readonly wrong: readonly string[] }[]> } } };

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** What axe finds in a document, a line each: the rule and where. */
async function violations(page: Page): Promise<string[]> {
  const found: string[] = [];
  for (const frame of page.frames()) {
    await frame.evaluate(axe);
    const { violations } = await frame.evaluate(() => (globalThis as unknown as { axe: { run(where: Document, options: object): Promise<AxeResults> } }).axe.run(document, { iframes: false, resultTypes: ["violations"] }));
    for (const { id, nodes } of violations) for (const { html, failureSummary } of nodes) found.push(`${id}: ${html.slice(0, 160)} ${failureSummary ?? ""}`);
  }
  return found;
}

describe("the demo, for everybody", () => {
  let browser: Browser;
  let server: { readonly origin: string; close(): Promise<void> };

  before(async () => {
    const { status, stdout } = spawnSync("node_modules/.bin/tsc", ["-p", "web/demo"], { cwd: top, encoding: "utf8" });
    assert.equal(status, 0, stdout);
    const { serveDemo } = (await import(pathToFileURL(join(top, "web/demo/serve.mjs")).href)) as { serveDemo(port: number): Promise<typeof server> };
    server = await serveDemo(0);
    browser = await chromium.launch({ executablePath: chromePath, headless: true, args: flags });
  });
  after(async () => {
    await browser?.close();
    await server?.close();
  });

  async function open(options: Parameters<Browser["newContext"]>[0], story: (page: Page) => Promise<void>): Promise<void> {
    const context = await browser.newContext({ reducedMotion: "reduce", ...options });
    const page = await context.newPage();
    const uncaught: string[] = [];
    page.on("pageerror", (error) => uncaught.push(String(error)));
    try {
      await page.goto(server.origin);
      await page.evaluate(async () => ((await import("/demo/main.js" as string)) as Demo).demo.idle());
      while (await page.evaluate(() => document.querySelector('[aria-busy="true"]') !== null)) await page.waitForTimeout(50);
      await story(page);
      assert.deepEqual(uncaught, []);
    } finally {
      await context.close();
    }
  }

  const schemes = { light: "#191d29", dark: "#eae8e2" };

  test("the page plays every scene by itself, and finds everything as expected; axe finds no violation before or after, in light, in dark and narrow", { timeout: 240_000 }, async () => {
    await open({ viewport: { width: 1280, height: 900 }, colorScheme: "light" }, async (page) => {
      assert.deepEqual(await violations(page), [], "before");
      const played = await page.evaluate(async () => (await ((await import("/demo/main.js" as string)) as Demo).demo.player.playQuickly()).map(({ scene, wrong }) => [scene.name, ...wrong]));
      const scenes = JSON.parse(readFileSync(join(top, "web/demo/scenes.json"), "utf8")) as { readonly name: string }[];
      assert.deepEqual(played, scenes.map(({ name }) => [name]));
      assert.match((await page.textContent("#played")) ?? "", new RegExp(`^${scenes.length} scenes, \\d+ things looked at: everything is as expected\\.$`));
      for (const width of [1280, 360]) {
        await page.setViewportSize({ width, height: 900 });
        for (const colorScheme of ["light", "dark"] as const) {
          await page.emulateMedia({ colorScheme });
          assert.deepEqual(await violations(page), [], `${colorScheme}, ${width} pixels wide`);
        }
        const wide = await page.evaluate(() => [...document.querySelectorAll("body *")].filter((element) => !element.closest(".quiet, .skip") && element.getBoundingClientRect().right > innerWidth + 1).map(({ outerHTML }) => outerHTML.slice(0, 100)));
        assert.deepEqual(wide, [], `what reaches beyond ${width} pixels`);
        for (const frame of page.frames()) assert.ok(await frame.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${frame.url()} is not to be scrolled sideways`);
      }
    });
  });

  test("each part can be played first: none counts on what another has done, the last one played first", { timeout: 240_000 }, async () => {
    await open({}, async (page) => {
      const scenes = JSON.parse(readFileSync(join(top, "web/demo/scenes.json"), "utf8")) as { readonly section: string }[];
      for (const section of [...new Set(scenes.map((scene) => scene.section))].reverse()) {
        const wrong = await page.evaluate(async (section) => (await ((await import("/demo/main.js" as string)) as Demo).demo.player.playQuickly([section])).flatMap(({ wrong }) => wrong), section);
        assert.deepEqual(wrong, [], section);
      }
    });
  });

  test("two pages of the demo at once: what one plays the other shows, and what only one can have it says", async () => {
    await open({}, async (one) => {
      const two = await one.context().newPage();
      await two.goto(server.origin);
      await two.evaluate(async () => {
        const { demo } = (await import("/demo/main.js" as string)) as Demo;
        await demo.idle();
        await demo.player.playQuickly(["keys"]);
      });
      const states = (page: Page): Promise<string[]> => page.$$eval("#sessions [data-state]", (cells) => cells.map((cell) => cell.getAttribute("data-state") ?? ""));
      const end = await states(two);
      assert.ok(end.includes("SenderUnverified"));
      /** What is there when it is as wanted, or after ten seconds. */
      const eventually = async <T>(look: () => Promise<T>, wanted: T): Promise<T> => {
        for (let waited = 0; waited < 60_000 && JSON.stringify(await look()) !== JSON.stringify(wanted); waited += 50) await one.waitForTimeout(50);
        return look();
      };
      assert.deepEqual(await eventually(() => states(one), end), end);
      for (const [line, said] of [["#status", "Another tab has gone on; this one shows the same."], ["#damage-status", "Another tab has this scene now. Start over to have it here."]] as const) {
        assert.equal(await eventually(() => one.textContent(line), said), said);
      }
    });
  });

  test("the colours follow the system, and the switch, which is remembered", async () => {
    await open({ colorScheme: "light" }, async (page) => {
      const ink = (): Promise<string> => page.evaluate(() => getComputedStyle(document.body).color);
      const rgb = (hex: string): string => `rgb(${[1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)).join(", ")})`;
      assert.equal(await ink(), rgb(schemes.light));
      await page.emulateMedia({ colorScheme: "dark" });
      assert.equal(await ink(), rgb(schemes.dark));
      await page.focus("#theme input:checked");
      await page.keyboard.press("ArrowRight");
      assert.equal(await ink(), rgb(schemes.light), "light was chosen");
      await page.keyboard.press("ArrowRight");
      await page.emulateMedia({ colorScheme: "light" });
      assert.equal(await ink(), rgb(schemes.dark), "dark was chosen");
      await page.reload();
      assert.equal(await ink(), rgb(schemes.dark), "and is remembered");
    });
  });

  test("with the keyboard alone: every control has its turn, shows it, and is left again; a policy, a key and an attempt are chosen", { timeout: 120_000 }, async () => {
    await open({ viewport: { width: 1280, height: 900 } }, async (page) => {
      // What should have a turn: a group of radio buttons has one, that of the checked.
      const wanted = await page.evaluate(() => [...document.querySelectorAll<HTMLElement>("a[href], button, input, summary")].filter((element) => element.checkVisibility() && !(element instanceof HTMLInputElement && element.type === "radio" && !element.checked)).length);
      const turns = new Set<string>();
      let framed = 0;
      for (let i = 0; i < wanted + 40; i++) {
        await page.keyboard.press("Tab");
        const turn = await page.evaluate(() => {
          const element = document.activeElement as HTMLElement;
          if (element === document.body) return null;
          if (element.localName === "iframe") return { id: "iframe", seen: true };
          const shown = element.matches("input[type=radio]") ? (element.nextElementSibling as HTMLElement) : element;
          const { outlineStyle, outlineWidth } = getComputedStyle(shown);
          const all = [...document.querySelectorAll("*")];
          return { id: `${all.indexOf(element)} ${element.outerHTML.slice(0, 80)}`, seen: outlineStyle !== "none" && parseFloat(outlineWidth) >= 2 };
        });
        if (turn === null) break;
        if (turn.id === "iframe") framed++;
        else turns.add(turn.id);
        assert.ok(turn.seen, `the focus is not to be seen on ${turn.id}`);
      }
      assert.equal(turns.size, wanted);
      assert.equal(framed, 6, "three buttons in each of the two frames");

      await page.focus("#policies input:checked");
      await page.keyboard.press("ArrowLeft"); // round to the last
      await page.waitForSelector('#timeline li[data-shown="withheld"]');
      assert.equal(await page.evaluate(() => document.activeElement?.id), "policy-Verified");
      assert.match((await page.textContent("#policy-status")) ?? "", /^Verified: 0 of 5 messages are shown\.$/);
      await page.focus("#why-keys input:checked");
      for (let i = 0; i < 3; i++) await page.keyboard.press("ArrowRight");
      assert.equal(await page.evaluate(() => (document.activeElement as HTMLInputElement).value), await page.$eval("#sessions tr.chosen", (line) => (line as HTMLElement).dataset["session"]), "the focus stays with what was chosen");
      await page.focus("#tamper-replay");
      await page.keyboard.press("Enter");
      await page.waitForSelector("[data-attempt=replay] [data-verdict=replayed]");
      assert.equal(await page.evaluate(() => document.activeElement?.id), "tamper-replay");
    });
  });
});
