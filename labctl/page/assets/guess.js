// A guess before the first click, because a prediction makes the result memorable. The measured figure appears next to
// it.

import { el, set } from "./dom.js";

/** The largest relative error of a guess that counts as close. */
const CLOSE = 0.25;

/**
 * Judges a guess.
 * @param {number} guessed
 * @param {number} measured
 */
export function verdict(guessed, measured) {
  if (Math.abs(guessed - measured) <= CLOSE * Math.abs(measured)) return "close";
  return guessed < measured ? "more than you thought" : "less than you thought";
}

/**
 * Parses a figure from free text: `3,5 s` is 3.5.
 * @param {string} text
 * @returns {number | null}
 */
export function figure(text) {
  const found = /-?\d+([.,]\d+)?/.exec(text);
  return found ? Number(found[0].replace(",", ".")) : null;
}

/** @param {number} value */
const short = (value) => (Math.abs(value) >= 100 ? value.toFixed(0) : String(+value.toPrecision(3)));

/**
 * Asks a question whose answer is a figure.
 * @param {string} question
 * @param {string} unit as it follows the figure: ` %`, ` ms`
 */
export function guess(question, unit) {
  const input = /** @type {HTMLInputElement} */ (el("input", { size: 6, inputmode: "decimal", class: "guess" }));
  const out = el("span", { class: "hint" });
  /** @type {number | null} */
  let measured = null;
  const show = () => {
    const guessed = figure(input.value);
    if (guessed === null || measured === null) return;
    const told = `you: ${short(guessed)}${unit} · measured: ${short(measured)}${unit} · ${verdict(guessed, measured)}`;
    set(out, { text: told });
  };
  input.addEventListener("change", show);
  const element = el("label", { class: "choice" }, [`Guess first: ${question} `, input, unit, " ", out]);
  return {
    element,
    /** @param {number} value */
    measure(value) {
      measured = value;
      show();
    },
  };
}
