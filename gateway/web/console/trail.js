// @ts-check
/** What happened in a call: timeline, SIP ladder, descriptions, candidates, and what the browser said of itself. */
import { clock, data, el, fact, facts, fill, folded, millis, unknown } from './dom.js';

/** The parts of a call's trail, each filled by itself. */
export function trail() {
  const [timeline, ladder, sdp, candidates, reports] = [el('div'), el('div'), el('div'), el('div'), el('div')];
  return {
    timeline: el('section', { class: 'card', 'aria-label': 'Timeline' }, el('h2', null, 'Timeline'), timeline),
    ladder: folded('SIP', ladder),
    more: el('div', { class: 'view' }, folded('What the browser reported', reports), folded('Descriptions (SDP)', sdp), folded('Candidates', candidates)),
    show(/** @type {any} */ record, /** @type {any} */ bundle) {
      const told = bundle.client_reports ?? record.client_reports ?? [];
      fill(timeline, bundle.timeline?.length ? bundle.timeline : record.timings, () => timelineOf(record, bundle.timeline));
      fill(ladder, bundle.sip_ladder ?? null, () => ladderOf(bundle.sip_ladder, record.started_at));
      fill(sdp, bundle.sdp ?? null, () => sdpOf(bundle.sdp));
      fill(candidates, bundle.candidates ?? null, () => candidatesOf(bundle.candidates));
      fill(reports, told, () => reportsOf(told));
    },
  };
}

const MILESTONES = [
  ['offer_at', 'The visitor’s offer came'],
  ['ice_connected_at', 'The media path is up'],
  ['dtls_connected_at', 'The media path is secured'],
  ['ringing_at', 'The agent’s side rings'],
  ['answered_at', 'The agent’s side answered'],
  ['first_audio_up_at', 'First audio from the visitor'],
  ['first_audio_down_at', 'First audio from the agent'],
  ['ended_at', 'The call ended'],
];

/** Seconds since the call began. @param {unknown} time @param {unknown} begun */
function since(time, begun) {
  const ms = millis(time) - millis(begun);
  return Number.isNaN(ms) ? unknown('–') : el('time', { title: String(time) }, `${(ms / 1000).toFixed(2)} s`);
}

/** @param {any} record @param {any} timeline */
function timelineOf(record, timeline) {
  if (!timeline?.length) {
    const known = MILESTONES.filter(([key]) => record.timings?.[key]).sort((a, b) => millis(record.timings[a[0]]) - millis(record.timings[b[0]]));
    if (!known.length) return unknown();
    return el('ol', { class: 'timeline' }, known.map(([key, text]) => el('li', null, since(record.timings[key], record.started_at), el('span', { class: 'source' }, 'call'), el('span', null, text))));
  }
  return el(
    'ol',
    { class: 'timeline' },
    timeline.map((/** @type {any} */ entry) =>
      el('li', { 'data-source': entry.source }, since(entry.at, record.started_at), el('span', { class: 'source' }, data(entry.source)), el('span', null, data(String(entry.what ?? '').replaceAll('_', ' ')), details(entry.detail))),
    ),
  );
}

/** @param {any} detail */
function details(detail) {
  if (detail === null || detail === undefined) return null;
  if (typeof detail !== 'object') return [' ', el('small', { class: 'soft' }, data(detail))];
  const parts = Object.entries(detail).filter(([, value]) => value !== null && value !== '' && !(Array.isArray(value) && !value.length));
  return parts.map(([name, value]) => [' ', el('small', { class: 'soft' }, data(name), ' ', data(Array.isArray(value) && value.every((one) => typeof one !== 'object') ? value.join(', ') : typeof value === 'object' ? JSON.stringify(value) : value))]);
}

/** @param {any} ladder @param {unknown} begun */
function ladderOf(ladder, begun) {
  if (!ladder) return unknown();
  if (!ladder.length) return el('p', { class: 'soft' }, 'No SIP message was sent or received.');
  return [
    el('div', { class: 'ladder-ends', 'aria-hidden': 'true' }, el('span', null, 'Gateway'), el('span', null, 'Trunk')),
    el(
      'ol',
      { class: 'ladder' },
      ladder.map((/** @type {any} */ entry) => {
        const sent = entry.direction === 'sent';
        return el(
          'li',
          { class: sent ? 'sent' : 'received' },
          since(entry.at, begun),
          el('span', { class: 'sr' }, sent ? 'sent' : 'received'),
          el(
            'span',
            { class: 'message' },
            el('strong', null, data(entry.message)),
            entry.sdp ? ' (SDP)' : null,
            entry.repeated ? el('span', { class: 'tag' }, `repeated${typeof entry.repeated === 'number' ? ` ${entry.repeated}×` : ''}`) : null,
            entry.cseq !== null && entry.cseq !== undefined ? el('small', { class: 'soft' }, ' ', data(entry.cseq)) : null,
            entry.reason ? el('small', { class: 'soft' }, ' ', data(typeof entry.reason === 'object' ? JSON.stringify(entry.reason) : entry.reason)) : null,
          ),
          el('small', { class: 'peer soft' }, entry.peer ? data(entry.peer) : null),
        );
      }),
    ),
  ];
}

/** @param {any} list */
function sdpOf(list) {
  if (!list?.length) return unknown();
  return list.map((/** @type {any} */ entry) =>
    el(
      'details',
      null,
      el('summary', null, `${entry.kind === 'answer' ? 'Answer' : 'Offer'} ${entry.direction === 'sent' ? 'to' : 'from'} the ${entry.peer === 'browser' ? 'visitor' : 'trunk'} `, el('small', { class: 'soft' }, clock(entry.at, true))),
      el('pre', null, String(entry.sdp ?? '')),
    ),
  );
}

/** @param {any} candidates */
function candidatesOf(candidates) {
  if (!candidates) return unknown();
  const list = (/** @type {any} */ all) =>
    all?.length ? el('ul', { class: 'plain' }, all.map((/** @type {any} */ one) => el('li', null, typeof one === 'string' ? data(one) : facts(one)))) : unknown('none');
  return el('dl', { class: 'facts' }, fact('Of the gateway', list(candidates.local)), fact('Of the visitor', list(candidates.remote)));
}

/** @param {any[]} reports */
function reportsOf(reports) {
  if (!reports?.length) return el('p', { class: 'soft' }, 'Nothing.');
  return el(
    'ol',
    { class: 'timeline' },
    reports.map((report) => el('li', null, clock(report.at), el('span', { class: 'source' }, data(report.code)), el('span', null, reportDetail(report.detail)))),
  );
}

/** The browser's own statistics come as JSON. @param {unknown} detail */
function reportDetail(detail) {
  if (typeof detail !== 'string') return null;
  try {
    const { stats } = JSON.parse(detail);
    if (stats && typeof stats === 'object') return el('dl', { class: 'facts' }, Object.entries(stats).map(([name, value]) => fact(data(name.replaceAll('_', ' ')), data(value))));
  } catch {
    // Plain words.
  }
  return data(detail);
}
