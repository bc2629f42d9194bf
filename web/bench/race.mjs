// One race: a page with both implementations in it, and what its rounds took. In every round a scenario gives the sides their turns, the other one
// first each time (A B B A), so that what the machine does besides hits both.

/** A page in which both are loaded, for one group of scenarios. */
export class Race {
  #page;
  #count;
  #round = 0;
  /** By row: how often it is done in one taking, and for each side what every round took and the longest block in it, in milliseconds. */
  rows = new Map();

  constructor(page, count) {
    this.#page = page;
    this.#count = count;
  }

  /** Loads both into the page. */
  static async in(page, count) {
    await page.evaluate(async () => {
      const [{ Stopwatch }, { load, sides }] = await Promise.all([import("/bench/stopwatch.mjs"), import("/bench/sides.mjs")]);
      await load();
      globalThis.bench = { stopwatch: new Stopwatch(), sides };
    });
    return new Race(page, count);
  }

  /** Counts the rounds: as many as were asked for, or fewer where one takes long. */
  *rounds(most = Infinity) {
    for (this.#round = 0; this.#round < Math.min(this.#count, most); this.#round++) yield this.#round;
  }

  /**
   * Runs a function in the page for each side in turn, with the side, the arguments (`args`, or what it returns for the side's name), and `time`, which
   * takes the time of what belongs to a row. Returns by side what the function returned. It is sent as text: it sees nothing but what it is given.
   */
  async inTurn(run, args = {}) {
    const results = {};
    for (const who of this.#round % 2 === 0 ? ["ours", "theirs"] : ["theirs", "ours"]) {
      const given = { who, run: String(run), args: typeof args === "function" ? args(who) : args };
      const { result, taken } = await this.#page.evaluate(async ({ who, run, args }) => {
        const { stopwatch, sides } = globalThis.bench;
        try {
          const result = await (0, eval)(`(${run})`)({ side: sides[who], args, time: (...given) => stopwatch.time(...given) });
          return { result, taken: stopwatch.taken.splice(0) };
        } catch (thrown) {
          throw new Error(`${who}: ${thrown?.stack ?? thrown}`);
        }
      }, given);
      results[who] = result;
      for (const { row, count, took, block } of taken) this.#record(row, count, who, took, block);
    }
    return results;
  }

  #record(row, count, who, took, block) {
    if (!this.rows.has(row)) this.rows.set(row, { count, ours: { took: [], block: [] }, theirs: { took: [], block: [] } });
    const { [who]: side } = this.rows.get(row);
    side.took.push(took);
    side.block.push(block);
  }
}
