// One wire in the picture: a line whose width shows its rate, and the figures next to it.

import { set, svg } from "./dom.js";
import { percent, rate } from "./format.js";

/**
 * @param {any} wire
 * @param {import("./layout.js").Layout} plan
 * @param {Map<string, { line: Element, label: Element }>} lines
 * @param {any[]} all every wire of the picture
 */
export function drawWire(wire, plan, lines, all) {
  const from = plan.boxes.get(wire.from);
  const to = plan.boxes.get(wire.to) ?? plan.groups.get(wire.to);
  if (!from || !to) return null;
  const sideways = !plan.vertical && wire.carries !== "copies";
  const [x1, y1, x2, y2] = sideways
    ? [from.x + from.width, from.y + from.height / 2, to.x, to.y + to.height / 2]
    : [from.x + from.width / 2, from.y + from.height, to.x + to.width / 2, to.y];
  const bend = sideways ? (x2 - x1) / 2 : (y2 - y1) / 2;
  const d = sideways
    ? `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`
    : `M${x1} ${y1}C${x1} ${y1 + bend} ${x2} ${y2 - bend} ${x2} ${y2}`;
  // Put the label where wires from one machine have parted, or where wires to one machine have not met yet.
  const parted = all.filter((other) => other.from === wire.from).length;
  const met = all.filter((other) => other.to === wire.to).length;
  const wanted = met === 1 && parted === 1 ? 0.5 : met > parted ? 0.27 : 0.73;
  const point = (/** @type {number} */ at) => ({
    x: cubic(at, x1, sideways ? x1 + bend : x1, sideways ? x2 - bend : x2, x2),
    y: cubic(at, y1, sideways ? y1 : y1 + bend, sideways ? y2 : y2 - bend, y2),
  });
  // A wire may pass behind cards, but its label must stay visible.
  const places = [wanted, 0.85, 0.15, 0.6, 0.4, 0.93].map(point);
  const isFree = (/** @type {{ x: number, y: number }} */ one) =>
    ![-34, 0, 34].some((aside) => isCovered(plan, one.x + aside, one.y - 10) || isCovered(plan, one.x + aside, one.y));
  const free = places.find(isFree);
  const { x: lx, y: ly } = free ?? places[0];
  const line = svg("path", { d, class: "wire", "data-carries": wire.carries, "aria-hidden": "true" });
  const label = svg("text", { x: lx, y: ly - 7, class: "rate", "text-anchor": "middle", "aria-hidden": "true" });
  const drawn = { line, label };
  lines.set(`${wire.from}>${wire.to}`, drawn);
  return drawn;
}

/**
 * Returns whether a card covers this point.
 * @param {import("./layout.js").Layout} plan
 * @param {number} x @param {number} y
 */
export function isCovered(plan, x, y) {
  return [...plan.boxes.values()].some((box) =>
    x > box.x && x < box.x + box.width && y > box.y && y < box.y + box.height
  );
}

/** @param {number} t @param {number} a @param {number} b @param {number} c @param {number} d */
function cubic(t, a, b, c, d) {
  const s = 1 - t;
  return s * s * s * a + 3 * s * s * t * b + 3 * s * t * t * c + t * t * t * d;
}

/**
 * @param {any} wire
 * @param {{ line: Element, label: Element } | undefined} drawn
 * @param {any} state
 * @param {boolean} isSaid whether another wire is already labelled with the same next machine
 */
export function updateWire(wire, drawn, state, isSaid) {
  if (!drawn) return;
  const busy = (wire.rps ?? 0) > 0.05;
  const down = state.machines.find((/** @type {any} */ m) => m.name === wire.to)?.health === "down";
  const condition = wire.now
    ? "broken"
    : (wire.failed ?? 0) > 0.005
    ? "failing"
    : busy
    ? "busy"
    : wire.ejected || down
    ? "out"
    : "idle";
  const width = busy ? Math.min(6, 1.6 + Math.log10(1 + wire.rps) * 1.3).toFixed(1) : "1.4";
  set(drawn.line, { "data-condition": condition, "stroke-width": width, "data-next": wire.next });
  const failed = (wire.failed ?? 0) > 0.005 ? ` ✕ ${percent(wire.failed)}` : "";
  const text = wire.now ? wire.now : busy ? `${rate(wire.rps)}/s${failed}` : wire.next && !isSaid ? "next" : "";
  set(drawn.label, { text, "data-condition": condition });
}
