// The README's start is what people copy: it runs. And its table of policies says what the code says. What goes for all the documentation is in docs.test.ts.

import assert from "node:assert/strict";
import Olm from "@matrix-org/olm";
import { build } from "esbuild";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { useChrome } from "./harness.js";
import { knownAs, LibolmDevice } from "./libolm.js";
import { keysQueryAnswer, Outbound, type Json } from "./people.js";
import { top } from "./server.js";
import type { SyncingHomeserver } from "./syncinghomeserver.js";

const chrome = useChrome();

const readme = readFileSync(join(top, "README.md"), "utf8");

/** The example of a chapter. */
function exampleOf(chapter: string): string {
  return new RegExp(`## ${chapter}\\n[\\s\\S]*?\`\`\`ts\\n([\\s\\S]*?)\`\`\``).exec(readme)?.[1] ?? "";
}

describe("the README", () => {
  test("has an example for clients of matrix-js-sdk that runs", async () => {
    const lines = exampleOf("Start").split("\n");
    assert.equal(lines.filter((line) => /^(import|await|const|client|  const|  draw)/.test(line)).length, 10, "ten lines");
    const imports = lines.filter((line) => line.startsWith("import "));
    await build({
      stdin: {
        contents: `${imports.join("\n")}
          export { SyncingHomeserver } from "./syncinghomeserver.js";
          export async function run(login, draw) {
            ${lines.slice(imports.length).join("\n").replace("/knownsender-olm.wasm", "/dist/knownsender-olm.wasm")}
            return { client, crypto };
          }`,
        resolveDir: join(top, "web/build/test"),
      },
      outfile: join(top, "web/build/sdk/readme.js"), bundle: true, format: "esm", platform: "browser", target: "es2022", logLevel: "error", define: { global: "globalThis" },
    });
    await Olm.init();
    const alice = new LibolmDevice("@alice:test", "PHONE");
    const session = new Outbound("!room:test");
    await chrome.withPage(async ({ inPage }) => {
      const { keys, oneTimeKey } = await inPage(async (people) => {
        const { SyncingHomeserver, run } = (await import("/build/sdk/readme.js" as string)) as { SyncingHomeserver: new () => SyncingHomeserver; run: (login: object, draw: (...drawn: unknown[]) => void) => Promise<Running> };
        interface Running {
          client: { stopClient(): void };
          crypto: { machine: { identityKeys: { ed25519: string; curve25519: string } }; close(): Promise<void> };
        }
        const server = new SyncingHomeserver();
        server.people.know(people);
        const { fetch } = globalThis;
        globalThis.fetch = (resource, options) => (String(resource).startsWith("https://homeserver.test/") ? server.fetch : fetch)(resource, options);
        const drawn: unknown[][] = [];
        const running = await run({ baseUrl: "https://homeserver.test", userId: "@me:test", deviceId: "MINE", accessToken: "token" }, (...line) => void drawn.push(line));
        Object.assign(globalThis, { running, server, drawn });
        return { keys: running.crypto.machine.identityKeys, oneTimeKey: (await server.oneTimeKeys())[0] ?? "" };
      }, keysQueryAnswer([alice.person]));
      alice.begin(keys.curve25519, oneTimeKey);
      const share = alice.event(keys.curve25519, session.payload(alice.person, knownAs("@me:test", "MINE", keys)));
      const drawn = await inPage(async (answer) => {
        const { running, server, drawn } = globalThis as unknown as { running: { client: { stopClient(): void }; crypto: { close(): Promise<void> } }; server: SyncingHomeserver; drawn: unknown[][] };
        server.sync(answer);
        for (const end = Date.now() + 60_000; drawn.at(-1)?.[2] !== null && Date.now() < end; ) await new Promise((resolve) => setTimeout(resolve, 10));
        running.client.stopClient();
        await running.crypto.close();
        return drawn;
      }, {
        to_device: { events: [JSON.parse(share) as Json] },
        rooms: { join: { "!room:test": { timeline: { events: [session.event("@alice:test", "$1", "hello")] }, state: { events: [] } } } },
      });
      // Withheld until the server has been asked who sent it, if it was drawn before that.
      assert.deepEqual(drawn.pop(), ["$1", { msgtype: "m.text", body: "hello" }, null, 0]);
      for (const [, , failure, shield] of drawn) assert.deepEqual([failure, shield ?? null], ["UNSIGNED_SENDER_DEVICE", null]);
    });
    alice.free();
  });

  test("has the policy table of the code", () => {
    const policy = JSON.parse(readFileSync(join(top, "core/testdata/policy.json"), "utf8")) as { rows: { state: string; shown: Record<string, boolean> }[] };
    const [, header = "", body = ""] = /\n(\| what is known[^\n]*)\n[^\n]*\n((?:\|[^\n]*\n)+)/.exec(readme) ?? [];
    const columns = header.split("|").slice(2, -1).map((cell) => cell.replaceAll("`", "").trim());
    assert.deepEqual(columns, ["Untrusted", "CrossSignedOrLegacy", "CrossSigned", "Verified"]);
    const rows = body.trim().split("\n").map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()));
    assert.equal(rows.length, 6);
    for (const [first = "", ...cells] of rows) {
      const name = /`([A-Za-z]+)`/.exec(first)?.[1] ?? "";
      const state = name.replace(/[A-Z]/g, (letter, at: number) => (at === 0 ? "" : "_") + letter.toLowerCase()) || "mismatched_sender";
      const row = policy.rows.find((candidate) => candidate.state === state);
      const old = policy.rows.find((candidate) => candidate.state === `${state}_legacy`);
      assert.ok(row, state);
      columns.forEach((column, i) => {
        const wanted = row.shown[column] ? "shown" : old?.shown[column] ? "if legacy" : "withheld";
        assert.ok(cells[i]?.startsWith(wanted), `${state}, ${column}: ${cells[i] ?? ""}, not ${wanted}`);
      });
    }
  });
});
