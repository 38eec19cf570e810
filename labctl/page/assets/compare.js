// The screen "Compare": stored runs, alone or side by side: what differs between them, and one slider for the moment; and
// the measured table of architectures next to the article's.

import { byId, el, set } from "./dom.js";
import { get, kept } from "./kept.js";
import { difference, pairOf } from "./difference.js";
import { ladder } from "./ladder.js";

/** Playback speed, as a multiple of real time. */
const SPEED = 2;
const TICK_MS = 100;

export function compare() {
  const place = byId("compare");
  const slider = /** @type {HTMLInputElement} */ (el("input", {
    type: "range",
    id: "scrub",
    min: 0,
    max: 1000,
    value: 0,
    "aria-label": "Moment of the run",
  }));
  const clock = el("output", { class: "status", id: "moment", text: "0.0 s" });
  const play = el("button", { id: "play", "aria-pressed": "false" }, ["Play"]);
  const differs = difference();
  const changed = () => {
    show();
    differs.show(sides[0].value(), sides[1].value());
  };
  const sides = [kept("first", changed), kept("second", changed)];
  const architecture = el("div", { tabindex: 0, class: "scroll card", id: "ladder" });
  const problem = el("p", { class: "status", role: "status" });
  let at = 0;
  let playing = 0;
  let chapter = "";

  const longest = () => Math.max(1, ...sides.map((one) => one.seconds()));
  function show() {
    slider.value = String(Math.round((at / longest()) * 1000));
    set(slider, { "aria-valuetext": `${at.toFixed(1)} seconds` });
    set(clock, { text: `${at.toFixed(1)} s of ${longest().toFixed(1)} s` });
    for (const one of sides) one.show(at);
  }
  slider.addEventListener("input", () => {
    at = (Number(slider.value) / 1000) * longest();
    show();
  });
  function stop() {
    clearInterval(playing);
    playing = 0;
    set(play, { "aria-pressed": "false", text: "Play" });
  }
  play.addEventListener("click", () => {
    if (playing) return stop();
    if (at >= longest()) at = 0;
    set(play, { "aria-pressed": "true", text: "Pause" });
    playing = setInterval(() => {
      at = Math.min(longest(), at + (SPEED * TICK_MS) / 1000);
      show();
      if (at >= longest()) stop();
    }, TICK_MS);
  });
  const bar = el("div", { class: "card scrubber" }, [play, slider, clock]);
  place.replaceChildren(
    problem,
    bar,
    differs.element,
    el("div", { class: "sides" }, sides.map((one) => one.element)),
    architecture,
  );

  /** Reloads the list of stored runs. */
  async function open() {
    try {
      const [runs, measured] = await Promise.all([get("runs"), get("table")]);
      set(problem, {
        text: runs.length > 0
          ? ""
          : "There are no stored runs yet. `labctl run one-machine` makes one; next to this lab, it needs its own `--lab-dir` and `--network`.",
      });
      for (const one of sides) one.offer(runs);
      differs.know(runs);
      if (!sides.some((one) => one.value())) {
        const pair = pairOf(runs, chapter);
        await Promise.all(sides.map((one, at) => pair[at] ? one.choose(pair[at]) : null));
      }
      changed();
      architecture.replaceChildren(ladder(measured));
    } catch (error) {
      set(problem, { text: String(error) });
    }
  }

  return {
    open,
    /** @param {any} hello */
    begin: (hello) => (chapter = hello.chapter.name),
  };
}
