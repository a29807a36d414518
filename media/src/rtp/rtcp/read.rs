//! Reading a compound packet (RFC 3550 section 6.1 and appendix A.2).

use super::{Malformed, xr};
use crate::rtp::Ssrc;

/// Something in a compound packet that we care about.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Item {
    /// The sender's part of an SR.
    SenderInfo {
        /// Whose.
        ssrc: Ssrc,
        /// NTP timestamp, 32.32.
        ntp: u64,
    },
    /// A report block of an SR or RR.
    Block(Block),
    /// A block of an extended report (RFC 3611).
    Extended {
        /// Whose report.
        from: Ssrc,
        /// Which block.
        block: xr::Block,
    },
    /// Packets of somebody's stream that are asked for again (RFC 4585 section 6.2.1).
    Nack {
        /// Whose stream.
        ssrc: Ssrc,
        /// The first of them.
        first: u16,
        /// Bit n: the one n + 1 after it as well.
        more: u16,
    },
    /// A source that leaves.
    Bye {
        /// Which.
        ssrc: Ssrc,
    },
}

/// A report block (RFC 3550 section 6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    /// Who reports.
    pub(super) reporter: Ssrc,
    /// About whom.
    pub(super) ssrc: Ssrc,
    pub(super) fraction_lost: u8,
    pub(super) cumulative_lost: i32,
    pub(super) highest_sequence: u32,
    pub(super) jitter: u32,
    pub(super) last_sr: u32,
    pub(super) delay_since_last_sr: u32,
}

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const BYE: u8 = 203;
const TRANSPORT_FEEDBACK: u8 = 205;
const EXTENDED_REPORT: u8 = 207;

/// The items of a compound packet, once all of it has proven well-formed.
pub(super) fn items(bytes: &[u8]) -> Result<impl Iterator<Item = Item>, Malformed> {
    let mut rest = bytes;
    loop {
        let (packet, after) = Packet::split(rest).ok_or(Malformed)?;
        packet.check(after.is_empty()).ok_or(Malformed)?;
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    let mut rest = bytes;
    let packets = std::iter::from_fn(move || {
        let (packet, after) = Packet::split(rest)?;
        rest = after;
        Some(packet)
    });
    Ok(packets.flat_map(Packet::items))
}

/// One packet of a compound: its header's fields, and what follows the header.
#[derive(Debug, Clone, Copy)]
struct Packet<'a> {
    kind: u8,
    count: usize,
    padded: bool,
    body: &'a [u8],
}

impl<'a> Packet<'a> {
    fn split(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (&[first, kind, l0, l1], rest) = bytes.split_first_chunk::<4>()?;
        if first >> 6 != 2 || !(192..=223).contains(&kind) {
            return None;
        }
        let (body, after) = rest.split_at_checked(usize::from(u16::from_be_bytes([l0, l1])) * 4)?;
        Some((Self { kind, count: usize::from(first & 0x1f), padded: first & 0x20 != 0, body }, after))
    }

    /// Whether what the header promises is there. Only the last packet may be padded.
    fn check(self, last: bool) -> Option<()> {
        let mut room = self.body.len();
        if self.padded {
            let padding = usize::from(*self.body.last()?);
            if !last || padding == 0 || padding % 4 != 0 {
                return None;
            }
            room = room.checked_sub(padding)?;
        }
        let needed = match self.kind {
            SENDER_REPORT => 24 + 24 * self.count,
            RECEIVER_REPORT => 4 + 24 * self.count,
            BYE => 4 * self.count,
            TRANSPORT_FEEDBACK => 8,
            _ => 0,
        };
        (needed <= room).then_some(())
    }

    fn items(self) -> impl Iterator<Item = Item> + 'a {
        let (sender_info, blocks, byes) = match self.kind {
            SENDER_REPORT => (sender_info(self.body), self.body.get(24..), None),
            RECEIVER_REPORT => (None, self.body.get(4..), None),
            BYE => (None, None, Some(self.body)),
            _ => (None, None, None),
        };
        let reporter = Ssrc(self.body.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes)));
        let blocks = blocks.unwrap_or_default().as_chunks::<24>().0.iter().take(self.count);
        let extended = if self.kind == EXTENDED_REPORT { self.body } else { &[] };
        let extended = xr::blocks(extended);
        let byes = byes.unwrap_or_default().as_chunks::<4>().0.iter().take(self.count);
        // Of transport feedback the count is the format; 1 is the generic NACK.
        let asks = self.kind == TRANSPORT_FEEDBACK && self.count == 1;
        let asked = if asks { self.body } else { &[] };
        sender_info
            .into_iter()
            .chain(blocks.map(move |bytes| Item::Block(block(reporter, bytes))))
            .chain(extended.map(move |block| Item::Extended { from: reporter, block }))
            .chain(nacks(asked))
            .chain(byes.map(|bytes| Item::Bye { ssrc: Ssrc(u32::from_be_bytes(*bytes)) }))
    }
}

/// The requests in a generic NACK: whose packet asks and whose stream is meant, then pairs of a number and a mask.
fn nacks(body: &[u8]) -> impl Iterator<Item = Item> {
    let (&[_, _, _, _, s0, s1, s2, s3], pairs) = body.split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
    let ssrc = Ssrc(u32::from_be_bytes([s0, s1, s2, s3]));
    pairs.as_chunks::<4>().0.iter().map(move |&[n0, n1, m0, m1]| Item::Nack {
        ssrc,
        first: u16::from_be_bytes([n0, n1]),
        more: u16::from_be_bytes([m0, m1]),
    })
}

fn sender_info(body: &[u8]) -> Option<Item> {
    let (ssrc, rest) = body.split_first_chunk::<4>()?;
    let (ntp, _) = rest.split_first_chunk::<8>()?;
    Some(Item::SenderInfo { ssrc: Ssrc(u32::from_be_bytes(*ssrc)), ntp: u64::from_be_bytes(*ntp) })
}

fn block(reporter: Ssrc, bytes: &[u8; 24]) -> Block {
    let &[s0, s1, s2, s3, fraction_lost, l0, l1, l2, h0, h1, h2, h3, j0, j1, j2, j3, r0, r1, r2, r3, d0, d1, d2, d3] =
        bytes;
    Block {
        reporter,
        ssrc: Ssrc(u32::from_be_bytes([s0, s1, s2, s3])),
        fraction_lost,
        // 24 bits, signed: the shift brings the sign along.
        cumulative_lost: i32::from_be_bytes([l0, l1, l2, 0]) >> 8,
        highest_sequence: u32::from_be_bytes([h0, h1, h2, h3]),
        jitter: u32::from_be_bytes([j0, j1, j2, j3]),
        last_sr: u32::from_be_bytes([r0, r1, r2, r3]),
        delay_since_last_sr: u32::from_be_bytes([d0, d1, d2, d3]),
    }
}
