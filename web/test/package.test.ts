// The package as it is published: packed, installed in a blank project, and loaded there by Node, by a page without a bundler, and by one
// with esbuild.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join, relative } from "node:path";
import { after, before, describe, test } from "node:test";
import { build } from "esbuild";
import { top, useChrome } from "./harness.js";
import { Person } from "./people.js";

const chrome = useChrome();
const { identityKeys: own } = new Person("@me:test", "MINE").own;

let project = "";
let tarball = "";
let installed = "";

function run(command: string, args: string[], cwd: string): string {
  return execFileSync(command, args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

before(() => {
  project = mkdtempSync(join(tmpdir(), "knownsender-package-"));
  const [{ filename } = { filename: "" }] = JSON.parse(run("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", project], top)) as { filename: string }[];
  tarball = join(project, filename);
  writeFileSync(join(project, "package.json"), JSON.stringify({ name: "blank", private: true, type: "module" }));
  run("npm", ["install", "--offline", "--no-audit", "--no-fund", "--ignore-scripts", tarball], project);
  installed = join(project, "node_modules/knownsender");
});

after(() => rmSync(project, { recursive: true, force: true }));

function files(): string[] {
  return readdirSync(installed, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(installed, join(entry.parentPath, entry.name)))
    .sort();
}

const strictest = ["--noEmit", "--strict", "--exactOptionalPropertyTypes", "--noUncheckedIndexedAccess", "--target", "es2022", "--module", "nodenext", "--types", ""];

/** The page's part: loads the package and asks the program something only a running one can answer. */
const story = `
  const engine = await ks.Engine.start(await ks.wasmModule());
  try {
    engine.syncCall("no such method", []);
  } catch (error) {
    document.title = error instanceof ks.KnownSenderError ? error.code : String(error);
  } finally {
    engine.stop();
  }
`;

describe("the tarball", () => {
  test("holds what a client needs and nothing else", () => {
    const names = files();
    for (const name of ["LICENSE", "package.json", "web/dist/index.js", "web/dist/index.d.ts", "web/dist/compat/js-sdk/index.js", "web/dist/compat/js-sdk/index.d.ts", "web/dist/wasm_exec.js", "web/dist/knownsender.wasm", "web/dist/knownsender-olm.wasm", "web/dist/THIRD_PARTY_NOTICES.txt"]) {
      assert.ok(names.includes(name), `${name} is missing`);
    }
    type Target = string | { readonly [condition: string]: Target };
    const targets = (target: Target): string[] => (typeof target === "string" ? [target] : Object.values(target).flatMap(targets));
    const { exports, dependencies } = JSON.parse(readFileSync(join(installed, "package.json"), "utf8")) as { exports: Target; dependencies?: object };
    for (const target of targets(exports)) assert.ok(names.includes(target.replace("./", "")), `${target} is exported and missing`);
    const others = names.filter((name) => !/^(LICENSE|README\.md|CHANGELOG\.md|package\.json|web\/dist\/.+\.(js|js\.map|d\.ts|d\.ts\.map|wasm)|web\/src\/.+\.ts|web\/dist\/THIRD_PARTY_NOTICES\.txt)$/.test(name));
    assert.deepEqual(others, []);
    assert.equal(dependencies, undefined);
    // Every map names sources that are in the package: debuggers show them, and editors go to them.
    for (const name of names.filter((name) => name.endsWith(".map"))) {
      const { sources } = JSON.parse(readFileSync(join(installed, name), "utf8")) as { sources: string[] };
      for (const source of sources) assert.ok(names.includes(join(name, "..", source)), `${name}: ${source} is missing`);
    }
    assert.ok(!readdirSync(join(project, "node_modules")).includes("matrix-js-sdk"), "a peer that only one entry needs is not installed unasked");
  });

  test("has nothing that publint or are-the-types-wrong objects to", () => {
    const tools = join(top, "node_modules/.bin");
    assert.match(run(join(tools, "publint"), ["run", tarball, "--strict"], project), /All good/);
    run(join(tools, "attw"), [tarball, "--profile", "esm-only", "--exclude-entrypoints", "knownsender.wasm", "knownsender-olm.wasm"], project);
  });

  test("tells nothing of the machine it was built on", () => {
    const private_ = [homedir(), top.replace(/\/$/, ""), run("go", ["env", "GOROOT"], top).trim(), run("go", ["env", "GOMODCACHE"], top).trim()];
    for (const name of files()) {
      const bytes = readFileSync(join(installed, name));
      for (const path of private_) assert.ok(!bytes.includes(`${path}/`), `${name} names ${path}`);
    }
  });

  test("has the same wasm when it is built in another place", () => {
    const copy = join(project, "copy");
    for (const name of ["go.mod", "go.sum", "core", "jsbridge", "idbstore", "wasm"]) {
      cpSync(join(top, name), join(copy, name), { recursive: true, filter: (path) => !path.includes("testdata") });
    }
    const digest = (folder: string): string => {
      const out = join(project, "again.wasm");
      const overlay = join(project, "overlay.json");
      execFileSync("node", ["web/packaging/overlay.mjs", overlay], { cwd: top });
      execFileSync("go", ["build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", `-modfile=${join(project, "wasm.mod")}`, "-overlay", overlay, "-o", out, "./wasm"], { cwd: folder, env: { ...process.env, GOOS: "js", GOARCH: "wasm" } });
      return createHash("sha256").update(readFileSync(out)).digest("hex");
    };
    assert.equal(digest(copy), digest(top));
  });

  test("is typed under the strictest settings", () => {
    writeFileSync(join(project, "typed.ts"), `
      import { initAsync, Engine, KnownSenderError, type InitOptions } from "knownsender";
      const options: InitOptions = { wasmURL: "knownsender.wasm" };
      export async function start(module: WebAssembly.Module): Promise<string> {
        await initAsync(options);
        try {
          return (await Engine.start(module)).syncText("x", ["text", new Uint8Array(1)]);
        } catch (error) {
          return error instanceof KnownSenderError ? error.code : "";
        }
      }
      // @ts-expect-error a number is no argument
      (null as unknown as Engine).syncCall("x", [1]);
    `);
    run(join(top, "node_modules/.bin/tsc"), [...strictest, "typed.ts"], project);
  });

  test("is typed for clients of matrix-js-sdk", () => {
    symlinkSync(join(top, "node_modules/matrix-js-sdk"), join(project, "node_modules/matrix-js-sdk"));
    try {
      writeFileSync(join(project, "compat.ts"), `
        import { createClient, type MatrixEvent } from "matrix-js-sdk";
        import { EventShieldColour } from "matrix-js-sdk/lib/crypto-api/index.js";
        import { initKnownSenderCrypto, type KnownSenderCryptoOptions } from "knownsender/compat/js-sdk";
        const options: KnownSenderCryptoOptions = { store: { name: "knownsender" }, trustRequirement: "CrossSigned" };
        export async function red(event: MatrixEvent): Promise<boolean> {
          await using crypto = await initKnownSenderCrypto(createClient({ baseUrl: "" }), options);
          return (await crypto.getEncryptionInfoForEvent(event))?.shieldColour === EventShieldColour.RED;
        }
        // @ts-expect-error who it is, the client says
        export const more: KnownSenderCryptoOptions = { store: { memory: true }, userId: "@me:test" };
      `);
      // Its own declarations name a file that it does not ship.
      run(join(top, "node_modules/.bin/tsc"), [...strictest, "--skipLibCheck", "--lib", "es2022,dom,dom.iterable,esnext.disposable", "compat.ts"], project);
    } finally {
      rmSync(join(project, "node_modules/matrix-js-sdk"));
    }
  });
});

describe("loaded", () => {
  test("by Node", () => {
    writeFileSync(join(project, "node.mjs"), `
      import * as ks from "knownsender";
      import { existsSync } from "node:fs";
      globalThis.document = {};
      await ks.initAsync();
      ${story}
      console.log(document.title, existsSync(new URL(import.meta.resolve("knownsender/knownsender.wasm"))));
    `.replace("globalThis.document = {};", "const document = {};"));
    assert.equal(run("node", ["node.mjs"], project).trim(), "unknown_method true");
  });

  test("by Node, where importing anything does nothing, and a machine is in memory when nothing else is said", () => {
    writeFileSync(join(project, "inert.mjs"), `
      const before = Object.getOwnPropertyNames(globalThis).length;
      globalThis.fetch = () => { throw new Error("it fetches"); };
      const ks = await import("knownsender");
      await import("knownsender/worker");
      console.log(Object.getOwnPropertyNames(globalThis).length - before);
      const identityKeys = { ed25519: ${JSON.stringify(own.ed25519)}, curve25519: ${JSON.stringify(own.curve25519)} };
      const machine = await ks.OlmMachine.open({ userId: "@me:test", deviceId: "MINE", identityKeys });
      console.log((await machine.roomKeyCounts()).total);
      await machine.close();
      const codes = [];
      for (const options of [{ store: { name: "x" } }, { worker: true }]) {
        await ks.OlmMachine.open({ userId: "@me:test", deviceId: "MINE", identityKeys, ...options }).catch(({ code }) => codes.push(code));
      }
      console.log(codes.join("\\n")); // and nothing of the machines keeps the process from ending here
    `);
    assert.deepEqual(run("node", ["inert.mjs"], project).trim().split("\n"), ["0", "0", "unavailable", "worker_unsupported"]);
  });

  test("by a page without a bundler", async () => {
    writeFileSync(join(project, "page.js"), `
      import * as ks from "/app/node_modules/knownsender/web/dist/index.js";
      await ks.initAsync();
      ${story}
    `);
    chrome.server.mount("/app/", project);
    await chrome.withPage(async ({ inPage, page }) => {
      await inPage(() => import("/app/page.js" as string).then(() => undefined), undefined);
      assert.equal(await page.title(), "unknown_method");
    });
  });

  for (const minify of [false, true]) {
    test(`by a page bundled with esbuild${minify ? ", minified" : ""}`, async () => {
      const out = join(project, minify ? "min" : "out");
      mkdirSync(out);
      writeFileSync(join(project, "main.js"), `
        import * as ks from "knownsender";
        import wasmURL from "knownsender/knownsender.wasm";
        await ks.initAsync({ wasmURL: new URL(wasmURL, import.meta.url) });
        ${story}
      `);
      const { warnings } = await build({ entryPoints: [join(project, "main.js")], bundle: true, format: "esm", platform: "browser", minify, loader: { ".wasm": "file" }, outdir: out, absWorkingDir: project, logLevel: "silent" });
      assert.deepEqual(warnings, []);
      chrome.server.mount("/bundle/", out);
      await chrome.withPage(async ({ inPage, page }) => {
        await inPage(() => import("/bundle/main.js" as string).then(() => undefined), undefined);
        assert.equal(await page.title(), "unknown_method");
      });
    });
  }

  test("by esbuild without side effects: an unused import leaves nothing behind", async () => {
    const { outputFiles } = await build({ stdin: { contents: 'import { initAsync } from "knownsender"; import "knownsender"; import { initKnownSenderCrypto } from "knownsender/compat/js-sdk";', resolveDir: project }, bundle: true, format: "esm", write: false, logLevel: "silent", external: ["matrix-js-sdk", "matrix-js-sdk/*"] });
    assert.match(JSON.parse(readFileSync(join(installed, "package.json"), "utf8")).sideEffects.join(), /^\.\/web\/dist\/worker\.js$/, "the one script that does something when it is loaded");
    assert.equal(outputFiles[0]?.text.replace(/\/\/.*\n/g, "").trim(), "");
  });
});
