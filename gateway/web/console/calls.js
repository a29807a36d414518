// @ts-check
/** The list of calls: live ones first, then those that have ended. */
import { clock, data, duration, el, fill, nodes, svg, unknown, write } from './dom.js';
import { HALF_LEG, HALF_LEGS, LEVEL, LEVEL_REASON, OUTCOME, STATE, say, sayOutcome } from './words.js';

const LIVE = 50;
const ENDED = 25;
const COLUMNS = ['Started', 'App', 'State', 'Duration', 'Destination', 'Half-legs', 'Outcome'];

/** @param {URLSearchParams} asked @returns {import('./console.js').View} */
export function callsView(asked) {
  const filters = Object.fromEntries(['state', 'app', 'reason'].map((name) => [name, asked.get(name) ?? '']));
  const summary = el('p', { class: 'soft', role: 'status' });
  const live = section('Live');
  const ended = section('Ended');
  const more = el('button', { type: 'button', hidden: true, onclick: () => (pages += 1) }, 'Show more');
  const page = el(
    'div',
    { class: 'view' },
    el('div', { class: 'head' }, el('h1', null, 'Calls'), summary, filterForm(filters)),
    live.card,
    ended.card,
    el('div', { class: 'centre' }, more),
  );
  const showsLive = filters.state !== 'ended' && !filters.reason;
  const showsEnded = !filters.state || filters.state === 'ended';
  live.card.hidden = !showsLive;
  ended.card.hidden = !showsEnded;
  let pages = 1;
  let round = 0;
  let wanted = 1;

  return {
    title: 'Calls',
    page,
    every: () => 1500,
    async load(get) {
      const ask = (/** @type {Record<string, string|number|null>} */ more) => {
        const query = new URLSearchParams();
        for (const [name, value] of Object.entries({ app: filters.app, reason: filters.reason, ...more })) {
          if (value) query.set(name, String(value));
        }
        return get(`/v1/calls?${query}`);
      };
      const node = get('/v1/node').catch(() => null);
      if (showsLive) {
        const found = await ask({ state: filters.state || 'live', limit: LIVE });
        live.show(found.calls, filters.app || filters.state ? 'No call matches.' : 'No call is live.');
        live.note(found.next_cursor ? `The newest ${found.calls.length} are shown.` : '');
      }
      // Ended calls change less often than live ones.
      if (showsEnded && (round++ % 2 === 0 || wanted !== pages)) {
        wanted = pages;
        const all = [];
        let cursor = null;
        for (let n = 0; n < wanted && (n === 0 || cursor); n += 1) {
          const found = await ask({ state: 'ended', limit: ENDED, cursor });
          all.push(...found.calls);
          cursor = found.next_cursor;
        }
        more.hidden = !cursor;
        ended.show(all, filters.app || filters.reason ? 'No call matches.' : 'No call has ended yet.');
      }
      const now = await node;
      write(summary, now ? `${now.calls?.live ?? '?'} live · ${now.calls?.started ?? '?'} since the start${now.draining ? ' · draining: no new calls' : ''}` : '');
    },
  };
}

/** @param {Record<string, string>} filters */
function filterForm(filters) {
  const state = el('select', { id: 'filter-state' }, el('option', { value: '' }, 'all'), el('option', { value: 'live' }, 'live'), Object.entries(STATE).map(([value, text]) => el('option', { value }, text.toLowerCase())));
  const app = el('input', { id: 'filter-app', type: 'search', autocomplete: 'off', spellcheck: false, size: 10 });
  const reason = el('input', { id: 'filter-reason', type: 'search', autocomplete: 'off', spellcheck: false, size: 14, list: undefined });
  const reasons = el('datalist', { id: 'reasons' }, Object.keys(OUTCOME).filter((word) => !word.includes(' ')).map((value) => el('option', { value })));
  reason.setAttribute('list', 'reasons');
  [state.value, app.value, reason.value] = [filters.state, filters.app, filters.reason];
  const go = () => {
    const query = new URLSearchParams(Object.entries({ state: state.value, app: app.value.trim(), reason: reason.value.trim() }).filter(([, value]) => value));
    location.hash = `#/calls${query.size ? `?${query}` : ''}`;
  };
  const form = el('form', { class: 'filters', role: 'search', 'aria-label': 'Filter', onchange: go }, [
    el('label', { htmlFor: 'filter-state' }, 'State', state),
    el('label', { htmlFor: 'filter-app' }, 'App', app),
    el('label', { htmlFor: 'filter-reason' }, 'Reason', reason, reasons),
  ]);
  form.addEventListener('submit', (/** @type {Event} */ event) => (event.preventDefault(), go()));
  return form;
}

/** A table that keeps its rows. @param {string} title */
function section(title) {
  /** @type {Map<string, ReturnType<typeof row>>} */
  let rows = new Map();
  // A table that is laid out as cards on a phone needs its roles said.
  const body = el('tbody', { role: 'rowgroup' });
  const table = el(
    'table',
    { class: 'calls', role: 'table' },
    el('thead', { role: 'rowgroup' }, el('tr', { role: 'row' }, COLUMNS.map((name) => el('th', { role: 'columnheader', scope: 'col' }, name)))),
    body,
  );
  const empty = el('p', { class: 'soft' }, 'Loading…');
  const note = el('p', { class: 'soft' });
  table.hidden = true;
  return {
    card: el('section', { class: 'card' }, el('h2', null, title), empty, table, note),
    note: (/** @type {string} */ text) => write(note, text),
    show(/** @type {any[]} */ calls, /** @type {string} */ nothing) {
      const next = new Map();
      for (const call of calls) {
        const known = rows.get(call.call) ?? row(call.call);
        known.show(call);
        next.set(call.call, known);
      }
      const order = [...next.values()].map((r) => r.element);
      if (order.length !== body.children.length || order.some((element, n) => body.children[n] !== element)) body.replaceChildren(...nodes(order));
      rows = next;
      table.hidden = !order.length;
      empty.hidden = order.length > 0;
      write(empty, nothing);
    },
  };
}

/** @param {string} id */
function row(id) {
  const link = el('a', { href: `#/calls/${encodeURIComponent(id)}`, class: 'call-link' });
  const cells = COLUMNS.map((name) => el('td', { role: 'cell', 'data-name': name }));
  const [started, app, state, length, destination, legs, outcome] = cells;
  started.append(link);
  return {
    element: el('tr', { role: 'row' }, cells),
    show(/** @type {any} */ call) {
      fill(link, call.started_at, () => clock(call.started_at));
      fill(app, call.app, () => data(call.app));
      fill(state, call.state, () => stateBadge(call.state));
      write(length, duration(call.duration_seconds));
      const sip = call.sip ?? {};
      fill(destination, [sip.trunk, sip.destination], () => [data(sip.destination), sip.trunk ? el('small', { class: 'soft' }, ' on ', data(sip.trunk)) : null]);
      fill(legs, HALF_LEGS.map((leg) => [call.quality?.[leg]?.level, call.quality?.[leg]?.reasons]), () => halfLegs(call.quality));
      fill(outcome, call.outcome, () => outcomeShort(call.outcome));
    },
  };
}

/** @param {any} outcome */
function outcomeShort(outcome) {
  if (!outcome) return unknown('–');
  return el('span', { class: `outcome ${outcome.class === 'ended' ? 'fine' : 'failed'}` }, el('span', { 'aria-hidden': 'true' }, outcome.class === 'ended' ? '✓ ' : '✕ '), data(sayOutcome(outcome)));
}

/** @param {unknown} state */
export function stateBadge(state) {
  return el('span', { class: 'state', 'data-state': String(state) }, say(STATE, state));
}

/** Four marks: visitor's pair, then the agent's. @param {any} quality */
export function halfLegs(quality) {
  return el('span', { class: 'legs' }, HALF_LEGS.map((leg) => mark(leg, quality?.[leg])));
}

/**
 * The colour of a half-leg, told by shape and letter as well: circle G, triangle A, octagon R, ring ?.
 * @param {string|null} leg @param {any} quality
 */
export function mark(leg, quality) {
  const level = levelOf(quality);
  const shape = {
    green: ['circle', { cx: 12, cy: 12, r: 10 }],
    amber: ['path', { d: 'M12 1.5 23 21.5H1Z' }],
    red: ['path', { d: 'M7.5 1.5h9l6 6v9l-6 6h-9l-6-6v-9Z' }],
    unknown: ['circle', { cx: 12, cy: 12, r: 9.5, 'stroke-dasharray': '4 3' }],
  }[level];
  const words = `${leg ? `${HALF_LEG[leg]}: ` : ''}${LEVEL[level]}${reasonsOf(quality) ? ` (${reasonsOf(quality)})` : ''}`;
  const [tag, attributes] = /** @type {[string, Record<string, any>]} */ (shape);
  const letter = { green: 'G', amber: 'A', red: 'R', unknown: '?' }[level];
  return svg(
    'svg',
    { viewBox: '0 0 24 24', class: `mark ${level}`, role: 'img', 'aria-label': words, 'data-leg': leg ?? '' },
    svg('title', {}, words),
    svg(tag, attributes),
    svg('text', { x: 12, y: level === 'amber' ? 18.5 : 16.5, 'text-anchor': 'middle' }, letter),
  );
}

/** @param {any} quality @returns {'green'|'amber'|'red'|'unknown'} */
export function levelOf(quality) {
  return ['green', 'amber', 'red'].includes(quality?.level) ? quality.level : 'unknown';
}

/** @param {any} quality */
export function reasonsOf(quality) {
  return Array.isArray(quality?.reasons) ? quality.reasons.map((/** @type {string} */ word) => say(LEVEL_REASON, word)).join(', ') : '';
}
