// Combines many machines of a kind into one card that names the worst of them. Pure: draws nothing.

/** Kinds with more machines than this become one card. */
export const MANY = 12;

const WORST = /** @type {Record<string, number>} */ ({ down: 0, limping: 1, well: 2 });

/** @param {any[]} machines sorted, the worst first */
export function byTrouble(machines) {
  return [...machines].sort((a, b) => WORST[a.health] - WORST[b.health]);
}

/**
 * @param {any} state
 * @returns {any} the same state, with one machine in place of each kind that has many
 */
export function grouped(state) {
  /** @type {Map<string, any[]>} */
  const kinds = new Map();
  for (const machine of state.machines) kinds.set(machine.kind, [...(kinds.get(machine.kind) ?? []), machine]);
  const many = new Set([...kinds].filter(([, members]) => members.length > MANY).map(([kind]) => kind));
  if (many.size === 0) return state;
  const machines = [...kinds].flatMap(([kind, members]) => (many.has(kind) ? [card(kind, members)] : members));
  const kindOf = new Map(state.machines.map((/** @type {any} */ one) => [one.name, one.kind]));
  const name = (/** @type {string} */ one) => {
    const kind = kindOf.get(one) ?? one;
    return many.has(kind) ? kind : one;
  };
  return { ...state, machines, wires: wires(state.wires, name) };
}

/** @param {string} kind @param {any[]} members */
function card(kind, members) {
  const sorted = byTrouble(members);
  const worst = sorted[0];
  const sum = (/** @type {string} */ of) => members.reduce((total, one) => total + (one[of] ?? 0), 0);
  /** @type {Map<string, number>} */
  const words = new Map();
  for (const one of sorted) words.set(one.word, (words.get(one.word) ?? 0) + 1);
  return {
    ...worst,
    name: kind,
    kind,
    count: members.length,
    role: `${members.length} machines`,
    word: [...words].map(([word, count]) => `${count} ${word}`).join(" · "),
    reason: worst.health === "well" ? null : `such as ${worst.name}`,
    cpu: sum("cpu") / members.length,
    queue: sum("queue"),
    memory_held: sum("memory_held"),
    memory_limit: sum("memory_limit"),
    in_flight: sum("in_flight"),
  };
}

/** @param {any[]} all @param {(one: string) => string} name */
function wires(all, name) {
  /** @type {Map<string, any>} */
  const found = new Map();
  for (const wire of all) {
    const [from, to] = [name(wire.from), name(wire.to)];
    const key = `${from}>${to}`;
    const known = found.get(key);
    if (from === to) continue;
    if (!known) {
      found.set(key, { ...wire, from, to, lost: (wire.rps ?? 0) * (wire.failed ?? 0) });
      continue;
    }
    known.rps = (known.rps ?? 0) + (wire.rps ?? 0);
    known.lost += (wire.rps ?? 0) * (wire.failed ?? 0);
    known.failed = known.rps > 0 ? known.lost / known.rps : 0;
    known.now ??= wire.now;
    known.next ||= wire.next;
    known.ejected &&= wire.ejected;
  }
  return [...found.values()];
}
