// Commands go up: one request, one answer. What could have been typed instead is shown below.

import { byId, set } from "./dom.js";

/** @typedef {Record<string, any>} Answer */

/** Whether this page can do what labctl does. One that cannot shows what to type instead; said by the first message. */
export const able = { act: true };

/** A refusal, in the lab's words. */
export class Refused extends Error {
  /**
   * @param {string} why
   * @param {string | null} [command] what does it by hand, where the page cannot
   */
  constructor(why, command = null) {
    super(why);
    this.command = command;
  }
}

/**
 * Posts a command, shows what does the same in a terminal, and says what went wrong.
 * @param {string} path
 * @param {Record<string, any>} body
 * @returns {Promise<Answer>}
 */
export async function post(path, body) {
  const headers = { "content-type": "application/json" };
  let answer;
  try {
    answer = await fetch(`/api/${path}`, { method: "POST", headers, body: JSON.stringify(body) });
  } catch {
    say("The lab does not answer.", true);
    throw new Refused("the lab does not answer");
  }
  const told = await answer.json().catch(() => ({ detail: `the lab answered ${answer.status}` }));
  if (told.command) typed(told.command);
  if (!answer.ok) {
    const byHand = told.error === "by_hand";
    say(byHand ? `Type this in a terminal: ${told.command}` : told.detail ?? told.error, !byHand);
    throw new Refused(told.detail, byHand ? told.command : null);
  }
  return told;
}

/**
 * Does something to the lab, and says what could have been typed.
 * @param {Record<string, any>} act
 * @returns {Promise<Answer | null>} null when it was refused, which has been said; `byHand` is a command that somebody has
 * to type now
 */
export async function act(act) {
  try {
    const told = await post("act", act);
    const done = (told.done ?? []).filter((/** @type {string} */ line) => !line.startsWith("labctl"));
    say(done.length > 0 ? `Done: ${done.join("; ")}` : "Done.");
    return told;
  } catch (error) {
    if (error instanceof Refused) return error.command ? { byHand: error.command } : null;
    throw error;
  }
}

/** @param {string} command what could have been typed */
export function typed(command) {
  set(byId("typed"), { text: command });
}

let lastSaid = 0;
let waiting = 0;

/**
 * Says something in the line at the bottom; a screen reader hears at most one in two seconds.
 * @param {string} text
 * @param {boolean} [wrong]
 */
export function say(text, wrong = false) {
  const now = performance.now();
  clearTimeout(waiting);
  const tell = () => {
    lastSaid = performance.now();
    set(byId("said"), { text, class: wrong ? "wrong" : "" });
  };
  if (wrong || now - lastSaid > 2000) tell();
  else waiting = setTimeout(tell, 2000 - (now - lastSaid));
}
