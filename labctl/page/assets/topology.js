// The picture: machines as cards, and between them wires with what passes through.

import { card } from "./card.js";
import { byId, el, set, svg, table } from "./dom.js";
import { ago, mib, percent, rate } from "./format.js";
import { layout, reachable } from "./layout.js";
import { motion } from "./motion.js";
import { drawWire, updateWire } from "./wire.js";

/** @typedef {import("./layout.js").Box} Box */

const NARROW = 620;

/**
 * @param {(name: string) => void} choose
 */
export function topology(choose) {
  const place = byId("picture");
  const tablePlace = byId("picture-table");
  const focus = /** @type {HTMLSelectElement} */ (byId("focus"));
  const moving = motion();
  let drawn = "";
  let asTable = false;
  /** @type {Map<string, ReturnType<typeof card>>} */
  let cards = new Map();
  /** @type {Map<string, { line: Element, label: Element }>} */
  let lines = new Map();

  byId("as-table").addEventListener("click", (/** @type {Event} */ event) => {
    asTable = !asTable;
    set(/** @type {Element} */ (event.currentTarget), { "aria-pressed": String(asTable) });
    place.hidden = asTable;
    tablePlace.hidden = !asTable;
  });

  /** @param {any} hello */
  function entrances(hello) {
    const names = [
      ...new Set(
        hello.wires.filter((/** @type {any} */ w) => w.from === "clients").map((/** @type {any} */ w) => w.to),
      ),
    ];
    focus.replaceChildren(
      ...names.map((name) => el("option", { value: name, text: `what ${name} leads to` })),
      el("option", { value: "", text: "all machines" }),
    );
    byId("focus-label").hidden = names.length < 2;
    drawn = "";
  }

  /** @param {any} state */
  function shown(state) {
    if (!focus.value) return state;
    const names = reachable(state.machines, state.wires, focus.value);
    const is = (/** @type {string} */ name) =>
      names.has(name) || state.machines.some((/** @type {any} */ m) => m.kind === name && names.has(m.name));
    return {
      ...state,
      machines: state.machines.filter((/** @type {any} */ machine) => names.has(machine.name)),
      wires: state.wires.filter((
        /** @type {any} */ wire,
      ) => (wire.from === "clients" ? is(wire.to) : names.has(wire.from) && is(wire.to))),
    };
  }

  /** @param {any} whole @param {string} chosen */
  function update(whole, chosen) {
    const state = shown(whole);
    const vertical = place.clientWidth > 0 && place.clientWidth < NARROW;
    const shape = JSON.stringify([
      vertical,
      state.machines.map((/** @type {any} */ m) => m.name),
      state.wires.map((/** @type {any} */ w) => w.from + w.to),
    ]);
    if (shape !== drawn && !asTable) {
      draw(state, vertical);
      drawn = shape;
    }
    for (const machine of state.machines) cards.get(machine.name)?.update(machine, state.at, machine.name === chosen);
    for (const wire of state.wires) updateWire(wire, lines.get(`${wire.from}>${wire.to}`), state);
    moving.update(state.wires);
    if (asTable) tablePlace.replaceChildren(...tables(state));
  }

  /** @param {any} state @param {boolean} vertical */
  function draw(state, vertical) {
    const plan = layout(state.machines, state.wires, vertical);
    cards = new Map();
    lines = new Map();
    const focused = document.activeElement?.getAttribute("data-name");
    const frames = [...plan.groups].map(([, box]) => svg("rect", { ...rect(box), rx: 12, class: "group" }));
    const wires = state.wires.map((/** @type {any} */ wire) => drawWire(wire, plan, lines, state.wires)).filter(
      Boolean,
    );
    for (const machine of state.machines) {
      const box = /** @type {Box} */ (plan.boxes.get(machine.name));
      cards.set(machine.name, card(box, plan.compact, choose));
    }
    const picture = svg("svg", {
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
    const frame = el("div", { class: "frame-of-picture" }, [picture]);
    frame.style.maxWidth = `${plan.width * 1.25}px`;
    place.replaceChildren(frame);
    moving.begin(lines, plan, frame);
    if (focused) place.querySelector(`[data-name="${CSS.escape(focused)}"]`)?.focus();
  }

  return { update, entrances, focus, shown };
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

/** @param {any} state */
function tables(state) {
  const worst = { down: 0, limping: 1, well: 2 };
  const order = (/** @type {any} */ m) => worst[/** @type {keyof typeof worst} */ (m.health)];
  const machines = [...state.machines].sort((a, b) => order(a) - order(b));
  const rows = machines.map((
    m,
  ) => [
    m.name,
    m.role ?? "–",
    `${m.word}${m.health === "well" ? "" : ` ${ago(state.at - m.since)}`}`,
    m.reason ?? "",
    percent(m.cpu),
    m.queue ?? "–",
    `${mib(m.memory_held)} of ${mib(m.memory_limit)}`,
    m.in_flight ?? "–",
    m.pid,
  ]);
  const wires = state.wires.map((
    /** @type {any} */ w,
  ) => [`${w.from} → ${w.to}`, rate(w.rps), percent(w.failed), w.now ?? (w.ejected ? "ejected" : "")]);
  return [
    table("Machines, the worst first", [
      "machine",
      "role",
      "state",
      "why",
      "cpu",
      "waiting",
      "memory, MiB",
      "in flight",
      "pid",
    ], rows),
    table("Wires", ["wire", "requests a second", "failed", "state"], wires),
  ];
}
