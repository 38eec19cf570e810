// A slider for each traffic, on a quadratic scale: fine at low rates.

import { post, Refused } from "./api.js";
import { byId, el, set } from "./dom.js";
import { ms, rate } from "./format.js";

const STEPS = 200;
/** The rate at the slider's end. The number field accepts higher ones. */
const RATE_AT_END = 2000;
const SEND_EVERY = 60;

/** Up to this rate, one step is one request a second, so that rounding never swallows a key press. */
const EVEN = (STEPS * STEPS) / RATE_AT_END;

/** @param {number} step */
export const rateOf = (step) => Math.max(step, Math.round((RATE_AT_END * step * step) / (STEPS * STEPS)));
/** @param {number} value */
export const stepOf = (value) =>
  value <= EVEN ? Math.round(value) : Math.round(STEPS * Math.sqrt(Math.min(1, value / RATE_AT_END)));

export function sliders() {
  const place = byId("sliders");
  /** @type {Map<string, ReturnType<typeof slider>>} */
  let all = new Map();

  /** @param {any} hello */
  function begin(hello) {
    all = new Map(hello.traffics.map((/** @type {any} */ traffic) => [traffic.name, slider(traffic, hello.rate_max)]));
    const rows = [...all.values()].map((one) => one.row);
    const more = rows.length > 3
      ? [el("details", {}, [el("summary", { text: `${rows.length - 3} more` }), ...rows.slice(3)])]
      : [];
    const stop = el("button", {
      text: "Stop all traffic",
      class: "plain",
      click: () => all.forEach((one) => one.send(0)),
    });
    place.replaceChildren(
      ...(rows.length > 0 ? [...rows.slice(0, 3), ...more, stop] : [el("p", { text: "This chapter has no traffic." })]),
    );
  }

  /** @param {any} state */
  function update(state) {
    for (const view of state.traffics) all.get(view.name)?.update(view);
  }

  return { begin, update };
}

/** @param {any} traffic @param {number} max */
function slider(traffic, max) {
  const id = `rate-${traffic.name}`;
  const range = /** @type {HTMLInputElement} */ (el("input", {
    type: "range",
    id,
    min: 0,
    max: STEPS,
    step: 1,
    value: 0,
    "data-traffic": traffic.name,
  }));
  const number = /** @type {HTMLInputElement} */ (el("input", {
    type: "number",
    min: 0,
    max,
    step: 1,
    value: 0,
    "aria-label": `${traffic.name}, requests a second`,
  }));
  const figures = el("p", { class: "figures-line", text: "idle" });
  const title = `${traffic.method} ${traffic.path} to ${traffic.to}`;
  const row = el("div", { class: "slider" }, [
    el("label", { for: id, text: traffic.name, title }),
    range,
    number,
    figures,
  ]);
  let wanted = 0;
  let sending = false;
  let touched = 0;

  /** @param {number} value */
  function show(value) {
    if (document.activeElement !== number) number.value = String(value);
    range.value = String(stepOf(value));
    set(range, { "aria-valuetext": `${rate(value)} requests a second` });
  }

  /**
   * Sends the latest rate, one request at a time.
   * @param {number} value
   */
  async function send(value) {
    wanted = value;
    touched = performance.now();
    show(value);
    if (sending) return;
    sending = true;
    try {
      for (let sent = -1; sent !== wanted;) {
        sent = wanted;
        await post("load", { traffic: traffic.name, rate: sent });
        await new Promise((resolve) => setTimeout(resolve, SEND_EVERY));
      }
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
    } finally {
      sending = false;
      touched = performance.now();
    }
  }

  range.addEventListener("input", () => send(rateOf(Number(range.value))));
  number.addEventListener("change", () => {
    if (number.value !== "" && number.checkValidity()) send(Number(number.value));
    else number.reportValidity();
  });

  return {
    row,
    send,
    /** @param {any} view */
    update(view) {
      // Another tab or a terminal may have changed the rate; recent input in this tab takes precedence.
      if (!sending && performance.now() - touched > 800) show(view.rate);
      const active = view.rate > 0 || view.in_flight > 0 || view.ok > 0 || view.failed > 0;
      const failed = view.failed > 0 ? ` · ${rate(view.failed)}/s failed` : "";
      set(figures, {
        text: active
          ? `${rate(view.ok)}/s good${failed} · p99 ${ms(view.p99_ms)} · ${view.in_flight} in flight`
          : "idle",
      });
    },
  };
}
