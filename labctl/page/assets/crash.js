// The scene "Crash": requests dropped until the balancer notices, next to the formula's prediction.

import { act } from "./api.js";
import { choice, deed, guarded, widget } from "./controls.js";
import { el, set } from "./dom.js";
import { rate } from "./format.js";

/**
 * @param {any[]} traffics
 * @param {string[]} names balancers
 * @param {((state: any) => void)[]} updates
 * @param {((event: any) => void)[]} hears
 */
export function crash(traffics, names, updates, hears) {
  const lb = choice("behind", names);
  const victim = choice("server", [""]);
  const out = el("output", { class: "result", text: "Give it traffic first; then crash one of its servers." });
  let upstreams = "";
  /** @type {{ name: string, lb: string, at: number | null, out: number | null, offered: number, servers: number } | null} */
  let fault = null;
  updates.push((state) => {
    const from = state.wires.filter((/** @type {any} */ wire) => wire.from === lb.select.value);
    const all = from.map((/** @type {any} */ wire) => wire.to);
    if (String(all) !== upstreams) {
      upstreams = String(all);
      victim.select.replaceChildren(
        ...all.map((/** @type {string} */ name) => el("option", { value: name, text: name })),
      );
    }
    if (!fault || fault.at === null) return;
    const mine = traffics.filter((one) => one.to === fault?.lb).map((one) => one.name);
    const views = state.traffics.filter((/** @type {any} */ view) => mine.includes(view.name));
    const dropped = views.reduce((/** @type {number} */ sum, /** @type {any} */ view) => sum + view.failed_since, 0);
    const window = (fault.out ?? state.at) - fault.at;
    const formula = (fault.offered / fault.servers) * window;
    const open = fault.out === null ? "open for" : "closed after";
    set(out, {
      text: `dropped: ${dropped} · the window is ${open} ${window.toFixed(1)} s · ${
        rate(fault.offered)
      }/s ÷ ${fault.servers} × ${window.toFixed(1)} s = ${Math.round(formula)}`,
    });
  });
  hears.push((event) => {
    if (!fault) return;
    if (event.event === "machine_ended" && event.subject === fault.name && fault.at === null) fault.at = event.at;
    const isOut = event.event === "ejected" && event.upstream === fault.name && event.balancer === fault.lb;
    if (isOut && fault.at !== null && fault.out === null) fault.out = event.at;
  });
  /** @type {any} */
  let now = null;
  updates.push((state) => (now = state));
  const go = el("button", {
    id: "crash",
    click: guarded(async () => {
      const mine = traffics.filter((one) => one.to === lb.select.value).map((one) => one.name);
      const views = now.traffics.filter((/** @type {any} */ view) => mine.includes(view.name));
      fault = {
        name: victim.select.value,
        lb: lb.select.value,
        at: null,
        out: null,
        offered: views.reduce((/** @type {number} */ sum, /** @type {any} */ view) => sum + view.rate, 0),
        servers: now.wires.filter((/** @type {any} */ wire) => wire.from === lb.select.value && !wire.ejected).length,
      };
      const told = await act({ act: "kill", name: victim.select.value });
      if (told === null) fault = null;
      else if (told.byHand) set(out, { text: `Type: ${told.byHand}. What is dropped is counted from then on.` });
    }),
  }, [deed("Crash it")]);
  const back = el("button", {
    class: "plain",
    id: "crash-undo",
    click: () => act({ act: "restart", name: fault?.name ?? victim.select.value }),
  }, [deed("Restart it")]);
  const buttons = el("div", { class: "buttons" }, [go, back]);
  return widget("Crash a server", [lb.row, victim.row, buttons, out], "w-crash", () => [lb.select.value]);
}
