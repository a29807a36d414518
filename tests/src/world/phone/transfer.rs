//! Phones that hand a visitor over, are asked to, or pick a call up.

use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use trunkline_media::audio::Codec;
use trunkline_signaling::endpoint::{Invite, LegId, Refer, Reliable, Transfer, TransferOrder, Transport};
use trunkline_signaling::message::{HeaderName, Headers, Uri};

use super::{Line, SimPhone};
use crate::world::sdp;

/// What a phone says to a REFER.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obeys {
    /// Takes it on, and tells these statuses.
    Tells(&'static [u16]),
    /// Takes it on and says no more.
    Silent,
    /// Refuses it.
    Refuses(u16),
}

fn uri(text: &str) -> Uri {
    Uri::parse(&Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

impl SimPhone {
    /// Hands the visitor to whomever this names.
    ///
    /// # Panics
    /// When the phone is in no call.
    pub fn refer(&mut self, now: Instant, to: &str) {
        let leg = self.line().leg;
        let refer = Refer { to: uri(to), replaces: None };
        let _ = self.sip.transfer(now, leg, TransferOrder::Refer(Box::new(refer)));
    }

    /// Speaks another codec from now on, at another port, and says so by a re-INVITE: what a trunk does that was restarted
    /// and has kept its calls.
    pub fn come_back(&mut self, now: Instant, codec: Codec) {
        let Some(line) = self.lines.last_mut().filter(|line| line.end.is_none()) else { return };
        line.rtp.set_port(line.rtp.port() + 100);
        line.speak_in(now, codec);
        line.version += 1;
        let text = sdp::write(line.rtp, codec, self.script.events, line.version, "sendrecv");
        let _ = self.sip.reinvite(now, line.leg, Bytes::from(text));
        line.mouth.say(now, self.script.says);
    }

    /// How somebody would take the phone's place in its latest call: what he says of its dialog.
    ///
    /// # Panics
    /// When the phone is in no call.
    #[must_use]
    pub fn replaceable(&self) -> Refer {
        self.sip.replaceable(self.line().leg).unwrap()
    }

    /// Calls the gateway in the place of a leg of another phone.
    ///
    /// # Panics
    /// When the phone's SIP is full.
    pub fn pick_up(&mut self, now: Instant, gateway: SocketAddr, place: &Refer) {
        let port = 40_000 + 2 * u16::try_from(self.lines.len()).unwrap();
        let rtp = SocketAddr::new(self.address.ip(), port);
        let mut headers = Headers::default();
        headers.push(HeaderName::other("Replaces"), place.replaces.as_ref().unwrap().to_string());
        let text = sdp::write(rtp, self.script.codec, self.script.events, 1, "sendrecv");
        let invite = Invite {
            target: gateway,
            over: Transport::Udp,
            uri: uri(&format!("sip:trunkline@{gateway}")),
            from_user: "agent".into(),
            from_display: None,
            headers,
            sdp: text.into(),
            credentials: None,
            session_expires: 0,
            reliable: Reliable::Off,
            anonymous: false,
            label: String::new(),
        };
        let leg = self.sip.invite(now, invite).unwrap();
        self.lines.push(Line::new(now, leg, &self.script, rtp, rtp));
    }

    pub(super) fn transferred(&mut self, now: Instant, leg: LegId, transfer: Transfer) {
        match transfer {
            Transfer::Asked(_) => {
                self.log.push("phone: asked to transfer");
                let orders: Vec<TransferOrder> = match self.script.obeys {
                    Obeys::Tells(statuses) => {
                        let told = statuses.iter().map(|status| TransferOrder::Report(*status));
                        std::iter::once(TransferOrder::Answer(Ok(()))).chain(told).collect()
                    }
                    Obeys::Silent => vec![TransferOrder::Answer(Ok(()))],
                    Obeys::Refuses(status) => vec![TransferOrder::Answer(Err(status))],
                };
                for order in orders {
                    let _ = self.sip.transfer(now, leg, order);
                }
            }
            Transfer::Accepted { .. } => self.log.push("phone: transfer accepted"),
            Transfer::Progress(..200) => self.log.push("phone: transfer goes on"),
            Transfer::Progress(200..300) => self.log.push("phone: transfer done"),
            Transfer::Progress(_) | Transfer::Refused(_) | Transfer::Untold => self.log.push("phone: transfer failed"),
            Transfer::Replaced { by, .. } => {
                let _ = self.sip.transfer(now, by, TransferOrder::Reject(603));
            }
        }
    }
}
