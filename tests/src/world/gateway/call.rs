//! One call and what the edges keep of it.

use std::net::SocketAddr;
use std::time::Instant;

use trunkline::call::{AttemptId, Call, CallEvent};
use trunkline::outcome::Outcome;
use trunkline_media::api::{CallStats, MediaEvent};
use trunkline_media::call::Call as MediaCall;
use trunkline_signaling::endpoint::LegId;

use crate::world::watch::Watch;

/// One call: the state machine, its media, and what the edges keep of it.
pub struct SimCall {
    /// The state machine.
    pub call: Call,
    pub(super) media: Option<MediaCall>,
    /// The port pair it leases, by its RTP port.
    pub lease: Option<u16>,
    /// The pair beside it.
    pub spare: Option<u16>,
    pub(super) legs: Vec<(AttemptId, LegId)>,
    /// Its events, in order, and when each came.
    pub events: Vec<(Instant, CallEvent)>,
    /// How it ended; more than one is a fault.
    pub outcomes: Vec<Outcome>,
    /// When it ended.
    pub ended_at: Option<Instant>,
    /// What the media plane reported, samples aside.
    pub media_events: Vec<MediaEvent>,
    /// Counters of the last sample, and those at the end.
    pub last_stats: CallStats,
    /// A counter of the browser's leg that went back.
    pub went_back: Option<String>,
    /// Where its INVITEs went.
    pub invites: Vec<SocketAddr>,
    /// What its events add up to.
    pub watch: Watch,
}

impl SimCall {
    /// A call that has not begun.
    pub(super) fn new(call: Call, media: Option<MediaCall>) -> Self {
        Self {
            call,
            media,
            lease: None,
            spare: None,
            legs: Vec::new(),
            events: Vec::new(),
            outcomes: Vec::new(),
            ended_at: None,
            media_events: Vec::new(),
            last_stats: CallStats::default(),
            went_back: None,
            invites: Vec::new(),
            watch: Watch::default(),
        }
    }

    /// Takes up an event.
    pub(super) fn told(&mut self, now: Instant, event: CallEvent) {
        self.watch.told(now, &event, || self.call.record(now));
        self.events.push((now, event));
    }

    /// Takes up counters.
    pub(super) fn sampled(&mut self, stats: CallStats) {
        let (before, after) = (&self.last_stats, &stats);
        let rows = [
            ("packets in", before.browser_in.packets, after.browser_in.packets),
            ("octets in", before.browser_in.octets, after.browser_in.octets),
            ("packets out", before.browser_out.packets, after.browser_out.packets),
            ("octets out", before.browser_out.octets, after.browser_out.octets),
            ("concealed", before.browser_in.concealed_ms, after.browser_in.concealed_ms),
            ("discarded", before.browser_in.discarded, after.browser_in.discarded),
        ];
        let back = rows.iter().find(|(_, before, after)| after < before);
        self.went_back = self.went_back.take().or(back.map(|row| format!("{row:?}")));
        self.last_stats = stats;
    }
}
