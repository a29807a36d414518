//! The live transactions of an endpoint, found by key, by peer address and by number.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use bytes::Bytes;

use super::LegId;
use super::early::SentPrack;
use super::receive::Reply;
use super::room::give_back;
use super::way::Way;
use crate::message::{Headers, Request, Response};
use crate::transaction::{
    Client, ClientInvite, ClientInviteState, ClientKey, ClientState, Reaction, Server, ServerInvite, ServerInviteState,
    ServerKey, ServerState,
};

/// Names a transaction of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct TxId(pub(super) u64);

/// Forks that may answer one INVITE 2xx; 2xx of further ones are not answered.
pub(super) const MAX_FORKS: usize = 16;

#[derive(Debug)]
pub(super) enum ClientMachine {
    Invite(ClientInvite),
    Other(Client),
}

/// Whom a client transaction serves.
#[derive(Debug)]
pub(super) enum User {
    /// An INVITE, the first or a later one.
    Invite(Box<SentInvite>),
    /// A BYE; the leg waits for its end.
    Bye(LegId),
    /// A BYE for a fork that nobody wants.
    ByeToFork(LegId),
    /// An UPDATE: an offer of ours, or what refreshes the session.
    Update(LegId),
    /// A PRACK.
    Prack(Box<SentPrack>),
    /// A REFER.
    Refer(LegId),
    /// A NOTIFY about a REFER of the peer's.
    Notify(LegId),
    /// A CANCEL. What matters is what becomes of the INVITE.
    Cancel(LegId),
    /// An INFO with a digit.
    Digit(LegId),
    /// Another request outside of any call.
    Ask(LegId),
    /// An OPTIONS outside of any call, and when it was sent.
    Ping(LegId, Instant),
}

impl User {
    /// Whose message it is.
    pub(super) fn leg(&self) -> LegId {
        match self {
            Self::Invite(sent) => sent.leg,
            Self::Prack(sent) => sent.leg,
            Self::Bye(leg)
            | Self::ByeToFork(leg)
            | Self::Update(leg)
            | Self::Cancel(leg)
            | Self::Digit(leg)
            | Self::Ask(leg)
            | Self::Refer(leg)
            | Self::Notify(leg)
            | Self::Ping(leg, _) => *leg,
        }
    }
}

#[derive(Debug)]
pub(super) struct SentInvite {
    pub(super) leg: LegId,
    /// Inside a dialog.
    pub(super) again: bool,
    pub(super) request: Request,
    /// ACKs for 2xx by To tag, to repeat for each repetition of the 2xx.
    pub(super) acks: Vec<(Option<Bytes>, (Way, SocketAddr), Bytes)>,
}

#[derive(Debug)]
pub(super) struct ClientTx {
    key: ClientKey,
    pub(super) machine: ClientMachine,
    pub(super) to: SocketAddr,
    /// What carries it: what carries its leg, unless its size asks for another.
    pub(super) way: Way,
    pub(super) user: User,
    /// The same request for a datagram, while only its size sends it over a connection (RFC 3261 section 18.1.1).
    pub(super) plain: Option<Bytes>,
    /// It was sent again because the connection broke it went over.
    pub(super) resent: bool,
}

impl ClientTx {
    pub(super) fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        let next = match &self.machine {
            ClientMachine::Invite(machine) => machine.poll_timeout(),
            ClientMachine::Other(machine) => machine.poll_timeout(),
        };
        next.map(|(at, timer)| (at, timer.reason()))
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) -> Option<Reaction> {
        match &mut self.machine {
            ClientMachine::Invite(machine) => machine.handle_timeout(now),
            ClientMachine::Other(machine) => machine.handle_timeout(now),
        }
    }

    pub(super) fn branch(&self) -> &Bytes {
        &self.key.branch
    }

    /// The request, while nothing at all has come for it.
    pub(super) fn unanswered(&self) -> Option<Bytes> {
        match &self.machine {
            ClientMachine::Invite(machine) => machine.unanswered(),
            ClientMachine::Other(machine) => machine.unanswered(),
        }
    }

    /// Whether its user wants nothing of it any more.
    pub(super) fn is_given_up(&self) -> bool {
        match &self.machine {
            ClientMachine::Invite(machine) => machine.is_given_up(),
            ClientMachine::Other(_) => false,
        }
    }

    pub(super) fn handle_transport_error(&mut self) -> Reaction {
        match &mut self.machine {
            ClientMachine::Invite(machine) => machine.handle_transport_error(),
            ClientMachine::Other(machine) => machine.handle_transport_error(),
        }
    }

    /// Whether a response like this came before.
    pub(super) fn has_answered(&self, response: &Response) -> bool {
        match (&self.machine, &self.user) {
            (ClientMachine::Invite(machine), User::Invite(sent)) => match machine.state() {
                ClientInviteState::Calling { .. } | ClientInviteState::Proceeding { .. } => false,
                ClientInviteState::Accepted => {
                    let tag = response.headers.to().ok().and_then(|to| to.tag().cloned());
                    sent.acks.iter().any(|(acked, ..)| *acked == tag)
                }
                ClientInviteState::Completed { .. } | ClientInviteState::Terminated => true,
            },
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
            ) => false,
            (ClientMachine::Other(machine), _) => match machine.state() {
                ClientState::Trying { .. } | ClientState::Proceeding => false,
                ClientState::Completed | ClientState::Terminated => true,
            },
        }
    }

    pub(super) fn is_terminated(&self) -> bool {
        match &self.machine {
            ClientMachine::Invite(machine) => *machine.state() == ClientInviteState::Terminated,
            ClientMachine::Other(machine) => machine.state() == ClientState::Terminated,
        }
    }
}

#[derive(Debug)]
pub(super) enum ServerMachine {
    Invite(ServerInvite),
    Other(Server),
}

/// What an INVITE has in common with its copies that came over other paths (RFC 3261 section 8.2.2.2).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct MergeKey {
    from_tag: Option<Bytes>,
    call_id: Bytes,
    cseq: u32,
}

impl MergeKey {
    pub(super) fn of(headers: &Headers) -> Option<Self> {
        Some(Self {
            from_tag: headers.from().ok()?.tag().cloned(),
            call_id: headers.call_id().ok()?,
            cseq: headers.cseq().ok()?.number,
        })
    }
}

#[derive(Debug)]
pub(super) struct ServerTx {
    key: ServerKey,
    merge: Option<MergeKey>,
    pub(super) machine: ServerMachine,
    /// Where responses go.
    pub(super) reply: Reply,
    /// Where the request came from; a CANCEL has to come from there as well.
    pub(super) source: IpAddr,
    pub(super) leg: LegId,
}

impl ServerTx {
    pub(super) fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        let next = match &self.machine {
            ServerMachine::Invite(machine) => machine.poll_timeout(),
            ServerMachine::Other(machine) => machine.poll_timeout(),
        };
        next.map(|(at, timer)| (at, timer.reason()))
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) -> Option<Reaction> {
        match &mut self.machine {
            ServerMachine::Invite(machine) => machine.handle_timeout(now),
            ServerMachine::Other(machine) => machine.handle_timeout(now),
        }
    }

    pub(super) fn handle_request(&mut self) -> Reaction {
        match &mut self.machine {
            ServerMachine::Invite(machine) => machine.handle_request(),
            ServerMachine::Other(machine) => machine.handle_request(),
        }
    }

    pub(super) fn handle_answer(&mut self, now: Instant, status: u16, bytes: Bytes) -> Reaction {
        match &mut self.machine {
            ServerMachine::Invite(machine) => machine.handle_answer(now, status, bytes),
            ServerMachine::Other(machine) => machine.handle_answer(now, status, bytes),
        }
    }

    pub(super) fn is_terminated(&self) -> bool {
        match &self.machine {
            ServerMachine::Invite(machine) => *machine.state() == ServerInviteState::Terminated,
            ServerMachine::Other(machine) => *machine.state() == ServerState::Terminated,
        }
    }
}

/// All transactions.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    next: u64,
    /// Boxed: the room a table keeps ready is little more than the ids.
    clients: HashMap<TxId, Box<ClientTx>>,
    client_keys: HashMap<ClientKey, TxId>,
    client_addresses: BTreeSet<(SocketAddr, TxId)>,
    servers: HashMap<TxId, Box<ServerTx>>,
    server_keys: HashMap<ServerKey, TxId>,
    merged: HashMap<MergeKey, TxId>,
}

impl Transactions {
    pub(super) fn len(&self) -> usize {
        self.clients.len().saturating_add(self.servers.len())
    }

    pub(super) fn add_client(&mut self, key: ClientKey, machine: ClientMachine, to: SocketAddr, user: User) -> TxId {
        let id = self.next_id();
        self.client_keys.insert(key.clone(), id);
        self.client_addresses.insert((to, id));
        let way = Way::of(user.leg());
        self.clients.insert(id, Box::new(ClientTx { key, machine, to, way, user, plain: None, resent: false }));
        id
    }

    /// A request goes elsewhere from now on.
    pub(super) fn redirect(&mut self, id: TxId, to: SocketAddr) {
        if let Some(transaction) = self.clients.get_mut(&id) {
            self.client_addresses.remove(&(transaction.to, id));
            self.client_addresses.insert((to, id));
            transaction.to = to;
        }
    }

    pub(super) fn find_client(&self, key: &ClientKey) -> Option<TxId> {
        self.client_keys.get(key).copied()
    }

    pub(super) fn client(&mut self, id: TxId) -> Option<&mut ClientTx> {
        self.clients.get_mut(&id).map(AsMut::as_mut)
    }

    pub(super) fn clients_to(&self, to: SocketAddr) -> Vec<TxId> {
        self.client_addresses.range((to, TxId(0))..=(to, TxId(u64::MAX))).map(|(_, id)| *id).collect()
    }

    pub(super) fn remove_client(&mut self, id: TxId) -> Option<Box<ClientTx>> {
        let removed = self.clients.remove(&id)?;
        self.client_keys.remove(&removed.key);
        self.client_addresses.remove(&(removed.to, id));
        give_back(&mut self.clients);
        give_back(&mut self.client_keys);
        Some(removed)
    }

    pub(super) fn add_server(
        &mut self,
        key: ServerKey,
        merge: Option<MergeKey>,
        machine: ServerMachine,
        reply: Reply,
        source: IpAddr,
        leg: LegId,
    ) -> TxId {
        let id = self.next_id();
        self.server_keys.insert(key.clone(), id);
        if let Some(merge) = &merge {
            self.merged.insert(merge.clone(), id);
        }
        self.servers.insert(id, Box::new(ServerTx { key, merge, machine, reply, source, leg }));
        id
    }

    pub(super) fn find_server(&self, key: &ServerKey) -> Option<TxId> {
        self.server_keys.get(key).copied()
    }

    pub(super) fn is_merged(&self, key: &MergeKey) -> bool {
        self.merged.contains_key(key)
    }

    pub(super) fn server(&mut self, id: TxId) -> Option<&mut ServerTx> {
        self.servers.get_mut(&id).map(AsMut::as_mut)
    }

    pub(super) fn remove_server(&mut self, id: TxId) {
        if let Some(removed) = self.servers.remove(&id) {
            self.server_keys.remove(&removed.key);
            if let Some(merge) = removed.merge {
                self.merged.remove(&merge);
                give_back(&mut self.merged);
            }
            give_back(&mut self.servers);
            give_back(&mut self.server_keys);
        }
    }

    fn next_id(&mut self) -> TxId {
        self.next = self.next.wrapping_add(1);
        TxId(self.next)
    }
}
