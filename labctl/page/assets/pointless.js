// Which actions make sense on a machine as it is now. Pure.

/** Keyboard shortcuts for the chosen machine. */
export const MACHINE_KEYS = { k: "kill", f: "freeze", t: "thaw", r: "restart" };

/**
 * Says why an action is pointless as the machine is now.
 * @param {any} machine
 * @param {Record<string, any>} body the act
 * @returns {string | null} null if it is not
 */
export function pointless({ name, programs }, body) {
  if (!Object.values(MACHINE_KEYS).includes(body.act) || body.act === "restart") return null;
  const [, program] = body.name.split("/");
  const alive = programs.filter((/** @type {any} */ one) => one.alive && (!program || one.program === program));
  if (alive.length === 0) return `${body.name} is not running: restart ${name} first`;
  const frozen = alive.filter((/** @type {any} */ one) => one.frozen).length;
  if (body.act === "freeze" && frozen === alive.length) return `${name} is frozen already`;
  return body.act === "thaw" && frozen === 0 ? `${name} is not frozen` : null;
}
