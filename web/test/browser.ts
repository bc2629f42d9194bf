// A Chromium of a story's own, with a profile that outlives it, spoken to over its debugging pipe with nothing in between: a story may kill it,
// and may do to pages what a driver that keeps pages active would undo.

import { spawn, type ChildProcess } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import type { TestContext } from "node:test";
import { chromePath } from "./harness.js";

type Result = Record<string, unknown>;

/** A page of such a browser. */
export interface Tab {
  send(method: string, params?: object): Promise<Result>;
  /** Runs fn in the page. It sees only its argument: it is sent as text. */
  inPage<A, R>(fn: (args: A) => R | Promise<R>, args: A): Promise<R>;
}

const flags = ["--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-breakpad"];

export class Browser {
  readonly #process: ChildProcess;
  readonly #waiting = new Map<number, { method: string; resolve: (result: Result) => void; reject: (error: Error) => void }>();
  readonly #loaded = new Map<string, () => void>();
  readonly #ended: Promise<void>;
  #last = 0;

  /** Starts a browser on a profile. */
  constructor(profile: string) {
    this.#process = spawn(chromePath, [...flags, `--user-data-dir=${profile}`, "about:blank"], { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
    this.#ended = new Promise((resolve) => this.#process.once("exit", () => {
      for (const { method, reject } of this.#waiting.values()) reject(new Error(`the browser has ended during ${method}`));
      this.#waiting.clear();
      resolve();
    }));
    (this.#process.stdio[3] as Writable).on("error", () => undefined); // it is gone, which the exit tells
    let rest = "";
    (this.#process.stdio[4] as Readable).setEncoding("utf8").on("data", (text: string) => {
      const messages = (rest + text).split("\0");
      rest = messages.pop() ?? "";
      for (const message of messages) this.#heard(JSON.parse(message) as Result);
    });
  }

  #heard({ id, result, error, method, sessionId }: Result): void {
    if (method === "Page.loadEventFired") this.#loaded.get(String(sessionId))?.();
    const waiting = this.#waiting.get(Number(id));
    this.#waiting.delete(Number(id));
    if (error !== undefined) waiting?.reject(new Error(`${waiting.method}: ${JSON.stringify(error)}`));
    else waiting?.resolve((result ?? {}) as Result);
  }

  send(method: string, params: object = {}, sessionId?: string): Promise<Result> {
    return new Promise((resolve, reject) => {
      const id = ++this.#last;
      this.#waiting.set(id, { method, resolve, reject });
      (this.#process.stdio[3] as Writable).write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    });
  }

  /** Opens a page and waits until it has loaded. */
  async open(url: string): Promise<Tab> {
    const { targetId } = await this.send("Target.createTarget", { url: "about:blank" });
    const session = String((await this.send("Target.attachToTarget", { targetId, flatten: true }))["sessionId"]);
    const send = (method: string, params?: object): Promise<Result> => this.send(method, params, session);
    const loaded = new Promise<void>((resolve) => this.#loaded.set(session, resolve));
    await send("Page.enable");
    await send("Page.navigate", { url });
    await loaded;
    return {
      send,
      inPage: async (fn, args) => {
        const { result, exceptionDetails } = await send("Runtime.evaluate", { expression: `(${fn.toString()})(${JSON.stringify(args)})`, awaitPromise: true, returnByValue: true });
        if (exceptionDetails !== undefined) throw new Error(`in the page: ${JSON.stringify(exceptionDetails)}`);
        return (result as { value: never }).value;
      },
    };
  }

  /** kill -9, by the process's own number; resolves when it is gone. */
  kill(): Promise<void> {
    this.#process.kill("SIGKILL");
    return this.#ended;
  }
}

/**
 * Tells a story of browsers that are killed, one after the other, on one profile: `start` starts the next. After a kill in the middle of a write Chromium
 * may take its own files for damaged ("checksum mismatch"), and begins with empty ones. google/leveldb issue 1287 would explain it: a log is written on behind
 * a torn record. No page can do anything about that; the story that fails of it is told again.
 */
export async function killed(t: TestContext, story: (start: () => Browser) => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const profile = await mkdtemp(join(tmpdir(), "knownsender-"));
    const started: Browser[] = [];
    try {
      await story(() => {
        const browser = new Browser(profile);
        started.push(browser);
        return browser;
      });
      return;
    } catch (thrown) {
      if (attempt === 5 || started.length < 2 || !(await beganAnew(profile))) throw thrown;
      t.diagnostic(`Chromium threw its own files away: ${String(thrown)}`);
    } finally {
      await Promise.all(started.map((browser) => browser.kill()));
      await rm(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
    }
  }
}

/** Whether Chromium's newest start with IndexedDB found none of its files, by LevelDB's own log. */
async function beganAnew(profile: string): Promise<boolean> {
  const folder = join(profile, "Default/IndexedDB");
  const logs = (await readdir(folder).catch(() => [] as string[])).filter((name) => name.endsWith(".leveldb")).map((name) => readFile(join(folder, name, "LOG"), "utf8"));
  return (await Promise.all(logs)).some((log) => log.includes("since it was missing"));
}
