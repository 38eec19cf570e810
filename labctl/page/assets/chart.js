// A line chart of the last minute, on a canvas, with the same data as a table.

import { el, table } from "./dom.js";

/**
 * @typedef {object} Series
 * @property {string} name
 * @property {string} colour a custom property of the style sheet
 * @property {number[]} dash
 * @property {(second: any) => number | null} of
 */

const SECONDS = 60;

/**
 * @param {string} title
 * @param {string} unit
 * @param {Series[]} series
 */
export function chart(title, unit, series) {
  const canvas = /** @type {HTMLCanvasElement} */ (el("canvas", { role: "img", "aria-label": title }));
  const legend = el(
    "ul",
    { class: "keys" },
    series.map((one) =>
      el("li", { class: `${one.colour.slice(2)}${one.dash.length > 0 ? " dashed" : ""}` }, [one.name])
    ),
  );
  const marks = el("li", { class: "mark", hidden: true }, ["a fault"]);
  legend.append(marks);
  const data = el("div", { tabindex: 0, class: "scroll" });
  const details = el("details", {}, [el("summary", { text: "As a table" }), data]);
  const figure = el("figure", { class: "chart" }, [el("figcaption", {}, [title]), legend, canvas, details]);

  /**
   * @param {any[]} seconds
   * @param {number} now at the right edge
   * @param {{ at: number, what: string }[]} faults
   * @param {{ span: number, cursor: number | null }} [frame] the number of seconds shown, and the moment to mark
   */
  function draw(seconds, now, faults, { span, cursor } = { span: SECONDS, cursor: null }) {
    const width = canvas.clientWidth;
    const height = canvas.clientHeight;
    if (width === 0) return;
    const scale = globalThis.devicePixelRatio || 1;
    canvas.width = width * scale;
    canvas.height = height * scale;
    const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    pen.scale(scale, scale);
    const style = getComputedStyle(canvas);
    const colour = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
    const values = seconds.flatMap((second) => series.map((one) => one.of(second) ?? 0));
    const top = nice(Math.max(1, ...values));
    const [left, right, above, below] = [52, 10, 8, 22];
    const x = (/** @type {number} */ at) => left + ((at - now + span) / span) * (width - left - right);
    const y = (/** @type {number} */ value) => above + (1 - value / top) * (height - above - below);
    pen.font = "12px system-ui, sans-serif";
    pen.fillStyle = colour("--muted");
    pen.strokeStyle = colour("--line");
    pen.lineWidth = 1;
    pen.textAlign = "right";
    for (const part of [0, 0.5, 1]) {
      pen.beginPath();
      pen.moveTo(left, y(top * part));
      pen.lineTo(width - right, y(top * part));
      pen.stroke();
      pen.fillText(`${+(top * part).toPrecision(3)}`, left - 6, y(top * part) + 4);
    }
    pen.textAlign = "center";
    for (const part of [0, 1, 2, 3]) {
      const at = now - span + (part * span) / 3;
      const word = cursor !== null ? `${at.toFixed(0)} s` : part === 3 ? "now" : `−${(now - at).toFixed(0)} s`;
      pen.fillText(word, Math.min(width - 20, Math.max(left, x(at))), height - 5);
    }
    pen.strokeStyle = colour("--down");
    pen.setLineDash([3, 3]);
    const shown = faults.filter((one) => one.at > now - span);
    marks.hidden = shown.length === 0;
    for (const fault of shown) {
      pen.beginPath();
      pen.moveTo(x(fault.at), above);
      pen.lineTo(x(fault.at), height - below);
      pen.stroke();
    }
    for (const one of series) {
      pen.strokeStyle = colour(one.colour);
      pen.lineWidth = 2;
      pen.setLineDash(one.dash);
      pen.beginPath();
      let begun = false;
      for (const second of seconds.filter((each) => each.at > now - span)) {
        const value = one.of(second);
        if (value === null || value === undefined) begun = false;
        else if (begun) pen.lineTo(x(second.at), y(value));
        else {
          pen.moveTo(x(second.at), y(value));
          begun = true;
        }
      }
      pen.stroke();
    }
    pen.setLineDash([]);
    if (cursor !== null) {
      pen.strokeStyle = colour("--text");
      pen.lineWidth = 1.5;
      pen.beginPath();
      pen.moveTo(x(cursor), above);
      pen.lineTo(x(cursor), height - below);
      pen.stroke();
    }
    if (/** @type {HTMLDetailsElement} */ (details).open) {
      const rows = seconds.slice(-15).reverse().map((
        second,
      ) => [`${(now - second.at).toFixed(0)} s ago`, ...series.map((one) => +(one.of(second) ?? 0).toFixed(1))]);
      data.replaceChildren(table(`${title}, ${unit}`, ["when", ...series.map((one) => one.name)], rows));
    }
  }

  return { figure, draw };
}

/** @param {number} value the next round number above it */
function nice(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  const step = [1, 2, 2.5, 5, 10].find((one) => one * power >= value) ?? 10;
  return step * power;
}
