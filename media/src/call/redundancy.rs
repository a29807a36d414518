//! Packets to a browser that say once more what the one before them said (RFC 2198), for as long as it loses some.

use crate::rtp::{PayloadType, RtpPacket, red};

/// From this loss on twice the bits are worth it, and below this one they are spared.
const WORTH_IT: f64 = 0.03;
const SPARED: f64 = 0.01;

/// What is needed to say it again.
#[derive(Debug)]
pub(super) struct Redundancy {
    payload_type: PayloadType,
    wanted: bool,
    /// Number and timestamp of the packet before.
    before: Option<(u16, u32)>,
    payload: Vec<u8>,
    red: Vec<u8>,
}

impl Redundancy {
    pub(super) fn new(payload_type: PayloadType) -> Self {
        Self { payload_type, wanted: false, before: None, payload: Vec::new(), red: Vec::new() }
    }

    /// The browser loses this fraction (0..1) of our packets; whether it is told them twice from now on.
    pub(super) fn reported(&mut self, loss: f64) -> bool {
        self.wanted = loss >= if self.wanted { SPARED } else { WORTH_IT };
        self.wanted
    }

    /// A packet as it goes out.
    pub(super) fn wrap<'a>(&'a mut self, packet: RtpPacket<'a>) -> RtpPacket<'a> {
        if !self.wanted {
            self.before = None;
            return packet;
        }
        let follows = |&(number, _): &(u16, u32)| number.wrapping_add(1) == packet.sequence;
        let before = self.before.filter(follows);
        let before = before.map(|(_, at)| (packet.timestamp.wrapping_sub(at), self.payload.as_slice()));
        red::write(&mut self.red, packet.payload_type, before, packet.payload);
        self.before = Some((packet.sequence, packet.timestamp));
        self.payload.clear();
        self.payload.extend_from_slice(packet.payload);
        RtpPacket { payload_type: self.payload_type, payload: &self.red, ..packet }
    }
}
