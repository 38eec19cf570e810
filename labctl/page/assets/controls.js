// The building blocks of widgets.

import { able, Refused } from "./api.js";
import { el } from "./dom.js";

/**
 * Wraps a button's handler; a refusal has been reported already.
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

/**
 * Labels a button that acts on a machine; a page that cannot act says that the button only shows the command.
 * @param {string} label
 */
export const deed = (label) => able.act ? label : `${label}: how?`;

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
