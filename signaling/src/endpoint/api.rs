//! What goes into an endpoint and what comes out of it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;

use super::{LegSnapshot, Transfer, Transport};
use crate::admission::AdmissionStats;
use crate::auth::Credentials;
use crate::message::{Headers, NameAddr, Reason, Response, Uri};
use crate::transaction::Timers;

/// Names one INVITE usage (one `invite` call, or one incoming INVITE).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LegId(pub u64);

/// Names one early dialog of an INVITE, as several may answer it: the To tag of whoever did (RFC 3261 section 12.1);
/// empty for a peer that has none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Fork(pub Bytes);

/// How an endpoint presents itself, and its limits.
#[derive(Debug, Clone)]
pub struct EndpointConfig {
    /// Address in Via and Contact (what the peer can reach).
    pub advertised: SocketAddr,
    /// From host.
    pub domain: String,
    /// User-Agent / Server.
    pub user_agent: String,
    /// Whether INVITEs from anywhere are taken (the demo agent, phones of the tests); else 403 without state. Of no
    /// effect once [`super::Endpoint::guard`] has said who may call.
    pub accepts_calls: bool,
    /// RFC 3261 table 4.
    pub timers: Timers,
    /// Transactions and legs at once; beyond: 503 with Retry-After, and a counter.
    pub max_transactions: usize,
    /// Whether [`Event::Traced`] is told.
    pub trace: bool,
    /// Whether [`Event::Snapshot`] is told, and how long a leg's messages wait for [`super::Endpoint::snapshot_kept`].
    pub snapshots: Option<Duration>,
}

/// A call to make.
#[derive(Debug, Clone)]
pub struct Invite {
    /// Where the request goes (already resolved).
    pub target: SocketAddr,
    /// And over what.
    pub over: Transport,
    /// Request-URI and To.
    pub uri: Uri,
    /// From user (the host is the endpoint's domain) and display name.
    pub from_user: String,
    /// From display name.
    pub from_display: Option<String>,
    /// Further header fields (already sanitised names; values are cleaned of control characters).
    pub headers: Headers,
    /// The offer; empty asks the peer to make one, which [`Event::Offer`] tells.
    pub sdp: Bytes,
    /// For 401/407.
    pub credentials: Option<Credentials>,
    /// Session-Expires asked for (RFC 4028), seconds, at least 90; 0 is no session timer.
    pub session_expires: u32,
    /// Whether provisional answers are to be reliable (RFC 3262).
    pub reliable: Reliable,
    /// Whether From tells nobody who calls (RFC 3323 section 4.1.1.3).
    pub anonymous: bool,
    /// The caller's own word for it, found again in the leg's snapshot. Where it is the name of a door of
    /// [`super::Endpoint::guard`], requests within the call are taken from all of that door's sources.
    pub label: String,
}

/// What a caller says of reliable provisional answers. Whoever sends one anyway has it acknowledged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reliable {
    /// Nothing.
    Off,
    /// It takes them.
    #[default]
    Supported,
    /// It takes no others.
    Required,
}

/// An OPTIONS to send outside of any call.
#[derive(Debug, Clone)]
pub struct Ping {
    /// Where the request goes (already resolved).
    pub target: SocketAddr,
    /// And over what.
    pub over: Transport,
    /// Request-URI and To.
    pub uri: Uri,
}

/// The Session-Expires RFC 4028 section 4.2 recommends, seconds.
pub const SESSION_EXPIRES: u32 = 1800;

/// A message to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    /// Where to.
    pub to: SocketAddr,
    /// Over what.
    pub over: Transport,
    /// What.
    pub bytes: Bytes,
}

/// What happened.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "an incoming call is a large event and a rare one; none lives long")]
pub enum Event {
    /// A provisional answer above 100 to our INVITE.
    Provisional {
        /// Whose.
        leg: LegId,
        /// Who says so, of those the INVITE reached.
        fork: Fork,
        /// 101..=199.
        status: u16,
        /// Early media's description.
        sdp: Option<Bytes>,
    },
    /// Our INVITE has arrived (100): nothing is decided, but somebody is there.
    Trying {
        /// Whose.
        leg: LegId,
    },
    /// Our INVITE was answered 2xx (already ACKed).
    Answered {
        /// Whose.
        leg: LegId,
        /// Who answered: the call's other end from now on.
        fork: Fork,
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
    /// An offer of the peer's, or the wish for one of ours: a re-INVITE, UPDATE or PRACK; or to an INVITE of ours without
    /// one, a reliable provisional answer or the 2xx. Answer with [`super::Endpoint::answer_offer`].
    Offer {
        /// Whose.
        leg: LegId,
        /// Who offers, of those our INVITE reached.
        fork: Fork,
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
    /// Nobody refreshed the session in time (RFC 4028 section 10); BYE is on its way. The leg is gone.
    SessionExpired {
        /// Whose.
        leg: LegId,
        /// What was agreed.
        interval: Duration,
        /// The refresh was ours to send.
        refresher_is_us: bool,
        /// Since the last refresh, or the answer.
        since: Duration,
    },
    /// Somebody who may calls us.
    Incoming {
        /// The new leg.
        leg: LegId,
        /// The door it came through; empty without [`super::Endpoint::guard`].
        door: String,
        /// Where it came from.
        peer: SocketAddr,
        /// And over what.
        over: Transport,
        /// Who calls.
        from: NameAddr,
        /// Whom.
        uri: Uri,
        /// Where this peer is told that we are, which may be known to nobody but peers.
        told: IpAddr,
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
    /// An OPTIONS of ours has its final answer, or none will come: its status and the time it took (with that of a
    /// connection that had to be made first), or [`Failure::Transport`], [`Failure::Tls`], [`Failure::NoProvisional`].
    Pinged {
        /// Which.
        leg: LegId,
        /// What came of it.
        result: Result<(u16, Duration), Failure>,
    },
    /// The final answer to a request of [`super::Endpoint::ask`], or why none will come.
    Replied {
        /// Which.
        leg: LegId,
        /// What came of it.
        result: Result<Box<Response>, Failure>,
    },
    /// A digit came by INFO.
    Digit {
        /// Whose.
        leg: LegId,
        /// `0`-`9`, `*`, `#`, `A`-`D`.
        digit: char,
        /// How long it lasted, if that was said.
        duration: Option<Duration>,
    },
    /// All digits of [`super::Endpoint::send_digits`] were taken.
    DigitsSent {
        /// Whose.
        leg: LegId,
    },
    /// The peer takes no digits by INFO.
    DigitsRefused {
        /// Whose.
        leg: LegId,
        /// The status, if one came.
        status: Option<u16>,
        /// Those it did not take.
        digits: Vec<(char, Duration)>,
    },
    /// What it takes to end a leg of ours has changed: keep it, then say [`super::Endpoint::snapshot_kept`]. What is sent
    /// of the leg from now on waits for that, up to the limit of the configuration.
    Snapshot {
        /// Whose.
        leg: LegId,
        /// Its Call-ID, which no other leg has.
        call_id: Bytes,
        /// Of this telling.
        serial: u64,
        /// `None`: nothing is left to be ended.
        snapshot: Option<Box<LegSnapshot>>,
    },
    /// Something about handing the call over.
    Transfer {
        /// Whose.
        leg: LegId,
        /// What.
        transfer: Transfer,
    },
    /// A message of the leg's was sent or received.
    Traced {
        /// Whose.
        leg: LegId,
        /// The message.
        traced: Box<Traced>,
    },
}

/// A message of a leg as it went over the wire, for ladders and support.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traced {
    /// Ours.
    pub outgoing: bool,
    /// Whom it went to or came from.
    pub peer: SocketAddr,
    /// Request line or status line, at most 256 octets.
    pub start_line: String,
    /// The CSeq's value.
    pub cseq: String,
    /// The Reason's value, if there is one.
    pub reason: Option<String>,
    /// The description it carries.
    pub sdp: Option<Bytes>,
    /// It went or came before.
    pub repeated: bool,
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
    /// No encrypted connection came up: the error in words.
    Tls(String),
    /// A 3xx (already ACKed): whom to ask instead.
    Redirected {
        /// 300..=399.
        status: u16,
        /// The Contacts, best first; no more than a few.
        contacts: Vec<Uri>,
        /// Its Reason.
        reason: Option<Reason>,
    },
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
    /// Datagrams or provisional events dropped because nobody fetched the ones before them.
    pub dropped: u64,
    /// Messages of legs that were not told, for there were too many.
    pub untold: u64,
    /// Legs of an endpoint that is no more, ended here.
    pub lost_ended: u64,
    /// Legs that went on before anybody had kept their snapshot.
    pub unkept: u64,
    /// What became of requests of strangers, and of calls.
    pub admission: AdmissionStats,
    /// Requests too large for a datagram that went over a connection (RFC 3261 section 18.1.1).
    pub grown: u64,
    /// Of those, sent as a datagram after all: no connection came up.
    pub shrunk: u64,
    /// Requests sent again because the connection broke they went over.
    pub resent: u64,
    /// Times a peer's answer told of another address of ours than the peer had been told.
    pub moved: u64,
}
