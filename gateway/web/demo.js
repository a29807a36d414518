// The demo page: one call button around trunkline.js.
import { Trunkline } from './trunkline.js';

const $ = (id) => document.getElementById(id);
const { app, widgetKey } = document.body.dataset;
const trunkline = new Trunkline({ app, widgetKey });
const asked = new URLSearchParams(location.search);

const HELP = {
  mic_denied: 'The microphone is blocked for this page. Click the icon left of the address, allow the microphone, and call again.',
  mic_not_found: 'No microphone was found. Plug one in, or choose one in the system’s sound settings, and call again.',
  mic_policy_blocked: 'The page around this one does not pass the microphone on: its frame needs allow="microphone".',
  insecure_context: 'Browsers give the microphone to HTTPS pages and to this machine’s own address only.',
  autoplay_blocked: 'The browser holds back the sound. Click anywhere on this page.',
  unreachable: 'The gateway cannot be reached. Is it still running?',
};
// Why a call failed, in the visitor's words. What an operator can do about it is in the record's `advice`.
const REASONS = {
  no_destination: 'Nobody is there to be called.',
  dest_busy: 'The agent is busy.',
  dest_rejected: 'The agent refused the call.',
  dest_not_found: 'The number does not exist.',
  dest_no_answer: 'Nobody answers.',
  ice_failed: 'No media path to the gateway: the network blocks UDP.',
  dtls_failed: 'The media path could not be secured.',
  network_poor: 'The network became too poor.',
  ip_change: 'The network changed and did not come back.',
};
const LEVELS = { unknown: 'is being measured', green: 'good', amber: 'fair', red: 'poor' };
// Why a side is not good, by half-leg where that matters.
const WHY = {
  'loss browser_up': 'Part of what you say gets lost on the way.',
  'loss browser_down': 'Part of what you hear gets lost on the way.',
  loss: 'Part of the sound gets lost on the agent’s side.',
  jitter: 'The sound comes unevenly.',
  rtt: 'The way is long: answers come late.',
  mos: 'The sound suffers.',
  'no_media browser_up': 'Nothing of your voice arrives.',
  'no_media browser_down': 'Nothing arrives at your side.',
  no_media: 'No sound comes from the agent’s side.',
  tcp_fallback: 'The network lets only TCP through, which delays the sound.',
  relay: 'The sound takes a detour through a relay.',
};
// What the gateway finds wrong that the visitor can do something about.
const ISSUES = {
  silence: 'Your microphone sends silence. Is it muted?',
  delivered_but_unheard: 'Sound arrives here. Is the volume up, and the right speaker chosen?',
  mic_low: 'Your microphone is very quiet.',
  mic_clipping: 'Your microphone is too loud.',
  mic_unstable_gain: 'Your microphone’s level goes up and down.',
  narrowband_mic: 'Your headset sends telephone quality. The device’s own microphone may sound better.',
  background_noise: 'There is much noise around you.',
  visitor_echo: 'The agent hears an echo. Headphones help.',
};
const STATUS = {
  idle: 'Click to call the agent',
  connecting: 'Connecting…',
  ringing: 'Ringing…',
  talking: 'Talking',
  reconnecting: 'Network lost, reconnecting…',
  ended: 'The call has ended',
  error: 'The call failed',
};

let call = null;
let talkingSince = 0;
let meters = [];

$('codec').value = asked.get('codec') ?? '';
$('call').onclick = () => (call && !call.isOver ? call.hangup() : start());
$('mute').onclick = () => {
  call.mute(!call.muted);
  $('mute').setAttribute('aria-pressed', String(call.muted));
  $('mute').textContent = call.muted ? 'Muted' : 'Mute';
};
$('keypad-toggle').onclick = () => {
  $('keypad').hidden = !$('keypad').hidden;
  $('keypad-toggle').setAttribute('aria-expanded', String(!$('keypad').hidden));
};
for (const digit of '123456789*0#') {
  const key = document.createElement('button');
  key.type = 'button';
  key.textContent = digit;
  key.onclick = () => call?.dtmf(digit);
  $('keypad').append(key);
}
addEventListener('keydown', ({ key, target }) => {
  if (call?.state === 'talking' && /^[0-9*#]$/.test(key) && target instanceof Node && !(target instanceof HTMLSelectElement)) call.dtmf(key);
});
addEventListener('click', () => $('agent').srcObject && $('agent').play().catch(() => {}));
setInterval(refresh, 1000);
for (const id of ['meter-up', 'meter-down']) paint($(id), new Array(44).fill(0));
requestAnimationFrame(draw);

async function start() {
  show('connecting');
  $('help').hidden = true;
  $('events').replaceChildren();
  $('call').disabled = true;
  try {
    const codec = $('codec').value;
    call = await trunkline.call({ codecs: codec ? [codec] : undefined, profile: asked.get('profile') ?? undefined, lang: navigator.language });
    call.addEventListener('state', () => show(call.state));
    call.addEventListener('quality', network);
    network();
    call.addEventListener('event', ({ detail }) => log(detail));
    call.addEventListener('end', ({ detail }) => call.state === 'error' && help(`${REASONS[detail.reason] ?? 'The call could not go on.'} (${detail.reason})`));
    window.trunklineCall = call; // for the browser's console
    const down = () => meter(call.remoteStream, $('meter-down'));
    meters = [meter(call.localStream, $('meter-up')), down()];
    call.addEventListener('audio', () => {
      meters[1]?.close();
      meters[1] = down();
    });
    await call.attachAudio($('agent'));
  } catch (error) {
    help(HELP[error.code] ?? error.message);
    if (!call || call.isOver) show('error');
  } finally {
    $('call').disabled = false;
  }
}

function show(state) {
  if (state === 'talking' && document.body.dataset.state !== 'reconnecting') talkingSince = performance.now();
  document.body.dataset.state = state;
  $('status').textContent = STATUS[state];
  const live = state !== 'idle' && state !== 'ended' && state !== 'error';
  $('call').setAttribute('aria-label', live ? 'Hang up' : 'Call');
  $('network').hidden = !live;
  for (const id of ['mute', 'keypad-toggle']) $(id).disabled = !live;
  $('codec').disabled = live;
  if (live) return;
  meters.forEach((m) => m.close());
  meters = [];
  $('mute').setAttribute('aria-pressed', 'false');
  $('mute').textContent = 'Mute';
  $('keypad').hidden = true;
  $('keypad-toggle').setAttribute('aria-expanded', 'false');
  $('clock').textContent = '';
}

/** What the gateway thinks of both sides. */
function network() {
  const sides = call.network;
  const own = call.issues.find((issue) => Object.hasOwn(ISSUES, issue.finding) && (!issue.half_leg || issue.half_leg.startsWith('browser')));
  const why = ({ level, reasons, halfLeg }) =>
    level === 'green' || level === 'unknown' ? '' : reasons.map((reason) => WHY[`${reason} ${halfLeg}`] ?? WHY[reason] ?? '').find(Boolean) ?? '';
  side($('side-visitor'), sides.visitor.level, why(sides.visitor) || (own ? ISSUES[own.finding] : ''));
  side($('side-agent'), sides.agent.level, why(sides.agent));
}

function side(element, level, why) {
  element.dataset.level = level;
  element.querySelector('.level').textContent = LEVELS[level] ?? level;
  element.querySelector('.why').textContent = why;
}

function help(text) {
  $('help').textContent = text;
  $('help').hidden = false;
}

function log({ timestamp, name, data }) {
  const { call: _call, session: _session, context: _context, ...own } = data;
  const line = document.createElement('li');
  const time = document.createElement('time');
  time.textContent = timestamp.slice(11, 23);
  line.append(time, `${name} ${Object.keys(own).length ? JSON.stringify(own) : ''}`);
  $('events').append(line);
}

async function refresh() {
  if (!call || call.isOver) return;
  if (call.state === 'talking') {
    const seconds = Math.floor((performance.now() - talkingSince) / 1000);
    $('clock').textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
  }
  const stats = await call.stats();
  if (call.isOver) return;
  const both = stats.sendCodec === stats.receiveCodec ? [stats.sendCodec] : [stats.sendCodec, stats.receiveCodec];
  $('fact-codec').textContent = both.filter(Boolean).join(' ↑ / ↓ ') || '–';
  $('fact-path').textContent = stats.path?.toUpperCase() ?? '–';
  $('fact-rtt').textContent = stats.rttMs === null ? '–' : stats.rttMs < 1 ? '< 1 ms' : `${stats.rttMs.toFixed(0)} ms`;
  $('fact-loss').textContent = `${stats.packetsLost} of ${stats.packetsLost + stats.packetsReceived}`;
}

/** A level history for one stream on one canvas. */
function meter(stream, canvas) {
  const audio = new AudioContext();
  const analyser = audio.createAnalyser();
  analyser.fftSize = 512;
  const samples = new Float32Array(analyser.fftSize);
  const history = new Array(44).fill(0);
  audio.createMediaStreamSource(stream).connect(analyser);
  return {
    draw() {
      analyser.getFloatTimeDomainData(samples);
      const rms = Math.sqrt(samples.reduce((sum, s) => sum + s * s, 0) / samples.length);
      history.push(Math.min(1, Math.max(0, 1 + Math.log10(rms + 1e-6) / 2.5)));
      history.shift();
      paint(canvas, history);
    },
    close() {
      audio.close();
      paint(canvas, history.fill(0));
    },
  };
}

function paint(canvas, history) {
  const c = canvas.getContext('2d');
  const { width, height } = canvas;
  c.clearRect(0, 0, width, height);
  c.fillStyle = getComputedStyle(document.body).getPropertyValue('--accent');
  history.forEach((level, i) => {
    const tall = Math.max(2, level * height);
    c.globalAlpha = 0.25 + (0.75 * i) / history.length;
    c.fillRect(i * 5, (height - tall) / 2, 3, tall);
  });
}

let frame = 0;
function draw() {
  if (frame++ % 3 === 0) meters.forEach((m) => m.draw());
  requestAnimationFrame(draw);
}
