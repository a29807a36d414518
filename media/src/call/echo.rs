//! A call without a trunk: what the browser says goes back to it, so that the path and the microphone are tried before
//! anybody is called.

use std::time::Instant;

use super::Call;
use super::browser_leg::BrowserLeg;
use crate::audio::Codec;
use crate::bridge::{Flow, Output, Packet};
use crate::outbox::Outbox;
use crate::rtp::RtpPacket;
use crate::rtp::receiver::Accepted;
use crate::trunk::TrunkLeg;

impl Call {
    /// The flow that would go to the trunk ends at the browser from now on.
    pub(super) fn echo(&mut self, now: Instant) {
        self.echoes = true;
        self.answered = true;
        self.rewire(now);
        self.look_now(now);
    }

    /// What the flow from the browser and the one from the trunk may send now.
    pub(super) fn listeners(&self) -> (Option<Output>, Option<Output>) {
        if self.echoes {
            (self.browser.output(), None)
        } else {
            (self.trunk.as_ref().and_then(TrunkLeg::output), self.browser.output())
        }
    }
}

/// A packet on its way back. It is a copy: what came is only lent until the transport may be used again.
pub(super) struct Echoed {
    codec: Codec,
    sequence: u64,
    restarted: bool,
    header: RtpPacket<'static>,
    payload: Vec<u8>,
}

impl Echoed {
    pub(super) fn of(codec: Codec, accepted: &Accepted, packet: &RtpPacket<'_>) -> Self {
        let RtpPacket { marker, payload_type, sequence, timestamp, ssrc, payload } = *packet;
        let header = RtpPacket { marker, payload_type, sequence, timestamp, ssrc, payload: &[] };
        Self { codec, sequence: accepted.sequence, restarted: accepted.restarted, header, payload: payload.to_vec() }
    }

    pub(super) fn back(&self, now: Instant, flow: &mut Flow, browser: &mut BrowserLeg, out: &mut Outbox) {
        let rtp = RtpPacket { payload: &self.payload, ..self.header };
        let packet = Packet { codec: self.codec, sequence: self.sequence, restarted: self.restarted, red: None, rtp };
        flow.push(now, &packet, browser, out);
    }
}
