// Small helpers for the DOM. Text is always set as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";

/**
 * Creates an HTML element.
 * @param {string} tag
 * @param {Record<string, any>} [attributes] `text` sets its text, functions become listeners
 * @param {(Node | string | null)[]} [children]
 * @returns {HTMLElement}
 */
export function el(tag, attributes = {}, children = []) {
  return fill(document.createElement(tag), attributes, children);
}

/**
 * Creates an SVG element.
 * @param {string} tag
 * @param {Record<string, any>} [attributes]
 * @param {(Node | string | null)[]} [children]
 * @returns {SVGElement}
 */
export function svg(tag, attributes = {}, children = []) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/**
 * @template {Element} E
 * @param {E} element
 * @param {Record<string, any>} attributes
 * @param {(Node | string | null)[]} children
 * @returns {E}
 */
function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "text") element.textContent = value;
    else if (typeof value === "function") element.addEventListener(name, value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/**
 * Sets attributes and text, touching only what has changed, so that a screen reader does not repeat itself.
 * @param {Element} element
 * @param {Record<string, any>} attributes
 */
export function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") {
      if (element.textContent !== String(value)) element.textContent = String(value);
    } else if (value === null || value === false) {
      if (element.hasAttribute(name)) element.removeAttribute(name);
    } else {
      const text = value === true ? "" : String(value);
      if (element.getAttribute(name) !== text) element.setAttribute(name, text);
    }
  }
}

/**
 * Returns the element with this id, which must be in the page.
 * @param {string} id
 * @returns {any}
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`there is no #${id}`);
  return found;
}

/**
 * Builds a table of words and figures.
 * @param {string} caption
 * @param {string[]} heads
 * @param {(string | number)[][]} rows the first cell of each is its heading
 * @returns {HTMLElement}
 */
export function table(caption, heads, rows) {
  const head = el("tr", {}, heads.map((text) => el("th", { scope: "col", text })));
  const body = rows.map((row) =>
    el("tr", {}, row.map((text, index) => el(index === 0 ? "th" : "td", { scope: index === 0 ? "row" : null, text })))
  );
  return el("table", {}, [el("caption", { text: caption }), el("thead", {}, [head]), el("tbody", {}, body)]);
}
