import * as ks from "knownsender";
import fixture from "./fixture.js";
import { show, story } from "./story.js";

// Nothing is said of where the wasm or the worker's script is.
show(() => story(ks, fixture, { store: { name: "webpack" }, worker: new URL(location.href).searchParams.has("worker") }));
