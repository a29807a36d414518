//! Extended reports (RFC 3611): round trips for peers that only listen, and VoIP metrics both ways.

use super::voip::{self, VoipMetrics, VoipReport};
use crate::rtp::Ssrc;

/// A report block that we care about.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Block {
    /// Section 4.4: the sender's time, to be echoed.
    ReferenceTime {
        /// NTP timestamp, 32.32.
        ntp: u64,
    },
    /// Section 4.5: the echo of a reference time.
    Echo {
        /// Whose time.
        ssrc: Ssrc,
        /// Middle 32 bits of it.
        last: u32,
        /// Since it came, in 1/65536 s.
        delay: u32,
    },
    /// Section 4.7.
    Voip {
        /// About whose stream.
        ssrc: Ssrc,
        /// What of it.
        metrics: VoipMetrics,
    },
}

const REFERENCE_TIME: u8 = 4;
const ECHO: u8 = 5;
const VOIP: u8 = 7;

/// The blocks of an XR packet's body (its SSRC included), up to the first broken one.
pub(super) fn blocks(body: &[u8]) -> impl Iterator<Item = Block> {
    let mut rest = body.get(4..).unwrap_or_default();
    let mut echoes: &[[u8; 12]] = &[];
    std::iter::from_fn(move || {
        loop {
            if let Some((echo, more)) = echoes.split_first() {
                echoes = more;
                return Some(read_echo(echo));
            }
            let (&[kind, _, l0, l1], after) = rest.split_first_chunk::<4>()?;
            let (content, next) = after.split_at_checked(usize::from(u16::from_be_bytes([l0, l1])) * 4)?;
            rest = next;
            match kind {
                REFERENCE_TIME => {
                    if let Ok(ntp) = content.try_into() {
                        return Some(Block::ReferenceTime { ntp: u64::from_be_bytes(ntp) });
                    }
                }
                ECHO => echoes = content.as_chunks::<12>().0,
                VOIP => {
                    if let Ok(content) = content.try_into() {
                        let (ssrc, metrics) = voip::read(content);
                        return Some(Block::Voip { ssrc, metrics });
                    }
                }
                _ => {}
            }
        }
    })
}

/// What an extended report of ours holds.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Report<'a> {
    /// Our time, to be echoed.
    pub(super) time: Option<u64>,
    /// The echo of a time: whose, the middle 32 bits of it, and how long ago it came, in 1/65536 s.
    pub(super) echo: Option<(Ssrc, u32, u32)>,
    /// How somebody's stream is heard.
    pub(super) voip: Option<(Ssrc, &'a VoipReport)>,
}

/// Appends an XR packet, unless it would be empty.
pub(super) fn write(buffer: &mut Vec<u8>, ours: Ssrc, report: &Report<'_>) {
    let start = buffer.len();
    buffer.extend_from_slice(&[0x80, 207, 0, 0]);
    buffer.extend_from_slice(&ours.0.to_be_bytes());
    let empty = buffer.len();
    if let Some(ntp) = report.time {
        buffer.extend_from_slice(&[REFERENCE_TIME, 0, 0, 2]);
        buffer.extend_from_slice(&ntp.to_be_bytes());
    }
    if let Some((ssrc, last, delay)) = report.echo {
        buffer.extend_from_slice(&[ECHO, 0, 0, 3]);
        for word in [ssrc.0, last, delay] {
            buffer.extend_from_slice(&word.to_be_bytes());
        }
    }
    if let Some((ssrc, metrics)) = report.voip {
        buffer.extend_from_slice(&[VOIP, 0, 0, (voip::LENGTH / 4) as u8]);
        voip::write(buffer, ssrc, metrics);
    }
    if buffer.len() == empty {
        return buffer.truncate(start);
    }
    let words = ((buffer.len() - start) / 4 - 1) as u16;
    if let Some(length) = buffer.get_mut(start + 2..start + 4) {
        length.copy_from_slice(&words.to_be_bytes());
    }
}

fn read_echo(bytes: &[u8; 12]) -> Block {
    let &[s0, s1, s2, s3, l0, l1, l2, l3, d0, d1, d2, d3] = bytes;
    Block::Echo {
        ssrc: Ssrc(u32::from_be_bytes([s0, s1, s2, s3])),
        last: u32::from_be_bytes([l0, l1, l2, l3]),
        delay: u32::from_be_bytes([d0, d1, d2, d3]),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let echo = (Ssrc(0x0102_0304), 0x0a0b_0c0d, 77);
        let mut wire = Vec::new();
        let heard = VoipReport { loss: 0.25, ..VoipReport::default() };
        let report = Report { time: Some(0x1122_3344_5566_7788), echo: Some(echo), voip: Some((Ssrc(7), &heard)) };
        write(&mut wire, Ssrc(9), &report);
        assert_eq!(usize::from(u16::from_be_bytes([wire[2], wire[3]])) * 4 + 4, wire.len());
        let read: Vec<_> = blocks(&wire[4..]).collect();
        let expected = [
            Block::ReferenceTime { ntp: 0x1122_3344_5566_7788 },
            Block::Echo { ssrc: echo.0, last: echo.1, delay: echo.2 },
            Block::Voip { ssrc: Ssrc(7), metrics: VoipMetrics { loss: 0.25, ..VoipMetrics::default() } },
        ];
        assert_eq!(read, expected);
        wire.clear();
        write(&mut wire, Ssrc(9), &Report::default());
        assert!(wire.is_empty(), "nothing to say is not said");
    }

    #[test]
    fn what_is_broken_or_strange_is_passed_over() {
        let strange = [0, 0, 0, 9, 99, 0, 0, 1, 1, 2, 3, 4, REFERENCE_TIME, 0, 0, 1, 1, 2, 3, 4, ECHO, 0, 0, 0];
        assert_eq!(blocks(&strange).count(), 0);
        assert_eq!(blocks(&[0, 0, 0, 9, ECHO, 0, 255, 255, 1]).count(), 0);
        assert_eq!(blocks(&[0, 0]).count(), 0);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = blocks(&bytes).count();
        }
    }
}
