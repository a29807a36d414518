//! Where a call stands, with what belongs to each stage.

use std::collections::VecDeque;
use std::sync::Arc;

use trunkline_media::sdp::trunk::{LocalMedia, TrunkMedia};
use trunkline_signaling::targets::Target;

use super::called::Ringing;
use super::early::Branches;
use super::holding::Offering;
use super::input::AttemptId;
use super::parting::Parting;
use crate::routing::Route;

/// What the public API calls a call's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// On the way.
    Setup,
    /// A 18x came.
    Ringing,
    /// Answered.
    Talking,
    /// Answered, and the browser is away.
    Reconnecting,
    /// Over.
    Ended,
}

impl State {
    /// The contract's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Setup => "setup",
            Self::Ringing => "ringing",
            Self::Talking => "talking",
            Self::Reconnecting => "reconnecting",
            Self::Ended => "ended",
        }
    }
}

/// Where the trunk's side stands.
#[derive(Debug)]
pub(super) enum Stage {
    /// Before the start, and between two destinations.
    Idle,
    /// The answer hook is asked.
    Asking,
    /// Its actions are carried out; nothing is dialled now.
    Acting,
    /// It came to nothing: what tells the visitor so waits for the browser, or plays.
    Parting(Parting),
    /// Waiting for a port pair.
    Leasing {
        attempt: AttemptId,
        route: Arc<Route>,
    },
    /// Waiting for DNS.
    Resolving {
        attempt: AttemptId,
        route: Arc<Route>,
        local: LocalMedia,
    },
    /// An INVITE is out.
    Inviting(Inviting),
    /// The trunk's INVITE is in and has no final answer.
    Called(Box<Ringing>),
    /// Answered.
    Talking(Talking),
    Ended,
}

#[derive(Debug)]
pub(super) struct Inviting {
    pub(super) attempt: AttemptId,
    pub(super) route: Arc<Route>,
    pub(super) local: LocalMedia,
    /// Where it goes if not there.
    pub(super) others: VecDeque<Target>,
    pub(super) ringing: bool,
    /// Where the INVITE went.
    pub(super) target: Target,
    /// Anything at all came back.
    pub(super) heard: bool,
    /// Somebody beyond the target has been reached (101..=199): the call goes nowhere else any more.
    pub(super) progressed: bool,
    /// What the media plane was told so far.
    pub(super) early: Option<TrunkMedia>,
    /// What each of those that ring has described.
    pub(super) branches: Branches,
}

#[derive(Debug)]
pub(super) struct Talking {
    pub(super) attempt: AttemptId,
    pub(super) route: Arc<Route>,
    pub(super) local: LocalMedia,
    pub(super) media: TrunkMedia,
    pub(super) offering: Offering,
}

impl Stage {
    /// The leg that talks, or rings.
    pub(super) fn attempt(&self) -> Option<AttemptId> {
        match self {
            Self::Inviting(inviting) => Some(inviting.attempt),
            Self::Talking(talking) => Some(talking.attempt),
            Self::Idle
            | Self::Asking
            | Self::Acting
            | Self::Parting(_)
            | Self::Leasing { .. }
            | Self::Resolving { .. }
            | Self::Called(_)
            | Self::Ended => None,
        }
    }
}
