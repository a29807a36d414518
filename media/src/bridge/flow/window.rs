//! The reorder window of audio that is coded as it comes: packets that have overtaken others wait for those, a little.
//!
//! A gap is a loss or a packet that is late, which nobody can tell but by waiting. Where packets only get lost, waiting
//! helps nobody and makes the listener's buffer grow; so whoever has waited in vain a few times waits no more, until a
//! packet does come late.

use std::time::{Duration, Instant};

use super::Packet;
use crate::api::ReorderStats;
use crate::audio::Codec;
use crate::rtp::RtpPacket;

/// A packet waits for those before it no longer than this...
const PATIENCE: Duration = Duration::from_millis(40);

/// ...nor for more of them, nor together with more, than this.
const MOST: usize = 4;

/// So many gaps in a row that turn out to be losses are waited for.
const HOPE: u8 = 4;

/// Packets that wait.
#[derive(Debug)]
pub(super) struct Window {
    /// The oldest first, one at most of each number.
    waiting: Vec<Waiting>,
    /// Memory of those that do not wait any more.
    spare: Vec<Vec<u8>>,
    /// Gaps that are yet waited for.
    hope: u8,
    stats: ReorderStats,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Waiting {
    codec: Codec,
    sequence: u64,
    since: Instant,
    header: RtpPacket<'static>,
    payload: Vec<u8>,
}

/// Where a packet belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// It is played now, whatever waits.
    Now,
    /// It waits, or does so already.
    Waits,
    /// It is played now, after all that waits.
    Last,
}

impl Default for Window {
    fn default() -> Self {
        Self { waiting: Vec::new(), spare: Vec::new(), hope: HOPE, stats: ReorderStats::default() }
    }
}

impl Window {
    /// Takes in a packet, of which those before `due` were played.
    pub(super) fn place(&mut self, now: Instant, due: u64, packet: &Packet<'_>) -> Place {
        let Some(missing) = packet.sequence.checked_sub(due) else {
            // Somebody would have been glad to wait for it.
            self.hope = HOPE;
            return Place::Now;
        };
        if missing == 0 {
            if !self.waiting.is_empty() {
                self.hope = HOPE;
                self.stats.put_right += 1;
            }
            return Place::Now;
        }
        let hopes = self.hope > 0 || !self.waiting.is_empty();
        let alike = self.waiting.iter().all(|waiting| waiting.codec == packet.codec);
        if !hopes || !alike || missing > MOST as u64 {
            return Place::Last;
        }
        let place = self.waiting.partition_point(|waiting| waiting.sequence < packet.sequence);
        if self.waiting.get(place).is_none_or(|waiting| waiting.sequence != packet.sequence) {
            let mut payload = self.spare.pop().unwrap_or_default();
            payload.clear();
            payload.extend_from_slice(packet.rtp.payload);
            let (codec, sequence) = (packet.codec, packet.sequence);
            let header = RtpPacket { payload: &[], ..packet.rtp };
            self.stats.put_right += u64::from(place < self.waiting.len());
            self.waiting.insert(place, Waiting { codec, sequence, since: now, header, payload });
        }
        Place::Waits
    }

    /// Takes out the first that waits if it is due, or, once it has waited for long enough, though it is not; or `all`.
    pub(super) fn take(&mut self, now: Instant, due: u64, all: bool) -> Option<Waiting> {
        let first = self.waiting.first()?;
        let gap = first.sequence > due;
        let over = now.saturating_duration_since(first.since) >= PATIENCE || self.waiting.len() > MOST;
        if gap && !over && !all {
            return None;
        }
        self.hope = self.hope.saturating_sub(u8::from(gap));
        self.stats.given_up += u64::from(gap);
        Some(self.waiting.remove(0))
    }

    /// Takes back the memory of one that was taken out.
    pub(super) fn reuse(&mut self, taken: Waiting) {
        self.spare.push(taken.payload);
    }

    /// Forgets all that waits; how many those were.
    pub(super) fn clear(&mut self) -> u64 {
        let forgotten = self.waiting.len();
        self.spare.extend(self.waiting.drain(..).map(|waiting| waiting.payload));
        forgotten as u64
    }

    pub(super) fn stats(&self) -> ReorderStats {
        self.stats
    }

    /// When the first of them has waited for long enough.
    pub(super) fn until(&self) -> Option<Instant> {
        self.waiting.first().map(|first| first.since + PATIENCE)
    }
}

impl Waiting {
    pub(super) fn packet(&self) -> Packet<'_> {
        let rtp = RtpPacket { payload: &self.payload, ..self.header };
        Packet { codec: self.codec, sequence: self.sequence, restarted: false, red: None, rtp }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::{PayloadType, Ssrc};

    /// A window, told of packets by their numbers and when they come.
    struct Line {
        window: Window,
        began: Instant,
        due: u64,
        /// Milliseconds and number.
        played: Vec<(u64, u64)>,
    }

    impl Line {
        fn new() -> Self {
            #[allow(clippy::disallowed_methods)] // Where virtual time begins.
            let began = Instant::now() + Duration::from_secs(3600);
            Self { window: Window::default(), began, due: 0, played: Vec::new() }
        }

        fn at(&self, ms: u64) -> Instant {
            self.began + Duration::from_millis(ms)
        }

        fn comes(&mut self, ms: u64, sequence: u64) {
            self.passes(ms);
            let (payload_type, payload) = (PayloadType(111), &[sequence as u8][..]);
            let (marker, ssrc, timestamp) = (false, Ssrc(1), sequence as u32 * 960);
            let rtp = RtpPacket { marker, payload_type, sequence: sequence as u16, timestamp, ssrc, payload };
            let packet = Packet { codec: Codec::Opus, sequence, restarted: false, red: None, rtp };
            match self.window.place(self.at(ms), self.due, &packet) {
                Place::Waits => return self.releases(ms, false),
                Place::Last => self.releases(ms, true),
                Place::Now => {}
            }
            if sequence >= self.due {
                self.plays(ms, sequence);
                self.releases(ms, false);
            }
        }

        fn passes(&mut self, ms: u64) {
            while let Some(until) = self.window.until().filter(|until| *until <= self.at(ms)) {
                let then = until.saturating_duration_since(self.began).as_millis() as u64;
                self.releases(then, false);
            }
        }

        fn releases(&mut self, ms: u64, all: bool) {
            while let Some(taken) = self.window.take(self.at(ms), self.due, all) {
                let packet = taken.packet();
                assert_eq!(packet.rtp.payload, [packet.sequence as u8]);
                self.plays(ms, packet.sequence);
                self.window.reuse(taken);
            }
        }

        fn plays(&mut self, ms: u64, sequence: u64) {
            self.played.push((ms, sequence));
            self.due = sequence + 1;
        }
    }

    #[test]
    fn what_overtook_waits_and_no_longer_than_it_may() {
        type Times = &'static [(u64, u64)];
        // What comes, and what is played: milliseconds and number; packets put right, and gaps waited for in vain.
        let rows: [(Times, Times, (u64, u64)); 7] = [
            (&[(0, 0), (20, 1), (40, 2)], &[(0, 0), (20, 1), (40, 2)], (0, 0)),
            (&[(0, 0), (40, 2), (45, 1), (60, 3)], &[(0, 0), (45, 1), (45, 2), (60, 3)], (1, 0)),
            // Three have overtaken one, and two one of them.
            (&[(0, 0), (40, 2), (60, 3), (70, 1)], &[(0, 0), (70, 1), (70, 2), (70, 3)], (1, 0)),
            (&[(0, 0), (60, 3), (62, 1), (64, 2)], &[(0, 0), (62, 1), (64, 2), (64, 3)], (2, 0)),
            // It is lost, or too late.
            (&[(0, 0), (40, 2), (60, 3), (90, 1), (100, 4)], &[(0, 0), (80, 2), (80, 3), (100, 4)], (0, 1)),
            // So many are not waited for.
            (&[(0, 0), (120, 6), (121, 1), (140, 7)], &[(0, 0), (120, 6), (140, 7)], (0, 0)),
            // Two gaps: each has its time.
            (&[(0, 0), (40, 2), (80, 4), (85, 3), (200, 5)], &[(0, 0), (80, 2), (85, 3), (85, 4), (200, 5)], (1, 1)),
        ];
        for (comes, plays, (put_right, given_up)) in rows {
            let mut line = Line::new();
            comes.iter().for_each(|&(ms, sequence)| line.comes(ms, sequence));
            line.passes(10_000);
            assert_eq!(line.played, plays, "{comes:?}");
            assert_eq!(line.window.stats(), ReorderStats { put_right, given_up }, "{comes:?}");
        }
    }

    #[test]
    fn a_burst_does_not_wait_beyond_its_room() {
        let mut line = Line::new();
        [0, 2, 3, 4, 5, 6].iter().for_each(|&sequence| line.comes(0, sequence));
        assert_eq!(line.played, [0, 2, 3, 4, 5, 6].map(|sequence| (0, sequence)));
    }

    #[test]
    fn losses_alone_delay_nothing_after_the_first_few() {
        let mut line = Line::new();
        for sequence in (0..2_000u64).filter(|sequence| sequence % 10 != 9) {
            line.comes(20 * sequence, sequence);
        }
        let late: Vec<_> = line.played.iter().filter(|(ms, sequence)| *ms > 20 * sequence).collect();
        assert_eq!(late.len(), 2 * usize::from(HOPE), "{late:?}");
        assert!(late.iter().all(|(ms, sequence)| ms - 20 * sequence <= 40));
        // One that comes late at last is lost; the next one is not.
        for (ms, sequence) in [(0, 0), (40, 2), (41, 1), (60, 3), (100, 5), (101, 4)] {
            line.comes(40_000 + ms, 2_000 + sequence);
        }
        let played: Vec<u64> = line.played.iter().map(|(_, sequence)| *sequence).filter(|n| *n >= 2_000).collect();
        assert_eq!(played, [2_000, 2_002, 2_003, 2_004, 2_005]);
    }

    #[test]
    fn what_comes_twice_waits_once_and_memory_is_used_again() {
        let mut line = Line::new();
        for round in 0..100u64 {
            let first = 3 * round;
            for (ms, sequence) in [(0, first), (40, first + 2), (41, first + 2), (45, first + 1)] {
                line.comes(60 * round + ms, sequence);
            }
        }
        assert_eq!(line.played.len(), 300);
        assert_eq!(line.window.spare.len(), 1);
        line.comes(10_000, 302);
        assert_eq!((line.window.clear(), line.window.until()), (1, None));
    }
}
