//! The RTP header (RFC 3550 section 5.1).

use super::{PayloadType, Ssrc};

/// A parsed RTP packet that borrows its payload (padding and extensions taken off).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RtpPacket<'a> {
    /// Marker bit.
    pub marker: bool,
    /// Payload type.
    pub payload_type: PayloadType,
    /// Sequence number as on the wire.
    pub sequence: u16,
    /// Timestamp as on the wire.
    pub timestamp: u32,
    /// Source.
    pub ssrc: Ssrc,
    /// Payload.
    pub payload: &'a [u8],
}

impl<'a> RtpPacket<'a> {
    /// Parses a packet (RFC 3550 section 5.1: version, CSRCs, extension, padding all checked); `None` if it is not one.
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (&[first, second, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3], rest) = bytes.split_first_chunk::<12>()?;
        if first >> 6 != 2 {
            return None;
        }
        let csrcs = usize::from(first & 0x0f) * 4;
        let mut payload = rest.get(csrcs..)?;
        if first & 0x10 != 0 {
            let (&[_, _, l0, l1], extension) = payload.split_first_chunk::<4>()?;
            payload = extension.get(usize::from(u16::from_be_bytes([l0, l1])) * 4..)?;
        }
        if first & 0x20 != 0 {
            let padding = usize::from(*payload.last()?);
            if padding == 0 {
                return None;
            }
            payload = payload.get(..payload.len().checked_sub(padding)?)?;
        }
        Some(Self {
            marker: second & 0x80 != 0,
            payload_type: PayloadType(second & 0x7f),
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: Ssrc(u32::from_be_bytes([c0, c1, c2, c3])),
            payload,
        })
    }

    /// Appends the packet (12-octet header, no CSRC, no extension) to `buffer`.
    pub fn write(&self, buffer: &mut Vec<u8>) {
        buffer.push(0x80);
        buffer.push(u8::from(self.marker) << 7 | self.payload_type.0 & 0x7f);
        buffer.extend_from_slice(&self.sequence.to_be_bytes());
        buffer.extend_from_slice(&self.timestamp.to_be_bytes());
        buffer.extend_from_slice(&self.ssrc.0.to_be_bytes());
        buffer.extend_from_slice(self.payload);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEADER: [u8; 12] = [0x80, 0x88, 0x01, 0x02, 0, 0, 0, 9, 0, 0, 0, 7];

    fn with(first: u8, rest: &[u8]) -> Vec<u8> {
        let mut bytes = HEADER.to_vec();
        bytes[0] = first;
        bytes.extend_from_slice(rest);
        bytes
    }

    fn check(bytes: &[u8], payload: Option<&[u8]>) {
        assert_eq!(RtpPacket::parse(bytes).map(|p| p.payload), payload, "{bytes:02x?}");
    }

    #[test]
    fn reads_the_fields() {
        let packet = RtpPacket::parse(&HEADER).unwrap();
        assert!(packet.marker);
        assert_eq!(packet.payload_type, PayloadType(8));
        assert_eq!((packet.sequence, packet.timestamp, packet.ssrc), (0x0102, 9, Ssrc(7)));
    }

    #[test]
    fn takes_off_what_is_no_payload() {
        check(&with(0x80, b"abc"), Some(b"abc"));
        check(&with(0x82, b"CSR1CSR2abc"), Some(b"abc"));
        check(&with(0x90, &[0xbe, 0xde, 0, 1, 1, 2, 3, 4, 5]), Some(&[5]));
        check(&with(0x90, &[0xbe, 0xde, 0, 0]), Some(&[]));
        check(&with(0xa0, &[5, 0, 2]), Some(&[5]));
        check(&with(0xa0, &[0, 0, 3]), Some(&[]));
    }

    #[test]
    fn refuses_what_does_not_add_up() {
        check(&HEADER[..11], None);
        check(&with(0x40, b"abc"), None);
        check(&with(0x82, b"CSR1CSR"), None);
        check(&with(0x90, &[0xbe, 0xde, 0]), None);
        check(&with(0x90, &[0xbe, 0xde, 0, 2, 1, 2, 3, 4]), None);
        check(&with(0xa0, &[]), None);
        check(&with(0xa0, &[1, 0]), None);
        check(&with(0xa0, &[1, 3]), None);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = RtpPacket::parse(&bytes);
        }

        #[test]
        fn what_is_written_is_read(
            marker in any::<bool>(), pt in 0u8..128, sequence in any::<u16>(), timestamp in any::<u32>(),
            ssrc in any::<u32>(), payload in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let packet = RtpPacket {
                marker, payload_type: PayloadType(pt), sequence, timestamp, ssrc: Ssrc(ssrc), payload: &payload,
            };
            let mut bytes = Vec::new();
            packet.write(&mut bytes);
            prop_assert_eq!(RtpPacket::parse(&bytes), Some(packet));
        }
    }
}
