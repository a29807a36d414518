//! Legs whose process went away: what it takes to end one is told as it changes, and an endpoint that never knew the
//! leg ends it by that.
//!
//! An answered leg is its dialog; BYE ends it. One without a final answer is its INVITE; CANCEL ends it, or a BYE should
//! a 2xx have been faster: the peer repeats that one until somebody acknowledges it.

use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;

use super::core::Core;
use super::leg::{Cancel, Leg, Ours, Outgoing, Peer, Stage, Theirs, Up};
use super::outgoing::send_cancel;
use super::refresh::Wish;
use super::session::send_bye;
use super::transactions::{ClientMachine, SentInvite, User};
use super::way::Way;
use super::{Endpoint, Event, Failure, Full, Invite, LegId, Reason, Reliable, Transport, compose};
use crate::auth::{Credentials, DigestClient};
use crate::dialog::{Dialog, DialogId};
use crate::message::{HeaderName, Headers, Message, Method, Request, parse};
use crate::transaction::{ClientInvite, ClientKey, Deadlines};

/// Requests a leg may have sent in its dialog since its snapshot was taken. Gaps in the numbers are allowed (RFC 3261
/// section 12.2.2), going back is not.
const UNSEEN_REQUESTS: u32 = 1_000_000;

/// What it takes to end a leg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegSnapshot {
    /// Where its INVITE went.
    pub peer: SocketAddr,
    /// And over what.
    pub over: Transport,
    /// [`Invite::label`].
    pub label: String,
    /// The INVITE that has no final answer, or the dialog as a BYE.
    request: Request,
}

impl LegSnapshot {
    /// One line about the way, then a SIP request, as UTF-8 so far as its peer's values are.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let way = match &self.over {
            Transport::Udp => "udp".to_owned(),
            Transport::Tcp => "tcp".to_owned(),
            Transport::Tls(domain) => format!("tls:{domain}"),
        };
        let label = self.label.replace(char::is_control, " ");
        let mut bytes = format!("{way} {} {label}\r\n", self.peer).into_bytes();
        bytes.extend_from_slice(&self.request.to_bytes());
        bytes.into()
    }

    /// Reads what [`Self::to_bytes`] wrote; `None` for anything else.
    #[must_use]
    pub fn parse(bytes: &Bytes) -> Option<Self> {
        let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
        let line = std::str::from_utf8(bytes.get(..end)?).ok()?;
        let mut words = line.splitn(3, ' ');
        let over = match words.next()? {
            "udp" => Transport::Udp,
            "tcp" => Transport::Tcp,
            way => Transport::Tls(way.strip_prefix("tls:")?.into()),
        };
        let peer = words.next()?.parse().ok()?;
        let label = words.next()?.to_owned();
        let Ok(Message::Request(request)) = parse(bytes.slice(end.checked_add(2)?..)) else { return None };
        Some(Self { peer, over, label, request })
    }

    /// The leg's Call-ID.
    #[must_use]
    pub fn call_id(&self) -> Bytes {
        self.request.headers.call_id().unwrap_or_default()
    }
}

/// A leg that is held has come to be, or has become another thing: tells what ends it now.
pub(super) fn tell(core: &mut Core, held: Option<u64>, leg: LegId, snapshot: impl FnOnce() -> LegSnapshot) {
    if let Some(serial) = held {
        let snapshot = snapshot();
        core.event(Event::Snapshot { leg, call_id: snapshot.call_id(), serial, snapshot: Some(Box::new(snapshot)) });
    }
}

/// Of an INVITE without a final answer. Its body and credentials are no part of a CANCEL or ACK.
pub(super) fn of_invite(invite: &Invite, over: Transport, sent: &Request) -> LegSnapshot {
    let request = compose::sibling(sent, Method::Invite);
    LegSnapshot { peer: invite.target, over, label: invite.label.clone(), request }
}

/// Of a dialog.
pub(super) fn of_dialog(peer: SocketAddr, over: Transport, label: String, dialog: &Dialog) -> LegSnapshot {
    let mut request = dialog.to_request();
    // Nothing is read as a message without one.
    request.headers.push_front(HeaderName::Via, "SIP/2.0/UDP 0.0.0.0");
    LegSnapshot { peer, over, label, request }
}

/// A target refresh (re-INVITE, UPDATE, and their 2xx) of an answered leg.
pub(super) fn refresh_target(
    core: &mut Core,
    now: Instant,
    (leg, peer, label): (LegId, &Peer, &str),
    up: &mut Up,
    headers: &Headers,
) {
    if up.dialog.refresh_target(headers) {
        let (held, over) = (core.hold(now, leg), core.transport(leg));
        tell(core, held, leg, || of_dialog(peer.address, over, label.to_owned(), &up.dialog));
    }
}

impl Endpoint {
    pub(super) fn end_lost(
        &mut self,
        now: Instant,
        snapshot: LegSnapshot,
        credentials: Option<Credentials>,
        reason: Reason,
    ) -> Result<LegId, Full> {
        let way = if self.is_full() { None } else { self.core.learn_way(&snapshot.over) };
        let Some(way) = way else {
            self.core.stats.overload += 1;
            return Err(Full);
        };
        self.core.stats.lost_ended += 1;
        let id = self.new_leg_id(way);
        let auth = credentials.map(|credentials| DigestClient::new(credentials, self.core.random_u64()));
        let headers = &snapshot.request.headers;
        let tag = headers.from().ok().and_then(|from| from.tag().cloned()).unwrap_or_default();
        let mut leg = Leg {
            id,
            dialog_id: DialogId { call_id: snapshot.call_id(), local_tag: tag },
            peer: Peer::at(snapshot.peer),
            label: snapshot.label.clone(),
            auth,
            deadlines: Deadlines::default(),
            wish: Wish::new(0),
            ours: Ours::None,
            theirs: Theirs::None,
            stage: Stage::Closed,
        };
        if snapshot.request.method == Method::Invite {
            self.cancel_lost(now, leg, snapshot, reason);
            return Ok(id);
        }
        let Ok(dialog) = Dialog::of_request(&snapshot.request, UNSEEN_REQUESTS) else { return Err(Full) };
        leg.stage = Stage::Closing { dialog: Box::new(dialog), reason: Some(reason), challenges: 0 };
        send_bye(&mut self.core, now, &mut leg);
        self.add_leg(leg);
        Ok(id)
    }

    /// Takes up the INVITE's transaction where a provisional answer would have left it, and cancels it.
    fn cancel_lost(&mut self, now: Instant, mut leg: Leg, snapshot: LegSnapshot, reason: Reason) {
        let LegSnapshot { peer, over, label, request } = snapshot;
        let core = &mut self.core;
        let branch = request.headers.top_via().ok().and_then(|via| via.branch).unwrap_or_default();
        let machine = ClientInvite::cancelled(now, core.config.timers, core.reliability(Way::of(leg.id)));
        let key = ClientKey { branch, method: Method::Invite };
        let (uri, id) = (request.uri.clone(), leg.id);
        let from = request.headers.get(&HeaderName::From).map(|from| String::from_utf8_lossy(from).into_owned());
        let cseq = request.headers.cseq().map_or(0, |cseq| cseq.number);
        let sent = SentInvite { leg: id, again: false, request, acks: Vec::new() };
        let user = User::Invite(Box::new(sent));
        let tx = core.transactions.add_client(key, ClientMachine::Invite(machine), peer, user);
        let invite = Invite {
            target: peer,
            over,
            uri,
            from_user: String::new(),
            from_display: None,
            headers: Headers::default(),
            sdp: Bytes::new(),
            credentials: None,
            session_expires: 0,
            reliable: Reliable::Off,
            anonymous: false,
            label,
        };
        let cancel = Cancel::Sent(Failure::Cancelled, Some(reason.clone()));
        let (from, early) = (from.unwrap_or_default(), Vec::new());
        leg.stage = Stage::Outgoing(Box::new(Outgoing { invite, from, cseq, challenges: 0, tx, early, cancel }));
        send_cancel(core, now, tx, Some(&reason));
        self.add_leg(leg);
    }
}
