// @ts-check
/** Trunks, and the node with its workers. */
import { clock, data, duration, el, fact, fill, millis, number, unknown } from './dom.js';

/** @returns {import('./console.js').View} */
export function trunksView() {
  const body = el('div', { class: 'cards' }, el('p', { class: 'soft' }, 'Loading…'));
  return {
    title: 'Trunks',
    page: el('div', { class: 'view' }, el('div', { class: 'head' }, el('h1', null, 'Trunks')), body),
    every: () => 3000,
    async load(get) {
      const { trunks } = await get('/v1/trunks');
      fill(body, trunks, () => (trunks.length ? trunks.map(trunkCard) : el('p', { class: 'soft' }, 'No trunk is configured.')));
    },
  };
}

/** @param {any} trunk */
function trunkCard(trunk) {
  const { target = {} } = trunk;
  const full = trunk.max_calls ? `${trunk.live_calls ?? '?'} of ${trunk.max_calls}` : `${trunk.live_calls ?? '?'}`;
  const failure = trunk.last_failure;
  return el(
    'section',
    { class: 'card' },
    el('div', { class: 'title' }, el('h2', null, data(trunk.id)), trunk.enabled === false ? el('span', { class: 'tag' }, 'off') : el('span', { class: 'state', 'data-state': String(trunk.state) }, trunk.state === 'unknown' ? 'state not watched' : data(trunk.state))),
    el(
      'dl',
      { class: 'facts' },
      fact('Live calls', full),
      fact('Target', [data(target.host), target.port ? `:${target.port}` : '', ' ', data(target.transport)]),
      fact('Codecs', data((trunk.codecs ?? []).join(', '))),
      fact('Towards browsers', data(trunk.browser_audio)),
      fact('Encryption', data(trunk.srtp)),
      fact('Registers', trunk.register ? 'yes' : 'no'),
      fact('Round trip', typeof trunk.rtt_ms === 'number' ? `${number(trunk.rtt_ms)} ms` : unknown('–')),
      fact('Last failure', failure ? data(typeof failure === 'object' ? JSON.stringify(failure) : failure) : unknown('–')),
    ),
  );
}

/** @returns {import('./console.js').View} */
export function nodeView() {
  const head = el('section', { class: 'card' }, el('p', { class: 'soft' }, 'Loading…'));
  const workers = el('section', { class: 'card' });
  /** @type {{at: number, workers: any[]}|null} */
  let before = null;
  return {
    title: 'Node',
    page: el('div', { class: 'view' }, el('div', { class: 'head' }, el('h1', null, 'Node')), head, workers),
    every: () => 2000,
    async load(get) {
      const node = await get('/v1/node');
      const now = { at: performance.now(), workers: node.workers ?? [] };
      fill(head, node, () => nodeFacts(node));
      fill(workers, [now.workers, before?.at], () => workerTable(now, before));
      before = now;
    },
  };
}

/** @param {any} node */
function nodeFacts(node) {
  return [
    el('div', { class: 'title' }, el('h2', null, data(node.node)), el('span', { class: 'state', 'data-state': node.draining ? 'reconnecting' : 'talking' }, node.draining ? 'draining' : 'takes calls')),
    el(
      'dl',
      { class: 'facts' },
      fact('Version', data(node.version)),
      fact('Up for', duration(node.uptime_seconds)),
      fact('Since', Number.isNaN(millis(node.started_at)) ? unknown('–') : clock(node.started_at)),
      fact('Live calls', data(node.calls?.live)),
      fact('Calls since the start', data(node.calls?.started)),
      fact('Sessions', data(node.sessions)),
      fact('SIP legs', data(node.sip?.legs)),
      fact('SIP transactions', data(node.sip?.transactions)),
    ),
  ];
}

/** @param {{at: number, workers: any[]}} now @param {{at: number, workers: any[]}|null} before */
function workerTable(now, before) {
  const seconds = before ? Math.max(0.1, (now.at - before.at) / 1000) : 0;
  const rate = (/** @type {number} */ n, /** @type {string} */ key) => {
    const then = before?.workers[n]?.[key];
    const value = now.workers[n]?.[key];
    return typeof then === 'number' && typeof value === 'number' && value >= then ? number((value - then) / seconds, 0) : '–';
  };
  const most = Math.max(1, ...now.workers.map((worker) => worker.calls ?? 0));
  return [
    el('h2', null, 'Media workers'),
    el(
      'div',
      { class: 'scroll', tabIndex: 0, role: 'region', 'aria-label': 'Media workers' },
      el(
        'table',
        { class: 'numbers' },
        el('thead', null, el('tr', null, ['Worker', 'Calls', '', 'Received /s', 'Sent /s', 'Stray', 'RTP ports', 'Resting'].map((name) => el('th', { scope: 'col' }, name)))),
        el(
          'tbody',
          null,
          now.workers.map((worker, n) =>
            el('tr', null, el('th', { scope: 'row' }, data(worker.worker)), el('td', null, data(worker.calls)), el('td', null, el('meter', { min: 0, max: most, value: worker.calls ?? 0, 'aria-label': 'Share of the calls' })), el('td', null, rate(n, 'received')), el('td', null, rate(n, 'sent')), el('td', null, data(worker.stray)), el('td', null, data(worker.leased_pairs)), el('td', null, data(worker.quarantined_pairs))),
          ),
        ),
      ),
    ),
  ];
}
