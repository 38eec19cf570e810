// A slider for each traffic, on a quadratic scale: fine at low rates. Once it is measured what the machines can do, one
// step is one percent of that, and the scale is marked.

import { post, Refused } from "./api.js";
import { byId, el, set } from "./dom.js";
import { ms, rate } from "./format.js";
import { marks, STEPS } from "./marks.js";

const SEND_EVERY = 60;

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
    for (const view of state.traffics) all.get(view.name)?.update(view, state);
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
    step: "any",
    value: 0,
    "aria-label": `${traffic.name}, requests a second`,
  }));
  const figures = el("p", { class: "figures-line", text: "idle" });
  const scaled = marks(traffic);
  const title = `${traffic.method} ${traffic.path} to ${traffic.to}`;
  const row = el("div", { class: "slider" }, [
    el("label", { for: id, text: traffic.name, title }),
    range,
    number,
    scaled.element,
    figures,
  ]);
  let wanted = 0;
  let sending = false;
  let touched = 0;

  /** @param {number} value */
  function show(value) {
    if (document.activeElement !== number) number.value = String(value);
    range.value = String(scaled.scale().step(value));
    set(range, { "aria-valuetext": `${rate(value)} requests a second${scaled.share(value)}` });
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

  range.addEventListener("input", () => send(scaled.scale().rate(Number(range.value))));
  number.addEventListener("change", () => {
    if (number.value !== "" && number.checkValidity()) send(Number(number.value));
    else number.reportValidity();
  });

  return {
    row,
    send,
    /** @param {any} view @param {any} state */
    update(view, state) {
      scaled.update(state);
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
