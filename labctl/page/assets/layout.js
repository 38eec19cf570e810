// Computes the position of each machine: clients on the left, then what they reach, in the order of the wires. Pure:
// draws nothing.

/**
 * @typedef {{ x: number, y: number, width: number, height: number }} Box
 * @typedef {{ name: string, kind: string }} Machine
 * @typedef {{ from: string, to: string, carries: string }} Wire
 * @typedef {object} Layout
 * @property {number} width
 * @property {number} height
 * @property {boolean} compact
 * @property {boolean} vertical
 * @property {Map<string, Box>} boxes by machine; `clients` for the clients
 * @property {Map<string, Box>} groups by kind of machine, where there are several of it
 */

const CARD = { width: 224, height: 92, gap: 16 };
const COMPACT = { width: 200, height: 56, gap: 10 };
const CLIENTS = { width: 92, height: 92 };
const BETWEEN = 112;
const MARGIN = 16;
/** A column with more cards than this uses compact ones. */
const TALL = 5;

/**
 * Returns each kind's distance from the clients: the longest path, ignoring copies.
 * @param {Machine[]} machines
 * @param {Wire[]} wires
 * @returns {Map<string, number>}
 */
export function ranks(machines, wires) {
  const kindOf = new Map(machines.map((machine) => [machine.name, machine.kind]));
  const kind = (/** @type {string} */ name) => kindOf.get(name) ?? name;
  const edges = wires.filter((wire) => wire.carries !== "copies").map((wire) => [kind(wire.from), kind(wire.to)]);
  const rank = new Map([...new Set(machines.map((machine) => machine.kind))].map((name) => [name, 1]));
  rank.set("clients", 0);
  // One round per kind is enough: no path is longer, and a cycle ends.
  for (let round = 0; round < rank.size; round++) {
    for (const [from, to] of edges) {
      const longer = (rank.get(from) ?? 0) + 1;
      if (from !== to && rank.has(to) && (rank.get(to) ?? 0) < longer && longer <= rank.size) rank.set(to, longer);
    }
  }
  // A machine that no wire leads to only observes: it is placed last.
  const reached = new Set(edges.map(([, to]) => to));
  const last = Math.max(...rank.values());
  for (const name of rank.keys()) {
    if (name !== "clients" && !reached.has(name)) rank.set(name, last);
  }
  return rank;
}

/**
 * @param {Machine[]} machines
 * @param {Wire[]} wires
 * @param {boolean} vertical clients at the top: for a narrow window
 * @returns {Layout}
 */
export function layout(machines, wires, vertical) {
  const rank = ranks(machines, wires);
  /** @type {Machine[][]} */
  const columns = [];
  for (const machine of machines) {
    const at = (rank.get(machine.kind) ?? 1) - 1;
    (columns[at] ??= []).push(machine);
  }
  const filled = columns.filter((column) => column !== undefined);
  for (const column of filled) column.sort((a, b) => order(machines, a) - order(machines, b));
  const compact = vertical || filled.some((column) => column.length > TALL);
  const card = compact ? COMPACT : CARD;
  return vertical ? rows(filled, card, compact) : across(filled, card, compact);
}

/**
 * Keeps machines of a kind together, in the order in which the chapter names the kinds.
 * @param {Machine[]} machines
 * @param {Machine} machine
 */
function order(machines, machine) {
  return machines.findIndex((other) => other.kind === machine.kind) * 1000 + machines.indexOf(machine);
}

/**
 * @param {Machine[][]} columns
 * @param {{ width: number, height: number, gap: number }} card
 * @param {boolean} compact
 * @returns {Layout}
 */
function across(columns, card, compact) {
  const tallest = Math.max(1, ...columns.map((column) => column.length));
  const height = MARGIN * 2 + tallest * (card.height + card.gap) + 12;
  const boxes = new Map([["clients", { ...CLIENTS, x: MARGIN, y: (height - CLIENTS.height) / 2 }]]);
  let x = MARGIN + CLIENTS.width + BETWEEN;
  for (const column of columns) {
    const used = column.length * (card.height + card.gap) - card.gap;
    let y = (height - used) / 2;
    for (const machine of column) {
      boxes.set(machine.name, { x, y, width: card.width, height: card.height });
      y += card.height + card.gap;
    }
    x += card.width + BETWEEN;
  }
  return { width: x - BETWEEN + MARGIN, height, compact, vertical: false, boxes, groups: groups(columns, boxes) };
}

/**
 * @param {Machine[][]} columns
 * @param {{ width: number, height: number, gap: number }} card
 * @param {boolean} compact
 * @returns {Layout}
 */
function rows(columns, card, compact) {
  const width = MARGIN * 2 + card.width * 2 + card.gap;
  const boxes = new Map([["clients", { width: 120, height: 36, x: (width - 120) / 2, y: MARGIN }]]);
  let y = MARGIN + 36 + 44;
  for (const column of columns) {
    column.forEach((machine, index) => {
      const alone = column.length === 1 || (index === column.length - 1 && index % 2 === 0);
      const x = alone ? (width - card.width) / 2 : MARGIN + (index % 2) * (card.width + card.gap);
      boxes.set(machine.name, { x, y, width: card.width, height: card.height });
      if (index % 2 === 1 || index === column.length - 1) y += card.height + card.gap;
    });
    y += 40;
  }
  return { width, height: y - 24, compact, vertical: true, boxes, groups: groups(columns, boxes) };
}

/**
 * Computes a frame around the machines of each kind.
 * @param {Machine[][]} columns
 * @param {Map<string, Box>} boxes
 */
function groups(columns, boxes) {
  /** @type {Map<string, Box>} */
  const found = new Map();
  for (const machine of columns.flat()) {
    const box = /** @type {Box} */ (boxes.get(machine.name));
    if (machine.name === machine.kind) continue;
    const known = found.get(machine.kind);
    if (!known) {
      found.set(machine.kind, { x: box.x - 6, y: box.y - 6, width: box.width + 12, height: box.height + 12 });
      continue;
    }
    const right = Math.max(known.x + known.width, box.x + box.width + 6);
    const bottom = Math.max(known.y + known.height, box.y + box.height + 6);
    known.x = Math.min(known.x, box.x - 6);
    known.y = Math.min(known.y, box.y - 6);
    known.width = right - known.x;
    known.height = bottom - known.y;
  }
  return found;
}

/**
 * Returns the machines that requests to an entrance can reach.
 * @param {Machine[]} machines
 * @param {Wire[]} wires
 * @param {string} entrance
 * @returns {Set<string>}
 */
export function reachable(machines, wires, entrance) {
  const named = (/** @type {string} */ name) =>
    machines.filter((machine) => machine.name === name || machine.kind === name).map((machine) => machine.name);
  const found = new Set(named(entrance));
  for (const name of found) {
    for (const wire of wires) {
      if (wire.from === name) { for (const next of named(wire.to)) found.add(next); }
    }
  }
  return found;
}
