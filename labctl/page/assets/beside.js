// Two set-ups side by side: one slider sends both the same traffic, and their figures are compared.

import { post } from "./api.js";
import { chart } from "./chart.js";
import { choice, guarded, widget } from "./controls.js";
import { el, set } from "./dom.js";
import { ms, percent, rate } from "./format.js";
import { rateOf, stepOf } from "./marks.js";

/**
 * Finds traffics that differ only in their target: `flood-combined` and `flood-separated`; `x1` and `x2`.
 * @param {any[]} traffics
 * @returns {Map<string, Map<string, any>>} for each set-up, its traffics by kind of work
 */
export function setUps(traffics) {
  /** @type {Map<string, any[]>} */
  const families = new Map();
  for (const one of traffics) {
    const cut = one.name.indexOf("-");
    const family = `${one.method} ${cut < 0 ? "" : one.name.slice(0, cut)}`;
    families.set(family, [...(families.get(family) ?? []), {
      ...one,
      does: cut < 0 ? "all" : one.name.slice(0, cut),
      setUp: one.name.slice(cut + 1),
    }]);
  }
  /** @type {Map<string, Map<string, any>>} */
  const found = new Map();
  for (const family of families.values()) {
    if (family.length < 2) continue;
    for (const one of family) found.set(one.setUp, (found.get(one.setUp) ?? new Map()).set(one.does, one));
  }
  return found;
}

/**
 * @param {any[]} traffics
 * @param {((state: any) => void)[]} updates
 */
export function beside(traffics, updates) {
  const all = setUps(traffics);
  const names = [...all.keys()];
  const left = choice("left", names);
  const right = choice("right", names);
  // The pair with the most traffics in common is what the chapter compares; a traffic named after one set-up counts most.
  const shared = (/** @type {string} */ a, /** @type {string} */ b) =>
    [...(all.get(a)?.keys() ?? [])].filter((does) => all.get(b)?.has(does));
  const worth = (/** @type {string[]} */ [a, b]) =>
    shared(a, b).reduce((sum, does) => sum + (does === "all" ? 1 : 9), 0);
  const best = names.flatMap((a, at) => names.slice(at + 1).map((b) => [a, b])).sort((x, y) => worth(y) - worth(x))[0];
  [left.select.value, right.select.value] = best;
  const sliders = el("div", {});
  const figures = el("div", { tabindex: 0, class: "scroll" });
  const charts = el("div", {});
  /** @type {ReturnType<typeof chart>[]} one for each kind of work, so that no traffic hides another */
  let drawings = [];
  /** @type {any[]} */
  let seconds = [];

  const nameOf = (/** @type {any} */ side, /** @type {string} */ what) => all.get(side.select.value)?.get(what).name;

  const redraw = () => {
    seconds = [];
    drawings = shared(left.select.value, right.select.value).map((what) => {
      const [one, other] = [nameOf(left, what), nameOf(right, what)];
      return chart(`p99${what === "all" ? "" : ` of ${what}`}, in milliseconds`, "milliseconds", [
        { name: one, colour: "--text", dash: [], of: (second) => second[one] },
        { name: other, colour: "--muted", dash: [6, 3], of: (second) => second[other] },
      ]);
    });
    charts.replaceChildren(...drawings.map((one) => one.figure));
    const does = shared(left.select.value, right.select.value);
    sliders.replaceChildren(...does.map((what) => {
      const id = `both-${what}`;
      const range = /** @type {HTMLInputElement} */ (el("input", {
        type: "range",
        id,
        min: 0,
        max: 200,
        value: 0,
        "aria-valuetext": "0 requests a second",
      }));
      const out = el("span", { class: "hint", text: "0/s each" });
      range.addEventListener(
        "change",
        guarded(async () => {
          const wanted = rateOf(Number(range.value));
          set(out, { text: `${rate(wanted)}/s each` });
          set(range, { "aria-valuetext": `${wanted} requests a second` });
          for (const side of [left, right]) {
            await post("load", { traffic: nameOf(side, what), rate: wanted });
          }
        }),
      );
      return el("div", { class: "slider" }, [
        el("label", { for: id, text: what === "all" ? "requests" : what }),
        range,
        out,
      ]);
    }));
  };
  left.select.addEventListener("change", redraw);
  right.select.addEventListener("change", redraw);
  redraw();

  updates.push((state) => {
    const does = shared(left.select.value, right.select.value);
    const view = (/** @type {any} */ side, /** @type {string} */ what) =>
      state.traffics.find((/** @type {any} */ one) => one.name === nameOf(side, what)) ?? {};
    if (seconds.length === 0 || state.at - seconds[seconds.length - 1].at >= 1) {
      const times = state.traffics.map((/** @type {any} */ one) => [one.name, one.p99_ms]);
      seconds = [...seconds, { ...Object.fromEntries(times), at: state.at }].slice(-60);
      for (const drawing of drawings) drawing.draw(seconds, state.at, []);
      for (const what of does) {
        const range = /** @type {HTMLInputElement | null} */ (document.getElementById(`both-${what}`));
        if (range && document.activeElement !== range) range.value = String(stepOf(view(left, what).rate ?? 0));
      }
    }
    const words = (/** @type {any} */ one) => {
      const marks = Object.entries(one.cache ?? {}).filter(([mark]) => mark !== "none");
      const all = marks.reduce((sum, [, count]) => sum + Number(count), 0);
      const hits = marks.find(([mark]) => mark === "hit")?.[1];
      return [rate(one.ok), ms(one.p99_ms), rate(one.failed), all > 0 ? percent(Number(hits ?? 0) / all) : "–"];
    };
    const rows = does.flatMap((what) =>
      [[left, "left"], [right, "right"]].map(([side, word]) => {
        const of = /** @type {typeof left} */ (side).select.value;
        return el("tr", { "data-side": String(word), "data-does": what }, [
          el("th", { scope: "row", text: what === "all" ? of : `${what} ${of}` }),
          ...words(view(side, what)).map((text) => el("td", { text })),
        ]);
      })
    );
    const heads = ["", "good/s", "p99", "failed/s", "hits"].map((text) =>
      el("th", { scope: "col", text: text || "traffic" })
    );
    figures.replaceChildren(
      el("table", {}, [
        el("caption", { text: "The last second" }),
        el("thead", {}, [el("tr", {}, heads)]),
        el("tbody", {}, rows),
      ]),
    );
  });
  return widget(
    "Side by side",
    [el("div", { class: "row" }, [left.row, right.row]), sliders, figures, charts],
    "w-beside",
    () => {
      const does = shared(left.select.value, right.select.value);
      const of = (/** @type {any} */ side) =>
        does.map((what) => all.get(side.select.value)?.get(what).to.split(/[/:]/)[0]);
      return [...new Set([...of(left), ...of(right)])];
    },
  );
}
