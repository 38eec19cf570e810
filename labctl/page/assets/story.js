// The screen "Story": the chapter's steps, to be done by hand. `labctl run` does them too, and judges.

import { act, post, say, typed } from "./api.js";
import { guarded } from "./controls.js";
import { byId, el } from "./dom.js";

/** @param {any} hello */
export function story(hello) {
  const run = `${hello.labctl} run ${hello.chapter.name}`;
  const intro = el("section", { class: "card step" }, [
    el("h2", { text: hello.chapter.title }),
    el("p", { text: `${hello.chapter.question} Do the steps one after the other, and watch the Lab.` }),
    el("p", { class: "hint" }, ["A run does them by itself, measures and judges: ", el("code", { text: run })]),
  ]);
  byId("story").replaceChildren(
    intro,
    ...hello.story.map((/** @type {any} */ step, /** @type {number} */ at) => card(hello, step, at)),
  );
}

/** @param {any} hello @param {any} step @param {number} at */
function card(hello, step, at) {
  const loads = step.loads.map((/** @type {any} */ one) => ({
    label: `${one.traffic}: ${one.rate}/s`,
    go: () => post("load", one),
  }));
  const acts = step.acts.map((/** @type {any} */ one) => ({ label: one.command, go: () => act(one.act) }));
  const deeds = [...loads, ...acts];
  const all = guarded(async () => {
    for (const deed of deeds) {
      // Without the first one the others mean something else.
      if ((await deed.go()) === null) return;
    }
    say(`Step ${at + 1} is done: ${step.name}.`);
  });
  const each = deeds.map(({ label, go }) =>
    el("button", {
      class: "plain",
      click: guarded(async () => {
        await go();
      }),
    }, [label])
  );
  const whole = deeds.length > 1 ? [el("button", { "data-step": step.name, click: all }, ["Do this step"])] : [];
  const hints = step.only_a_run.map((/** @type {string} */ words) =>
    el("p", { class: "hint", text: `A run also ${words}.` })
  );
  return el("section", { class: "card step", "aria-label": `Step ${at + 1}: ${step.name}` }, [
    el("h2", { text: `${at + 1}. ${step.name}` }),
    el("p", { text: step.say }),
    el("div", { class: "buttons" }, [...whole, ...each]),
    ...hints,
    ...(step.claims.length > 0 ? [claims(hello, step)] : []),
  ]);
}

/** @param {any} hello @param {any} step */
function claims(hello, step) {
  const rows = step.claims.map((/** @type {any} */ one) =>
    el("li", {}, [
      ...(one.ask ? [el("p", { class: "hint", text: `Predict first: ${one.ask}` })] : []),
      el("span", { text: one.claim }),
      ...(one.article ? [el("blockquote", { text: `“${one.article}”` })] : []),
    ])
  );
  return el("details", { toggle: () => typed(`${hello.labctl} run ${hello.chapter.name}`) }, [
    el("summary", { text: `What is claimed (${step.claims.length})` }),
    el("ul", {}, rows),
  ]);
}
