// make test-packaging: the package as it is published, in blank projects as people have them, each with its own bundler of a pinned version, and in
// headless Chrome put through one reception. A line for every project; ONLY=vite,node runs some of them.

import { execFile, spawn } from "node:child_process";
import { copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { chromium } from "playwright-core";
import { chromePath, flags } from "../../build/test/harness.js";
import { Outbound, Person } from "../../build/test/people.js";

const here = fileURLToPath(new URL("./", import.meta.url));
const top = join(here, "../../..");
const folder = mkdtempSync(join(tmpdir(), "knownsender-packaging-"));
const run = promisify(execFile);
const sh = (command, args, cwd) => run(command, args, { cwd, maxBuffer: 1 << 26, env: { ...process.env, NEXT_TELEMETRY_DISABLED: "1", NO_COLOR: "1" } });

const [me, alice, room] = [new Person("@me:test", "MINE"), new Person("@alice:test", "ALICE", "yes"), "!room:test"];
const outbound = new Outbound(room);
const fixture = { own: me.own, item: outbound.item(alice, me, { embed: true }), event: outbound.event(alice.userId, "$1", "hello"), room };
const verdict = "DeviceInfo, Red: hello";

const [{ filename }] = JSON.parse((await sh("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", folder], top)).stdout);

/** A blank project with the package in it. */
async function project(name) {
  const at = join(folder, name);
  cpSync(join(here, name), at, { recursive: true });
  copyFileSync(join(here, "story.js"), join(at, "story.js"));
  writeFileSync(join(at, "fixture.js"), `export default ${JSON.stringify(fixture)};\n`);
  await sh("npm", ["install", "--no-audit", "--no-fund", join(folder, filename)], at);
  return at;
}

const types = { ".html": "text/html", ".js": "text/javascript", ".wasm": "application/wasm", ".css": "text/css", ".json": "application/json" };
const page = readFileSync(join(here, "plain/index.html"), "utf8");

/** What a server does to the wasm whose address ends so. */
const faults = {
  "?type": (bytes) => [200, "text/plain", bytes],
  "?404": () => [404, "text/plain", "not here"],
  "?html": () => [200, "text/html", page],
};

/** Serves a folder, under a Content-Security-Policy where one is given. */
async function serve(at, csp) {
  const server = createServer((request, response) => {
    const { pathname, search } = new URL(request.url, "http://localhost");
    const path = normalize(join(at, pathname.endsWith("/") ? `${pathname}index.html` : pathname));
    if (!path.startsWith(at) || !existsSync(path)) return void response.writeHead(404).end();
    const [status, type, body] = (faults[search] ?? ((bytes) => [200, types[extname(path)] ?? "application/octet-stream", bytes]))(readFileSync(path));
    response.writeHead(status, { "content-type": type, ...(csp === undefined ? {} : { "content-security-policy": csp }) }).end(body);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { origin: `http://127.0.0.1:${server.address().port}`, close: () => (server.closeAllConnections(), server.close()) };
}

/** Starts a project's own server and waits until it has said where it is. */
async function start(command, args, cwd) {
  const child = spawn(command, args, { cwd, detached: true, stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, NEXT_TELEMETRY_DISABLED: "1", NO_COLOR: "1" } });
  const origin = await new Promise((resolve, reject) => {
    let said = "";
    const hear = (text) => {
      const found = /http:\/\/(?:127\.0\.0\.1|localhost):\d+/.exec((said += text));
      if (found) resolve(found[0]);
    };
    child.stdout.on("data", hear);
    child.stderr.on("data", hear);
    child.once("exit", () => reject(new Error(said)));
    setTimeout(() => reject(new Error(`it does not say where it is: ${said}`)), 60_000).unref();
  });
  return { origin, close: () => process.kill(-child.pid) };
}

const browser = await chromium.launch({ executablePath: chromePath, headless: true, args: flags });

/** What a page shows. */
async function shown(url) {
  const context = await browser.newContext();
  try {
    const tab = await context.newPage();
    await tab.goto(url);
    await tab.waitForFunction(() => document.querySelector("output")?.textContent, undefined, { timeout: 60_000 });
    return await tab.textContent("output");
  } finally {
    await context.close();
  }
}

const rows = [];
/** One line: what came, held against what was to come. */
async function line(name, what, wanted, work) {
  let got;
  try {
    got = await work();
  } catch (thrown) {
    got = `${thrown.message}\n${thrown.stdout ?? ""}${thrown.stderr ?? ""}`;
  }
  const good = typeof wanted === "string" ? got === wanted : wanted.test(got);
  rows.push(good);
  console.log(`${good ? "ok  " : "FAIL"} ${name.padEnd(8)} ${what.padEnd(44)} ${good ? got.slice(0, 110) : got}`);
}

/** Lines for pages of one server, which is ended behind them. */
async function pages(name, starting, wanted) {
  let server;
  try {
    server = await starting;
  } catch (thrown) {
    return line(name, "starts", verdict, () => Promise.reject(thrown));
  }
  for (const [what, path, outcome = verdict] of wanted) await line(name, what, outcome, () => shown(server.origin + path));
  server.close();
}

const self = "default-src 'none'; connect-src 'self'; script-src 'self'";
const projects = {
  async node(at) {
    await line("node", "the wasm from its file, keys in memory", verdict, async () => (await sh("node", ["main.js"], at)).stdout.trim());
  },
  async plain(at) {
    const wasm = "/?wasm=" + encodeURIComponent("/node_modules/knownsender/web/dist/knownsender.wasm");
    await pages("plain", serve(at), [
      ["<script type=module>", "/"], ["in a worker", "/?worker"], ["the wasm with a wrong MIME type", `${wasm}%3Ftype`],
      ["the wasm is 404", `${wasm}%3F404`, /^wasm_http_status: .*answered 404.*initAsync\(\{ wasmURL \}\)/], ["a page in place of the wasm", `${wasm}%3Fhtml`, /^wasm_is_html: An HTML page came from .*wasmURL/],
    ]);
    await pages("plain", serve(at, `${self} 'wasm-unsafe-eval'`), [["script-src 'self' 'wasm-unsafe-eval'", "/"], ["the same, in a worker", "/?worker"]]);
    await pages("plain", serve(at, self), [["script-src 'self'", "/", /^wasm_blocked_by_csp: .*'wasm-unsafe-eval'/]]);
  },
  async esbuild(at) {
    await sh("npx", ["esbuild", "main.js", "worker=knownsender/worker", "--bundle", "--format=esm", "--minify", "--loader:.wasm=file", "--outdir=out"], at);
    copyFileSync(join(here, "plain/index.html"), join(at, "out/index.html"));
    await pages("esbuild", serve(join(at, "out")), [["a bundle", "/"], ["its worker, a second entry", "/?worker"]]);
  },
  async webpack(at) {
    await sh("npx", ["webpack"], at);
    copyFileSync(join(here, "plain/index.html"), join(at, "out/index.html"));
    await pages("webpack", serve(join(at, "out")), [["a bundle, nothing told of the wasm", "/"], ["worker: true", "/?worker"]]);
  },
  async vite(at) {
    await sh("npx", ["vite", "build"], at);
    await pages("vite", serve(join(at, "dist")), [["build", "/"], ["build, its worker", "/?worker"]]);
    await pages("vite", start("npx", ["vite"], at), [["dev server", "/"], ["dev server, its worker", "/?worker"]]);
  },
  async next(at) {
    mkdirSync(join(at, "public"));
    copyFileSync(join(at, "node_modules/knownsender/web/dist/knownsender.wasm"), join(at, "public/knownsender.wasm"));
    await sh("npx", ["next", "build"], at);
    await pages("next", start("npx", ["next", "start", "-H", "127.0.0.1", "-p", "0"], at), [["imported by server and client", "/"]]);
  },
};

const only = process.env.ONLY?.split(",");
try {
  for (const [name, test] of Object.entries(projects)) {
    if (only !== undefined && !only.includes(name)) continue;
    await project(name).then(test).catch((thrown) => line(name, "is built", verdict, () => Promise.reject(thrown)));
  }
} finally {
  await browser.close();
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}
console.log(`make test-packaging: ${rows.filter(Boolean).length} of ${rows.length} as they are to be`);
process.exit(rows.length > 0 && rows.every(Boolean) ? 0 : 1);
