use proptest::prelude::*;
use std::sync::Arc;

use rtc_srtp::config::Config;
use rtc_srtp::context::Context;
use rtc_srtp::protection_profile::ProtectionProfile;

use super::*;

impl From<Profile> for ProtectionProfile {
    fn from(profile: Profile) -> Self {
        match profile {
            Profile::AeadAes128Gcm => Self::AeadAes128Gcm,
            Profile::AeadAes256Gcm => Self::AeadAes256Gcm,
            Profile::Aes128CmSha1_80 => Self::Aes128CmHmacSha1_80,
        }
    }
}

const PROFILES: [Profile; 3] = Profile::PREFERENCE;

fn provider() -> Arc<dyn RTCCryptoProvider> {
    rtc_crypto::default_provider().unwrap()
}

/// Our contexts and the browser's.
fn pair(profile: Profile) -> (Srtp, Context) {
    let material: Vec<u8> = (0u8..).take(profile.keying_material_len()).collect();
    let ours = Srtp::new(profile, &material, &*provider()).unwrap();
    let mut config = Config { profile: profile.into(), ..Config::default() };
    config.set_session_keys_from_keying_material(&material, true).unwrap();
    let keys = config.keys;
    let (key, salt) = (&keys.local_master_key, &keys.local_master_salt);
    (ours, Context::new(key, salt, profile.into(), None, None, provider().crypto()).unwrap())
}

fn rtp(source: u32, sequence: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 111];
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&960u32.to_be_bytes());
    packet.extend_from_slice(&source.to_be_bytes());
    packet.extend_from_slice(&[0x5a; 60]);
    packet
}

fn rtcp(source: u32) -> Vec<u8> {
    let mut packet = vec![0x80, 201, 0, 1];
    packet.extend_from_slice(&source.to_be_bytes());
    packet
}

#[test]
fn what_the_browser_encrypts_is_read_once() {
    for profile in PROFILES {
        let (mut ours, mut theirs) = pair(profile);
        let plain = rtp(1, 10);
        let secret = theirs.encrypt_rtp(&plain).unwrap();
        assert_ne!(&secret[12..40], &plain[12..40]);
        assert_eq!(ours.inbound.unprotect_rtp(&secret), Ok(&plain[..]));
        assert_eq!(ours.inbound.unprotect_rtp(&secret), Err(Refusal::Replayed));
        let secret = theirs.encrypt_rtcp(&rtcp(1)).unwrap();
        assert_eq!(ours.inbound.unprotect_rtcp(&secret), Ok(&rtcp(1)[..]));
        assert_eq!(ours.inbound.unprotect_rtcp(&secret), Err(Refusal::Replayed));
    }
}

#[test]
fn a_late_packet_within_the_window_is_read() {
    let (mut ours, mut theirs) = pair(Profile::AeadAes128Gcm);
    let secrets: Vec<_> = (0..300).map(|n| theirs.encrypt_rtp(&rtp(1, n)).unwrap()).collect();
    assert!(ours.inbound.unprotect_rtp(&secrets[0]).is_ok());
    assert!(ours.inbound.unprotect_rtp(&secrets[299]).is_ok());
    assert!(ours.inbound.unprotect_rtp(&secrets[299 - 127]).is_ok());
    assert_eq!(ours.inbound.unprotect_rtp(&secrets[100]), Err(Refusal::Replayed));
}

#[test]
fn the_sequence_number_may_wrap() {
    let (mut ours, mut theirs) = pair(Profile::AeadAes128Gcm);
    for n in 60_000u32..(65_536 * 2 + 1000) {
        let sequence = u16::try_from(n & 0xffff).unwrap();
        let secret = theirs.encrypt_rtp(&rtp(1, sequence)).unwrap();
        if n % 7 != 0 || n < 60_100 {
            assert!(ours.inbound.unprotect_rtp(&secret).is_ok(), "packet {n}");
        }
    }
}

#[test]
fn forged_packets_neither_fill_memory_nor_spoil_a_stream() {
    for profile in PROFILES {
        let (mut ours, mut theirs) = pair(profile);
        for source in 0..1000 {
            let forged = [rtp(source, 30_000), vec![0; 16]].concat();
            assert_eq!(ours.inbound.unprotect_rtp(&forged), Err(Refusal::Undecryptable));
            let forged = [rtcp(source), vec![0x80, 0, 0, 9], vec![0; 20]].concat();
            assert_eq!(ours.inbound.unprotect_rtcp(&forged), Err(Refusal::Undecryptable));
        }
        assert_eq!(ours.inbound.sources(), (0, 0));
        let secret = theirs.encrypt_rtp(&rtp(7, 10)).unwrap();
        assert!(ours.inbound.unprotect_rtp(&secret).is_ok(), "the real stream began behind the forged one");
        for source in 0..100 {
            let secret = theirs.encrypt_rtp(&rtp(source, 10)).unwrap();
            let _ = ours.inbound.unprotect_rtp(&secret);
        }
        assert_eq!(ours.inbound.sources().0, 16);
    }
}

#[test]
fn plain_rtcp_is_refused_even_from_a_known_source() {
    for profile in PROFILES {
        let (mut ours, mut theirs) = pair(profile);
        let secret = theirs.encrypt_rtcp(&rtcp(1)).unwrap();
        assert!(ours.inbound.unprotect_rtcp(&secret).is_ok());
        for length in 0..60 {
            let forged = [rtcp(1), vec![0; length]].concat();
            assert_eq!(ours.inbound.unprotect_rtcp(&forged), Err(Refusal::Undecryptable));
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120), profile in 0usize..3) {
        let (mut ours, mut theirs) = pair(PROFILES[profile]);
        // With a known source, so that the bytes reach the real contexts, too.
        let secret = theirs.encrypt_rtp(&rtp(0, 1)).unwrap();
        prop_assert!(ours.inbound.unprotect_rtp(&secret).is_ok());
        let mut known = bytes.clone();
        for octet in known.iter_mut().skip(8).take(4) { *octet = 0; }
        for input in [bytes, known] {
            prop_assert!(ours.inbound.unprotect_rtp(&input).is_err());
            prop_assert!(ours.inbound.unprotect_rtcp(&input).is_err());
            let _ = ours.outbound.protect_rtp(&mut input.clone(), 0);
            let _ = ours.outbound.protect_rtcp(&mut input.clone(), 0);
        }
    }
}
