//! What parties say and what they hear: packets that tell when they were sent, and ears that miss none.

use std::collections::BTreeMap;
use std::sync::Arc;

use trunkline_media::audio::Codec;

use crate::row::OPUS;

/// Octets of 20 ms of G.711.
const G711_OCTETS: usize = 160;
const MARK: &[u8; 4] = b"TKLT";
/// Static (RFC 3551).
const PCMA: u8 = 8;

/// What stands in a payload that the gateway relays untouched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// The call.
    pub(crate) party: u32,
    /// Counts the sender's packets, from 0.
    pub(crate) count: u32,
    /// When it was sent, nanoseconds since the Unix epoch.
    pub(crate) sent_ns: u64,
}

impl Stamp {
    fn write(self, payload: &mut [u8]) {
        let fields = [&MARK[..], &self.party.to_be_bytes(), &self.count.to_be_bytes(), &self.sent_ns.to_be_bytes()];
        for (to, from) in payload.iter_mut().zip(fields.concat()) {
            *to = from;
        }
    }

    /// Reads a payload; `None` if it is not stamped.
    pub(crate) fn read(payload: &[u8]) -> Option<Self> {
        let (mark, rest) = payload.split_first_chunk::<4>()?;
        let (party, rest) = rest.split_first_chunk()?;
        let (count, rest) = rest.split_first_chunk()?;
        let (sent, _) = rest.split_first_chunk()?;
        (mark == MARK).then(|| Self {
            party: u32::from_be_bytes(*party),
            count: u32::from_be_bytes(*count),
            sent_ns: u64::from_be_bytes(*sent),
        })
    }
}

/// What a party says.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// G.711 of which the first octets are a [`Stamp`].
    Stamped,
    /// Encoded speech, over and over.
    Speech(Arc<[Vec<u8>]>),
}

/// How it is put into RTP.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Format {
    /// The payload type.
    pub(crate) payload_type: u8,
    /// Units of the RTP clock in a packet.
    pub(crate) ticks: u32,
}

/// A party's outgoing stream.
#[derive(Debug)]
pub(crate) struct Voice {
    party: u32,
    content: Content,
    /// How it is put into RTP.
    pub(crate) format: Format,
    /// Packets made so far.
    pub(crate) count: u32,
    payload: Vec<u8>,
}

impl Voice {
    pub(crate) fn new(party: u32, content: Content, format: Format) -> Self {
        // Anything but a quiet frame: 0x2a is a loud sample in both laws.
        Self { party, content, format, count: 0, payload: vec![0x2a; G711_OCTETS] }
    }

    /// The next packet's RTP sequence number (unwrapped), timestamp and payload.
    pub(crate) fn next(&mut self, now_ns: u64) -> (u32, u32, &[u8]) {
        let count = self.count;
        self.count += 1;
        let timestamp = count.wrapping_mul(self.format.ticks);
        let payload = match &self.content {
            Content::Stamped => {
                Stamp { party: self.party, count, sent_ns: now_ns }.write(&mut self.payload);
                &self.payload
            }
            Content::Speech(frames) => frames.get(count as usize % frames.len().max(1)).unwrap_or(&self.payload),
        };
        (count, timestamp, payload)
    }

    /// The next packet in plain RTP (RFC 3550 section 5.1), appended to `datagram`.
    pub(crate) fn write_rtp(&mut self, now_ns: u64, datagram: &mut Vec<u8>) {
        let (payload_type, ssrc) = (self.format.payload_type, 0x7a00_0000 | self.party);
        let (sequence, timestamp, payload) = self.next(now_ns);
        datagram.extend_from_slice(&[0x80, payload_type]);
        datagram.extend_from_slice(&(sequence as u16).to_be_bytes());
        datagram.extend_from_slice(&timestamp.to_be_bytes());
        datagram.extend_from_slice(&ssrc.to_be_bytes());
        datagram.extend_from_slice(payload);
    }
}

/// What counts of a received RTP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Packet<'a> {
    pub(crate) payload_type: u8,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads plain RTP without extensions; `None` for anything else.
    pub(crate) fn read(datagram: &'a [u8]) -> Option<Self> {
        let (header, payload) = datagram.split_first_chunk::<12>()?;
        let [first, second, high, low, t0, t1, t2, t3, ..] = *header;
        let (payload_type, sequence) = (second & 0x7f, u16::from_be_bytes([high, low]));
        let timestamp = u32::from_be_bytes([t0, t1, t2, t3]);
        (first == 0x80).then_some(Self { payload_type, sequence, timestamp, payload })
    }

    /// Whether a voice is in it, and not the silence a gateway fills a wait with.
    fn is_audible(&self) -> bool {
        let codec = match self.payload_type {
            OPUS => Codec::Opus,
            PCMA => Codec::Pcma,
            _ => Codec::Pcmu,
        };
        !codec.is_quiet(self.payload)
    }
}

/// Counts what arrives of one numbered stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Ear {
    first: Option<u32>,
    last: u32,
    /// Packets that came.
    pub(crate) heard: u64,
}

impl Ear {
    /// Takes a number in.
    pub(crate) fn hear(&mut self, number: u32) {
        self.first = Some(self.first.map_or(number, |first| first.min(number)));
        self.last = self.last.max(number);
        self.heard += 1;
    }

    /// Takes a wrapping number in: the nearest one to the last.
    pub(crate) fn hear_wrapping(&mut self, number: u16) {
        // The offset keeps numbers before the first one above nought.
        const OFFSET: u32 = 0x1_0000;
        let distance = if self.first.is_none() { 0 } else { number.wrapping_sub(self.last as u16) as i16 };
        let base = if self.first.is_none() { OFFSET + u32::from(number) } else { self.last };
        self.hear(base.saturating_add_signed(i32::from(distance)));
    }

    /// Packets that never came between the first one and the last, or up to `sent` if that is known.
    pub(crate) fn lost(&self, sent: Option<u32>) -> u64 {
        let Some(first) = self.first else { return 0 };
        let end = sent.unwrap_or(self.last + 1);
        u64::from(end.saturating_sub(first)).saturating_sub(self.heard)
    }
}

/// What one side of all calls heard, by the number of the call.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// Stamped packets.
    pub(crate) stamped: BTreeMap<u32, Ear>,
    /// RTP sequence numbers.
    pub(crate) rtp: BTreeMap<u32, Ear>,
    /// Microseconds from sending to arrival, while measuring.
    pub(crate) transit_us: Vec<u32>,
    /// When the first packet with a voice in it came, nanoseconds since the Unix epoch.
    pub(crate) first_ns: BTreeMap<u32, u64>,
    /// Packets of another call.
    pub(crate) misrouted: u64,
    /// Digits, by call: how many, and when the last one began in its stream.
    pub(crate) digits: BTreeMap<u32, (usize, u32)>,
}

impl Heard {
    /// A packet of a digit came; all packets of one have its beginning's timestamp (RFC 4733 section 2.5.1.1).
    pub(crate) fn hear_digit(&mut self, party: u32, packet: Packet<'_>) {
        let (count, last) = self.digits.entry(party).or_insert((0, packet.timestamp.wrapping_sub(1)));
        if *last != packet.timestamp {
            (*count, *last) = (*count + 1, packet.timestamp);
        }
    }

    /// A packet came to call `party` at `at_ns`; `true` if it is the first with a voice in it.
    pub(crate) fn hear(&mut self, party: u32, packet: Packet<'_>, at_ns: u64, measuring: bool) -> bool {
        self.rtp.entry(party).or_default().hear_wrapping(packet.sequence);
        let first = packet.is_audible() && !self.first_ns.contains_key(&party);
        if first {
            self.first_ns.insert(party, at_ns);
        }
        let Some(stamp) = Stamp::read(packet.payload) else { return first };
        if stamp.party != party {
            self.misrouted += 1;
            return first;
        }
        self.stamped.entry(party).or_default().hear(stamp.count);
        if measuring {
            let transit_us = at_ns.saturating_sub(stamp.sent_ns) / 1000;
            self.transit_us.push(u32::try_from(transit_us).unwrap_or(u32::MAX));
        }
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_survives_rtp() {
        let mut voice = Voice::new(7, Content::Stamped, Format { payload_type: 0, ticks: 160 });
        voice.next(1);
        let mut datagram = Vec::new();
        voice.write_rtp(99, &mut datagram);
        let packet = Packet::read(&datagram).unwrap();
        assert_eq!((packet.payload_type, packet.sequence, packet.payload.len()), (0, 1, 160));
        assert_eq!(Stamp::read(packet.payload), Some(Stamp { party: 7, count: 1, sent_ns: 99 }));
        assert_eq!(Stamp::read(&packet.payload[1..]), None);
        assert!(packet.is_audible() && !Packet { payload: &[0xff; 160], ..packet }.is_audible());
    }

    #[test]
    fn ears_miss_gaps_and_the_end_but_not_the_beginning() {
        for (numbers, sent, lost) in [
            (&[5, 6, 7][..], None, 0),
            (&[5, 7, 6], None, 0),
            (&[5, 8], None, 2),
            (&[5, 6], Some(10), 3),
            (&[], Some(10), 0),
        ] {
            let mut ear = Ear::default();
            numbers.iter().for_each(|n| ear.hear(*n));
            assert_eq!(ear.lost(sent), lost, "{numbers:?}");
        }
    }

    #[test]
    fn sequence_numbers_wrap() {
        let mut ear = Ear::default();
        for sequence in [65_533, 65_535, 65_534, 0, 2] {
            ear.hear_wrapping(sequence);
        }
        assert_eq!((ear.heard, ear.lost(None)), (5, 1));
    }
}
