// @ts-check
/**
 * A client for Trunkline's public API: a visitor who calls, or an agent who is called. No dependencies, no build step.
 *
 *     import { Trunkline } from './trunkline.js';
 *     const trunkline = new Trunkline({ url: 'https://gw.example.com', app: 'acme', widgetKey: 'wk_…' });
 *     const call = await trunkline.call({ context: { plan: 'gold' } });
 *     call.addEventListener('state', () => console.log(call.state));
 *     call.attachAudio(document.querySelector('audio'));
 *     …
 *     await call.hangup();
 *
 *     const receiver = await trunkline.receive({ name: 'ann' }); // sip:ann@… rings here until receiver.close()
 *     receiver.addEventListener('incoming', async ({ detail: incoming }) => {
 *       showTo(agent, incoming.from.number);                     // text of a stranger: never as HTML
 *       const call = await incoming.answer();                    // or incoming.decline()
 *     });
 *
 * Every failure is a {@link TrunklineError} whose `code` is either a problem slug of the gateway (`closed`,
 * `rate-limited`, …) or one of the browser's own causes: `mic_denied`, `mic_not_found`, `mic_policy_blocked`,
 * `insecure_context`, `autoplay_blocked`, `ice_failed`, `unreachable`.
 */

/**
 * @typedef {'connecting'|'ringing'|'talking'|'reconnecting'|'ended'|'error'} CallState
 * @typedef {{id: string, name: string, timestamp: string, app: string, seq: number, data: Record<string, any>}} GatewayEvent
 * @typedef {'browser_up'|'browser_down'|'sip_up'|'sip_down'} HalfLeg
 * @typedef {'unknown'|'green'|'amber'|'red'} Level
 * @typedef {{level: Level, reasons: string[]}} Quality
 * @typedef {{finding: string, half_leg: HalfLeg|null, since: string, confidence: number}} Issue
 * @typedef {{urls: string[], username?: string, credential?: string}} IceServer
 * @typedef {{session: string, token: string, expires_at: string, state: 'ready'|'closed'|'preview', profile: string,
 *   profile_fallback: boolean, survey: boolean, ice_servers: IceServer[],
 *   context_report: {accepted: string[], dropped: {key: string, reason: string}[], truncated: string[]},
 *   opens_at?: string, mode?: 'receive', address?: string}} Session
 */

export class TrunklineError extends Error {
  /**
   * @param {string} code machine-readable cause
   * @param {string} message for a person
   * @param {{status?: number, retryAfter?: number, cause?: unknown}} [more]
   */
  constructor(code, message, more = {}) {
    super(message, { cause: more.cause });
    this.name = 'TrunklineError';
    this.code = code;
    this.status = more.status;
    /** Seconds after which a retry makes sense. */
    this.retryAfter = more.retryAfter;
  }
}

export class Trunkline {
  /**
   * @param {{url?: string, app: string, widgetKey: string}} options `url`: the gateway's public URL, without a
   *   trailing slash; the page's own origin when left out.
   */
  constructor({ url = location.origin, app, widgetKey }) {
    this.url = url;
    this.app = app;
    this.widgetKey = widgetKey;
  }

  /**
   * Asks for a session. Safe to repeat: the same `idempotencyKey` gives the same session.
   * @param {{profile?: string, lang?: string, preview?: boolean, context?: Record<string, string>,
   *   form?: Record<string, string>, receive?: string, idempotencyKey?: string}} [options] `receive`: the name under
   *   which the session waits for calls, instead of starting some.
   * @returns {Promise<Session>}
   */
  async session({ profile, lang, preview = false, context = {}, form = {}, receive, idempotencyKey = randomKey() } = {}) {
    const response = await request(`${this.url}/v1/sessions`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'Idempotency-Key': idempotencyKey },
      body: JSON.stringify({
        app: this.app,
        widget_key: this.widgetKey,
        profile,
        lang,
        preview,
        ...(receive === undefined ? {} : { mode: 'receive', name: receive }),
        context,
        form,
        client: { tz_offset_minutes: -new Date().getTimezoneOffset(), page: location.href.split(/[?#]/)[0] },
      }),
    });
    return response.json();
  }

  /**
   * Gets a session, the microphone, and starts the call. Call it from a click, so that audio may play.
   * @param {Parameters<Trunkline['session']>[0] & {audio?: MediaStream|MediaTrackConstraints|boolean,
   *   codecs?: string[]}} [options] `audio`: constraints, or a stream of your own; `codecs`: names in order of
   *   preference (`['PCMU']`), the browser's own order when left out.
   * @returns {Promise<Call>}
   */
  async call({ audio = true, codecs, ...sessionOptions } = {}) {
    const session = await this.session(sessionOptions);
    if (session.state === 'closed') throw new TrunklineError('closed', `Closed until ${session.opens_at ?? 'later'}`);
    let stream;
    try {
      stream = await microphone(audio);
    } catch (error) {
      if (error instanceof TrunklineError) report(this.url, session, error.code, error.message);
      throw error;
    }
    return begin(new Call(this.url, session, stream, codecs));
  }

  /**
   * Waits for calls to a name, until {@link Receiver.close}. `session`: one that a back end has opened with the mode
   * `receive`; without it one is opened with the widget key, where the app allows that.
   * @param {{name?: string, session?: Session} & Parameters<Trunkline['session']>[0]} options
   * @returns {Promise<Receiver>}
   */
  async receive({ name, session, ...sessionOptions }) {
    const receiver = new Receiver(this.url, session ?? (await this.session({ ...sessionOptions, receive: name })));
    await receiver.open();
    return receiver;
  }
}

/** Starts a call; one that does not start leaves nothing open. @param {Call} call */
async function begin(call) {
  try {
    await call.start();
  } catch (error) {
    call.release();
    throw error;
  }
  return call;
}

/**
 * A browser that waits for calls. Events: `incoming` (`detail` is an {@link Incoming}), `cancelled` (`detail` is the
 * same one: its caller gave up, or somebody else has it), `event` (`detail` is a {@link GatewayEvent}), `lost` (the
 * gateway knows the session no more: open a new one).
 */
export class Receiver extends EventTarget {
  /** @param {string} url @param {Session} session */
  constructor(url, session) {
    super();
    this.session = session;
    /** Where calls go that ring here. */
    this.address = session.address ?? '';
    /** Calls that ring now, by their id. @type {Map<string, Incoming>} */
    this.ringing = new Map();
    this.#url = url;
  }

  #url;
  #lastSeq = 0;
  /** @type {EventSource|undefined} */ #events;

  /** Opens the stream; {@link Trunkline.receive} has done this already. @returns {Promise<void>} */
  open() {
    const { session, token } = this.session;
    const source = new EventSource(`${this.#url}/v1/sessions/${session}/events?token=${encodeURIComponent(token)}`);
    this.#events = source;
    for (const name of ['incoming_call', 'incoming_call_cancelled']) {
      source.addEventListener(name, (message) => this.#onEvent(JSON.parse(message.data)));
    }
    return new Promise((done, fail) => {
      source.onopen = () => done();
      source.onerror = () => {
        // The browser itself comes again after a lost connection, but not after a refusal.
        if (source.readyState !== EventSource.CLOSED) return;
        fail(new TrunklineError('unreachable', 'The gateway does not let this session wait for calls'));
        this.dispatchEvent(new Event('lost'));
      };
    });
  }

  /** Waits for calls no more; those in progress go on. */
  close() {
    this.#events?.close();
    this.ringing.clear();
  }

  /** @param {GatewayEvent} event */
  #onEvent(event) {
    if (event.seq <= this.#lastSeq) return;
    this.#lastSeq = event.seq;
    this.dispatchEvent(new CustomEvent('event', { detail: event }));
    const { call } = event.data;
    if (event.name === 'incoming_call') {
      const incoming = new Incoming(this.#url, this.session, event.data);
      this.ringing.set(call, incoming);
      this.dispatchEvent(new CustomEvent('incoming', { detail: incoming }));
      return;
    }
    const incoming = this.ringing.get(call);
    this.ringing.delete(call);
    if (!incoming) return;
    incoming.cancelled = event.data.reason;
    this.dispatchEvent(new CustomEvent('cancelled', { detail: incoming }));
  }
}

/** A call that rings. What it says of its caller is the caller's own word: text, never HTML. */
export class Incoming {
  /** @param {string} url @param {Session} session @param {Record<string, any>} data */
  constructor(url, session, data) {
    this.id = /** @type {string} */ (data.call);
    /** @type {{number: string, display: string|null}} */
    this.from = data.from;
    /** What was called. */
    this.to = /** @type {string} */ (data.to);
    this.trunk = /** @type {string} */ (data.trunk);
    /** What the trunk attached. @type {Record<string, string>} */
    this.context = data.context;
    /** Why it rings no more. @type {string|null} */
    this.cancelled = null;
    this.#url = url;
    this.#session = session;
  }

  #url;
  #session;

  /**
   * Answers with the microphone. A {@link TrunklineError} with the code `call-answered`: somebody else was faster.
   * @param {{audio?: MediaStream|MediaTrackConstraints|boolean, codecs?: string[]}} [options] as for {@link Trunkline.call}
   * @returns {Promise<Call>}
   */
  async answer({ audio = true, codecs } = {}) {
    return begin(new Call(this.#url, this.#session, await microphone(audio), codecs, this.id));
  }

  /** Does not want it; others it rings may. */
  async decline() {
    await request(`${this.#url}/v1/calls/${this.id}/decline`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${this.#session.token}` },
    });
  }
}

/**
 * A call in progress. Events: `state`, `audio` (the agent's track was put into `remoteStream`, also after a reattach),
 * `event` (`detail` is a {@link GatewayEvent}), `quality` (`quality`, `issues` and {@link Call.network} have changed),
 * `dtmf` (`detail.digit`), `end` (`detail` is the data of `call_ended` or `call_error`; `{reason: 'lost'}` where the gateway
 * knows the call no more and nobody heard how it ended).
 */
export class Call extends EventTarget {
  /**
   * @param {string} url
   * @param {Session} session
   * @param {MediaStream} stream
   * @param {string[]} [codecs]
   * @param {string} [incoming] the call that is answered, if it is none of our own
   */
  constructor(url, session, stream, codecs, incoming) {
    super();
    this.session = session;
    /** @type {CallState} */
    this.state = 'connecting';
    /** The data of the event that ended the call. @type {Record<string, any>|null} */
    this.outcome = null;
    /** What the visitor says. */
    this.localStream = stream;
    /** What the agent says. */
    this.remoteStream = new MediaStream();
    this.muted = false;
    /** What the gateway thinks of each half-leg. @type {Record<HalfLeg, Quality>} */
    this.quality = { browser_up: unknownQuality(), browser_down: unknownQuality(), sip_up: unknownQuality(), sip_down: unknownQuality() };
    /** What the gateway finds wrong now. @type {Issue[]} */
    this.issues = [];
    /** The call's id, e.g. `call_…`. */
    this.id = '';
    this.#url = url;
    this.#codecs = codecs;
    this.#incoming = incoming;
    this.#pc = this.#newPeerConnection();
  }

  #url;
  #codecs;
  #incoming;
  /** @type {RTCPeerConnection} */ #pc;
  /** @type {EventSource|undefined} */ #events;
  /** @type {HTMLMediaElement[]} */ #players = [];
  #lastSeq = 0;
  #callUrl = '';
  #recovering = false;
  /** The next try to recover, and how long it waits. */ #again = 0;
  #pause = PAUSE_MS;
  /** The gateway may have given the call to a connection whose answer never came: only another new one gets it back. */ #displaced = false;
  #wasConnected = false;
  /** Reports sent of each kind, so that none is repeated without end. @type {Map<string, number>} */ #reported = new Map();
  /** The newest statistics, for the moment in which there is no time to ask. */ #summary = '';
  #watching = 0;
  #talkingSince = Infinity;
  /** Whether it was looked once at what the visitor hears. */ #checked = false;
  #saidGoodbye = false;
  #online = () => this.recover('network changed');

  /** Offers, posts, applies the answer. {@link Trunkline.call} has done this already. */
  async start() {
    const answers = this.#incoming === undefined ? '' : `?call=${encodeURIComponent(this.#incoming)}`;
    const response = await this.#offer(`${this.#url}/v1/calls${answers}`);
    const location = response.headers.get('Location') ?? '';
    this.#callUrl = new URL(location, this.#url).href;
    this.id = this.#callUrl.split('/').pop() ?? '';
    this.#listen();
    this.#watching = setInterval(() => this.#watch().catch(() => {}), 2500);
    addEventListener('online', this.#online);
    addEventListener('pagehide', this.#goodbye);
  }

  /** Plays the agent in an element. @param {HTMLMediaElement} element */
  async attachAudio(element) {
    this.#players.push(element);
    element.srcObject = this.remoteStream;
    try {
      await element.play();
    } catch (error) {
      // A stream that was exchanged meanwhile is played by the next `play`.
      if (this.isOver || (error instanceof DOMException && error.name === 'AbortError')) return;
      const blocked = error instanceof DOMException && error.name === 'NotAllowedError';
      this.#report(blocked ? 'autoplay_blocked' : 'other', String(error));
      if (!blocked) throw new TrunklineError('other', String(error), { cause: error });
      throw new TrunklineError('autoplay_blocked', 'The browser blocks sound until you touch the page', { cause: error });
    }
  }

  /** Ends the call. Safe to repeat. A gateway that cannot be told finds out by itself: the connection is closed. */
  async hangup() {
    if (this.isOver) return;
    // Nothing is said any more, while the statistics are on their way: they go before the call does.
    for (const track of this.localStream.getTracks()) track.stop();
    await within(1000, this.#sayGoodbye());
    await within(3000, request(this.#callUrl, { method: 'DELETE', headers: this.#auth(), keepalive: true }));
    this.release();
    this.#setState('ended');
  }

  /** Whether nothing more will happen. */
  get isOver() {
    return this.state === 'ended' || this.state === 'error';
  }

  /**
   * The network as the visitor should see it: the worse half-leg of each side. `reasons` are those of that half-leg.
   * @returns {{visitor: Quality & {halfLeg: HalfLeg}, agent: Quality & {halfLeg: HalfLeg}}}
   */
  get network() {
    return { visitor: this.#worse('browser_up', 'browser_down'), agent: this.#worse('sip_up', 'sip_down') };
  }

  /** Withholds the microphone; the gateway is told, so that silence is not taken for a fault. @param {boolean} muted */
  async mute(muted) {
    this.muted = muted;
    for (const track of this.localStream.getAudioTracks()) track.enabled = !muted;
    await this.#post('mute', { muted });
  }

  /**
   * Sends DTMF digits (`0-9*#A-D`), from the browser where it can, through the API otherwise.
   * @param {string} digits
   * @param {{durationMs?: number, viaApi?: boolean}} [options]
   */
  async dtmf(digits, { durationMs = 100, viaApi = false } = {}) {
    const sender = this.#pc.getSenders().find((s) => s.dtmf)?.dtmf;
    if (!viaApi && sender?.canInsertDTMF) sender.insertDTMF(digits, durationMs, 70);
    else await this.#post('dtmf', { digits, duration_ms: durationMs });
  }

  /**
   * What the connection is like now: codec each way, path, round trip, loss, jitter (W3C webrtc-stats).
   * @returns {Promise<{sendCodec: string|null, receiveCodec: string|null, path: string|null, rttMs: number|null,
   *   packetsLost: number, packetsReceived: number, jitterMs: number|null}>}
   */
  async stats() {
    /** @type {Map<string, any>} */
    const all = new Map();
    (await this.#pc.getStats()).forEach((stat) => all.set(stat.id, stat));
    const byType = (/** @type {string} */ type) => [...all.values()].filter((s) => s.type === type);
    const codec = (/** @type {any} */ s) => all.get(s?.codecId)?.mimeType?.replace('audio/', '') ?? null;
    const inbound = byType('inbound-rtp')[0];
    const outbound = byType('outbound-rtp')[0];
    const transport = byType('transport')[0];
    const pair = all.get(transport?.selectedCandidatePairId);
    return {
      sendCodec: codec(outbound),
      receiveCodec: codec(inbound),
      path: all.get(pair?.localCandidateId)?.protocol ?? null,
      rttMs: pair?.currentRoundTripTime === undefined ? null : pair.currentRoundTripTime * 1000,
      packetsLost: inbound?.packetsLost ?? 0,
      packetsReceived: inbound?.packetsReceived ?? 0,
      jitterMs: inbound?.jitter === undefined ? null : inbound.jitter * 1000,
    };
  }

  /**
   * Brings audio back after a network change: an ICE restart first, a new peer connection if that fails; both again, at
   * growing intervals, as long as the gateway cannot be reached. Runs by itself when the browser reports a lost connection.
   * @param {string} why for the console
   */
  async recover(why) {
    if (this.isOver || this.#recovering) return;
    this.#recovering = true;
    clearTimeout(this.#again);
    console.info('trunkline: recovering,', why);
    try {
      await (this.#displaced ? this.#reattach() : this.#restartIce().catch(() => this.#reattach()));
      this.#pause = PAUSE_MS;
    } catch (error) {
      console.warn('trunkline: recovery failed, will try again', error);
      this.#recoverLater();
    } finally {
      this.#recovering = false;
    }
  }

  #recoverLater() {
    if (this.isOver) return;
    // It may have come back by itself meanwhile.
    this.#again = setTimeout(() => (this.#displaced || !isUp(this.#pc)) && this.recover('once more'), this.#pause);
    this.#pause = Math.min(2 * this.#pause, LONGEST_PAUSE_MS);
  }

  /** Frees microphone, connection and streams without telling the gateway. */
  release() {
    removeEventListener('online', this.#online);
    removeEventListener('pagehide', this.#goodbye);
    clearInterval(this.#watching);
    clearTimeout(this.#again);
    this.#events?.close();
    this.#pc.close();
    for (const track of this.localStream.getTracks()) track.stop();
    for (const player of this.#players) player.srcObject = null;
  }

  // Browsers call a page with a call persisted as well, though it cannot talk while it is put away.
  #goodbye = (/** @type {PageTransitionEvent} */ event) => {
    if (this.isOver) return;
    this.#sendSummary();
    fetch(this.#callUrl, { method: 'DELETE', headers: this.#auth(), keepalive: true }).catch(() => {});
    if (!event.persisted) return;
    this.release();
    this.#setState('ended');
  };

  #newPeerConnection() {
    const pc = new RTCPeerConnection({ iceServers: this.session.ice_servers, bundlePolicy: 'max-bundle' });
    for (const track of this.localStream.getAudioTracks()) pc.addTrack(track, this.localStream);
    const [transceiver] = pc.getTransceivers();
    if (this.#codecs && transceiver) preferCodecs(transceiver, this.#codecs);
    pc.ontrack = ({ track }) => {
      for (const old of this.remoteStream.getTracks()) this.remoteStream.removeTrack(old);
      this.remoteStream.addTrack(track);
      this.dispatchEvent(new Event('audio'));
    };
    pc.oniceconnectionstatechange = () => {
      if (pc !== this.#pc || this.isOver) return;
      if (isUp(pc)) this.#wasConnected = true;
      if (pc.iceConnectionState === 'failed') {
        this.#report('ice_failed', this.#wasConnected ? 'after the call was up' : 'before the call was up');
        this.recover('ICE failed');
      }
      if (pc.iceConnectionState === 'disconnected') {
        setTimeout(() => pc === this.#pc && pc.iceConnectionState === 'disconnected' && this.recover('ICE disconnected'), 2000);
      }
    };
    return pc;
  }

  /** @param {string} endpoint @param {AbortSignal} [signal] @returns {Promise<Response>} */
  async #offer(endpoint, signal) {
    const pc = this.#pc;
    await pc.setLocalDescription();
    // The gateway is ICE-lite and learns our address from our checks: nothing is gained by waiting for candidates.
    const response = await request(endpoint, {
      method: 'POST',
      headers: { ...this.#auth(), 'Content-Type': 'application/sdp' },
      body: pc.localDescription?.sdp,
      signal,
    });
    await pc.setRemoteDescription({ type: 'answer', sdp: await response.text() });
    setTimeout(() => this.#tellCandidates(pc, response.headers.get('ETag')), CANDIDATES_AFTER_MS);
    return response;
  }

  /** Our candidates, where they explain something: a path that does not come up, a relay. @param {RTCPeerConnection} pc @param {string|null} etag */
  #tellCandidates(pc, etag) {
    const sdp = pc.localDescription?.sdp ?? '';
    if (pc !== this.#pc || this.isOver || !etag || (isUp(pc) && !sdp.includes(' typ relay'))) return;
    const headers = { ...this.#auth(), 'Content-Type': 'application/trickle-ice-sdpfrag', 'If-Match': etag };
    request(this.#callUrl, { method: 'PATCH', headers, body: sdpFragment(sdp) }).catch(() => {});
  }

  async #restartIce() {
    const pc = this.#pc;
    const before = pc.currentRemoteDescription?.sdp ?? '';
    await pc.setLocalDescription(await pc.createOffer({ iceRestart: true }));
    const offer = pc.localDescription?.sdp ?? '';
    try {
      const response = await request(this.#callUrl, {
        method: 'PATCH',
        headers: { ...this.#auth(), 'Content-Type': 'application/trickle-ice-sdpfrag', 'If-Match': '*' },
        body: sdpFragment(offer),
        signal: soon(),
      });
      const fragment = await response.text();
      await pc.setRemoteDescription({ type: 'answer', sdp: withCredentials(before, fragment) });
    } catch (error) {
      if (pc.signalingState === 'have-local-offer') await pc.setLocalDescription({ type: 'rollback' });
      throw error;
    }
  }

  /** The old connection stays until the new one is answered: where that fails, it may come back by itself. */
  async #reattach() {
    const [old, displaced] = [this.#pc, this.#displaced];
    this.#pc = this.#newPeerConnection();
    this.#displaced = true;
    try {
      await this.#offer(`${this.#callUrl}/reattach`, soon());
    } catch (error) {
      // What was refused has changed nothing.
      if (error instanceof TrunklineError && error.status) this.#displaced = displaced;
      this.#pc.close();
      this.#pc = old;
      if (this.isOver) old.close();
      throw error;
    }
    this.#displaced = false;
    old.close();
  }

  #listen() {
    if (this.isOver) return;
    const source = new EventSource(`${this.#callUrl}/events?token=${encodeURIComponent(this.session.token)}`);
    this.#events = source;
    for (const name of EVENT_NAMES) source.addEventListener(name, (message) => this.#onEvent(JSON.parse(message.data)));
    // The browser itself comes again after a lost connection, but not after a refusal.
    source.onerror = () => source.readyState === EventSource.CLOSED && this.#lookForCall();
  }

  /** The stream of events was refused: a proxy that is just being exchanged, or a call that ended while nobody could hear of it. */
  async #lookForCall() {
    try {
      await request(this.#callUrl, { headers: this.#auth() });
    } catch (error) {
      const gone = error instanceof TrunklineError && (error.status === 401 || error.status === 404);
      if (gone && !this.isOver) return this.#end('error', { reason: 'lost' });
    }
    setTimeout(() => this.#listen(), LISTEN_AGAIN_MS);
  }

  /** @param {CallState} state @param {Record<string, any>} outcome */
  #end(state, outcome) {
    this.outcome = outcome;
    this.release();
    this.#setState(state);
    this.dispatchEvent(new CustomEvent('end', { detail: outcome }));
  }

  /** @param {GatewayEvent} event */
  #onEvent(event) {
    if (event.seq <= this.#lastSeq) return;
    this.#lastSeq = event.seq;
    this.dispatchEvent(new CustomEvent('event', { detail: event }));
    switch (event.name) {
      case 'call_ringing':
        return this.#setState('ringing');
      case 'call_answered':
      case 'call_reconnected':
        return this.#setState('talking');
      case 'call_reconnecting':
        return this.#setState('reconnecting');
      case 'network_quality_changed':
        if (Object.hasOwn(this.quality, event.data.half_leg)) {
          this.quality[/** @type {HalfLeg} */ (event.data.half_leg)] = { level: event.data.to, reasons: event.data.reasons ?? [] };
        }
        return this.dispatchEvent(new Event('quality'));
      case 'issue_detected':
      case 'issue_cleared': {
        const { finding, half_leg } = event.data;
        this.issues = this.issues.filter((issue) => issue.finding !== finding || issue.half_leg !== half_leg);
        if (event.name === 'issue_detected') this.issues.push(/** @type {Issue} */ (event.data));
        return this.dispatchEvent(new Event('quality'));
      }
      case 'dtmf_received':
        return this.dispatchEvent(new CustomEvent('dtmf', { detail: event.data }));
      case 'call_ended':
      case 'call_error':
        // The gateway takes these for some seconds after the end.
        this.#sendSummary();
        return this.#end(event.name === 'call_ended' ? 'ended' : 'error', event.data);
    }
  }

  /** @param {HalfLeg} up @param {HalfLeg} down */
  #worse(up, down) {
    const halfLeg = LEVELS.indexOf(this.quality[down].level) > LEVELS.indexOf(this.quality[up].level) ? down : up;
    return { halfLeg, ...this.quality[halfLeg] };
  }

  /** Keeps the newest statistics, and tells once of a visitor who hears nothing though packets arrive. */
  async #watch() {
    const stats = await summary(this.#pc, this.#players, this.isOver);
    if (!stats || this.isOver) return;
    this.#summary = JSON.stringify({ stats });
    const deaf = stats.packets_received > 50 && (stats.playing === false || stats.audio_energy_out === 0);
    if (this.state === 'talking' && performance.now() - this.#talkingSince > 4500 && !this.#checked) {
      this.#checked = true;
      if (deaf) this.#report('other', this.#summary);
    }
  }

  async #sayGoodbye() {
    await this.#watch();
    await this.#sendSummary();
  }

  /** The last words, once. */
  #sendSummary() {
    if (!this.#summary || this.#saidGoodbye) return Promise.resolve();
    this.#saidGoodbye = true;
    return this.#report('other', this.#summary);
  }

  /** @param {string} code @param {string} detail */
  #report(code, detail) {
    const count = this.#reported.get(code) ?? 0;
    this.#reported.set(code, count + 1);
    return count < 3 ? report(this.#url, this.session, code, detail) : Promise.resolve();
  }

  /** @param {CallState} state */
  #setState(state) {
    if (this.isOver || this.state === state) return;
    if (state === 'talking') this.#talkingSince = performance.now();
    this.state = state;
    this.dispatchEvent(new Event('state'));
  }

  /** @param {string} what @param {object} body */
  #post(what, body) {
    return request(`${this.#callUrl}/${what}`, {
      method: 'POST',
      headers: { ...this.#auth(), 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
    });
  }

  #auth() {
    return { Authorization: `Bearer ${this.session.token}` };
  }
}

/** A path that is up is up by then. */
const CANDIDATES_AFTER_MS = 1500;
/** Between tries to recover, the first and the longest: the gateway waits 30 s for a browser that has vanished. */
const PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 5000;
/** For an answer meanwhile: a connection that was cut without a word gives none, and a new one would. */
const ANSWER_MS = 5000;
/** Until a stream of events that was refused is asked for again. */
const LISTEN_AGAIN_MS = 3000;

/** Best first. @type {Level[]} */
const LEVELS = ['unknown', 'green', 'amber', 'red'];

/** @param {RTCPeerConnection} pc */
const isUp = (pc) => pc.iceConnectionState === 'connected' || pc.iceConnectionState === 'completed';

/** @returns {Quality} */
const unknownQuality = () => ({ level: 'unknown', reasons: [] });

const soon = () => AbortSignal.timeout?.(ANSWER_MS);

/** A key for a request; pages without HTTPS have no `randomUUID`. */
function randomKey() {
  return crypto.randomUUID?.() ?? Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, '0')).join('');
}

/** Waits for a promise, but not longer than so many milliseconds. @param {number} ms @param {Promise<unknown>} promise */
function within(ms, promise) {
  return Promise.race([promise.catch(() => {}), new Promise((done) => setTimeout(done, ms))]);
}

const EVENT_NAMES = [
  'call_started',
  'call_ringing',
  'call_answered',
  'network_quality_changed',
  'issue_detected',
  'issue_cleared',
  'call_reconnecting',
  'call_reconnected',
  'dtmf_received',
  'call_transferred',
  'call_transfer_failed',
  'call_ended',
  'call_error',
];

/**
 * `fetch` whose refusals are {@link TrunklineError}s.
 * @param {string} url
 * @param {RequestInit} init
 */
async function request(url, init) {
  let response;
  try {
    response = await fetch(url, { ...init, cache: 'no-store', credentials: 'omit' });
  } catch (error) {
    throw new TrunklineError('unreachable', 'The gateway cannot be reached', { cause: error });
  }
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  const code = String(problem.type ?? '').replace('urn:trunkline:problem:', '') || `http-${response.status}`;
  const retryAfter = Number(response.headers.get('Retry-After')) || undefined;
  throw new TrunklineError(code, problem.detail ?? problem.title ?? response.statusText, { status: response.status, retryAfter });
}

/** @param {MediaStream|MediaTrackConstraints|boolean} audio */
async function microphone(audio) {
  if (audio instanceof MediaStream) return audio;
  if (!navigator.mediaDevices) throw new TrunklineError('insecure_context', 'The microphone needs a page served over HTTPS');
  try {
    return await navigator.mediaDevices.getUserMedia({ audio });
  } catch (error) {
    const name = error instanceof DOMException ? error.name : '';
    if (name === 'NotFoundError' || name === 'OverconstrainedError') throw new TrunklineError('mic_not_found', 'No microphone was found', { cause: error });
    if (name === 'NotAllowedError') {
      const policy = /** @type {any} */ (document).featurePolicy;
      if (policy && !policy.allowsFeature('microphone')) {
        throw new TrunklineError('mic_policy_blocked', 'The page that embeds this one does not allow the microphone', { cause: error });
      }
      throw new TrunklineError('mic_denied', 'The microphone was refused', { cause: error });
    }
    throw new TrunklineError('other', String(error), { cause: error });
  }
}

/**
 * What the browser measured of a call, as it is reported: W3C webrtc-stats in a few words. `audio_energy_out` is the
 * energy of all the sound that was played, `playing` whether an element plays it.
 * @param {RTCPeerConnection} pc @param {HTMLMediaElement[]} players @param {boolean} over
 * @returns {Promise<Record<string, any>|null>}
 */
async function summary(pc, players, over) {
  if (over || pc.connectionState === 'closed') return null;
  /** @type {Map<string, any>} */
  const all = new Map();
  (await pc.getStats()).forEach((stat) => all.set(stat.id, stat));
  const first = (/** @type {string} */ type) => [...all.values()].find((s) => s.type === type && (s.kind ?? 'audio') === 'audio');
  const inbound = first('inbound-rtp') ?? {};
  const pair = all.get(first('transport')?.selectedCandidatePairId) ?? {};
  const local = all.get(pair.localCandidateId) ?? {};
  const round = (/** @type {number|undefined} */ n, /** @type {number} */ digits) => (Number.isFinite(n) ? Number(/** @type {number} */ (n).toFixed(digits)) : null);
  return {
    packets_received: inbound.packetsReceived ?? 0,
    packets_lost: inbound.packetsLost ?? 0,
    concealed_ratio: inbound.totalSamplesReceived ? round(inbound.concealedSamples / inbound.totalSamplesReceived, 4) : null,
    jitter_buffer_ms: inbound.jitterBufferEmittedCount ? round((1000 * inbound.jitterBufferDelay) / inbound.jitterBufferEmittedCount, 0) : null,
    rtt_ms: round(1000 * pair.currentRoundTripTime, 1),
    audio_level_in: round(first('media-source')?.audioLevel, 4),
    audio_energy_out: round(inbound.totalAudioEnergy, 6),
    playing: players.some((player) => !player.paused && !player.muted && player.volume > 0),
    candidate_type: local.candidateType ?? null,
    protocol: local.protocol ?? null,
  };
}

/** Tells the gateway of something only the browser can see. Best effort. @returns {Promise<unknown>} */
function report(/** @type {string} */ url, /** @type {Session} */ session, /** @type {string} */ code, /** @type {string} */ detail) {
  return fetch(`${url}/v1/sessions/${session.session}/client-report`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${session.token}` },
    body: JSON.stringify({ code, detail: detail.slice(0, 1000) }),
    keepalive: true,
  }).catch(() => {});
}

/** @param {RTCRtpTransceiver} transceiver @param {string[]} names */
function preferCodecs(transceiver, names) {
  const all = RTCRtpReceiver.getCapabilities('audio')?.codecs ?? [];
  const wanted = names.flatMap((name) => all.filter((c) => c.mimeType.toLowerCase() === `audio/${name.toLowerCase()}`));
  transceiver.setCodecPreferences([...wanted, ...all.filter((c) => !wanted.includes(c))]);
}

/** The ICE part of an offer as `application/trickle-ice-sdpfrag` (RFC 8840). @param {string} sdp */
function sdpFragment(sdp) {
  const lines = sdp.split(/\r?\n/);
  const pick = (/** @type {string} */ prefix) => lines.filter((line) => line.startsWith(prefix));
  return [
    ...pick('a=group:BUNDLE').slice(0, 1),
    ...pick('m=audio').slice(0, 1),
    ...pick('a=mid:').slice(0, 1),
    ...pick('a=ice-ufrag:').slice(0, 1),
    ...pick('a=ice-pwd:').slice(0, 1),
    ...pick('a=candidate:'),
    '',
  ].join('\r\n');
}

/** The current answer with the credentials of a fragment. @param {string} sdp @param {string} fragment */
function withCredentials(sdp, fragment) {
  const value = (/** @type {string} */ name) => fragment.match(new RegExp(`^a=${name}:(.*)$`, 'm'))?.[1].trim() ?? '';
  return sdp
    .replace(/^a=ice-ufrag:.*$/gm, `a=ice-ufrag:${value('ice-ufrag')}`)
    .replace(/^a=ice-pwd:.*$/gm, `a=ice-pwd:${value('ice-pwd')}`);
}
