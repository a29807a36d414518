//! Packets that were sent lately, for a listener that asks for what it lost (RFC 4585 section 6.2.1).

use std::time::{Duration, Instant};

use super::rtcp::nacked;
use super::{RtpPacket, Ssrc};

/// Packets kept: two thirds of a second of audio, longer than any listener's buffer waits for one.
const KEPT: usize = 32;

/// What is older comes too late to be played.
const FRESH: Duration = Duration::from_millis(400);

/// Who has asked may ask again for what was lost again: once more, and no sooner than an answer can have come.
const TRIES: u8 = 2;
const PAUSE: Duration = Duration::from_millis(20);

/// The last packets of one stream, as they are before encryption. Made once: keeping and finding a packet allocates
/// nothing once each place has held one of its size.
#[derive(Debug, Default)]
pub(crate) struct Resends {
    kept: [Kept; KEPT],
    /// Bit n: place n is asked for.
    asked: u32,
    resent: u64,
}

#[derive(Debug, Default)]
struct Kept {
    sent: Option<Instant>,
    resent: Option<Instant>,
    tries: u8,
    bytes: Vec<u8>,
}

impl Resends {
    /// A packet goes out.
    pub(crate) fn keep(&mut self, now: Instant, packet: &[u8]) {
        let Some(kept) = number(packet).and_then(|sequence| self.kept.get_mut(place(sequence))) else { return };
        kept.bytes.clear();
        kept.bytes.extend_from_slice(packet);
        (kept.sent, kept.resent, kept.tries) = (Some(now), None, 0);
    }

    /// A compound RTCP packet came: notes what it asks for of the stream `ours` that is worth sending again. `rtt_ms`:
    /// how long the answer takes to get there and be missed.
    pub(crate) fn ask(&mut self, now: Instant, compound: &[u8], ours: Ssrc, rtt_ms: Option<f64>) {
        let pause =
            Duration::try_from_secs_f64(rtt_ms.unwrap_or_default() / 1000.0).unwrap_or_default().clamp(PAUSE, FRESH);
        for sequence in nacked(compound, ours) {
            let at = place(sequence);
            if self.kept.get(at).is_some_and(|kept| kept.is_worth(now, sequence, pause)) {
                self.asked |= 1 << at;
            }
        }
    }

    /// The next packet to be sent again.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<&[u8]> {
        let at = self.asked.trailing_zeros();
        let kept = self.kept.get_mut(at as usize)?;
        self.asked &= !(1 << at);
        kept.resent = Some(now);
        kept.tries += 1;
        self.resent += 1;
        Some(&kept.bytes)
    }

    /// How many were sent again.
    pub(crate) fn resent(&self) -> u64 {
        self.resent
    }
}

impl Kept {
    fn is_worth(&self, now: Instant, sequence: u16, pause: Duration) -> bool {
        let age = |at: Instant| now.saturating_duration_since(at);
        number(&self.bytes) == Some(sequence)
            && self.tries < TRIES
            && self.sent.is_some_and(|at| age(at) <= FRESH)
            && self.resent.is_none_or(|at| age(at) >= pause)
    }
}

fn place(sequence: u16) -> usize {
    usize::from(sequence) % KEPT
}

fn number(packet: &[u8]) -> Option<u16> {
    RtpPacket::parse(packet).map(|packet| packet.sequence)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rtp::PayloadType;

    const OURS: Ssrc = Ssrc(7);

    fn start() -> Instant {
        #[allow(clippy::disallowed_methods)] // Where virtual time begins.
        Instant::now()
    }

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn packet(sequence: u16) -> Vec<u8> {
        let mut bytes = Vec::new();
        let payload = sequence.to_be_bytes();
        let packet = RtpPacket {
            marker: false,
            payload_type: PayloadType(111),
            sequence,
            timestamp: u32::from(sequence) * 960,
            ssrc: OURS,
            payload: &payload,
        };
        packet.write(&mut bytes);
        bytes
    }

    fn nack(ssrc: Ssrc, pairs: &[(u16, u16)]) -> Vec<u8> {
        let mut bytes = vec![0x81, 205, 0, 2 + pairs.len() as u8, 0, 0, 0, 1];
        bytes.extend_from_slice(&ssrc.0.to_be_bytes());
        for (first, more) in pairs {
            bytes.extend_from_slice(&first.to_be_bytes());
            bytes.extend_from_slice(&more.to_be_bytes());
        }
        bytes
    }

    /// Numbers sent again for this.
    fn answer(resends: &mut Resends, now: Instant, compound: &[u8]) -> Vec<u16> {
        resends.ask(now, compound, OURS, Some(60.0));
        std::iter::from_fn(|| resends.poll(now).and_then(number)).collect()
    }

    #[test]
    fn what_is_asked_for_is_sent_again_while_it_can_still_be_played() {
        let now = start();
        let mut resends = Resends::default();
        // Over the turn of the numbers.
        for n in 0..60u16 {
            resends.keep(now + ms(u64::from(n) * 20), &packet(65_500u16.wrapping_add(n)));
        }
        let last = now + ms(59 * 20);
        let check = |resends: &mut Resends, pairs: &[(u16, u16)], expected: &[u16]| {
            let mut sent = answer(resends, last, &nack(OURS, pairs));
            sent.sort_unstable();
            assert_eq!(sent, expected, "{pairs:?}");
        };
        check(&mut resends, &[(20, 0b101)], &[20, 21, 23]);
        check(&mut resends, &[(23, 1 << 15 | 1)], &[]);
        check(&mut resends, &[(4, 0)], &[4]);
        check(&mut resends, &[(2, 1)], &[3]);
        check(&mut resends, &[(65_520, 0), (100, 0xffff)], &[]);
        assert!(answer(&mut resends, last, &nack(Ssrc(8), &[(22, 0)])).is_empty(), "another's stream");
        assert_eq!(resends.resent(), 5);
    }

    #[test]
    fn what_is_lost_again_is_sent_once_more_and_not_before_it_can_have_come() {
        let now = start();
        let mut resends = Resends::default();
        resends.keep(now, &packet(5));
        let sent: Vec<u64> = (0..12)
            .map(|n| n * 25)
            .filter(|after| !answer(&mut resends, now + ms(*after), &nack(OURS, &[(5, 0), (5, 0)])).is_empty())
            .collect();
        assert_eq!(sent, [0, 75]);
    }

    #[test]
    fn a_packet_is_sent_again_as_it_was() {
        let now = start();
        let mut resends = Resends::default();
        resends.keep(now, &packet(9));
        // In a compound with other feedback, as browsers send it.
        let mut compound = vec![0x80, 201, 0, 1, 0, 0, 0, 1];
        compound.extend(nack(OURS, &[(9, 0)]));
        compound.extend([0x8f, 205, 0, 2, 0, 0, 0, 1, 0, 0, 0, 7]);
        resends.ask(now, &compound, OURS, None);
        assert_eq!(resends.poll(now), Some(packet(9).as_slice()));
        assert_eq!(resends.poll(now), None);
        compound.pop();
        resends.ask(now + ms(100), &compound, OURS, None);
        assert_eq!(resends.poll(now), None, "a malformed compound asks for nothing");
    }

    proptest! {
        #[test]
        fn no_request_panics_or_sends_more_than_was_kept(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            let now = start();
            let mut resends = Resends::default();
            (0..40).for_each(|n| resends.keep(now, &packet(n)));
            let compound = [&nack(OURS, &[])[..8], &OURS.0.to_be_bytes(), &bytes].concat();
            prop_assert!(answer(&mut resends, now, &compound).len() <= KEPT);
            prop_assert!(answer(&mut resends, now, &bytes).len() <= KEPT);
        }
    }
}
