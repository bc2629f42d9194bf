import * as ks from "knownsender";
import wasmURL from "knownsender/knownsender.wasm?url";
import ServedWorker from "knownsender/worker?worker";
import fixture from "./fixture.js";
import { show, story } from "./story.js";

await show(async () => {
  await ks.initAsync({ wasmURL });
  const worker = new URL(location.href).searchParams.has("worker") && new ServedWorker();
  return story(ks, fixture, { store: { name: "vite" }, worker });
});
