//! The ACK for a 2xx, which is no part of the INVITE's transaction (RFC 3261 section 13.2.2.4) and goes again with each 2xx.

use std::net::SocketAddr;

use bytes::Bytes;

use super::core::Core;
use super::outgoing::sent_invite;
use super::sending::{May, Sending};
use super::transactions::TxId;
use crate::message::{Request, Response};

/// Sends an ACK for a 2xx and keeps it with the transaction.
pub(super) fn send_ack(core: &mut Core, tx: TxId, tag: Option<Bytes>, to: SocketAddr, ack: Request) {
    let Some(transaction) = core.transactions.client(tx) else { return };
    // Nothing tells of an ACK that got lost: it goes over a connection for its size if the INVITE got through so.
    let (leg, grow) = (transaction.user.leg(), transaction.plain.is_some() && transaction.to == to);
    let Sending { bytes, way, .. } = core.finish_request(leg, to, ack, May { grow, connect: true }).sending;
    if let Some(sent) = sent_invite(core, tx) {
        sent.acks.push((tag, (way, to), bytes.clone()));
    }
    core.send_over(way, Some(leg), to, bytes);
}

/// Repeats the ACK for a 2xx that comes again; `false` if it is a new one.
pub(super) fn repeat_ack(core: &mut Core, tx: TxId, response: &Response) -> bool {
    let Ok(to) = response.headers.to() else { return true };
    let Some(sent) = sent_invite(core, tx) else { return true };
    let Some((_, address, bytes)) = sent.acks.iter().find(|(tag, ..)| tag.as_ref() == to.tag()) else { return false };
    let ((way, to), bytes, leg) = (*address, bytes.clone(), sent.leg);
    core.resend_over(way, Some(leg), to, bytes);
    true
}
