// The way to the homeserver, from a Go program (web/test/fetchkit) through the binding to clients that answer, fail and hang in every way.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { before, describe, test } from "node:test";
import { makeFetchBinding, sendThrough, type HostFetch } from "../src/fetch.js";
import { stories } from "./fetchkit.js";
import { top, useChrome } from "./harness.js";

before(() => {
  execFileSync("go", ["build", "-trimpath", "-tags", "doorkit", "-o", "web/build/fetchkit.wasm", "./web/test/fetchkit"], { cwd: top, env: { ...process.env, GOOS: "js", GOARCH: "wasm" } });
});
const chrome = useChrome();

describe("fetching through the client", () => {
  for (const name of Object.keys(stories)) {
    test(name, async () => {
      await chrome.withPage(async ({ inPage }) => {
        await inPage(async (story: string) => {
          const kit = (await import("/build/test/fetchkit.js" as string)) as typeof import("./fetchkit.js");
          await kit.stories[story]?.();
        }, name);
      });
    });
  }
});

/** The one line a client on matrix-js-sdk writes; its types stand for the library's. */
interface MatrixHttpApi {
  authedRequest<T>(method: "POST" | "PUT", path: string, query: undefined, body: string, options: { prefix: string; json: boolean; headers: Record<string, string>; abortSignal: AbortSignal }): Promise<T>;
}

const withMatrixJsSdk = (http: MatrixHttpApi): HostFetch => ({ method, path, body, headers, signal }) =>
  http.authedRequest<string>(method, path, undefined, body, { prefix: "", json: false, headers, abortSignal: signal });

test("matrix-js-sdk's authedRequest is a fetch as it is", async () => {
  const binding = makeFetchBinding(sendThrough(withMatrixJsSdk({
    authedRequest: <T>(...args: unknown[]) => Promise.resolve(JSON.stringify(args.slice(0, 4)) as T),
  })));
  binding.give(7, '{"device_keys":{}}');
  const response = await binding.fetch(new Request("https://homeserver.invalid/_matrix/client/v3/keys/query", { method: "POST", headers: { "knownsender-request": "7" } }));
  assert.deepEqual([response.status, response.headers.get("knownsender-outcome"), response.headers.get("knownsender-status")], [200, "answer", "200"]);
  assert.deepEqual(await response.json(), ["POST", "/_matrix/client/v3/keys/query", null, '{"device_keys":{}}']);
});

test("a request nobody gave a body for is answered too", async () => {
  const binding = makeFetchBinding(sendThrough(() => "never asked"));
  const response = await binding.fetch(new Request("https://homeserver.invalid/", { headers: { "knownsender-request": "1" } }));
  assert.equal(response.headers.get("knownsender-outcome"), "failed");
  assert.match(await response.text(), /aborted/);
});
