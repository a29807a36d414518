//! The jitter buffer: packets in as the network delivers them, out as the listener needs them.

use std::time::{Duration, Instant};

/// Adaptive jitter buffer for one stream of one codec. Sans-IO; allocates only while it grows to its cap.
pub struct JitterBuffer {}

/// What the playout clock gets for one packet time.
#[derive(Debug, PartialEq, Eq)]
pub enum Playout<'a> {
    /// The packet due now.
    Packet {
        /// Its payload.
        payload: &'a [u8],
    },
    /// The packet due now is missing; `next` is the one after it if that is here (FEC).
    Lost {
        /// The payload of the packet after the gap.
        next: Option<&'a [u8]>,
    },
    /// Nothing to play: before the first packet, or the sender is silent (DTX, hold).
    Silence,
}

/// What the buffer counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JitterBufferStats {
    /// Packets that were played.
    pub played: u64,
    /// Packets that came after their time.
    pub late: u64,
    /// Packets that came twice.
    pub duplicate: u64,
    /// Packets thrown away because the buffer was full or jumped.
    pub overflow: u64,
    /// Packet times that had to be made up.
    pub lost: u64,
    /// Packets now waiting.
    pub buffered: u64,
    /// Delay the buffer aims at now.
    pub target_ms: u32,
    /// Delay it has now.
    pub actual_ms: u32,
}

impl JitterBuffer {
    /// A buffer for a stream with this RTP clock (Hz) that never delays by more than `max`.
    #[must_use]
    pub fn new(clock_rate: u32, max: Duration) -> Self {
        todo!()
    }

    /// Takes a packet: `sequence` extended, `timestamp` as on the wire (extended inside), `samples` in RTP clock units.
    pub fn push(&mut self, now: Instant, sequence: u64, timestamp: u32, marker: bool, samples: u32, payload: &[u8]) {
        todo!()
    }

    /// What to play for the next packet time of `frame` (called by the playout clock, e.g. every 20 ms).
    pub fn pull(&mut self, now: Instant) -> Playout<'_> {
        todo!()
    }

    /// Counters.
    #[must_use]
    pub fn stats(&self) -> JitterBufferStats {
        todo!()
    }

    /// Forgets everything buffered: the stream's source changed.
    pub fn reset(&mut self) {
        todo!()
    }
}
