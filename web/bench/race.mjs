// One race: a page with both implementations in it. In every round a scenario gives the sides their turns, in one round in this order and in the next
// in the other (A B B A), so that what the machine does besides hits all.

/** A page in which both are loaded, for one group of scenarios. */
export class Race {
  #page;
  #bench;
  #round = 0;

  constructor(page, bench) {
    this.#page = page;
    this.#bench = bench;
  }

  /** Makes a group of scenarios: what it does in a page. */
  static of(scenarios) {
    return (bench) => bench.inPage(async (page) => {
      await load(page);
      await scenarios(new Race(page, bench));
    });
  }

  /**
   * Counts the rounds: as many as were asked for, and one before them, number 0, that is not recorded, for browsers compile what is used often. Where one
   * takes long there are as few as is said, and none before them.
   */
  *rounds(most = Infinity) {
    for (this.#round = most === Infinity ? 0 : 1; this.#round <= Math.min(this.#bench.rounds, most); this.#round++) yield this.#round;
  }

  /**
   * Runs a function in the page for each side in turn, with the side, the arguments (`args`, or what it returns for the side's name), and `time`, which
   * takes the time of what belongs to a row. Returns by side what the function returned. It is sent as text: it sees nothing but what it is given.
   */
  async inTurn(run, args = {}) {
    const results = {};
    const sides = this.#bench.sides;
    for (const who of this.#round % 2 === 0 ? sides : sides.toReversed()) {
      const { result, taken } = await turn(this.#page, who, run, typeof args === "function" ? args(who) : args);
      results[who] = result;
      if (this.#round > 0) for (const { row, count, took, block } of taken) this.#bench.record(row, who, took / count, block);
    }
    return results;
  }
}

/** Loads both into a page. */
export function load(page) {
  return page.evaluate(async () => {
    const [{ Stopwatch }, { load, sides }] = await Promise.all([import("/bench/stopwatch.mjs"), import("/bench/sides.mjs")]);
    await load();
    globalThis.bench = { stopwatch: new Stopwatch(), sides };
  });
}

/** Runs a function for one side in a page where both are loaded: its result, and the times that it took. */
export function turn(page, who, run, args) {
  return page.evaluate(async ({ who, run, args }) => {
    const { stopwatch, sides } = globalThis.bench;
    try {
      const result = await (0, eval)(`(${run})`)({ side: sides[who], args, time: (...given) => stopwatch.time(...given) });
      return { result, taken: stopwatch.taken.splice(0) };
    } catch (thrown) {
      throw new Error(`${who}: ${thrown?.stack ?? thrown}`);
    }
  }, { who, run: String(run), args });
}
