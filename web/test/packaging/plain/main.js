import * as ks from "./node_modules/knownsender/web/dist/index.js";
import fixture from "./fixture.js";
import { show, story } from "./story.js";

const { searchParams } = new URL(location.href);
const wasmURL = searchParams.get("wasm");
await show(async () => {
  await ks.initAsync(wasmURL === null ? {} : { wasmURL });
  return story(ks, fixture, { store: { name: "plain" }, worker: searchParams.has("worker") });
});
