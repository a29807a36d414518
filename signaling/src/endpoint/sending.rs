//! How a request goes out: its own Via, and over a connection what is too large for a datagram (RFC 3261 section 18.1.1).

use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;

use super::core::Core;
use super::transactions::{ClientMachine, TxId, User};
use super::way::Way;
use super::{LegId, Transport, compose};
use crate::message::{HeaderName, Request, Uri};
use crate::transaction::{Client, ClientInvite, MAGIC_COOKIE, Reliability};

/// Largest request in a datagram on a path of unknown MTU, octets.
const MAX_DATAGRAM: usize = 1_300;

/// A request as it is written down.
pub(super) struct Finished {
    pub(super) request: Request,
    pub(super) branch: Bytes,
    pub(super) sending: Sending,
}

/// What goes out, and over what.
pub(super) struct Sending {
    pub(super) bytes: Bytes,
    pub(super) way: Way,
    /// The same for a datagram, if only its size sends it over a connection.
    pub(super) plain: Option<Bytes>,
}

/// Whether a request of a leg over UDP may go over a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct May {
    /// Because of its size.
    pub(super) grow: bool,
    /// Because the peer's own URI in the dialog says so.
    pub(super) connect: bool,
}

impl Core {
    /// Gives a request its own Via and what every request of ours has.
    pub(super) fn finish_request(&mut self, leg: LegId, to: SocketAddr, mut request: Request, may: May) -> Finished {
        let branch = format!("{MAGIC_COOKIE}{}", self.token());
        let way = Way::of(leg);
        self.set_contact(leg, to, &mut request.headers);
        request.headers.push(HeaderName::UserAgent, self.config.user_agent.clone());
        self.set_via(way, to, &branch, &mut request);
        let mut sending = Sending { bytes: request.to_bytes(), way, plain: None };
        let is_large = may.grow && sending.bytes.len() > MAX_DATAGRAM;
        if way == Way::UDP
            && (is_large || (may.connect && asks_for_connection(&request)))
            && let Some(way) = self.learn_way(&Transport::Tcp)
        {
            self.stats.grown += u64::from(is_large);
            self.set_via(way, to, &branch, &mut request);
            sending = Sending { bytes: request.to_bytes(), way, plain: Some(sending.bytes) };
        }
        Finished { request, branch: branch.into(), sending }
    }

    fn set_via(&self, way: Way, to: SocketAddr, branch: &str, request: &mut Request) {
        let over = self.ways.transport(way).unwrap_or(&Transport::Udp);
        request.headers.remove(&HeaderName::Via);
        request
            .headers
            .push_front(HeaderName::Via, compose::via(self.addresses.toward(over, to.ip()), over.token(), branch));
    }

    /// No connection came up for a request that is to go over one, and not for its safety: it goes as a datagram. `false` if it is
    /// none such, or nobody wants it any more.
    pub(super) fn shrink(&mut self, now: Instant, tx: TxId) -> bool {
        let (timers, unreliable) = (self.config.timers, Reliability::Unreliable);
        let Some(transaction) = self.transactions.client(tx) else { return false };
        let is_wanted = transaction.unanswered().is_some() && !transaction.is_given_up();
        let Some(plain) = transaction.plain.take().filter(|_| is_wanted) else { return false };
        transaction.way = Way::UDP;
        match &mut transaction.machine {
            ClientMachine::Invite(machine) => *machine = ClientInvite::new(now, plain.clone(), timers, unreliable),
            ClientMachine::Other(machine) => *machine = Client::new(now, plain.clone(), timers, unreliable),
        }
        let (to, leg) = (transaction.to, transaction.user.leg());
        let branch = String::from_utf8_lossy(transaction.branch()).into_owned();
        // Its ACK and CANCEL are made of it.
        if let User::Invite(sent) = &transaction.user {
            let mut request = sent.request.clone();
            self.set_via(Way::UDP, to, &branch, &mut request);
            if let Some(User::Invite(sent)) = self.transactions.client(tx).map(|transaction| &mut transaction.user) {
                sent.request = request;
            }
        }
        self.stats.shrunk += 1;
        self.send_over(Way::UDP, Some(leg), to, plain);
        self.reschedule_client(tx);
        true
    }
}

/// Whether the next hop of a request in a dialog has said that it is reached by TCP.
fn asks_for_connection(request: &Request) -> bool {
    let is_tcp = |uri: &Uri| match uri {
        Uri::Sip(uri) => {
            uri.parameter("transport").flatten().is_some_and(|over| over.eq_ignore_ascii_case(b"tcp")) && !uri.secure
        }
        Uri::Tel(_) | Uri::Other(_) => false,
    };
    if !request.headers.to().is_ok_and(|to| to.tag().is_some()) {
        return false;
    }
    let routes = request.headers.routes(&HeaderName::Route).unwrap_or_default();
    is_tcp(routes.first().map_or(&request.uri, |route| &route.uri))
}
