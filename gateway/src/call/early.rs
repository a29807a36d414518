//! The early dialogs of one INVITE: several may answer it, each with a description of its own (RFC 3261 section 12.1).
//! The browser hears the one that has described its audio last; who answers the call becomes its other end.

use std::time::Instant;

use bytes::Bytes;
use trunkline_media::api::Command;
use trunkline_media::audio::signal::Region;
use trunkline_media::sdp::trunk::{self, LocalMedia, TrunkMedia, TrunkSdpError};
use trunkline_signaling::endpoint::Fork;

use super::stage::Inviting;
use super::{Call, Effect, Stage};
use crate::outcome::LastSip;

/// Early dialogs that are kept apart; what further ones describe is not heard.
const MAX_BRANCHES: usize = 16;

/// What has been described in one early dialog.
#[derive(Debug)]
struct Branch {
    fork: Fork,
    local: LocalMedia,
    media: TrunkMedia,
}

/// The early dialogs of one INVITE.
#[derive(Debug, Default)]
pub(super) struct Branches(Vec<Branch>);

impl Branches {
    fn with(&self, fork: &Fork) -> Option<&Branch> {
        self.0.iter().find(|branch| branch.fork == *fork)
    }

    /// Keeps what was described; whether it is something new.
    fn describe(&mut self, fork: &Fork, local: LocalMedia, media: &TrunkMedia) -> bool {
        if let Some(branch) = self.0.iter_mut().find(|branch| branch.fork == *fork) {
            branch.local = local;
            return std::mem::replace(&mut branch.media, media.clone()) != *media;
        }
        // overflow: what more forks than that describe is not heard before one of them answers.
        let fits = self.0.len() < MAX_BRANCHES;
        if fits {
            self.0.push(Branch { fork: fork.clone(), local, media: media.clone() });
        }
        fits
    }
}

impl Inviting {
    /// An answer in a provisional response; what the browser is to hear now, if that changes.
    pub(super) fn described(&mut self, fork: &Fork, answer: &[u8]) -> Option<TrunkMedia> {
        let local = self.local_towards(fork);
        // What cannot be used is no failure yet: the final answer decides.
        let media = trunk::accept_answer(&local, answer, self.route.rtp_source).ok()?;
        self.turn_to(fork, local, media)
    }

    /// What is agreed with whoever answered the call.
    pub(super) fn settled(
        &self,
        fork: &Fork,
        answer: Option<&Bytes>,
    ) -> Option<Result<(LocalMedia, TrunkMedia), TrunkSdpError>> {
        let Some(answer) = answer else {
            // It was agreed in the early dialog (RFC 3261 section 13.2.1: the first answer counts).
            return self.branches.with(fork).map(|branch| Ok((branch.local.clone(), branch.media.clone())));
        };
        let local = self.local_towards(fork);
        Some(trunk::accept_answer(&local, answer, self.route.rtp_source).map(|media| (local, media)))
    }

    /// An offer in an early dialog, or in the answer to an INVITE without one: what we answer, and what is heard then.
    fn offered(&mut self, fork: &Fork, offer: &[u8]) -> Result<(String, Option<TrunkMedia>), TrunkSdpError> {
        let mut local = self.local_towards(fork);
        if self.branches.with(fork).is_some() {
            local.version = local.version.saturating_add(1);
        }
        let (media, answer) = trunk::answer_offer(&local, offer, self.route.rtp_source)?;
        Ok((answer, self.turn_to(fork, local, media)))
    }

    fn local_towards(&self, fork: &Fork) -> LocalMedia {
        self.branches.with(fork).map_or_else(|| self.local.clone(), |branch| branch.local.clone())
    }

    fn turn_to(&mut self, fork: &Fork, local: LocalMedia, media: TrunkMedia) -> Option<TrunkMedia> {
        let is_new = self.branches.describe(fork, local, &media) && self.early.as_ref() != Some(&media);
        is_new.then(|| self.early.insert(media).clone())
    }
}

impl Call {
    /// A provisional answer came.
    pub(super) fn progress(&mut self, now: Instant, fork: &Fork, status: u16, sdp: Option<Bytes>) {
        self.notes.last_sip = Some(LastSip { message: "INVITE", code: Some(status) });
        self.target_answers();
        let beside = self.has_parked();
        let Stage::Inviting(inviting) = &mut self.stage else { return };
        inviting.progressed = true;
        // Who waits for a transfer hears what a held leg hears.
        if let Some(media) = sdp.and_then(|sdp| inviting.described(fork, &sdp)).filter(|_| !beside) {
            self.effects.push_back(Effect::Media(Command::ConnectTrunk(media)));
        }
        if (180..190).contains(&status) {
            inviting.ringing = true;
            if beside {
                self.report_ringing(status);
            } else if self.notes.ringing_at.is_none() {
                self.notes.ringing_at = Some(now);
                self.emit("call_ringing", []);
            }
        }
        self.ring_back(status);
    }

    /// The visitor hears that it rings, for as long as the trunk lets nothing else be heard (RFC 3960 section 3.2).
    fn ring_back(&mut self, status: u16) {
        let Stage::Inviting(inviting) = &self.stage else { return };
        let tones = &inviting.route.tones;
        let rings = status == 180 && tones.ringback && !self.has_parked();
        if let Some(region) = Region::find(&tones.region).filter(|_| rings) {
            self.media(Command::Ring { region: Some(region) });
        }
    }

    /// The trunk offers while it rings.
    pub(super) fn offered_early(&mut self, fork: &Fork, sdp: Option<&Bytes>) {
        let Stage::Inviting(inviting) = &mut self.stage else { return };
        let attempt = inviting.attempt;
        let (answer, heard) = match sdp.map(|sdp| inviting.offered(fork, sdp)) {
            Some(Ok((answer, heard))) => (Ok(answer.into()), heard),
            Some(Err(_)) => (Err(488), None),
            // Nothing is asked of us before our first offer is answered.
            None => (Err(491), None),
        };
        self.effects.push_back(Effect::AnswerOffer { attempt, answer });
        if let Some(media) = heard.filter(|_| !self.has_parked()) {
            self.media(Command::ConnectTrunk(media));
        }
    }
}
