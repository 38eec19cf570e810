// The scale of a slider, and its marks: the measured capacity, and 95 % of it.

import { el, set } from "./dom.js";
import { rate } from "./format.js";
import { reachable } from "./layout.js";

export const STEPS = 200;
/** The rate at the slider's end. The number field accepts higher ones. */
const RATE_AT_END = 2000;

/** Up to this rate, one step is one request a second, so that rounding never swallows a key press. */
const EVEN = (STEPS * STEPS) / RATE_AT_END;

/** @param {number} step */
export const rateOf = (step) => Math.max(step, Math.round((RATE_AT_END * step * step) / (STEPS * STEPS)));
/** @param {number} value */
export const stepOf = (value) =>
  value <= EVEN ? Math.round(value) : Math.round(STEPS * Math.sqrt(Math.min(1, value / RATE_AT_END)));

/** The lowest capacity, in requests a second, of which one percent can still be told. */
const SCALED_FROM = 10;
/** The share of the capacity from which queues grow: the article's 95 %. */
const FULL = 0.95;

/**
 * Returns the scale of a slider: the rate at each step, and the step of a rate.
 * @param {number | null} capacity what the machines can do, in requests a second, if that was measured
 */
export function scaleOf(capacity) {
  if (capacity === null || capacity < SCALED_FROM) return { rate: rateOf, step: stepOf };
  const unit = capacity < 2 * STEPS ? 10 : 1;
  return {
    rate: (/** @type {number} */ step) => Math.round((capacity * step * unit) / 100) / unit,
    step: (/** @type {number} */ value) => Math.min(STEPS, Math.round((100 * value) / capacity)),
  };
}

/**
 * The marks on a slider's scale: the measured capacity, and 95 % of it.
 * @param {any} traffic
 */
export function marks(traffic) {
  const full = el("span", { class: "tick before", "data-mark": "95" });
  const end = el("span", { class: "tick", "data-mark": "100" });
  const note = el("span", { class: "hint" });
  const element = el("div", { class: "marks", hidden: true }, [full, end, note]);
  /** @type {{ rate: number, of: string } | null} */
  let known = null;
  let scale = scaleOf(null);

  /** The machines that do the work: with others, a capacity says nothing. @param {any} state */
  function machines(state) {
    const names = reachable(state.machines, state.wires, traffic.to.split(/[/:]/)[0]);
    const used = state.machines.filter((/** @type {any} */ one) => names.has(one.name) && one.health !== "down");
    return used.map((/** @type {any} */ one) => `${one.name} ${one.cores}`).join();
  }

  return {
    element,
    scale: () => scale,
    /** @param {number} value */
    share: (value) => known ? `, ${Math.round((100 * value) / known.rate)} % of the capacity` : "",
    /** @param {any} state */
    update(state) {
      const search = state.capacity?.traffic === traffic.name ? state.capacity : null;
      if (search?.searching) known = null;
      else if (search?.rate > 0 && !search.distrust && !known) known = { rate: search.rate, of: machines(state) };
      set(element, { hidden: known === null });
      if (!known) return;
      scale = scaleOf(known.rate);
      for (const [tick, share] of /** @type {[HTMLElement, number][]} */ ([[full, FULL], [end, 1]])) {
        // The thumb's middle is half of its width away from both ends.
        tick.style.left = `calc(8px + (100% - 16px) * ${scale.step(share * known.rate) / STEPS})`;
      }
      set(full, { text: `95 %: ${rate(FULL * known.rate)}` });
      set(end, { text: `capacity: ${rate(known.rate)}/s` });
      set(note, { text: machines(state) === known.of ? "" : "The machines have changed since that was measured." });
    },
  };
}
