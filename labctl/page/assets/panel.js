// The actions on the chosen machine, and those that undo them.

import { able, act, say, typed } from "./api.js";
import { byId, el, set } from "./dom.js";
import { sentence } from "./card.js";
import { byTrouble } from "./groups.js";
import { MACHINE_KEYS, pointless } from "./pointless.js";

/** @param {(name: string) => void} choose */
export function panel(choose) {
  const place = byId("panel");
  /** @type {any} */
  let hello = { kinds: [], links: [] };
  /** @type {any} */
  let machine = null;
  let shown = "";
  const status = el("p", { class: "status" });
  const why = el("p", { class: "hint", id: "why-not" });
  const buttons = el("div", { class: "buttons" });
  /** @type {{ element: Element, body: Record<string, any> }[]} */
  let offered = [];
  /** @type {Map<string, number>} the memory of each machine: one that is down does not tell */
  const memories = new Map();

  /** @param {Record<string, any>} body */
  function attempt(body) {
    const reason = pointless(machine, body);
    if (able.act && reason) say(reason, true);
    else act(body);
  }

  /** @param {string} what @param {Record<string, any>} body @param {string | null} [key] */
  function button(what, body, key = null) {
    const label = key ? [what, el("kbd", { text: key })] : [what];
    const of = `${what} ${body.from ?? ""} ${body.to ?? ""}`;
    const element = el("button", { click: () => attempt(body), "data-act": body.act, "data-of": of }, label);
    offered.push({ element, body });
    return element;
  }

  /** Marks what is pointless now, with the reason, and what helps. A marked button stays in reach of the keyboard. */
  function mark() {
    const isDown = machine.programs.every((/** @type {any} */ one) => !one.alive);
    for (const { element, body } of offered) {
      const reason = pointless(machine, body);
      const helps = isDown && body.act === "restart";
      set(element, { "aria-disabled": reason ? "true" : null, title: reason, class: helps ? "helps" : "" });
    }
    set(why, { text: isDown ? `${machine.name} is not running: it can be restarted.` : "" });
  }

  /** Draws everything again; the focus stays on the same button. */
  function redraw() {
    const focused = place.contains(document.activeElement) ? document.activeElement?.getAttribute("data-of") : null;
    offered = [];
    draw();
    if (focused) place.querySelector(`[data-of="${CSS.escape(focused)}"]`)?.focus();
  }

  function draw() {
    if (!machine) {
      set(place, { text: "Choose a machine in the picture: click it, or Tab to it and press Enter." });
      return;
    }
    if (!able.act) return showCommands();
    const { name, kind } = machine;
    const known = hello.kinds.find((/** @type {any} */ one) => one.kind === kind) ?? {};
    const is = (/** @type {string} */ named) => named === name || named === kind;
    const links = hello.links.filter((/** @type {any} */ link) => is(link.from) || is(link.to));
    const parts = [
      button("kill", { act: "kill", name }, "k"),
      button("freeze", { act: "freeze", name }, "f"),
      button("thaw", { act: "thaw", name }, "t"),
      button("restart", { act: "restart", name }, "r"),
    ];
    if (known.dbnode && !known.redis) {
      parts.push(button("fill disk", { act: "fill", name }), button("empty disk", { act: "empty", name }));
    }
    if (known.countable) {
      parts.push(button(`add ${kind}`, { act: "add", kind }, "a"), button("remove", { act: "remove", name }));
    }
    buttons.replaceChildren(...parts);
    const limit = memories.get(name) ?? 0;
    const memory = `${Math.round(limit / 524288)}MiB`;
    const size = [button("double cpu", { act: "resize", name, cores: machine.cores * 2 })];
    if (limit) size.push(button("double memory", { act: "resize", name, memory }));
    const price = el("span", { class: "hint", text: `$${machine.price} a month` });
    const sizes = el("div", { class: "buttons" }, [...size, price]);
    const programs = machine.programs.length > 1
      ? [
        el(
          "div",
          { class: "buttons" },
          machine.programs.map((/** @type {any} */ one) =>
            button(`kill ${one.program}`, { act: "kill", name: `${name}/${one.program}` })
          ),
        ),
      ]
      : [];
    const wires = links.length > 0
      ? [
        el("details", { open: links.length < 4 }, [
          el("summary", { text: `Links (${links.length})` }),
          ...links.map(linkRow),
        ]),
      ]
      : [];
    // The process of a container that labctl does not run is unknown.
    const outside = machine.pid ? `kill -9 ${machine.pid}  (pid of ${name})` : `docker kill ${name}`;
    const pids = el("p", { class: "hint", text: `From outside: ${outside}` });
    place.replaceChildren(status, why, buttons, sizes, ...programs, ...wires, pids);
  }

  /** Lists the commands for actions that this page cannot carry out; a click copies one into the line at the bottom. */
  function showCommands() {
    const rows = Object.entries(hello.by_hand?.[machine.name] ?? {}).map(([what, command]) =>
      el("li", {}, [
        el("span", { text: what }),
        el("code", { text: String(command) }),
        el("button", { class: "plain", "data-typed": what, click: () => typed(String(command)) }, ["show below"]),
      ])
    );
    const hint = "This page cannot do these; type one in a terminal, and watch what happens here.";
    place.replaceChildren(status, el("p", { class: "hint", text: hint }), el("ul", { class: "by-hand" }, rows));
  }

  /**
   * Lists machines that share one card in the picture, the worst first, so that each can be chosen.
   * @param {string} kind @param {any[]} members
   */
  function showMembers(kind, members) {
    const now = JSON.stringify(members.map((one) => [one.name, one.word]));
    if (now === shown) return;
    shown = now;
    const buttons = byTrouble(members).map((one) =>
      el("button", { class: `plain member ${one.health}`, click: () => choose(one.name), "data-member": one.name }, [
        `${one.name}: ${one.word}`,
      ])
    );
    const title = el("p", { class: "status", text: `${members.length} machines of ${kind}` });
    place.replaceChildren(title, el("div", { class: "buttons members" }, buttons));
  }

  /** @param {{ from: string, to: string }} link */
  function linkRow({ from, to }) {
    return el("div", { class: "link" }, [
      el("span", { text: `${from} → ${to}` }),
      button("cut", { act: "cut", from, to }),
      button("slow 200 ms", { act: "slow", from, to, by: "200ms" }),
      button("answer 500", { act: "fail", from, to }),
      button("heal", { act: "heal", from, to }),
    ]);
  }

  return {
    /** @param {any} told */
    begin(told) {
      hello = told;
      shown = "";
    },
    /** @param {any} state @param {string} chosen */
    update(state, chosen) {
      machine = state.machines.find((/** @type {any} */ one) => one.name === chosen) ?? null;
      const members = machine ? [] : state.machines.filter((/** @type {any} */ one) => one.kind === chosen);
      if (members.length > 0) return showMembers(chosen, members);
      if (machine?.memory_limit) memories.set(machine.name, machine.memory_limit);
      const drawn = machine
        ? `${machine.name} ${machine.pid} ${machine.cores} ${memories.get(machine.name)} ${machine.price}`
        : "none";
      if (drawn !== shown) {
        shown = drawn;
        redraw();
      }
      if (!machine) return;
      set(status, { text: sentence(machine) });
      mark();
    },
    /** @param {string} key */
    press(key) {
      if (!machine) return false;
      const what = MACHINE_KEYS[/** @type {keyof typeof MACHINE_KEYS} */ (key)];
      if (what) attempt({ act: what, name: machine.name });
      else if (key === "a") act({ act: "add", kind: machine.kind });
      return Boolean(what) || key === "a";
    },
  };
}
