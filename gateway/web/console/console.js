// @ts-check
/** The console: which view is shown, the key, and how often the gateway is asked. */
import { el, nodes } from './dom.js';
import { callsView } from './calls.js';
import { callView } from './call.js';
import { nodeView, trunksView } from './node.js';

/**
 * A view: a page that is filled again and again by what `load` brings.
 * @typedef {{title: string, page: HTMLElement, every: () => number, load: (get: Get) => Promise<void>}} View
 * @typedef {(path: string) => Promise<any>} Get
 */

const KEY = 'trunkline.key';
const SLOWEST = 30_000;
const main = /** @type {HTMLElement} */ (document.getElementById('main'));
const connection = /** @type {HTMLElement} */ (document.getElementById('connection'));
const leave = /** @type {HTMLButtonElement} */ (document.getElementById('leave'));

/** What the gateway refuses, or that it is not there. */
class Refused extends Error {
  /** @param {number} status 0: not reached. @param {string} message */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** The view that is shown, and what stops it. @type {{view: View, stop: AbortController}|null} */
let current = null;
let wake = () => {};

/** @param {string} path @param {AbortSignal} [signal] */
async function ask(path, signal) {
  let response;
  try {
    response = await fetch(path, { headers: { Authorization: `Bearer ${sessionStorage.getItem(KEY)}` }, cache: 'no-store', credentials: 'omit', signal });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Refused(0, 'The gateway cannot be reached.');
  }
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  throw new Refused(response.status, String(problem.detail ?? problem.title ?? response.statusText));
}

/** Saves what the gateway answers as a file. @param {string} path @param {string} name */
async function download(path, name) {
  const blob = await (await ask(path)).blob();
  const url = URL.createObjectURL(blob);
  el('a', { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** @returns {View} */
function viewOf(/** @type {string} */ hash) {
  const [path, query] = hash.replace(/^#/, '').split('?');
  const [, first, second] = path.split('/');
  if (first === 'calls' && second) return callView(decode(second), download);
  if (first === 'trunks') return trunksView();
  if (first === 'node') return nodeView();
  return callsView(new URLSearchParams(query));
}

/** @param {string} text */
function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function route() {
  if (location.hash === '#main') return main.focus();
  current?.stop.abort();
  current = null;
  leave.hidden = !sessionStorage.getItem(KEY);
  if (!sessionStorage.getItem(KEY)) return askForKey();
  const view = viewOf(location.hash);
  const stop = new AbortController();
  document.title = `${view.title} · Trunkline console`;
  for (const link of document.querySelectorAll('nav a')) {
    const here = (location.hash || '#/calls').startsWith(link.getAttribute('href') ?? '?');
    if (here) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  main.replaceChildren(view.page);
  current = { view, stop };
  poll(view, stop.signal);
}

/** Asks again and again while the view is shown. @param {View} view @param {AbortSignal} signal */
async function poll(view, signal) {
  let failures = 0;
  while (!signal.aborted) {
    let wait = 0;
    try {
      await view.load(async (path) => (await ask(path, signal)).json());
      failures = 0;
      say('', '');
      wait = view.every();
    } catch (error) {
      if (signal.aborted) return;
      const status = error instanceof Refused ? error.status : -1;
      if (status === 401 || status === 403) return refused(status, error.message);
      if (status === -1) console.error(error);
      failures += 1;
      wait = Math.min(SLOWEST, 1000 * 2 ** failures);
      say('bad', `${error.message} Asking again in ${Math.round(wait / 1000)} s.`);
    }
    await shownAfter(wait, signal);
  }
}

/** Waits; a page that nobody sees waits until it is seen. @param {number} wait @param {AbortSignal} signal */
async function shownAfter(wait, signal) {
  await new Promise((done) => {
    const timer = setTimeout(done, wait);
    wake = () => (clearTimeout(timer), done(null));
    signal.addEventListener('abort', wake, { once: true });
  });
  while (document.hidden && !signal.aborted) {
    say('', 'Paused');
    await new Promise((done) => document.addEventListener('visibilitychange', done, { once: true }));
  }
}

/** @param {string} kind @param {string} text */
function say(kind, text) {
  connection.dataset.kind = kind;
  if (connection.textContent !== text) connection.textContent = text;
}

/** @param {number} status @param {string} message */
function refused(status, message) {
  sessionStorage.removeItem(KEY);
  current?.stop.abort();
  leave.hidden = true;
  askForKey(status === 401 ? 'The gateway does not know this key.' : `The gateway refuses this key: ${message}`);
}

/** @param {string} [problem] */
function askForKey(problem) {
  say('', '');
  document.title = 'Trunkline console';
  const input = el('input', { type: 'password', id: 'key', autocomplete: 'off', spellcheck: false, required: true, 'aria-describedby': 'key-help' });
  const complaint = el('p', { class: 'problem', role: 'alert', hidden: !problem }, problem ?? '');
  const form = el(
    'form',
    { class: 'card key' },
    el('h1', null, 'Console'),
    el('label', { htmlFor: 'key' }, 'API key'),
    el('div', { class: 'row' }, input, el('button', { type: 'submit', class: 'primary' }, 'Open')),
    complaint,
    el('p', { id: 'key-help', class: 'soft' }, 'A key of the control listener with the scope “read”. It stays in this tab and is forgotten with it.'),
  );
  form.addEventListener('submit', (/** @type {Event} */ event) => {
    event.preventDefault();
    const key = input.value.trim();
    if (!/^[\x21-\x7e]+$/.test(key)) {
      complaint.hidden = false;
      complaint.textContent = 'A key is made of letters, digits and signs, without spaces.';
      return;
    }
    sessionStorage.setItem(KEY, key);
    route();
    main.focus();
  });
  main.replaceChildren(...nodes([form]));
  input.focus();
}

leave.addEventListener('click', () => {
  sessionStorage.removeItem(KEY);
  route();
});
addEventListener('hashchange', () => {
  route();
  if (location.hash !== '#main') main.focus({ preventScroll: true });
});
addEventListener('online', () => wake());
document.addEventListener('visibilitychange', () => !document.hidden && wake());
route();
