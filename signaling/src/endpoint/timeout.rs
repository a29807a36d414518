//! Deadlines and refused datagrams: to the transactions, and what they say about it to the legs.

use std::net::SocketAddr;
use std::time::Instant;

use super::leg::LegTimer;
use super::schedule::Owner;
use super::transactions::{TxId, User};
use super::way::Way;
use super::{Endpoint, LegId, StreamError};
use crate::transaction::{Fault, Reaction};

impl Endpoint {
    pub(super) fn run_timers(&mut self, now: Instant) {
        while let Some(owner) = self.core.schedule.pop_due(now) {
            match owner {
                Owner::Client(tx) => self.run_client_timer(now, tx),
                Owner::Server(tx) => self.run_server_timer(now, tx),
                Owner::Leg(leg) => self.run_leg_timer(now, leg),
                Owner::Gate(leg) => self.core.give_up_holding(leg),
            }
        }
    }

    /// `was_theirs`: by way of a connection that the peer had opened.
    pub(super) fn fail_transactions_to(&mut self, now: Instant, to: SocketAddr, way: Way, was_theirs: bool) {
        for tx in self.core.transactions.clients_to(to) {
            let Some(transaction) = self.core.transactions.client(tx).filter(|found| found.way == way) else {
                continue;
            };
            if transaction.plain.is_some() {
                if matches!(self.core.cause, Some(StreamError::Unreachable | StreamError::TimedOut)) {
                    self.core.connections.close(now, to);
                }
                if self.core.shrink(now, tx) {
                    continue;
                }
            }
            if self.send_again(tx, (to, way), was_theirs) {
                continue;
            }
            let Some(transaction) = self.core.transactions.client(tx) else { continue };
            if let Some(fault) = transaction.handle_transport_error().fault {
                self.handle_fault(now, tx, fault);
            }
            self.core.reschedule_client(tx);
        }
    }

    /// A connection that was up may have taken requests with it as it broke: what nobody has answered goes once more,
    /// over another connection. Whoever did get it knows its branch.
    fn send_again(&mut self, tx: TxId, (to, way): (SocketAddr, Way), was_theirs: bool) -> bool {
        if self.core.cause != Some(StreamError::Lost) {
            return false;
        }
        let Some(transaction) = self.core.transactions.client(tx).filter(|found| !found.resent) else { return false };
        let (leg, Some(bytes)) = (transaction.user.leg(), transaction.unanswered()) else { return false };
        transaction.resent = true;
        let next = if was_theirs { self.next_hop(leg).filter(|next| *next != to) } else { Some(to) };
        let Some(next) = next else { return false };
        self.core.transactions.redirect(tx, next);
        self.core.stats.resent += 1;
        self.core.resend_over(way, Some(leg), next, bytes);
        true
    }

    fn run_client_timer(&mut self, now: Instant, tx: TxId) {
        let Some(transaction) = self.core.transactions.client(tx) else { return };
        let (to, way, leg) = (transaction.to, transaction.way, transaction.user.leg());
        let Reaction { transmit, fault, .. } = transaction.handle_timeout(now).unwrap_or_default();
        if let Some(bytes) = transmit {
            self.core.resend_over(way, Some(leg), to, bytes);
        }
        if let Some(fault) = fault {
            self.handle_fault(now, tx, fault);
        }
        self.core.reschedule_client(tx);
    }

    fn run_server_timer(&mut self, now: Instant, tx: TxId) {
        let Some(transaction) = self.core.transactions.server(tx) else { return };
        let (reply, leg) = (transaction.reply, transaction.leg);
        // A refusal that nobody acknowledges is no reason to do more.
        let Reaction { transmit, .. } = transaction.handle_timeout(now).unwrap_or_default();
        if let Some(bytes) = transmit {
            self.core.resend_reply(leg, reply, bytes);
        }
        self.core.reschedule_server(tx);
    }

    fn handle_fault(&mut self, now: Instant, tx: TxId, fault: Fault) {
        let Some(transaction) = self.core.transactions.client(tx) else { return };
        match &transaction.user {
            User::Invite(sent) => {
                let leg = sent.leg;
                if sent.again {
                    self.handle_offer_fault(now, tx, leg, fault);
                } else {
                    self.handle_first_invite_fault(now, tx, leg, fault);
                }
            }
            User::Bye(leg) => {
                let leg = *leg;
                self.drop_closing(now, leg);
            }
            User::Update(leg) => {
                let leg = *leg;
                self.handle_update_fault(now, tx, leg, fault);
            }
            User::Ping(leg, _) => {
                let leg = *leg;
                self.handle_ping_fault(leg, fault);
            }
            User::Digit(leg) => {
                let leg = *leg;
                self.handle_digit_fault(now, leg);
            }
            User::Ask(leg) => {
                let leg = *leg;
                self.handle_ask_fault(leg, fault);
            }
            User::Refer(leg) => {
                let leg = *leg;
                self.handle_refer_fault(leg);
            }
            User::Notify(leg) => {
                let leg = *leg;
                self.forget_refer(leg);
            }
            // The INVITE's own story goes on.
            User::ByeToFork(_) | User::Prack(_) | User::Cancel(_) => {}
        }
    }

    fn run_leg_timer(&mut self, now: Instant, id: LegId) {
        let timer = self.legs.get_mut(&id).and_then(|leg| leg.deadlines.pop_due(now));
        match timer {
            Some(LegTimer::Repeat2xx) => self.repeat_2xx(now, id),
            Some(LegTimer::Repeat1xx) => self.repeat_provisional(now, id),
            Some(LegTimer::NoPrack) => self.give_up_waiting_for_prack(now, id),
            Some(LegTimer::NoAck) => self.give_up_waiting_for_ack(now, id),
            Some(LegTimer::Glare) => self.try_waiting_offer(now, id),
            Some(LegTimer::OfferUnanswered) => {
                // The caller was asked and has not said anything: the peer must not wait for ever.
                let _ = self.answer_theirs(now, id, Err(500));
            }
            Some(LegTimer::Refresh) => self.refresh(now, id),
            Some(LegTimer::SessionEnd) => self.expire(now, id),
            Some(LegTimer::NextDigit) => self.send_next_digit(now, id),
            Some(LegTimer::ReferUntold) => self.give_up_refer(id),
            Some(LegTimer::ReferOver) => self.give_up_serving(now, id),
            Some(LegTimer::RingLimit) => self.give_up_ringing(now, id),
            None => {}
        }
        self.reschedule_leg(id);
    }
}
