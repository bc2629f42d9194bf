// The leaves that the copies lie in, in Chrome.

import { describe, test } from "node:test";
import { useChrome } from "./harness.js";
import { stories } from "./leafkit.js";

const chrome = useChrome();

type Kit = typeof import("./leafkit.js");

describe("leaves", () => {
  for (const name of Object.keys(stories)) {
    test(name, { timeout: 120_000 }, async () => {
      await chrome.withPage(async ({ inPage }) => {
        await inPage(async (story: string) => {
          const kit = (await import("/build/test/leafkit.js" as string)) as Kit;
          await kit.stories[story]?.(story);
        }, name);
      });
    });
  }
});
