//! What is noted along the way, and the record made of it.

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use trunkline_media::api::{CallStats, Path};
use trunkline_media::audio::Codec;
use trunkline_media::quality::MOS_MODEL;
use trunkline_media::sdp::trunk::TrunkMedia;
use trunkline_signaling::endpoint::Reason as ReasonHeader;
use trunkline_signaling::targets::Target;

use super::browser::Browser;
use super::{Call, Stage};
use crate::clock::rfc3339;
use crate::ids::SessionId;
use crate::outcome::{Evidence, LastSip, Outcome, Reason, RtpAge, table};
use crate::routing::{Planned, Route};

/// Entries kept of each list in a record.
const MAX_LIST: usize = 64;
/// Reports of the browser that are kept; their size is limited where they come in.
const MAX_REPORTS: usize = 16;
/// Octets kept of a text a peer or client sent.
const MAX_TEXT: usize = 256;

/// What is noted along the way.
#[derive(Debug)]
pub(super) struct Notes {
    started_at: Instant,
    pub(super) first_destination: Option<String>,
    pub(super) ice_connected_at: Option<Instant>,
    pub(super) dtls_connected_at: Option<Instant>,
    pub(super) ringing_at: Option<Instant>,
    answered_at: Option<Instant>,
    pub(super) first_audio_up_at: Option<Instant>,
    pub(super) first_audio_down_at: Option<Instant>,
    pub(super) ended_at: Option<Instant>,
    /// Trunk and destination dialled last.
    dialled: Option<(String, String)>,
    attempts: Vec<AttemptNote>,
    pub(super) sip_call_id: Option<String>,
    pub(super) trunk_codec: Option<Codec>,
    trunk_srtp: Option<&'static str>,
    pub(super) last_sip: Option<LastSip>,
    timers_fired: Vec<&'static str>,
    evidence: Map<String, Value>,
    client_reports: Vec<(Instant, String, Option<String>)>,
    pub(super) untold_digits: u64,
    stats: Option<(Instant, CallStats)>,
    pub(super) outcome: Option<Outcome>,
}

/// What the record says of the leg that talks.
#[derive(Debug, Clone, Default)]
pub(super) struct LegNote {
    dialled: Option<(String, String)>,
    call_id: Option<String>,
    codec: Option<Codec>,
}

#[derive(Debug)]
struct AttemptNote {
    destination: String,
    trunk: Option<String>,
    target: Option<String>,
    status: Option<u16>,
    reason: Option<Reason>,
}

impl AttemptNote {
    fn to_json(&self) -> Value {
        json!({
            "destination": self.destination,
            "trunk": self.trunk,
            "target": self.target,
            "status": self.status,
            "reason": self.reason.map(Reason::word),
            "detail": self.reason.and_then(Reason::detail),
        })
    }
}

impl Notes {
    pub(super) fn new(now: Instant, first: Option<&Planned>) -> Self {
        Self {
            started_at: now,
            first_destination: first.and_then(Planned::destination).map(ToOwned::to_owned),
            ice_connected_at: None,
            dtls_connected_at: None,
            ringing_at: None,
            answered_at: None,
            first_audio_up_at: None,
            first_audio_down_at: None,
            ended_at: None,
            dialled: None,
            attempts: Vec::new(),
            sip_call_id: None,
            trunk_codec: None,
            trunk_srtp: None,
            last_sip: None,
            timers_fired: Vec::new(),
            evidence: Map::new(),
            client_reports: Vec::new(),
            untold_digits: 0,
            stats: None,
            outcome: None,
        }
    }

    /// What is noted of the leg that talks, before another one is tried.
    pub(super) fn leg(&self) -> LegNote {
        LegNote { dialled: self.dialled.clone(), call_id: self.sip_call_id.clone(), codec: self.trunk_codec }
    }

    /// It is that leg again.
    pub(super) fn restore_leg(&mut self, note: LegNote) {
        (self.dialled, self.sip_call_id, self.trunk_codec) = (note.dialled, note.call_id, note.codec);
    }

    /// What the last INVITE was answered with.
    pub(super) fn last_status(&self) -> Option<u16> {
        self.attempts.last().and_then(|attempt| attempt.status)
    }

    /// A destination's turn has come.
    pub(super) fn dialing(&mut self, route: &Route) {
        self.dialled = Some((route.trunk.clone(), route.destination.clone()));
    }

    /// An INVITE goes out.
    pub(super) fn invited(&mut self, route: &Route, target: &Target) {
        self.sip_call_id = None;
        self.push_attempt(AttemptNote {
            destination: route.destination.clone(),
            trunk: Some(route.trunk.clone()),
            target: Some(target.to_string()),
            status: None,
            reason: None,
        });
    }

    /// The last INVITE has its answer.
    pub(super) fn concluded(&mut self, status: Option<u16>, reason: Option<Reason>) {
        if let Some(last) = self.attempts.last_mut() {
            (last.status, last.reason) = (status, reason);
        }
    }

    /// A destination failed before an INVITE went out.
    pub(super) fn skipped(&mut self, destination: String, trunk: Option<String>, reason: Reason) {
        self.push_attempt(AttemptNote { destination, trunk, target: None, status: None, reason: Some(reason) });
    }

    fn push_attempt(&mut self, note: AttemptNote) {
        // overflow: the oldest attempts go; destinations times addresses stay below the limit.
        if self.attempts.len() >= MAX_LIST {
            self.attempts.remove(0);
        }
        self.attempts.push(note);
    }

    pub(super) fn answered(&mut self, now: Instant, media: &TrunkMedia) {
        self.answered_at = Some(now);
        self.agreed(media);
    }

    /// What the trunk's leg speaks from now on.
    pub(super) fn agreed(&mut self, media: &TrunkMedia) {
        self.trunk_codec = Some(media.codec);
        self.trunk_srtp = media.srtp.as_ref().map(|srtp| srtp.suite());
    }

    pub(super) fn timer_fired(&mut self, name: &'static str) {
        // overflow: later ones are not noted.
        if self.timers_fired.len() < MAX_LIST {
            self.timers_fired.push(name);
        }
    }

    /// Something the outcome's reason may have to show.
    pub(super) fn evidence(&mut self, key: &str, value: impl Into<Value>) {
        self.evidence.insert(key.into(), value.into());
    }

    /// Collects from here on what shows something else than the call's own end; what was collected so far.
    pub(super) fn swap_evidence(&mut self, evidence: Map<String, Value>) -> Map<String, Value> {
        std::mem::replace(&mut self.evidence, evidence)
    }

    /// It has to do with the call's end after all.
    pub(super) fn add_evidence(&mut self, evidence: Map<String, Value>) {
        self.evidence.extend(evidence);
    }

    /// What it would have to show is not known, unless it is.
    pub(super) fn evidence_if_none(&mut self, key: &str) {
        self.evidence.entry(key).or_insert(Value::Null);
    }

    /// A destination that failed: everything that was tried for it.
    pub(super) fn evidence_of(&self, destination: &str, reason: Reason) -> Map<String, Value> {
        let of_it = self.attempts.iter().filter(|attempt| attempt.destination == destination);
        let mut evidence = Map::new();
        evidence.insert("destination".into(), destination.into());
        evidence.insert("detail".into(), reason.detail().into());
        evidence.insert("attempts".into(), of_it.map(AttemptNote::to_json).collect());
        evidence
    }

    /// A Reason header of the trunk's.
    pub(super) fn received_reason(&mut self, reason: &ReasonHeader) {
        let text = reason.text.as_deref().map(short);
        let status =
            (reason.protocol.eq_ignore_ascii_case("Q.850")).then(|| table::status_of_q850(reason.cause)).flatten();
        self.evidence.insert(
            "received_reason".into(),
            json!({ "protocol": short(&reason.protocol), "cause": reason.cause, "text": text, "sip_status": status }),
        );
    }

    pub(super) fn client_report(&mut self, now: Instant, code: String, detail: Option<String>) {
        // overflow: later ones are not kept.
        if self.client_reports.len() < MAX_REPORTS {
            self.client_reports.push((now, short(&code), detail));
        }
    }

    pub(super) fn sampled(&mut self, now: Instant, stats: CallStats) {
        self.stats = Some((now, stats));
    }

    pub(super) fn take_evidence(&mut self, now: Instant, browser: &Browser) -> Evidence {
        let mut further = std::mem::take(&mut self.evidence);
        if !self.attempts.is_empty() {
            further.insert("attempts".into(), self.attempts.iter().map(AttemptNote::to_json).collect());
        }
        if let Some(cause) = self.attempts.last().and_then(|a| table::q850_of_status(a.status?)) {
            further.insert("q850".into(), cause.into());
        }
        // A sample is up to a second old when the call ends.
        let age = |pick: fn(&CallStats) -> Option<u64>| {
            let (at, stats) = self.stats.as_ref()?;
            let since = u64::try_from(now.saturating_duration_since(*at).as_millis()).unwrap_or(u64::MAX);
            Some(pick(stats)?.saturating_add(since))
        };
        Evidence {
            last_rtp_age_ms: RtpAge {
                browser: age(|s| s.browser_in.last_rtp_age_ms),
                sip: age(|s| s.trunk_in.last_rtp_age_ms),
            },
            last_stun_check_age_ms: age(|s| s.last_check_age_ms),
            ice_state: browser.ice,
            selected_path: browser.path.map(path_word),
            last_sip: self.last_sip.clone(),
            timers_fired: self.timers_fired.clone(),
            further,
        }
    }

    pub(super) fn duration_seconds(&self, now: Instant) -> f64 {
        seconds(self.started_at, self.ended_at.unwrap_or(now))
    }

    pub(super) fn talk_seconds(&self, now: Instant) -> f64 {
        self.answered_at.map_or(0.0, |answered| seconds(answered, self.ended_at.unwrap_or(now)))
    }
}

/// When the stages of a call were reached, from its offer on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timings {
    /// First authentic check.
    pub ice: Option<Duration>,
    /// Keys.
    pub dtls: Option<Duration>,
    /// First 18x.
    pub ringing: Option<Duration>,
    /// 200.
    pub answered: Option<Duration>,
    /// First audio from the browser.
    pub first_audio_up: Option<Duration>,
    /// First audio from the trunk.
    pub first_audio_down: Option<Duration>,
    /// The end.
    pub ended: Option<Duration>,
}

impl Call {
    /// When the stages were reached.
    #[must_use]
    pub fn timings(&self) -> Timings {
        let notes = &self.notes;
        let since = |at: Option<Instant>| at.map(|at| at.saturating_duration_since(notes.started_at));
        Timings {
            ice: since(notes.ice_connected_at),
            dtls: since(notes.dtls_connected_at),
            ringing: since(notes.ringing_at),
            answered: since(notes.answered_at),
            first_audio_up: since(notes.first_audio_up_at),
            first_audio_down: since(notes.first_audio_down_at),
            ended: since(notes.ended_at),
        }
    }

    /// The call's record, as the control API shows it.
    #[must_use]
    pub fn record(&self, now: Instant) -> Value {
        let notes = &self.notes;
        let at = |instant: Option<Instant>| instant.map(|i| rfc3339(self.about.wall.wall_at(i)));
        let started = rfc3339(self.about.wall.wall_at(notes.started_at));
        json!({
            "call": self.about.call.as_str(),
            "session": self.about.session.as_ref().map(SessionId::as_str),
            "direction": self.direction(),
            "caller": self.about.caller,
            "app": self.about.app,
            "profile": self.about.profile,
            "state": self.state().word(),
            "started_at": started,
            "timings": {
                "offer_at": started,
                "ice_connected_at": at(notes.ice_connected_at),
                "dtls_connected_at": at(notes.dtls_connected_at),
                "ringing_at": at(notes.ringing_at),
                "answered_at": at(notes.answered_at),
                "first_audio_up_at": at(notes.first_audio_up_at),
                "first_audio_down_at": at(notes.first_audio_down_at),
                "ended_at": at(notes.ended_at),
            },
            "context": self.context(),
            "metadata": self.about.metadata,
            "duration_seconds": notes.duration_seconds(now),
            "talk_seconds": notes.talk_seconds(now),
            "browser": self.browser_record(),
            "sip": self.sip_record(),
            "quality": self.quality_record(),
            "mos_model": MOS_MODEL,
            "client_reports": notes.client_reports.iter().map(|(when, code, detail)| {
                json!({ "at": at(Some(*when)), "code": code, "detail": detail })
            }).collect::<Vec<_>>(),
            "untold_digits": notes.untold_digits,
            "findings": self.findings.to_json(self.about.wall),
            "outcome": notes.outcome,
        })
    }

    fn browser_record(&self) -> Value {
        json!({
            "codec": self.browser.codec.name(),
            "path": self.browser.path.map(path_word),
            "srtp": self.browser.srtp.map(|p| p.strip_prefix("SRTP_").unwrap_or(p)),
            "remote": self.browser.remote.map(|r| r.to_string()),
            "held": self.held.browser,
        })
    }

    fn sip_record(&self) -> Value {
        let notes = &self.notes;
        let connected = matches!(self.stage, Stage::Talking(_) | Stage::Ended) || self.has_parked();
        json!({
            "trunk": notes.dialled.as_ref().map(|(trunk, _)| trunk),
            "destination": notes.dialled.as_ref().map(|(_, destination)| destination),
            "call_id": notes.sip_call_id,
            "codec": notes.trunk_codec.filter(|_| connected).map(Codec::name),
            "srtp": notes.trunk_srtp.filter(|_| connected),
            "held": self.held.trunk,
            "attempts": notes.attempts.iter().map(AttemptNote::to_json).collect::<Vec<_>>(),
        })
    }
}

/// Seconds with milliseconds.
fn seconds(from: Instant, to: Instant) -> f64 {
    let ms = u32::try_from(to.saturating_duration_since(from).as_millis()).unwrap_or(u32::MAX);
    f64::from(ms) / 1_000.0
}

pub(super) fn path_word(path: Path) -> &'static str {
    match path {
        Path::Udp => "udp",
        Path::Tcp => "tcp",
    }
}

pub(super) fn short(text: &str) -> String {
    text.get(..text.floor_char_boundary(MAX_TEXT)).unwrap_or_default().to_owned()
}
