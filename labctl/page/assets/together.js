// The scene "One machine, one end": programs on one machine die together; shows which died, and how far apart.

import { widget } from "./controls.js";
import { el, set } from "./dom.js";

/** Deaths further apart than this, in seconds, are unrelated. */
const APART = 3;

/** @param {string[]} kinds @param {((event: any) => void)[]} hears */
export function together(kinds, hears) {
  const out = el("output", { class: "result", text: "Give it more traffic than it can take, and watch its memory." });
  /** @type {{ program: string, at: number }[]} */
  let deaths = [];
  hears.push((event) => {
    if (event.event === "out_of_memory") set(out, { text: event.text });
    // A program that was asked to stop ends in its own time: only kills count.
    if (event.event !== "program_ended" || !/kill/.test(event.how)) return;
    deaths = [...deaths.filter((one) => event.at - one.at < APART && one.program !== event.program), {
      program: event.program,
      at: event.at,
    }];
    const machine = event.program.split("/")[0];
    const mine = deaths.filter((one) => one.program.split("/")[0] === machine);
    if (mine.length < 2) return;
    const apart = Math.max(...mine.map((one) => one.at)) - Math.min(...mine.map((one) => one.at));
    set(out, { text: `${mine.map((one) => one.program).join(" and ")} died ${Math.round(apart * 1000)} ms apart` });
  });
  return widget("One machine, one end", [out], "w-together", () => kinds);
}
