//! What is offered a trunk beside codecs, and what becomes of an answer that cannot be taken.

use std::sync::Arc;
use std::time::Instant;

use trunkline_config::Srtp;
use trunkline_media::sdp::trunk::{Encryption, TrunkSdpError};

use super::record::short;
use super::{Call, Effect, Stage};
use crate::outcome::{Reason, table};
use crate::routing::Route;

impl Call {
    /// What a leg towards this trunk is encrypted with, freshly drawn.
    pub(super) fn encryption(&mut self, route: &Route) -> Option<Encryption> {
        match route.srtp {
            Srtp::Off => None,
            Srtp::Optional => Some(self.about.keys.draw(false)),
            Srtp::Required => Some(self.about.keys.draw(true)),
        }
    }

    /// A phone that knows nothing but RTP/SAVP refuses RFC 8643's plain line with keys as it refuses any plain line: it is
    /// asked once more, for an encrypted one and no other. What it refuses then it refuses for good.
    pub(super) fn encrypted_instead(&mut self, now: Instant, status: Option<u16>, reason: Reason) -> bool {
        let Stage::Inviting(inviting) = &self.stage else { return false };
        let offered = inviting.route.srtp == Srtp::Optional && !inviting.route.calls.late_offer;
        if !offered || inviting.progressed || !matches!(status, Some(488 | 606)) {
            return false;
        }
        let route = Arc::new(Route { srtp: Srtp::Required, ..Route::clone(&inviting.route) });
        let (local, targets) = (inviting.local.clone(), (inviting.target.clone(), inviting.others.clone()));
        self.notes.concluded(status, Some(reason));
        let attempt = self.next_attempt();
        self.invite(now, attempt, route, local, targets);
        true
    }

    /// The trunk has answered with what we cannot do, or may not.
    pub(super) fn answer_unusable(&mut self, now: Instant, error: &TrunkSdpError) {
        let Stage::Inviting(inviting) = &self.stage else { return };
        let (attempt, reason) = (inviting.attempt, table::reason_header(Reason::DestCodec));
        self.notes.evidence("sdp", short(&error.to_string()));
        self.effects.push_back(Effect::Hangup { attempt, reason });
        self.destination_failed(now, Reason::DestCodec, Some(200));
    }
}
