//! The trail of a call: what support needs beyond its record. Timeline, descriptions, candidates and SIP ladder, each
//! with a limit, small while the call is quiet, and without a secret from the moment something is noted.

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use trunkline_signaling::endpoint::Traced;

use super::Call;
use crate::clock::rfc3339;

mod redact;
mod timeline;

use timeline::Entry;

/// Entries of the timeline.
const TIMELINE: usize = 256;
/// Descriptions, and octets of one.
const DESCRIPTIONS: usize = 16;
const DESCRIPTION_BYTES: usize = 8 * 1024;
/// Candidates of each side.
const CANDIDATES: usize = 64;
/// Messages of the ladder.
const LADDER: usize = 64;
/// Octets of a text a peer sent.
const TEXT: usize = 256;

/// Room is made for so many at a time.
const GROWTH: usize = 4;

/// Who a description came from or went to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Peer {
    Browser,
    Sip,
}

/// What a description is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SdpKind {
    /// Asks.
    Offer,
    /// Answers.
    Answer,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Trail {
    began: Instant,
    /// The time of what is being handled.
    now_ms: u32,
    over: bool,
    timeline: Bounded<Entry>,
    descriptions: Bounded<Description>,
    ladder: Bounded<Rung>,
    /// The browser's candidates as it named them, and ours.
    remote: Vec<Box<str>>,
    local: Vec<Box<str>>,
    candidates_dropped: u32,
    /// The last request of ours, and of the peer's, that can carry an offer: its number, and whether it did.
    we_asked: Option<(u32, bool)>,
    they_asked: Option<(u32, bool)>,
}

#[derive(Debug)]
struct Description {
    at_ms: u32,
    peer: Peer,
    kind: SdpKind,
    received: bool,
    text: Box<str>,
}

/// A message of the ladder.
#[derive(Debug)]
struct Rung {
    at_ms: u32,
    outgoing: bool,
    repeated: bool,
    sdp: bool,
    peer: std::net::SocketAddr,
    message: Box<str>,
    cseq: Box<str>,
    reason: Option<Box<str>>,
}

/// A list whose beginning and end stay when it overflows: how it began and how it ended explain a call.
#[derive(Debug)]
struct Bounded<T> {
    items: Vec<T>,
    dropped: u32,
}

impl<T> Bounded<T> {
    const fn new() -> Self {
        Self { items: Vec::new(), dropped: 0 }
    }

    fn push(&mut self, item: T, most: usize) {
        // overflow: the one in the middle goes and is counted.
        if self.items.len() >= most {
            self.items.remove(most / 2);
            self.dropped = self.dropped.saturating_add(1);
        }
        // Little more room than it takes: a call ends with a few of each.
        if self.items.len() == self.items.capacity() {
            self.items.reserve_exact(GROWTH.max(self.items.len() / 4));
        }
        self.items.push(item);
    }
}

impl Trail {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            began: now,
            now_ms: 0,
            over: false,
            timeline: Bounded::new(),
            descriptions: Bounded::new(),
            ladder: Bounded::new(),
            remote: Vec::new(),
            local: Vec::new(),
            candidates_dropped: 0,
            we_asked: None,
            they_asked: None,
        }
    }

    fn at(&mut self, now: Instant) {
        let since = now.saturating_duration_since(self.began).as_millis();
        self.now_ms = u32::try_from(since).unwrap_or(u32::MAX);
    }

    fn traced(&mut self, traced: &Traced) {
        if let Some(sdp) = traced.sdp.as_ref().filter(|_| !traced.repeated) {
            let kind = self.kind_of(traced);
            self.describe(Peer::Sip, kind, !traced.outgoing, sdp);
        } else {
            self.kind_of(traced);
        }
        let rung = Rung {
            at_ms: self.now_ms,
            outgoing: traced.outgoing,
            repeated: traced.repeated,
            sdp: traced.sdp.is_some(),
            peer: traced.peer,
            message: redact::uri_password(short(&traced.start_line)).into(),
            cseq: short(&traced.cseq).into(),
            reason: traced.reason.as_deref().map(|reason| short(reason).into()),
        };
        self.ladder.push(rung, LADDER);
    }

    /// RFC 3261 section 13.2.1: a request without a description asks for an offer in its answer.
    fn kind_of(&mut self, traced: &Traced) -> SdpKind {
        let number = traced.cseq.split_whitespace().next().and_then(|number| number.parse::<u32>().ok()).unwrap_or(0);
        let is_response = traced.start_line.starts_with("SIP/");
        // Where the request went that this message is or answers.
        let request_outgoing = traced.outgoing != is_response;
        let asked = if request_outgoing { &mut self.we_asked } else { &mut self.they_asked };
        let offered = asked.filter(|(asked, _)| *asked == number).map(|(_, offered)| offered);
        if is_response {
            return if offered == Some(false) { SdpKind::Offer } else { SdpKind::Answer };
        }
        if traced.start_line.starts_with("ACK ") {
            return if offered == Some(true) { SdpKind::Offer } else { SdpKind::Answer };
        }
        *asked = Some((number, traced.sdp.is_some()));
        SdpKind::Offer
    }

    fn describe(&mut self, peer: Peer, kind: SdpKind, received: bool, text: &[u8]) {
        let text = redact::description(text, DESCRIPTION_BYTES);
        if peer == Peer::Browser {
            self.candidates(received, &text);
        }
        // The 200 repeats what the 183 said, the request with credentials what the one without said.
        let same = |d: &Description| (d.peer, d.kind, d.received) == (peer, kind, received) && *d.text == *text;
        if self.descriptions.items.iter().any(same) {
            return;
        }
        let at_ms = self.now_ms;
        self.descriptions.push(Description { at_ms, peer, kind, received, text: text.into() }, DESCRIPTIONS);
    }

    /// The candidates among the lines of a redacted text.
    fn candidates(&mut self, received: bool, text: &str) {
        let list = if received { &mut self.remote } else { &mut self.local };
        for line in text.lines() {
            let Some(candidate) = line.strip_prefix("a=candidate:") else { continue };
            let candidate = short(candidate.trim_end());
            if list.iter().any(|known| **known == *candidate) {
                continue;
            }
            // overflow: later ones are counted.
            if list.len() >= CANDIDATES {
                self.candidates_dropped = self.candidates_dropped.saturating_add(1);
            } else {
                list.push(candidate.into());
            }
        }
    }
}

impl Call {
    /// The browser and this gateway describe themselves over HTTP: an offer received, an answer sent.
    pub fn note_description(&mut self, now: Instant, kind: SdpKind, received: bool, text: &[u8]) {
        self.trail.at(now);
        self.trail.describe(Peer::Browser, kind, received, text);
    }

    /// Candidates that came or went in a fragment (RFC 8840).
    pub fn note_fragment(&mut self, now: Instant, received: bool, text: &[u8]) {
        self.trail.at(now);
        self.trail.candidates(received, &redact::description(text, DESCRIPTION_BYTES));
    }

    /// Timeline, descriptions, candidates and SIP ladder, redacted.
    #[must_use]
    pub fn trail(&self, _now: Instant) -> Value {
        let trail = &self.trail;
        let at = |ms: u32| rfc3339(self.about.wall.wall_at(trail.began + Duration::from_millis(ms.into())));
        json!({
            "timeline": trail.timeline.items.iter().map(|entry| entry.to_json(at(entry.at_ms))).collect::<Vec<_>>(),
            "sdp": trail.descriptions.items.iter().map(|d| d.to_json(at(d.at_ms))).collect::<Vec<_>>(),
            "candidates": { "local": trail.local, "remote": trail.remote },
            "sip_ladder": trail.ladder.items.iter().map(|rung| rung.to_json(at(rung.at_ms))).collect::<Vec<_>>(),
            "left_out": {
                "timeline": trail.timeline.dropped, "sdp": trail.descriptions.dropped,
                "candidates": trail.candidates_dropped, "sip_ladder": trail.ladder.dropped,
            },
        })
    }
}

impl Description {
    fn to_json(&self, at: String) -> Value {
        json!({
            "at": at,
            "peer": match self.peer { Peer::Browser => "browser", Peer::Sip => "sip" },
            "kind": match self.kind { SdpKind::Offer => "offer", SdpKind::Answer => "answer" },
            "direction": if self.received { "received" } else { "sent" },
            "sdp": self.text,
        })
    }
}

impl Rung {
    fn to_json(&self, at: String) -> Value {
        json!({
            "at": at, "direction": if self.outgoing { "sent" } else { "received" }, "peer": self.peer.to_string(),
            "message": self.message, "cseq": self.cseq, "reason": self.reason, "sdp": self.sdp,
            "repeated": self.repeated,
        })
    }
}

fn short(text: &str) -> &str {
    text.get(..text.floor_char_boundary(TEXT)).unwrap_or_default()
}

/// The object a JSON text is.
fn object(text: &str) -> Value {
    serde_json::from_str::<Map<String, Value>>(text).unwrap_or_default().into()
}
