// The picture on the screen "Lab": machines as cards, wires with their rates, and the same as tables.

import { byId, el, set, table } from "./dom.js";
import { ago, mib, percent, rate } from "./format.js";
import { byTrouble, grouped } from "./groups.js";
import { reachable } from "./layout.js";
import { picture } from "./picture.js";

/** The option that shows what the scene in use is about. */
const SCENE = "scene";

/**
 * @param {(name: string) => void} choose
 */
export function topology(choose) {
  const place = byId("picture");
  const tablePlace = byId("picture-table");
  const focus = /** @type {HTMLSelectElement} */ (byId("focus"));
  const drawing = picture(place, choose);
  let asTable = false;
  let scene = { title: "", entrances: [""] };

  byId("widgets").addEventListener("scene", (/** @type {CustomEvent} */ { detail }) => {
    // Within one scene, another view that was chosen since stays.
    if (JSON.stringify(detail) === JSON.stringify(scene) || byId("focus-label").hidden) return;
    scene = detail;
    focus.querySelector(`[value=${SCENE}]`)?.remove();
    focus.prepend(el("option", { value: SCENE, text: `what “${scene.title}” is about` }));
    focus.value = SCENE;
    focus.dispatchEvent(new Event("change"));
  });

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
    scene = { title: "", entrances: [""] };
    drawing.redraw();
  }

  /** @param {any} state */
  function shown(state) {
    if (!focus.value) return state;
    const from = focus.value === SCENE ? scene.entrances : [focus.value];
    const names = new Set(from.flatMap((one) => [...reachable(state.machines, state.wires, one)]));
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
    if (asTable) tablePlace.replaceChildren(...tables(state));
    else drawing.update(grouped(state), chosen);
  }

  return { update, entrances };
}

/** @param {any} state */
export function tables(state) {
  const rows = byTrouble(state.machines).map((
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
