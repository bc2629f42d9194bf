// What the README's table says of matrix-sdk-crypto-wasm, asked of matrix-sdk-crypto-wasm; and every cell has something that shows it.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { useChrome } from "./harness.js";
import { top } from "./server.js";

const chrome = useChrome();
const read = (path: string): string => readFileSync(join(top, path), "utf8");
const peer = "node_modules/@matrix-org/matrix-sdk-crypto-wasm";

describe("the table beside the peers", () => {
  const [, table = ""] = /\n\| \| knownsender \| matrix-sdk-crypto-wasm \|\n\|[-|]+\n((?:\|[^\n]*\n)+)/.exec(read("README.md")) ?? [];
  const rows = table.trim().split("\n").map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()));

  test("has something in every cell that shows it: a file that is here, or an issue", () => {
    assert.ok(rows.length >= 10);
    for (const [what = "", ...cells] of rows) {
      assert.equal(cells.length, 2, what);
      for (const cell of cells) {
        const links = [...cell.matchAll(/\]\(([^)]+)\)/g)].map(([, link = ""]) => link);
        assert.ok(links.length > 0, `${what}: ${cell}`);
        for (const link of links) {
          if (!/^https:\/\/github\.com\/[\w-]+\/[\w-]+\/issues\/\d+$/.test(link)) assert.ok(existsSync(join(top, link)), link);
        }
      }
    }
  });

  test("is about the version that is measured", () => {
    const { version } = JSON.parse(read(`${peer}/package.json`)) as { version: string };
    assert.match(read("README.md"), new RegExp(`matrix-sdk-crypto-wasm\\) ${version.replaceAll(".", "\\.")} is what`));
  });

  test("says what its types say: three policies, a shield of code and sentence, no signal in an import", () => {
    const types = read(`${peer}/pkg/matrix_sdk_crypto_wasm.d.ts`);
    const [, policies = ""] = /export enum TrustRequirement \{([\s\S]*?)\n\}/.exec(types) ?? [];
    assert.deepEqual([...policies.matchAll(/^ {4}(\w+) = \d+,/gm)].map(([, name]) => name), ["Untrusted", "CrossSignedOrLegacy", "CrossSigned"]);
    const [, shield = ""] = /export class ShieldState \{([\s\S]*?)\n\}/.exec(types) ?? [];
    assert.deepEqual([...new Set([...shield.matchAll(/^ {4}(?:get |readonly )?(\w+)(?:\(\))?: /gm)].map(([, name]) => name))].sort(), ["code", "color", "free", "message"]);
    assert.match(types, /importExportedRoomKeys\(exported_room_keys: string, progress_listener: \(progress: bigint, total: bigint\) => void\): Promise<RoomKeyImportResult>;/);
    assert.doesNotMatch(types, /AbortSignal/);
    for (const name of ["Sas", "Qr", "DehydratedDevices"]) assert.match(types, new RegExp(`export class ${name} \\{`), name);
  });

  test("says what its loader does: a failure is kept", async () => {
    chrome.server.mount("/peer/", join(top, peer));
    await chrome.withPage(async ({ inPage }) => {
      const ends = await inPage(async () => {
        const peer = (await import("/peer/index.mjs" as string)) as { initAsync(url: URL): Promise<void> };
        const load = (path: string): Promise<string> => peer.initAsync(new URL(path, location.href)).then(() => "", (thrown: unknown) => String(thrown));
        return [await load("/peer/nothing.wasm"), await load("/peer/pkg/matrix_sdk_crypto_wasm_bg.wasm")];
      }, undefined);
      assert.notEqual(ends[0], "");
      assert.equal(ends[1], ends[0], "with the right address it fails as it did with the wrong one");
    });
  });
});
