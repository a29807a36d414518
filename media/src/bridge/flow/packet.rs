//! What a flow takes in.

use crate::audio::Codec;
use crate::rtp::RtpPacket;
use crate::rtp::red::{Earlier, Red};

/// An audio packet of the speaker.
pub(crate) struct Packet<'a> {
    pub(crate) codec: Codec,
    /// Extended sequence number.
    pub(crate) sequence: u64,
    /// The stream begins here, or begins anew.
    pub(crate) restarted: bool,
    /// What it says once more of the packets before it.
    pub(crate) red: Option<Red<'a>>,
    pub(crate) rtp: RtpPacket<'a>,
}

impl<'a> Packet<'a> {
    /// The packets before this one that it holds too, oldest first, each with its number. One without a payload says
    /// nothing in the place of what may yet come.
    pub(crate) fn earlier(&self) -> impl Iterator<Item = (u64, RtpPacket<'a>)> {
        let (rtp, sequence) = (self.rtp, self.sequence);
        let says = move |earlier: &Earlier<'_>| earlier.payload_type == rtp.payload_type && !earlier.payload.is_empty();
        self.red.iter().flat_map(Red::earlier).filter(says).map(move |Earlier { ago, offset, payload, .. }| {
            let timestamp = rtp.timestamp.wrapping_sub(offset);
            (sequence.saturating_sub(ago), RtpPacket { marker: false, timestamp, payload, ..rtp })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::{PayloadType, Ssrc};

    #[test]
    fn what_is_said_again_is_of_the_same_codec_and_not_empty() {
        // Four packets before this one: Opus, something else, nothing, Opus.
        let red = [
            &[0xef, 0x3c, 0x00, 0x02][..],
            &[0x80 | 101, 0x2d, 0x00, 0x01],
            &[0xef, 0x1e, 0x00, 0x00],
            &[0xef, 0x0f, 0x00, 0x01, 0x6f],
            b"aabdnow",
        ]
        .concat();
        let red = Red::parse(&red).unwrap();
        let (payload_type, payload) = red.primary;
        let rtp = RtpPacket { marker: true, payload_type, sequence: 9, timestamp: 9_600, ssrc: Ssrc(1), payload };
        assert_eq!((payload_type, payload), (PayloadType(111), &b"now"[..]));
        let packet = Packet { codec: Codec::Opus, sequence: 1_009, restarted: false, red: Some(red), rtp };
        let earlier: Vec<_> = packet.earlier().map(|(number, rtp)| (number, rtp.timestamp, rtp.payload)).collect();
        assert_eq!(earlier, [(1_005, 9_600 - 3_840, &b"aa"[..]), (1_008, 9_600 - 960, &b"d"[..])]);
    }
}
