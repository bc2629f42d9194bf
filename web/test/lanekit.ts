// A page with the package and a homeserver in it: `kit` as in machinekit.ts, and `net`.

import type { Chrome, PageOptions, TestPage } from "./harness.js";
import { withKit, type Kit } from "./machinekit.js";

type Network = typeof import("./homeserver.js");

declare global {
  var net: Network;
}

/** Puts `net` into a page, and of `kit` the package where it is not there. */
export async function furnish(page: Pick<TestPage, "inPage">): Promise<void> {
  await page.inPage(async () => {
    globalThis.net = (await import("/build/test/homeserver.js" as string)) as Network;
    globalThis.kit ??= { ks: await import("/dist/index.js" as string) } as Kit;
  }, undefined);
}

/** Opens a page with `kit` and `net` in it. */
export function withNet<R>(chrome: Chrome, story: (page: TestPage) => Promise<R>, options: PageOptions = {}): Promise<R> {
  return withKit(chrome, async (page) => {
    await furnish(page);
    return story(page);
  }, options);
}
