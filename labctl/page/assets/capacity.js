// The scene "Capacity": finds the highest rate whose responses are fast enough, and its cost per request a second.

import { post } from "./api.js";
import { choice, guarded, widget } from "./controls.js";
import { el, set, table } from "./dom.js";
import { ms, rate } from "./format.js";
import { reachable } from "./layout.js";

/**
 * @param {any[]} traffics
 * @param {((state: any) => void)[]} updates
 */
export function capacity(traffics, updates) {
  const of = choice("of", traffics.map((one) => one.name));
  const out = el("output", {
    class: "result",
    text: "Doubles the rate until answers become too slow, then narrows it down.",
  });
  const steps = el("ol", { class: "tried" });
  const found = el("div", { tabindex: 0, class: "scroll" });
  /** @type {(string | number)[][]} */
  const rows = [];
  /** @type {any} */
  let now = null;
  updates.push((state) => {
    now = state;
    const search = state.capacity;
    if (!search) return;
    const lines = search.tried.map((/** @type {any} */ one) =>
      `${rate(one.rate)}/s ${one.met ? "good" : "too much"} (p99 ${ms(one.p99_ms)}, ${one.failed} failed)${
        one.died.length > 0 ? `: ${one.died.join(", ")} went down` : ""
      }`
    );
    if (steps.children.length !== lines.length || steps.lastElementChild?.textContent !== lines.at(-1)) {
      steps.replaceChildren(...lines.map((/** @type {string} */ text) => el("li", { text })));
    }
    if (search.searching) set(out, { text: `Trying ${search.traffic}…` });
  });

  const entrance = () => traffics.find((one) => one.name === of.select.value).to.split(/[/:]/)[0];

  /** The machines that the traffic's requests can reach, and their cost. */
  function machines() {
    const names = reachable(now.machines, now.wires, entrance());
    const used = now.machines.filter((/** @type {any} */ one) => names.has(one.name) && one.health !== "down");
    return {
      count: used.length,
      price: used.reduce((/** @type {number} */ sum, /** @type {any} */ one) => sum + one.price, 0),
    };
  }

  const button = el("button", {
    id: "capacity",
    click: guarded(async () => {
      button.setAttribute("disabled", "");
      // Take the figures now: a machine that does not survive a rate is restarted.
      const { count, price } = machines();
      try {
        const { found: result } = await post("capacity", { traffic: of.select.value });
        const cost = result.rate > 0 ? `$${(price / result.rate).toFixed(2)}` : "–";
        set(out, {
          text: result.distrust
            ? `Not to be trusted: ${result.distrust}`
            : `${rate(result.rate)} requests a second within ${ms(result.p99_ms)}; ${cost} a month for each`,
        });
        rows.unshift([rate(result.rate), count, `$${price}`, cost]);
        found.replaceChildren(table("Found so far", ["req/s", "machines", "a month", "per req/s"], rows));
      } finally {
        button.removeAttribute("disabled");
      }
    }),
  }, ["How much can it do?"]);
  return widget("Capacity", [of.row, button, out, steps, found], "w-capacity", () => [entrance()]);
}
