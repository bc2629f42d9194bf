import * as ks from "knownsender";
import fixture from "./fixture.js";
import { story } from "./story.js";

console.log(await story(ks, fixture, {})); // in memory: there is nothing else
