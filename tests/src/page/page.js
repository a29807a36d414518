// What the tests call by name. One call at a time.
import { Trunkline } from './trunkline.js';

const PLAIN = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
const audio = new AudioContext({ sampleRate: 48000 });
await audio.audioWorklet.addModule('tap.js');
const tap = new AudioWorkletNode(audio, 'tap', { numberOfInputs: 2, numberOfOutputs: 1 });
const nowhere = new GainNode(audio, { gain: 0 });
tap.connect(nowhere).connect(audio.destination); // A node nobody listens to is not run.
let listener = () => {};
tap.port.onmessage = ({ data }) => listener(data);
let source;
window.rewrite = {};

// Every request of the module and its answer, e.g. "PATCH 200".
const fetched = window.fetch;
window.requests = [];
window.fetch = async (url, init) => {
  const response = await fetched(url, init);
  window.requests.push(`${init?.method ?? 'GET'} ${response.status}`);
  return window.relay && response.headers.get('Content-Type') === 'application/sdp' ? relayed(response) : response;
};

/** An answer that leads through a relay: its UDP candidates name the relay's port, and there is no other way. */
async function relayed(response) {
  const lines = (await response.text()).split('\r\n').filter((line) => !/^a=candidate:\S+ \d+ tcp /i.test(line));
  const through = lines.map((line) => line.replace(/^(a=candidate:\S+ \d+ udp \d+ \S+) \d+/i, `$1 ${window.relay}`));
  return new Response(through.join('\r\n'), { status: response.status, headers: response.headers });
}

// The module's connection, for its own statistics; `rewrite` changes what it offers.
const Connection = window.RTCPeerConnection;
window.RTCPeerConnection = class extends Connection {
  constructor(...options) {
    super(...options);
    window.pc = this;
  }

  async setLocalDescription(description) {
    const { nack, once } = window.rewrite;
    if (description || !(nack || once)) return super.setLocalDescription(description);
    let { type, sdp } = await this.createOffer();
    // What was sent lately may be asked for again: a browser can do that for Opus, and does where both sides say so.
    if (nack) sdp = sdp.replace(/a=rtpmap:(\d+) opus\/48000\/2\r\n/, '$&a=rtcp-fb:$1 nack\r\n');
    return super.setLocalDescription({ type, sdp: once ? withoutRedundancy(sdp) : sdp });
  }
};

/** The offer of a browser that knows no redundancy. */
function withoutRedundancy(sdp) {
  const red = /a=rtpmap:(\d+) red\//.exec(sdp)?.[1];
  if (!red) return sdp;
  const lines = sdp.split('\r\n').filter((line) => !new RegExp(`^a=(rtpmap|fmtp|rtcp-fb):${red} `).test(line));
  return lines.map((line) => (line.startsWith('m=audio') ? line.replace(` ${red} `, ' ') : line)).join('\r\n');
}

/** The statistics of one kind, each with the name of its codec. */
window.statistics = async (type) => {
  const all = new Map();
  (await window.pc.getStats()).forEach((stat) => all.set(stat.id, stat));
  return [...all.values()].filter((stat) => stat.type === type).map((stat) => ({ ...stat, codec: all.get(stat.codecId)?.mimeType }));
};

window.begin = async ({ client, codecs, switched, relay, nack, once, ...options }) => {
  window.relay = relay;
  window.rewrite = { nack, once };
  await audio.resume();
  window.events = [];
  const stream = switched ? oscillator(switched) : PLAIN;
  const call = await new Trunkline(client).call({ audio: stream, codecs: codecs?.length ? codecs : undefined, context: { plan: 'gold' }, ...options });
  window.call = call;
  call.addEventListener('event', ({ detail }) => window.events.push(detail));
  call.addEventListener('audio', () => listenTo(call.remoteStream));
  listenTo(call.remoteStream);
  // Without a player, Chromium does not decode a remote track for Web Audio.
  await call.attachAudio(document.getElementById('agent'));
  return call.id;
};

/** Waits for calls to a name; each that rings is in `incoming`, each that rings no more in `cancelled`. */
window.wait = async ({ client, name, session }) => {
  await audio.resume();
  window.incoming = [];
  window.cancelled = [];
  window.receiver = await new Trunkline(client).receive({ name, session });
  receiver.addEventListener('incoming', ({ detail }) => window.incoming.push(detail));
  receiver.addEventListener('cancelled', ({ detail }) => window.cancelled.push(detail.cancelled));
  return receiver.address;
};

/** Answers the call that rang last. */
window.pickUp = async ({ codecs }) => {
  window.events = [];
  const call = await window.incoming.at(-1).answer({ audio: PLAIN, codecs: codecs?.length ? codecs : undefined });
  window.call = call;
  call.addEventListener('event', ({ detail }) => window.events.push(detail));
  call.addEventListener('audio', () => listenTo(call.remoteStream));
  listenTo(call.remoteStream);
  await call.attachAudio(document.getElementById('agent'));
  return call.id;
};

function listenTo(stream) {
  source?.disconnect();
  source = audio.createMediaStreamSource(stream);
  source.connect(tap, 0, 0);
}

/** A microphone of our own: a tone of `hz` that `voice.gain` opens. */
function oscillator(hz) {
  const tone = new OscillatorNode(audio, { frequency: hz });
  window.pitch = tone.frequency;
  window.voice = new GainNode(audio, { gain: 0 });
  const out = new MediaStreamAudioDestinationNode(audio);
  tone.connect(window.voice).connect(out);
  window.voice.connect(tap, 0, 1);
  tone.start();
  return out.stream;
}

/** The microphone of our own climbs steadily through the octaves, once, at -12 dBov. */
window.sweep = ({ from, to, seconds }) => {
  const [at, { gain }] = [audio.currentTime + 0.2, window.voice];
  window.pitch.setValueAtTime(from, at);
  window.pitch.exponentialRampToValueAtTime(to, at + seconds);
  gain.setValueAtTime(0.355, at);
  gain.setValueAtTime(0, at + seconds);
};

/** The next `ms` of what arrives, as 16 bit PCM in base64. */
window.hear = (ms) =>
  new Promise((done) => {
    const samples = new Float32Array(Math.round((ms * audio.sampleRate) / 1000));
    let filled = 0;
    const limit = setTimeout(finish, ms * 3 + 500);
    listener = ({ heard }) => {
      if (!heard) return;
      samples.set(heard.subarray(0, samples.length - filled), filled);
      filled = Math.min(samples.length, filled + heard.length);
      if (filled === samples.length) finish();
    };
    function finish() {
      clearTimeout(limit);
      listener = () => {};
      const pcm = Int16Array.from(samples.subarray(0, filled), (s) => Math.max(-1, Math.min(1, s)) * 32767);
      const bytes = new Uint8Array(pcm.buffer);
      let text = '';
      for (let i = 0; i < bytes.length; i += 4096) text += String.fromCharCode(...bytes.subarray(i, i + 4096));
      done(btoa(text));
    }
  });

/** Milliseconds from the moment the tone opens to the moment it comes back; null when it does not. */
window.roundTrip = () =>
  new Promise((done) => {
    let said = null;
    const loud = (block) => block?.findIndex((s) => Math.abs(s) > 0.05) ?? -1;
    const end = (value) => {
      clearTimeout(limit);
      listener = () => {};
      window.voice.gain.value = 0;
      done(value);
    };
    const limit = setTimeout(() => end(null), 5000);
    listener = (block) => {
      if (said === null && loud(block.said) >= 0) said = block.at + loud(block.said);
      if (said !== null && loud(block.heard) >= 0) end(((block.at + loud(block.heard) - said) * 1000) / audio.sampleRate);
    };
    window.voice.gain.value = 0.5;
  });

window.ready = true;
