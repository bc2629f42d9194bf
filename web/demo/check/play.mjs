// Plays the scenes with a browser's own clicks and keys, and looks in the page for what each expects.

import { bold, expect, idle, scenes } from "./kit.mjs";

/** How long what was done may take to be seen, in milliseconds. */
const patience = 20_000;

/** The frame and the selector that a selector of the list means. */
async function place(page, at) {
  const [first, second] = at.split(" >> ");
  if (second === undefined) return { frame: page.mainFrame(), selector: first };
  const element = await page.waitForSelector(first);
  await element.scrollIntoViewIfNeeded();
  return { frame: await element.contentFrame(), selector: second };
}

async function perform(page, [how, at, value]) {
  const { frame, selector } = await place(page, at);
  await frame.waitForSelector(selector, { state: "attached" });
  await idle(frame);
  // What is switched off has nothing to do.
  if ((await frame.getAttribute(selector, "aria-disabled")) === "true") return;
  if (how === "fill") await frame.fill(selector, value);
  else if (how === "check") await frame.check(selector, { force: true });
  else await frame.click(selector);
  await idle(frame);
}

async function look(page, { at, read }) {
  const { frame, selector } = await place(page, at);
  return frame.$$eval(selector, (elements, name) => elements.map((element) => (name === "text" ? element.textContent : element.getAttribute(name)) ?? ""), read);
}

/** Plays all scenes in order, or those that are named. After a scene its closer look is taken, if there is one. */
export async function playScenes(page, { only, closer = {}, said = true } = {}) {
  let section = "";
  for (const scene of scenes) {
    if (only !== undefined && !only.includes(scene.name)) continue;
    for (const action of scene.done) await perform(page, action);
    const unlike = async () => {
      const got = [];
      for (const one of scene.expected) got.push(await look(page, one));
      return scene.expected.map((one, i) => [one, got[i]]).filter(([one, found]) => JSON.stringify(found) !== JSON.stringify(one.is));
    };
    let left = await unlike();
    for (const end = Date.now() + patience; left.length > 0 && Date.now() < end; left = await unlike()) await page.waitForTimeout(50);
    for (const [{ what, is }, found] of left) expect(`${scene.name}, ${what}`, found, is);
    if (said) {
      if (section !== scene.section) console.log(`${section === "" ? "" : "\n"}${bold(await page.textContent(`#${scene.section}-title`))}\n`);
      section = scene.section;
      console.log(`  ${left.length === 0 ? "✓" : "✗"} ${scene.title}`);
    }
    await closer[scene.name]?.(scene);
  }
}
