// Draws machines and wires into an element: of the live lab, or of a run at a given moment.

import { card } from "./card.js";
import { el, svg } from "./dom.js";
import { layout } from "./layout.js";
import { motion } from "./motion.js";
import { drawWire, updateWire } from "./wire.js";

/** @typedef {import("./layout.js").Box} Box */

const NARROW = 620;

/**
 * @param {HTMLElement} place
 * @param {(name: string) => void} choose
 */
export function picture(place, choose) {
  const moving = motion();
  let drawn = "";
  /** @type {Map<string, ReturnType<typeof card>>} */
  let cards = new Map();
  /** @type {Map<string, { line: Element, label: Element }>} */
  let lines = new Map();

  /** @param {any} state @param {string} chosen */
  function update(state, chosen) {
    const vertical = place.clientWidth > 0 && place.clientWidth < NARROW;
    const shape = JSON.stringify([
      vertical,
      state.machines.map((/** @type {any} */ m) => m.name),
      state.wires.map((/** @type {any} */ w) => w.from + w.to),
    ]);
    if (shape !== drawn && place.clientWidth > 0) {
      draw(state, vertical);
      drawn = shape;
    }
    for (const machine of state.machines) cards.get(machine.name)?.update(machine, state.at, machine.name === chosen);
    // Several balancers may send to the same machine next: the label is written once.
    const next = new Set();
    for (const wire of state.wires) {
      updateWire(wire, lines.get(`${wire.from}>${wire.to}`), state, next.has(wire.to));
      if (wire.next) next.add(wire.to);
    }
    moving.update(state.wires);
  }

  /** @param {any} state @param {boolean} vertical */
  function draw(state, vertical) {
    const plan = layout(state.machines, state.wires, vertical);
    cards = new Map();
    lines = new Map();
    const focused = place.contains(document.activeElement) ? document.activeElement?.getAttribute("data-name") : null;
    const frames = [...plan.groups].map(([, box]) => svg("rect", { ...rect(box), rx: 12, class: "group" }));
    const wires = state.wires.map((/** @type {any} */ wire) => drawWire(wire, plan, lines, state.wires)).filter(
      Boolean,
    );
    for (const machine of state.machines) {
      const box = /** @type {Box} */ (plan.boxes.get(machine.name));
      cards.set(machine.name, card(box, plan.compact, choose));
    }
    const drawing = svg("svg", {
      viewBox: `0 0 ${plan.width} ${plan.height}`,
      role: "group",
      "aria-label": "Machines and the wires between them",
    }, [
      ...frames,
      ...wires.map((/** @type {any} */ wire) => wire.line),
      clients(/** @type {Box} */ (plan.boxes.get("clients"))),
      ...[...cards.values()].map((one) => one.group),
      ...wires.map((/** @type {any} */ wire) => wire.label),
    ]);
    const frame = el("div", { class: "frame-of-picture" }, [drawing]);
    frame.style.maxWidth = `${plan.width * 1.25}px`;
    place.replaceChildren(frame);
    moving.begin(lines, plan, frame);
    if (focused) {
      const again = /** @type {SVGElement | null} */ (place.querySelector(`[data-name="${CSS.escape(focused)}"]`));
      again?.focus();
    }
  }

  return { update, redraw: () => (drawn = "") };
}

/** @param {Box} box */
function rect(box) {
  return { x: box.x, y: box.y, width: box.width, height: box.height };
}

/** @param {Box} box */
function clients(box) {
  return svg("g", { transform: `translate(${box.x} ${box.y})`, class: "clients", "aria-hidden": "true" }, [
    svg("rect", { width: box.width, height: box.height, rx: box.height / 2, class: "frame" }),
    svg("text", { x: box.width / 2, y: box.height / 2 + 4, "text-anchor": "middle", class: "name", text: "clients" }),
  ]);
}
