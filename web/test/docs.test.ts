// The documentation is what people copy: every example in it type-checks against the package under the strictest settings and runs in headless Chrome, every
// command and code it names exists, every link leads somewhere, and the reference is made without a warning.

import assert from "node:assert/strict";
import Olm from "@matrix-org/olm";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, normalize, relative } from "node:path";
import { describe, test } from "node:test";
import { useChrome, type TestPage } from "./harness.js";
import { knownAs, LibolmDevice } from "./libolm.js";
import { withKit } from "./machinekit.js";
import { armoured, BackupVault, keysQueryAnswer, openedKeys, Outbound, Person, sealedKeys, type Json } from "./people.js";
import { top } from "./server.js";

const chrome = useChrome();
const me = new Person("@me:test", "MINE", "yes");
const alice = new Person("@alice:test", "ALICE", "yes");
const room = "!room:test";

const files = ["README.md", ...readdirSync(join(top, "web/docs")).filter((name) => name.endsWith(".md")).map((name) => `web/docs/${name}`)];
const read = (path: string): string => readFileSync(join(top, path), "utf8");

/** The examples of a document, a list for each program: one begins where something is imported, and the blocks behind it go on with it. */
function programsOf(file: string): string[][] {
  const programs: string[][] = [];
  for (const [, language = "", block = ""] of read(file).matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)) {
    assert.ok(["ts", "sh", "text"].includes(language), `${file}: a block of ${language}`);
    if (language !== "ts") continue;
    if (programs.length === 0 || block.startsWith("import ")) programs.push([]);
    programs.at(-1)?.push(block);
  }
  return programs;
}

/** What the examples take from the client around them: its login, its Olm, its way of asking the homeserver, its screen. */
const client = `
declare const session: { readonly userId: string; readonly deviceId: string; readonly identityKeys: { readonly ed25519: string; readonly curve25519: string } };
declare const userId: string, deviceId: string, identityKeys: { readonly ed25519: string; readonly curve25519: string };
declare const sync: {
  readonly to_device: { readonly events: readonly import("knownsender").JsonObject[] };
  readonly device_one_time_keys_count: Readonly<Record<string, number>>;
  readonly device_unused_fallback_key_types: readonly string[];
  readonly device_lists: { readonly changed?: readonly string[]; readonly left?: readonly string[] };
};
declare const options: import("knownsender").OpenOptions;
declare let machine: import("knownsender").OlmMachine;
declare const roomKeys: readonly { readonly sender: string; readonly senderKey: string; readonly payload: string }[];
declare function saveSyncToken(): void;
declare function post(path: string, body: string): Promise<string>;
declare const roomEvent: string, roomId: string, sessionId: string;
declare function show(...what: unknown[]): void;
declare function showWithheld(code: string, sentence: string): void;
declare function redraw(sessionId: string): void;
declare const keyFile: string, passphrase: string, storePassphrase: string, newPassphrase: string, recoveryKey: string;
declare const signal: AbortSignal;
declare function showProgress(progress: { readonly successes: number; readonly failures: number; readonly total: number }): void;
declare function offerFile(file: string): void;
declare const backup: { readonly version: string; readonly auth_data: { readonly public_key: string } };
declare function get(path: string): Promise<string>;
declare function put(path: string, body: string): Promise<void>;
declare const authenticatedFetch: import("knownsender").HostFetch;
declare const members: readonly string[];
declare const encryption: { readonly algorithm: string; readonly rotation_period_ms?: number; readonly rotation_period_msgs?: number };
declare const historyVisibility: "invited" | "joined" | "shared" | "world_readable";
declare function handle(payload: object, sender: import("knownsender").SenderData): void;
declare const isNewUser: boolean, hadSyncToken: boolean;
declare function startOver(): void;
declare const generationLastTime: string | null;
declare function rememberGeneration(generation: string | null): void;
declare function sendWithPassword(request: import("knownsender").OutgoingRequest): Promise<string>;
declare function getAccountData(type: string): Promise<import("knownsender").JsonObject | null>;
declare const masterKeyAliceReadOut: string, masterKeyTheUserVerified: string;
declare function ownKeys(): Promise<{ ed25519: string; curve25519: string }>;
declare function exportRoomKeysAsJson(): Promise<string>;
declare const login: { readonly baseUrl: string; readonly userId: string; readonly deviceId: string; readonly accessToken: string };
declare function draw(eventId: string | undefined, content: object | null, failure: string | null, shield: number | undefined): void;
`;

/** What a program's client has seen, in order. */
type Seen = unknown[][];

/** In the page: what the story behind a program has to do. */
declare global {
  /** What the program may name; what is not set is recorded when it is called. */
  var around: Record<string, unknown>;
  /** After each block, with the machine if there is one under that name. */
  var after: (block: number, machine: Awaited<ReturnType<(typeof kit.ks)["OlmMachine"]["open"]>>) => Promise<void>;
  var seen: Seen;
}

/** Runs a program in the page; gives what its client has seen. */
async function run({ inPage }: TestPage, program: readonly string[]): Promise<Seen> {
  const blocks = program.map((block) => block.replace(/^import .*$/gm, ""));
  const code = blocks.map((block, n) => `${block}\n;await after(${n}, typeof machine === "undefined" ? undefined : machine);`).join("\n");
  return inPage(async (code) => {
    const { OlmMachine, DecryptionError, sentenceOf, initAsync } = kit.ks;
    const note = (name: string) => (...what: unknown[]) => void seen.push([name, ...what]);
    globalThis.seen = [];
    const all: Record<string, unknown> = {
      OlmMachine, DecryptionError, sentenceOf, after, initAsync: ({ wasmURL }: { wasmURL: string }) => initAsync({ wasmURL: `/dist${wasmURL}` }),
      console: { info: note("info"), warn: note("warn"), error: note("error") },
    };
    for (const name of ["saveSyncToken", "show", "showWithheld", "redraw", "showProgress", "offerFile", "handle", "startOver", "rememberGeneration"]) all[name] = note(name);
    Object.setPrototypeOf(around, all);
    // The blocks of one program see each other's names, and the client's as they are then.
    await (new Function("around", `with (around) { return (async () => { ${code} })(); }`) as (around: object) => Promise<void>)(around);
    return JSON.parse(JSON.stringify(seen)) as Seen;
  }, code);
}

/** The stories: what stands around each program, by document and place, and what must come of it. */
const stories: Record<string, ((program: readonly string[]) => Promise<void>)[]> = {
  // By machine-readme.test.ts, in a bundle with the SDK.
  "README.md": [(program) => Promise.resolve(assert.equal(program.length, 1))],

  "web/docs/guide-matrix-js-sdk.md": [
    (program) => Promise.resolve(assert.deepEqual(program, programsOf("README.md")[0], "the README's, which runs")),
    async (program) => {
      const keys = JSON.stringify([new Outbound(room).exported(alice)]);
      await withKit(chrome, async (page) => {
        await page.inPage(({ own, keys }) => {
          const { userId, deviceId, identityKeys } = own;
          let total = -1;
          globalThis.around = { userId, deviceId, ownKeys: () => Promise.resolve(identityKeys), exportRoomKeysAsJson: () => Promise.resolve(keys) };
          globalThis.after = () => Promise.resolve(void total);
        }, { own: me.own, keys });
        await run(page, program);
        const total = await page.inPage(async (own) => {
          const again = await kit.ks.OlmMachine.open({ ...own, store: { name: "archive" } });
          const { total } = await again.roomKeyCounts();
          await again.close();
          return total;
        }, me.own);
        assert.equal(total, 1);
      });
    },
  ],

  "web/docs/guide-own-olm.md": [
    async (program) => {
      const outbound = new Outbound(room);
      const item = outbound.item(alice, me);
      await withKit(chrome, async (page) => {
        await page.inPage(async ({ own, roomKeys, roomEvent, people, master }) => {
          const { Homeserver } = (await import("/build/test/homeserver.js" as string)) as typeof import("./homeserver.js");
          const server = new Homeserver().know(people);
          globalThis.around = {
            session: own, roomKeys, sync: { device_lists: { changed: ["@alice:test"] } }, roomEvent, roomId: "!room:test", masterKeyTheUserVerified: master,
            post: (path: string, body: string) => (seen.push(["post", path]), Promise.resolve(server.answer(body))),
          };
          globalThis.after = () => Promise.resolve();
        }, { own: me.own, roomKeys: [item, { ...item, senderKey: "" }], roomEvent: outbound.event(alice.userId, "$1", "hello"), people: keysQueryAnswer([me, alice]), master: me.identity?.master.public ?? "" });
        const seen = await run(page, program);
        assert.deepEqual(seen, [["warn", "bad_sender_key"], ["post", "/_matrix/client/v3/keys/query"], ["show", "SenderUnverified", "None"]]);
      });
    },
    async (program) => {
      await Olm.init();
      const phone = new LibolmDevice("@alice:test", "PHONE");
      const session = new Outbound(room);
      await withKit(chrome, async (page) => {
        await page.page.exposeFunction("aliceSends", (keys: { ed25519: string; curve25519: string }, oneTimeKey: string) => {
          phone.begin(keys.curve25519, oneTimeKey);
          const mine = knownAs("@me:test", "MINE", keys);
          const dummy = { type: "org.example", content: { hello: true }, sender: "@alice:test", recipient: "@me:test", recipient_keys: { ed25519: keys.ed25519 }, keys: { ed25519: phone.person.ed25519.public }, sender_device_keys: phone.person.deviceKeys() };
          return [phone.event(keys.curve25519, session.payload(phone.person, mine)), phone.event(keys.curve25519, dummy as never)];
        });
        await page.inPage(async ({ people, roomEvent, claimable, masterKey }) => {
          const { SyncingHomeserver } = (await import("/build/test/syncinghomeserver.js" as string)) as typeof import("./syncinghomeserver.js");
          const { until } = (await import("/build/test/homeserver.js" as string)) as typeof import("./homeserver.js");
          const server = new SyncingHomeserver();
          server.people.know(people);
          server.claimable["@alice:test"] = { PHONE: [claimable as never] };
          const ask = async (method: string, path: string, body: string): Promise<string> => (await server.fetch(`https://homeserver.test${path}`, { method, body })).text();
          globalThis.around = {
            session: { userId: "@me:test", deviceId: "MINE" }, roomEvent, roomId: "!room:test", isNewUser: true, hadSyncToken: true, members: ["@alice:test", "@me:test"], historyVisibility: "shared",
            encryption: { algorithm: "m.megolm.v1.aes-sha2", rotation_period_ms: 604_800_000 }, masterKeyAliceReadOut: masterKey,
            authenticatedFetch: ({ method, path, body }: { method: string; path: string; body: string }) => ask(method, path, body),
            post: (path: string, body: string) => ask("POST", path, body),
            put: async (path: string, body: string) => void seen.push(["put", path.replace(/[^/]*$/, ""), Object.keys(JSON.parse(body) as object).sort(), await ask("PUT", path, body)]),
            sendWithPassword: async ({ type, method, path, body }: { type: string; method: string; path: string; body: string }) => {
              seen.push(["sent", type]);
              return ask(method, path, type === "signing_keys_upload" ? JSON.stringify({ ...(JSON.parse(body) as object), auth: { type: "m.login.password" } }) : body);
            },
          };
          globalThis.after = async (block, machine) => {
            if (block === 0) {
              await machine.updateTrackedUsers(["@alice:test"]); // a member of an encrypted room
              await until("Alice is known", () => machine.getIdentity("@alice:test") !== null);
              const aliceSends = (globalThis as unknown as { aliceSends(keys: object, oneTimeKey: string): Promise<string[]> }).aliceSends;
              const events = await aliceSends(machine.identityKeys, (await server.oneTimeKeys())[0] ?? "");
              around["sync"] = { to_device: { events }, device_one_time_keys_count: { signed_curve25519: 50 }, device_unused_fallback_key_types: ["signed_curve25519"], device_lists: { changed: ["@alice:test"] } };
            }
            if (block === 4) await machine.updateTrackedUsers(["@me:test"]); // the next sync would say that our keys have changed
            if (block === 5) seen.push(["signatures", server.askedFor("/signatures/upload").slice(1).map(({ body }) => Object.keys(body)).flat()]);
            if (block === 4) await until("our identity is trusted", () => machine.getIdentity("@me:test")?.verification === "Verified");
          };
        }, { people: keysQueryAnswer([phone.person]), roomEvent: session.event("@alice:test", "$1", "hello"), claimable: phone.signedKey(false), masterKey: phone.person.identity?.master.public ?? "" });
        const seen = await run(page, program);
        const names = seen.map(([name]) => name);
        const of = (name: string): unknown[][] => seen.filter(([first]) => first === name).map(([, ...rest]) => rest);
        assert.ok(names.includes("saveSyncToken"));
        assert.equal((of("handle")[0]?.[0] as { type?: string }).type, "org.example");
        assert.deepEqual([(of("show")[0]?.[0] as { content?: { body?: string } }).content?.body, of("show")[0]?.[1]], ["hello", "None"]);
        assert.deepEqual(of("show")[1], [false, "None"], "withheld under the strictest policy, which is in force now");
        assert.ok(of("info").flat().includes("You have not verified the owner."));
        assert.deepEqual(of("sent").flat(), ["signing_keys_upload", "signature_upload"]);
        assert.deepEqual(of("signatures"), [[["@alice:test"]]], "what was compared with Alice is signed");
        const [[path, members, answer] = []] = of("put");
        assert.deepEqual([path, members, answer], ["/_matrix/client/v3/rooms/!room%3Atest/send/m.room.encrypted/", ["algorithm", "ciphertext", "device_id", "sender_key", "session_id"], '{"event_id":"$sent1"}']);
        assert.ok(names.includes("startOver"));
        assert.deepEqual(of("showWithheld"), []);
      });
      phone.free();
    },
  ],

  "web/docs/guide-archive.md": [
    async (program) => {
      const [inFile, inBackup] = [new Outbound("!file:test"), new Outbound("!backup:test")];
      const vault = new BackupVault();
      await withKit(chrome, async (page) => {
        await page.inPage(({ own, given, answer }) => {
          globalThis.around = {
            ...own, ...given, storePassphrase: "of the store", newPassphrase: "another", signal: new AbortController().signal,
            get: (path: string) => (seen.push(["get", path]), Promise.resolve(answer)),
            put: (path: string, body: string) => Promise.resolve(void seen.push(["put", path, body])),
          };
          globalThis.after = async (block, machine) => void (block === 2 && seen.push(["counts", await machine.roomKeyCounts()]));
        }, {
          own: me.own, answer: JSON.stringify(vault.answer([inBackup.exported(me)])),
          given: {
            keyFile: armoured(sealedKeys(JSON.stringify([inFile.exported(alice), {}]), "a passphrase")), passphrase: "a passphrase", recoveryKey: vault.recoveryKey,
            backup: { version: "7", auth_data: { public_key: vault.public } }, roomEvent: inFile.event(alice.userId, "$1", "hello", { roomId: "!file:test" }) as Json, roomId: "!file:test",
          },
        });
        const seen = await run(page, program);
        const of = (name: string): unknown[][] => seen.filter(([first]) => first === name).map(([, ...rest]) => rest);
        assert.deepEqual(of("warn"), [["1 room keys are new; the one at 1 cannot be used: missing_member"]]);
        assert.deepEqual(of("showProgress").at(-1), [{ stage: "load_keys", successes: 1, failures: 1, total: 2 }]);
        assert.equal((JSON.parse(openedKeys(String(of("offerFile")[0]?.[0]), "a passphrase").content) as unknown[]).length, 1);
        const path = "/_matrix/client/v3/room_keys/keys?version=7";
        assert.deepEqual([of("get"), of("put").map(([path]) => path)], [[[path]], [path]]);
        assert.ok(String(of("put")[0]?.[1]).includes("!file:test") && !String(of("put")[0]?.[1]).includes("!backup:test"), "what came from the backup is there");
        assert.deepEqual(of("counts"), [[{ total: 2, backedUp: 2 }]]);
        assert.equal(of("show")[0]?.[1], "Grey");
        assert.deepEqual(of("info"), [["It came from a file or a backup, and claims to be from a device that nobody known lists."], ["room_key_from_sender"]]);
        const reopened = await page.inPage(async (own) => {
          const open = (passphrase: string) => kit.failure(async () => (await kit.ks.OlmMachine.open({ ...own, store: { name: "archive", encryption: { passphrase } } })).close());
          return [(await open("of the store")).code, (await open("another")).code];
        }, me.own);
        assert.deepEqual(reopened, ["wrong_store_key", ""]);
      });
    },
  ],

  "web/docs/troubleshooting.md": [
    async (program) => {
      await withKit(chrome, async (page) => {
        await page.inPage(() => {
          globalThis.around = {};
          globalThis.after = () => Promise.resolve();
        }, undefined);
        assert.deepEqual(await run(page, program), []);
      });
    },
    async (program) => {
      await withKit(chrome, async (page) => {
        await page.inPage(async (own) => {
          const options = { ...own, store: { name: "troubled" } };
          const machine = await kit.ks.OlmMachine.open(options);
          globalThis.around = { options, machine, hadSyncToken: true, generationLastTime: null };
          globalThis.after = async (block, now) => {
            if (block !== 0) return;
            await machine.close();
            while (around["machine"] === now) await new Promise((resolve) => setTimeout(resolve, 10));
            const database = await new Promise<IDBDatabase>((resolve) => { const request = indexedDB.open("troubled"); request.onsuccess = () => resolve(request.result); });
            database.transaction("quarantine", "readwrite").objectStore("quarantine").add({ k: ["users", "x"], r: 1, v: new Uint8Array(0) });
            database.close();
          };
        }, me.own);
        const seen = await run(page, program);
        assert.match(String(seen[0]?.[1]), /^The knownsender program has ended: /);
        assert.deepEqual(seen.slice(1, 2), [["warn", "users", null, 1, "1970-01-01T00:00:00.000Z"]]);
        assert.match(String(seen[2]?.[1]), /^[0-9a-f]{32}$/);
        assert.deepEqual([seen[2]?.[0], seen.length], ["rememberGeneration", 3], "it was made before, and not by this opening");
      });
    },
    async (program) => {
      const outbound = new Outbound(room);
      const event = outbound.event(alice.userId, "$1", "x");
      await withKit(chrome, async (page) => {
        await page.inPage(async ({ own, item, sessionId }) => {
          const machine = await kit.ks.OlmMachine.open({ ...own, store: { memory: true } });
          await machine.receiveRoomKeys([item]).stored;
          globalThis.around = { machine, roomId: "!room:test", sessionId };
          globalThis.after = () => machine.close();
        }, { own: me.own, item: outbound.item(alice, me, { embed: false }), sessionId: (event["content"] as { session_id: string }).session_id });
        const seen = await run(page, program);
        assert.deepEqual(seen.map((line) => line[1]), ["A", "B", "C", "device_keys", "The owner of the sending device has not signed it."]);
      });
    },
  ],
};

describe("the examples", () => {
  test("type-check under the strictest settings", () => {
    // Inside the project, so that the package's own name resolves to it.
    const folder = mkdtempSync(join(top, "web/build/docs-"));
    try {
      const settings = { extends: "../../tsconfig.json", compilerOptions: { noEmit: true, rootDir: "../../..", noUnusedLocals: false }, include: ["*.ts"] };
      writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(settings));
      writeFileSync(join(folder, "client.d.ts"), client);
      for (const file of files) {
        programsOf(file).forEach((program, n) => writeFileSync(join(folder, `${file.replaceAll(/\W/g, "_")}_${n}.ts`), `${program.join("\n")}\nexport {};\n`));
      }
      const { status, stdout } = spawnSync(join(top, "node_modules/.bin/tsc"), ["-p", folder], { encoding: "utf8" });
      assert.equal(status, 0, stdout);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  for (const file of files) {
    const programs = programsOf(file);
    test(`each has a story: ${file}`, () => assert.equal(stories[file]?.length ?? 0, programs.length));
    programs.forEach((program, n) => test(`${file}, program ${n + 1} runs`, () => stories[file]?.[n]?.(program)));
  }
});

describe("what the documentation names", () => {
  const plain = (text: string): string => text.replaceAll(/^```ts\n[\s\S]*?^```$/gm, "");

  test("commands are there: targets of make, scripts of npm, files that are copied", () => {
    const makefile = read("Makefile");
    let named = 0;
    for (const file of files) {
      for (const [, target = ""] of plain(read(file)).matchAll(/(?:`|^)make ([a-z][a-z-]*)/gm)) {
        assert.match(makefile, new RegExp(`^${target}:`, "m"), `${file}: make ${target}`);
        named++;
      }
      for (const [, block = ""] of read(file).matchAll(/^```sh\n([\s\S]*?)^```$/gm)) {
        for (const command of block.split("\n").flatMap((line) => line.replace(/#.*$/, "").split("&&")).map((part) => part.trim()).filter((part) => part !== "")) {
          const [name = "", ...rest] = command.split(/\s+/);
          named++;
          if (name === "make") assert.ok(rest.length === 0 || new RegExp(`^${rest[0]}:`, "m").test(makefile), command);
          else if (name === "npm") assert.match(command, /^npm (pack|install \.\.\/knownsender\/knownsender-\d+\.\d+\.\d+\.tgz)$/);
          else if (name === "cp") assert.ok(existsSync(join(top, (rest[0] ?? "").replace("node_modules/knownsender/", ""))), command);
          else assert.equal(command, "cd ../your-client");
        }
      }
    }
    assert.ok(named > 12);
    const { version } = JSON.parse(read("package.json")) as { version: string };
    assert.match(read("README.md"), new RegExp(`knownsender-${version.replaceAll(".", "\\.")}\\.tgz`));
  });

  test("links lead somewhere: to files, and to headings in them", () => {
    const slug = (heading: string): string => heading.toLowerCase().replaceAll(/[^\w\- ]/g, "").replaceAll(" ", "-");
    for (const file of files) {
      for (const [, link = ""] of read(file).matchAll(/\]\(([^)]+)\)/g)) {
        if (link.startsWith("https://")) continue;
        const [path = "", anchor] = link.split("#");
        const target = path === "" ? file : normalize(join(dirname(file), path));
        assert.ok(existsSync(join(top, target)) && !relative(top, join(top, target)).startsWith(".."), `${file}: ${link}`);
        if (anchor === undefined) continue;
        const headings = [...read(target).matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) => slug(heading));
        assert.ok(headings.includes(anchor), `${file}: ${link}`);
      }
    }
    for (const file of files.slice(1)) assert.ok(read("README.md").includes(`](${file})`), `the README leads to ${file}`);
  });

  test("codes in the troubleshooting are codes of the package", () => {
    const sources: string[] = [];
    for (const [folder, ending] of [["web/src", ".ts"], ["core", ".go"], ["jsbridge", ".go"], ["idbstore", ".go"], ["wasm", ".go"]] as const) {
      for (const name of readdirSync(join(top, folder), { recursive: true, encoding: "utf8" })) if (name.endsWith(ending) && !name.endsWith("_test.go")) sources.push(read(join(folder, name)));
    }
    const all = sources.join("\n");
    const text = plain(read("web/docs/troubleshooting.md"));
    const codes = new Set([...text.matchAll(/`([a-z]+(?:_[a-z]+)+)`/g)].map(([, code = ""]) => code));
    assert.ok(codes.size > 30, String(codes.size));
    for (const code of codes) assert.ok(all.includes(`"${code}"`) || (code.startsWith("persistence_") && all.includes("`persistence_${")), code);
    // And every complaint of the table has its chapter.
    assert.equal([...text.matchAll(/^\|.*\[\d+\]\(#/gm)].length, [...text.matchAll(/^## \d+\. /gm)].length);
  });

  test("the drawing of the finder has the steps of the code", () => {
    const letters = (text: string): string => [...new Set([...text.matchAll(/^\/{0,2}\s+([A-J]) {2}\S|-> {1,2}([A-J]) {2}/gm)].map(([, first, second]) => first ?? second))].sort().join("");
    assert.equal(letters(read("web/docs/architecture.md")), letters(read("core/sender/finder.go")));
    assert.equal(letters(read("web/docs/architecture.md")), "ABCDEFGHJ");
  });
});

test("make docs makes the reference without a warning", { timeout: 300_000 }, () => {
  const { status, stdout, stderr } = spawnSync("make", ["docs"], { cwd: top, encoding: "utf8" });
  assert.equal(status, 0, stdout + stderr);
  assert.doesNotMatch(stdout + stderr, /warning/i);
  const page = read("web/build/reference/classes/index.OlmMachine.html");
  for (const method of ["receiveRoomKeys", "diagnose", "explain"]) assert.ok(page.includes(`id="${method.toLowerCase()}"`), method);
});
