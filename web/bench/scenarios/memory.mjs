// What 10,000 imported sessions leave: linear memory, which never shrinks, and what the browser's storage holds.

import { devicesOf } from "../crowd.mjs";
import { load, turn } from "../race.mjs";
import { exportedBy } from "./files.mjs";

/** Runs in the page: from now on `memories` are those of all instances. Of the two sides only the one that is used has a large one. */
function keepMemories() {
  globalThis.memories = [];
  const keep = (instance) => globalThis.memories.push(...Object.values(instance.exports).filter((one) => one instanceof WebAssembly.Memory));
  const { instantiate, instantiateStreaming } = WebAssembly;
  for (const [name, original] of Object.entries({ instantiate, instantiateStreaming })) {
    WebAssembly[name] = async (...given) => {
      const made = await original.apply(WebAssembly, given);
      keep(made.instance ?? made);
      return made;
    };
  }
  WebAssembly.Instance = new Proxy(WebAssembly.Instance, {
    construct(target, given) {
      const instance = new target(...given);
      keep(instance);
      return instance;
    },
  });
}

export async function memory(bench) {
  const count = 10_000;
  const text = JSON.stringify(exportedBy(Array.from({ length: 100 }, (_, i) => devicesOf(`@user${i}:example.org`, 1)).flat(), count));
  for (const who of bench.sides) {
    await bench.inPage(async (page) => {
      await page.evaluate(keepMemories);
      await load(page);
      const { result: { linear, disk } } = await turn(page, who, async ({ side, args: { text } }) => {
        const before = (await navigator.storage.estimate()).usage;
        await side.open("memory");
        await side.import(text);
        const linear = Math.max(...globalThis.memories.map(({ buffer }) => buffer.byteLength));
        await side.close();
        return { linear, disk: (await navigator.storage.estimate()).usage - before };
      }, { text });
      bench.record("memory.linear", who, linear / 2 ** 20);
      bench.record("memory.disk", who, disk / 2 ** 20);
    });
  }
}
