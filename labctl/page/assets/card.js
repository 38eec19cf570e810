// One machine in the picture: a card that is updated in place when its figures change.

import { ago, mib, percent } from "./format.js";
import { set, svg } from "./dom.js";

/** @typedef {import("./layout.js").Box} Box */

const SHAPES = {
  well: "M5 0A5 5 0 1 1-5 0 5 5 0 1 1 5 0Z",
  limping: "M0-5.4 5.4 4.6H-5.4Z",
  down: "M-4.5-4.5 4.5 4.5M4.5-4.5-4.5 4.5",
};

/**
 * Describes a machine in a sentence, for screen readers.
 * @param {any} machine
 */
export function sentence(machine) {
  const role = machine.role ? `, ${machine.role}` : "";
  const reason = machine.reason ? ` (${machine.reason})` : "";
  const busy = machine.cpu === null ? "" : `, cpu ${percent(machine.cpu)}, ${machine.queue} waiting`;
  return `${machine.name}${role}: ${machine.word}${reason}${busy}`;
}

/** The number of letters that fit into a card's line. */
const LETTERS = 30;

/** @param {string} text @param {number} letters */
function cut(text, letters) {
  return text.length > letters ? `${text.slice(0, letters - 1)}…` : text;
}

/**
 * Builds a card, and the function that updates it.
 * @param {Box} box
 * @param {boolean} compact
 * @param {(name: string) => void} choose
 */
export function card(box, compact, choose) {
  const shape = svg("path", { class: "shape", transform: "translate(16 18)" });
  const name = svg("text", { x: 28, y: 22, class: "name" });
  const role = svg("text", { x: box.width - 10, y: 22, class: "role", "text-anchor": "end" });
  const word = svg("text", { x: 12, y: compact ? 40 : 39, class: "word" });
  const reason = svg("text", { x: 12, y: 58, class: "word" });
  const cpu = bar(compact ? box.height - 9 : 55, "cpu", box.width, compact);
  const memory = compact ? null : bar(74, "mem", box.width, false);
  const frame = svg("rect", { width: box.width, height: box.height, rx: 9, class: "frame" });
  const title = svg("title");
  let current = "";
  const group = svg("g", {
    class: "machine",
    role: "button",
    tabindex: 0,
    transform: `translate(${box.x} ${box.y})`,
    click: () => choose(current),
    keydown: (/** @type {KeyboardEvent} */ event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        choose(current);
      }
    },
  }, [title, frame, shape, name, role, word, reason, cpu.group, memory?.group ?? null]);

  return {
    group,
    /** @param {any} machine @param {number} now @param {boolean} chosen */
    update(machine, now, chosen) {
      current = machine.name;
      set(group, {
        "data-name": machine.name,
        "data-health": machine.health,
        "aria-pressed": String(chosen),
        "aria-label": sentence(machine),
      });
      set(shape, { d: SHAPES[/** @type {keyof typeof SHAPES} */ (machine.health)] });
      set(name, { text: machine.name });
      set(role, { text: machine.role ?? machine.programs.map((/** @type {any} */ one) => one.program).join(" + ") });
      set(title, { text: sentence(machine) });
      // A machine that is down has no figures: the reason takes their place.
      const hasRoom = !compact && machine.health === "down" && machine.reason !== null && !machine.count;
      const told = hasRoom ? { ...machine, reason: null } : machine;
      set(word, { text: cut(words(told, now), LETTERS) });
      set(reason, { text: hasRoom ? cut(machine.reason, LETTERS + 2) : "" });
      const bars = memory ? [cpu, memory] : [cpu];
      for (const one of bars) set(one.group, { visibility: hasRoom ? "hidden" : null });
      const queue = machine.queue ? ` · ${machine.queue} waiting` : "";
      cpu.update(machine.cpu, `${percent(machine.cpu)}${queue}`);
      const share = machine.memory_limit ? machine.memory_held / machine.memory_limit : null;
      memory?.update(share, share === null ? "–" : `${mib(machine.memory_held)} of ${mib(machine.memory_limit)} MiB`);
    },
  };
}

/** @param {any} machine @param {number} now */
function words(machine, now) {
  if (machine.count) return machine.word;
  if (machine.health === "well") {
    return machine.in_flight === null ? machine.word : `${machine.word} · ${machine.in_flight} in flight`;
  }
  const reason = machine.reason ? `: ${machine.reason}` : "";
  return `${machine.word} ${ago(now - machine.since)}${reason}`;
}

/**
 * @param {number} y
 * @param {string} label
 * @param {number} width
 * @param {boolean} compact
 */
function bar(y, label, width, compact) {
  const left = compact ? 12 : 48;
  const right = compact ? 12 : 128;
  const room = width - left - right;
  const level = svg("rect", { x: left, y: y - 4, height: compact ? 4 : 7, rx: 2, class: "level", width: 0 });
  const track = svg("rect", { x: left, y: y - 4, height: compact ? 4 : 7, rx: 2, class: "track", width: room });
  const text = svg("text", { x: width - 10, y: y + 3, class: "figure", "text-anchor": "end" });
  const name = svg("text", { x: 12, y: y + 3, class: "figure", text: label });
  const parts = compact ? [track, level] : [name, track, level, text];
  return {
    group: svg("g", { "aria-hidden": "true" }, parts),
    /** @param {number | null} share @param {string} words */
    update(share, words) {
      const known = Math.max(0, Math.min(1, share ?? 0));
      set(level, { width: (room * known).toFixed(1), class: known > 0.95 ? "level full" : "level" });
      set(text, { text: words });
    },
  };
}
