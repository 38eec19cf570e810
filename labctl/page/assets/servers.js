// The scenes "Add a server" (each server's share, guessed and measured) and "Look up a product" (which server answered,
// and from where).

import { act, post } from "./api.js";
import { choice, deed, guarded, widget } from "./controls.js";
import { el, set } from "./dom.js";
import { ms, percent } from "./format.js";
import { guess } from "./guess.js";

/**
 * @param {string[]} kinds
 * @param {any} hello
 * @param {((state: any) => void)[]} updates
 */
export function servers(kinds, hello, updates) {
  const kind = choice("of", kinds);
  const question = guess("one more, and each gets", " %");
  const shares = el("p", { class: "result", text: "Each server's share appears while traffic flows." });
  const failing = el("p", { class: "hint", id: "joined" });
  let before = 0;
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
    set(shares, { text: [...served].sort().map(([name, count]) => `${name} ${percent(count / sum)}`).join(" · ") });
    if (before > 0 && served.size > before) {
      question.measure(100 / served.size * [...served.values()].filter((count) => count > 0).length / served.size);
      set(failing, { text: `${Math.round(state.totals.failed)}/s failed since it joined` });
    }
  });
  const button = el("button", {
    id: "add",
    click: guarded(async () => {
      before = (shares.textContent ?? "").split(" · ").length;
      await act({ act: "add", kind: kind.select.value });
    }),
  }, [deed("Add a server")]);
  return widget("Add a server", [kind.row, question.element, button, shares, failing], "w-add", () => {
    const before = hello.kinds.filter((/** @type {any} */ one) => one.upstreams === kind.select.value);
    return before.length > 0 ? before.map((/** @type {any} */ one) => one.kind) : [kind.select.value];
  });
}

/** @param {string[]} names shops and balancers */
export function lookup(names) {
  const to = choice("at", names);
  const id =
    /** @type {HTMLInputElement} */ (el("input", { id: "product", value: "42", size: 6, "aria-label": "Product" }));
  const out = el("output", { class: "result" });
  const bar = el("div", { class: "parts", "aria-hidden": "true" });
  const button = el("button", {
    id: "lookup",
    click: guarded(async () => {
      bar.replaceChildren();
      // The article writes product_123.
      const product = id.value.trim().replace(/^product_/, "");
      const told = await post("lookup", { to: to.select.value, id: product });
      const parts = Object.entries(told.timing);
      const words = parts.map(([name, time]) => `${name} ${ms(Number(time))}`);
      const where = told.cache ? `${told.cache} ` : "";
      const timing = words.length > 0 ? ` (${words.join(", ")})` : "";
      const from = told.server ? ` from ${told.server}` : "";
      set(out, { text: told.problem ?? `${where}${told.status} in ${ms(told.ms)}${from}${timing}` });
      const all = Math.max(told.ms, 0.1);
      const rest = Math.max(0, all - parts.reduce((sum, [, time]) => sum + Number(time), 0));
      bar.replaceChildren(...[...parts, ["rest", rest]].map(([name, time]) => {
        const part = el("span", { class: `part-${name}`, title: `${name}: ${ms(Number(time))}` });
        part.style.flexGrow = String(Number(time) / all);
        return part;
      }));
    }, out),
  }, ["Look it up"]);
  return widget(
    "Look up a product",
    [to.row, el("div", { class: "row" }, [id, button]), out, bar],
    "w-lookup",
    () => [to.select.value],
  );
}
