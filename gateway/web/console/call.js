// @ts-check
/** One call: how it is, how it went, who is at fault. */
import { levelOf, mark, reasonsOf, stateBadge } from './calls.js';
import { clock, data, duration, el, fact, facts, fill, folded, measure, millis, unknown, write } from './dom.js';
import { MEASURES, levels, plot } from './plot.js';
import { trail } from './trail.js';
import { BLAME, FINDING, HALF_LEG, HALF_LEGS, LEVEL, SYMPTOM, VERDICT, say, sayOutcome } from './words.js';

/**
 * @param {string} id @param {(path: string, name: string) => Promise<void>} download
 * @returns {import('./console.js').View}
 */
export function callView(id, download) {
  const path = `/v1/calls/${encodeURIComponent(id)}`;
  const head = el('div', { class: 'callhead' });
  const outcome = el('section', { class: 'card outcome-card', 'aria-label': 'Outcome', hidden: true });
  const findings = el('section', { class: 'card', 'aria-label': 'Findings' });
  const quality = qualitySection();
  const story = trail();
  const legs = el('div', { class: 'split' });
  const context = el('div');
  const saved = el('span', { class: 'soft', role: 'status' });
  const save = el('button', { type: 'button', id: 'download' }, 'Download bundle');
  save.addEventListener('click', async () => {
    write(saved, '');
    try {
      await download(`${path}/bundle`, `${id.replace(/[^\w-]/g, '')}.json`);
    } catch (error) {
      write(saved, error.status === 404 ? 'There is no bundle.' : error.message);
    }
  });
  const page = el(
    'div',
    { class: 'view call' },
    el('p', { class: 'crumbs' }, el('a', { href: '#/calls' }, '← Calls')),
    head,
    outcome,
    findings,
    quality.element,
    story.timeline,
    story.ladder,
    legs,
    story.more,
    folded('Context', context),
    el('p', { class: 'row' }, save, saved),
  );
  let over = false;
  let round = 0;

  return {
    title: 'Call',
    page,
    every: () => (over ? 10_000 : 1000),
    async load(get) {
      const record = await get(path);
      const ended = record.state === 'ended';
      fill(head, [record.state, record.outcome?.reason, record.duration_seconds, record.quality], () => header(record));
      outcome.hidden = !record.outcome;
      fill(outcome, record.outcome, () => (record.outcome ? outcomeOf(record.outcome) : null));
      fill(legs, [record.browser, record.sip, record.timings], () => legsOf(record));
      fill(context, [record.context, record.metadata, record.profile], () => contextOf(record));
      // The rest is large: every other second while the call lives, and as soon as it has ended.
      if (round++ % 2 === 0 || (ended && !over)) {
        const rest = await bundle(get, path);
        const found = rest.diagnosis?.findings?.length ? rest.diagnosis.findings : (record.findings ?? []);
        fill(findings, [found, rest.diagnosis?.half_legs, ended], () => findingsOf(found, ended));
        quality.show(record, rest.quality, rest.diagnosis?.half_legs);
        story.show(record, rest);
      } else {
        quality.numbers(record);
      }
      over = ended;
    },
  };
}

/** Everything about a call in one answer; from its parts where there is no bundle. */
async function bundle(/** @type {import('./console.js').Get} */ get, /** @type {string} */ path) {
  const absent = (/** @type {any} */ error) => (error.status === 404 || error.status === 501 ? null : Promise.reject(error));
  const whole = await get(`${path}/bundle`).catch(absent);
  if (whole) return whole;
  const [quality, diagnosis] = await Promise.all([get(`${path}/quality`).catch(absent), get(`${path}/diagnosis`).catch(absent)]);
  return { quality, diagnosis };
}

/** @param {any} record */
function header(record) {
  const { outcome } = record;
  return [
    el('div', { class: 'title' }, el('h1', null, outcome ? sayOutcome(outcome) : 'Live call'), stateBadge(record.state)),
    el(
      'p',
      { class: 'soft' },
      data(record.app),
      ' → ',
      data(record.sip?.destination),
      record.sip?.trunk ? [' on ', data(record.sip.trunk)] : null,
      ' · began ',
      clock(record.started_at),
      ' · ',
      el('span', { class: 'number' }, duration(record.duration_seconds)),
    ),
    el('p', { class: 'id soft' }, data(record.call)),
    el('div', { class: 'way', role: 'img', 'aria-label': HALF_LEGS.map((leg) => `${HALF_LEG[leg]}: ${LEVEL[levelOf(record.quality?.[leg])]}`).join(', ') }, way(record.quality)),
  ];
}

/** Visitor, gateway and agent with what lies between them. @param {any} quality */
function way(quality) {
  const arrow = (/** @type {string} */ leg, /** @type {string} */ turn) =>
    el('span', { class: `arrow ${turn} ${levelOf(quality?.[leg])}` }, mark(leg, quality?.[leg]));
  return [
    el('span', { class: 'place' }, 'Visitor'),
    el('span', { class: 'pair' }, arrow('browser_up', 'right'), arrow('browser_down', 'left')),
    el('span', { class: 'place' }, 'Gateway'),
    el('span', { class: 'pair' }, arrow('sip_down', 'right'), arrow('sip_up', 'left')),
    el('span', { class: 'place' }, 'Agent'),
  ];
}

/** @param {any} outcome */
function outcomeOf(outcome) {
  const end = outcome.quality_at_end;
  return [
    el('h2', null, 'Outcome'),
    el('p', { class: 'lead' }, data(sayOutcome(outcome)), '.'),
    outcome.advice ? el('p', { class: 'advice' }, data(outcome.advice)) : null,
    el(
      'dl',
      { class: 'facts' },
      fact('Class', data(outcome.class)),
      fact('Reason', [data(outcome.reason), outcome.detail ? [' · ', data(outcome.detail)] : null]),
      fact('Phase', data(outcome.phase)),
      fact('At fault', data(say(BLAME, outcome.blame))),
      fact('Network then', [
        mark(null, end),
        ' ',
        LEVEL[levelOf(end)],
        end?.half_leg ? [' · ', data(say(HALF_LEG, end.half_leg))] : null,
        reasonsOf(end) ? [' · ', reasonsOf(end)] : null,
      ]),
    ),
    el('details', null, el('summary', null, 'Evidence'), facts(outcome.evidence)),
  ];
}

/** @param {any[]} findings @param {boolean} ended */
function findingsOf(findings, ended) {
  if (!findings.length) return [el('h2', null, 'Findings'), el('p', { class: 'soft' }, ended ? 'Nothing was found wrong.' : 'Nothing is found wrong.')];
  const open = findings.filter((f) => !f.until);
  return [
    el('h2', null, 'Findings', ended || !open.length ? null : el('span', { class: 'count' }, open.length)),
    el(
      'ul',
      { class: 'findings' },
      findings.map((finding) =>
        el(
          'li',
          { class: finding.until ? 'past' : 'open', 'data-finding': finding.finding },
          el('p', { class: 'lead' }, data(say(FINDING, finding.finding)), finding.until || ended ? null : el('span', { class: 'tag' }, 'now')),
          el(
            'p',
            { class: 'soft' },
            [
              finding.symptom ? data(say(SYMPTOM, finding.symptom)) : null,
              finding.half_leg ? data(say(HALF_LEG, finding.half_leg)) : null,
              el('span', null, clock(finding.since), finding.until ? [' – ', clock(finding.until)] : null),
              typeof finding.confidence === 'number' ? el('span', null, `${Math.round(finding.confidence * 100)} % sure`) : null,
            ]
              .filter(Boolean)
              .flatMap((part, n) => (n ? [' · ', part] : [part])),
          ),
          finding.advice ? el('p', { class: 'advice' }, data(finding.advice)) : null,
          Object.keys(finding.evidence ?? {}).length ? el('details', null, el('summary', null, 'Evidence'), facts(finding.evidence)) : null,
        ),
      ),
    ),
  ];
}

/** Four cards of plots that keep their place. */
function qualitySection() {
  let whole = false;
  /** @type {any[]} */
  let last = [];
  const cards = HALF_LEGS.map((leg) => {
    const [name, numbers, plots] = [el('div', { class: 'leg-name' }), el('p', { class: 'soft verdict' }), el('div', { class: 'plots' })];
    return { leg, name, numbers, plots, element: el('article', { class: 'card leg', 'data-leg': leg, 'aria-label': HALF_LEG[leg] }, name, numbers, plots) };
  });
  const choose = (/** @type {boolean} */ wanted) => () => {
    whole = wanted;
    for (const button of toggle.children) button.setAttribute('aria-pressed', String((button === toggle.lastElementChild) === whole));
    section.show(last[0], last[1], last[2]);
  };
  const toggle = el(
    'div',
    { class: 'toggle', role: 'group', 'aria-label': 'Time shown' },
    el('button', { type: 'button', 'aria-pressed': 'true', onclick: choose(false) }, 'Last 2 minutes'),
    el('button', { type: 'button', 'aria-pressed': 'false', onclick: choose(true) }, 'Whole call'),
  );
  const model = el('p', { class: 'soft' });
  const section = {
    element: el('section', { class: 'quality', 'aria-label': 'Quality' }, el('div', { class: 'head' }, el('h2', null, 'Quality of each half-leg'), toggle), el('div', { class: 'legs-grid' }, cards.map((c) => c.element)), model),
    numbers(/** @type {any} */ record) {
      for (const { leg, name } of cards) {
        const now = record.quality?.[leg];
        fill(name, [now?.level, now?.reasons], () => [mark(leg, now), el('h3', null, HALF_LEG[leg]), el('span', { class: `level ${levelOf(now)}` }, LEVEL[levelOf(now)], reasonsOf(now) ? `: ${reasonsOf(now)}` : '')]);
      }
    },
    show(/** @type {any} */ record, /** @type {any} */ quality, /** @type {any} */ verdicts) {
      if (!record) return;
      last = [record, quality, verdicts];
      section.numbers(record);
      for (const { leg, numbers, plots } of cards) {
        const series = quality?.half_legs?.[leg];
        const points = (Array.isArray(series?.[whole ? 'whole' : 'recent']) ? series[whole ? 'whole' : 'recent'] : []).filter((/** @type {any} */ p) => p && !Number.isNaN(millis(p.at)));
        write(numbers, say(VERDICT, verdicts?.[leg]?.verdict));
        const end = points.length ? millis(points[points.length - 1].at) : 0;
        const begun = Math.min(millis(record.started_at) || end, points.length ? millis(points[0].at) : end);
        const start = whole ? begun : Math.max(begun, end - 120_000);
        const now = record.quality?.[leg];
        fill(plots, points.length ? [whole, points.length, points[0], points[points.length - 1]] : [now], () =>
          points.length
            ? [levels(points, [start, end]), el('div', { class: 'scale soft' }, el('span', null, clock(new Date(start).toISOString())), el('span', null, clock(points[points.length - 1].at))), MEASURES.map((what) => plot(what, points, [start, end]))]
            : [unknown('No series is known.'), el('dl', { class: 'facts' }, MEASURES.map((what) => fact(what.name, measure(now?.[what.key], what.unit) ?? unknown('–'))))],
        );
      }
      write(model, quality?.mos_model ? `MOS by ${quality.mos_model}` : '');
    },
  };
  return section;
}

/** @param {any} record */
function legsOf(record) {
  const browser = record.browser ?? {};
  const sip = record.sip ?? {};
  const timings = record.timings ?? {};
  const begun = millis(record.started_at);
  const after = (/** @type {unknown} */ time) => (Number.isNaN(millis(time)) ? unknown('–') : `${((millis(time) - begun) / 1000).toFixed(2)} s`);
  return [
    el(
      'section',
      { class: 'card' },
      el('h2', null, 'Visitor’s leg'),
      el('dl', { class: 'facts' }, fact('Codec', data(browser.codec)), fact('Path', data(browser.path?.toUpperCase?.())), fact('Encryption', data(browser.srtp)), fact('Address', data(browser.remote)), fact('ICE up after', after(timings.ice_connected_at)), fact('Secured after', after(timings.dtls_connected_at)), fact('First audio after', after(timings.first_audio_up_at))),
    ),
    el(
      'section',
      { class: 'card' },
      el('h2', null, 'Agent’s leg'),
      el('dl', { class: 'facts' }, fact('Trunk', data(sip.trunk)), fact('Destination', data(sip.destination)), fact('Codec', data(sip.codec)), fact('Encryption', sip.srtp ? data(sip.srtp) : 'none'), fact('Rang after', after(timings.ringing_at)), fact('Answered after', after(timings.answered_at)), fact('First audio after', after(timings.first_audio_down_at)), fact('Call-ID', data(sip.call_id))),
      sip.attempts?.length > 1 || sip.attempts?.some?.((/** @type {any} */ a) => a.reason) ? [el('h3', null, 'Tried'), el('ol', { class: 'plain' }, sip.attempts.map((/** @type {any} */ a) => el('li', null, data(a.destination), ' ', a.target ? el('small', { class: 'soft' }, data(a.target)) : null, ' ', el('strong', null, data(a.status ?? '–')), a.reason ? [' ', data(sayOutcome(a))] : null)))] : null,
    ),
  ];
}

/** @param {any} record */
function contextOf(record) {
  return [
    el('h3', null, 'From the visitor’s page'),
    facts(record.context ?? {}),
    el('h3', null, 'From the back end'),
    facts(record.metadata ?? {}),
    el('dl', { class: 'facts' }, fact('Profile', data(record.profile)), fact('Session', data(record.session))),
  ];
}

