//! Opus in Ogg files (RFC 3533, RFC 7845), as much of it as a recording needs: one stream, one or two channels.

use super::Codec;
use super::codec::Decoder;
use super::prompt::PromptError;

/// What recordings are decoded at, Hz: all a telephone or a browser's voice can carry.
pub(super) const RATE: u32 = 16_000;

/// Granule positions and pre-skip count samples at this rate, whatever was recorded (RFC 7845 section 4).
const CLOCK: u32 = 48_000;
/// A page's bytes before its lacing values.
const HEADER: usize = 27;

/// Whether these are the bytes of an Ogg file.
pub(super) fn is_ogg(bytes: &[u8]) -> bool {
    bytes.starts_with(b"OggS")
}

/// The mono PCM of a file, at most `most` samples and a packet more.
pub(super) fn read(bytes: &[u8], most: usize) -> Result<Vec<i16>, PromptError> {
    let stream = Stream::read(bytes)?;
    let mut packets = stream.packets.iter();
    let head =
        packets.next().and_then(|packet| Head::read(packet)).ok_or_else(|| bad("no Opus of one or two channels"))?;
    packets.next().filter(|packet| packet.starts_with(b"OpusTags")).ok_or_else(|| bad("it has no tags"))?;
    let mut decoder = Decoder::new(Codec::Opus, RATE).map_err(|error| PromptError(error.0))?;
    let (mut pcm, mut decoded) = (Vec::new(), Vec::new());
    for packet in packets {
        if pcm.len() > most {
            break;
        }
        decoder.decode(packet, &mut decoded).map_err(|error| PromptError(format!("not an Opus file: {error}")))?;
        pcm.extend_from_slice(&decoded);
    }
    // The last page tells where the recording ends within its last packet (RFC 7845 section 4.4).
    if let Some(end) = stream.end.and_then(|end| usize::try_from(end).ok()) {
        pcm.truncate(at_rate(end));
    }
    pcm.drain(..at_rate(usize::from(head.skip)).min(pcm.len()));
    if head.gain != 0 {
        let factor = 10f32.powf(f32::from(head.gain) / 256.0 / 20.0);
        pcm.iter_mut().for_each(|sample| *sample = (f32::from(*sample) * factor) as i16);
    }
    Ok(pcm)
}

fn at_rate(samples: usize) -> usize {
    samples / (CLOCK / RATE) as usize
}

fn bad(what: &str) -> PromptError {
    PromptError(format!("not an Opus file: {what}"))
}

/// RFC 7845 section 5.1.
struct Head {
    /// Samples of the beginning that are not to be heard.
    skip: u16,
    /// In 256ths of a dB.
    gain: i16,
}

impl Head {
    fn read(packet: &[u8]) -> Option<Self> {
        let rest = packet.strip_prefix(b"OpusHead")?;
        let (version, channels, family) = (*rest.first()?, *rest.get(1)?, *rest.get(10)?);
        let known = version < 16 && matches!(channels, 1 | 2) && family == 0;
        let skip = u16::from_le_bytes(*rest.get(2..)?.first_chunk()?);
        let gain = i16::from_le_bytes(*rest.get(8..)?.first_chunk()?);
        known.then_some(Self { skip, gain })
    }
}

/// The packets of a file's first stream.
#[derive(Default)]
struct Stream {
    packets: Vec<Vec<u8>>,
    /// The last granule position.
    end: Option<u64>,
}

impl Stream {
    fn read(mut rest: &[u8]) -> Result<Self, PromptError> {
        let (mut stream, mut serial, mut unfinished) = (Self::default(), None, Vec::new());
        while !rest.is_empty() {
            let (page, after) = Page::read(rest).ok_or_else(|| bad("a page is damaged"))?;
            rest = after;
            if *serial.get_or_insert(page.serial) != page.serial {
                continue;
            }
            if !page.continues {
                unfinished.clear();
            }
            let mut body = page.body;
            for &length in page.lacing {
                let Some((segment, later)) = body.split_at_checked(usize::from(length)) else { break };
                body = later;
                unfinished.extend_from_slice(segment);
                // A packet ends with the first segment that is not full (RFC 3533 section 5).
                if length < 255 {
                    stream.packets.push(std::mem::take(&mut unfinished));
                }
            }
            stream.end = Some(page.granule).filter(|granule| *granule != u64::MAX).or(stream.end);
            if page.is_last {
                break;
            }
        }
        Ok(stream)
    }
}

/// RFC 3533 section 6.
struct Page<'a> {
    continues: bool,
    is_last: bool,
    granule: u64,
    serial: u32,
    lacing: &'a [u8],
    body: &'a [u8],
}

impl<'a> Page<'a> {
    /// The page these bytes begin with, and what follows it.
    fn read(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let header = bytes.first_chunk::<HEADER>().filter(|header| header.starts_with(b"OggS\0"))?;
        let (flags, segments) = (*header.get(5)?, *header.get(HEADER - 1)?);
        let granule = u64::from_le_bytes(*header.get(6..)?.first_chunk()?);
        let serial = u32::from_le_bytes(*header.get(14..)?.first_chunk()?);
        let sum = u32::from_le_bytes(*header.get(22..)?.first_chunk()?);
        let (lacing, rest) = bytes.get(HEADER..)?.split_at_checked(usize::from(segments))?;
        let (body, after) = rest.split_at_checked(lacing.iter().map(|&length| usize::from(length)).sum())?;
        // Summed with zeros in the place of the sum.
        let summed =
            bytes.get(..22)?.iter().chain(&[0; 4]).chain(bytes.get(HEADER - 1..HEADER)?).chain(lacing).chain(body);
        if checksum(summed) != sum {
            return None;
        }
        let page = Self { continues: flags & 1 != 0, is_last: flags & 4 != 0, granule, serial, lacing, body };
        Some((page, after))
    }
}

/// The polynomial of Ethernet's CRC, most significant bit first, from zero and not inverted.
fn checksum<'a>(bytes: impl Iterator<Item = &'a u8>) -> u32 {
    bytes.fold(0, |sum, &byte| {
        (0..8).fold(sum ^ (u32::from(byte) << 24), |sum, _| {
            let carry = sum >> 31;
            (sum << 1) ^ (carry * 0x04c1_1db7)
        })
    })
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::audio::codec::Encoder;
    use crate::audio::tone::{Tone, detect};

    fn page(flags: u8, granule: u64, number: u32, packets: &[&[u8]]) -> Vec<u8> {
        let mut page = b"OggS\0".to_vec();
        page.push(flags);
        page.extend(granule.to_le_bytes());
        page.extend(7u32.to_le_bytes());
        page.extend(number.to_le_bytes());
        page.extend([0; 4]);
        let lacing: Vec<u8> =
            packets.iter().flat_map(|p| [vec![255; p.len() / 255], vec![(p.len() % 255) as u8]].concat()).collect();
        page.push(lacing.len() as u8);
        page.extend(&lacing);
        packets.iter().for_each(|packet| page.extend(*packet));
        let sum = checksum(page.iter());
        page[22..26].copy_from_slice(&sum.to_le_bytes());
        page
    }

    fn head(channels: u8, skip: u16, gain: i16, family: u8) -> Vec<u8> {
        let rest = [&skip.to_le_bytes()[..], &48_000u32.to_le_bytes(), &gain.to_le_bytes(), &[family]].concat();
        [b"OpusHead\x01".as_slice(), &[channels], &rest].concat()
    }

    /// A file of a tone of 1 kHz that lasts so many milliseconds.
    pub(in crate::audio) fn file(ms: usize, head: &[u8]) -> Vec<u8> {
        let mut encoder = Encoder::new(Codec::Opus, 16_000).unwrap();
        let mut tone = Tone::new(1000.0, 16_000, -20.0);
        let mut file = page(2, 0, 0, &[head]);
        file.extend(page(0, 0, 1, &[b"OpusTags\0\0\0\0\0\0\0\0"]));
        // 312 samples at 48 kHz are the encoder's own delay.
        let frames = (ms * 48 + 312).div_ceil(960);
        for n in 0..frames {
            let mut payload = Vec::new();
            encoder.encode(&tone.take(320), &mut payload).unwrap();
            let (flags, granule) = if n + 1 == frames { (4, ms as u64 * 48 + 312) } else { (0, (n as u64 + 1) * 960) };
            file.extend(page(flags, granule, n as u32 + 2, &[&payload]));
        }
        file
    }

    #[test]
    fn a_file_is_heard_from_its_beginning_to_its_end() {
        for (ms, gain, level) in [(1_000, 0, -20.0), (1_007, 0, -20.0), (500, -1_536, -26.0)] {
            let pcm = read(&file(ms, &head(1, 312, gain, 0)), 16_000 * 600).unwrap();
            assert_eq!(pcm.len(), ms * 16, "to the sample");
            assert!((detect(&pcm[3_200..], RATE, 1000.0) - level).abs() < 1.0, "{ms} ms, gain {gain}");
        }
    }

    #[test]
    fn a_packet_goes_on_over_pages_and_other_streams_are_passed_over() {
        let long = vec![1u8; 300];
        let mut file = page(2, 0, 0, &[b"head"]);
        // The first page ends in the middle of a packet: its last lacing value is full.
        let mut first = page(0, u64::MAX, 1, &[&long[..255]]);
        let body = first.split_off(HEADER + 2);
        first[26] = 1;
        first.truncate(HEADER + 1);
        first.extend(body);
        first[22..26].fill(0);
        let sum = checksum(first.iter());
        first[22..26].copy_from_slice(&sum.to_le_bytes());
        file.extend(first);
        let mut other = page(2, 5, 0, &[b"somebody else's"]);
        other[14] = 8;
        other[22..26].fill(0);
        let sum = checksum(other.iter());
        other[22..26].copy_from_slice(&sum.to_le_bytes());
        file.extend(other);
        file.extend(page(5, 99, 2, &[&long[255..], b"last"]));
        let stream = Stream::read(&file).unwrap();
        assert_eq!(stream.packets, [b"head".to_vec(), long, b"last".to_vec()]);
        assert_eq!(stream.end, Some(99));
    }

    #[test]
    fn what_is_no_opus_file_is_refused() {
        let good = file(100, &head(2, 312, 0, 0));
        assert!(read(&good, 16_000).is_ok(), "two channels are mixed down");
        for bad in [head(3, 0, 0, 0), head(1, 0, 0, 1), head(0, 0, 0, 0), b"OpusHead".to_vec(), b"\x01vorbis".to_vec()]
        {
            assert!(read(&file(100, &bad), 16_000).is_err(), "{bad:?}");
        }
        let mut damaged = good.clone();
        *damaged.last_mut().unwrap() ^= 1;
        assert!(read(&damaged, 16_000).is_err(), "its checksum is wrong");
        assert!(read(&good[..good.len() - 1], 16_000).is_err());
        assert!(read(b"", 16_000).is_err());
        let endless = read(&file(2_000, &head(1, 0, 0, 0)), 1_600).unwrap();
        assert!(endless.len() <= 1_600 + 1_920, "it is read no further than asked for: {}", endless.len());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(at in 0usize..400, to in any::<u8>(), cut in 0usize..900) {
            let mut bytes = file(100, &head(1, 312, 0, 0));
            if let Some(byte) = bytes.get_mut(at) {
                *byte = to;
            }
            bytes.truncate(cut);
            let _ = read(&bytes, 16_000);
            let _ = Head::read(&bytes);
        }
    }
}
