// The article's scenes: which of them a chapter offers, and which are open at first.

import { able, act } from "./api.js";
import { accounts } from "./accounts.js";
import { beside, setUps } from "./beside.js";
import { capacity } from "./capacity.js";
import { deed } from "./controls.js";
import { crash } from "./crash.js";
import { byId, el } from "./dom.js";
import { group, matrix } from "./matrix.js";
import { pair } from "./pair.js";
import { lookup, servers } from "./servers.js";
import { step } from "./step.js";
import { together } from "./together.js";
import { visitors } from "./visitors.js";

/** The scenes to open for the article's chapters, by number; in other chapters the first two are open. */
const OPEN = /** @type {Record<number, string[]>} */ ({
  1: ["w-together", "w-capacity"],
  2: ["w-beside", "w-capacity"],
  3: ["w-beside"],
  4: ["w-add", "w-capacity"],
  5: ["w-step", "w-add", "w-pair"],
  6: ["w-visitors"],
  7: ["w-lookup", "w-beside"],
  8: ["w-deposit"],
  10: ["w-crash", "w-matrix"],
  11: ["w-deposit"],
  12: ["w-deposit"],
});

export function widgets() {
  /** @type {(() => void) | null} */
  let stepOnce = null;
  /** @type {((state: any) => void)[]} */
  let updates = [];
  /** @type {((event: any) => void)[]} */
  let hears = [];

  /** @param {any} hello */
  function scenes(hello) {
    const kinds = (/** @type {string} */ what) =>
      hello.kinds.filter((/** @type {any} */ one) => one[what]).map((/** @type {any} */ one) => one.kind);
    const { traffics } = hello;
    const entrances = [...new Set(traffics.map((/** @type {any} */ one) => one.to.split(/[/:]/)[0]))];
    const shops = entrances.filter((name) => kinds("lb").includes(name) || kinds("webserver").includes(name));
    const balanced = shops.filter((name) => kinds("lb").includes(name) && !kinds("pair").includes(name));
    const reached = (/** @type {RegExp} */ path) =>
      shops.filter((name) => traffics.some((/** @type {any} */ one) => one.to === name && path.test(one.path)));
    const countable = hello.kinds.filter((/** @type {any} */ one) => one.countable && one.webserver);
    const found = [];
    if (balanced.length > 0) {
      const stepping = step(balanced, updates);
      stepOnce = stepping.once;
      found.push(stepping.element);
    }
    if (countable.length > 0) found.push(servers(countable.map((/** @type {any} */ one) => one.kind), hello, updates));
    if (balanced.length > 0) found.push(crash(traffics, balanced, updates, hears));
    const sharing = group(hello);
    if (sharing) found.push(matrix(hello, sharing, updates));
    for (const kind of kinds("pair")) found.push(pair(kind, traffics, updates, hears));
    const both = hello.kinds.filter((/** @type {any} */ one) => one.webserver && one.dbnode);
    if (both.length > 0) found.push(together(both.map((/** @type {any} */ one) => one.kind), hears));
    const visited = reached(/^\/(login|me|cart)/);
    if (visited.length > 0) found.push(visitors(visited));
    if (shops.length > 0) found.push(lookup(shops));
    const money = reached(/^\/accounts/);
    if (money.length > 0) found.push(accounts(money, hello, updates));
    if (setUps(traffics).size > 1) found.push(beside(traffics, updates));
    if (traffics.length > 0) found.push(capacity(traffics, updates));
    return found;
  }

  /** @param {any} hello */
  function begin(hello) {
    [updates, hears, stepOnce] = [[], [], null];
    const all = scenes(hello);
    const open = OPEN[hello.chapter.number] ?? all.slice(0, 2).map((one) => one.id);
    all.sort((a, b) => Number(open.includes(b.id)) - Number(open.includes(a.id)));
    for (const one of all) one.toggleAttribute("open", open.includes(one.id));
    const heal = el("button", { class: "plain", click: () => act({ act: "heal-all" }) }, [
      deed(able.act ? "Heal every link" : "Connect every container again"),
      el("kbd", { text: "h" }),
    ]);
    const note = able.act ? [] : [
      el("p", {
        class: "notice",
        id: "by-hand",
        text: "By design, this page cannot touch the containers. It shows the commands to type in a terminal, and " +
          "notices within a second what you have done. It can send traffic, lookups and deposits itself.",
      }),
    ];
    byId("widgets").replaceChildren(...note, ...all, heal);
  }

  return {
    begin,
    /** @param {any} state */
    update: (state) => updates.forEach((update) => update(state)),
    /** @param {any} event */
    event: (event) => hears.forEach((hear) => hear(event)),
    step: () => stepOnce?.(),
  };
}
