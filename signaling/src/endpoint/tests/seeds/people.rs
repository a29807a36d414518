//! Who is in the field, how they behave, and what the network does to them.

use super::*;

/// What the network does to datagrams.
#[derive(Debug, Clone)]
pub(super) struct Faults {
    /// Of a thousand, lost and doubled.
    pub(super) lost: u32,
    pub(super) doubled: u32,
    /// Each takes its own time, so that they overtake each other.
    pub(super) latency_ms: std::ops::Range<u64>,
    /// From when to when nothing arrives, since the start.
    pub(super) dark: Option<(Duration, Duration)>,
    /// So many that begin so and have such a CSeq method are lost whatever happens.
    pub(super) swallowed: Option<(&'static str, &'static str, u32)>,
    /// Connections in place of datagrams. Darkness breaks them, and none comes up while it lasts.
    pub(super) over: Transport,
}

/// What somebody does at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Dial,
    Ring(LegId),
    Accept(LegId),
    Reject(LegId, u16),
    Answer(LegId, Option<u16>),
    /// With every leg of this node that is open.
    Offer,
    HangUp,
    /// The process is gone, and another one has its address.
    Restart,
    /// All connections are found to be dead.
    Break,
}

/// How a phone behaves when it is called.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manners {
    pub(super) rings_after: Option<Duration>,
    /// And with what, of 200 and refusals.
    pub(super) answers: Option<(Duration, u16)>,
}

/// What one application has seen of a leg.
#[derive(Debug, Default)]
pub(super) struct Life {
    pub(super) is_ours: bool,
    pub(super) is_answered: bool,
    pub(super) is_given_up: bool,
    pub(super) is_confirmed: bool,
    /// Hung up before the ACK of its 2xx came: the BYE has to wait for that (RFC 3261 section 15).
    pub(super) waits_for_ack: bool,
    pub(super) over_at: Option<Instant>,
    /// How it ended; once, in the end.
    pub(super) ends: Vec<String>,
}

impl Life {
    pub(super) fn is_over(&self) -> bool {
        !self.ends.is_empty()
    }
}

pub(super) struct Node {
    pub(super) address: SocketAddr,
    pub(super) end: Endpoint,
    pub(super) manners: Manners,
    pub(super) lives: BTreeMap<LegId, Life>,
    /// When its application had done with all legs, and when the endpoint had.
    pub(super) done: Option<Instant>,
    pub(super) clear: Option<Instant>,
}
