// What plays the scenes in the page: beside each part the list of its scenes, a button, and what came of them.

import { byId, el, fill } from "./dom.js";
import { pause, play, type Played, type Scene } from "./scenes.js";

/** How long a thing that is about to be touched is shown, in milliseconds. */
const glance = 650;

export class Player {
  readonly #scenes: readonly Scene[];
  readonly #buttons: HTMLElement[] = [];
  #playing = false;
  #stopped = false;
  #hurried = false;
  readonly played = new Map<string, Played>();

  constructor(scenes: readonly Scene[]) {
    this.#scenes = scenes;
  }

  start(): void {
    for (const place of document.querySelectorAll<HTMLElement>(".player")) {
      const section = place.dataset["section"] ?? "";
      const scenes = this.#scenes.filter((scene) => scene.section === section);
      const button = el("button", { type: "button", "data-play": section, click: () => this.#press(section) }, "Play");
      this.#buttons.push(button);
      fill(
        place,
        el("ol", { class: "scenes", "aria-label": "Scenes" }, ...scenes.map(line)),
        el("div", { class: "controls" }, button, el("p", { id: `played-${section}`, class: "result-line", role: "status" })),
        el("details", {}, el("summary", {}, "What must come of it"), ...scenes.map(expectations)),
      );
    }
    byId("play-all").addEventListener("click", () => this.#press());
  }

  /** Plays everything, or some parts, without stopping to show what is touched. */
  async playQuickly(sections?: readonly string[]): Promise<readonly Played[]> {
    const scenes = this.#scenes.filter(({ section }) => sections?.includes(section) ?? true);
    this.#hurried = true;
    try {
      await this.#run(scenes);
    } finally {
      this.#hurried = false;
    }
    return scenes.flatMap(({ name }) => this.played.get(name) ?? []);
  }

  /** Plays a part, or everything; while something is playing, ends that. */
  #press(section?: string): void {
    if (this.#playing) this.#stopped = true;
    else void this.#run(this.#scenes.filter((scene) => section === undefined || scene.section === section));
  }

  async #run(scenes: readonly Scene[]): Promise<void> {
    this.#playing = true;
    this.#stopped = false;
    this.#drawButtons();
    for (const { name } of scenes) {
      this.played.delete(name);
      this.#mark(name, "");
    }
    const sections = new Set(scenes.map(({ section }) => section));
    const all = sections.size > 1;
    byId("played").textContent = all ? "Playing…" : "";
    let section = "";
    try {
      for (const scene of scenes) {
        if (this.#stopped) break;
        if (all && scene.section !== section) byId(scene.section).scrollIntoView({ block: "start" });
        section = scene.section;
        this.#mark(scene.name, "playing");
        let played: Played;
        try {
          played = await play(scene, (element) => this.#show(element));
        } catch (thrown) {
          played = { scene, wrong: [String(thrown)] };
        }
        this.played.set(scene.name, played);
        this.#mark(scene.name, played.wrong.length === 0 ? "held" : "failed", played.wrong);
        this.#summarise(section);
        if (!this.#hurried) await pause(glance);
      }
    } finally {
      this.#playing = false;
      this.#drawButtons();
    }
    if (!all) return;
    const seen = scenes.flatMap(({ name }) => this.played.get(name) ?? []);
    const held = seen.filter(({ wrong }) => wrong.length === 0);
    const things = seen.reduce((sum, { scene }) => sum + scene.expected.length, 0);
    const whole = held.length === seen.length;
    const end = whole ? `${held.length} scenes, ${things} things looked at: everything is as expected.` : `${held.length} of ${seen.length} scenes were as expected.`;
    byId("played").textContent = this.#stopped ? `Stopped. ${end}` : end;
    byId("played").className = whole ? "status good" : "status bad";
  }

  /** Lights what is about to be touched. */
  async #show(element: HTMLElement): Promise<void> {
    if (this.#hurried) return;
    const seen = element.matches("input[type=radio]") ? (element.parentElement ?? element) : element;
    seen.scrollIntoView({ block: "nearest" });
    seen.classList.add("touched");
    await pause(glance);
    seen.classList.remove("touched");
  }

  #mark(name: string, state: string, wrong: readonly string[] = []): void {
    const line = document.querySelector<HTMLElement>(`[data-scene="${name}"]`);
    if (line === null) return;
    line.dataset["state"] = state;
    const said = line.querySelector<HTMLElement>(".quiet, .wrong");
    if (said === null) return;
    said.className = wrong.length > 0 ? "wrong" : "quiet";
    said.textContent = wrong.length > 0 ? wrong.join(". ") : state === "held" ? ", as expected" : state === "playing" ? ", playing" : "";
  }

  #summarise(section: string): void {
    const scenes = this.#scenes.filter((scene) => scene.section === section);
    const held = scenes.filter(({ name }) => this.played.get(name)?.wrong.length === 0).length;
    const line = byId(`played-${section}`);
    line.textContent = held === scenes.length ? (held === 1 ? "As expected" : "All as expected") : `${held} of ${scenes.length} as expected`;
  }

  #drawButtons(): void {
    for (const button of this.#buttons) button.textContent = this.#playing ? "Stop" : "Play";
    byId("play-all").textContent = this.#playing ? "Stop" : "Play every scene";
  }
}

/** A scene in the list, with a place for what came of it. */
function line({ name, title }: Scene): HTMLElement {
  return el("li", { "data-scene": name }, el("span", { class: "mark", "aria-hidden": "true" }), el("span", {}, title, el("span", { class: "quiet" })));
}

/** What a scene must come to, in words. */
function expectations({ title, expected }: Scene): HTMLElement {
  const lines = expected.map(({ what, is }) => el("li", {}, `${what}: `, el("b", {}, inRuns(is))));
  return el("div", {}, el("p", {}, title), el("ul", {}, ...lines));
}

/** A list in words: what stands there several times running is counted. */
function inRuns(list: readonly string[]): string {
  const runs: { readonly one: string; count: number }[] = [];
  for (const one of list) {
    const last = runs.at(-1);
    if (last?.one === one) last.count++;
    else runs.push({ one, count: 1 });
  }
  return runs.map(({ one, count }) => `${one === "" ? "none" : one}${count > 1 ? ` × ${count}` : ""}`).join(", ");
}
