// The scene "Deposit and read the copies": sends one deposit, then polls every copy to show which has it, and when.

import { post, say } from "./api.js";
import { choice, guarded, widget } from "./controls.js";
import { el, set, svg, table } from "./dom.js";
import { ms } from "./format.js";

/**
 * @param {string[]} names
 * @param {any} hello
 * @param {((state: any) => void)[]} updates
 */
export function accounts(names, hello, updates) {
  const to = choice("through", names);
  const account = /** @type {HTMLInputElement} */ (el("input", { value: "7", size: 6, "aria-label": "Account" }));
  const out = el("output", { class: "result", text: "Deposits $50, then reads all copies every 50 ms for a second." });
  const picture = el("div", { class: "copies" });
  const kept = el("output", { class: "hint", id: "kept" });
  /** @type {Map<string, { to: string, account: string, balance: number }>} what was acknowledged, by account */
  const acknowledged = new Map();
  const counts = { acknowledged: 0, refused: 0 };
  const deposit = el("button", {
    id: "deposit",
    click: guarded(async () => {
      set(out, { text: "…" });
      picture.replaceChildren();
      const told = await post("deposit", { to: to.select.value, account: account.value.trim(), amount: 50 });
      const one = told.deposit;
      const balance = one.body?.balance;
      counts[balance === undefined ? "refused" : "acknowledged"] += 1;
      const key = { to: to.select.value, account: account.value.trim() };
      if (balance !== undefined) acknowledged.set(`${key.to} ${key.account}`, { ...key, balance });
      set(kept, { text: `${counts.acknowledged} acknowledged, ${counts.refused} refused, by this button` });
      const stale = Object.values(told.nodes).map((readings) => firstShown(readings, balance)).filter((at) =>
        at !== null
      );
      const last = stale.length > 0 ? Math.max(...stale.map(Number)) : null;
      const until = last === null || balance === undefined
        ? ""
        : last > one.ms
        ? `; the last copy showed it after ${ms(last)}`
        : "; every copy showed it at once";
      set(out, {
        text: one.problem ??
          `${one.status} after ${ms(one.ms)}${
            balance === undefined ? ` (${one.body?.error ?? "not written"})` : `: balance ${balance}${until}`
          }`,
      });
      picture.replaceChildren(...draw(told, balance));
    }, out),
  }, ["Deposit $50"]);
  const read = el("button", {
    id: "read",
    class: "plain",
    click: guarded(async () => {
      const told = await post("read", { to: to.select.value, account: account.value.trim() });
      const rows = Object.entries(told.nodes).map((
        [node, reading],
      ) => [node, reading.balance ?? reading.problem ?? "–", reading.version ?? "–", reading.lag_ms ?? "–"]);
      picture.replaceChildren(table("All copies, read at once", ["copy", "balance", "version", "lag, ms"], rows));
    }, out),
  }, ["Read all copies"]);
  const check = el("button", {
    id: "lost",
    class: "plain",
    click: guarded(async () => {
      const lost = [];
      for (const { to, account, balance } of acknowledged.values()) {
        const told = await post("read", { to, account });
        const found = Object.values(told.nodes).map((reading) => reading.balance ?? -1);
        const most = Math.max(-1, ...found);
        // If no copy answers, nothing is known.
        if (most >= 0 && most < balance) {
          lost.push(`account ${account} through ${to}: ${balance} acknowledged, ${most} left`);
        }
      }
      const none = counts.acknowledged > 0 ? "none" : "nothing to look for yet";
      set(kept, {
        text:
          `Of the deposits made with this button (${counts.acknowledged} acknowledged, ${counts.refused} refused) ` +
          `lost: ${lost.length > 0 ? lost.join("; ") : none}. Those of the traffic are not checked here: a run ` +
          `(${hello.labctl} run ${hello.chapter.name}) does that.`,
      });
    }),
  }, ["Is any of mine lost?"]);
  const refused = el("p", { class: "status", id: "refused" });
  updates.push((state) => {
    const all = hello.traffics.filter((/** @type {any} */ one) => one.to === to.select.value && isDeposit(one));
    const writes = all.map((/** @type {any} */ one) => one.name);
    const told = outage(state, writes);
    // While it lasts, its length changes all the time: it is read out once, at its end.
    if (told !== refused.textContent && told.startsWith("writes were")) say(told);
    set(refused, { text: told });
  });
  return widget(
    "Deposit and read the copies",
    [
      to.row,
      el("div", { class: "row" }, [account, deposit, read, check]),
      refused,
      out,
      kept,
      picture,
    ],
    "w-deposit",
    () => [to.select.value],
  );
}

/** @param {{ method: string, path: string }} traffic */
const isDeposit = ({ method, path }) => method === "POST" && path.startsWith("/accounts/");

/**
 * Says for how long deposits of the traffic were refused since the last fault.
 * @param {any} state
 * @param {string[]} writes the traffics that deposit
 */
export function outage(state, writes) {
  if (!state.totals.fault || writes.length === 0) return "";
  const views = state.traffics.filter((/** @type {any} */ view) => writes.includes(view.name));
  const sum = (/** @type {string} */ of) =>
    views.reduce((/** @type {number} */ all, /** @type {any} */ one) => all + one[of], 0);
  if (sum("of_since") === 0) return `Whether writes are refused shows while “${writes[0]}” sends some.`;
  const out = views.filter((/** @type {any} */ view) => view.outage);
  const failed = sum("failed_since");
  if (out.length === 0) return `${failed || "none"} of ${sum("of_since")} writes failed since the fault: no outage`;
  const longest = Math.max(...out.map((/** @type {any} */ view) => view.outage.seconds)).toFixed(1);
  const how = failed > 0 ? "refused" : "held up";
  const count = `${failed || "none"} failed`;
  return out.every((/** @type {any} */ view) => view.outage.over)
    ? `writes were ${how} for ${longest} s; ${count}`
    : `writes are being ${how}, for ${longest} s so far; ${count}`;
}

/**
 * Returns when a copy first showed the new balance, in milliseconds since the deposit was sent.
 * @param {any} readings
 * @param {number | undefined} balance
 */
function firstShown(readings, balance) {
  const found = readings.find((/** @type {any} */ reading) =>
    reading.balance !== null && balance !== undefined && reading.balance >= balance
  );
  return found ? found.at_ms : null;
}

/**
 * Draws a line for each copy: a dot for each reading, hollow while it showed the old balance.
 * @param {any} told
 * @param {number | undefined} balance
 */
function draw(told, balance) {
  const nodes = Object.entries(told.nodes);
  const end = Math.max(200, ...nodes.flatMap(([, readings]) => readings.map((/** @type {any} */ r) => r.at_ms)));
  const [left, width, step] = [70, 300, 22];
  const x = (/** @type {number} */ at) => left + (at / end) * (width - left - 8);
  const rows = nodes.flatMap(([node, readings], index) => {
    const y = 16 + index * step;
    const dots = readings.map((/** @type {any} */ reading) => {
      const fresh = balance !== undefined && reading.balance >= balance && reading.balance !== null;
      const at = x(reading.at_ms).toFixed(1);
      if (reading.balance === null) return svg("path", { d: `M${at} ${y}m-3-3l6 6m0-6l-6 6`, class: "none" });
      return svg("circle", { cx: at, cy: y, r: 3.4, class: fresh ? "fresh" : "old" });
    });
    return [svg("text", { x: 0, y: y + 4, text: node }), ...dots];
  });
  const acknowledged = balance === undefined
    ? null
    : svg("path", { d: `M${x(told.deposit.ms)} 4V${nodes.length * step + 6}`, class: "acknowledged" });
  const label = `When each copy showed the deposit: ${
    nodes.map(([node, readings]) => `${node} ${ms(firstShown(readings, balance))}`).join(", ")
  }`;
  const picture = svg(
    "svg",
    { viewBox: `0 0 ${width} ${nodes.length * step + 10}`, role: "img", "aria-label": label },
    [...(acknowledged ? [acknowledged] : []), ...rows],
  );
  const rowsTable = nodes.map((
    [node, readings],
  ) => [
    node,
    ms(firstShown(readings, balance)),
    readings.length,
    readings[readings.length - 1]?.balance ?? readings[readings.length - 1]?.problem ?? "–",
  ]);
  const details = el("details", {}, [
    el("summary", { text: "As a table" }),
    table("The copies", ["copy", "showed it after", "readings", "last"], rowsTable),
  ]);
  return [
    picture,
    el("p", { class: "hint", text: "● new balance  ○ old  ✕ no answer; the line: acknowledged" }),
    details,
  ];
}
