// The demo is part of what is promised: it type-checks, and plays to the end with everything as expected.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { top } from "./harness.js";

test("the demo plays the recorded traffic, and everything is as expected", () => {
  const run = (command: string, args: string[], env: Record<string, string> = {}): string => {
    const { status, stdout, stderr } = spawnSync(command, args, { cwd: top, encoding: "utf8", env: { ...process.env, ...env } });
    assert.equal(status, 0, `${stdout}${stderr}`);
    return stdout;
  };
  run("node_modules/.bin/tsc", ["-p", "web/demo"]);
  const printed = run("node", ["web/demo/run.mjs"], { SERVE: "0", PORT: "0" });
  assert.match(printed, /“hello bob, this is alice” +as recorded/);
  // The lanes: asked about in vain, still there with its schedule after a reload, settled when the network is back; the next key is known at once.
  assert.match(printed, /8EkQE6YSaa +slow +retry +1 +in \d+ s +“hello bob, this is alice” +DeviceInfo\n/);
  assert.match(printed, /The page was loaded again: still there, with the schedules stored beside them\./);
  assert.match(printed, /8EkQE6YSaa +slow +retry +\d+ +settled +“hello bob, this is alice” +DeviceInfo -> SenderUnverified\n/);
  assert.match(printed, /fast +fast +0 +settled +made in the page +SenderUnverified\n/);
  // Key files: hearsay with a hint, whole chunks after a cancellation, the same keys after a round trip.
  assert.match(printed, /A wrong passphrase: bad_passphrase_or_corrupt: /);
  assert.match(printed, /8EkQE6YSaa +UnknownDevice, legacy .*claims to be from @alicemwtd9qv4:localhost's device ALICEDEV1, which is cross-signed today\.\n/);
  assert.match(printed, /Cancelled: [\d,]+ room keys of it are stored, in whole chunks\./);
  assert.match(printed, /Into an empty database, and out again: the same keys\./);
  assert.match(printed, /Everything is as expected\./);
  // Every scene was played.
  const scenes = JSON.parse(readFileSync(join(top, "web/demo/scenes.json"), "utf8")) as { readonly title: string }[];
  assert.deepEqual(scenes.filter(({ title }) => !printed.includes(`  ✓ ${title}\n`)), []);
});

test("the README shows the pictures that make pictures makes, small, and in words for those who do not see them", () => {
  const readme = readFileSync(join(top, "README.md"), "utf8");
  const alts = [...readme.matchAll(/!\[([^\]]*)\]\(web\/demo\/pictures\/|<img src="web\/demo\/pictures\/[^"]*" alt="([^"]*)"/g)].map(([, one, other]) => one ?? other ?? "");
  assert.equal(alts.length, 3);
  assert.ok(alts.every((alt) => alt.length > 80), "each says what is to be seen");
  const shown = [...readme.matchAll(/web\/demo\/pictures\/([\w-]+\.png)/g)].map(([, name]) => name).sort();
  assert.deepEqual(readdirSync(join(top, "web/demo/pictures")).sort(), shown);
  for (const name of shown) {
    const png = readFileSync(join(top, "web/demo/pictures", name ?? ""));
    assert.equal(png.toString("latin1", 1, 4), "PNG");
    assert.equal(png.readUInt32BE(16), 1764, `${name} is as wide as the others`);
    assert.ok(png.length < 200_000, `${name} has ${png.length} bytes`);
  }
});
