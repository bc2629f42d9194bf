// Headless Chrome for tests: one browser a test file, a page of its own for every story. A page's uncaught errors fail the story that
// does not expect them.

import { after, before } from "node:test";
import { chromium, type Browser, type BrowserContext, type Page } from "playwright-core";
import { serve, type TestServer } from "./server.js";

export { top, wasmPath } from "./server.js";

export const chromePath = process.env["CHROME"] ?? "/usr/bin/chromium";

export const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];

/** What a page's script is given. */
export interface TestPage {
  readonly page: Page;
  readonly context: BrowserContext;
  readonly origin: string;
  /** What the page printed, and what nobody caught in it. */
  readonly printed: string[];
  readonly uncaught: string[];
  /** Runs fn in the page. It sees only its argument: it is sent as text. */
  inPage<A, R>(fn: (args: A) => R | Promise<R>, args: A): Promise<R>;
}

export interface PageOptions {
  /** Content-Security-Policy of the page. */
  csp?: string;
  /** Opens the page in this context, to share storage with another page; otherwise it has a context of its own. */
  context?: BrowserContext;
}

export interface Chrome {
  readonly server: TestServer;
  readonly browser: Browser;
  /** Opens a page, runs the story, closes the page; fails when the page left an error uncaught, unless the story took it. */
  withPage<R>(story: (page: TestPage) => Promise<R>, options?: PageOptions): Promise<R>;
}

/** Starts Chrome and the server before the tests of a file, and ends both after them. */
export function useChrome(): Chrome {
  let server: TestServer | undefined;
  let browser: Browser | undefined;
  before(async () => {
    server = await serve();
    browser = await chromium.launch({ executablePath: chromePath, headless: true, args: flags });
  });
  after(async () => {
    await browser?.close();
    await server?.close();
  });
  const started = <T>(what: T | undefined): T => {
    if (what === undefined) throw new Error("Chrome is used outside a test.");
    return what;
  };
  return {
    get server() {
      return started(server);
    },
    get browser() {
      return started(browser);
    },
    async withPage(story, options = {}) {
      const { origin } = started(server);
      const context = options.context ?? (await started(browser).newContext());
      const page = await context.newPage();
      const printed: string[] = [];
      const uncaught: string[] = [];
      page.on("console", (message) => printed.push(message.text()));
      page.on("pageerror", (error) => uncaught.push(String(error)));
      try {
        await page.goto(`${origin}/page${options.csp === undefined ? "" : `?csp=${encodeURIComponent(options.csp)}`}`);
        const result = await story({
          page, context, origin, printed, uncaught,
          inPage: (fn, args) => page.evaluate(fn as never, args as never) as never,
        });
        if (uncaught.length > 0) throw new Error(`uncaught in the page: ${uncaught.join("; ")}`);
        return result;
      } finally {
        await page.close();
        if (options.context === undefined) await context.close();
      }
    },
  };
}
