// What widgets are made of.

import { Refused } from "./api.js";
import { el } from "./dom.js";

/**
 * Runs what a button does; a refusal has been said already.
 * @param {() => Promise<void>} deed
 */
export function guarded(deed) {
  return async () => {
    try {
      await deed();
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
    }
  };
}

/** @param {string} label @param {string[]} names */
export function choice(label, names) {
  const select =
    /** @type {HTMLSelectElement} */ (el("select", {}, names.map((name) => el("option", { value: name, text: name }))));
  return { select, row: el("label", { class: "choice" }, [`${label} `, select]) };
}

/** @param {string} title @param {(Node | string)[]} children @param {string} id */
export function widget(title, children, id) {
  return el("details", { class: "widget", id, open: true }, [el("summary", { text: title }), ...children]);
}
