// A real homeserver for tests: dendrite, as `make test-homeserver` built it, on a free port of 127.0.0.1, in a temporary directory of its own. It
// can be stopped and started again over the same data. It ends with the process that started it, however that ends.

import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { createHmac, randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { top } from "../server.js";

const built = join(top, "web/build/homeserver");
const config = join(top, "web/test/homeserver/dendrite.yaml");
const sharedSecret = "e2e-secret"; // as in dendrite.yaml

/** One device of an account, logged in. */
export interface Login {
  readonly baseUrl: string;
  readonly userId: string;
  readonly deviceId: string;
  readonly accessToken: string;
  readonly password: string;
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

export class Dendrite {
  readonly #directory = mkdtempSync(join(tmpdir(), "knownsender-dendrite-"));
  readonly #port: number;
  #process: ChildProcess | undefined;
  #ended: Promise<unknown> = Promise.resolve();
  readonly #atExit = (): void => {
    this.#process?.kill("SIGKILL");
    rmSync(this.#directory, { recursive: true, force: true });
  };

  private constructor(port: number) {
    this.#port = port;
    process.once("exit", this.#atExit);
  }

  /** Starts a fresh homeserver and waits until it answers. */
  static async start(): Promise<Dendrite> {
    if (!existsSync(join(built, "dendrite"))) throw new Error(`There is no ${join(built, "dendrite")}: run make test-homeserver.`);
    const server = new Dendrite(await freePort());
    const key = join(server.#directory, "matrix_key.pem");
    const { status, stderr } = spawnSync(join(built, "generate-keys"), ["--private-key", key], { encoding: "utf8" });
    if (status !== 0) throw new Error(`generate-keys: ${stderr}`);
    writeFileSync(join(server.#directory, "dendrite.yaml"), readFileSync(config, "utf8").replaceAll("@DIR@", server.#directory));
    try {
      await server.startAgain();
    } catch (thrown) {
      await server.end();
      throw thrown;
    }
    return server;
  }

  get baseUrl(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** What it has printed. */
  get printed(): string {
    const log = join(this.#directory, "dendrite.log");
    return existsSync(log) ? readFileSync(log, "utf8") : "";
  }

  /** Starts it over the data there is, at the address it had. */
  async startAgain(): Promise<void> {
    const log = openSync(join(this.#directory, "dendrite.log"), "a");
    // setpriv: the kernel ends it when this process is gone, even where no handler could run.
    const args = ["--pdeathsig", "KILL", join(built, "dendrite"), "--config", join(this.#directory, "dendrite.yaml"), "--http-bind-address", `127.0.0.1:${this.#port}`];
    const child = spawn("setpriv", args, { cwd: this.#directory, stdio: ["ignore", log, log] });
    this.#process = child;
    let gone: string | undefined;
    this.#ended = new Promise((resolve) => {
      child.once("error", (error) => resolve((gone = String(error))));
      child.once("exit", (code, signal) => resolve((gone = `exit ${code ?? signal}`)));
    });
    for (const end = Date.now() + 30_000; ; await pause(50)) {
      if (gone !== undefined) throw new Error(`dendrite did not start: ${gone}\n${this.printed.slice(-2000)}`);
      try {
        if ((await fetch(`${this.baseUrl}/_matrix/client/versions`)).ok) return;
      } catch {
        // not yet
      }
      if (Date.now() > end) throw new Error(`dendrite does not answer\n${this.printed.slice(-2000)}`);
    }
  }

  /** Stops it; the data stays. */
  async stop(): Promise<void> {
    const child = this.#process;
    if (child === undefined) return;
    child.kill("SIGTERM");
    const late = setTimeout(() => child.kill("SIGKILL"), 5000);
    await this.#ended;
    clearTimeout(late);
    this.#process = undefined;
  }

  /** Stops it and removes everything. */
  async end(): Promise<void> {
    await this.stop();
    process.off("exit", this.#atExit);
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async #ask(method: "GET" | "POST", path: string, body?: object): Promise<Record<string, string>> {
    const answer = await fetch(this.baseUrl + path, { method, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return (await answer.json()) as Record<string, string>;
  }

  /** Registers a user through the admin API and logs in one device. */
  async register(name: string, deviceId: string): Promise<Login> {
    const path = "/_synapse/admin/v1/register";
    const { nonce = "" } = await this.#ask("GET", path);
    const password = randomBytes(12).toString("base64url");
    const mac = createHmac("sha1", sharedSecret).update([nonce, name, password, "notadmin"].join("\0")).digest("hex");
    const { user_id: userId = "" } = await this.#ask("POST", path, { nonce, username: name, password, admin: false, mac });
    return this.login(userId, password, deviceId);
  }

  /** Logs in a device of a user. */
  async login(userId: string, password: string, deviceId: string): Promise<Login> {
    const { access_token: accessToken = "" } = await this.#ask("POST", "/_matrix/client/v3/login", {
      type: "m.login.password", identifier: { type: "m.id.user", user: userId }, password, device_id: deviceId,
    });
    return { baseUrl: this.baseUrl, userId, deviceId, accessToken, password };
  }
}
