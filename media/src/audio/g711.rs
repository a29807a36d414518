//! G.711 (ITU-T G.711, RFC 3551 sections 4.5.14): both laws as tables that the compiler fills.

/// Longest payload taken, in octets: one datagram.
const MAX_PAYLOAD: usize = 1500;

/// PCM at this rate, Hz, goes in and comes out.
pub(super) const RATE: u32 = 8_000;

/// A frame whose samples all stay below this (about -50 dBov) is quiet.
const QUIET_PEAK: u16 = 128;

/// One of the two companding laws.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Law {
    /// µ-law: North America, Japan.
    Mu,
    /// A-law: elsewhere.
    A,
}

/// Appends the samples of `payload`.
pub(super) fn decode(law: Law, payload: &[u8], pcm: &mut Vec<i16>) {
    let table = decoder(law);
    pcm.extend(payload.iter().map(|&code| expand(table, code)));
}

/// Appends the codes of `pcm`.
pub(super) fn encode(law: Law, pcm: &[i16], payload: &mut Vec<u8>) {
    match law {
        Law::Mu => payload.extend(pcm.iter().map(|&x| look_up(&MU_ENCODE, (x >> 2).cast_unsigned() & 0x3fff))),
        Law::A => payload.extend(pcm.iter().map(|&x| look_up(&A_ENCODE, (x >> 4).cast_unsigned() & 0x0fff))),
    }
}

/// One octet is one sample.
pub(super) fn samples_in(payload: &[u8]) -> Option<usize> {
    (1..=MAX_PAYLOAD).contains(&payload.len()).then_some(payload.len())
}

/// Whether no sample is loud.
pub(super) fn is_quiet(law: Law, payload: &[u8]) -> bool {
    let table = decoder(law);
    payload.iter().all(|&code| expand(table, code).unsigned_abs() < QUIET_PEAK)
}

/// What each octet stands for.
pub(super) fn decoder(law: Law) -> &'static [i16; 256] {
    match law {
        Law::Mu => &MU_DECODE,
        Law::A => &A_DECODE,
    }
}

/// An octet cannot miss a table of 256.
#[allow(clippy::indexing_slicing)]
fn expand(table: &[i16; 256], code: u8) -> i16 {
    table[usize::from(code)]
}

/// The masks above keep the index within the table.
fn look_up<const N: usize>(table: &[u8; N], index: u16) -> u8 {
    table.get(usize::from(index)).copied().unwrap_or_default()
}

static MU_DECODE: [i16; 256] = fill_mu_decode();
static A_DECODE: [i16; 256] = fill_a_decode();
/// By the upper 14 bits of a sample.
static MU_ENCODE: [u8; 1 << 14] = fill_mu_encode();
/// By the upper 12 bits of a sample.
static A_ENCODE: [u8; 1 << 12] = fill_a_encode();

/// Loop bounds are the tables' own sizes.
#[allow(clippy::indexing_slicing)]
const fn fill_mu_decode() -> [i16; 256] {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        let bits = !(code as u8);
        let (segment, step) = ((bits >> 4) & 7, (bits & 15) as i16);
        let magnitude = (((step << 3) + 0x84) << segment) - 0x84;
        table[code] = if bits & 0x80 != 0 { -magnitude } else { magnitude };
        code += 1;
    }
    table
}

#[allow(clippy::indexing_slicing)]
const fn fill_a_decode() -> [i16; 256] {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        let bits = code as u8 ^ 0x55;
        let (segment, step) = ((bits >> 4) & 7, (bits & 15) as i16);
        let magnitude = match segment {
            0 => (step << 4) + 8,
            _ => ((step << 4) + 0x108) << (segment - 1),
        };
        table[code] = if bits & 0x80 != 0 { magnitude } else { -magnitude };
        code += 1;
    }
    table
}

#[allow(clippy::indexing_slicing)]
const fn fill_mu_encode() -> [u8; 1 << 14] {
    let mut table = [0; 1 << 14];
    let mut index = 0;
    while index < 1 << 14 {
        // The index is a 14-bit two's complement number; a negative one is mirrored to the next magnitude below.
        let negative = index >= 1 << 13;
        let magnitude = if negative { (1 << 14) - 1 - index } else { index };
        let biased = if magnitude + 33 > 0x1fff { 0x1fff } else { magnitude + 33 };
        let segment = 26 - (biased as u32).leading_zeros();
        let step = (biased >> (segment + 1)) & 15;
        let sign = if negative { 0x80 } else { 0 };
        table[index] = !(sign | (segment as u8) << 4 | step as u8);
        index += 1;
    }
    table
}

#[allow(clippy::indexing_slicing)]
const fn fill_a_encode() -> [u8; 1 << 12] {
    let mut table = [0; 1 << 12];
    let mut index = 0;
    while index < 1 << 12 {
        let negative = index >= 1 << 11;
        let magnitude = if negative { (1 << 12) - 1 - index } else { index };
        let code = if magnitude < 32 {
            magnitude
        } else {
            let segment = 28 - (magnitude as u32).leading_zeros() as usize;
            ((segment << 4) | (magnitude >> (segment - 1)) & 15) & 0x7f
        };
        let sign = if negative { 0 } else { 0x80 };
        table[index] = (code as u8 | sign) ^ 0x55;
        index += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decision value n of ITU-T G.711 table 2a (µ-law), in 14-bit units: from here up the code is n.
    fn mu_decision(n: u32) -> u32 {
        ((32 + 2 * (n % 16)) << (n / 16)) - 33
    }

    /// The same of table 1a (A-law), in 13-bit units.
    fn a_decision(n: u32) -> u32 {
        if n < 16 { 2 * n } else { (2 * (n % 16) + 32) << (n / 16 - 1) }
    }

    fn code(law: Law, sample: i16) -> u8 {
        let mut out = Vec::new();
        encode(law, &[sample], &mut out);
        out[0]
    }

    fn value(law: Law, code: u8) -> i16 {
        let mut out = Vec::new();
        decode(law, &[code], &mut out);
        out[0]
    }

    #[test]
    fn mu_law_values_are_those_of_the_standard() {
        // Table 2a: code 0 is +8031 in 14-bit units, 0x7f and 0xff are zero.
        assert_eq!(value(Law::Mu, 0x80), 8031 * 4);
        assert_eq!(value(Law::Mu, 0x00), -8031 * 4);
        for n in 0..128u32 {
            let magnitude = ((2 * (n % 16) + 33) << (n / 16)) - 33;
            let positive = !(n as u8);
            assert_eq!(value(Law::Mu, positive), (magnitude * 4) as i16);
            assert_eq!(value(Law::Mu, positive & 0x7f), -((magnitude * 4) as i16));
        }
    }

    #[test]
    fn a_law_values_are_those_of_the_standard() {
        // Table 1a: the largest is 4032 in 13-bit units, the smallest 1.
        assert_eq!(value(Law::A, 0xaa), 4032 * 8);
        assert_eq!(value(Law::A, 0x2a), -4032 * 8);
        assert_eq!(value(Law::A, 0xd5), 8);
        for n in 0..128u32 {
            let (segment, step) = (n / 16, n % 16);
            let magnitude = if segment == 0 { 2 * step + 1 } else { (2 * step + 33) << (segment - 1) };
            let positive = n as u8 ^ 0xd5;
            assert_eq!(value(Law::A, positive), (magnitude * 8) as i16);
            assert_eq!(value(Law::A, positive ^ 0x80), -((magnitude * 8) as i16));
        }
    }

    #[test]
    fn every_code_survives_the_way_there_and_back() {
        for c in 0..=255u8 {
            // µ-law has two zeros; the negative one comes back as the positive one.
            let expected = if c == 0x7f { 0xff } else { c };
            assert_eq!(code(Law::Mu, value(Law::Mu, c)), expected, "µ-law {c:#x}");
            assert_eq!(code(Law::A, value(Law::A, c)), c, "A-law {c:#x}");
        }
    }

    #[test]
    fn both_laws_decide_where_the_standard_does() {
        for n in 1..128 {
            let at = mu_decision(n) * 4;
            assert_eq!(code(Law::Mu, at as i16), !(n as u8), "µ-law at {n}");
            assert_eq!(code(Law::Mu, (at - 1) as i16), !(n as u8 - 1), "µ-law below {n}");
            let at = a_decision(n) * 8;
            assert_eq!(code(Law::A, at as i16), n as u8 ^ 0xd5, "A-law at {n}");
            assert_eq!(code(Law::A, (at - 1) as i16), (n as u8 - 1) ^ 0xd5, "A-law below {n}");
        }
    }

    #[test]
    fn no_sample_lands_further_off_than_half_a_step() {
        for sample in i16::MIN..=i16::MAX {
            for (law, clip, least) in [(Law::Mu, 32_635, 4), (Law::A, 32_767, 8)] {
                let exact = i32::from(sample).clamp(-clip, clip);
                let error = (i32::from(value(law, code(law, sample))) - exact).abs();
                // Each segment's step is a sixteenth of its size, its error half of that.
                assert!(error <= least.max((exact.abs() + 132) / 32 + 4), "{law:?} {sample}: {error}");
            }
        }
    }

    #[test]
    fn quiet_is_told_from_speech() {
        for (law, silence) in [(Law::Mu, 0xff), (Law::A, 0xd5)] {
            assert!(is_quiet(law, &[silence; 160]));
            let mut loud = [silence; 160];
            loud[80] = code(law, 1000);
            assert!(!is_quiet(law, &loud));
        }
    }
}
