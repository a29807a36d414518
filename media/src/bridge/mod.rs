//! The bridge: what one leg says, as the other leg hears it.
//!
//! Two flows, one a direction. Each is in one of two modes, judged packet by packet: *relay* when the speaker's
//! codec is the listener's (the payload goes on at once under the listener's own header, no jitter buffer), else
//! *transcode* (jitter buffer, decode or conceal, encode, on a playout clock). Prompts, mute and comfort silence are
//! frames of the same clock. For a listener with a jitter buffer of its own, as every browser is, there is a third: what
//! has to be coded anew is coded as it comes.

mod clock;
mod flow;
mod sounds;
mod speech;
mod voice;

use std::time::{Duration, Instant};

pub(crate) use self::flow::{Comfort, Flow, Packet};
pub(crate) use self::speech::MAX_DELAY;
use crate::audio::{Codec, OpusWishes};
use crate::outbox::Outbox;
use crate::rtp::RtpPacket;

/// What a leg takes: the codec it is sent, in packets of this length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Output {
    pub(crate) codec: Codec,
    frame_ms: u32,
    /// Where it is Opus.
    pub(crate) opus: OpusWishes,
}

impl Output {
    /// Packets as long as the peer asks, where the codec can do that: multiples of 10 ms up to 60; else 20 ms.
    pub(crate) fn new(codec: Codec, ptime_ms: u32, opus: OpusWishes) -> Self {
        let possible = match codec {
            // RFC 6716 section 2.1.4 knows no frame of 30 or 50 ms.
            Codec::Opus => matches!(ptime_ms, 10 | 20 | 40 | 60),
            Codec::G722 | Codec::Pcmu | Codec::Pcma => matches!(ptime_ms, 10 | 20 | 30 | 40 | 50 | 60),
        };
        Self { codec, frame_ms: if possible { ptime_ms } else { 20 }, opus }
    }

    pub(crate) fn frame(self) -> Duration {
        Duration::from_millis(u64::from(self.frame_ms))
    }

    /// Samples of one packet at this rate, Hz.
    pub(crate) fn samples(self, rate: u32) -> u32 {
        rate / 1000 * self.frame_ms
    }
}

/// The leg a flow speaks to.
pub(crate) trait Listener {
    /// Digits have the line: audio gives way.
    fn is_busy(&self) -> bool;

    /// Sends the payload of a packet that another stream paces. `sequence` is the source's extended number;
    /// `restarted` breaks the mapping of its numbers to ours.
    fn relay(&mut self, now: Instant, source: &RtpPacket<'_>, sequence: u64, restarted: bool, out: &mut Outbox);

    /// Sends what was coded anew as it came: `samples` of the codec's RTP clock, `gap` of them after the one before, or
    /// when it is time if that is not known.
    fn pass(&mut self, now: Instant, gap: Option<u32>, samples: u32, payload: &[u8], out: &mut Outbox);

    /// Whether it was agreed that silence may be sent as comfort noise (RFC 3389).
    fn takes_noise(&self) -> bool {
        false
    }

    /// Sends comfort noise of this level, -dBov, in place of the frames that follow.
    fn noise(&mut self, _now: Instant, _level: u8, _out: &mut Outbox) {}

    /// Sends a packet of our own pace, `samples` of the codec's RTP clock after the one before.
    fn frame(&mut self, now: Instant, samples: u32, payload: &[u8], out: &mut Outbox);
}
