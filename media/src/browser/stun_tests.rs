//! Tests of the STUN reader and writer, and a writer of requests for other tests.

use proptest::prelude::*;
use rtc_crypto::HmacAlgorithm;

use super::*;

/// A Binding request to write.
#[derive(Debug, Clone)]
pub(in crate::browser) struct Check<'a> {
    pub(in crate::browser) username: &'a str,
    pub(in crate::browser) password: &'a str,
    pub(in crate::browser) transaction: [u8; 12],
    pub(in crate::browser) use_candidate: bool,
    pub(in crate::browser) controlled: bool,
    pub(in crate::browser) unknown: Option<u16>,
}

impl Default for Check<'_> {
    fn default() -> Self {
        Self {
            username: "ours:theirs",
            password: "a-password-of-22-chars",
            transaction: *b"transaction!",
            use_candidate: false,
            controlled: false,
            unknown: None,
        }
    }
}

pub(in crate::browser) fn mac(password: &str) -> Box<dyn Mac> {
    let provider = rtc_crypto::default_provider().unwrap();
    provider.crypto().new_hmac(HmacAlgorithm::Sha1, password.as_bytes()).unwrap()
}

/// Writes a request as a browser would.
pub(in crate::browser) fn request(check: &Check<'_>) -> Vec<u8> {
    let mut buffer = BINDING_REQUEST.to_be_bytes().to_vec();
    buffer.extend_from_slice(&[0, 0]);
    buffer.extend_from_slice(&MAGIC_COOKIE.to_be_bytes());
    buffer.extend_from_slice(&check.transaction);
    write_attribute(USERNAME, check.username.as_bytes(), &mut buffer);
    write_attribute(PRIORITY, &[0x6e, 0, 1, 0xff], &mut buffer);
    if check.controlled {
        write_attribute(ICE_CONTROLLED, &[7; 8], &mut buffer);
    }
    if check.use_candidate {
        write_attribute(USE_CANDIDATE, &[], &mut buffer);
    }
    if let Some(kind) = check.unknown {
        write_attribute(kind, b"abc", &mut buffer);
    }
    seal(0, &mut *mac(check.password), &mut buffer);
    buffer
}

/// RFC 5769 section 2.1: a request with SOFTWARE, PRIORITY, ICE-CONTROLLED, USERNAME, integrity and fingerprint.
const RFC5769_REQUEST: &[u8] = b"\x00\x01\x00\x58\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae\
\x80\x22\x00\x10STUN test client\x00\x24\x00\x04\x6e\x00\x01\xff\x80\x29\x00\x08\x93\x2f\xf9\xb1\x51\x26\x3b\x36\
\x00\x06\x00\x09\x65\x76\x74\x6a\x3a\x68\x36\x76\x59\x20\x20\x20\
\x00\x08\x00\x14\x9a\xea\xa7\x0c\xbf\xd8\xcb\x56\x78\x1e\xf2\xb5\xb2\xd3\xf2\x49\xc1\xb5\x71\xa2\
\x80\x28\x00\x04\xe5\x7a\x3b\xcf";

#[test]
fn the_request_of_rfc_5769_is_read_and_authentic() {
    let request = Request::parse(RFC5769_REQUEST).unwrap();
    assert_eq!(request.username, Some("evtj:h6vY"));
    assert!(request.controlled && !request.use_candidate);
    assert!(request.unknown().is_empty());
    assert!(request.is_authentic(&mut *mac("VOkJxbRl1RmTxUk/WvJxBt")));
    assert!(!request.is_authentic(&mut *mac("VOkJxbRl1RmTxUk/WvJxBT")));
}

#[test]
fn every_flipped_octet_that_integrity_covers_is_noticed() {
    for at in 0..RFC5769_REQUEST.len() - 8 {
        let mut bytes = RFC5769_REQUEST.to_vec();
        bytes[at] ^= 1;
        let accepted = Request::parse(&bytes).is_some_and(|r| r.is_authentic(&mut *mac("VOkJxbRl1RmTxUk/WvJxBt")));
        assert!(!accepted, "octet {at}");
    }
}

#[test]
fn a_success_answer_reads_back() {
    for from in ["192.0.2.1:32853", "[2001:db8:1234:5678:11:2233:4455:6677]:32853"] {
        let from: SocketAddr = from.parse().unwrap();
        let mut buffer = b"before".to_vec();
        Answer::Success(from).write(b"transaction!", &mut *mac("key"), &mut buffer);
        let answer = &buffer[6..];
        assert_eq!(message_type(answer), Some(BINDING_SUCCESS));
        let kinds: Vec<_> = attributes(answer).map(|a| a.kind).collect();
        assert_eq!(kinds, [XOR_MAPPED_ADDRESS, MESSAGE_INTEGRITY, FINGERPRINT]);
        let last = attributes(answer).last().unwrap();
        assert!(fingerprint_holds(answer, last));
        let mapped = attributes(answer).next().unwrap().value;
        assert_eq!(u16::from_be_bytes([mapped[2], mapped[3]]) ^ 0x2112, 32853);
    }
}

#[test]
fn the_mapped_address_is_that_of_rfc_5769() {
    let transaction = b"\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae";
    let mut buffer = Vec::new();
    write_xor_mapped("192.0.2.1:32853".parse().unwrap(), transaction, &mut buffer);
    assert_eq!(buffer, b"\x00\x20\x00\x08\x00\x01\xa1\x47\xe1\x12\xa6\x43");
    buffer.clear();
    write_xor_mapped("[2001:db8:1234:5678:11:2233:4455:6677]:32853".parse().unwrap(), transaction, &mut buffer);
    let v6 = b"\x00\x20\x00\x14\x00\x02\xa1\x47\x01\x13\xa9\xfa\xa5\xd3\xf1\x79\xbc\x25\xf4\xb5\xbe\xd2\xb9\xd9";
    assert_eq!(buffer, v6);
}

#[test]
fn attributes_after_the_integrity_do_not_count() {
    let mut bytes = request(&Check::default());
    bytes.truncate(bytes.len() - 8);
    write_attribute(USE_CANDIDATE, &[], &mut bytes);
    set_length(0, 0, &mut bytes);
    let request = Request::parse(&bytes).unwrap();
    assert!(!request.use_candidate);
    assert!(request.is_authentic(&mut *mac("a-password-of-22-chars")));
}

#[test]
fn every_message_of_the_corpora_is_read_or_refused() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/stun");
    let mut folders = vec![std::path::PathBuf::from(folder)];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            if let Some(request) = Request::parse(&bytes) {
                assert!(!request.is_authentic(&mut *mac("not their password")));
            }
            let _ = attributes(&bytes).count();
            seen += 1;
        }
    }
    assert!(seen > 30, "only {seen} files");
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Request::parse(&bytes).map(|r| r.is_authentic(&mut *mac("x")));
    }

    #[test]
    fn no_attribute_soup_panics(soup in proptest::collection::vec((any::<u16>(), 0u16..40, any::<u8>()), 0..20)) {
        let mut bytes = vec![0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42];
        bytes.extend_from_slice(&[9; 12]);
        for (kind, length, fill) in soup {
            bytes.extend_from_slice(&(kind % 0x40).to_be_bytes());
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend(std::iter::repeat_n(fill, usize::from(length).next_multiple_of(4)));
        }
        set_length(0, 0, &mut bytes);
        let _ = Request::parse(&bytes).map(|r| r.is_authentic(&mut *mac("x")));
    }
}
