// The README's examples are what people copy: they type-check against the package and run, and the tables say what the code says.

import assert from "node:assert/strict";
import Olm from "@matrix-org/olm";
import { build } from "esbuild";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { useChrome } from "./harness.js";
import { knownAs, LibolmDevice } from "./libolm.js";
import { withKit } from "./machinekit.js";
import { armoured, BackupVault, keysQueryAnswer, openedKeys, Outbound, Person, sealedKeys, type Json } from "./people.js";
import { top } from "./server.js";
import type { SyncingHomeserver } from "./syncinghomeserver.js";

const chrome = useChrome();
const me = new Person("@me:test", "MINE");

const readme = readFileSync(join(top, "README.md"), "utf8");

/** What the example takes from the client around it: its login, its Olm, its way of asking the homeserver, its screen. */
const client = `
declare const session: { readonly userId: string; readonly deviceId: string; readonly identityKeys: { readonly ed25519: string; readonly curve25519: string } };
declare const sync: {
  readonly to_device: { readonly events: readonly import("knownsender").JsonObject[] };
  readonly device_one_time_keys_count: Readonly<Record<string, number>>;
  readonly device_unused_fallback_key_types: readonly string[];
  readonly device_lists: { readonly changed?: readonly string[]; readonly left?: readonly string[] };
};
declare const roomKeys: readonly { readonly sender: string; readonly senderKey: string; readonly payload: string }[];
declare function saveSyncToken(): void;
declare function post(path: string, body: string): Promise<string>;
declare const roomEvent: string;
declare const roomId: string;
declare function show(content: object, shield: "None" | "Grey" | "Red"): void;
declare function showWithheld(code: string): void;
declare function redraw(sessionId: string): void;
declare const keyFile: string;
declare const passphrase: string;
declare const signal: AbortSignal;
declare function showProgress(progress: { readonly successes: number; readonly failures: number; readonly total: number }): void;
declare function offerFile(file: string): void;
declare const backup: { readonly version: string; readonly auth_data: { readonly public_key: string } };
declare const recoveryKey: string;
declare function get(path: string): Promise<string>;
declare function put(path: string, body: string): Promise<void>;
declare const authenticatedFetch: import("knownsender").HostFetch;
declare const members: readonly string[];
declare const encryption: { readonly algorithm: string; readonly rotation_period_ms?: number; readonly rotation_period_msgs?: number };
declare const historyVisibility: "invited" | "joined" | "shared" | "world_readable";
declare function handle(payload: object, sender: import("knownsender").SenderData): void;
declare const isNewUser: boolean;
declare function sendWithPassword(request: import("knownsender").OutgoingRequest): Promise<string>;
declare function getAccountData(type: string): Promise<import("knownsender").JsonObject | null>;
declare const masterKeyAliceReadOut: string;
declare const fingerprintOnMyPhone: string;
declare const login: { readonly baseUrl: string; readonly userId: string; readonly deviceId: string; readonly accessToken: string };
declare function draw(eventId: string | undefined, content: object | null, failure: string | null, shield: number | undefined): void;
`;

/** The example of a chapter. */
function exampleOf(chapter: string): string {
  return new RegExp(`## ${chapter}\\n[\\s\\S]*?\`\`\`ts\\n([\\s\\S]*?)\`\`\``).exec(readme)?.[1] ?? "";
}

describe("the README", () => {
  test("has examples that type-check under the strictest settings", () => {
    const examples = [...readme.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code = ""]) => code);
    assert.ok(examples.length > 0);
    // Inside the project, so that the package's own name resolves to it.
    const folder = mkdtempSync(join(top, "web/build/readme-"));
    try {
      const settings = { extends: "../../tsconfig.json", compilerOptions: { noEmit: true, rootDir: "../../..", noUnusedLocals: false }, include: ["*.ts"] };
      writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(settings));
      writeFileSync(join(folder, "client.d.ts"), client);
      // One after the other, as they are read; the clients of matrix-js-sdk begin afresh.
      const sdk = exampleOf("With matrix-js-sdk");
      assert.ok(examples.includes(sdk));
      writeFileSync(join(folder, "example.ts"), examples.filter((example) => example !== sdk).join("\n"));
      writeFileSync(join(folder, "sdk.ts"), sdk);
      const { status, stdout } = spawnSync(join(top, "node_modules/.bin/tsc"), ["-p", folder], { encoding: "utf8" });
      assert.equal(status, 0, stdout);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  test("has an example of keys in and out that runs", async () => {
    const example = exampleOf("Keys in and out");
    const [inFile, inBackup] = [new Outbound("!file:test").exported(me), new Outbound("!backup:test").exported(me)];
    const vault = new BackupVault();
    await withKit(chrome, async ({ inPage, printed }) => {
      const got = await inPage(async ({ own, example, client }) => {
        const machine = await kit.ks.OlmMachine.open({ ...own, store: { memory: true } });
        const seen = { progress: "", file: "", got: "", put: [] as string[] };
        const around = {
          ...client, machine, OlmMachine: kit.ks.OlmMachine, signal: new AbortController().signal,
          showProgress: (progress: object) => void (seen.progress = JSON.stringify(progress)),
          offerFile: (file: string) => void (seen.file = file),
          get: (path: string) => Promise.resolve((seen.got = path) === "" ? "" : client.answer),
          put: (path: string, body: string) => Promise.resolve(void seen.put.push(path, body)),
        };
        const run = new Function(...Object.keys(around), `return (async () => {${example}})();`) as (...values: unknown[]) => Promise<void>;
        await run(...Object.values(around));
        const counts = await machine.roomKeyCounts();
        await machine.close();
        return { seen, counts };
      }, {
        own: me.own, example,
        client: {
          keyFile: armoured(sealedKeys(JSON.stringify([inFile, {}]), "a passphrase")), passphrase: "a passphrase", recoveryKey: vault.recoveryKey,
          backup: { version: "7", auth_data: { public_key: vault.public } }, answer: JSON.stringify(vault.answer([inBackup])),
        },
      });
      assert.deepEqual(printed, ["1 room keys are new; the one at 1 cannot be used: missing_member"]);
      assert.deepEqual(JSON.parse(got.seen.progress), { stage: "load_keys", successes: 1, failures: 1, total: 2 });
      assert.equal((JSON.parse(openedKeys(got.seen.file, "a passphrase").content) as unknown[]).length, 1);
      const path = "/_matrix/client/v3/room_keys/keys?version=7";
      assert.deepEqual([got.seen.got, got.seen.put.length, got.seen.put[0]], [path, 2, path]);
      assert.ok(got.seen.put[1]?.includes("!file:test") && !got.seen.put[1].includes("!backup:test"), "what came from the backup is there");
      assert.deepEqual(got.counts, { total: 2, backedUp: 2 });
    });
  });

  test("has an example for clients of matrix-js-sdk that runs", async () => {
    const lines = exampleOf("With matrix-js-sdk").split("\n");
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
        for (const end = Date.now() + 8000; drawn.at(-1)?.[2] !== null && Date.now() < end; ) await new Promise((resolve) => setTimeout(resolve, 10));
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

  test("names commands that exist", () => {
    const makefile = readFileSync(join(top, "Makefile"), "utf8");
    for (const [, target = ""] of readme.matchAll(/`?make ([a-z]+)/g)) assert.match(makefile, new RegExp(`^${target}:`, "m"), target);
  });
});
