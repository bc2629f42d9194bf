// The lanes board: three columns, a card for each room key. A card that changes its lane moves there; nothing else moves.

import { byId, el, fill, say, short } from "./dom.js";
import { laneNames, mostMade, type Lane, type LaneCard, type Lanes, type LanesShown } from "./lanes.js";
import { watchNotes } from "./notes.js";
import { badge } from "./sessions.js";
import { Turns } from "./turns.js";

const columns: { readonly [lane in Lane]: { readonly title: string; readonly says: string; readonly none: string } } = {
  fast: { title: "Fast", says: "The sender is known when the key arrives. Nobody is asked.", none: "Keys from senders who are known come here." },
  slow: { title: "Slow", says: "The key is stored, then /keys/query is awaited: ten seconds at most.", none: "Nothing is waiting for an answer." },
  retry: { title: "Retry", says: "Asked again by a schedule that lies with the key: after 15 seconds, then later and later.", none: "Nothing has been asked in vain." },
};

const clock = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });

export class Board {
  #shown: LanesShown | undefined;
  #looking: Promise<void> | undefined;
  #again = false;
  #busy = false;
  readonly #turns = new Turns(() => byId("speeds"));
  #lanes: Lanes | undefined;

  /** Opens the machines and draws. `make` is given what to call when there may be something new. */
  start(make: (changed: () => void) => Lanes): void {
    const lanes = (this.#lanes = make(() => void this.#look()));
    this.#drawColumns();
    const click = (id: string, action: () => Promise<string> | string): void => byId(id).addEventListener("click", () => {
      if (byId(id).getAttribute("aria-disabled") !== "true") this.#do(action);
    });
    click("lanes-recorded", async () => {
      await lanes.receiveRecorded();
      return "Four room keys arrived, and are stored.";
    });
    click("lanes-made", async () => {
      const { sender } = await lanes.receiveMade();
      return `A room key from ${sender} arrived, and is stored.`;
    });
    click("lanes-ask", () => {
      lanes.askNow();
      return "Everything that waits is asked about now.";
    });
    click("lanes-reopen", () => this.#reopen(lanes));
    click("lanes-restart", async () => {
      await lanes.restart();
      return "The databases are empty again.";
    });
    click("network", () => {
      const online = !lanes.online;
      lanes.connect(online);
      return online ? "The network is on: everything that waits is asked about." : "The network is off: every request fails.";
    });
    this.#do(async () => {
      await lanes.open();
      const { cards } = await lanes.look();
      return cards.length === 0 ? "" : "Opened from IndexedDB, schedules and all.";
    });
    setInterval(() => this.#tick(), 1000);
    watchNotes(() => {
      if (lanes.emptied && (this.#shown?.cards.length ?? 0) > 0) this.#do(() => this.#begun(lanes));
      else void this.#look();
    });
    addEventListener("pagehide", () => lanes.leave());
  }

  /** Resolves when nothing that was clicked is under way; what the lanes do goes on. Rejects with what went wrong last. */
  idle(): Promise<void> {
    return this.#turns.idle();
  }

  /** What is on the board, with the message of each recorded key as it is shown under Untrusted. */
  async report(): Promise<LanesShown & { readonly messages: readonly (string | null)[] }> {
    await this.#turns.idle();
    const lanes = this.#lanes;
    if (lanes === undefined) throw new Error("The board was not started.");
    const shown = await lanes.look();
    this.#draw(shown);
    const messages: (string | null)[] = [];
    for (const card of shown.cards) messages.push(await lanes.message(card));
    return { ...shown, messages };
  }

  /** What an action returns is said. */
  #do(action: () => Promise<string> | string): void {
    const turn = async (): Promise<void> => {
      this.#busy = true;
      this.#drawControls();
      try {
        say("lanes-status", "", await action());
      } finally {
        this.#busy = false;
        await this.#look();
        this.#drawControls();
      }
    };
    this.#turns.take(turn, (sentence) => say("lanes-status", "bad", sentence));
  }

  /** Closes the machines and opens new ones over the same databases, and compares the schedules. */
  async #reopen(lanes: Lanes): Promise<string> {
    const before = schedules(await lanes.look());
    await lanes.reopen();
    const after = schedules(await lanes.look());
    const same = [...before].every(([sessionId, next]) => after.get(sessionId) === next);
    const opened = "Closed, and opened again from IndexedDB";
    if (before.size === 0) return `${opened}.`;
    if (!same) return `${opened}: what was due meanwhile is asked about.`;
    return before.size === 1 ? `${opened}: the key that waits has its schedule still.` : `${opened}: the ${before.size} keys that wait have their schedules still.`;
  }

  /** Another tab has begun anew: the databases that were open here are gone. */
  async #begun(lanes: Lanes): Promise<string> {
    await lanes.reopen();
    return "Another tab started over: the databases are empty again.";
  }

  /** Looks at the machines and draws. While that is under way, being called again means once more afterwards. */
  #look(): Promise<void> {
    this.#again = true;
    this.#looking ??= (async () => {
      try {
        while (this.#again && this.#lanes !== undefined) {
          this.#again = false;
          try {
            this.#draw(await this.#lanes.look());
          } catch (thrown) {
            // While something is under way it may be closed; it is looked at again when that is over.
            if (!this.#busy) say("lanes-status", "bad", thrown instanceof Error ? thrown.message : String(thrown));
          }
        }
      } finally {
        this.#looking = undefined;
      }
    })();
    return this.#looking;
  }

  /** Once a second: counts down, and looks when something may have happened by itself. */
  #tick(): void {
    if (document.hidden || this.#shown === undefined) return;
    const { cards, requests, nextDue } = this.#shown;
    const slow = cards.some(({ column, copy }) => column === "slow" && copy.schedule !== null);
    this.#countDown();
    if (!this.#busy && (slow || requests > 0 || (nextDue !== null && nextDue <= Date.now()))) void this.#look();
  }

  #countDown(): void {
    for (const place of document.querySelectorAll<HTMLElement>("#lanes [data-next]")) {
      const text = until(Number(place.dataset["next"]));
      if (place.textContent !== text) place.textContent = text;
    }
  }

  #draw(shown: LanesShown): void {
    const before = new Map(this.#shown?.cards.map((card) => [card.sessionId, card]));
    const places = new Map([...document.querySelectorAll<HTMLElement>("#lanes .key")].map((card) => [card.dataset["session"] ?? "", card.getBoundingClientRect()]));
    this.#shown = shown;
    byId("lanes").dataset["requests"] = String(shown.requests);
    for (const lane of laneNames) {
      const cards = shown.cards.filter(({ column }) => column === lane);
      // What waits comes first, the next to be asked about at the top; below it what is settled, the latest at the top.
      const waiting = cards.filter(({ copy }) => copy.schedule !== null).sort((a, b) => (a.copy.schedule?.next ?? 0) - (b.copy.schedule?.next ?? 0));
      const settled = cards.filter(({ copy }) => copy.schedule === null).reverse();
      byId(`count-${lane}`).textContent = String(shown.counts[lane]);
      fill(byId(`lane-${lane}`), ...[...waiting, ...settled].map(keyCard), cards.length === 0 && el("li", { class: "nothing" }, columns[lane].none));
    }
    fill(byId("note-fast"), shown.counts.fast === 1 ? "key, known on arrival" : "keys, known on arrival");
    fill(byId("note-slow"), `waiting; ${shown.requests === 1 ? "1 request" : `${shown.requests} requests`} under way`);
    fill(byId("note-retry"), ...(shown.nextDue === null ? ["waiting; none is due"] : ["waiting; next ", el("span", { "data-next": shown.nextDue }, until(shown.nextDue))]));
    this.#drawControls();
    move(places);
    const settled = shown.cards.filter(({ sessionId, copy }) => copy.schedule === null && before.get(sessionId)?.copy.schedule != null);
    const [only] = settled;
    if (settled.length > 1) say("lanes-status", "good", `${settled.length} keys are settled: their senders are known now.`);
    else if (only !== undefined) say("lanes-status", "good", `The key ${only.sessionId.slice(0, 10)}… is settled: ${only.track.join(" → ")}.`);
  }

  #drawColumns(): void {
    fill(
      byId("lanes"),
      ...laneNames.map((lane) => {
        const { title, says } = columns[lane];
        return el(
          "section",
          { class: "lane", "aria-labelledby": `title-${lane}` },
          el("h3", { id: `title-${lane}` }, title),
          el("p", { class: "count" }, el("b", { id: `count-${lane}` }, "0"), " ", el("span", { id: `note-${lane}` })),
          el("p", { class: "under" }, says),
          el("ul", { id: `lane-${lane}`, class: "keys", "aria-label": `Room keys, ${lane} lane` }),
        );
      }),
    );
  }

  #drawControls(): void {
    const cards = this.#shown?.cards ?? [];
    const online = this.#lanes?.online ?? true;
    const enable = (id: string, enabled: boolean): void => {
      // Not `disabled`, which would take the focus from under the finger.
      byId(id).setAttribute("aria-disabled", String(this.#busy || !enabled));
    };
    enable("lanes-recorded", !cards.some(({ made }) => !made));
    enable("lanes-made", cards.filter(({ made }) => made).length < mostMade);
    enable("lanes-ask", cards.some(({ copy }) => copy.schedule !== null));
    enable("lanes-reopen", true);
    enable("lanes-restart", cards.length > 0 || !online);
    byId("network").setAttribute("aria-checked", String(online));
    byId("network-state").textContent = online ? "on" : "off";
  }
}

function schedules({ cards }: LanesShown): Map<string, number> {
  return new Map(cards.flatMap(({ sessionId, copy }) => (copy.schedule === null ? [] : [[sessionId, copy.schedule.next]])));
}

function keyCard(card: LaneCard): HTMLElement {
  const { copy, track, sessionId } = card;
  const { schedule, senderData } = copy;
  return el(
    "li",
    { class: schedule === null ? "key settled" : "key", "data-session": sessionId, "data-state": senderData.type },
    el("header", {}, short(sessionId), el("span", { class: "tag" }, card.made ? "made here" : "recorded")),
    el("p", {}, card.sender, el("span", { class: "under" }, `${senderData.deviceId ?? "device not known"}, ${card.client}, ${card.title}`)),
    track.length > 1
      ? el("p", { class: "track" }, ...track.slice(0, -1).flatMap((type) => [el("span", { class: `badge was badge-${type.toLowerCase()}` }, type), el("span", { class: "arrow", role: "img", "aria-label": "then" }, "→")]), badge(copy))
      : el("p", { class: "track" }, badge(copy)),
    el(
      "dl",
      {},
      fact("Lane", card.lane === "slow" && card.handed ? "slow, then retry" : card.lane),
      fact("Tries", el("span", { "data-tries": card.tries }, String(card.tries))),
      schedule === null
        ? fact("Next", card.column === "fast" ? "known" : "settled")
        : fact("Next", card.column === "slow" ? "asking" : el("span", { "data-next": schedule.next, title: schedule.next === 0 ? "as soon as possible" : clock.format(schedule.next) }, until(schedule.next))),
    ),
  );
}

function fact(name: string, value: Node | string): HTMLElement {
  return el("div", {}, el("dt", {}, name), el("dd", {}, value));
}

/** How long until a time. */
function until(time: number): string {
  const seconds = Math.ceil((time - Date.now()) / 1000);
  if (seconds <= 0) return "due now";
  if (seconds < 60) return `in ${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `in ${minutes} min ${seconds % 60} s`;
  return `in ${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Lets the cards that have a new place come from their old one. */
function move(places: ReadonlyMap<string, DOMRect>): void {
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  for (const card of document.querySelectorAll<HTMLElement>("#lanes .key")) {
    const from = places.get(card.dataset["session"] ?? "");
    const to = card.getBoundingClientRect();
    if (from === undefined) card.animate([{ opacity: 0 }, { opacity: 1 }], { duration: 200, easing: "ease-out" });
    else if (from.left !== to.left || from.top !== to.top) {
      card.animate([{ transform: `translate(${from.left - to.left}px, ${from.top - to.top}px)` }, { transform: "none" }], { duration: 320, easing: "cubic-bezier(0.2, 0.7, 0.2, 1)" });
    }
  }
}
