//! From when to when a certificate is good (RFC 5280 section 4.1): the one thing of it that the TLS library does not tell.

use jiff::Timestamp;
use jiff::civil::Date;

/// DER tags (X.690).
const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const VERSION: u8 = 0xa0;

/// The first and the last moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
}

impl Validity {
    /// Of an X.509 certificate; `None` if it is none.
    pub(super) fn of(certificate: &[u8]) -> Option<Self> {
        let mut certificate = Der(expect(&mut Der(certificate), SEQUENCE)?);
        let mut signed = Der(expect(&mut certificate, SEQUENCE)?);
        if signed.0.first() == Some(&VERSION) {
            signed.next()?;
        }
        // serialNumber, signature, issuer
        for _ in 0..3 {
            signed.next()?;
        }
        let mut validity = Der(expect(&mut signed, SEQUENCE)?);
        Some(Self { from: time(validity.next()?)?, until: time(validity.next()?)? })
    }
}

/// What is left of some DER.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The next element: its tag and contents. Lengths of more than four octets are nobody's.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x84 => {
                let (octets, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                (octets.iter().fold(0, |length, &octet| length << 8 | usize::from(octet)), rest)
            }
            _ => return None,
        };
        let (contents, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, contents))
    }
}

fn expect<'a>(der: &mut Der<'a>, tag: u8) -> Option<&'a [u8]> {
    der.next().filter(|(found, _)| *found == tag).map(|(_, contents)| contents)
}

/// `YYMMDDHHMMSSZ` up to 2049, `YYYYMMDDHHMMSSZ` from 2050 on (RFC 5280 section 4.1.2.5).
fn time((tag, text): (u8, &[u8])) -> Option<Timestamp> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (year, rest) = match tag {
        UTC_TIME => text.split_at_checked(2).map(|(year, rest)| (year.parse::<i16>().ok(), rest))?,
        GENERALIZED_TIME => text.split_at_checked(4).map(|(year, rest)| (year.parse::<i16>().ok(), rest))?,
        _ => return None,
    };
    let year = match (tag, year?) {
        (UTC_TIME, year @ 0..50) => 2000 + year,
        (UTC_TIME, year) => 1900 + year,
        (_, year) => year,
    };
    if rest.len() != 10 || !rest.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let two = |at: usize| rest.get(at..at + 2)?.parse::<i8>().ok();
    let date = Date::new(year, two(0)?, two(2)?).ok()?;
    let at = date.to_datetime(jiff::civil::Time::new(two(4)?, two(6)?, two(8)?, 0).ok()?);
    at.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|at| at.timestamp())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn certificate(from: i32, until: i32) -> Vec<u8> {
        let mut params = CertificateParams::new(["gateway.example".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(from, 2, 28), date_time_ymd(until, 12, 31));
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn both_ways_of_writing_a_time() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let expected = Validity { from: at("1999-02-28T00:00:00Z"), until: at("2049-12-31T00:00:00Z") };
        assert_eq!(Validity::of(&certificate(1999, 2049)), Some(expected));
        let expected = Validity { from: at("2026-02-28T00:00:00Z"), until: at("2150-12-31T00:00:00Z") };
        assert_eq!(Validity::of(&certificate(2026, 2150)), Some(expected));
    }

    proptest! {
        #[test]
        fn nonsense_is_no_certificate_and_no_panic(bytes: Vec<u8>, cut in 0..600_usize, flip in 0..600_usize) {
            prop_assert_eq!(Validity::of(&bytes), None);
            let mut good = certificate(2026, 2027);
            if let Some(byte) = good.get_mut(flip) {
                *byte ^= 0x55;
            }
            good.truncate(cut);
            let _ = Validity::of(&good);
        }
    }
}
