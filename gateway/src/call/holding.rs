//! Hold, asked for by an operator: a held leg is not heard and hears something else. The trunk is told so by a new offer
//! (RFC 3264 section 8.4); where it will not have it, it is held all the same. And hold that the trunk asks for.

use std::time::{Duration, Instant};

use trunkline_media::api::{Command, Leg};
use trunkline_media::sdp::browser::Direction;
use trunkline_media::sdp::trunk;

use super::timers::Timer;
use super::{Call, Effect, Stage};

/// An offer that met another is made again after so long, so often. (The SIP side itself sees to 491 responses; this is
/// for when it has an offer of its own under way.)
const AGAIN: Duration = Duration::from_secs(3);
const TRIES: u8 = 5;

/// Who is on hold.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Held {
    pub(super) browser: bool,
    pub(super) trunk: bool,
    /// The visitor hears what a held leg hears, for whatever reason.
    visitor: bool,
}

/// What has become of our own offers to the trunk.
#[derive(Debug, Default)]
pub(super) struct Offering {
    /// One is under way: whether the trunk was held before it.
    before: Option<bool>,
    refused: u8,
    /// Our latest answer, unless we have offered since.
    pub(super) said: Option<String>,
}

impl Call {
    /// Puts a leg on hold or takes it back; nothing if it is so already.
    pub(super) fn hold(&mut self, leg: Leg, held: bool) {
        let Stage::Talking(talking) = &mut self.stage else { return };
        let now_held = match leg {
            Leg::Browser => &mut self.held.browser,
            Leg::Trunk => &mut self.held.trunk,
        };
        if std::mem::replace(now_held, held) == held {
            return;
        }
        talking.offering.refused = 0;
        match leg {
            Leg::Browser => self.hold_visitor(false),
            Leg::Trunk => self.set_held(leg, held),
        }
        self.offer_hold();
    }

    /// Holds the visitor's leg or takes it back, as it is now: an operator says so, somebody is dialled beside the agent, or
    /// the agent neither sends nor listens (RFC 3264 section 8.4). One that only sends has music of its own.
    pub(super) fn hold_visitor(&mut self, dialling: bool) {
        let by_agent = matches!(&self.stage, Stage::Talking(talking)
            if talking.media.peer_direction == Direction::Inactive && !talking.local.holding);
        let held = self.held.browser || dialling || by_agent;
        if std::mem::replace(&mut self.held.visitor, held) != held {
            self.set_held(Leg::Browser, held);
        }
    }

    fn set_held(&mut self, leg: Leg, held: bool) {
        let audio = self.about.hold.clone().filter(|_| held);
        self.media(Command::SetHeld { leg, held, audio });
    }

    /// Offers the trunk what is so now, unless it knows or an earlier offer is under way.
    pub(super) fn offer_hold(&mut self) {
        let Stage::Talking(talking) = &mut self.stage else { return };
        let local = &mut talking.local;
        if talking.offering.before.is_some() || local.holding == self.held.trunk {
            return;
        }
        talking.offering.before = Some(local.holding);
        talking.offering.said = None;
        local.holding = self.held.trunk;
        local.version = local.version.saturating_add(1);
        let (attempt, sdp) = (talking.attempt, trunk::offer_again(local, &talking.media).into());
        self.effects.push_back(Effect::Offer { attempt, sdp });
    }

    /// Our offer was answered.
    pub(super) fn offer_taken(&mut self) {
        if let Stage::Talking(talking) = &mut self.stage {
            talking.offering = Offering { said: talking.offering.said.take(), ..Offering::default() };
        }
        self.offer_hold();
    }

    /// Our offer was refused; all is as before (RFC 3261 section 14.1).
    pub(super) fn offer_refused(&mut self, now: Instant, status: u16) {
        let Stage::Talking(talking) = &mut self.stage else { return };
        let Some(before) = talking.offering.before.take() else { return };
        talking.local.holding = before;
        talking.offering.refused = talking.offering.refused.saturating_add(1);
        if status == 491 && talking.offering.refused < TRIES {
            self.timers.set(Timer::OfferAgain, now + AGAIN);
        }
    }
}
