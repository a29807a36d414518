//! The user agent: one value that speaks SIP for every leg of one socket.
//!
//! ```text
//! receive ── admit (who may call), screen (refusals without state)
//!    ├─ outgoing   our INVITEs: CANCEL, digest, late forks
//!    ├─ early      their early dialogs: one for each that answers, PRACK
//!    ├─ ping       our OPTIONS outside of any call
//!    ├─ asking     other requests outside of any call
//!    ├─ incoming   theirs: 2xx until ACK
//!    ├─ reliable   their ringing: provisional answers until PRACK
//!    ├─ session    in-dialog requests, BYE
//!    ├─ digits     INFO
//!    ├─ offers     theirs: re-INVITE, UPDATE, PRACK, delayed ones
//!    ├─ ours       our re-INVITE and UPDATE, glare
//!    ├─ refresh    session timers
//!    ├─ transfer   REFER, NOTIFY, Replaces
//!    └─ lost       legs of a process that went away
//! core ── transactions, schedule, the queues out
//! ```

mod ack;
mod addresses;
mod admit;
mod api;
mod asking;
mod compose;
mod connections;
mod core;
mod digits;
mod early;
mod gate;
mod incoming;
mod leg;
mod lost;
mod offers;
mod ours;
mod outgoing;
mod outside;
mod ping;
mod receive;
mod redirect;
mod refresh;
mod reliable;
mod room;
mod schedule;
mod screen;
mod sending;
mod session;
#[cfg(test)]
mod tests;
mod timeout;
mod trace;
mod transactions;
mod transfer;
mod transport;
mod via;
mod way;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;

pub use self::api::{
    EndpointConfig, EndpointStats, Event, Failure, Fork, Full, Invite, LegId, NoSuchLeg, Ping, Reliable,
    SESSION_EXPIRES, Traced, Transmit,
};
pub use self::asking::Ask;
use self::core::Core;
pub use self::digits::InfoForm;
use self::leg::Leg;
pub use self::lost::LegSnapshot;
pub use self::transfer::{Asked, Refer, Transfer, TransferOrder};
pub use self::transport::{StreamError, Transport};
use self::way::Way;
pub use crate::message::Reason;
pub use crate::transaction::Timers;

use crate::admission::Admission;
use crate::auth::Credentials;
use crate::dialog::DialogId;
use crate::message::{Headers, ParseError};

/// A SIP user agent without a socket.
pub struct Endpoint {
    core: Core,
    legs: HashMap<LegId, Leg>,
    dialogs: HashMap<DialogId, LegId>,
    next_leg: u64,
}

impl Endpoint {
    /// An endpoint; `seed` feeds tags, branches, Call-IDs and nonces.
    #[must_use]
    pub fn new(config: EndpointConfig, seed: [u8; 32]) -> Self {
        Self { core: Core::new(config, seed), legs: HashMap::new(), dialogs: HashMap::new(), next_leg: 0 }
    }

    /// Where peers reach us besides the address of the configuration, which is that over UDP.
    pub fn also_reached_at(&mut self, over: &Transport, address: SocketAddr) {
        self.core.addresses.add(over, address);
    }

    /// Nobody has told us our address: Contacts over UDP say where each peer sees us, as its answers tell.
    pub fn follow_observed(&mut self) {
        self.core.outside.follow();
    }

    /// Calls somebody. Also usable again at once after a failure (next destination).
    pub fn invite(&mut self, now: Instant, invite: Invite) -> Result<LegId, Full> {
        self.start_call(now, invite)
    }

    /// Sends OPTIONS outside of any call; [`Event::Pinged`] tells what came of it, once.
    pub fn ping(&mut self, now: Instant, ping: Ping) -> Result<LegId, Full> {
        self.start_ping(now, ping)
    }

    /// Sends a request outside of any call; [`Event::Replied`] tells its final answer, or that there is none, once.
    pub fn ask(&mut self, now: Instant, ask: Ask) -> Result<LegId, Full> {
        self.start_ask(now, ask)
    }

    /// Where a peer there reaches us over this transport: for a Contact that is written elsewhere.
    #[must_use]
    pub fn reached_at(&self, over: &Transport, peer: SocketAddr) -> SocketAddr {
        self.core.told(over, peer.ip())
    }

    /// Sends digits of an answered call by INFO, in order, each with its duration; how many were taken. Then
    /// [`Event::DigitsSent`], or [`Event::DigitsRefused`].
    pub fn send_digits(
        &mut self,
        now: Instant,
        leg: LegId,
        form: InfoForm,
        digits: &[(char, Duration)],
    ) -> Result<usize, NoSuchLeg> {
        self.queue_digits(now, leg, form, digits)
    }

    /// Ends a leg in whatever way its state asks for: CANCEL (held back until a 1xx came), BYE (held back until the
    /// ACK for our 2xx came), 603 for an unanswered incoming call. A 2xx that crosses a CANCEL is ACKed and BYEd.
    /// An unanswered call of ours ends with [`Event::Failed`]; any other leg is gone at once, without an event.
    pub fn hangup(&mut self, now: Instant, leg: LegId, reason: Option<Reason>) -> Result<(), NoSuchLeg> {
        self.end_leg(now, leg, reason)
    }

    /// Somebody has kept what an [`Event::Snapshot`] told: the leg's messages may go.
    pub fn snapshot_kept(&mut self, leg: LegId, serial: u64) {
        self.core.release(leg, Some(serial));
    }

    /// Ends a leg of an endpoint that is no more: BYE, or for an INVITE without a final answer CANCEL, and BYE for a 2xx
    /// that comes all the same. The leg's further fate is its own; [`Event::Snapshot`] tells when it is settled.
    pub fn end_lost_leg(
        &mut self,
        now: Instant,
        snapshot: LegSnapshot,
        credentials: Option<Credentials>,
        reason: Reason,
    ) -> Result<LegId, Full> {
        self.end_lost(now, snapshot, credentials, reason)
    }

    /// Answers [`Event::Offer`]: an answer (or, for an offerless re-INVITE, our offer), or a status (488, 491, 500). The
    /// refusal of an offer in an answer to our INVITE ends the call.
    /// Fails if the peer withdrew its offer meanwhile.
    pub fn answer_offer(&mut self, now: Instant, leg: LegId, answer: Result<Bytes, u16>) -> Result<(), NoSuchLeg> {
        self.answer_theirs(now, leg, answer)
    }

    /// Sends a re-INVITE with a new offer (hold, resume). Glare (491) is retried as RFC 3261 section 14.1 says, unless the
    /// peer offers first: then [`Event::OfferAnswered`] says 491, and the offer may be made anew.
    /// Fails while an earlier offer of ours is under way, or one of the peer's is not answered.
    pub fn reinvite(&mut self, now: Instant, leg: LegId, sdp: Bytes) -> Result<(), NoSuchLeg> {
        self.offer(now, leg, sdp)
    }

    /// Sends an UPDATE with a new offer: in an early dialog, in which offer and answer are known for certain and whose
    /// peer takes UPDATE (RFC 3311 section 5.1), or in an answered call. [`Event::OfferAnswered`] tells what came of it.
    pub fn update(&mut self, now: Instant, leg: LegId, fork: &Fork, sdp: Bytes) -> Result<(), NoSuchLeg> {
        self.offer_by_update(now, leg, fork, sdp)
    }

    /// Sends a provisional answer to an incoming call; a status outside 101..=199 counts as 180.
    pub fn ring(&mut self, now: Instant, leg: LegId, status: u16, sdp: Option<Bytes>) -> Result<(), NoSuchLeg> {
        self.ring_incoming(now, leg, status, sdp)
    }

    /// Answers an incoming call with 200.
    pub fn accept(&mut self, now: Instant, leg: LegId, sdp: Bytes) -> Result<(), NoSuchLeg> {
        self.accept_incoming(now, leg, sdp)
    }

    /// Refuses an incoming call; a status outside 300..=699 counts as 480.
    pub fn reject(&mut self, now: Instant, leg: LegId, status: u16) -> Result<(), NoSuchLeg> {
        self.reject_with(now, leg, status, &Headers::default())
    }

    /// As [`Self::reject`], with further header fields (Reason, Retry-After).
    pub fn reject_with(&mut self, now: Instant, leg: LegId, status: u16, fields: &Headers) -> Result<(), NoSuchLeg> {
        self.reject_incoming(now, leg, status, fields)
    }

    /// Who may begin something from now on. Until this is said, everybody may ask, and call if `accepts_calls`.
    pub fn guard(&mut self, admission: Admission) {
        self.core.set_admission(admission);
    }

    /// The Call-ID of a leg, for records.
    #[must_use]
    pub fn call_id(&self, leg: LegId) -> Option<Bytes> {
        self.legs.get(&leg).map(|leg| leg.dialog_id.call_id.clone())
    }

    /// A datagram came.
    pub fn handle_datagram(&mut self, now: Instant, from: SocketAddr, datagram: Bytes) {
        self.receive(now, from, Way::UDP, datagram);
    }

    /// A message came over a connection to this address.
    pub fn handle_message(&mut self, now: Instant, from: SocketAddr, over: &Transport, message: Bytes) {
        match self.core.way_of(over) {
            Some(way) => self.receive(now, from, way, message),
            // Nothing of ours ever went that way.
            None => self.core.stats.refused += 1,
        }
    }

    /// What came over a connection to this address is no message to take: nothing more comes over it, and it stays long
    /// enough for an answer.
    pub fn handle_refused(&mut self, now: Instant, from: SocketAddr, over: &Transport, error: ParseError) {
        match self.core.way_of(over) {
            Some(way) => self.core.answer_malformed(now, from, way, error),
            None => self.core.stats.refused += 1,
        }
    }

    /// A connection to this address did not come up, or broke.
    pub fn handle_stream_error(&mut self, now: Instant, to: SocketAddr, over: &Transport, error: StreamError) {
        if let Some(way) = self.core.way_of(over) {
            let was_theirs = self.core.connections.is_accepted(to, way);
            self.detach(to, way);
            self.core.cause = Some(error);
            self.fail_transactions_to(now, to, way, was_theirs);
            self.core.cause = None;
        }
    }

    /// The network refused a datagram to this address.
    pub fn handle_transport_error(&mut self, now: Instant, to: SocketAddr) {
        self.fail_transactions_to(now, to, Way::UDP, false);
    }

    /// A deadline passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.run_timers(now);
    }

    /// What to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.core.transmits.pop_front()
    }

    /// What happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.core.events.pop_front()?;
        self.core.tracer.fetched(&event);
        Some(event)
    }

    /// The next deadline and why.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        self.core.schedule.next()
    }

    /// Counters.
    #[must_use]
    pub fn stats(&self) -> EndpointStats {
        EndpointStats {
            legs: self.legs.len(),
            transactions: self.core.transactions.len(),
            admission: self.core.admission_stats(),
            ..self.core.stats
        }
    }

    fn is_full(&self) -> bool {
        let most = self.core.config.max_transactions;
        self.core.transactions.len() >= most || self.legs.len() >= most || self.core.is_choked()
    }

    fn new_leg_id(&mut self, way: Way) -> LegId {
        self.next_leg = self.next_leg.wrapping_add(1);
        way.leg(self.next_leg)
    }

    fn add_leg(&mut self, leg: Leg) {
        self.dialogs.insert(leg.dialog_id.clone(), leg.id);
        self.legs.insert(leg.id, leg);
    }

    /// Forgets a leg. An offer of the peer that nobody answered is refused, as RFC 3261 section 15.1.2 wants.
    fn drop_leg(&mut self, now: Instant, id: LegId) {
        if let Some(mut leg) = self.legs.remove(&id) {
            offers::withdraw(&mut self.core, now, &mut leg, 487);
            transfer::withdraw(&mut self.core, now, &mut leg);
            self.core.forget_snapshot(id, &leg.dialog_id.call_id);
            self.dialogs.remove(&leg.dialog_id);
            room::give_back(&mut self.legs);
            room::give_back(&mut self.dialogs);
            self.core.tracer.end(id);
            self.core.schedule.set(schedule::Owner::Leg(id), None);
        }
    }

    fn reschedule_leg(&mut self, id: LegId) {
        let next = self.legs.get(&id).and_then(|leg| leg.deadlines.next());
        self.core.schedule.set(schedule::Owner::Leg(id), next.map(|(at, timer)| (at, timer.reason())));
    }
}
