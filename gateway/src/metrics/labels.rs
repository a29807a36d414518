//! The labels of all metrics, each with its closed set of words or the number of names it may have.

use trunkline_media::audio::Codec;
use trunkline_media::quality::{HalfLeg, Level};

use super::Listener;
use super::definition::{Label, Values};
use crate::diagnosis::Finding;
use crate::hook;
use crate::outbox::{DELIVERIES, RESULTS as RESULTS_OF_ATTEMPTS};
use crate::outcome::{Blame, Class, Phase, Refusal};
use crate::problem;
use crate::public_api::sessions::REPORT_CODES;
use crate::recordings;
use crate::session::context::Drop;

const fn words(name: &'static str, words: fn() -> Vec<&'static str>) -> Label {
    Label { name, values: Values::Words(words) }
}

const fn names(name: &'static str, of: &'static str, most: usize) -> Label {
    Label { name, values: Values::Names(of, most) }
}

pub(super) static HALF_LEG: Label = words("half_leg", || HalfLeg::ALL.map(HalfLeg::word).into());
pub(super) static LEVEL: Label = words("level", || Level::ALL.map(Level::word).into());
/// Listening quality, conversational quality.
pub(super) static MOS_KIND: Label = words("kind", || vec!["lq", "cq"]);
pub(super) static LEG: Label = words("leg", || vec!["browser", "sip"]);
pub(super) static CODEC: Label = words("to", || CODECS.map(Codec::name).into());
pub(super) static DROP: Label = words("reason", || DROPS.into());
pub(super) static REORDER: Label = words("result", || vec!["put_right", "given_up"]);
pub(super) static FINDING: Label = words("finding", || Finding::words().collect());

pub(super) static EVENT: Label = words("name", || crate::events::NAMES.into());
pub(super) static CLASS: Label = words("class", || vec![Class::Ended.word(), Class::Error.word(), REFUSED]);
pub(super) static REASON: Label = words("reason", || [&ENDED[..], &ERRORS, &REFUSALS.map(Refusal::word)].concat());
pub(super) static PHASE: Label = words("phase", || [&PHASES.map(Phase::word)[..], &[ADMISSION]].concat());
pub(super) static BLAME: Label = words("blame", || BLAMES.map(Blame::word).into());
pub(super) static STAGE: Label = words("stage", || STAGES.into());
pub(super) static RESULT: Label = words("result", || RESULTS.into());
pub(super) static TRANSFER: Label = words("mode", || vec!["refer", "bridge", "replace"]);
pub(super) static ASKED_BY: Label = words("by", || vec!["operator", "trunk"]);
pub(super) static HANDED: Label = words("result", || vec!["done", "failed"]);
pub(super) static DELIVERY: Label = words("result", || DELIVERIES.into());
pub(super) static ATTEMPT: Label = words("result", || RESULTS_OF_ATTEMPTS.into());
pub(super) static ADMITTED: Label = words("result", || ADMITTANCES.into());
pub(super) static INVARIANT: Label = words("invariant", || INVARIANTS.into());

pub(super) static ANSWERED: Label = words("result", || vec!["answered", "static"]);
pub(super) static HOOK: Label = words("hook", || vec!["primary", "fallback"]);
pub(super) static TRIED: Label = words("result", || hook::RESULTS.into());
pub(super) static SOURCE: Label = words("source", || vec!["say", "url"]);
pub(super) static GOT: Label = words("result", || recordings::RESULTS.into());

pub(super) static PROBLEM: Label = words("reason", || problem::ALL.iter().map(|(slug, ..)| *slug).collect());
pub(super) static CONTEXT: Label = words("reason", || Drop::ALL.map(Drop::as_str).into());
pub(super) static REPORT: Label = words("code", || REPORT_CODES.into());
pub(super) static LISTENER: Label =
    words("listener", || [Listener::Public, Listener::Control].map(Listener::as_str).into());
pub(super) static LIMIT: Label = words("limit", || vec!["total", "address", "handshakes"]);
pub(super) static HANDSHAKE: Label = words("reason", || vec!["timeout", "protocol"]);
pub(super) static CLOSED: Label =
    words("reason", || vec!["broken", "idle", "silent", "slow", "stalled", "too_long", "unreadable"]);
pub(super) static DNS_ANSWER: Label = words("result", || vec!["found", "nothing", "failed", "timed_out"]);
pub(super) static RELOAD: Label = words("result", || vec!["applied", "refused"]);
pub(super) static REGISTRATION: Label = words("result", || vec!["registered", "failed"]);
pub(super) static ROUTE: Label = names("route", "route templates", 64);
pub(super) static CODE: Label = names("code", "HTTP status codes", 32);

pub(super) static APP: Label = names("app", "configured apps", 1_000);
pub(super) static TRUNK: Label = names("trunk", "configured trunks", 1_000);
pub(super) static INTEGRATION: Label = names("integration", "configured integrations", 250);
pub(super) static WORKER: Label = names("worker", "media workers, from 0", 256);
pub(super) static VERSION: Label = names("version", "this build", 1);

const CODECS: [Codec; 4] = [Codec::Opus, Codec::G722, Codec::Pcmu, Codec::Pcma];
/// What becomes of calls from outside, and of strangers.
pub(super) const ADMITTANCES: [&str; 6] = ["known", "proved", "challenged", "wrong", "answered", "silenced"];

/// Class and phase of a request that was refused before it was a call.
pub(super) const REFUSED: &str = "refused";
pub(super) const ADMISSION: &str = "admission";
/// Reasons of class `ended`, then of class `error`, as the contract lists them.
pub(super) const ENDED: [&str; 2] = ["user_hangup", "remote_hangup"];
#[rustfmt::skip]
pub(super) const ERRORS: [&str; 25] = [
    "no_destination", "dest_busy", "dest_rejected", "dest_not_found", "dest_no_answer", "dest_timeout", "dest_auth",
    "dest_codec", "dest_unavailable", "dest_dns", "dest_unreachable", "dest_tls", "ice_failed", "dtls_failed",
    "ip_change", "peer_vanished", "client_gone", "network_poor", "media_timeout", "session_timer_expired", "trunk_lost",
    "sip_transport_lost", "node_shutdown", "node_crash", "internal_error",
];
pub(super) const REFUSALS: [Refusal; 6] = [
    Refusal::ClosedHours,
    Refusal::PreviewSession,
    Refusal::RateLimited,
    Refusal::Capacity,
    Refusal::Draining,
    Refusal::UnknownAddress,
];
pub(super) const PHASES: [Phase; 4] = [Phase::Routing, Phase::Setup, Phase::Ringing, Phase::Talking];
#[rustfmt::skip]
const BLAMES: [Blame; 7] = [
    Blame::Visitor, Blame::VisitorNetwork, Blame::Gateway, Blame::Trunk, Blame::Agent, Blame::Operator, Blame::None,
];
/// In the order of [`super::measures::DropsSeen`].
#[rustfmt::skip]
pub(super) const DROPS: [&str; 8] = [
    "malformed", "bad_integrity", "wrong_source", "undecryptable", "replayed", "unknown_payload", "bad_dtls", "bad_rtcp",
];
#[rustfmt::skip]
const STAGES: [&str; 7] = [
    "offer_to_ice", "ice_to_dtls", "offer_to_ringing", "offer_to_answer", "ringing_to_answer", "answer_to_audio_up",
    "answer_to_audio_down",
];
/// What an INVITE came to: answered, given up by us, or the reason the call would end with.
#[rustfmt::skip]
const RESULTS: [&str; 12] = [
    "answered", "cancelled", "dest_busy", "dest_rejected", "dest_not_found", "dest_no_answer", "dest_timeout",
    "dest_auth", "dest_codec", "dest_unavailable", "dest_unreachable", "dest_tls",
];
const INVARIANTS: [&str; 4] = ["call_tasks", "media_calls", "leased_pairs", "sip_legs"];
