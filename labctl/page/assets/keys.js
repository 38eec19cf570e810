// Keyboard shortcuts.

import { act } from "./api.js";
import { byId, el } from "./dom.js";

const KEYS = [
  ["1 … 5", "screens"],
  ["Tab, Enter", "go to a machine, choose it"],
  ["k f t r", "kill, freeze, thaw, restart the chosen machine"],
  ["a", "add a machine of the chosen kind"],
  ["h", "heal every link"],
  ["c", "go to the buttons of the chosen machine"],
  ["s", "go to the scenes"],
  ["← →", "less or more traffic, on a slider"],
  ["space", "send one request through the balancer"],
  ["Esc", "choose nothing"],
  ["?", "this list"],
];

/** @param {string} where to move the focus on the screen "Lab", if it is shown */
const go = (where) => /** @type {HTMLElement | null} */ (document.querySelector(where))?.focus();

/**
 * @param {{ press: (key: string) => boolean }} panel
 * @param {() => void} step
 * @param {(index: number) => void} screen
 * @param {() => void} unchoose
 */
export function keys(panel, step, screen, unchoose) {
  const dialog = /** @type {HTMLDialogElement} */ (byId("help"));
  byId("help-keys").replaceChildren(
    ...KEYS.flatMap(([key, what]) => [el("dt", {}, [el("kbd", { text: key })]), el("dd", { text: what })]),
  );
  byId("help-button").addEventListener("click", () => dialog.showModal());
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || dialog.open) return;
    const target = /** @type {HTMLElement} */ (event.target);
    const writes = target.matches("input:not([type=range]), select, textarea");
    if (writes) return;
    const presses = target.matches("button, summary, a, [role=button], [role=tab]");
    if (event.key === "?") dialog.showModal();
    else if (/^[1-5]$/.test(event.key)) screen(Number(event.key) - 1);
    else if (event.key === "h") act({ act: "heal-all" });
    else if (event.key === "c") go("#panel button");
    else if (event.key === "s") go("#widgets summary");
    else if (event.key === " " && !presses) step();
    else if (event.key === "Escape") unchoose();
    else if (!panel.press(event.key)) return;
    event.preventDefault();
  });
}
