// @ts-check
/** Small plots of one measure over time. */
import { el, measure, svg } from './dom.js';

const WIDTH = 240;
const HEIGHT = 56;

/**
 * @typedef {{at: string, [measure: string]: any}} Point
 * @typedef {{key: string, name: string, unit: 'ratio'|'ms'|'mos', low: number, high: number}} Measure
 */

/** What is plotted; `high` is the least top of the scale. @type {Measure[]} */
export const MEASURES = [
  { key: 'loss', name: 'Loss', unit: 'ratio', low: 0, high: 0.05 },
  { key: 'jitter_ms', name: 'Jitter', unit: 'ms', low: 0, high: 50 },
  { key: 'rtt_ms', name: 'Round trip', unit: 'ms', low: 0, high: 200 },
  { key: 'mos_cq', name: 'MOS', unit: 'mos', low: 1, high: 4.5 },
];

/**
 * A plot that shows the value under the pointer.
 * @param {Measure} what @param {Point[]} points @param {[number, number]} span first and last millisecond
 */
export function plot(what, points, [from, to]) {
  // Without a round trip there is no conversational score; what one hears still has one.
  const scored = what.key !== 'mos_cq' || points.some((point) => valueOf(what.key, point) !== null);
  const [key, name] = scored ? [what.key, what.name] : ['mos_lq', 'MOS, listening'];
  const value = (/** @type {Point} */ point) => valueOf(key, point);
  const known = points.map(value).filter((v) => v !== null);
  const high = what.unit === 'mos' ? what.high : nice(Math.max(what.high, ...known));
  const x = (/** @type {Point} */ point) => ((Date.parse(point.at) - from) / Math.max(1, to - from)) * WIDTH;
  const y = (/** @type {number} */ v) => HEIGHT - 2 - ((Math.min(v, high) - what.low) / (high - what.low)) * (HEIGHT - 6);
  const worst = known.length ? (what.unit === 'mos' ? Math.min(...known) : Math.max(...known)) : null;
  const last = known.length ? known[known.length - 1] : null;
  const label = known.length
    ? `${name}: ${measure(last, what.unit)}, worst ${measure(worst, what.unit)}`
    : `${name}: not known`;
  const now = el('output', null, measure(last, what.unit) ?? '–');
  const cursor = svg('line', { class: 'cursor', y1: 0, y2: HEIGHT, visibility: 'hidden' });
  const line = points.length ? path(points, value, x, y) : '';
  const picture = svg(
    'svg',
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': label },
    svg('line', { class: 'grid', x1: 0, x2: WIDTH, y1: HEIGHT - 2, y2: HEIGHT - 2 }),
    svg('line', { class: 'grid', x1: 0, x2: WIDTH, y1: 4, y2: 4 }),
    svg('path', { class: 'line', d: line }),
    cursor,
  );
  const figure = el(
    'figure',
    { class: 'plot', 'data-measure': what.key, 'data-known': known.length },
    el('figcaption', null, el('span', null, name), known.length ? el('small', null, `worst ${measure(worst, what.unit)}`) : null, now),
    el('div', { class: 'area' }, picture, el('span', { class: 'top' }, measure(high, what.unit)), known.length ? null : el('span', { class: 'none' }, 'not known')),
  );
  picture.addEventListener('pointermove', (/** @type {PointerEvent} */ event) => {
    const box = picture.getBoundingClientRect();
    const at = ((event.clientX - box.left) / Math.max(1, box.width)) * WIDTH;
    const near = points.reduce((/** @type {Point|null} */ best, p) => (!best || Math.abs(x(p) - at) < Math.abs(x(best) - at) ? p : best), null);
    if (!near) return;
    cursor.setAttribute('visibility', 'visible');
    cursor.setAttribute('x1', x(near));
    cursor.setAttribute('x2', x(near));
    now.textContent = `${new Date(near.at).toLocaleTimeString('en-GB')} · ${measure(value(near), what.unit) ?? 'not known'}`;
  });
  picture.addEventListener('pointerleave', () => {
    cursor.setAttribute('visibility', 'hidden');
    now.textContent = measure(last, what.unit) ?? '–';
  });
  return figure;
}

/** The levels of a half-leg over time, as a strip. @param {Point[]} points @param {[number, number]} span */
export function levels(points, [from, to]) {
  const place = (/** @type {number} */ at) => ((at - from) / Math.max(1, to - from)) * WIDTH;
  const parts = [];
  for (let n = 0; n < points.length; n += 1) {
    const level = ['green', 'amber', 'red'].includes(points[n].level) ? points[n].level : 'unknown';
    let end = n;
    while (end + 1 < points.length && points[end + 1].level === points[n].level) end += 1;
    const begins = n === 0 ? Date.parse(points[0].at) - 1000 : Date.parse(points[n - 1].at);
    const [start, stop] = [Math.max(0, place(begins)), place(Date.parse(points[end].at))];
    parts.push(svg('rect', { class: level, x: start, width: Math.max(1, stop - start), y: level === 'red' ? 0 : level === 'amber' ? 2 : 4, height: level === 'red' ? 8 : level === 'amber' ? 6 : 4 }));
    n = end;
  }
  return svg('svg', { viewBox: `0 0 ${WIDTH} 8`, preserveAspectRatio: 'none', class: 'strip', 'aria-hidden': 'true' }, ...parts);
}

/** @param {string} key @param {Point} point @returns {number|null} */
function valueOf(key, point) {
  const value = point[key];
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}

/** A line with a hole where nothing is known. */
function path(/** @type {Point[]} */ points, /** @type {(p: Point) => number|null} */ value, /** @type {(p: Point) => number} */ x, /** @type {(v: number) => number} */ y) {
  let pen = 'M';
  let text = '';
  for (const point of points) {
    const v = value(point);
    if (v === null || Number.isNaN(x(point))) {
      pen = 'M';
      continue;
    }
    text += `${pen}${x(point).toFixed(1)} ${y(v).toFixed(1)}`;
    // A point alone is a dot.
    if (pen === 'M') text += 'h0.01';
    pen = 'L';
  }
  return text;
}

/** The next of 1, 2, 5 times a power of ten. @param {number} value */
function nice(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  const step = [1, 2, 5, 10].find((s) => s * power >= value * 0.999) ?? 10;
  return step * power;
}
