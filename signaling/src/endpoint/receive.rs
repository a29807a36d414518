//! From a datagram to whom it concerns.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use bytes::Bytes;

use super::compose;
use super::core::Core;
use super::incoming::Purpose;
use super::leg::Stage;
use super::screen::screen;
use super::transactions::{ClientMachine, ServerMachine, TxId, User};
use super::way::Way;
use super::{Endpoint, LegId, Transport, transfer, via};
use crate::dialog::DialogId;
use crate::message::{Headers, Message, Method, Request, Response, parse};
use crate::transaction::{ClientKey, Reaction, ServerKey};

/// How a request came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival {
    pub(super) now: Instant,
    pub(super) from: SocketAddr,
    /// Over what it came, and answers go.
    pub(super) way: Way,
    pub(super) reply: Reply,
    /// Of the message, octets.
    pub(super) size: usize,
    /// Whose it is, as far as that is known.
    pub(super) leg: Option<LegId>,
    /// It is a peer's: it has a right to an answer.
    pub(super) is_peers: bool,
}

/// Where answers go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reply {
    pub(super) to: SocketAddr,
    pub(super) way: Way,
    /// Where to once the connection is gone that the request came over.
    pub(super) otherwise: SocketAddr,
}

impl Core {
    /// Where the answers to a message go: over a connection back along it (RFC 3261 section 18.2.2).
    pub(super) fn reply_to(&self, headers: &mut Headers, from: SocketAddr, way: Way) -> Reply {
        let by_via = via::mark(headers, from);
        if way == Way::UDP {
            return Reply { to: by_via, way, otherwise: by_via };
        }
        let default = self.ways.transport(way).map_or(5060, Transport::default_port);
        let listens = SocketAddr::new(from.ip(), via::port(headers, default));
        Reply { to: from, way, otherwise: if self.connections.is_accepted(from, way) { listens } else { from } }
    }
}

impl Endpoint {
    pub(super) fn receive(&mut self, now: Instant, from: SocketAddr, way: Way, datagram: Bytes) {
        self.core.stats.received += 1;
        let bytes = datagram.clone();
        match parse(datagram) {
            Ok(Message::Request(request)) => self.handle_request(now, from, way, &bytes, request),
            Ok(Message::Response(response)) => self.handle_response(now, from, way, &bytes, &response),
            Err(error) => self.core.answer_malformed(now, from, way, error),
        }
    }

    fn handle_request(&mut self, now: Instant, from: SocketAddr, way: Way, bytes: &Bytes, mut request: Request) {
        // The key is made of the Via as it came.
        let Ok(key) = ServerKey::of_request(&request) else { return };
        let (leg, again) = self.whose(from, way, &key, &request);
        self.core.trace(leg, bytes, from, false, again);
        let reply = self.core.reply_to(&mut request.headers, from, way);
        let is_peers = leg.is_some() || self.core.is_peers(from.ip());
        let mut arrival = Arrival { now, from, way, reply, size: bytes.len(), leg, is_peers };
        if request.method == Method::Ack {
            return self.handle_ack(arrival, &key, &request);
        }
        if let Some(tx) = self.core.transactions.find_server(&key) {
            return self.repeat_answer(tx);
        }
        if request.method == Method::Cancel {
            return self.handle_cancel(arrival, &request);
        }
        let is_in_dialog = request.headers.to().is_ok_and(|to| to.tag().is_some());
        let mut purpose = Purpose::Call(String::new());
        // Before anything else: calls that are not wanted cost nothing.
        if request.method == Method::Invite && !is_in_dialog {
            match self.replaced_by(&arrival, &request) {
                Some(Ok(leg)) => purpose = Purpose::Replace(leg),
                Some(Err(refusal)) => {
                    arrival.is_peers = true;
                    return self.core.refuse(&request, arrival, refusal);
                }
                None => match self.core.admit(&mut arrival, &request) {
                    Some(_) if transfer::names_a_dialog(&request) => {
                        return self.core.refuse(&request, arrival, (481, None));
                    }
                    Some(door) => purpose = Purpose::Call(door),
                    None => return,
                },
            }
        }
        if let Err(refusal) = screen(&request) {
            return self.core.refuse(&request, arrival, refusal);
        }
        match request.method {
            _ if is_in_dialog => self.handle_in_dialog(arrival, key, request),
            Method::Invite => self.handle_call(arrival, key, bytes, request, purpose),
            Method::Options => self.core.answer_options(&request, arrival),
            Method::Ack
            | Method::Bye
            | Method::Cancel
            | Method::Register
            | Method::Prack
            | Method::Update
            | Method::Info
            | Method::Refer
            | Method::Notify
            | Method::Subscribe
            | Method::Message
            | Method::Publish
            | Method::Other(_) => self.core.refuse(&request, arrival, (481, None)),
        }
    }

    /// A request came again.
    fn repeat_answer(&mut self, tx: TxId) {
        let Some(transaction) = self.core.transactions.server(tx) else { return };
        let (reply, leg) = (transaction.reply, transaction.leg);
        let Reaction { transmit, .. } = transaction.handle_request();
        if let Some(bytes) = transmit {
            self.core.resend_reply(leg, reply, bytes);
        }
    }

    /// An ACK: for a refusal it belongs to the INVITE's transaction, for a 2xx to the dialog. Any other is dropped.
    fn handle_ack(&mut self, arrival: Arrival, key: &ServerKey, request: &Request) {
        if let Some(tx) = self.core.transactions.find_server(key) {
            let Some(transaction) = self.core.transactions.server(tx) else { return };
            let ServerMachine::Invite(machine) = &mut transaction.machine else { return };
            let Reaction { deliver, .. } = machine.handle_ack(arrival.now);
            self.core.reschedule_server(tx);
            if !deliver {
                return;
            }
        }
        if let Some(leg) = self.find_dialog(arrival.from.ip(), arrival.way, request) {
            self.confirm(arrival.now, leg, request);
        }
    }

    /// The leg of a request inside a dialog: Call-ID and both tags agree, and the sender is one the peer has named, or
    /// another machine of the same peer: behind one name there are often several, and each may speak for a call.
    pub(super) fn find_dialog(&self, from_ip: IpAddr, way: Way, request: &Request) -> Option<LegId> {
        let headers = &request.headers;
        let local_tag = headers.to().ok()?.tag()?.clone();
        let id = DialogId { call_id: headers.call_id().ok()?, local_tag };
        // Nothing that came a lesser way touches a leg: who is to be trusted was settled on its own.
        let leg = self.legs.get(self.dialogs.get(&id)?)?;
        if !self.core.ways.may_reach(Way::of(leg.id), way) {
            return None;
        }
        let from = headers.from().ok()?;
        let is_of_peer = self.core.is_of_peer(&leg.label, from_ip);
        let is_meant = |dialog: &crate::dialog::Dialog| {
            dialog.is_from_peer(from.tag()) && (is_of_peer || leg.peer.is_known(from_ip, dialog))
        };
        let found = match &leg.stage {
            Stage::Outgoing(outgoing) => outgoing.early.iter().map(|early| &early.dialog).any(is_meant),
            Stage::Incoming(incoming) => is_meant(&incoming.dialog),
            Stage::Up(up) => is_meant(&up.dialog),
            Stage::Closing { dialog, .. } => is_meant(dialog),
            Stage::Closed => false,
        };
        found.then_some(leg.id)
    }

    /// Whose request it is, and whether it came before.
    fn whose(&mut self, from: SocketAddr, way: Way, key: &ServerKey, request: &Request) -> (Option<LegId>, bool) {
        let transactions = &mut self.core.transactions;
        if let Some(tx) = transactions.find_server(key) {
            let leg = transactions.server(tx).map(|server| server.leg);
            return (leg, request.method != Method::Ack);
        }
        if request.method == Method::Cancel {
            let invite = ServerKey::of_cancelled(request).ok().and_then(|key| transactions.find_server(&key));
            let server = invite.and_then(|tx| transactions.server(tx)).filter(|server| server.source == from.ip());
            return (server.map(|server| server.leg), false);
        }
        let Some(id) = self.find_dialog(from.ip(), way, request) else { return (None, false) };
        let is_awaited = match self.legs.get(&id).map(|leg| &leg.stage) {
            Some(Stage::Up(up)) => up.unacked.is_some(),
            Some(Stage::Outgoing(_) | Stage::Incoming(_) | Stage::Closing { .. } | Stage::Closed) | None => false,
        };
        (Some(id), request.method == Method::Ack && !is_awaited)
    }

    fn handle_response(&mut self, now: Instant, from: SocketAddr, way: Way, bytes: &Bytes, response: &Response) {
        let found = ClientKey::of_response(response).ok().and_then(|key| self.core.transactions.find_client(&key));
        let is_ours = via::is_ours(&response.headers, &self.core.addresses);
        let Core { transactions, ways, stats, .. } = &mut self.core;
        let Some((tx, transaction)) = found
            .filter(|_| is_ours)
            .and_then(|tx| transactions.client(tx).map(|found| (tx, found)))
            .filter(|(_, found)| ways.may_answer(found.way, way))
        else {
            stats.stray_responses += 1;
            return;
        };
        let (to, went, leg) = (transaction.to, transaction.way, Some(transaction.user.leg()));
        let again = transaction.has_answered(response);
        self.core.look_outside(now, to, went, &response.headers);
        self.core.trace(leg, bytes, from, false, again);
        let Some(transaction) = self.core.transactions.client(tx) else { return };
        let Reaction { transmit, deliver, .. } = match (&mut transaction.machine, &transaction.user) {
            (ClientMachine::Invite(machine), User::Invite(sent)) => {
                machine.handle_response(now, response.status, || compose::ack_of_refusal(&sent.request, response))
            }
            (
                ClientMachine::Invite(_),
                User::Bye(_)
                | User::ByeToFork(_)
                | User::Update(_)
                | User::Prack(_)
                | User::Cancel(_)
                | User::Digit(_)
                | User::Ask(_)
                | User::Ping(..)
                | User::Refer(_)
                | User::Notify(_),
            ) => Reaction::nothing(),
            (ClientMachine::Other(machine), _) => machine.handle_response(now, response.status),
        };
        match transmit {
            Some(bytes) if deliver => self.core.send_over(went, leg, to, bytes),
            Some(bytes) => self.core.resend_over(went, leg, to, bytes),
            None => {}
        }
        if deliver {
            self.deliver_response(now, from, tx, response);
        }
        self.core.reschedule_client(tx);
    }

    fn deliver_response(&mut self, now: Instant, from: SocketAddr, tx: TxId, response: &Response) {
        let Some(transaction) = self.core.transactions.client(tx) else { return };
        match &transaction.user {
            User::Invite(sent) if sent.again => {
                let leg = sent.leg;
                self.handle_reinvite_response(now, tx, leg, response);
            }
            User::Invite(_) => self.handle_first_invite_response(now, from.ip(), tx, response),
            User::Bye(leg) => {
                let leg = *leg;
                self.handle_bye_response(now, leg, response);
            }
            User::Update(leg) => {
                let leg = *leg;
                self.handle_update_response(now, tx, leg, response);
            }
            User::Ping(leg, sent) => {
                let (leg, sent) = (*leg, *sent);
                self.handle_ping_response(now, leg, sent, response);
            }
            User::Digit(leg) => {
                let leg = *leg;
                self.handle_digit_response(now, leg, response);
            }
            User::Ask(leg) => {
                let leg = *leg;
                self.handle_ask_response(leg, response);
            }
            User::Prack(_) => self.handle_prack_response(now, tx, response),
            User::Refer(leg) => {
                let leg = *leg;
                self.handle_refer_response(now, leg, response);
            }
            User::Notify(leg) => {
                let leg = *leg;
                self.handle_told(now, leg, response);
            }
            User::ByeToFork(_) | User::Cancel(_) => {}
        }
    }
}
