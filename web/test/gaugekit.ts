// What work costs a page: how long it stands still meanwhile, and the memory of the program.

import type { TestPage } from "./harness.js";
import { withNet } from "./lanekit.js";

export interface Standstill {
  readonly longest: number;
  readonly tasks: readonly number[];
  readonly took: number;
  /** How often the work let the page have a turn. */
  readonly turns: number;
}

interface Gauges {
  /** The longest time in which nothing else could run, in milliseconds, and the browser's own word on it. */
  standstill<R>(work: () => Promise<R>): Promise<Standstill & { result: R }>;
  /** The memory of the program that was started last, in bytes. */
  memory(): number;
}

declare global {
  var gauges: Gauges;
}

/** Puts `gauges` into a page, before a machine is opened there. */
export function withGauges<R>(chrome: Parameters<typeof withNet>[0], story: (page: TestPage) => Promise<R>): Promise<R> {
  return withNet(chrome, async (page) => {
    await page.inPage(() => {
      let turns = 0;
      const Channel = MessageChannel;
      globalThis.MessageChannel = class extends Channel {
        constructor() {
          super();
          turns++;
        }
      };
      const standstill: Gauges["standstill"] = async (work) => {
        const channel = new Channel();
        const tasks: number[] = [];
        const observer = new PerformanceObserver((list) => tasks.push(...list.getEntries().map(({ duration }) => duration)));
        observer.observe({ type: "longtask" });
        let last = performance.now();
        let longest = 0;
        channel.port1.onmessage = () => {
          const now = performance.now();
          longest = Math.max(longest, now - last);
          last = now;
          channel.port2.postMessage(0);
        };
        channel.port2.postMessage(0);
        turns = 0;
        const began = performance.now();
        const result = await work();
        const took = performance.now() - began;
        const taken = turns;
        await net.pause(50);
        channel.port1.close();
        observer.disconnect();
        return { result, longest, tasks, took, turns: taken };
      };
      let memory: WebAssembly.Memory | undefined;
      const instantiate = WebAssembly.instantiate as (...args: unknown[]) => Promise<unknown>;
      WebAssembly.instantiate = (async (...args: unknown[]) => {
        const instance = await instantiate(...args);
        memory = (instance as WebAssembly.Instance).exports["mem"] as WebAssembly.Memory;
        return instance;
      }) as never;
      globalThis.gauges = { standstill, memory: () => memory?.buffer.byteLength ?? 0 };
    }, undefined);
    return story(page);
  });
}

/** The browser's own word on it. */
export function longTasks(tasks: readonly number[]): string {
  return tasks.length === 0 ? "no task above 50 ms" : `tasks above 50 ms: ${tasks.map((ms) => ms.toFixed(0)).join(", ")}`;
}
