// What the page's modules decide, without a browser: `deno test labctl/page/tests`.

import { outage } from "../assets/accounts.js";
import { pairOf } from "../assets/difference.js";
import { figure, verdict } from "../assets/guess.js";
import { grouped, MANY } from "../assets/groups.js";
import { layout, ranks, reachable } from "../assets/layout.js";
import { pointless } from "../assets/pointless.js";
import { bin, seconds, stateAt } from "../assets/replay.js";
import { rateOf, scaleOf, stepOf } from "../assets/marks.js";

/** @param {unknown} found @param {unknown} wanted */
function same(found, wanted) {
  const [a, b] = [JSON.stringify(found), JSON.stringify(wanted)];
  if (a !== b) throw new Error(`${a} is not ${b}`);
}

const machine = (/** @type {string} */ kind, /** @type {number} */ n, more = {}) => ({
  name: `${kind}-${n}`,
  kind,
  health: "well",
  word: "up",
  since: 0,
  reason: null,
  cpu: 0.5,
  queue: 1,
  memory_held: 1,
  memory_limit: 2,
  in_flight: 1,
  ...more,
});

/** @param {number} count */
function lab(count) {
  const webs = Array.from(
    { length: count },
    (_, at) => machine("web", at + 1, at === 41 ? { health: "down", word: "down" } : {}),
  );
  const machines = [{ ...machine("lb", 1), name: "lb" }, ...webs, { ...machine("db", 1), name: "db" }];
  const wires = [
    { from: "clients", to: "lb", carries: "traffic", rps: 100, failed: 0 },
    ...webs.flatMap(({ name }) => [
      { from: "lb", to: name, carries: "requests", rps: 1, failed: name === "web-42" ? 1 : 0, ejected: false },
      { from: name, to: "db", carries: "queries", rps: 1, failed: 0, ejected: false },
    ]),
  ];
  return { at: 1, machines, wires };
}

Deno.test("a hundred machines are three cards, and the broken one is named", () => {
  const found = grouped(lab(100));
  same(found.machines.map((/** @type {any} */ one) => one.name), ["lb", "web", "db"]);
  const card = found.machines[1];
  same([card.health, card.word, card.reason], ["down", "1 down · 99 up", "such as web-42"]);
  same(found.wires.map((/** @type {any} */ one) => [one.from, one.to, one.rps]), [
    ["clients", "lb", 100],
    ["lb", "web", 100],
    ["web", "db", 100],
  ]);
  same(found.wires[1].failed, 0.01);
  const plan = layout(found.machines, found.wires, false);
  same([...plan.boxes.keys()], ["clients", "lb", "web", "db"]);
});

Deno.test("a few machines stay what they are", () => {
  const few = lab(MANY);
  same(grouped(few) === few, true);
});

Deno.test("machines stand in the order in which requests reach them", () => {
  const { machines, wires } = lab(2);
  same([...ranks(machines, wires)].sort(), [["clients", 0], ["db", 3], ["lb", 1], ["web", 2]]);
  same([...reachable(machines, wires, "web-1")], ["web-1", "db"]);
});

Deno.test("every step of a slider is another rate, and leads back to itself", () => {
  for (let step = 1; step <= 200; step++) {
    same([rateOf(step) > rateOf(step - 1), stepOf(rateOf(step))], [true, step]);
  }
});

Deno.test("a guess is close, or it is not", () => {
  same([figure("3,5 s"), figure("about 20 %"), figure("many")], [3.5, 20, null]);
  same([verdict(3, 2.9), verdict(1, 3), verdict(9, 3)], ["close", "more than you thought", "less than you thought"]);
});

const RUN = {
  seconds: 4,
  width: 1,
  events: [
    { at: 0.2, event: "machine_ready", about: { machine: "web-1" } },
    { at: 1.5, event: "machine_ended", about: { machine: "web-1", how: "killed by signal 9" } },
    { at: 2.5, event: "ejected", about: { balancer: "lb", upstream: "web-1" } },
    { at: 3, event: "link", about: { from: "lb", to: "web-2", now: "cut" } },
    { at: 3.5, event: "machine_ready", about: { machine: "web-1" } },
  ],
  shape: {
    machines: [{ name: "lb", kind: "lb", programs: ["lb"] }, { name: "web-1", kind: "web", programs: ["webserver"] }],
    wires: [{ from: "clients", to: "lb", carries: "traffic" }, { from: "lb", to: "web-1", carries: "requests" }, {
      from: "lb",
      to: "web-2",
      carries: "requests",
    }],
    traffics: [{ name: "shoppers", to: "lb" }],
  },
  traffics: { shoppers: { from: 1, bins: [[10, 8, 2, 5, 9], [20, 20, 0, 4, 8]] } },
};

Deno.test("a run that was kept is shown as it was at each moment", () => {
  const health = (/** @type {number} */ at) => stateAt(RUN, at).machines[1].health;
  same([health(1), health(2), health(4)], ["well", "down", "well"]);
  const wires = (/** @type {number} */ at) => stateAt(RUN, at).wires;
  same([wires(2)[1].ejected, wires(3)[1].ejected, wires(3)[2].now], [false, true, "cut"]);
  same([wires(1.5)[0].rps, wires(1.5)[0].failed], [10, 0.2]);
  same(bin(RUN, "shoppers", 0.5), { offered: 0, good: 0, failed: 0, p50_ms: null, p99_ms: null });
  same(seconds(RUN).map((one) => one.offered), [0, 10, 20, 0]);
});

Deno.test("once the capacity is known, a step is one percent of it, and every step counts", () => {
  for (const capacity of [10, 33.3, 92, 399, 400, 1234]) {
    const { rate, step } = scaleOf(capacity);
    for (let at = 0; at <= 200; at++) same(step(rate(at)), at);
    same(Math.abs(rate(95) - 0.95 * capacity) <= 0.5, true);
  }
  same([scaleOf(null).rate(50), scaleOf(3).rate(50)], [rateOf(50), rateOf(50)]);
});

Deno.test("what is pointless on a machine has a reason", () => {
  const is = (/** @type {boolean} */ alive, /** @type {boolean} */ frozen) => ({
    name: "web-1",
    programs: [{ program: "webserver", alive, frozen }],
  });
  const why = (/** @type {any} */ machine, /** @type {string} */ act) => pointless(machine, { act, name: "web-1" });
  same(why(is(false, false), "kill"), "web-1 is not running: restart web-1 first");
  same([why(is(false, false), "restart"), why(is(true, false), "kill"), why(is(true, true), "kill")], [
    null,
    null,
    null,
  ]);
  same([why(is(true, true), "freeze"), why(is(true, false), "thaw")], [
    "web-1 is frozen already",
    "web-1 is not frozen",
  ]);
  same(pointless(is(true, false), { act: "cut", from: "lb", to: "web-1" }), null);
});

Deno.test("two runs of one chapter are shown first, the earlier one before the later", () => {
  const runs = ["b/3", "a/2", "b/1", "a/0"].map((path) => ({ chapter: path[0], run: path[2] }));
  same(pairOf(runs, "a"), ["a/0", "a/2"]);
  same(pairOf(runs, "c"), ["b/1", "b/3"]);
  same([pairOf(runs.slice(0, 2), "a"), pairOf([], "a")], [["a/2"], []]);
});

Deno.test("for how long writes were refused is said when a write is good again", () => {
  const view = (/** @type {any} */ more) => ({ name: "deposits", failed_since: 0, of_since: 0, outage: null, ...more });
  const told = (/** @type {any} */ more) => outage({ totals: { fault: {} }, traffics: [view(more)] }, ["deposits"]);
  same(outage({ totals: { fault: null }, traffics: [] }, ["deposits"]), "");
  same(told({}), "Whether writes are refused shows while “deposits” sends some.");
  same(told({ of_since: 9 }), "none of 9 writes failed since the fault: no outage");
  const failed = { of_since: 90, failed_since: 7 };
  same(
    told({ ...failed, outage: { seconds: 1, over: false } }),
    "writes are being refused, for 1.0 s so far; 7 failed",
  );
  same(told({ ...failed, outage: { seconds: 2.9, over: true } }), "writes were refused for 2.9 s; 7 failed");
  same(told({ of_since: 90, outage: { seconds: 0.8, over: true } }), "writes were held up for 0.8 s; none failed");
});
