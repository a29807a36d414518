//! A phone that calls the gateway.

use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use trunkline_signaling::endpoint::{Event, Failure, Invite, Reliable, Transport};
use trunkline_signaling::message::{Headers, Uri};

use super::line::Line;
use super::{PhoneEnd, SimPhone};
use crate::world::sdp;

impl SimPhone {
    /// Calls whoever waits under this name at the gateway.
    ///
    /// # Panics
    /// When the phone has too many calls.
    pub fn call(&mut self, now: Instant, gateway: SocketAddr, name: &str) {
        let port = 40_000 + 2 * u16::try_from(self.lines.len()).unwrap();
        let rtp = SocketAddr::new(self.address.ip(), port);
        let offer = sdp::write(rtp, self.script.codec, self.script.events, 1, "sendrecv");
        let invite = Invite {
            target: gateway,
            over: Transport::Udp,
            uri: Uri::parse(&Bytes::from(format!("sip:{name}@gw.example"))).unwrap(),
            from_user: "phone".into(),
            from_display: Some("Phone".into()),
            anonymous: false,
            reliable: Reliable::default(),
            headers: Headers::default(),
            sdp: offer.into(),
            credentials: None,
            session_expires: 0,
            label: String::new(),
        };
        let leg = self.sip.invite(now, invite).unwrap();
        self.lines.push(Line::new(now, leg, &self.script, rtp, rtp));
    }

    /// What becomes of a call of its own.
    pub(super) fn progressed(&mut self, now: Instant, event: Event) {
        if let Event::Provisional { status, .. } = event {
            self.log.push(if status == 180 { "phone: it rings there" } else { "phone: progress" });
        } else if let Event::Answered { leg, sdp, .. } = event {
            self.log.push("phone: answered");
            let Some(line) = self.lines.iter_mut().find(|line| line.leg == leg) else { return };
            let Some(described) = sdp.as_deref().and_then(sdp::read) else { return };
            line.remote = described.address;
            line.answered_at = Some(now);
            line.confirmed = true;
            if self.script.audio {
                line.mouth.say(now, self.script.says);
            }
        } else if let Event::Failed { leg, failure } = event {
            self.log.push("phone: refused");
            let end = if let Failure::Rejected { status, .. } = failure {
                PhoneEnd::Rejected(status)
            } else if failure == Failure::Cancelled {
                PhoneEnd::HungUp
            } else {
                PhoneEnd::Lost
            };
            let Some(line) = self.lines.iter_mut().find(|line| line.leg == leg) else { return };
            if line.end.is_none() {
                line.finish(now, end);
            }
        }
    }
}
