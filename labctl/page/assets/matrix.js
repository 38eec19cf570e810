// The scene "One fault, all balancers": which of them notices it, and how many requests the others drop.

import { act, post, say } from "./api.js";
import { choice, guarded, widget } from "./controls.js";
import { el, set } from "./dom.js";

const RATE = 40;
/** The faults of a server, and the actions that undo them. A link fault is applied to the link from every balancer. */
const FAULTS = [
  { name: "killed", act: "kill", undo: "restart" },
  { name: "frozen", act: "freeze", undo: "thaw" },
  { name: "cut off", act: "cut", undo: "heal", link: true },
  { name: "slow", act: "slow", undo: "heal", link: true, by: "2s" },
  { name: "says 500", act: "fail", undo: "heal", link: true },
];

/**
 * Finds balancers that share their servers, each with a traffic of its own.
 * @param {any} hello
 * @returns {{ upstreams: string, balancers: { name: string, traffic: string }[] } | null} the largest such group
 */
export function group(hello) {
  /** @type {Map<string, { name: string, traffic: string }[]>} */
  const groups = new Map();
  for (const kind of hello.kinds.filter((/** @type {any} */ one) => one.lb)) {
    const traffic = hello.traffics.find((/** @type {any} */ one) => one.to === kind.kind);
    if (traffic) {
      groups.set(kind.upstreams, [...(groups.get(kind.upstreams) ?? []), { name: kind.kind, traffic: traffic.name }]);
    }
  }
  const largest = [...groups].sort((a, b) => b[1].length - a[1].length)[0];
  return largest && largest[1].length > 2 ? { upstreams: largest[0], balancers: largest[1] } : null;
}

/**
 * @param {any} hello
 * @param {NonNullable<ReturnType<typeof group>>} found
 * @param {((state: any) => void)[]} updates
 */
export function matrix(hello, { upstreams, balancers }, updates) {
  const linked = new Set(hello.links.map((/** @type {any} */ link) => link.to));
  const servers = [
    ...new Set(
      hello.wires.filter((/** @type {any} */ w) => w.from === balancers[0].name).map((/** @type {any} */ w) => w.to),
    ),
  ];
  const fault = choice("A server is", FAULTS.map((one) => one.name));
  /** @type {Map<string, Element>} */
  const cells = new Map();
  const head = el("tr", {}, [
    el("th", { scope: "col", text: "dropped" }),
    ...FAULTS.map((one) => el("th", { scope: "col", text: one.name })),
  ]);
  const body = balancers.map(({ name }) =>
    el("tr", {}, [
      el("th", { scope: "row", text: name }),
      ...FAULTS.map((one) => {
        const cell = el("td", { text: "–", "data-cell": `${name} ${one.name}` });
        cells.set(`${name} ${one.name}`, cell);
        return cell;
      }),
    ])
  );
  const picture = el("table", { class: "matrix" }, [
    el("caption", { text: "Failed requests since the fault, by balancer" }),
    el("thead", {}, [head]),
    el("tbody", {}, body),
  ]);
  const hint = el("output", {
    class: "hint",
    text: `${balancers.length} balancers before the same ${upstreams}; each gets ${RATE} requests a second.`,
  });
  /** @type {{ fault: typeof FAULTS[number], server: string, from: number } | null} */
  let done = null;
  let at = 0;
  updates.push((state) => {
    at = state.at;
    if (!done || !state.totals.fault || state.totals.fault.at < done.from) return;
    for (const { name, traffic } of balancers) {
      const view = state.traffics.find((/** @type {any} */ one) => one.name === traffic);
      const cell = cells.get(`${name} ${done.fault.name}`);
      if (view && cell) set(cell, { text: view.failed_since, class: view.failed_since > 0 ? "bad" : "" });
    }
  });

  /** @param {string} what @param {{ link?: boolean, by?: string }} how @param {string} server */
  async function each(what, how, server) {
    if (!how.link) return await act({ act: what, name: server }) !== null;
    for (const { name } of balancers) {
      const told = await act({ act: what, from: name, to: server, ...(what === "slow" ? { by: how.by } : {}) });
      if (told === null) return false;
    }
    return true;
  }

  const go = el("button", {
    id: "matrix",
    click: guarded(async () => {
      const chosen = FAULTS.find((one) => one.name === fault.select.value) ?? FAULTS[0];
      const server = servers.find((name) => !chosen.link || linked.has(name));
      if (!server) return say("No server has a link that can be cut.", true);
      if (done) await takeBack();
      for (const { traffic } of balancers) await post("load", { traffic, rate: RATE });
      const from = at;
      if (await each(chosen.act, chosen, server)) {
        done = { fault: chosen, server, from };
        set(hint, { text: `${server}: ${chosen.name}. Undo it when you have seen enough.` });
      }
    }),
  }, ["Apply it to all"]);
  async function takeBack() {
    if (!done) return;
    const { fault: was, server } = done;
    // Failures during the recovery are not counted as the fault's.
    done = null;
    await each(was.undo, was, server);
    set(hint, { text: `${server} is back.` });
  }
  const back = el("button", { class: "plain", id: "matrix-undo", click: guarded(takeBack) }, ["Undo it"]);
  return widget(
    "One fault, all balancers",
    [
      fault.row,
      el("div", { class: "buttons" }, [go, back]),
      hint,
      el("div", { tabindex: 0, class: "scroll" }, [picture]),
    ],
    "w-matrix",
    () => balancers.map((one) => one.name),
  );
}
