// The screen "Traffic": the last minute of all traffics, and the responses by server.

import { chart } from "./chart.js";
import { byId, el, table } from "./dom.js";
import { ms, percent, rate } from "./format.js";

export function traffic() {
  const place = byId("charts");
  const rates = chart("Requests a second", "requests a second", [
    { name: "offered", colour: "--muted", dash: [5, 4], of: (second) => second.offered },
    { name: "good", colour: "--well", dash: [], of: (second) => second.good },
    { name: "failed", colour: "--down", dash: [2, 2], of: (second) => second.failed },
  ]);
  const times = chart("Response times of good answers, in milliseconds", "milliseconds", [
    { name: "p50", colour: "--muted", dash: [], of: (second) => second.p50_ms },
    { name: "p99", colour: "--text", dash: [6, 3], of: (second) => second.p99_ms },
  ]);
  const served = el("div", { tabindex: 0, class: "scroll served" });
  place.replaceChildren(rates.figure, times.figure, served);
  /** @type {any[]} */
  let seconds = [];
  /** @type {{ at: number, what: string }[]} */
  let faults = [];

  return {
    /** @param {any} hello @param {boolean} isNew */
    begin(hello, isNew) {
      seconds = hello.history;
      if (isNew) faults = [];
    },
    /** @param {any} event */
    fault(event) {
      faults = [...faults.slice(-50), { at: event.at, what: event.text }];
    },
    /** @param {any} state */
    update(state) {
      const last = seconds[seconds.length - 1];
      if (!last || state.at - last.at >= 1) {
        const totals = state.totals;
        const p50 = state.traffics.map((/** @type {any} */ view) => view.p50_ms ?? 0);
        seconds = [...seconds, {
          at: state.at,
          offered: totals.offered,
          good: totals.good,
          failed: totals.failed,
          p50_ms: totals.p99_ms === null ? null : Math.max(0, ...p50),
          p99_ms: totals.p99_ms,
        }].slice(-60);
      }
      if (byId("screen-traffic").hidden) return;
      rates.draw(seconds, state.at, faults);
      times.draw(seconds, state.at, faults);
      const rows = state.traffics.filter((/** @type {any} */ view) => view.rate > 0 || view.ok + view.failed > 0).map(
        (/** @type {any} */ view) => {
          const all = Object.values(view.served).reduce(
            (/** @type {number} */ sum, /** @type {any} */ count) => sum + count,
            0,
          );
          const shares = Object.entries(view.served).sort().map(([name, count]) =>
            `${name} ${percent(Number(count) / Math.max(1, Number(all)))}`
          );
          const cache = Object.entries(view.cache).map(([mark, count]) => `${mark} ${count}`);
          return [
            view.name,
            rate(view.rate),
            rate(view.ok),
            rate(view.failed),
            ms(view.p50_ms),
            ms(view.p99_ms),
            shares.join(", ") || "–",
            cache.join(", ") || "–",
          ];
        },
      );
      served.replaceChildren(
        table("Active traffics: the last second", [
          "traffic",
          "offered",
          "good",
          "failed",
          "p50",
          "p99",
          "by server",
          "cache",
        ], rows.length > 0 ? rows : [["none", "", "", "", "", "", "", ""]]),
      );
    },
  };
}
