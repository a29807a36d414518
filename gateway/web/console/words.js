// @ts-check
/** The gateway's words in a person's. A word that is not here is shown as it is. */

export const HALF_LEGS = ['browser_up', 'browser_down', 'sip_up', 'sip_down'];

/** @type {Record<string, string>} */
export const HALF_LEG = {
  browser_up: 'Visitor → gateway',
  browser_down: 'Gateway → visitor',
  sip_up: 'Agent → gateway',
  sip_down: 'Gateway → agent',
};

/** @type {Record<string, string>} */
export const STATE = {
  setup: 'Setting up',
  ringing: 'Ringing',
  talking: 'Talking',
  reconnecting: 'Reconnecting',
  ended: 'Ended',
};

/** @type {Record<string, string>} */
export const LEVEL = { green: 'good', amber: 'fair', red: 'poor', unknown: 'not known' };

/** What makes a half-leg amber or red. @type {Record<string, string>} */
export const LEVEL_REASON = {
  loss: 'packet loss',
  rtt: 'long round trip',
  jitter: 'jitter',
  mos: 'low score',
  no_media: 'no audio arrives',
  tcp_fallback: 'TCP instead of UDP',
  relay: 'through a relay',
};

/** @type {Record<string, string>} */
export const BLAME = {
  visitor: 'the visitor',
  visitor_network: 'the visitor’s network',
  gateway: 'this gateway',
  trunk: 'the trunk',
  agent: 'the agent',
  operator: 'the operator’s configuration',
  none: 'nobody',
};

/** @type {Record<string, string>} */
export const OUTCOME = {
  user_hangup: 'The visitor hung up',
  remote_hangup: 'The agent’s side hung up',
  'remote_hangup max_duration': 'The longest duration was reached',
  'remote_hangup operator': 'An operator ended the call',
  no_destination: 'There was nobody to call',
  dest_busy: 'The agent was busy',
  dest_rejected: 'The trunk refused the call',
  dest_not_found: 'The destination does not exist',
  dest_no_answer: 'Nobody answered',
  dest_timeout: 'The trunk did not decide in time',
  'dest_timeout no_provisional': 'The trunk did not answer at all',
  dest_auth: 'The trunk did not accept our credentials',
  dest_codec: 'The trunk accepts none of our codecs',
  dest_unavailable: 'The trunk could not take the call',
  'dest_unavailable trunk_disabled': 'No enabled trunk serves the destination',
  'dest_unavailable trunk_full': 'The trunk was at its limit of calls',
  'dest_unavailable gateway_full': 'This gateway was at its limit',
  dest_dns: 'The trunk’s name did not resolve',
  dest_unreachable: 'The trunk could not be reached',
  dest_tls: 'The trunk’s TLS could not be trusted',
  ice_failed: 'No media path to the visitor',
  'ice_failed udp_blocked': 'The visitor’s network blocks UDP',
  'ice_failed no_candidates': 'The visitor’s browser offered no address',
  dtls_failed: 'The media path could not be secured',
  ip_change: 'The visitor’s network changed and did not come back',
  peer_vanished: 'The visitor’s device went away without a word',
  client_gone: 'The visitor’s page was closed',
  network_poor: 'The network became too poor',
  media_timeout: 'Audio stopped',
  'media_timeout browser': 'The visitor’s audio stopped',
  'media_timeout sip': 'The agent’s audio stopped',
  session_timer_expired: 'The trunk did not refresh the call',
  trunk_lost: 'The trunk forgot the call',
  sip_transport_lost: 'The trunk stopped answering',
  node_shutdown: 'This node was stopped',
  node_crash: 'This node crashed',
  internal_error: 'A fault of this gateway',
};

/** A destination that failed is a finding under its outcome's word. @type {Record<string, string>} */
export const FINDING = {
  ...Object.fromEntries(Object.entries(OUTCOME).filter(([word]) => /^dest_\w+$/.test(word))),
  no_packets: 'No packets arrive',
  undecryptable: 'Packets cannot be decrypted',
  wrong_source: 'Audio comes from an address that was not signalled',
  unknown_payload_type: 'Audio comes in a codec nobody negotiated',
  silence: 'Packets carry silence',
  delivered_but_unheard: 'Delivered, but not heard',
  udp_blocked: 'UDP is blocked',
  tcp_fallback: 'TCP instead of UDP',
  relay_in_use: 'Through a relay',
  uplink_loss: 'Packets get lost on the way from the visitor',
  downlink_loss: 'Packets get lost on the way to the visitor',
  sip_loss: 'Packets get lost between gateway and trunk',
  high_jitter: 'Packets come unevenly on the visitor’s side',
  high_rtt: 'Long round trip',
  sip_jitter: 'Packets come unevenly from the trunk',
  mic_low: 'Microphone too quiet',
  mic_clipping: 'Microphone too loud',
  mic_unstable_gain: 'Microphone level goes up and down',
  narrowband_mic: 'Narrowband microphone',
  background_noise: 'Background noise',
  agent_echo: 'Echo from the agent’s side',
  visitor_echo: 'Echo from the visitor’s side',
  profile_fallback: 'The profile asked for does not exist',
  no_destination: 'No destination',
  mic_denied: 'Microphone refused',
  mic_not_found: 'No microphone found',
  mic_policy_blocked: 'Microphone blocked by the page',
  insecure_context: 'Page without HTTPS',
  dtmf_not_confirmed: 'Digits may not get through',
};

/** What people report. @type {Record<string, string>} */
export const SYMPTOM = {
  no_audio: 'No audio',
  udp_blocked: 'Network blocks UDP',
  sounds_bad: 'Sounds bad',
  echo: 'Echo',
  not_reached: 'Agent not reached',
  microphone: 'Microphone',
  dtmf: 'Digits',
};

/** Verdicts on what is heard on a half-leg. @type {Record<string, string>} */
export const VERDICT = {
  heard: 'speech is heard',
  silent: 'silent',
  delivered: 'delivered',
  no_packets: 'no packets',
  undecryptable: 'cannot be decrypted',
  wrong_source: 'from a wrong address',
  unknown_payload_type: 'in an unknown codec',
  unknown: '',
};

/** A word of the API's as text. @param {Record<string, string>} words @param {unknown} word */
export function say(words, word) {
  if (typeof word !== 'string') return '';
  return Object.hasOwn(words, word) ? words[word] : word.replaceAll('_', ' ');
}

/** An outcome in one sentence. @param {{reason?: unknown, detail?: unknown}|null|undefined} outcome */
export function sayOutcome(outcome) {
  if (!outcome) return '';
  const both = `${outcome.reason} ${outcome.detail}`;
  return Object.hasOwn(OUTCOME, both) ? OUTCOME[both] : say(OUTCOME, outcome.reason);
}
