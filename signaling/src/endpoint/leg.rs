//! One INVITE usage: a call out, a call in, and what becomes of it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;

use super::digits::Sending;
use super::early::Early;
use super::receive::Reply;
use super::refresh::{Session, Wish};
use super::reliable::Provisionals;
use super::transactions::TxId;
use super::transfer::Refers;
use super::{Failure, Fork, Invite, LegId, Reason};
use crate::auth::DigestClient;
use crate::dialog::{Dialog, DialogId};
use crate::message::Request;
use crate::transaction::Deadlines;

/// The timers of a leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LegTimer {
    /// Repeat our 2xx (RFC 3261 section 13.3.1.4).
    Repeat2xx,
    /// The ACK for our 2xx is overdue.
    NoAck,
    /// Repeat our reliable provisional answer (RFC 3262 section 3).
    Repeat1xx,
    /// The PRACK for it is overdue.
    NoPrack,
    /// Try our refused re-INVITE again (section 14.1).
    Glare,
    /// Nobody here answered the peer's offer.
    OfferUnanswered,
    /// Nobody here answered the call.
    RingLimit,
    /// The digit sent last is over.
    NextDigit,
    /// Our refresh of the session is due (RFC 4028).
    Refresh,
    /// The session ends unless somebody refreshed it.
    SessionEnd,
    /// The peer says nothing about our REFER.
    ReferUntold,
    /// The peer's REFER was not answered here, or has come to no end.
    ReferOver,
}

impl LegTimer {
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::Repeat2xx => "leg: repeat 2xx",
            Self::NoAck => "leg: no ACK for 2xx",
            Self::Repeat1xx => "leg: repeat a reliable 1xx",
            Self::NoPrack => "leg: no PRACK for a reliable 1xx",
            Self::Glare => "leg: re-INVITE again after glare",
            Self::OfferUnanswered => "leg: offer not answered here",
            Self::RingLimit => "leg: call not answered here",
            Self::NextDigit => "leg: next digit",
            Self::Refresh => "leg: refresh the session",
            Self::SessionEnd => "leg: session not refreshed",
            Self::ReferUntold => "leg: no word about our REFER",
            Self::ReferOver => "leg: no end of the peer's REFER",
        }
    }
}

#[derive(Debug)]
pub(super) struct Leg {
    pub(super) id: LegId,
    pub(super) dialog_id: DialogId,
    pub(super) peer: Peer,
    /// Of its INVITE.
    pub(super) label: String,
    pub(super) auth: Option<DigestClient>,
    pub(super) deadlines: Deadlines<LegTimer>,
    pub(super) wish: Wish,
    /// Our offer, after the first one of the call.
    pub(super) ours: Ours,
    /// The peer's.
    pub(super) theirs: Theirs,
    pub(super) stage: Stage,
}

impl Leg {
    /// Its dialog, once there is one and no more than one.
    pub(super) fn dialog(&self) -> Option<&Dialog> {
        match &self.stage {
            Stage::Incoming(incoming) => Some(&incoming.dialog),
            Stage::Up(up) => Some(&up.dialog),
            Stage::Closing { dialog, .. } => Some(dialog),
            Stage::Outgoing(_) | Stage::Closed => None,
        }
    }
}

#[derive(Debug)]
pub(super) enum Stage {
    /// We call; no final answer yet.
    Outgoing(Box<Outgoing>),
    /// We are called; no final answer yet.
    Incoming(Box<Incoming>),
    /// Answered.
    Up(Box<Up>),
    /// Our BYE is on its way; to the caller of this endpoint the leg is gone.
    Closing { dialog: Box<Dialog>, reason: Option<Reason>, challenges: u8 },
    /// Between two stages, inside one function.
    Closed,
}

#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) invite: Invite,
    /// From, with our tag.
    pub(super) from: String,
    pub(super) cseq: u32,
    pub(super) challenges: u8,
    pub(super) tx: TxId,
    /// Early dialogs, one per fork.
    pub(super) early: Vec<Early>,
    pub(super) cancel: Cancel,
}

/// What became of the wish to end a call that is not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cancel {
    /// There is none.
    No,
    /// It waits for a provisional answer (RFC 3261 section 9.1).
    Held(Option<Reason>),
    /// CANCEL was sent; this is told at the end. The Reason, for a BYE should a 2xx have crossed it.
    Sent(Failure, Option<Reason>),
    /// CANCEL was sent, and the failure was told already.
    Told,
}

#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) request: Request,
    pub(super) tx: TxId,
    pub(super) dialog: Dialog,
    pub(super) provisionals: Provisionals,
}

impl Up {
    /// A call that was answered just now.
    pub(super) fn new(dialog: Dialog, is_caller: bool, local_sdp: Option<Bytes>) -> Self {
        Self {
            dialog,
            is_caller,
            unacked: None,
            hangup: None,
            session: None,
            local_sdp,
            digits: Sending::default(),
            refers: Refers::default(),
        }
    }
}

impl Outgoing {
    /// The early dialog with whoever has this tag.
    pub(super) fn early_with(&mut self, fork: &Fork) -> Option<&mut Early> {
        self.early.iter_mut().find(|early| early.is_with(fork))
    }
}

impl Stage {
    /// The dialog with whoever has this tag.
    pub(super) fn dialog_with(&mut self, fork: &Fork) -> Option<&mut Dialog> {
        match self {
            Self::Outgoing(outgoing) => outgoing.early_with(fork).map(|early| &mut early.dialog),
            Self::Incoming(incoming) => Some(&mut incoming.dialog),
            Self::Up(up) => Some(&mut up.dialog).filter(|dialog| fork.names(dialog)),
            Self::Closing { .. } | Self::Closed => None,
        }
    }

    /// Notes our description that holds from now on.
    pub(super) fn set_local(&mut self, fork: &Fork, sdp: Bytes) {
        let holds = match self {
            Self::Outgoing(outgoing) => outgoing.early_with(fork).map(|early| &mut early.local_sdp),
            Self::Incoming(incoming) => Some(&mut incoming.provisionals.local_sdp),
            Self::Up(up) => Some(&mut up.local_sdp),
            Self::Closing { .. } | Self::Closed => None,
        };
        if let Some(holds) = holds {
            *holds = Some(sdp);
        }
    }
}

#[derive(Debug)]
pub(super) struct Up {
    pub(super) dialog: Dialog,
    /// We made the Call-ID (for section 14.1).
    pub(super) is_caller: bool,
    pub(super) unacked: Option<Unacked>,
    /// A hang-up that waits for the ACK of our first 2xx.
    pub(super) hangup: Option<Option<Reason>>,
    /// The session timer both ends agreed on.
    pub(super) session: Option<Session>,
    /// Our description that holds.
    pub(super) local_sdp: Option<Bytes>,
    /// Digits that go by INFO.
    pub(super) digits: Sending,
    pub(super) refers: Refers,
}

/// Our offer.
#[derive(Debug)]
pub(super) enum Ours {
    None,
    /// It waits for a glare timer or for the peer's INVITE to end.
    Waiting(Offer),
    /// It is on its way.
    Sent {
        tx: TxId,
        offer: Offer,
    },
}

/// One offer of ours: what it says, what brings it, and what its forerunners met with.
#[derive(Debug, Clone)]
pub(super) struct Offer {
    pub(super) sdp: Bytes,
    pub(super) by: By,
    pub(super) challenges: u8,
    pub(super) glares: u8,
    /// It only refreshes the session.
    pub(super) is_refresh: bool,
}

impl Offer {
    pub(super) fn new(sdp: Bytes, by: By) -> Self {
        Self { sdp, by, challenges: 0, glares: 0, is_refresh: false }
    }
}

/// What brings an offer of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum By {
    /// A re-INVITE.
    Invite,
    /// An UPDATE, in an early dialog or after (RFC 3311).
    Update(Fork),
}

/// The peer's offer, while nobody answered it here.
#[derive(Debug)]
pub(super) enum Theirs {
    None,
    /// In an INVITE, UPDATE or PRACK.
    Pending {
        tx: TxId,
        request: Box<Request>,
    },
    /// In a reliable provisional answer to our INVITE without one: the PRACK brings our answer (RFC 3262 section 5).
    InProvisional {
        fork: Fork,
        rack: String,
    },
    /// In the 2xx to our INVITE without one: the ACK brings our answer (RFC 3261 section 13.2.1).
    InAnswer {
        tx: TxId,
        fork: Fork,
    },
}

impl Theirs {
    pub(super) const fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }
}

/// Our 2xx to an INVITE without its ACK.
#[derive(Debug)]
pub(super) struct Unacked {
    pub(super) cseq: u32,
    pub(super) response: Bytes,
    pub(super) reply: Reply,
    pub(super) interval: Duration,
    /// The 2xx carries an offer; the ACK brings the answer.
    pub(super) offers: bool,
    /// To the INVITE that began the call.
    pub(super) is_first: bool,
}

/// Where the peer of a leg was met.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer {
    /// Where the INVITE went, or came from.
    pub(super) address: SocketAddr,
    /// Who sent the message that made the dialog.
    pub(super) met: IpAddr,
    /// The peer opened this connection for the INVITE, and it is still there.
    pub(super) connection: Option<SocketAddr>,
}

impl Peer {
    /// One that was met there.
    pub(super) fn at(address: SocketAddr) -> Self {
        Self { address, met: address.ip(), connection: None }
    }

    /// Whether a request from this address may touch the dialog: it is where we talk to, or the peer named it.
    pub(super) fn is_known(&self, ip: IpAddr, dialog: &Dialog) -> bool {
        let ip = ip.to_canonical();
        self.address.ip().to_canonical() == ip
            || self.met.to_canonical() == ip
            || dialog.addresses().any(|address| address.ip().to_canonical() == ip)
    }

    /// Where requests of a dialog go. A private address named by a peer whom we meet at a public one is its mistake
    /// (it does not know its NAT), or worse.
    /// A connection that the peer opened for this very dialog is as good as one to the same address (as RFC 5923 has
    /// it, though for no other dialog: nobody has proven to be the only one there).
    pub(super) fn next_hop(&self, dialog: &Dialog) -> SocketAddr {
        match (dialog.next_hop(), self.connection) {
            (Some(hop), Some(connection)) if hop.ip().to_canonical() == connection.ip().to_canonical() => {
                return connection;
            }
            (None, Some(connection)) => return connection,
            (Some(_) | None, _) => {}
        }
        match dialog.next_hop() {
            Some(hop) if is_private(hop.ip()) && !is_private(self.address.ip()) => self.address,
            Some(hop) => hop,
            None => self.address,
        }
    }

    /// Whether our credentials may go there: only to whom they are for.
    pub(super) fn may_authorize(&self, to: SocketAddr) -> bool {
        self.address.ip().to_canonical() == to.ip().to_canonical()
    }
}

fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [first, second, ..] = ip.octets();
            let is_shared = first == 100 && (64..128).contains(&second);
            ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified() || is_shared
        }
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unspecified() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}
