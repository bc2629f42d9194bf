// The threat and fault rows that make attack runs: every row is there, and every test that a row names exists.

import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { top } from "./harness.js";

test("every threat and fault row names tests that exist", async () => {
  const { mistakes, rows } = (await import(join(top, "web/test/attack/rows.mjs"))) as { mistakes: () => string[]; rows: unknown[] };
  assert.deepEqual(mistakes(), []);
  assert.equal(rows.length, 57 + 48);
});
