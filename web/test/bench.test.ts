// What make bench makes of its measurements: which ratio a row has, and when the run fails.

import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { top } from "./server.js";

interface Report {
  Measurements: new () => { record(row: string, who: string, value: number, block?: number, stored?: number): void };
  judged(measurements: object): { failures: string[]; scenarios: { rows: string[][] } | null; growth: { rows: string[][] } | null };
}

const { judged, Measurements } = (await import(pathToFileURL(join(top, "web/bench/report.mjs")).href)) as Report;

/** Rounds of a row whose target is 5, of ours and theirs, in milliseconds. */
function rounds(list: readonly (readonly [ours: number, theirs: number])[], block = 5): InstanceType<Report["Measurements"]> {
  const measurements = new Measurements();
  for (const [ours, theirs] of list) {
    measurements.record("decryption.along", "ours", ours, block);
    measurements.record("decryption.along", "theirs", theirs, 5);
  }
  return measurements;
}

test("a ratio is the median of the rounds' own", () => {
  // The second round had a busy machine, for both.
  const { failures, scenarios } = judged(rounds([[1, 6], [10, 60], [2, 12]]));
  assert.deepEqual(failures, []);
  assert.equal(scenarios?.rows[0]?.[5], "6.00");
  assert.equal(scenarios?.rows[0]?.[8], "met");
});

test("below 0.8 of its target a row fails, and between the two it is near", () => {
  assert.equal(judged(rounds([[1, 4.1]])).failures.length, 0);
  assert.equal(judged(rounds([[1, 4.1]])).scenarios?.rows[0]?.[8], "near");
  assert.match(judged(rounds([[1, 3.9]])).failures.join(), /decryption\.along\): 3\.90 times as fast, not 5/);
});

test("a page that is blocked fails, however fast", () => {
  assert.match(judged(rounds([[1, 100]], 70)).failures.join(), /blocked for 70 ms, not below 50/);
});

test("what grows with what is stored fails", () => {
  const growing = (large: number): string[] => {
    const measurements = new Measurements();
    for (const [stored, took] of [[1_000, 1], [100_000, large]] as const) {
      for (const who of ["ours", "theirs"]) measurements.record("growth.open", who, took, undefined, stored);
    }
    return judged(measurements).failures;
  };
  assert.deepEqual(growing(2), []);
  assert.match(growing(3).join(), /3\.00 times as much beside 100000 sessions as beside 1000/);
});

test("a row that no table has is a mistake", () => {
  assert.throws(() => new Measurements().record("decryption.alnog", "ours", 1), /not in targets\.mjs/);
});
