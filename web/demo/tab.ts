// One tab of several over one database: a document and a machine of its own. Of keys and senders nothing passes between
// the tabs but what the package passes.

import { initAsync, OlmMachine } from "../dist/index.js";
import { decrypt } from "./account.js";
import { closeMachine, deleteDatabase } from "./databases.js";
import { byId, el, fill, say, short } from "./dom.js";
import { readRecording, type RecordedAccount } from "./recording.js";
import { badge } from "./sessions.js";
import { Turns } from "./turns.js";

const database = "knownsender-demo-tabs";
/** Where a tab says that it has begun anew, with an empty database. */
const channel = new BroadcastChannel(database);

class Tab {
  #machine: OlmMachine | undefined;
  readonly #turns = new Turns(() => byId("tab"));

  constructor(private readonly recorded: RecordedAccount) {}

  start(): void {
    const click = (id: string, action: () => Promise<string>): void => byId(id).addEventListener("click", () => this.#do(action));
    click("tab-receive", () => this.#receive());
    click("tab-answer", () => this.#answer());
    click("tab-restart", async () => {
      await this.#close();
      await deleteDatabase(database);
      await this.#open();
      channel.postMessage("restarted");
      return "The database is empty again.";
    });
    channel.addEventListener("message", () => this.#do(async () => {
      await this.#close();
      await this.#open();
      return "Another tab started over.";
    }));
    this.#do(async () => {
      await this.#open();
      return "";
    });
  }

  /** What an action returns is said. */
  #do(action: () => Promise<string>): void {
    const turn = async (): Promise<void> => {
      const said = await action();
      await this.#draw();
      if (said !== "") say("tab-status", "", said);
    };
    this.#turns.take(turn, (sentence) => say("tab-status", "bad", sentence));
  }

  async #open(): Promise<void> {
    const { userId, deviceId, identityKeys } = this.recorded;
    const machine = await OlmMachine.open({ userId, deviceId, identityKeys, store: { name: database }, trustRequirement: "CrossSigned" });
    machine.registerRoomKeyUpdatedCallback((keys) => this.#do(async () => `${keys.length} room keys arrived.`));
    machine.registerSenderDataUpdatedCallback((updates) => {
      const said = updates.map(({ sessionId, after }) => `${sessionId.slice(0, 6)}… is ${after.type} now.`).join(" ");
      this.#do(async () => said);
    });
    this.#machine = machine;
  }

  async #close(): Promise<void> {
    const machine = this.#machine;
    this.#machine = undefined;
    await closeMachine(machine);
  }

  async #receive(): Promise<string> {
    await this.#machine?.receiveRoomKeys(this.recorded.keys).stored;
    return `${this.recorded.keys.length} room keys arrived here, and are stored.`;
  }

  /** The senders are asked about, and the recorded answer comes. */
  async #answer(): Promise<string> {
    const machine = this.#machine;
    if (machine === undefined) return "";
    await machine.updateTrackedUsers([...new Set(this.recorded.keys.map(({ sender }) => sender))]);
    await machine.receiveKeysQueryResponse(this.recorded.answers.at(-1) ?? "{}", machine.queryKeysForUsers(machine.outdatedUsers()).id);
    return "The answer came here.";
  }

  async #draw(): Promise<void> {
    const machine = this.#machine;
    if (machine === undefined) return;
    const lines: HTMLElement[] = [];
    for (const { roomId, sessionId } of this.recorded.keys) {
      await machine.loadRoom(roomId);
      const [copy] = (await machine.explain(roomId, sessionId)).copies;
      const event = this.recorded.events.find((one) => one.sessionId === sessionId);
      if (copy === undefined || event === undefined) continue;
      const { body, verdict } = await decrypt(machine, event.text, roomId);
      const said = body === null ? el("span", { class: "body withheld" }, `withheld: ${verdict.code ?? ""}`) : el("span", { class: "body" }, body);
      const attributes = { "data-state": copy.senderData.type, "data-shown": verdict.shown ? "shown" : "withheld" };
      lines.push(el("li", attributes, el("span", {}, short(sessionId), " ", badge(copy)), said));
    }
    fill(byId("tab-keys"), ...(lines.length > 0 ? lines : [el("li", { class: "nothing" }, "No room keys yet.")]));
  }
}

const side = location.hash.slice(1);
byId("tab-title").textContent = side === "" ? "One more tab" : `The ${side} tab`;
await initAsync();
const recording = await readRecording(async (path) => (await fetch(`/recorded/${path}`)).text());
const recorded = recording.find(({ answers }) => answers.length > 1);
if (recorded === undefined) throw new Error("The recording is not whole.");
new Tab(recorded).start();
