// The building blocks of widgets.

import { able, Refused } from "./api.js";
import { el, set } from "./dom.js";

/**
 * Wraps a button's handler. A refusal has been reported in the line at the bottom; it is repeated beside the button.
 * @param {() => Promise<void>} deed
 * @param {HTMLElement | null} [out] where the result is shown
 */
export function guarded(deed, out = null) {
  return async () => {
    try {
      await deed();
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (out) set(out, { text: `Not done: ${error.message}` });
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

/**
 * Builds a scene. Whoever uses it is told so by an event, so that the picture can show the machines it is about.
 * @param {string} title
 * @param {(Node | string)[]} children
 * @param {string} id
 * @param {() => string[]} about the machines, or kinds of them, at which its requests arrive
 */
export function widget(title, children, id, about) {
  const element = /** @type {HTMLDetailsElement} */ (el("details", { class: "widget", id, open: true }, [
    el("summary", { text: title }),
    ...children,
  ]));
  for (const used of ["focusin", "change", "toggle"]) {
    element.addEventListener(used, () => {
      if (!element.open || !element.contains(document.activeElement)) return;
      element.dispatchEvent(new CustomEvent("scene", { bubbles: true, detail: { title, entrances: about() } }));
    });
  }
  return element;
}
