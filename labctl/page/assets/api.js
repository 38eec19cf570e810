// Commands to the lab: one request, one answer. The equivalent command line is shown at the bottom of the page.

import { byId, set } from "./dom.js";

/** @typedef {Record<string, any>} Answer */

/** Whether this page can do what labctl does; if not, it shows the commands to type. The first message sets it. */
export const able = { act: true };

/** A refused command, with the lab's reason. */
export class Refused extends Error {
  /**
   * @param {string} why
   * @param {string | null} [command] the command to type where the page cannot do it
   */
  constructor(why, command = null) {
    super(why);
    this.command = command;
  }
}

/**
 * Posts a command, shows its equivalent for a terminal, and reports errors.
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

/** @type {Set<string>} the machines that this page is restarting */
const restarting = new Set();

/**
 * Carries out an action on the lab, and reports what was done.
 * @param {Record<string, any>} act
 * @returns {Promise<Answer | null>} null if it was refused, which has been reported; `byHand` is a command that the
 * user has to type
 */
export async function act(act) {
  // A machine that is being restarted is not restarted again; a button pressed twice did not mean that.
  const restarted = ["resize", "restart"].includes(act.act) ? act.name : null;
  if (restarted !== null && restarting.has(restarted)) {
    say(`${restarted} is still being restarted.`, true);
    return null;
  }
  if (restarted !== null) restarting.add(restarted);
  try {
    const told = await post("act", act);
    const done = (told.done ?? []).filter((/** @type {string} */ line) => !line.startsWith("labctl"));
    say(done.length > 0 ? `Done: ${done.join("; ")}` : "Done.");
    return told;
  } catch (error) {
    if (error instanceof Refused) return error.command ? { byHand: error.command } : null;
    throw error;
  } finally {
    if (restarted !== null) restarting.delete(restarted);
  }
}

/** @param {string} command the equivalent command line */
export function typed(command) {
  set(byId("typed"), { text: command });
}

let lastSaid = 0;
let waiting = 0;

/**
 * Shows a message in the line at the bottom; a screen reader gets at most one every two seconds.
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
