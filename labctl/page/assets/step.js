// The scene "Step the balancer": guess which upstream is next, then send one request.

import { post } from "./api.js";
import { choice, guarded, widget } from "./controls.js";
import { el, set } from "./dom.js";
import { ms } from "./format.js";

/** Policies that a balancer can be switched to. Sticky cookies need a secret, which only a balancer that starts has. */
const POLICIES = ["round-robin", "least-busy", "two-choices"];

/**
 * @param {string[]} names balancers
 * @param {((state: any) => void)[]} updates
 */
export function step(names, updates) {
  const to = choice("through", names);
  const mine = choice("Guess first: which server answers?", [""]);
  const policy = el("p", { class: "hint", id: "policy" });
  const out = el("output", { class: "result", text: "The picture says “next” on the wire whose turn it is." });
  const other = choice("Policy", POLICIES);
  other.select.id = "policy-choice";
  other.select.addEventListener(
    "change",
    guarded(async () => {
      const told = await post("policy", { to: to.select.value, policy: other.select.value });
      set(out, { text: `${told.policy} from the next request on` });
    }, out),
  );
  let announced = "";
  let upstreams = "";
  const guesses = { right: 0, all: 0 };
  updates.push((state) => {
    const from = state.wires.filter((/** @type {any} */ wire) => wire.from === to.select.value);
    announced = from.find((/** @type {any} */ wire) => wire.next)?.to ?? "";
    const all = from.map((/** @type {any} */ wire) => wire.to);
    if (String(all) !== upstreams) {
      upstreams = String(all);
      mine.select.replaceChildren(
        ...["", ...all].map((name) => el("option", { value: name, text: name || "no guess" })),
      );
    }
    const how = state.machines.find((/** @type {any} */ machine) => machine.name === to.select.value)?.policy;
    if (how) {
      const next = how.order.length > 0 ? ` · next: ${how.order.join(", ")}` : "";
      if (how.name === "sticky" && other.select.options.length === POLICIES.length) {
        other.select.append(el("option", { value: "sticky", text: "sticky" }));
      }
      // A menu that is open stays as it is.
      if (document.activeElement !== other.select) other.select.value = how.name;
      other.select.disabled = how.name === "sticky";
      set(policy, {
        text: `${how.name} · ${how.turns_taken.toLocaleString("en")} ${
          how.turns_taken === 1 ? "turn" : "turns"
        } taken${next}`,
      });
    }
  });
  const once = guarded(async () => {
    const before = announced;
    const told = await post("step", { to: to.select.value });
    const server = told.server ?? "nobody";
    const kept = before === ""
      ? ""
      : before === server
      ? " — as announced"
      : ` — ${before} was announced; other requests came between`;
    let score = "";
    if (mine.select.value !== "") {
      guesses.all += 1;
      if (mine.select.value === server) guesses.right += 1;
      score = ` · you guessed ${mine.select.value}: ${guesses.right} of ${guesses.all} right`;
    }
    set(out, {
      text: told.problem
        ? `${told.problem} after ${ms(told.ms)}`
        : `→ ${server}: ${told.status} in ${ms(told.ms)}${kept}${score}`,
    });
  });
  const button = el("button", { id: "step", click: once }, ["Send one request", el("kbd", { text: "space" })]);
  return {
    element: widget(
      "Step the balancer",
      [to.row, mine.row, button, other.row, policy, out],
      "w-step",
      () => [to.select.value],
    ),
    once,
  };
}
