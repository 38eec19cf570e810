// Reconstructs a stored run at any moment: the state of each machine, and the traffic. Pure: draws nothing.

/** The length of the window that counts as "now", in seconds. */
const NOW = 1;

/**
 * Returns the states of machines and links after all events up to a moment.
 * @param {any} run
 * @param {number} at
 */
function conditions(run, at) {
  /** @type {Map<string, { health: string, word: string, since: number, reason: string | null }>} */
  const machines = new Map();
  /** @type {Map<string, string>} */
  let links = new Map();
  /** @type {Set<string>} */
  const ejected = new Set();
  /** @type {Map<string, string>} */
  const roles = new Map();
  const machine = (/** @type {string} */ name) => (name ?? "").split("/")[0];
  for (const event of run.events) {
    if (event.at > at) break;
    const { about } = event;
    const put = (
      /** @type {string} */ name,
      /** @type {string} */ health,
      /** @type {string} */ word,
      /** @type {any} */ reason = null,
    ) => machines.set(machine(name), { health, word, since: event.at, reason });
    if (event.event === "machine_ended") put(about.machine, "down", "down", about.how);
    else if (event.event === "machine_ready") put(about.machine, "well", "up");
    else if (event.event === "program_ended") put(about.program, "down", "down", about.how);
    else if (event.event === "frozen") put(about.name, "down", "frozen");
    else if (event.event === "thawed") put(about.name, "well", "up");
    else if (event.event === "disk_full") put(about.machine, "limping", "disk full");
    else if (event.event === "disk_emptied") put(about.machine, "well", "up");
    else if (event.event === "ejected") ejected.add(`${about.balancer}>${about.upstream}`);
    else if (event.event === "admitted") ejected.delete(`${about.balancer}>${about.upstream}`);
    else if (event.event === "became_primary") roles.set(about.machine, `primary, term ${about.term}`);
    else if (event.event === "stepped_down") roles.delete(about.machine);
    else if (event.event === "took_over") roles.set(about.balancer, "active");
    else if (event.event === "stood_down") roles.set(about.balancer, "standby");
    else if (event.event === "link") {
      if (about.now !== "healed") links.set(`${about.from}>${about.to}`, about.now);
      else if (about.from === "every machine") links = new Map();
      else links.delete(`${about.from}>${about.to}`);
    }
  }
  return { machines, links, ejected, roles };
}

/**
 * Returns a traffic's figures at a moment.
 * @param {any} run
 * @param {string} name
 * @param {number} at
 */
export function bin(run, name, at) {
  const course = run.traffics[name];
  const index = course ? Math.floor((at - course.from) / run.width) : -1;
  const found = course?.bins[index] ?? [0, 0, 0, null, null];
  return { offered: found[0], good: found[1], failed: found[2], p50_ms: found[3], p99_ms: found[4] };
}

/**
 * Returns the run's state at a moment, in the form of a live state.
 * @param {any} run
 * @param {number} at
 */
export function stateAt(run, at) {
  const { machines, links, ejected, roles } = conditions(run, at);
  const is = (/** @type {string} */ name, /** @type {string} */ wanted) =>
    name === wanted || name.replace(/-\d+$/, "") === wanted;
  const linkOf = (/** @type {any} */ wire) =>
    [...links].find(([key]) => {
      const [from, to] = key.split(">");
      return is(wire.from, from) && (is(wire.to, to) || is(to, wire.to));
    })?.[1] ?? null;
  return {
    at,
    machines: run.shape.machines.map((/** @type {any} */ one) => ({
      ...one,
      ...(machines.get(one.name) ?? { health: "well", word: "up", since: 0, reason: null }),
      role: roles.get(one.name) ?? null,
      cpu: null,
      queue: null,
      memory_held: null,
      memory_limit: null,
      in_flight: null,
      programs: one.programs.map((/** @type {string} */ program) => ({ program })),
    })),
    wires: run.shape.wires.map((/** @type {any} */ wire) => {
      const mine = wire.from === "clients"
        ? run.shape.traffics.filter((/** @type {any} */ one) => one.to.split(/[/:]/)[0] === wire.to).map((
          /** @type {any} */ one,
        ) => bin(run, one.name, at))
        : [];
      const sum = (/** @type {"offered" | "good" | "failed"} */ of) =>
        mine.reduce((/** @type {number} */ all, /** @type {any} */ one) => all + one[of], 0);
      const answered = sum("good") + sum("failed");
      return {
        ...wire,
        rps: wire.from === "clients" ? sum("offered") : null,
        failed: answered > 0 ? sum("failed") / answered : null,
        now: linkOf(wire),
        ejected: ejected.has(`${wire.from}>${wire.to}`),
        next: false,
      };
    }),
  };
}

/**
 * Sums all traffics, second by second, in the form that charts draw.
 * @param {any} run
 */
export function seconds(run) {
  const names = Object.keys(run.traffics);
  const count = Math.ceil(run.seconds / run.width);
  return Array.from({ length: count }, (_, index) => {
    const at = (index + 0.5) * run.width;
    const all = names.map((name) => bin(run, name, at));
    const sum = (/** @type {"offered" | "good" | "failed"} */ of) => all.reduce((total, one) => total + one[of], 0);
    const worst = (/** @type {"p50_ms" | "p99_ms"} */ of) => {
      const known = all.map((one) => one[of]).filter((time) => time !== null);
      return known.length > 0 ? Math.max(...known) : null;
    };
    return {
      at,
      offered: sum("offered"),
      good: sum("good"),
      failed: sum("failed"),
      p50_ms: worst("p50_ms"),
      p99_ms: worst("p99_ms"),
    };
  });
}

/** @param {any} run @param {number} at the events of the last second */
export function lately(run, at) {
  return run.events.filter((/** @type {any} */ one) => one.at <= at && one.at > at - NOW * 5);
}

/** @param {any} event in words, as far as they are not the lab's own */
export function words({ event, about }) {
  const who = about.machine ?? about.program ?? about.name ?? about.balancer ?? "";
  if (event === "did") return about.command;
  if (event === "link") return `${about.from} → ${about.to}: ${about.now}`;
  if (event === "ejected" || event === "admitted") return `${about.balancer} ${event} ${about.upstream}`;
  return `${who} ${event.replaceAll("_", " ")}${about.how ? `: ${about.how}` : ""}`.trim();
}
