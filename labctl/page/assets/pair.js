// The scene "Two balancers": which one owns the shared address, and for how long neither does.

import { act } from "./api.js";
import { deed, guarded, widget } from "./controls.js";
import { el, set } from "./dom.js";

/**
 * @param {string} kind of the pair
 * @param {any[]} traffics
 * @param {((state: any) => void)[]} updates
 * @param {((event: any) => void)[]} hears
 */
export function pair(kind, traffics, updates, hears) {
  const owns = el("p", { class: "status", id: "pair-owner" });
  const out = el("output", { class: "result", text: "Give the pair traffic, then take the active one away." });
  let active = "";
  /** @type {{ at: number | null, back: number | null, name: string, how: string } | null} */
  let gone = null;
  updates.push((state) => {
    const mine = state.machines.filter((/** @type {any} */ machine) => machine.kind === kind);
    active = mine.find((/** @type {any} */ one) => one.role === "active" && one.health !== "down")?.name ?? "";
    const words = mine.map((/** @type {any} */ one) =>
      `${one.name}: ${one.health === "down" ? one.word : one.role ?? "–"}`
    );
    set(owns, { text: `${active || "nobody"} owns the address (${words.join(", ")})` });
    if (!gone || gone.at === null) return;
    const names = traffics.filter((one) => one.to === kind).map((one) => one.name);
    const views = state.traffics.filter((/** @type {any} */ view) => names.includes(view.name));
    const dropped = views.reduce((/** @type {number} */ sum, /** @type {any} */ view) => sum + view.failed_since, 0);
    const outage = ((gone.back ?? state.at) - gone.at) * 1000;
    const taken = gone.back === null ? "nobody has taken over for" : "the other one took over after";
    set(out, { text: `${gone.name} was ${gone.how}: ${taken} ${Math.round(outage)} ms; dropped: ${dropped}` });
  });
  hears.push((event) => {
    if (!gone) return;
    const ends = ["machine_ended", "frozen"].includes(event.event) && event.subject === gone.name;
    if (ends && gone.at === null) gone.at = event.at;
    if (event.event === "took_over" && event.balancer !== gone.name && gone.at !== null && gone.back === null) {
      gone.back = event.at;
    }
  });
  const button = (/** @type {string} */ what, /** @type {string} */ how) =>
    el("button", {
      id: `pair-${what}`,
      click: guarded(async () => {
        gone = { at: null, back: null, name: active, how };
        const told = await act({ act: what, name: active });
        if (told === null) gone = null;
        else if (told.byHand) set(out, { text: `Type: ${told.byHand}. The outage is counted from then on.` });
      }),
    }, [deed(`${what} the active one`)]);
  const back = el("button", {
    class: "plain",
    id: "pair-undo",
    click: () => gone && act({ act: gone.how === "frozen" ? "thaw" : "restart", name: gone.name }),
  }, [deed("Bring it back")]);
  return widget(
    "Two balancers",
    [
      owns,
      el("div", { class: "buttons" }, [button("kill", "killed"), button("freeze", "frozen"), back]),
      out,
    ],
    "w-pair",
    () => [kind],
  );
}
