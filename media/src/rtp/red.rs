//! Redundant audio (RFC 2198): a packet that carries the ones before it once more.

use super::PayloadType;

/// Earlier packets looked at; more is no voice.
const MAX_BLOCKS: usize = 8;
/// What the fields of a block's header can say.
const MAX_OFFSET: u32 = (1 << 14) - 1;
const MAX_LENGTH: usize = (1 << 10) - 1;
/// A packet with redundancy stays within this, so that it fits a datagram anywhere.
const MAX_PAYLOAD: usize = 1_100;

/// A payload taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Red<'a> {
    /// What the packet is for.
    pub primary: (PayloadType, &'a [u8]),
    headers: &'a [u8],
    blocks: &'a [u8],
}

/// A packet from before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Earlier<'a> {
    /// How many packets earlier it was sent: each is in those that follow.
    pub ago: u64,
    /// What it is.
    pub payload_type: PayloadType,
    /// How much earlier its timestamp is.
    pub offset: u32,
    /// What it said.
    pub payload: &'a [u8],
}

impl<'a> Red<'a> {
    /// `None` if it is no such payload.
    #[must_use]
    pub fn parse(payload: &'a [u8]) -> Option<Self> {
        let mut length = 0;
        let mut rest = payload;
        for blocks in 0..=MAX_BLOCKS {
            match *rest {
                [first, ref data @ ..] if first & 0x80 == 0 => {
                    let (blocks_data, primary) = data.split_at_checked(length)?;
                    let headers = payload.get(..4 * blocks)?;
                    return Some(Self { primary: (PayloadType(first), primary), headers, blocks: blocks_data });
                }
                [_, _, high, low, ref more @ ..] => {
                    length += usize::from(u16::from_be_bytes([high, low])) & MAX_LENGTH;
                    rest = more;
                }
                _ => return None,
            }
        }
        None
    }

    /// The packets before it, oldest first.
    pub fn earlier(&self) -> impl Iterator<Item = Earlier<'a>> {
        let mut blocks = self.blocks;
        let headers = self.headers.as_chunks().0;
        (1..=headers.len()).rev().zip(headers).filter_map(move |(ago, &[first, high, middle, low])| {
            let word = u32::from_be_bytes([0, high, middle, low]);
            let (payload, rest) = blocks.split_at_checked(word as usize & MAX_LENGTH)?;
            blocks = rest;
            Some(Earlier { ago: ago as u64, payload_type: PayloadType(first & 0x7f), offset: word >> 10, payload })
        })
    }
}

/// Writes a payload, and the one before it if the fields can say where it belongs, into `red` (cleared first).
pub fn write(red: &mut Vec<u8>, payload_type: PayloadType, before: Option<(u32, &[u8])>, payload: &[u8]) {
    red.clear();
    let fits = |&(offset, earlier): &(u32, &[u8])| {
        let short = earlier.len() <= MAX_LENGTH && earlier.len() + payload.len() <= MAX_PAYLOAD;
        !earlier.is_empty() && offset <= MAX_OFFSET && short
    };
    let before = before.filter(fits);
    if let Some((offset, earlier)) = before {
        let length = u32::try_from(earlier.len()).unwrap_or_default();
        let [_, high, middle, low] = (offset << 10 | length).to_be_bytes();
        red.extend_from_slice(&[0x80 | payload_type.0, high, middle, low]);
    }
    red.push(payload_type.0 & 0x7f);
    red.extend_from_slice(before.map_or(&[], |(_, earlier)| earlier));
    red.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OPUS: PayloadType = PayloadType(111);

    #[test]
    fn a_packet_carries_the_one_before_it() {
        let mut red = Vec::new();
        write(&mut red, OPUS, Some((960, b"before")), b"now");
        // RFC 2198 section 3: F, type, 14 bits of offset, 10 of length; then the last header.
        assert_eq!(red, [&[0x80 | 111, 0x0f, 0x00, 0x06, 111][..], b"before", b"now"].concat());
        let read = Red::parse(&red).unwrap();
        assert_eq!(read.primary, (OPUS, &b"now"[..]));
        let earlier: Vec<_> = read.earlier().collect();
        assert_eq!(earlier, [Earlier { ago: 1, payload_type: OPUS, offset: 960, payload: b"before" }]);
    }

    #[test]
    fn what_the_fields_cannot_say_is_left_out() {
        let mut red = Vec::new();
        for before in [None, Some((960, &[][..])), Some((16_384, &b"x"[..])), Some((960, &[7; 1_024][..]))] {
            write(&mut red, OPUS, before, b"now");
            assert_eq!(red, b"\x6fnow", "{before:?}");
        }
        write(&mut red, OPUS, Some((960, &[7; 1_000])), &[8; 200]);
        assert_eq!(red.len(), 201);
    }

    #[test]
    fn several_earlier_ones_come_oldest_first() {
        let red = [&[0xef, 0x1e, 0x00, 0x02][..], &[0xef, 0x0f, 0x00, 0x01, 0x6f], b"aab", b"cc"].concat();
        let read = Red::parse(&red).unwrap();
        let earlier: Vec<_> = read.earlier().map(|block| (block.ago, block.offset, block.payload)).collect();
        assert_eq!(earlier, [(2, 1920, &b"aa"[..]), (1, 960, &b"b"[..])]);
        assert_eq!(read.primary.1, b"cc");
    }

    #[test]
    fn what_does_not_add_up_is_refused() {
        for bad in [&[][..], &[0xef], &[0xef, 0, 0], &[0xef, 0x0f, 0, 9, 0x6f, 1, 2], &[0xef; 64]] {
            assert_eq!(Red::parse(bad), None, "{bad:02x?}");
        }
    }

    proptest! {
        #[test]
        fn no_payload_panics(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Some(red) = Red::parse(&bytes) {
                let length: usize = red.earlier().map(|block| block.payload.len()).sum();
                prop_assert!(length + red.primary.1.len() < bytes.len());
            }
        }
    }
}
