use proptest::prelude::*;

use super::*;

const SHA256: &str = "6B:8B:F0:65:5F:78:E2:51:3B:AC:6F:F3:3F:46:1B:35:DC:B8:5F:64:1A:24:C2:43:F0:A1:58:D0:A1:2C:19:08";

fn chromium() -> String {
    format!(
        "v=0\no=- 4611731400430051336 2 IN IP4 127.0.0.1\ns=-\nt=0 0\na=group:BUNDLE 0\na=extmap-allow-mixed\n\
         a=msid-semantic: WMS 5f6b\nm=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126\nc=IN IP4 0.0.0.0\n\
         a=rtcp:9 IN IP4 0.0.0.0\n\
         a=candidate:3471623853 1 udp 2122260223 7ad2d9a2-7ff4-4a8c.local 61764 typ host generation 0 network-id 1\n\
         a=candidate:842163049 1 udp 1677729535 203.0.113.7 61764 typ srflx raddr 0.0.0.0 rport 0 generation 0\n\
         a=ice-ufrag:EsAw\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\na=ice-options:trickle\na=fingerprint:sha-256 {SHA256}\n\
         a=setup:actpass\na=mid:0\na=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\n\
         a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time\na=sendrecv\na=msid:5f6b 9c1d\n\
         a=rtcp-mux\na=rtcp-rsize\na=rtpmap:111 opus/48000/2\na=rtcp-fb:111 transport-cc\n\
         a=fmtp:111 minptime=10;useinbandfec=1\na=rtpmap:63 red/48000/2\na=fmtp:63 111/111\na=rtpmap:9 G722/8000\n\
         a=rtpmap:0 PCMU/8000\na=rtpmap:8 PCMA/8000\na=rtpmap:13 CN/8000\na=rtpmap:110 telephone-event/48000\n\
         a=rtpmap:126 telephone-event/8000\na=ssrc:1732693922 cname:hPgMNPg1fLhC8ELe\n\
         a=ssrc:1732693922 msid:5f6b 9c1d\n"
    )
    .replace('\n', "\r\n")
}

fn firefox() -> String {
    format!(
        "v=0\no=mozilla...THIS_IS_SDPARTA-99.0 3414923132562287131 0 IN IP4 0.0.0.0\ns=-\nt=0 0\na=sendrecv\n\
         a=fingerprint:sha-256 {SHA256}\na=group:BUNDLE 0\na=ice-options:trickle\na=msid-semantic:WMS *\n\
         m=audio 9 UDP/TLS/RTP/SAVPF 109 9 0 8 101\nc=IN IP4 0.0.0.0\na=sendrecv\n\
         a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\na=extmap:2/recvonly urn:ietf:params:rtp-hdrext:csrc-audio-level\n\
         a=extmap:3 urn:ietf:params:rtp-hdrext:sdes:mid\n\
         a=fmtp:109 maxplaybackrate=48000;stereo=1;useinbandfec=1\na=fmtp:101 0-15\n\
         a=ice-pwd:3d8a1b9cd6c5a44b1ff0f94c41c5f2a0\na=ice-ufrag:c5d2a0b1\na=mid:0\na=msid:{{a}} {{b}}\na=rtcp-mux\n\
         a=rtpmap:109 opus/48000/2\na=rtpmap:9 G722/8000/1\na=rtpmap:0 PCMU/8000\na=rtpmap:8 PCMA/8000\n\
         a=rtpmap:101 telephone-event/8000/1\na=setup:actpass\na=ssrc:2655508255 cname:{{735484ea-4f6c-f74a}}\n"
    )
    .replace('\n', "\r\n")
}

fn safari() -> String {
    chromium()
        .replace("126\r\n", "113 126\r\n")
        .replace("a=rtpmap:126", "a=rtpmap:113 telephone-event/16000\r\na=rtpmap:126")
        .replace("a=extmap-allow-mixed\r\n", "")
}

fn pt(number: u8) -> PayloadType {
    PayloadType(number)
}

const ALL: [Codec; 3] = [Codec::Opus, Codec::Pcmu, Codec::Pcma];

#[test]
fn offers_of_browsers_are_read() {
    let offer = Offer::parse(chromium().as_bytes()).unwrap();
    assert_eq!((offer.mid.as_str(), offer.ice.ufrag.as_str()), ("0", "EsAw"));
    assert_eq!(
        offer.codecs,
        [(pt(111), Codec::Opus), (pt(9), Codec::G722), (pt(0), Codec::Pcmu), (pt(8), Codec::Pcma)]
    );
    assert_eq!(offer.telephone_events, [(pt(110), 48_000), (pt(126), 8000)]);
    assert_eq!((offer.ssrc, offer.direction, offer.candidates), (Some(Ssrc(1_732_693_922)), Direction::SendRecv, 2));
    assert_eq!((offer.fingerprints.len(), offer.fingerprints[0].hex().as_str()), (1, SHA256));
    assert!(offer.rtcp_rsize);

    let offer = Offer::parse(firefox().as_bytes()).unwrap();
    assert_eq!(
        offer.codecs,
        [(pt(109), Codec::Opus), (pt(9), Codec::G722), (pt(0), Codec::Pcmu), (pt(8), Codec::Pcma)]
    );
    assert_eq!(offer.telephone_events, [(pt(101), 8000)]);
    assert_eq!((offer.fingerprints.len(), offer.rtcp_rsize, offer.candidates), (1, false, 0));

    let offer = Offer::parse(safari().as_bytes()).unwrap();
    assert_eq!(offer.telephone_events, [(pt(110), 48_000), (pt(113), 16_000), (pt(126), 8000)]);
}

/// Chromium's offer with a part replaced.
fn with(from: &str, to: &str) -> Result<Offer, OfferError> {
    let text = chromium();
    assert!(text.contains(from), "{from}");
    Offer::parse(text.replace(from, to).as_bytes())
}

#[test]
fn variants_of_offers_are_judged() {
    let fine = |from: &str, to: &str| assert!(with(from, to).is_ok(), "{from} -> {to}: {:?}", with(from, to));
    fine("a=setup:actpass", "a=setup:active");
    fine("UDP/TLS", "TCP/TLS");
    fine("a=fingerprint:", "a=fingerprint:sha-1 AA:BB\r\na=fingerprint:");
    fine("a=fingerprint:sha-256", "a=fingerprint:SHA-256");
    fine("a=rtpmap:0 PCMU/8000\r\n", "");
    fine("a=group:BUNDLE 0", "a=group:LS 0\r\na=group:BUNDLE 1 0");
    fine("\r\n", "\n");
    let unsupported = |from: &str, to: &str| {
        assert!(matches!(with(from, to), Err(OfferError::Unsupported(_))), "{from} -> {to}: {:?}", with(from, to));
    };
    unsupported("a=setup:actpass", "a=setup:passive");
    unsupported("UDP/TLS/RTP/SAVPF", "RTP/AVP");
    unsupported("a=group:BUNDLE 0\r\n", "");
    unsupported("a=group:BUNDLE 0", "a=group:BUNDLE 1");
    unsupported("a=rtcp-mux\r\n", "");
    unsupported("m=audio", "m=video");
    unsupported("m=audio 9", "m=audio 0");
    unsupported("m=audio", "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nm=audio");
    unsupported("sha-256", "sha-1");
    let invalid = |from: &str, to: &str| {
        assert!(matches!(with(from, to), Err(OfferError::Invalid(_))), "{from} -> {to}: {:?}", with(from, to));
    };
    invalid("v=0", "v=1");
    invalid("6B:8B:F0", "6B:8B");
    invalid("6B:8B:F0", "6B:+B:F0:0");
    invalid("a=ice-ufrag:EsAw", "a=ice-ufrag:Es");
    invalid("a=ice-ufrag:EsAw", "a=ice-ufrag:Es w");
    invalid("a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1", "a=ice-pwd:short");
    invalid("a=setup:actpass\r\n", "");
    invalid("a=mid:0\r\n", "");
    invalid("a=mid:0\r\n", "a=mid:a b\r\n");
    invalid(" 111 63", " 200 63");
    invalid("opus/48000/2", "opus");
    invalid("a=ssrc:1732693922 cname", "a=ssrc:x cname");
}

#[test]
fn the_static_payload_types_need_no_rtpmap() {
    let offer = with("a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n", "").unwrap();
    assert_eq!(
        offer.codecs,
        [(pt(111), Codec::Opus), (pt(9), Codec::G722), (pt(0), Codec::Pcmu), (pt(8), Codec::Pcma)]
    );
}

#[test]
fn codecs_and_the_event_that_fits_are_chosen() {
    let check = |text: String, allowed: &[Codec], prefer, codec, accepted: &[u8], event: Option<u8>| {
        let offer = Offer::parse(text.as_bytes()).unwrap();
        let media = BrowserMedia::negotiate(&offer, allowed, prefer).unwrap();
        assert_eq!((media.codec, media.payload_type.0), (codec, accepted[0]));
        assert_eq!(media.accepted.iter().map(|(p, _)| p.0).collect::<Vec<_>>(), accepted);
        assert_eq!(media.telephone_event.map(|e| e.0), event);
    };
    check(chromium(), &ALL, None, Codec::Opus, &[111, 0, 8], Some(110));
    check(chromium(), &ALL, Some(Codec::Pcma), Codec::Pcma, &[8, 111, 0], Some(126));
    check(chromium(), &[Codec::Pcma, Codec::Pcmu], None, Codec::Pcmu, &[0, 8], Some(126));
    check(chromium(), &[Codec::Opus], Some(Codec::Pcma), Codec::Opus, &[111], Some(110));
    check(firefox(), &ALL, None, Codec::Opus, &[109, 0, 8], None);
    check(firefox(), &ALL, Some(Codec::Pcmu), Codec::Pcmu, &[0, 109, 8], Some(101));
    let offer = Offer::parse(chromium().as_bytes()).unwrap();
    assert!(matches!(BrowserMedia::negotiate(&offer, &[], None), Err(OfferError::Unsupported(_))));
}

fn answered(offer: &Offer, allowed: &[Codec], candidates: &[String]) -> String {
    let media = BrowserMedia::negotiate(offer, allowed, None).unwrap();
    let parts = AnswerParts {
        ice: &IceCredentials { ufrag: "ours".into(), password: "a-password-of-22-chars".into() },
        candidates,
        fingerprint: &Fingerprint { algorithm: "sha-256".into(), bytes: vec![0xab; 32] },
        ssrc: Ssrc(77),
        cname: "Xy12",
        session: (5, 2),
        playback_rate: 48_000,
    };
    answer(offer, &media, &parts)
}

#[test]
fn the_answer_is_what_a_browser_expects() {
    let offer = Offer::parse(chromium().as_bytes()).unwrap();
    let candidates = [
        "1 1 tcp 1 192.0.2.1 443 typ host tcptype passive".to_owned(),
        "candidate:2 1 udp 2130706431 192.0.2.1 3478 typ host".to_owned(),
    ];
    let hash = vec!["AB"; 32].join(":");
    let expected = format!(
        "v=0\no=- 5 2 IN IP4 127.0.0.1\ns=-\nt=0 0\na=ice-lite\na=group:BUNDLE 0\na=msid-semantic: WMS *\n\
         m=audio 3478 UDP/TLS/RTP/SAVPF 63 111 0 110\nc=IN IP4 192.0.2.1\na=mid:0\na=sendrecv\na=rtcp-mux\n\
         a=rtcp-rsize\na=ice-ufrag:ours\na=ice-pwd:a-password-of-22-chars\na=fingerprint:sha-256 {hash}\n\
         a=setup:passive\na=rtpmap:111 opus/48000/2\na=fmtp:111 minptime=10;useinbandfec=1;stereo=0;maxplaybackrate=48000;maxaveragebitrate=32000\n\
         a=rtpmap:0 PCMU/8000\na=rtpmap:63 red/48000/2\na=fmtp:63 111/111\na=rtpmap:110 telephone-event/48000\na=fmtp:110 0-15\na=maxptime:60\n\
         a=msid:Xy12 Xy12-audio\na=ssrc:77 cname:Xy12\na=candidate:1 1 tcp 1 192.0.2.1 443 typ host tcptype passive\n\
         a=candidate:2 1 udp 2130706431 192.0.2.1 3478 typ host\na=end-of-candidates\n"
    );
    let text = answered(&offer, &[Codec::Opus, Codec::Pcmu], &candidates);
    assert_eq!(text, expected.replace('\n', "\r\n"));
    let none = answered(&Offer::parse(firefox().as_bytes()).unwrap(), &ALL, &[]);
    assert!(none.contains("m=audio 9 UDP/TLS/RTP/SAVPF 109 0 8\r\nc=IN IP4 0.0.0.0\r\n"));
    assert!(!none.contains("rtcp-rsize") && !none.contains("telephone-event") && !none.contains("extmap"));
}

#[test]
fn nack_is_agreed_on_for_the_codecs_it_is_offered_for() {
    let check = |feedback: &str, expected: &[u8]| {
        let offer = with("a=sendrecv", &format!("a=sendrecv\r\n{feedback}")).unwrap();
        let text = answered(&offer, &[Codec::Opus, Codec::Pcmu], &[]);
        let lines: Vec<_> = text.lines().filter(|line| line.starts_with("a=rtcp-fb:")).collect();
        let wanted: Vec<_> = expected.iter().map(|number| format!("a=rtcp-fb:{number} nack")).collect();
        assert_eq!(lines, wanted, "{feedback}");
    };
    check("a=rtcp-fb:111 transport-cc", &[]);
    check("a=rtcp-fb:111 nack", &[111]);
    check("a=rtcp-fb:* nack", &[111, 0]);
    check("a=rtcp-fb:0 nack\r\na=rtcp-fb:8 nack\r\na=rtcp-fb:111 nack pli", &[0]);
}

#[test]
fn directions_are_mirrored() {
    for (theirs, ours) in
        [("sendrecv", "sendrecv"), ("sendonly", "recvonly"), ("recvonly", "sendonly"), ("inactive", "inactive")]
    {
        let offer = with("a=sendrecv", &format!("a={theirs}")).unwrap();
        let text = answered(&offer, &ALL, &[]);
        assert!(text.contains(&format!("\r\na={ours}\r\n")), "{theirs}");
        assert_eq!(text.contains("a=ssrc:"), ours.starts_with("send"), "{theirs}");
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Offer::parse(&bytes);
    }

    #[test]
    fn no_damaged_offer_panics(cuts in proptest::collection::vec((0usize..2000, any::<u8>()), 1..4)) {
        let mut bytes = chromium().into_bytes();
        for (at, value) in cuts {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        if let Ok(offer) = Offer::parse(&bytes)
            && BrowserMedia::negotiate(&offer, &ALL, None).is_ok()
        {
            let _ = answered(&offer, &ALL, &[]);
        }
    }
}
