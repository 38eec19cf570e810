// The screen "Story": the chapter's steps, taken by hand or by a run, which also judges the claims as it goes.

import { act, post, say, typed } from "./api.js";
import { guarded } from "./controls.js";
import { byId, el, set } from "./dom.js";
import { guess } from "./guess.js";
import { ms, rate } from "./format.js";

const VERDICTS = /** @type {Record<string, string>} */ ({
  holds: "✓ as claimed",
  fails: "✗ not as expected",
  inconclusive: "? inconclusive",
  skipped: "– not judged",
});

export function story() {
  /** @type {Map<string, { item: Element, out: Element, question: ReturnType<typeof guess> | null }>} */
  let claims = new Map();
  /** @type {Map<string, Element>} */
  let steps = new Map();
  let now = el("p");

  /** @param {any} hello */
  function begin(hello) {
    claims = new Map();
    steps = new Map();
    // A run needs labctl on this computer, and another lab than this stack.
    const command = `${hello.can_act ? hello.labctl : "labctl"} run ${hello.chapter.name}`;
    now = el("p", { class: "status", id: "run-now", role: "status" });
    const how = hello.run
      ? [el("p", { text: `${hello.chapter.question} A run does the steps, measures and judges.` }), now]
      : [
        el("p", { text: `${hello.chapter.question} Do the steps one after the other, and watch the Lab.` }),
        el("p", { class: "hint" }, [
          "A run takes the steps itself, on this page as well, and also measures and judges: ",
          el("code", { text: `${command} --page` }),
        ]),
      ];
    const intro = el("section", { class: "card step" }, [el("h2", { text: hello.chapter.title }), ...how]);
    byId("story").replaceChildren(
      intro,
      ...hello.story.map((/** @type {any} */ step, /** @type {number} */ at) => card(hello, step, at)),
    );
  }

  /** @param {any} hello @param {any} step @param {number} at */
  function card(hello, step, at) {
    const hints = step.only_a_run.map((/** @type {string} */ words) =>
      el("p", { class: "hint", text: `A run also ${words}.` })
    );
    const element = el("section", {
      class: "card step",
      "aria-label": `Step ${at + 1}: ${step.name}`,
      "data-step": step.name,
    }, [
      el("h2", { text: `${at + 1}. ${step.name}` }),
      el("p", { text: step.say }),
      ...(hello.run ? [] : [deeds(step, at), ...hints]),
      ...(step.claims.length > 0 ? [claimed(hello, step)] : []),
    ]);
    steps.set(step.name, element);
    return element;
  }

  /** @param {any} hello @param {any} step */
  function claimed(hello, step) {
    const rows = step.claims.map((/** @type {any} */ one) => {
      const question = one.ask ? guess(one.ask, one.unit ?? "") : null;
      const out = el("span", { class: "hint verdict" });
      const item = el("li", {}, [
        question?.element ?? null,
        el("span", { text: one.claim }),
        " ",
        out,
        one.article ? el("blockquote", { text: `“${one.article}”` }) : null,
      ]);
      claims.set(`${step.name} ${one.claim}`, { item, out, question });
      return item;
    });
    return el("details", {
      open: hello.run,
      toggle: () => hello.run || !hello.can_act || typed(`${hello.labctl} run ${hello.chapter.name}`),
    }, [
      el("summary", { text: `What is claimed (${step.claims.length})` }),
      el("ul", {}, rows),
    ]);
  }

  /** @param {any} result */
  function judge(result) {
    const known = claims.get(`${result.step} ${result.claim}`);
    if (!known) return;
    const measured = result.measured === null
      ? ""
      : ` · measured: ${+Number(result.measured).toPrecision(3)}${result.unit}`;
    const refuted = result.verdict === "holds" && result.expected === "refute"
      ? "≠ refuted, as expected"
      : VERDICTS[result.verdict];
    set(known.out, { text: `${refuted}${measured}` });
    set(known.item, { "data-verdict": result.verdict });
    if (result.measured !== null) known.question?.measure(result.measured);
  }

  return {
    begin,
    /** @param {any} event */
    run({ event, about }) {
      if (event === "step") {
        for (const [name, element] of steps) {
          const is = name === about.name;
          if (is && steps.get(name)?.getAttribute("aria-current") !== "step") {
            element.scrollIntoView({ block: "nearest" });
          }
          set(element, { "aria-current": is ? "step" : null });
        }
        say(`Step ${about.number} of ${about.of}: ${about.name}`);
      } else if (event === "claim") judge(about);
      else if (event === "tried") {
        set(now, {
          text: `${about.traffic}: ${rate(about.rate)}/s is ${about.tried.met ? "good" : "too much"} (p99 ${
            ms(about.tried.p99_ms)
          })`,
        });
      } else if (event === "ended") {
        for (const element of steps.values()) set(element, { "aria-current": null });
        set(now, {
          text: about.problem ?? `The run has ended: ${about.held} of ${about.claims} claims are as expected.`,
          "data-ended": "true",
        });
      }
    },
    /** @param {any} state */
    update(state) {
      if (state.run && now.dataset.ended !== "true") {
        set(now, { text: `${state.run.doing}, ${state.run.left_s.toFixed(0)} s left at most` });
      }
    },
  };
}

/** @param {any} step @param {number} at */
function deeds(step, at) {
  const loads = step.loads.map((/** @type {any} */ one) => ({
    label: `${one.traffic}: ${one.rate}/s`,
    go: () => post("load", one),
  }));
  const acts = step.acts.map((/** @type {any} */ one) => ({ label: one.command, go: () => act(one.act) }));
  const all = [...loads, ...acts];
  const every = guarded(async () => {
    for (const deed of all) {
      // If the first action failed, the following ones would mean something else.
      if ((await deed.go()) === null) return;
    }
    say(`Step ${at + 1} is done: ${step.name}.`);
  });
  const each = all.map(({ label, go }) =>
    el("button", {
      class: "plain",
      click: guarded(async () => {
        await go();
      }),
    }, [label])
  );
  const whole = all.length > 1 ? [el("button", { "data-do": step.name, click: every }, ["Do this step"])] : [];
  return el("div", { class: "buttons" }, [...whole, ...each]);
}
