//! Extended reports (RFC 3611): round trips for peers that only listen, and what a telephone says of what it hears.

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

/// VoIP metrics (RFC 3611 section 4.7), counted since the stream began.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct VoipMetrics {
    /// Share of packets lost, 0..1.
    pub loss: f32,
    /// Share of packets discarded as late or early, 0..1.
    pub discard: f32,
    /// Delay of the jitter buffer, milliseconds; 0 if not told.
    pub buffer_ms: u16,
    /// Whether lost packets are concealed, if told.
    pub conceals: Option<bool>,
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
                        return Some(read_voip(content));
                    }
                }
                _ => {}
            }
        }
    })
}

/// Appends an XR packet: our time to be echoed, the echo of the peer's time, or both.
pub(super) fn write(buffer: &mut Vec<u8>, ours: Ssrc, time: Option<u64>, echo: Option<(Ssrc, u32, u32)>) {
    let words = 1 + if time.is_some() { 3u16 } else { 0 } + if echo.is_some() { 4 } else { 0 };
    buffer.extend_from_slice(&[0x80, 207]);
    buffer.extend_from_slice(&words.to_be_bytes());
    buffer.extend_from_slice(&ours.0.to_be_bytes());
    if let Some(ntp) = time {
        buffer.extend_from_slice(&[REFERENCE_TIME, 0, 0, 2]);
        buffer.extend_from_slice(&ntp.to_be_bytes());
    }
    if let Some((ssrc, last, delay)) = echo {
        buffer.extend_from_slice(&[ECHO, 0, 0, 3]);
        for word in [ssrc.0, last, delay] {
            buffer.extend_from_slice(&word.to_be_bytes());
        }
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

fn read_voip(bytes: &[u8; 32]) -> Block {
    let &[s0, s1, s2, s3, loss, discard, ..] = bytes;
    let &[.., config, _, n0, n1, _, _, _, _] = bytes;
    let share = |part: u8| f32::from(part) / 256.0;
    let metrics = VoipMetrics {
        loss: share(loss),
        discard: share(discard),
        buffer_ms: u16::from_be_bytes([n0, n1]),
        conceals: match config >> 6 {
            0 => None,
            1 => Some(false),
            _ => Some(true),
        },
    };
    Block::Voip { ssrc: Ssrc(u32::from_be_bytes([s0, s1, s2, s3])), metrics }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let echo = (Ssrc(0x0102_0304), 0x0a0b_0c0d, 77);
        let mut wire = Vec::new();
        write(&mut wire, Ssrc(9), Some(0x1122_3344_5566_7788), Some(echo));
        assert_eq!(usize::from(u16::from_be_bytes([wire[2], wire[3]])) * 4 + 4, wire.len());
        let read: Vec<_> = blocks(&wire[4..]).collect();
        let expected = [
            Block::ReferenceTime { ntp: 0x1122_3344_5566_7788 },
            Block::Echo { ssrc: echo.0, last: echo.1, delay: echo.2 },
        ];
        assert_eq!(read, expected);
    }

    #[test]
    fn voip_metrics_are_where_the_rfc_puts_them() {
        let mut body = vec![0, 0, 0, 9, VOIP, 0, 0, 8];
        body.extend_from_slice(&[0, 0, 0, 7, 13, 26, 85, 9, 0, 120, 1, 4, 0, 50, 0, 40, 240, 200, 127, 16]);
        body.extend_from_slice(&[90, 127, 42, 41, 0b1111_0000, 0, 0, 60, 0, 120, 0, 200]);
        let metrics = VoipMetrics { loss: 13.0 / 256.0, discard: 26.0 / 256.0, buffer_ms: 60, conceals: Some(true) };
        assert_eq!(blocks(&body).collect::<Vec<_>>(), [Block::Voip { ssrc: Ssrc(7), metrics }]);
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
