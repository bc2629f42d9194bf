// How a page comes to a program in a worker. It stands apart from what worker and page have in common, for else the worker would load the page's side, which
// names the worker: a circle that bundlers stumble over.

import type { Door } from "./engine.js";
import type { Send } from "./fetch.js";
import type { Ground, Grounded } from "./ground.js";

/** As startProgram, in a worker. Only pages that have one load what it takes. */
export async function startHosted(worker: true | Worker, module: Promise<WebAssembly.Module>, ground: Ground, send: Send | undefined): Promise<Grounded<Door>> {
  module.catch(() => undefined); // it is waited for there
  let failed: Event | undefined;
  const fails = (event: Event): void => void (failed = event);
  if (worker !== true) worker.addEventListener("error", fails); // it may fail meanwhile
  const { HostedEngine } = await import("./hosted.js");
  const started = HostedEngine.start(worker, module, ground, send, failed);
  if (worker !== true) worker.removeEventListener("error", fails);
  return started;
}
