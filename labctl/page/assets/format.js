// Formats figures for people.

/** @param {number | null | undefined} value a rate a second */
export function rate(value) {
  if (value === null || value === undefined) return "–";
  if (value > 0 && value < 9.5) return value.toFixed(1);
  return Math.round(value).toLocaleString("en");
}

/** @param {number | null | undefined} value milliseconds */
export function ms(value) {
  if (value === null || value === undefined) return "–";
  if (value >= 10_000) return `${(value / 1000).toFixed(0)} s`;
  if (value >= 1000) return `${(value / 1000).toFixed(1)} s`;
  return `${value < 10 ? value.toFixed(1) : value.toFixed(0)} ms`;
}

/** @param {number | null | undefined} share from 0 to 1 */
export function percent(share) {
  if (share === null || share === undefined) return "–";
  const value = share * 100;
  return `${value > 0 && value < 9.5 ? value.toFixed(1) : value.toFixed(0)} %`;
}

/** @param {number | null | undefined} bytes */
export function mib(bytes) {
  return bytes === null || bytes === undefined ? "–" : Math.round(bytes / 1048576).toLocaleString("en");
}

/** @param {number} seconds how long ago */
export function ago(seconds) {
  if (seconds < 1) return "just now";
  if (seconds < 90) return `${Math.floor(seconds)} s ago`;
  return `${Math.floor(seconds / 60)} min ago`;
}

/** @param {number} seconds since the lab began */
export function clock(seconds) {
  const whole = Math.floor(seconds);
  const two = (/** @type {number} */ value) => String(value).padStart(2, "0");
  return `${two(Math.floor(whole / 60))}:${two(whole % 60)}.${Math.floor((seconds % 1) * 10)}`;
}
