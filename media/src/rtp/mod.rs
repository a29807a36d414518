//! RTP and RTCP (RFC 3550): headers, what a receiver counts, what a sender keeps, reports.

pub mod receiver;
pub mod rtcp;
pub mod sender;

/// A synchronisation source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ssrc(pub u32);

/// A payload type, 0..=127.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PayloadType(pub u8);

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
        todo!()
    }

    /// Appends the packet (12-octet header, no CSRC, no extension) to `buffer`.
    pub fn write(&self, buffer: &mut Vec<u8>) {
        todo!()
    }
}
