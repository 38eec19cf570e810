// The scene "Two visitors": each has its own cookies; shows which servers know them, and what is in their carts.

import { post } from "./api.js";
import { choice, guarded, widget } from "./controls.js";
import { el, set } from "./dom.js";

const NAMES = ["ada", "ben"];

/** @param {string[]} names */
export function visitors(names) {
  const to = choice("at", names);
  const rows = NAMES.map((name) => visitor(name, () => to.select.value));
  const both = el("button", { class: "plain", click: () => rows.forEach((row) => row.ask("me")) }, [
    "Who knows me? (both)",
  ]);
  return widget(
    "Two visitors",
    [to.row, ...rows.map((row) => row.element), both],
    "w-visitors",
    () => [to.select.value],
  );
}

/** @param {string} name @param {() => string} at */
function visitor(name, at) {
  const out = el("output", { class: "result", text: "not logged in" });
  const ask = async (/** @type {string} */ what) => {
    const told = await post("visit", { to: at(), visitor: name, do: what });
    const server = told.server ? ` by ${told.server}` : "";
    const items = told.body?.items ?? told.body?.cart;
    const cart = Array.isArray(items)
      ? `, cart: ${items.reduce((/** @type {number} */ sum, /** @type {any} */ item) => sum + (item.quantity ?? 0), 0)}`
      : "";
    const known = told.status === null
      ? told.problem
      : told.status === 401
      ? `401${server}: it does not know me`
      : `${told.status}${told.body?.error ? ` ${told.body.error}` : ""}${server}`;
    set(out, { text: `${known}${cart}` });
  };
  const button = (/** @type {string} */ label, /** @type {string} */ what) =>
    el("button", { class: "plain", "data-visitor": name, "data-do": what, click: guarded(() => ask(what)) }, [label]);
  const buttons = [
    button("log in", "login"),
    button("who am I?", "me"),
    button("add to cart", "add"),
    button("cart", "cart"),
  ];
  const element = el("div", { class: "visitor" }, [
    el("strong", { text: name }),
    el("div", { class: "buttons" }, buttons),
    out,
  ]);
  return { element, ask: (/** @type {string} */ what) => guarded(() => ask(what))() };
}
