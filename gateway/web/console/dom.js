// @ts-check
/**
 * Elements and texts. Whatever comes from a call was written by strangers: it becomes a text node or an attribute's
 * value here, and nothing else.
 */

const SVG = 'http://www.w3.org/2000/svg';

/** @typedef {Node|string|number|null|undefined|false} Child */

/**
 * An element. Properties are set by name (`class`, `data-…` and `aria-…` as attributes).
 * @param {string} tag @param {Record<string, any>|null} [properties] @param {...(Child|Child[])} children
 * @returns {any}
 */
export function el(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null) continue;
    if (name.startsWith('on') && typeof value === 'function') element.addEventListener(name.slice(2), value);
    else if (name in element && !name.includes('-')) /** @type {any} */ (element)[name] = value;
    else element.setAttribute(name === 'class' ? 'class' : name, String(value));
  }
  element.append(...nodes(children));
  return element;
}

/** @param {string} tag @param {Record<string, string|number>} attributes @param {...Child} children @returns {any} */
export function svg(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...nodes(children));
  return element;
}

/** @param {any[]} children @returns {(Node|string)[]} */
export function nodes(children) {
  return children.flat(3).filter((c) => c !== null && c !== undefined && c !== false).map((c) => (c instanceof Node ? c : String(c)));
}

/** Text of a stranger's: isolated, so that its direction turns nothing around it. @param {unknown} text */
export function data(text) {
  return text === null || text === undefined || text === '' ? unknown() : el('bdi', { class: 'data' }, String(text));
}

/** What is not known, and is not guessed. @param {string} [text] */
export function unknown(text = 'not known') {
  return el('span', { class: 'unknown' }, text);
}

/** @type {WeakMap<Element, string>} */
const shown = new WeakMap();

/**
 * Fills an element when what it shows has changed, so that focus, selection and open details stay where they are.
 * @param {Element} element @param {unknown} value @param {() => (Child|Child[])} render
 */
export function fill(element, value, render) {
  const text = JSON.stringify(value) ?? '';
  if (shown.get(element) === text) return;
  shown.set(element, text);
  const parts = () => [...element.querySelectorAll('details')];
  const open = parts().map((part) => part.open);
  const focused = parts().findIndex((part) => part.contains(document.activeElement));
  element.replaceChildren(...nodes([render()]));
  parts().forEach((part, n) => (part.open = open[n] ?? false));
  if (focused >= 0) parts()[focused]?.querySelector('summary')?.focus();
}

/** A text that is only touched when it changes. @param {Element} element @param {string} text */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** @param {string} name @param {Child|Child[]} value */
export function fact(name, value) {
  return el('div', null, el('dt', null, name), el('dd', null, value));
}

/** Names and values of a JSON object. @param {unknown} object @returns {any} */
export function facts(object) {
  if (object === null || typeof object !== 'object') return data(object);
  if (Array.isArray(object)) {
    if (!object.length) return unknown('none');
    return el('ol', { class: 'plain' }, object.map((item) => el('li', null, facts(item))));
  }
  const entries = Object.entries(object);
  if (!entries.length) return unknown('none');
  return el('dl', { class: 'facts nested' }, entries.map(([name, value]) => el('div', null, el('dt', null, data(name)), el('dd', null, facts(value)))));
}

/** @param {string} title @param {...any} children */
export function folded(title, ...children) {
  return el('details', { class: 'card' }, el('summary', null, el('h2', null, title)), ...children);
}

/** Milliseconds of a time, or NaN. @param {unknown} time */
export const millis = (time) => (typeof time === 'string' ? Date.parse(time) : NaN);

/** Time of day, with the whole time as a title. @param {unknown} time @param {boolean} [exact] */
export function clock(time, exact = false) {
  const at = millis(time);
  if (Number.isNaN(at)) return unknown('–');
  const date = new Date(at);
  const two = (/** @type {number} */ n) => String(n).padStart(2, '0');
  const text = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  const today = Date.now() - at < 18 * 3600e3;
  return el('time', { dateTime: date.toISOString(), title: date.toISOString() }, exact ? `${text}.${String(date.getMilliseconds()).padStart(3, '0')}` : today ? text : `${day} ${text}`);
}

/** `1:02:03`. @param {unknown} seconds */
export function duration(seconds) {
  if (typeof seconds !== 'number' || !Number.isFinite(seconds)) return '–';
  const s = Math.floor(Math.max(0, seconds));
  const rest = `${String(Math.floor(s / 60) % 60).padStart(s >= 3600 ? 2 : 1, '0')}:${String(s % 60).padStart(2, '0')}`;
  return s >= 3600 ? `${Math.floor(s / 3600)}:${rest}` : rest;
}

/** @param {unknown} n @param {number} [digits] */
export function number(n, digits = 1) {
  return typeof n === 'number' && Number.isFinite(n) ? n.toLocaleString('en', { maximumFractionDigits: digits }) : null;
}

/** A measure with its unit; `null` when it is not known. @param {unknown} n @param {'ratio'|'ms'|'mos'} unit */
export function measure(n, unit) {
  if (typeof n !== 'number' || !Number.isFinite(n)) return null;
  if (unit === 'ratio') return `${number(n * 100, n < 0.1 ? 1 : 0)} %`;
  if (unit === 'ms') return `${number(n, n < 10 ? 1 : 0)} ms`;
  return n.toFixed(2);
}
