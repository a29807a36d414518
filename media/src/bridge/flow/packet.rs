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
    /// The packets before this one that it holds too, oldest first, each with its number.
    pub(crate) fn earlier(&self) -> impl Iterator<Item = (u64, RtpPacket<'a>)> {
        let (rtp, sequence) = (self.rtp, self.sequence);
        self.red.iter().flat_map(Red::earlier).filter(move |earlier| earlier.payload_type == rtp.payload_type).map(
            move |Earlier { ago, offset, payload, .. }| {
                let timestamp = rtp.timestamp.wrapping_sub(offset);
                (sequence.saturating_sub(ago), RtpPacket { marker: false, timestamp, payload, ..rtp })
            },
        )
    }
}
