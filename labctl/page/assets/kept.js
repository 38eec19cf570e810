// A stored run at one moment: its picture, its traffic, its claims.

import { chart } from "./chart.js";
import { el, set } from "./dom.js";
import { grouped } from "./groups.js";
import { picture } from "./picture.js";
import { lately, seconds, stateAt, words } from "./replay.js";

/** @param {string} path */
export async function get(path) {
  const answer = await fetch(`/api/${path}`);
  const told = await answer.json();
  if (!answer.ok) throw new Error(told.detail ?? told.error);
  return told;
}

/** @param {string} name @param {() => void} changed */
export function kept(name, changed) {
  const select =
    /** @type {HTMLSelectElement} */ (el("select", { id: `run-${name}`, "aria-label": `The ${name} run` }));
  const stage = el("div", { class: "picture" });
  const title = el("p", { class: "hint" });
  const happened = el("ol", { class: "events" });
  const claims = el("ul", { class: "claims" });
  const drawing = picture(stage, () => {});
  const rates = chart("Requests a second", "requests a second", [
    { name: "offered", colour: "--muted", dash: [5, 4], of: (second) => second.offered },
    { name: "good", colour: "--well", dash: [], of: (second) => second.good },
    { name: "failed", colour: "--down", dash: [2, 2], of: (second) => second.failed },
  ]);
  const element = el("section", { class: "card side-run empty", "aria-label": `The ${name} run` }, [
    select,
    title,
    stage,
    happened,
    rates.figure,
    claims,
  ]);
  /** @type {any} */
  let run = null;
  /** @type {any[]} */
  let course = [];

  async function load() {
    run = null;
    if (select.value) {
      try {
        run = await get(`runs/${select.value}`);
        course = seconds(run);
      } catch (error) {
        set(title, { text: String(error) });
      }
    }
    element.classList.toggle("empty", run === null);
    if (run) {
      set(title, { text: `${run.title} · ${run.claims.length} claims: ${run.verdict}` });
      const items = run.claims.map((/** @type {any} */ one) => {
        const measured = one.measured === null ? "" : ` (${+Number(one.measured).toPrecision(3)}${one.unit})`;
        return el("li", {
          text: `${one.verdict === "holds" ? "✓" : one.verdict === "fails" ? "✗" : "?"} ${one.claim}${measured}`,
        });
      });
      claims.replaceChildren(...items);
    }
    drawing.redraw();
    changed();
  }
  select.addEventListener("change", load);

  return {
    element,
    value: () => select.value,
    /** @param {string} run */
    async choose(run) {
      select.value = run;
      await load();
    },
    seconds: () => run?.seconds ?? 0,
    /** @param {any[]} runs */
    offer(runs) {
      const before = select.value;
      const options = runs.map((one) => {
        const when = one.began.slice(0, 16).replace("T", " ");
        return el("option", {
          value: `${one.chapter}/${one.run}`,
          text: `${one.chapter} · ${when} · ${one.held} of ${one.claims}`,
        });
      });
      select.replaceChildren(
        el("option", { value: "", text: name === "first" ? "choose a run" : "beside it: none" }),
        ...options,
      );
      select.value = before;
      if (!select.value) element.classList.add("empty");
    },
    /** @param {number} at */
    show(at) {
      if (!run) return;
      const moment = Math.min(at, run.seconds);
      drawing.update(grouped(stateAt(run, moment)), "");
      rates.draw(course, run.seconds, run.faults.map((/** @type {any} */ one) => ({ at: one.from, what: one.what })), {
        span: run.seconds,
        cursor: moment,
      });
      const step = [...run.steps].reverse().find(([, from]) => from <= moment);
      const rows = lately(run, moment).slice(-4).map((/** @type {any} */ one) =>
        el("li", {}, [el("time", { text: `${one.at.toFixed(1)} s` }), el("span", { class: "what", text: words(one) })])
      );
      happened.replaceChildren(
        el("li", {}, [el("time", { text: "step" }), el("strong", { text: step ? step[0] : "starting" })]),
        ...rows,
      );
    },
  };
}
