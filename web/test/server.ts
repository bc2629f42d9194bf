// A server on 127.0.0.1 for the pages of the tests. It serves what was built, and can do everything to the wasm that servers do:
//
//   /dist/..., /build/...      what was built
//   /page?csp=POLICY           an empty page, under a Content-Security-Policy when one is given
//   /bad/MODE/knownsender.wasm the wasm as a misconfigured server gives it

import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

/** The top of the project, from web/build/test. */
export const top = fileURLToPath(new URL("../../../", import.meta.url));
export const wasmPath = join(top, "web/dist/knownsender.wasm");

const types: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".json": "application/json",
  ".map": "application/json",
  ".wasm": "application/wasm",
};

export interface TestServer {
  readonly origin: string;
  /** Paths asked for, in order. */
  readonly requests: string[];
  /** Serves a folder of its own under a path, to be cached as is said. */
  mount(prefix: string, folder: string, caching?: string): void;
  close(): Promise<void>;
}

export async function serve(): Promise<TestServer> {
  const requests: string[] = [];
  const mounts = new Map([
    ["/dist/", { folder: join(top, "web/dist/"), caching: "no-store" }],
    ["/build/", { folder: join(top, "web/build/"), caching: "no-store" }],
  ]);
  const flaky = new Set<string>();

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", "http://127.0.0.1");
    requests.push(url.pathname);
    if (url.pathname === "/page") {
      const policy = url.searchParams.get("csp");
      response.writeHead(200, { "content-type": types[".html"], ...(policy === null ? {} : { "content-security-policy": policy }) });
      response.end('<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><title>page</title>');
      return;
    }
    const bad = /^\/bad\/([\w-]+)\/knownsender\.wasm$/.exec(url.pathname)?.[1];
    if (bad !== undefined) return badly(bad, url, request, response);
    for (const [prefix, { folder, caching }] of mounts) {
      if (!url.pathname.startsWith(prefix)) continue;
      const path = normalize(join(folder, decodeURIComponent(url.pathname.slice(prefix.length))));
      if (!path.startsWith(folder)) break;
      try {
        const bytes = await readFile(path);
        response.writeHead(200, { "content-type": types[extname(path)] ?? "application/octet-stream", "cache-control": caching });
        response.end(bytes);
        return;
      } catch {
        break;
      }
    }
    response.writeHead(404, { "content-type": "text/plain" });
    response.end("not here");
  }

  async function badly(mode: string, url: URL, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const wasm = await readFile(wasmPath);
    const send = (status: number, type: string, body: Uint8Array | string): void => {
      response.writeHead(status, type === "" ? {} : { "content-type": type });
      response.end(body);
    };
    const page = "\ufeff\n<!doctype html><title>the application</title>";
    switch (mode) {
      case "octet-stream": return send(200, "application/octet-stream", wasm);
      case "no-type": return send(200, "", wasm);
      case "bagel": return send(200, "application/bagel", wasm);
      case "missing": return send(404, "text/html", page);
      case "server-error": return send(503, "text/plain", "later");
      case "html": return send(200, "text/html", page);
      case "html-as-wasm": return send(200, "application/wasm", page);
      case "truncated": return send(200, "application/wasm", wasm.subarray(0, wasm.length >> 1));
      case "noise": return send(200, "application/octet-stream", randomBytes(100).fill(1, 0, 4));
      case "reset": return void request.socket.destroy();
      case "flaky": {
        // Fails once for every query string.
        if (flaky.has(url.search)) return send(200, "application/wasm", wasm);
        flaky.add(url.search);
        return send(503, "text/plain", "later");
      }
      default: return send(500, "text/plain", `no such mode: ${mode}`);
    }
  }

  const server: Server = createServer((request, response) => {
    answer(request, response).catch((thrown: unknown) => {
      response.writeHead(500, { "content-type": "text/plain" });
      response.end(String(thrown));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    mount: (prefix, folder, caching = "no-store") => void mounts.set(prefix, { folder: join(folder, "/"), caching }),
    close: () => new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    }),
  };
}
