use proptest::prelude::*;
use rtc_crypto::RTCCryptoProvider;
use rtc_srtp::context::Context;
use rtc_srtp::protection_profile::ProtectionProfile;
use std::sync::Arc;

use super::*;

const SUITES: [Suite; 4] = [Suite::AeadAes128Gcm, Suite::AeadAes256Gcm, Suite::Aes128CmSha1_80, Suite::Aes128CmSha1_32];

fn provider() -> Arc<dyn RTCCryptoProvider> {
    rtc_crypto::default_provider().unwrap()
}

fn key(suite: Suite, first: u8) -> MasterKey {
    let octets: Vec<u8> = (first..).take(suite.key_len() + suite.salt_len()).collect();
    MasterKey::new(suite, &octets).unwrap()
}

fn outbound(key: &MasterKey) -> Outbound {
    Outbound::new(key, provider().crypto()).unwrap()
}

fn inbound(key: MasterKey) -> Inbound {
    Inbound::new(&PeerKey::unlimited(key), provider().crypto()).unwrap()
}

/// Another implementation with the same key.
fn oracle(key: &MasterKey) -> Context {
    let profile = match key.suite() {
        Suite::AeadAes128Gcm => ProtectionProfile::AeadAes128Gcm,
        Suite::AeadAes256Gcm => ProtectionProfile::AeadAes256Gcm,
        Suite::Aes128CmSha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
        Suite::Aes128CmSha1_32 => ProtectionProfile::Aes128CmHmacSha1_32,
    };
    Context::new(key.key(), key.salt(), profile, None, None, provider().crypto()).unwrap()
}

fn rtp(ssrc: u32, sequence: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 8];
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&960u32.to_be_bytes());
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet.extend_from_slice(&[0x5a; 60]);
    packet
}

fn rtcp(ssrc: u32) -> Vec<u8> {
    let mut packet = vec![0x80, 201, 0, 1];
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet.extend_from_slice(&[7; 24]);
    packet
}

fn sealed(ours: &mut Outbound, plain: &[u8]) -> Vec<u8> {
    let mut buffer = plain.to_vec();
    ours.protect_rtp(&mut buffer, 0).unwrap();
    buffer
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap()).collect()
}

#[test]
fn session_keys_are_those_of_rfc_3711_appendix_b_3() {
    let master = hex("E1F97A0D3E018BE0D64FA32C06DE4139 0EC675AD498AFEEBB6960B3AABE6");
    let master = MasterKey::new(Suite::Aes128CmSha1_80, &master).unwrap();
    let cipher: [u8; 16] = cipher::derive(&master, 0, provider().crypto()).unwrap();
    assert_eq!(cipher[..], hex("C61E7A93744F39EE10734AFE3FF7A087"));
    let salt: [u8; 14] = cipher::derive(&master, 2, provider().crypto()).unwrap();
    assert_eq!(salt[..], hex("30CBBC08863D8C85D49DB34A9AE1"));
    let authentication: [u8; 94] = cipher::derive(&master, 1, provider().crypto()).unwrap();
    assert_eq!(authentication[..32], hex("CEBE321F6FF7716B6FD4AB49AF256A15 6D38BAA48F0A0ACF3C34E2359E6CDBCE"));
}

#[test]
fn another_implementation_reads_what_we_write_and_the_other_way_round() {
    for suite in SUITES {
        let key = key(suite, 3);
        let (mut ours, mut theirs, mut reader) = (outbound(&key), oracle(&key), inbound(key));
        for sequence in [65_533_u16, 65_534, 65_535, 0, 1, 2] {
            let plain = rtp(9, sequence);
            let secret = sealed(&mut ours, &plain);
            assert_ne!(&secret[12..40], &plain[12..40]);
            assert_eq!(theirs.decrypt_rtp(&secret).unwrap(), plain, "{suite:?} {sequence}");
            assert_eq!(reader.unprotect_rtp(&secret), Ok(&plain[..]));
            assert_eq!(reader.unprotect_rtp(&secret), Err(Refusal::Replayed));
        }
        let (mut theirs, mut reader) = (oracle(&key), inbound(key));
        for sequence in [65_535_u16, 0, 1] {
            let plain = rtp(9, sequence);
            let secret = theirs.encrypt_rtp(&plain).unwrap();
            assert_eq!(reader.unprotect_rtp(&secret), Ok(&plain[..]), "{suite:?} {sequence}");
        }
        for _ in 0..3 {
            let mut secret = rtcp(9);
            ours.protect_rtcp(&mut secret, 0).unwrap();
            assert_eq!(theirs.decrypt_rtcp(&secret).unwrap(), rtcp(9), "{suite:?}");
            let secret = theirs.encrypt_rtcp(&rtcp(9)).unwrap();
            assert_eq!(reader.unprotect_rtcp(&secret), Ok(&rtcp(9)[..]), "{suite:?}");
            assert_eq!(reader.unprotect_rtcp(&secret), Err(Refusal::Replayed));
        }
    }
}

#[test]
fn headers_with_sources_and_extensions_stay_readable() {
    for suite in SUITES {
        let key = key(suite, 3);
        let mut plain = rtp(9, 1);
        plain[0] = 0x92;
        plain.splice(12..12, [0, 0, 0, 1, 0, 0, 0, 2, 0xbe, 0xde, 0, 1, 0x12, 2, 3, 4]);
        let secret = sealed(&mut outbound(&key), &plain);
        assert_eq!(secret[..28], plain[..28]);
        assert_eq!(oracle(&key).decrypt_rtp(&secret).unwrap(), plain, "{suite:?}");
        assert_eq!(inbound(key).unprotect_rtp(&secret), Ok(&plain[..]));
    }
}

#[test]
fn a_stream_of_more_than_two_turns_is_read_through_loss_and_disorder() {
    let key = key(Suite::Aes128CmSha1_80, 3);
    let (mut ours, mut reader) = (outbound(&key), inbound(key));
    let mut held: Option<Vec<u8>> = None;
    for n in 60_000u32..(65_536 * 3 + 100) {
        let secret = sealed(&mut ours, &rtp(1, n as u16));
        match n % 11 {
            0 => {}
            1 => held = Some(secret),
            _ => {
                assert!(reader.unprotect_rtp(&secret).is_ok(), "packet {n}");
                if let Some(late) = held.take() {
                    assert!(reader.unprotect_rtp(&late).is_ok(), "late, before {n}");
                }
            }
        }
    }
}

#[test]
fn a_late_packet_within_the_window_is_read() {
    let key = key(Suite::AeadAes128Gcm, 3);
    let (mut ours, mut reader) = (outbound(&key), inbound(key));
    let secrets: Vec<_> = (0..300).map(|n| sealed(&mut ours, &rtp(1, n))).collect();
    assert!(reader.unprotect_rtp(&secrets[0]).is_ok());
    assert!(reader.unprotect_rtp(&secrets[299]).is_ok());
    assert!(reader.unprotect_rtp(&secrets[299 - 127]).is_ok());
    assert_eq!(reader.unprotect_rtp(&secrets[100]), Err(Refusal::Replayed));
}

#[test]
fn turns_missed_in_a_long_hold_are_found_again() {
    let key = key(Suite::Aes128CmSha1_80, 3);
    for missed in [40_000_u32, 65_536, 65_536 * 3 + 20_000] {
        let (mut ours, mut reader) = (outbound(&key), inbound(key));
        for n in 0..100_u16 {
            assert!(reader.unprotect_rtp(&sealed(&mut ours, &rtp(1, n))).is_ok());
        }
        // The peer sends on, and nothing of it comes through.
        let end = 100 + missed;
        for n in 100..end {
            sealed(&mut ours, &rtp(1, n as u16));
        }
        let heard: Vec<bool> =
            (end..end + 50).map(|n| reader.unprotect_rtp(&sealed(&mut ours, &rtp(1, n as u16))).is_ok()).collect();
        let lost = heard.iter().filter(|heard| !**heard).count();
        assert!(lost <= 12, "{lost} of {heard:?}");
        assert!(heard[20..].iter().all(|heard| *heard));
    }
}

#[test]
fn another_source_begins_its_own_count() {
    let key = key(Suite::AeadAes256Gcm, 3);
    let (mut ours, mut reader) = (outbound(&key), inbound(key));
    for n in 65_000..66_000_u32 {
        assert!(reader.unprotect_rtp(&sealed(&mut ours, &rtp(1, n as u16))).is_ok());
    }
    assert!(reader.unprotect_rtp(&sealed(&mut ours, &rtp(2, 500))).is_ok());
    for n in 0..100 {
        reader.unprotect_rtp(&sealed(&mut outbound(&key), &rtp(n, 10))).ok();
    }
    assert_eq!(reader.sources().0, source::SOURCES);
}

#[test]
fn a_new_key_is_heard_whether_the_peer_counts_on_or_from_nought() {
    for counts_on in [false, true] {
        let (first, second) = (key(Suite::AeadAes128Gcm, 3), key(Suite::Aes128CmSha1_32, 77));
        let (mut old, mut reader) = (outbound(&first), inbound(first));
        for n in 65_000..66_000_u32 {
            assert!(reader.unprotect_rtp(&sealed(&mut old, &rtp(1, n as u16))).is_ok());
        }
        let late = sealed(&mut old, &rtp(1, 464));
        reader.rekey(&PeerKey::unlimited(second), provider().crypto()).unwrap();
        let mut new = outbound(&second);
        if counts_on {
            (65_000..66_000_u32).for_each(|n| drop(sealed(&mut new, &rtp(1, n as u16))));
        }
        assert!(reader.unprotect_rtp(&late).is_ok(), "the last packets under the old key");
        for n in 465..1000 {
            assert!(reader.unprotect_rtp(&sealed(&mut new, &rtp(1, n))).is_ok(), "{n}, counts on: {counts_on}");
        }
        assert_eq!(
            reader.unprotect_rtp(&sealed(&mut old, &rtp(1, 1000))),
            Err(Refusal::Undecryptable),
            "the old key is no use any more"
        );
    }
}

#[test]
fn a_key_protects_as_many_packets_as_the_peer_says() {
    let key = key(Suite::AeadAes128Gcm, 3);
    let limited = PeerKey { lifetime: 5, ..PeerKey::unlimited(key) };
    let mut reader = Inbound::new(&limited, provider().crypto()).unwrap();
    let mut ours = outbound(&key);
    let heard: Vec<_> = (0..7).map(|n| reader.unprotect_rtp(&sealed(&mut ours, &rtp(1, n))).is_ok()).collect();
    assert_eq!(heard, [true, true, true, true, true, false, false]);
}

#[test]
fn packets_that_name_their_key_are_read() {
    for suite in SUITES {
        let key = key(suite, 3);
        let named = PeerKey { identifier: Identifier::new(0x0102, 2).unwrap(), ..PeerKey::unlimited(key) };
        let mut reader = Inbound::new(&named, provider().crypto()).unwrap();
        let mut ours = outbound(&key);
        let with_name = |mut secret: Vec<u8>, tag: usize, name: [u8; 2]| {
            let at = secret.len() - if suite.is_aead() { 0 } else { tag };
            secret.splice(at..at, name);
            secret
        };
        let secret = with_name(sealed(&mut ours, &rtp(1, 1)), suite.rtp_tag(), [1, 2]);
        assert_eq!(reader.unprotect_rtp(&secret), Ok(&rtp(1, 1)[..]), "{suite:?}");
        let secret = with_name(sealed(&mut ours, &rtp(1, 2)), suite.rtp_tag(), [1, 3]);
        assert_eq!(reader.unprotect_rtp(&secret), Err(Refusal::Undecryptable), "{suite:?}");
        let mut secret = rtcp(1);
        ours.protect_rtcp(&mut secret, 0).unwrap();
        let secret = with_name(secret, suite.rtcp_tag(), [1, 2]);
        assert_eq!(reader.unprotect_rtcp(&secret), Ok(&rtcp(1)[..]), "{suite:?}");
    }
    assert_eq!(Identifier::new(256, 1), None);
    assert_eq!(Identifier::new(1, 5), None);
}

#[test]
fn forged_packets_neither_fill_memory_nor_spoil_a_stream() {
    for suite in SUITES {
        let key = key(suite, 3);
        let (mut ours, mut reader) = (outbound(&key), inbound(key));
        for ssrc in 0..1000 {
            let forged = [rtp(ssrc, 30_000), vec![0; 16]].concat();
            assert_eq!(reader.unprotect_rtp(&forged), Err(Refusal::Undecryptable));
            let forged = [rtcp(ssrc), vec![0x80, 0, 0, 9], vec![0; 20]].concat();
            assert_eq!(reader.unprotect_rtcp(&forged), Err(Refusal::Undecryptable));
        }
        assert_eq!(reader.sources(), (0, 0));
        assert!(reader.unprotect_rtp(&sealed(&mut ours, &rtp(7, 10))).is_ok(), "the real stream begins behind them");
    }
}

#[test]
fn plain_rtcp_is_refused_even_from_a_known_source() {
    for suite in SUITES {
        let key = key(suite, 3);
        let (mut ours, mut reader) = (outbound(&key), inbound(key));
        let mut secret = rtcp(1);
        ours.protect_rtcp(&mut secret, 0).unwrap();
        assert!(reader.unprotect_rtcp(&secret).is_ok());
        for length in 0..60 {
            let forged = [rtcp(1), vec![0; length]].concat();
            assert_eq!(reader.unprotect_rtcp(&forged), Err(Refusal::Undecryptable));
        }
    }
}

#[test]
fn keys_do_not_print_themselves() {
    let key = PeerKey::unlimited(key(Suite::AeadAes128Gcm, 65));
    let printed = format!("{key:?}");
    assert!(printed.contains("***") && !printed.contains("66, 67"), "{printed}");
}

proptest! {
    #[test]
    fn no_bytes_panic_or_open(bytes in proptest::collection::vec(any::<u8>(), 0..120), suite in 0usize..4) {
        let key = key(SUITES[suite], 3);
        let mut reader = inbound(key);
        let mut ours = outbound(&key);
        // With a known source, so that the bytes reach its state, too.
        prop_assert!(reader.unprotect_rtp(&sealed(&mut ours, &rtp(0, 1))).is_ok());
        let mut known = bytes.clone();
        known.iter_mut().skip(8).take(4).for_each(|octet| *octet = 0);
        for input in [bytes, known] {
            prop_assert!(reader.unprotect_rtp(&input).is_err());
            prop_assert!(reader.unprotect_rtcp(&input).is_err());
            let mut buffer = [vec![9; 3], input.clone()].concat();
            if ours.protect_rtp(&mut buffer, 3).is_none() {
                prop_assert!(buffer.len() <= input.len() + 3);
            }
            let mut buffer = input;
            let _ = ours.protect_rtcp(&mut buffer, 0);
        }
    }
}
