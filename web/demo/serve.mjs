// The demo's server: what was built, the recordings, and nothing else; on 127.0.0.1 alone, under the strictest policy the page can live with.

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { top } from "../packaging/rooms.mjs";

/** No inline script or style, nothing from elsewhere, no HTML made from text. The one permission: compiling wasm. One page may be framed, by us. */
export const contentSecurityPolicy = (embedded) => [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self'",
  "font-src 'self'",
  "frame-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  `frame-ancestors ${embedded ? "'self'" : "'none'"}`,
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join("; ");

const types = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json",
  ".map": "application/json",
  ".svg": "image/svg+xml",
  ".txt": "text/plain; charset=utf-8",
  ".wasm": "application/wasm",
  ".woff2": "font/woff2",
};

const folders = [
  ["/demo/", ["web/build/demo", "web/demo"], [".js", ".css", ".svg", ".json"]],
  ["/fonts/", ["inter", "jetbrains-mono", "newsreader"].map((name) => `node_modules/@fontsource-variable/${name}/files`), [".woff2"]],
  ["/dist/", ["web/dist"], [".js", ".map", ".wasm"]],
  ["/recorded/", ["core/testdata/recorded"], [".json", ".txt"]],
];

/** The file behind a path of the page, in the places to look for it. */
function places(path) {
  if (path === "/") return [join(top, "web/demo/index.html")];
  if (path === "/tab") return [join(top, "web/demo/tab.html")];
  if (path === "/policy.json") return [join(top, "core/testdata/policy.json")];
  for (const [prefix, roots, extensions] of folders) {
    if (!path.startsWith(prefix) || !extensions.includes(extname(path))) continue;
    return roots.map((root) => [join(top, root, "/"), normalize(join(top, root, path.slice(prefix.length)))]).filter(([root, file]) => file.startsWith(root)).map(([, file]) => file);
  }
  return [];
}

async function answer(request, response) {
  const headers = { "x-content-type-options": "nosniff", "referrer-policy": "no-referrer", "cache-control": "no-store" };
  let path;
  try {
    path = decodeURIComponent(new URL(request.url ?? "/", "http://127.0.0.1").pathname);
  } catch {
    path = "";
  }
  for (const file of places(path)) {
    try {
      const bytes = await readFile(file);
      response.writeHead(200, { ...headers, "content-security-policy": contentSecurityPolicy(path === "/tab"), "content-type": types[extname(file)] });
      response.end(bytes);
      return;
    } catch {
      // the next place
    }
  }
  response.writeHead(404, { ...headers, "content-type": "text/plain" });
  response.end("not here");
}

/** Serves on the port, or on any that is free when it is taken. */
export async function serveDemo(port) {
  const server = createServer((request, response) => void answer(request, response));
  const listen = (wanted) =>
    new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen(wanted, "127.0.0.1", () => {
        server.off("error", reject);
        resolve(undefined);
      });
    });
  await listen(port).catch((error) => {
    if (error.code !== "EADDRINUSE") throw error;
    return listen(0);
  });
  return {
    origin: `http://127.0.0.1:${server.address().port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve(undefined));
        server.closeAllConnections();
      }),
  };
}
