// What differs between two stored runs of a chapter: verdicts, figures, and values of the chapter file.

import { el, set, table } from "./dom.js";
import { get } from "./kept.js";

/** @param {any} run */
const pathOf = (run) => `${run.chapter}/${run.run}`;

/**
 * Picks the runs to begin with: the two newest of one chapter, the earlier one first. Pure.
 * @param {any[]} runs the newest first
 * @param {string} wanted the chapter to prefer
 * @returns {string[]} none, one or two
 */
export function pairOf(runs, wanted) {
  const of = (/** @type {string} */ chapter) => runs.filter((one) => one.chapter === chapter).slice(0, 2);
  const preferred = of(wanted);
  const pairs = [preferred, ...runs.map((one) => of(one.chapter))];
  const pair = pairs.find((two) => two.length === 2) ?? (preferred.length > 0 ? preferred : runs.slice(0, 1));
  return [...pair].reverse().map(pathOf);
}

export function difference() {
  const said = el("p", { class: "status", role: "status", id: "differs" });
  const rows = el("div", { tabindex: 0, class: "scroll" });
  const how = el("p", { class: "hint", id: "second-run" });
  const element = el("section", { class: "card", "aria-labelledby": "h-differs", hidden: true }, [
    el("h2", { id: "h-differs", text: "What differs" }),
    said,
    how,
    rows,
  ]);
  /** @type {any[]} */
  let runs = [];
  let asked = "";

  /** @param {string} chapter */
  function tellHow(chapter) {
    const count = runs.filter((one) => one.chapter === chapter).length;
    const command = `labctl run ${chapter} --seed 7 --lab-dir .lab-2 --network 127.78`;
    const another = [
      ` Make another one, with other arrivals: `,
      el("code", { text: command }),
      `. With another value, such as more cores, add `,
      el("code", { text: "--set machine.NAME.cores=2" }),
      ". Then press 5 again.",
    ];
    how.replaceChildren(...(count === 1 ? [`There is one run of ${chapter}.`, ...another] : []));
  }

  /** @param {any} told */
  function draw(told) {
    set(said, { text: told.summary });
    const changed = told.lines.filter((/** @type {any} */ one) => one.change !== "the same");
    changed.sort((/** @type {any} */ a, /** @type {any} */ b) => Number(b.flipped) - Number(a.flipped));
    const cells = (/** @type {any} */ one) => [`${one.step}: ${one.claim}`, one.first, one.second, one.change];
    const same = told.lines.length - changed.length;
    const parts = [el("p", { class: "hint", text: `first: ${told.first} · second: ${told.second}` })];
    if (told.differences.length > 0) {
      const keys = told.differences.map((/** @type {any} */ one) => [one.key, one.first, one.second]);
      parts.push(table("The chapter files", ["value", "first", "second"], keys));
    } else parts.push(el("p", { text: "Both were of the same chapter file." }));
    if (changed.length > 0) {
      parts.push(table("Verdicts and figures", ["claim", "first", "second", "change"], changed.map(cells)));
    }
    if (same > 0) {
      parts.push(el("p", { class: "hint", text: `${same} of ${told.lines.length} claims: the same figure.` }));
    }
    rows.replaceChildren(...parts);
  }

  /** @param {string} first @param {string} second as `chapter/run` */
  async function show(first, second) {
    const wanted = `${first} ${second}`;
    const chapter = first.split("/")[0];
    set(element, { hidden: first === "" });
    tellHow(chapter);
    if (wanted === asked) return;
    asked = wanted;
    rows.replaceChildren();
    set(said, { text: second === "" ? "Choose a second run to see what differs." : "" });
    if (first === "" || second === "") return;
    if (first === second) return set(said, { text: "This is one run, twice." });
    if (chapter !== second.split("/")[0]) {
      return set(said, { text: "These are runs of two chapters: only runs of one can be compared, claim by claim." });
    }
    try {
      const told = await get(`compare/${first}/${second.split("/")[1]}`);
      if (wanted === asked) draw(told);
    } catch (error) {
      set(said, { text: String(error) });
    }
  }

  return { element, show, know: (/** @type {any[]} */ all) => (runs = all) };
}
