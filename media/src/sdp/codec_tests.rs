//! What descriptions say of codecs: clocks of telephone-events, what is asked of Opus, comfort noise, redundancy.

use super::browser::{AnswerParts, BrowserMedia, Fingerprint, IceCredentials, Offer, answer};
use super::trunk::{LocalMedia, TrunkMedia, accept_answer, answer_offer, offer, offer_again};
use crate::api::RtpSource;
use crate::audio::{Codec, OpusWishes};
use crate::rtp::{PayloadType, Ssrc};

fn local(codecs: &[Codec]) -> LocalMedia {
    LocalMedia {
        address: "192.0.2.10:40000".parse().unwrap(),
        codecs: codecs.to_vec(),
        session_id: 42,
        version: 1,
        holding: false,
        encryption: None,
    }
}

fn text(media: &str) -> Vec<u8> {
    format!("v=0\no=- 1 1 IN IP4 198.51.100.1\ns=-\nc=IN IP4 198.51.100.1\nt=0 0\n{media}").replace('\n', "\r\n").into()
}

fn accepted(codecs: &[Codec], media: &str) -> TrunkMedia {
    accept_answer(&local(codecs), &text(media), RtpSource::Signalled).unwrap()
}

#[test]
fn each_clock_is_offered_a_telephone_event_of_its_own() {
    let lines = |codecs: &[Codec]| {
        let text = offer(&local(codecs));
        let wanted = |line: &&str| line.starts_with("m=") || line.contains("telephone-event");
        text.lines().filter(wanted).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(
        lines(&[Codec::G722, Codec::Pcmu]),
        ["m=audio 40000 RTP/AVP 9 0 101", "a=rtpmap:101 telephone-event/8000"]
    );
    assert_eq!(
        lines(&[Codec::Opus, Codec::Pcmu]),
        [
            "m=audio 40000 RTP/AVP 96 0 102 101",
            "a=rtpmap:102 telephone-event/48000",
            "a=rtpmap:101 telephone-event/8000"
        ]
    );
    assert_eq!(
        lines(&[Codec::Opus]),
        ["m=audio 40000 RTP/AVP 96 102 101", "a=rtpmap:102 telephone-event/48000", "a=rtpmap:101 telephone-event/8000"],
        "there are telephones that know but the one clock"
    );
}

#[test]
fn the_event_on_the_codecs_clock_is_taken_and_another_if_there_is_none() {
    let opus = "m=audio 5000 RTP/AVP 96 101 102\na=rtpmap:96 opus/48000/2\na=rtpmap:101 telephone-event/8000\n";
    let check = |media: &str, event| {
        let media = accepted(&[Codec::Opus, Codec::Pcmu], media);
        assert_eq!(media.telephone_event.map(|(number, clock)| (number.0, clock)), event);
        media
    };
    let both = check(&format!("{opus}a=rtpmap:102 telephone-event/48000\n"), Some((102, 48_000)));
    check(opus, Some((101, 8_000)));
    check("m=audio 5000 RTP/AVP 0 102\na=rtpmap:102 telephone-event/48000\n", Some((102, 48_000)));
    check("m=audio 5000 RTP/AVP 0 102\na=rtpmap:102 telephone-event/0\n", None);
    // What was agreed on keeps its number.
    let again = offer_again(&local(&[Codec::Opus]), &both);
    assert!(again.contains(" 96 102 101\r\n") && again.contains("a=rtpmap:102 telephone-event/48000"), "{again}");
}

#[test]
fn what_is_asked_of_opus_is_read() {
    let check = |fmtp: &str, expected: OpusWishes| {
        let media = format!("m=audio 5000 RTP/AVP 96\na=rtpmap:96 opus/48000/2\n{fmtp}");
        assert_eq!(accepted(&[Codec::Opus], &media).opus, expected, "{fmtp}");
    };
    let plain = OpusWishes::default();
    assert_eq!((plain.playback_rate, plain.fec, plain.bitrate), (48_000, false, None));
    check("", plain);
    check("a=fmtp:97 useinbandfec=1\n", plain);
    check("a=fmtp:96 useinbandfec=1; stereo=0\n", OpusWishes { fec: true, ..plain });
    check(
        "a=fmtp:96 maxplaybackrate=16000;maxaveragebitrate=20000;useinbandfec=0\n",
        OpusWishes { playback_rate: 16_000, fec: false, bitrate: Some(20_000) },
    );
    check("a=fmtp:96 maxplaybackrate=x;useinbandfec=-1;;=\n", plain);
}

#[test]
fn comfort_noise_is_answered_where_it_is_offered() {
    let answered = |media: &str| {
        let local = local(&[Codec::G722, Codec::Pcmu, Codec::Opus]);
        answer_offer(&local, &text(media), RtpSource::Signalled).unwrap()
    };
    let (media, answer) = answered("m=audio 5000 RTP/AVP 0 13 101\na=rtpmap:101 telephone-event/8000\n");
    assert!(media.comfort_noise);
    assert!(answer.contains("m=audio 40000 RTP/AVP 0 13 101\r\n") && answer.contains("a=rtpmap:13 CN/8000\r\n"));
    let again = offer_again(&local(&[Codec::Pcmu]), &media);
    assert!(again.contains("RTP/AVP 0 101 13\r\n") && again.contains("a=rtpmap:13 CN/8000\r\n"), "{again}");
    assert!(!offer(&local(&[Codec::Pcmu])).contains("CN"), "nobody is invited to cut what it takes for silence");
    let (media, answer) = answered("m=audio 5000 RTP/AVP 9\n");
    assert!(!media.comfort_noise && !answer.contains("CN"));
    // On Opus' clock it would be another's.
    let (media, answer) = answered("m=audio 5000 RTP/AVP 96 13\na=rtpmap:96 opus/48000/2\n");
    assert!(!media.comfort_noise && !answer.contains("CN"));
}

/// What Chromium offers of audio, as far as it matters here.
fn browsers_offer(red: bool) -> Offer {
    let sha = ["AB"; 32].join(":");
    let (number, lines) = if red { (" 63", "a=rtpmap:63 red/48000/2\na=fmtp:63 111/111\n") } else { ("", "") };
    let text = format!(
        "v=0\no=- 1 1 IN IP4 127.0.0.1\ns=-\nt=0 0\na=group:BUNDLE 0\n\
         m=audio 9 UDP/TLS/RTP/SAVPF 111{number} 0\nc=IN IP4 0.0.0.0\na=mid:0\na=rtcp-mux\na=setup:actpass\n\
         a=ice-ufrag:abcd\na=ice-pwd:0123456789abcdef0123456789\na=fingerprint:sha-256 {sha}\n\
         a=rtpmap:111 opus/48000/2\na=fmtp:111 minptime=10;useinbandfec=1\n{lines}a=rtpmap:0 PCMU/8000\n"
    );
    Offer::parse(text.replace('\n', "\r\n").as_bytes()).unwrap()
}

fn answered(offer: &Offer, codecs: &[Codec], playback_rate: u32) -> String {
    let media = BrowserMedia::negotiate(offer, codecs, None).unwrap();
    let parts = AnswerParts {
        ice: &IceCredentials { ufrag: "ufrag".into(), password: "password".into() },
        candidates: &[],
        fingerprint: &Fingerprint { algorithm: "sha-256".into(), bytes: vec![1; 32] },
        ssrc: Ssrc(1),
        cname: "name",
        session: (1, 1),
        playback_rate,
    };
    answer(offer, &media, &parts)
}

#[test]
fn redundancy_is_answered_with_opus_and_only_with_it() {
    let offer = browsers_offer(true);
    assert_eq!((offer.redundancy, offer.opus.fec), (Some(PayloadType(63)), true));
    let with = answered(&offer, &[Codec::Pcmu, Codec::Opus], 48_000);
    assert!(with.contains("SAVPF 63 111 0\r\n"), "before what it repeats: {with}");
    assert!(with.contains("a=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\n"), "{with}");
    assert!(!answered(&offer, &[Codec::Pcmu], 48_000).contains("red"));
}

#[test]
fn a_browser_is_asked_for_no_more_than_is_heard_and_for_the_bits_that_go_farthest() {
    // Who hears it at most at this rate, whether it says everything twice: what is asked.
    for (rate, red, asked) in [
        (8_000, true, "maxplaybackrate=16000;maxaveragebitrate=32000"),
        (8_000, false, "maxplaybackrate=16000;maxaveragebitrate=48000"),
        (16_000, true, "maxplaybackrate=16000;maxaveragebitrate=32000"),
        (16_000, false, "maxplaybackrate=16000;maxaveragebitrate=48000"),
        (48_000, true, "maxplaybackrate=48000;maxaveragebitrate=32000"),
        (48_000, false, "maxplaybackrate=48000;maxaveragebitrate=48000"),
    ] {
        let text = answered(&browsers_offer(red), &[Codec::Opus, Codec::Pcmu], rate);
        let line = format!("a=fmtp:111 minptime=10;useinbandfec=1;stereo=0;{asked}\r\n");
        assert!(text.contains(&line), "{rate} {red}: {text}");
    }
    let rates = [Codec::Opus, Codec::G722, Codec::Pcmu, Codec::Pcma].map(Codec::playback_rate);
    assert_eq!(rates, [48_000, 16_000, 8_000, 8_000]);
}
