// The event log: what happened, when, and its cause, with the equivalent command and the one that undoes it.

import { able, act, say } from "./api.js";
import { byId, el } from "./dom.js";
import { clock } from "./format.js";

const STRIP = 8;
const KEPT = 1000;

/** The cause of an event, in words. */
const HANDS = { labctl: "labctl", machine: "its machine", somebody_else: "not labctl" };

/** The events of a restart. */
const RESTART = ["machine_ended", "program_ended", "machine_started", "program_started", "machine_ready"];

/**
 * Takes the lines of the restart that a resize consists of out of a list: it is one thing that happened.
 * @param {Element} list the newest first
 * @param {string} machine
 * @returns {HTMLElement[]}
 */
function takeRestart(list, machine) {
  /** @type {HTMLElement[]} */
  const taken = [];
  for (const one of /** @type {Iterable<HTMLElement>} */ (list.children)) {
    const { event = "", subject } = one.dataset;
    const mine = subject === machine;
    const again = event === "machine_ready" && taken.some((other) => other.dataset.event === event);
    if (mine && (event === "resized" || again)) break;
    const isOpening = event === "did" && taken.every((other) => other.dataset.event === "did");
    if (isOpening || (mine && RESTART.includes(event))) taken.push(one);
  }
  for (const one of taken) one.remove();
  return taken;
}

export function log() {
  const strip = byId("events");
  const list = el("ol", { class: "events long", id: "all-events" });
  const filter = /** @type {HTMLSelectElement} */ (el("select", { id: "log-filter" }, [
    el("option", { value: "", text: "everything" }),
    el("option", { value: "fault", text: "faults" }),
    el("option", { value: "hand", text: "not by labctl" }),
    el("option", { value: "did", text: "commands" }),
  ]));
  filter.addEventListener("change", () => list.setAttribute("data-only", filter.value));
  const intro = el("div", { class: "bar" }, [el("label", {}, ["Show ", filter])]);
  byId("log").replaceChildren(intro, list);

  /** @param {any} event */
  function row(event) {
    const did = event.event === "did";
    const undo = event.undo;
    const kind = did ? "did" : event.fault ? "fault" : "";
    const hand = event.by
      ? el("span", { class: `hand ${event.by}`, text: HANDS[/** @type {keyof typeof HANDS} */ (event.by)] })
      : null;
    const text = did ? el("code", { text: event.command }) : el("span", { class: "what", text: event.text });
    const button = undo && !able.act
      ? el("code", { class: "undo", title: `undo: ${undo.act.act}`, text: `undo: ${undo.command}` })
      : undo
      ? el("button", { class: "plain undo", title: undo.command, click: () => act(undo.act) }, [
        `undo: ${undo.act.act}`,
      ])
      : null;
    const about = { "data-by": event.by ?? null, "data-event": event.event, "data-subject": event.subject };
    return el("li", { "data-kind": kind, ...about }, [
      el("time", { text: clock(event.at) }),
      text,
      hand,
      button,
    ]);
  }

  return {
    clear() {
      strip.replaceChildren();
      list.replaceChildren();
    },
    /** @param {any} event @param {boolean} isNew it happened while the page was open */
    add(event, isNew) {
      if (event.event === "resized") {
        takeRestart(strip, event.subject);
        const steps = takeRestart(list, event.subject);
        strip.prepend(row(event));
        list.prepend(row(event));
        if (steps.length > 0) {
          const summary = el("summary", { text: `${steps.length} lines of its restart` });
          list.firstElementChild?.append(el("details", { class: "steps" }, [summary, el("ol", {}, steps)]));
        }
        if (isNew) say(event.text);
        return;
      }
      strip.prepend(row(event));
      while (strip.children.length > STRIP) strip.lastElementChild?.remove();
      list.prepend(row(event));
      while (list.children.length > KEPT) list.lastElementChild?.remove();
      if (isNew && event.event !== "did") say(event.text);
    },
  };
}
