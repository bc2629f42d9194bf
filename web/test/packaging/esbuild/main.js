import * as ks from "knownsender";
import wasmURL from "knownsender/knownsender.wasm";
import fixture from "./fixture.js";
import { show, story } from "./story.js";

show(async () => {
  await ks.initAsync({ wasmURL: new URL(wasmURL, import.meta.url) });
  const worker = new URL(location.href).searchParams.has("worker") && new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  return story(ks, fixture, { store: { name: "esbuild" }, worker });
});
