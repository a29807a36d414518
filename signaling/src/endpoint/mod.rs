//! The user agent: one value that speaks SIP for every leg of one socket.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::auth::Credentials;
use crate::message::{Headers, NameAddr, Uri};

/// Names one INVITE usage (one `invite` call, or one incoming INVITE).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LegId(pub u64);

/// How an endpoint presents itself, and its limits.
#[derive(Debug, Clone)]
pub struct EndpointConfig {
    /// Address in Via and Contact (what the peer can reach).
    pub advertised: SocketAddr,
    /// From host.
    pub domain: String,
    /// User-Agent / Server.
    pub user_agent: String,
    /// Whether INVITEs from outside are taken (the demo agent, phones of the tests); else 403 without state.
    pub accepts_calls: bool,
    /// RFC 3261 table 4.
    pub timers: Timers,
    /// Transactions and legs at once; beyond: 503 with Retry-After, and a counter.
    pub max_transactions: usize,
}

/// Timer values (RFC 3261 table 4).
#[derive(Debug, Clone, Copy)]
pub struct Timers {
    /// RTT estimate, 500 ms.
    pub t1: Duration,
    /// Longest retransmit interval, 4 s.
    pub t2: Duration,
    /// How long a message stays in the network, 5 s.
    pub t4: Duration,
}

/// A call to make.
#[derive(Debug, Clone)]
pub struct Invite {
    /// Where the request goes (already resolved).
    pub target: SocketAddr,
    /// Request-URI and To.
    pub uri: Uri,
    /// From user (the host is the endpoint's domain) and display name.
    pub from_user: String,
    /// From display name.
    pub from_display: Option<String>,
    /// Further header fields (already sanitised names; values are cleaned of control characters).
    pub headers: Headers,
    /// The offer.
    pub sdp: Bytes,
    /// For 401/407.
    pub credentials: Option<Credentials>,
}

/// RFC 3326.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// `Q.850` or `SIP`.
    pub protocol: String,
    /// Cause.
    pub cause: u16,
    /// Text.
    pub text: Option<String>,
}

/// A datagram to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    /// Where to.
    pub to: SocketAddr,
    /// What.
    pub bytes: Bytes,
}

/// What happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// A provisional answer above 100 to our INVITE.
    Provisional {
        /// Whose.
        leg: LegId,
        /// 101..=199.
        status: u16,
        /// Early media's description.
        sdp: Option<Bytes>,
    },
    /// Our INVITE was answered 2xx (already ACKed).
    Answered {
        /// Whose.
        leg: LegId,
        /// The answer.
        sdp: Option<Bytes>,
    },
    /// Our INVITE came to nothing. The leg is gone.
    Failed {
        /// Whose.
        leg: LegId,
        /// How.
        failure: Failure,
    },
    /// A re-INVITE or UPDATE with an offer; answer with [`Endpoint::answer_offer`].
    Offer {
        /// Whose.
        leg: LegId,
        /// The offer; `None` asks us to make one.
        sdp: Option<Bytes>,
    },
    /// The peer's answer to an offer of ours in a re-INVITE, or to our offer in a 200 (delayed offer).
    OfferAnswered {
        /// Whose.
        leg: LegId,
        /// The answer, or the status that refused it (nothing changed then).
        result: Result<Bytes, u16>,
    },
    /// The peer hung up (its BYE is answered). The leg is gone.
    Ended {
        /// Whose.
        leg: LegId,
        /// Its Reason.
        reason: Option<Reason>,
    },
    /// A leg ended without a BYE from the peer: an in-dialog request of ours got 481/408/no answer.
    Lost {
        /// Whose.
        leg: LegId,
        /// The status, if one came.
        status: Option<u16>,
    },
    /// Somebody calls us (only with `accepts_calls`).
    Incoming {
        /// The new leg.
        leg: LegId,
        /// Who calls.
        from: NameAddr,
        /// Whom.
        uri: Uri,
        /// All header fields.
        headers: Headers,
        /// The offer.
        sdp: Option<Bytes>,
    },
    /// The ACK for our 2xx came; audio may start. (After 64*T1 without one the leg is ended with BYE and [`Event::Lost`].)
    Confirmed {
        /// Whose.
        leg: LegId,
        /// An answer to a delayed offer.
        sdp: Option<Bytes>,
    },
    /// The caller gave up before we answered (487 is sent). The leg is gone.
    Cancelled {
        /// Whose.
        leg: LegId,
        /// Its Reason.
        reason: Option<Reason>,
    },
}

/// How an INVITE failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// A final answer of 300 or more (already ACKed).
    Rejected {
        /// 300..=699.
        status: u16,
        /// Its phrase.
        phrase: String,
        /// Its Reason.
        reason: Option<Reason>,
        /// Retry-After, seconds.
        retry_after: Option<u32>,
    },
    /// 401/407 that our credentials do not satisfy, or we have none.
    AuthenticationFailed {
        /// 401 or 407.
        status: u16,
    },
    /// Nothing at all came (Timer B).
    NoProvisional,
    /// A provisional came, then nothing (our own limit of three minutes, refreshed by each 1xx).
    NoFinal,
    /// The network refused the datagram (ICMP, no route).
    Transport,
    /// We cancelled, and the peer confirmed with 487 or fell silent.
    Cancelled,
}

/// An operation named a leg that is gone or in the wrong state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no such leg, or not in that state")]
pub struct NoSuchLeg;

/// The endpoint is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many SIP transactions")]
pub struct Full;

/// What the endpoint counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EndpointStats {
    /// Datagrams in.
    pub received: u64,
    /// Datagrams out.
    pub sent: u64,
    /// Of those, retransmissions.
    pub retransmitted: u64,
    /// Datagrams that were no SIP.
    pub malformed: u64,
    /// Requests refused without state.
    pub refused: u64,
    /// Responses that match nothing.
    pub stray_responses: u64,
    /// Refused because of `max_transactions`.
    pub overload: u64,
    /// Live legs.
    pub legs: usize,
    /// Live transactions.
    pub transactions: usize,
}

/// A SIP user agent without a socket.
pub struct Endpoint {}

impl Endpoint {
    /// An endpoint; `seed` feeds tags, branches, Call-IDs and nonces.
    #[must_use]
    pub fn new(config: EndpointConfig, seed: [u8; 32]) -> Self {
        todo!()
    }

    /// Calls somebody. Also usable again at once after a failure (next destination).
    pub fn invite(&mut self, now: Instant, invite: Invite) -> Result<LegId, Full> {
        todo!()
    }

    /// Ends a leg in whatever way its state asks for: CANCEL (held back until a 1xx came), BYE (held back until the
    /// ACK for our 2xx came), 603 for an unanswered incoming call. A 2xx that crosses a CANCEL is ACKed and BYEd.
    pub fn hangup(&mut self, now: Instant, leg: LegId, reason: Option<Reason>) -> Result<(), NoSuchLeg> {
        todo!()
    }

    /// Answers [`Event::Offer`]: an answer (or, for an offerless re-INVITE, our offer), or a status (488, 491, 500).
    pub fn answer_offer(&mut self, now: Instant, leg: LegId, answer: Result<Bytes, u16>) -> Result<(), NoSuchLeg> {
        todo!()
    }

    /// Sends a re-INVITE with a new offer (hold, resume). Glare (491) is retried as RFC 3261 section 14.1 says.
    pub fn reinvite(&mut self, now: Instant, leg: LegId, sdp: Bytes) -> Result<(), NoSuchLeg> {
        todo!()
    }

    /// Sends a provisional answer to an incoming call.
    pub fn ring(&mut self, now: Instant, leg: LegId, status: u16, sdp: Option<Bytes>) -> Result<(), NoSuchLeg> {
        todo!()
    }

    /// Answers an incoming call with 200.
    pub fn accept(&mut self, now: Instant, leg: LegId, sdp: Bytes) -> Result<(), NoSuchLeg> {
        todo!()
    }

    /// Refuses an incoming call.
    pub fn reject(&mut self, now: Instant, leg: LegId, status: u16) -> Result<(), NoSuchLeg> {
        todo!()
    }

    /// The Call-ID of a leg, for records.
    #[must_use]
    pub fn call_id(&self, leg: LegId) -> Option<Bytes> {
        todo!()
    }

    /// A datagram came.
    pub fn handle_datagram(&mut self, now: Instant, from: SocketAddr, datagram: Bytes) {
        todo!()
    }

    /// The network refused a datagram to this address.
    pub fn handle_transport_error(&mut self, now: Instant, to: SocketAddr) {
        todo!()
    }

    /// A deadline passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        todo!()
    }

    /// What to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        todo!()
    }

    /// What happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        todo!()
    }

    /// The next deadline and why.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        todo!()
    }

    /// Counters.
    #[must_use]
    pub fn stats(&self) -> EndpointStats {
        todo!()
    }
}
