// The world of the end-to-end stories: a dendrite, a headless Chrome, and clients, each in a page and a browser context of its own. A client is a
// proxy here: its calls run in its page. What a page leaves uncaught fails the story it is in.

import { build } from "esbuild";
import { cpSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { chromium, type Browser, type BrowserContext, type Page } from "playwright-core";
import { Dendrite, type Login } from "../homeserver/dendrite.js";
import { serve, top, type TestServer } from "../server.js";
import type { ClientOptions, EndToEndClient, JudgingClient, KindOfBob, MutualClient, SendingClient } from "./client.js";

const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const patience = 60_000;

/** The scripts that have the clients: matrix-js-sdk with its own crypto, and each kind of Bob. */
const scripts = {
  sdk: "/build/endtoend/sdk.js", "matrix-js-sdk": "/build/endtoend/compat.js",
  fetch: "/build/test/endtoend/knownsender.js", libolm: "/build/test/endtoend/knownsender.js",
} as const;

/** A client, and the page it is in. */
export class Seat<C extends EndToEndClient> {
  #page: Page | undefined;
  readonly uncaught: string[] = [];
  readonly printed: string[] = [];
  /** The client's calls, which run in its page. */
  readonly client: C;

  constructor(
    readonly login: Login,
    readonly script: string,
    readonly context: BrowserContext,
    readonly origin: string,
    readonly options: ClientOptions,
  ) {
    const call = (method: string) => (...args: unknown[]) => this.#call(method, args);
    this.client = new Proxy({}, { get: (_, method) => (method === "then" ? undefined : call(String(method))) }) as C;
  }

  async #call(method: string, args: unknown[]): Promise<unknown> {
    const page = this.#page;
    if (page === undefined) throw new Error(`${this.login.userId} has no page.`);
    let late: NodeJS.Timeout | undefined;
    const tooLate = new Promise((_, reject) => {
      late = setTimeout(() => reject(new Error(`${method} of ${this.login.userId} took more than ${patience / 1000} s`)), patience);
    });
    try {
      const run = page.evaluate(([name, given]) => {
        const client = (globalThis as unknown as { client: Record<string, (...args: unknown[]) => unknown> }).client;
        return client[name as string]?.(...(given as unknown[]));
      }, [method, args] as const);
      return await Promise.race([run, tooLate]);
    } catch (thrown) {
      throw new Error(`${this.login.userId} ${this.login.deviceId}: ${method}: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
    } finally {
      clearTimeout(late);
    }
  }

  /** Opens the page and the client in it. */
  async open(): Promise<this> {
    const page = await this.context.newPage();
    page.on("console", (message) => this.printed.push(message.text()));
    page.on("pageerror", (error) => this.uncaught.push(`${this.login.userId}: ${error.stack ?? error.message}`));
    this.#page = page;
    await page.goto(`${this.origin}/page`);
    await page.addScriptTag({ url: "/olm/olm.js" });
    await page.evaluate(async (script) => void (await import(script)), this.script);
    await this.client.open(this.login, this.options);
    return this;
  }

  /** Closes the page as a person closes a tab: the client is asked nothing. */
  async shut(): Promise<void> {
    await this.#page?.close();
    this.#page = undefined;
  }
}

export class World {
  readonly #seats: Seat<EndToEndClient>[] = [];
  #people = 0;
  /** What clients made of knownsender are. */
  kind: KindOfBob = "matrix-js-sdk";

  private constructor(
    readonly dendrite: Dendrite,
    readonly browser: Browser,
    readonly server: TestServer,
  ) {}

  static async begin(): Promise<World> {
    await bundle();
    const dendrite = await Dendrite.start();
    const server = await serve();
    server.mount("/olm/", join(top, "node_modules/@matrix-org/olm/"));
    const browser = await chromium.launch({ executablePath: process.env["CHROME"] ?? "/usr/bin/chromium", headless: true, args: flags });
    return new World(dendrite, browser, server);
  }

  async end(): Promise<void> {
    await this.browser.close();
    await this.server.close();
    await this.dendrite.end();
  }

  /** Registers a user nobody knows yet. */
  register(name: string, deviceId: string): Promise<Login> {
    return this.dendrite.register(`${name}${++this.#people}`, deviceId);
  }

  /** A client of matrix-js-sdk. */
  sdk(login: Login): Promise<Seat<SendingClient>> {
    return this.#seat<SendingClient>(login, scripts.sdk, {});
  }

  /** A client of knownsender. */
  knownsender(login: Login, options: Partial<ClientOptions> = {}): Promise<Seat<JudgingClient>> {
    return this.#seat<JudgingClient>(login, scripts[this.kind], options);
  }

  /** A client of matrix-js-sdk with knownsender. */
  mutual(login: Login): Promise<Seat<MutualClient>> {
    return this.#seat<MutualClient>(login, scripts["matrix-js-sdk"], {});
  }

  async #seat<C extends EndToEndClient>(login: Login, script: string, options: Partial<ClientOptions>): Promise<Seat<C>> {
    const seat = new Seat<C>(login, script, await this.browser.newContext(), this.server.origin, { follow: true, kind: this.kind, ...options });
    this.#seats.push(seat as Seat<EndToEndClient>);
    return seat.open();
  }

  /** Sends everybody away, and tells what their pages left uncaught. */
  async sendAway(): Promise<string[]> {
    const seats = this.#seats.splice(0);
    for (const seat of seats) await seat.context.close();
    return seats.flatMap(({ uncaught }) => uncaught);
  }

  /** What the pages printed last, for failures. */
  printed(): string[] {
    return this.#seats.flatMap(({ login, printed }) => printed.filter((line) => !line.includes("[Perf]")).slice(-6).map((line) => `${login.userId} ${login.deviceId}: ${line.slice(0, 200)}`));
  }
}

/** The clients of matrix-js-sdk as one script each, and beside them the wasm that its own crypto loads. */
async function bundle(): Promise<void> {
  const out = join(top, "web/build/endtoend");
  mkdirSync(join(out, "pkg"), { recursive: true });
  await build({
    entryPoints: ["sdk", "compat"].map((client) => join(top, `web/build/test/endtoend/${client}.js`)), outdir: out,
    bundle: true, format: "esm", platform: "browser", target: "es2022", logLevel: "error", define: { global: "globalThis" },
  });
  const wasm = "pkg/matrix_sdk_crypto_wasm_bg.wasm";
  cpSync(join(top, "node_modules/@matrix-org/matrix-sdk-crypto-wasm", wasm), join(out, wasm));
}
