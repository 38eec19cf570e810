// Animates requests: circles that move along busy wires, and crosses for those that fail. They show rates, not single
// requests. Nothing moves if the user prefers reduced motion or the page is hidden.

import { el } from "./dom.js";
import { isCovered } from "./wire.js";

const MOST = 200;
const FRAME_MS = 50;
const WAY_MS = 1100;
/** The highest number of dots a second on one wire: more would merge into a line. */
const BUSIEST = 9;
const SAMPLES = 32;

/**
 * @typedef {object} Lane
 * @property {{ x: number, y: number, hidden: boolean }[]} points
 * @property {number} rps
 * @property {number} failed
 * @property {number} owed
 */

export function motion() {
  const canvas = /** @type {HTMLCanvasElement} */ (el("canvas", { class: "motion", "aria-hidden": "true" }));
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  /** @type {Map<string, Lane>} */
  let lanes = new Map();
  /** @type {{ lane: Lane, begun: number, fails: boolean }[]} */
  let dots = [];
  let size = { width: 1, height: 1 };
  let last = 0;

  /**
   * Starts over after the picture was redrawn.
   * @param {Map<string, { line: Element, label: Element }>} lines
   * @param {import("./layout.js").Layout} plan
   * @param {HTMLElement} frame what the picture fills
   */
  function begin(lines, plan, frame) {
    size = plan;
    dots = [];
    const written = [...lines.values()].map(({ label }) => ["x", "y"].map((side) => Number(label.getAttribute(side))));
    const isWritten = (/** @type {number} */ x, /** @type {number} */ y) =>
      written.some(([left, base]) => Math.abs(x - left) < 24 && y > base - 14 && y < base + 5);
    lanes = new Map([...lines].map(([name, { line }]) => {
      const path = /** @type {SVGPathElement} */ (line);
      const length = path.getTotalLength();
      const points = Array.from({ length: SAMPLES + 1 }, (_, at) => {
        const { x, y } = path.getPointAtLength((length * at) / SAMPLES);
        return { x, y, hidden: isCovered(plan, x, y) || isWritten(x, y) };
      });
      return [name, { points, rps: 0, failed: 0, owed: Math.random() }];
    }));
    frame.append(canvas);
  }

  /** @param {any[]} wires */
  function update(wires) {
    for (const wire of wires) {
      const lane = lanes.get(`${wire.from}>${wire.to}`);
      if (lane) [lane.rps, lane.failed] = [wire.carries === "copies" ? 0 : wire.rps ?? 0, wire.failed ?? 0];
    }
  }

  /** @param {number} now */
  function emit(now) {
    const seconds = Math.min(0.25, (now - last) / 1000);
    for (const lane of lanes.values()) {
      lane.owed += Math.min(BUSIEST, lane.rps) * seconds;
      for (; lane.owed >= 1; lane.owed -= 1) {
        if (dots.length < MOST) dots.push({ lane, begun: now, fails: Math.random() < lane.failed });
      }
    }
    dots = dots.filter((dot) => now - dot.begun < WAY_MS);
  }

  /** @param {number} now */
  function draw(now) {
    const scale = globalThis.devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth * scale, canvas.clientHeight * scale];
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    pen.clearRect(0, 0, width, height);
    const style = getComputedStyle(canvas);
    const [well, down] = ["--well", "--down"].map((name) => style.getPropertyValue(name));
    const zoom = Math.min(width / size.width, height / size.height);
    pen.setTransform(zoom, 0, 0, zoom, (width - size.width * zoom) / 2, (height - size.height * zoom) / 2);
    for (const { lane, begun, fails } of dots) {
      const { x, y, hidden } = lane.points[Math.floor(((now - begun) / WAY_MS) * SAMPLES)];
      if (hidden) continue;
      pen.beginPath();
      if (fails) {
        pen.strokeStyle = down;
        pen.lineWidth = 2;
        pen.moveTo(x - 4, y - 4);
        pen.lineTo(x + 4, y + 4);
        pen.moveTo(x + 4, y - 4);
        pen.lineTo(x - 4, y + 4);
        pen.stroke();
      } else {
        pen.fillStyle = well;
        pen.arc(x, y, 3.2, 0, 7);
        pen.fill();
      }
    }
    pen.setTransform(1, 0, 0, 1, 0, 0);
  }

  setInterval(() => {
    const now = performance.now();
    const idle = dots.length === 0 && ![...lanes.values()].some((lane) => lane.rps > 0.05);
    if (!idle && !calm.matches && !document.hidden && canvas.clientWidth > 0) {
      emit(now);
      draw(now);
    }
    last = now;
  }, FRAME_MS);

  return { begin, update };
}
