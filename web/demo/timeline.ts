// The messages under one policy. A withheld message is drawn from its verdict alone: there is no clear text to draw.

import type { MessageRow } from "./account.js";
import { el, shield } from "./dom.js";
import { reason, states } from "./words.js";

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", timeZone: "UTC" });

/** The lines of the timeline, earliest first. */
export function timeline(messages: readonly MessageRow[]): HTMLElement[] {
  return [...messages].sort((a, b) => a.event.sentAt - b.event.sentAt).map(message);
}

function message({ event, body, verdict }: MessageRow): HTMLElement {
  const sent = new Date(event.sentAt);
  return el(
    "li",
    { class: verdict.shown ? "message" : "message withheld", "data-event": event.eventId, "data-shown": verdict.shown ? "shown" : "withheld", "data-code": verdict.code ?? "" },
    el("header", {}, el("b", {}, event.sender), el("time", { datetime: sent.toISOString() }, clock.format(sent))),
    body === null ? el("p", { class: "body" }, reason(verdict.code ?? "")) : el("p", { class: "body" }, body),
    verdict.shown
      ? el("p", { class: "verdict" }, el("span", {}, verdict.code !== null ? reason(verdict.code) : (states.find(({ row }) => row === verdict.state)?.says ?? "")), shield(verdict.shield.color, `${verdict.shield.color} shield`))
      : el("p", { class: "verdict" }, el("span", {}, "withheld ", el("code", {}, verdict.code ?? ""), el("span", { class: "under" }, verdict.names.decryptionErrorCode ?? ""))),
  );
}
