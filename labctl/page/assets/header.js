// The figures at the top: totals of all traffic.

import { byId, el, set } from "./dom.js";
import { clock, ms, rate } from "./format.js";

export function header() {
  const place = byId("figures");
  const cell = (/** @type {string} */ id, /** @type {string} */ name, /** @type {string} */ title) => {
    const value = el("dd", { id, text: "–" });
    const note = el("dd", { class: "note" });
    place.append(el("div", { title }, [el("dt", { text: name }), value, note]));
    return { value, note };
  };
  const offered = cell("offered", "offered", "The offered rate, in requests a second");
  const good = cell("good", "good", "Answers a second that were good");
  const failed = cell("failed", "failed", "Requests that failed since the last fault");
  const p99 = cell("p99", "p99", "99 % of the good answers of the last second took at most this long");
  const late = cell(
    "late",
    "generator late",
    "How late requests were sent (p99): above 5 ms, do not trust the figures",
  );

  return {
    /** @param {any} state */
    update(state) {
      const totals = state.totals;
      set(offered.value, { text: `${rate(totals.offered)}/s` });
      set(good.value, { text: `${rate(totals.good)}/s` });
      const fault = totals.fault;
      set(failed.value, {
        text: fault ? fault.failed.toLocaleString("en") : `${rate(totals.failed)}/s`,
        class: totals.failed > 0 ? "bad" : "",
      });
      set(failed.note, {
        text: fault ? since(fault, state.at) : "no fault yet",
      });
      set(p99.value, { text: ms(totals.p99_ms) });
      set(late.value, { text: totals.offered > 0 ? ms(totals.lag_ms) : "–", class: totals.lag_ms > 5 ? "bad" : "" });
      set(late.note, { text: totals.lag_ms > 5 ? "over 5 ms: do not trust these" : "" });
      set(good.note, { text: totals.in_flight > 0 ? `${totals.in_flight} in flight` : "" });
    },
  };
}

/**
 * Says out of how many requests, and since when; failures are counted only for a while after a fault.
 * @param {any} fault
 * @param {number} now
 */
function since(fault, now) {
  const all = `of ${fault.of.toLocaleString("en")}`;
  const isOver = now - fault.at > fault.counted_s + 3;
  return isOver
    ? `${all} in ${fault.counted_s.toFixed(0)} s from ${clock(fault.at)}`
    : `${all} since ${clock(fault.at)}`;
}
