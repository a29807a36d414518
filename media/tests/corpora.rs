//! The parsers of the media plane against corpora: each input as it was found, cut at each octet, and mutated by a seed.
//! Whatever comes, nothing panics, and what is read can be written and read again.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods)]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use trunkline_media::api::{CallKey, Command, Limits, OpenCall, Path as Over, RtpSource};
use trunkline_media::audio::Codec;
use trunkline_media::browser::demux::{classify, local_ufrag};
use trunkline_media::browser::transport::DtlsIdentity;
use trunkline_media::call::{Call, Surroundings};
use trunkline_media::outbox::Outbox;
use trunkline_media::quality::Policy;
use trunkline_media::rtp::rtcp::RtcpSession;
use trunkline_media::rtp::{RtpPacket, Ssrc};
use trunkline_media::sdp::browser::{Candidate, Offer};
use trunkline_media::sdp::fragment::Fragment;
use trunkline_media::sdp::trunk::{LocalMedia, accept_answer, answer_offer};

const SEED: u64 = 20_261_128;

/// Every input of these folders below `tests/data`.
fn found(folders: &[&str]) -> Vec<Vec<u8>> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data");
    let mut waiting: Vec<_> = folders.iter().map(|folder| data.join(folder)).collect();
    let mut inputs = Vec::new();
    while let Some(folder) = waiting.pop() {
        let mut paths: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        for path in paths {
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_none_or(|extension| extension != "md") {
                inputs.push(std::fs::read(path).unwrap());
            }
        }
    }
    assert!(!inputs.is_empty(), "the corpora are gone: {folders:?}");
    inputs
}

/// All of them as found, cut, and so many mutations of each.
fn each(folders: &[&str], mutations: usize, mut take: impl FnMut(&[u8])) {
    let mut rng = StdRng::seed_from_u64(SEED);
    for input in found(folders) {
        take(&input);
        (0..input.len().min(2_000)).for_each(|length| take(&input[..length]));
        for _ in 0..mutations {
            take(&mutated(&mut rng, input.clone()));
        }
    }
}

fn mutated(rng: &mut StdRng, mut bytes: Vec<u8>) -> Vec<u8> {
    for _ in 0..rng.random_range(1..8) {
        let at = rng.random_range(0..=bytes.len());
        match rng.random_range(0..5) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, rng.random()),
            2 => bytes.extend((0..rng.random_range(0..40)).map(|n| n as u8)),
            // A piece of it once more: lists grow, lengths lie.
            3 => {
                let piece = bytes[at..(at + 24).min(bytes.len())].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = [0, 0xff, 0x80, 0x7f, rng.random()][rng.random_range(0..5)];
                }
            }
        }
    }
    bytes
}

#[test]
fn rtp_that_was_mutated_is_read_or_not_and_written_as_it_was_read() {
    each(&["rtp"], 3_000, |bytes| {
        let _ = classify(bytes);
        if let Some(packet) = RtpPacket::parse(bytes) {
            let mut wire = Vec::new();
            packet.write(&mut wire);
            assert_eq!(RtpPacket::parse(&wire), Some(packet));
        }
    });
}

#[test]
fn rtcp_that_was_mutated_tells_nothing_impossible() {
    let now = Instant::now();
    each(&["rtcp"], 3_000, |bytes| {
        let mut session = RtcpSession::new("name".into(), now, Duration::from_secs(1_700_000_000), 1);
        if let Ok(received) = session.handle(now, bytes, Ssrc(0x1234), None, 8000) {
            assert!(received.voip.is_none_or(|voip| voip.loss < 1.0 && voip.discard < 1.0));
            assert!(received.about_us.is_none_or(|about| about.fraction_lost < 1.0 && about.jitter_ms >= 0.0));
            assert!(received.xr_rtt_ms.is_none_or(|ms| (0.0..20_000.0).contains(&ms)));
        }
    });
}

#[test]
fn stun_that_was_mutated_names_a_call_or_none() {
    each(&["stun"], 300, |bytes| {
        let _ = classify(bytes);
        assert!(local_ufrag(bytes).is_none_or(|ufrag| !ufrag.is_empty() && ufrag.len() <= bytes.len()));
    });
}

#[test]
fn descriptions_that_were_mutated_are_taken_or_refused() {
    let address: SocketAddr = "192.0.2.10:40000".parse().unwrap();
    let codecs = vec![Codec::Opus, Codec::Pcmu, Codec::Pcma];
    let local = LocalMedia { address, codecs, session_id: 1, version: 1, holding: false, encryption: None };
    each(&["sdp"], 600, |bytes| {
        let _ = Offer::parse(bytes);
        let _ = Fragment::parse(bytes);
        let _ = accept_answer(&local, bytes, RtpSource::Signalled);
        if let Ok((media, answer)) = answer_offer(&local, bytes, RtpSource::Signalled) {
            let again = accept_answer(&local, answer.as_bytes(), RtpSource::Signalled);
            assert_eq!(again.unwrap().codec, media.codec, "{answer}");
        }
        if let Ok(text) = std::str::from_utf8(bytes) {
            text.lines().for_each(|line| _ = Candidate::parse(line));
        }
    });
}

/// All of it at a whole call, from its peers' own addresses and from others'.
#[test]
fn a_call_survives_whatever_reaches_its_sockets() {
    let start = Instant::now();
    let at = |text: &str| text.parse::<SocketAddr>().unwrap();
    let (browser, phone, stranger) = (at("198.51.100.7:50000"), at("203.0.113.5:30000"), at("192.0.2.66:9"));
    let surroundings = Surroundings {
        identity: Arc::new(DtlsIdentity::generate().unwrap()),
        candidates: Arc::from(["1 1 udp 1 192.0.2.10 4443 typ host".to_owned()]),
        wall: Duration::from_secs(1_800_000_000),
        wall_at: start,
        policy: Policy::default(),
    };
    let sdp = found(&["sdp"]);
    let offer = sdp.iter().find_map(|sdp| Offer::parse(sdp).ok()).unwrap();
    let codecs = vec![Codec::Opus, Codec::Pcmu];
    let limits = Limits {
        setup: Duration::from_secs(9_000),
        inactivity: Duration::from_secs(20),
        grace: Duration::from_secs(30),
    };
    let open = OpenCall {
        key: CallKey(1),
        offer,
        codecs: codecs.clone(),
        prefer: None,
        playback_rate: 48_000,
        limits,
        seed: [3; 32],
    };
    let (mut call, _) = Call::open(start, &open, &surroundings).unwrap();
    call.attach_trunk(start, at("192.0.2.10:20000"));
    let local = LocalMedia { address: phone, codecs, session_id: 1, version: 1, holding: false, encryption: None };
    let answer = "v=0\r\no=- 1 1 IN IP4 203.0.113.5\r\ns=-\r\nc=IN IP4 203.0.113.5\r\nt=0 0\r\nm=audio 30000 RTP/AVP 0 101\r\n\
        a=rtpmap:101 telephone-event/8000\r\na=rtcp-xr:voip-metrics\r\n";
    let media = accept_answer(&local, answer.as_bytes(), RtpSource::Signalled).unwrap();
    let mut out = Outbox::new();
    call.handle_command(start, Command::ConnectTrunk(media), &mut out);
    let mut now = start;
    each(&["rtp", "rtcp", "stun"], 100, |bytes| {
        now += Duration::from_millis(3);
        let mut datagram = bytes.to_vec();
        for (path, from) in [(Over::Udp, browser), (Over::Tcp, stranger)] {
            assert!(!call.handle_browser(now, path, from, &mut datagram, &mut out), "nobody proved anything");
        }
        for from in [phone, stranger] {
            call.handle_trunk_rtp(now, from, bytes, &mut out);
            call.handle_trunk_rtcp(now, SocketAddr::new(from.ip(), from.port() + 1), bytes, &mut out);
        }
        if call.poll_timeout().is_some_and(|(at, _)| at <= now) {
            call.handle_timeout(now, &mut out);
        }
        let astray = out.iter().find(|datagram| datagram.to.ip() == stranger.ip() || datagram.to == browser);
        assert_eq!(astray, None, "{bytes:02x?}");
        out.clear();
        while call.poll_event().is_some() {}
    });
}
