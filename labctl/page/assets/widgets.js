// The article's scenes: each a few controls, and one figure that was measured.

import { act, post } from "./api.js";
import { byId, el, set } from "./dom.js";
import { ms, percent } from "./format.js";
import { accounts } from "./accounts.js";
import { choice, guarded, widget } from "./controls.js";
import { visitors } from "./visitors.js";

export function widgets() {
  /** @type {(() => void) | null} */
  let stepOnce = null;
  /** @type {((state: any) => void)[]} */
  let updates = [];

  /** @param {any} hello */
  function begin(hello) {
    updates = [];
    const kinds = (/** @type {string} */ what) =>
      hello.kinds.filter((/** @type {any} */ one) => one[what]).map((/** @type {any} */ one) => one.kind);
    const entrances = [...new Set(hello.traffics.map((/** @type {any} */ one) => one.to.split(/[/:]/)[0]))];
    const shops = entrances.filter((name) => kinds("lb").includes(name) || kinds("webserver").includes(name));
    const all = [];
    const balanced = shops.filter((name) => kinds("lb").includes(name));
    stepOnce = null;
    if (balanced.length > 0) all.push(step(balanced));
    const countable = hello.kinds.filter((/** @type {any} */ one) => one.countable && one.webserver).map((
      /** @type {any} */ one,
    ) => one.kind);
    if (countable.length > 0) all.push(add(countable));
    if (shops.length > 0) all.push(lookup(shops));
    const money = shops.filter((name) =>
      hello.traffics.some((/** @type {any} */ one) => one.to === name && one.path.startsWith("/accounts"))
    );
    if (money.length > 0) all.push(accounts(money));
    const visited = shops.filter((name) =>
      hello.traffics.some((/** @type {any} */ one) => one.to === name && /^\/(login|me|cart)/.test(one.path))
    );
    if (visited.length > 0) all.push(visitors(visited));
    all.push(
      el("button", { class: "plain", click: () => act({ act: "heal-all" }) }, [
        "Heal every link",
        el("kbd", { text: "h" }),
      ]),
    );
    byId("widgets").replaceChildren(...all);
  }

  /** @param {string[]} names */
  function step(names) {
    const to = choice("through", names);
    const out = el("output", { class: "result", text: "Whose turn is it? The picture says “next” on the wire." });
    const announced = { name: "" };
    updates.push((state) => {
      const next = state.wires.find((/** @type {any} */ wire) => wire.next && wire.from === to.select.value);
      announced.name = next?.to ?? "";
    });
    const once = guarded(async () => {
      const before = announced.name;
      const told = await post("step", { to: to.select.value });
      const server = told.server ?? "nobody";
      const kept = before
        ? (before === server ? " — as announced" : ` — ${before} was announced; other requests came between`)
        : "";
      set(out, {
        text: told.problem
          ? `${told.problem} after ${ms(told.ms)}`
          : `→ ${server}: ${told.status} in ${ms(told.ms)}${kept}`,
      });
    });
    stepOnce = once;
    return widget("Step the balancer", [
      to.row,
      el("button", { id: "step", click: once }, ["Send one request", el("kbd", { text: "space" })]),
      out,
    ], "w-step");
  }

  /** @param {string[]} kinds */
  function add(kinds) {
    const kind = choice("of", kinds);
    const shares = el("p", { class: "result", text: "The share of each server shows while traffic flows." });
    updates.push((state) => {
      /** @type {Map<string, number>} */
      const served = new Map();
      for (const view of state.traffics) {
        for (const [name, count] of Object.entries(view.served)) {
          if (name.startsWith(`${kind.select.value}-`)) served.set(name, (served.get(name) ?? 0) + count);
        }
      }
      const sum = [...served.values()].reduce((total, count) => total + count, 0);
      if (sum === 0) return;
      const words = [...served].sort().map(([name, count]) => `${name} ${percent(count / sum)}`);
      set(shares, { text: words.join(" · ") });
    });
    const button = el("button", { id: "add", click: () => act({ act: "add", kind: kind.select.value }) }, [
      "Add a server",
    ]);
    return widget("Add a server", [kind.row, button, shares], "w-add");
  }

  /** @param {string[]} names */
  function lookup(names) {
    const to = choice("at", names);
    const id =
      /** @type {HTMLInputElement} */ (el("input", { id: "product", value: "42", size: 6, "aria-label": "Product" }));
    const out = el("output", { class: "result" });
    const bar = el("div", { class: "parts", "aria-hidden": "true" });
    const button = el("button", {
      id: "lookup",
      click: guarded(async () => {
        const told = await post("lookup", { to: to.select.value, id: id.value.trim() });
        const parts = Object.entries(told.timing);
        const words = parts.map(([name, time]) => `${name} ${ms(Number(time))}`);
        const where = told.cache ? `${told.cache} ` : "";
        set(out, {
          text: told.problem ??
            `${where}${told.status} in ${ms(told.ms)}${told.server ? ` from ${told.server}` : ""}${
              words.length > 0 ? ` (${words.join(", ")})` : ""
            }`,
        });
        const all = Math.max(told.ms, 0.1);
        bar.replaceChildren(
          ...[...parts, ["rest", Math.max(0, all - parts.reduce((sum, [, time]) => sum + Number(time), 0))]].map(
            ([name, time]) => {
              const part = el("span", { class: `part-${name}` });
              part.style.flexGrow = String(Number(time) / all);
              return part;
            },
          ),
        );
      }),
    }, ["Look it up"]);
    return widget("Look up a product", [to.row, el("div", { class: "row" }, [id, button]), out, bar], "w-lookup");
  }

  return {
    begin,
    /** @param {any} state */
    update: (state) => updates.forEach((update) => update(state)),
    step: () => stepOnce?.(),
  };
}
