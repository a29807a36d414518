use proptest::prelude::*;

use super::*;

fn local() -> LocalMedia {
    LocalMedia {
        address: "192.0.2.10:40000".parse().unwrap(),
        codecs: vec![Codec::Pcma, Codec::Pcmu],
        session_id: 42,
        version: 1,
        holding: false,
        encryption: None,
    }
}

/// An answer with this session-level `c=` and these media lines.
fn text(connection: &str, media: &str) -> String {
    let text = format!("v=0\no=- 1 1 IN IP4 198.51.100.1\ns=-\n{connection}t=0 0\n{media}");
    text.replace('\n', "\r\n")
}

const C: &str = "c=IN IP4 198.51.100.1\n";

fn accept(connection: &str, media: &str) -> Result<TrunkMedia, TrunkSdpError> {
    accept_answer(&local(), text(connection, media).as_bytes(), RtpSource::Signalled)
}

#[test]
fn the_offer_says_what_we_do() {
    let expected = "v=0\no=- 42 1 IN IP4 192.0.2.10\ns=-\nc=IN IP4 192.0.2.10\nt=0 0\nm=audio 40000 RTP/AVP 8 0 101\n\
        a=rtpmap:8 PCMA/8000\na=rtpmap:0 PCMU/8000\na=rtpmap:101 telephone-event/8000\na=fmtp:101 0-15\n\
        a=rtcp-xr:rcvr-rtt=all voip-metrics\na=ptime:20\n\
        a=sendrecv\n";
    assert_eq!(offer(&local()), expected.replace('\n', "\r\n"));
    let six = LocalMedia { address: "[2001:db8::1]:40000".parse().unwrap(), ..local() };
    assert!(offer(&six).contains("c=IN IP6 2001:db8::1\r\n"));
}

#[test]
fn answers_choose_a_codec() {
    let check = |media: &str, codec, number: u8, event: Option<u8>| {
        let found = accept(C, media).unwrap();
        assert_eq!((found.codec, found.payload_type.0), (codec, number), "{media}");
        assert_eq!(found.telephone_event.map(|(number, _)| number.0), event, "{media}");
    };
    check("m=audio 5000 RTP/AVP 0\n", Codec::Pcmu, 0, None);
    check("m=audio 5000 RTP/AVP 8 0 101\na=rtpmap:101 telephone-event/8000\n", Codec::Pcma, 8, Some(101));
    check(
        "m=audio 5000 RTP/AVP 101 18 0 8\na=rtpmap:101 telephone-event/8000\na=fmtp:101 0-11,16\n",
        Codec::Pcmu,
        0,
        Some(101),
    );
    check(
        "m=audio 5000 RTP/AVP 97 96\na=rtpmap:96 telephone-event/8000\na=rtpmap:97 pcmu/8000/1\n",
        Codec::Pcmu,
        97,
        Some(96),
    );
    check("m=audio 5000 RTP/AVP 96 0\na=rtpmap:96 opus/48000/2\n", Codec::Pcmu, 0, None);
    check("m=audio 5000 RTP/AVP 0 102\na=rtpmap:102 telephone-event/48000\n", Codec::Pcmu, 0, Some(102));
    check("m=audio 0 RTP/SAVP 0\nm=audio 5000 RTP/AVP 0\n", Codec::Pcmu, 0, None);
    check("m=video 6000 RTP/AVP 34\nm=audio 5000 RTP/AVPF 8\n", Codec::Pcma, 8, None);
}

#[test]
fn answers_that_cannot_be_used_say_why() {
    for media in [
        "m=audio 0 RTP/AVP 0\n",
        "m=audio 5000 RTP/SAVP 0\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x\n",
        "m=audio 5000 UDP/TLS/RTP/SAVPF 0\n",
        "m=audio 5000 RTP/AVP 18 3\n",
        "m=audio 5000 RTP/AVP 0\na=rtpmap:0 G726-32/8000\n",
        "m=video 5000 RTP/AVP 34\n",
    ] {
        assert!(matches!(accept(C, media), Err(TrunkSdpError::Unacceptable(_))), "{media}");
    }
    for (connection, media) in [
        ("", "m=audio 5000 RTP/AVP 0\n"),
        ("c=IN IP4 pbx.example\n", "m=audio 5000 RTP/AVP 0\n"),
        (C, "m=audio 5000 RTP/AVP 200\n"),
        (C, "m=audio 5000 RTP/AVP 0\na=rtcp:x\n"),
        (C, "m=audio\n"),
        (C, ""),
    ] {
        assert!(matches!(accept(connection, media), Err(TrunkSdpError::Invalid(_))), "{media}");
    }
}

#[test]
fn addresses_are_taken_from_where_they_stand() {
    let check = |connection: &str, media: &str, rtp: &str, rtcp: &str| {
        let found = accept(connection, media).unwrap();
        assert_eq!((found.remote.to_string().as_str(), found.remote_rtcp.to_string().as_str()), (rtp, rtcp), "{media}");
    };
    check(C, "m=audio 5000 RTP/AVP 0\n", "198.51.100.1:5000", "198.51.100.1:5001");
    check(C, "m=audio 5000/2 RTP/AVP 0\nc=IN IP4 203.0.113.9\n", "203.0.113.9:5000", "203.0.113.9:5001");
    check(C, "m=audio 5000 RTP/AVP 0\na=rtcp:5077\n", "198.51.100.1:5000", "198.51.100.1:5077");
    check(C, "m=audio 5000 RTP/AVP 0\na=rtcp:5077 IN IP4 203.0.113.3\n", "198.51.100.1:5000", "203.0.113.3:5077");
    check(C, "m=audio 65535 RTP/AVP 0\n", "198.51.100.1:65535", "198.51.100.1:65535");
}

#[test]
fn packet_times_are_kept_sane() {
    let check = |lines: &str, expected| {
        let media = format!("m=audio 5000 RTP/AVP 0\n{lines}");
        assert_eq!(accept(C, &media).unwrap().ptime_ms, expected, "{lines}");
    };
    check("", 20);
    check("a=ptime:30\n", 30);
    check("a=ptime:0\n", 20);
    check("a=ptime:4000000000\n", 60);
    check("a=ptime:x\n", 20);
    check("a=ptime:40\na=maxptime:20\n", 20);
    check("a=maxptime:150\n", 20);
}

#[test]
fn a_peer_we_hold_is_not_asked_for_audio() {
    let local = LocalMedia { holding: true, ..local() };
    assert!(offer(&local).ends_with("\r\na=sendonly\r\n"));
    let rows = [
        ("sendrecv", Direction::RecvOnly, "sendonly"),
        ("recvonly", Direction::RecvOnly, "sendonly"),
        ("sendonly", Direction::Inactive, "inactive"),
        ("inactive", Direction::Inactive, "inactive"),
    ];
    for (theirs, direction, answered) in rows {
        let theirs = text(C, &format!("m=audio 5000 RTP/AVP 0\na={theirs}\n"));
        let (media, answer) = answer_offer(&local, theirs.as_bytes(), RtpSource::Signalled).unwrap();
        assert_eq!(media.peer_direction, direction, "{theirs}");
        assert!(answer.ends_with(&format!("\r\na={answered}\r\n")), "{answer}");
        let media = accept_answer(&local, theirs.as_bytes(), RtpSource::Signalled).unwrap();
        assert_eq!(media.peer_direction, direction, "{theirs}");
    }
}

#[test]
fn hold_is_understood_and_answered() {
    let check = |connection: &str, lines: &str, direction, answered: &str| {
        let offer = text(connection, &format!("m=audio 5000 RTP/AVP 0\n{lines}"));
        let (media, answer) = answer_offer(&local(), offer.as_bytes(), RtpSource::Signalled).unwrap();
        assert_eq!(media.peer_direction, direction, "{connection}{lines}");
        assert!(answer.ends_with(&format!("\r\na={answered}\r\n")), "{answer}");
    };
    check(C, "", Direction::SendRecv, "sendrecv");
    check(C, "a=sendonly\n", Direction::SendOnly, "recvonly");
    check(C, "a=recvonly\n", Direction::RecvOnly, "sendonly");
    check(C, "a=inactive\n", Direction::Inactive, "inactive");
    check("c=IN IP4 0.0.0.0\n", "", Direction::SendOnly, "recvonly");
    check("c=IN IP4 0.0.0.0\n", "a=inactive\n", Direction::Inactive, "inactive");
    check("c=IN IP6 ::\n", "a=recvonly\n", Direction::Inactive, "inactive");
    check("c=IN IP4 198.51.100.1\na=sendonly\n", "", Direction::SendOnly, "recvonly");
    check("c=IN IP4 198.51.100.1\na=sendonly\n", "a=sendrecv\n", Direction::SendRecv, "sendrecv");
}

#[test]
fn an_offer_is_answered_line_by_line_with_its_own_numbers() {
    let offer = text(
        C,
        "m=audio 0 RTP/SAVP 0\nm=video 6000 RTP/AVP 34 97\nm=audio 5000 RTP/AVP 18 98 0 99\na=rtpmap:98 PCMA/8000\n\
         a=rtpmap:99 telephone-event/8000\nm=image 7000 udptl t38\n",
    );
    let (media, answer) = answer_offer(&local(), offer.as_bytes(), RtpSource::Latch).unwrap();
    assert_eq!((media.codec, media.payload_type.0, media.source), (Codec::Pcma, 98, RtpSource::Latch));
    let lines: Vec<_> = answer.lines().filter(|l| l.starts_with("m=")).collect();
    let expected =
        ["m=audio 0 RTP/SAVP 0", "m=video 0 RTP/AVP 34 97", "m=audio 40000 RTP/AVP 98 99", "m=image 0 udptl t38"];
    assert_eq!(lines, expected);
    assert!(answer.contains("a=rtpmap:98 PCMA/8000\r\na=rtpmap:99 telephone-event/8000\r\na=fmtp:99 0-15\r\n"));
}

#[test]
fn our_own_offer_and_answer_read_back() {
    let theirs = LocalMedia { address: "203.0.113.5:6000".parse().unwrap(), ..local() };
    let (media, answer) = answer_offer(&theirs, offer(&local()).as_bytes(), RtpSource::Signalled).unwrap();
    assert_eq!(media.remote, local().address);
    let back = accept_answer(&local(), answer.as_bytes(), RtpSource::Signalled).unwrap();
    assert_eq!(back.remote, theirs.address);
    assert_eq!((back.codec, back.telephone_event), (Codec::Pcma, Some((PayloadType(101), 8_000))));
}

#[test]
fn the_lines_of_a_session_stay_and_so_do_its_numbers() {
    let first = text(
        C,
        "m=video 6000 RTP/AVP 34\nm=audio 5000 RTP/AVPF 96 101\na=rtpmap:96 PCMA/8000\na=rtpmap:101 opus/48000/2\n\
         a=rtcp-mux\nm=image 7000 udptl t38\n",
    );
    let local = LocalMedia { codecs: vec![Codec::Opus, Codec::Pcma, Codec::Pcmu], ..local() };
    let (media, _) = answer_offer(&local, first.as_bytes(), RtpSource::Signalled).unwrap();
    let offer = offer_again(&local, &media);
    let lines: Vec<_> = offer.lines().filter(|line| line.starts_with("m=")).collect();
    assert_eq!(lines, ["m=video 0 RTP/AVP 34", "m=audio 40000 RTP/AVPF 97 96 0 102 101", "m=image 0 udptl t38"]);
    assert!(offer.contains("a=rtpmap:96 PCMA/8000\r\n") && offer.contains("a=rtpmap:97 opus/48000/2\r\n"), "{offer}");
    assert!(offer.contains("\r\na=rtcp-mux\r\n"), "{offer}");
    // Its answer to that is read whole.
    let answer = text(
        C,
        "m=video 0 RTP/AVP 34\nm=audio 5000 RTP/AVPF 96\na=rtpmap:96 PCMA/8000\na=rtcp-mux\nm=image 0 udptl t38\n",
    );
    let again = accept_answer(&local, answer.as_bytes(), RtpSource::Signalled).unwrap();
    assert_eq!((again.lines, again.codec, again.rtcp_mux), (media.lines, Codec::Pcma, true));
}

#[test]
fn rtcp_may_share_the_port() {
    let offer = text(C, "m=audio 5000 RTP/AVP 0\na=rtcp:5077\na=rtcp-mux\n");
    let (media, answer) = answer_offer(&local(), offer.as_bytes(), RtpSource::Signalled).unwrap();
    assert_eq!((media.rtcp_mux, media.remote_rtcp), (true, media.remote));
    assert!(answer.contains("\r\na=rtcp-mux\r\n"), "{answer}");
    let (media, answer) =
        answer_offer(&local(), text(C, "m=audio 5000 RTP/AVP 0\n").as_bytes(), RtpSource::Signalled).unwrap();
    assert!(!media.rtcp_mux && !answer.contains("rtcp-mux"));
}

#[test]
fn an_answer_of_several_codecs_lets_the_peer_send_all_of_them() {
    let media = accept(C, "m=audio 5000 RTP/AVP 8 18 0 101\na=rtpmap:101 telephone-event/8000\n").unwrap();
    assert_eq!((media.codec, media.also), (Codec::Pcma, vec![(PayloadType(0), Codec::Pcmu)]));
    let offer = text(C, "m=audio 5000 RTP/AVP 8 0\n");
    let (media, answer) = answer_offer(&local(), offer.as_bytes(), RtpSource::Signalled).unwrap();
    assert!(media.also.is_empty() && answer.contains("RTP/AVP 8\r\n"), "an answer of ours has one");
}

#[test]
fn an_address_of_the_other_family_is_refused_and_its_hold_is_not() {
    let check = |line: &str| accept(line, "m=audio 5000 RTP/AVP 0\n").map(|media| media.peer_direction);
    assert_eq!(check("c=IN IP6 2001:db8::7\n"), Err(TrunkSdpError::Unacceptable(Refusal::Family)));
    assert_eq!(check("c=IN IP6 ::\n"), Ok(Direction::SendOnly));
    let six = LocalMedia { address: "[2001:db8::1]:40000".parse().unwrap(), ..local() };
    let answer = text("c=IN IP6 2001:db8::7\n", "m=audio 5000 RTP/AVP 0\n");
    let media = accept_answer(&six, answer.as_bytes(), RtpSource::Signalled).unwrap();
    assert_eq!(media.remote.to_string(), "[2001:db8::7]:5000");
}

fn encrypted(required: bool) -> LocalMedia {
    LocalMedia { encryption: Some(KeySource::new([9; 32]).draw(required)), ..local() }
}

const THEIR_KEY: &str = "inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";

#[test]
fn encryption_is_offered_on_a_plain_line_or_demanded() {
    for (required, profile) in [(false, "RTP/AVP"), (true, "RTP/SAVP")] {
        let offer = offer(&encrypted(required));
        assert!(offer.contains(&format!("m=audio 40000 {profile} 8 0 101\r\n")), "{offer}");
        for (tag, suite) in [
            (1, "AEAD_AES_128_GCM"),
            (2, "AEAD_AES_256_GCM"),
            (3, "AES_CM_128_HMAC_SHA1_80"),
            (4, "AES_CM_128_HMAC_SHA1_32"),
        ] {
            assert!(offer.contains(&format!("\r\na=crypto:{tag} {suite} inline:")), "{offer}");
        }
    }
    assert!(!offer(&local()).contains("crypto"));
}

#[test]
fn an_answer_is_encrypted_plain_or_refused_exactly() {
    let optional = encrypted(false);
    let required = encrypted(true);
    let savp = "m=audio 5000 RTP/SAVP 0\n";
    let avp = "m=audio 5000 RTP/AVP 0\n";
    let good = format!("a=crypto:3 AES_CM_128_HMAC_SHA1_80 {THEIR_KEY}\n");
    let other_tag = format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 {THEIR_KEY}\n");
    let unknown_tag = format!("a=crypto:9 AES_CM_128_HMAC_SHA1_80 {THEIR_KEY}\n");
    let parameter = format!("a=crypto:3 AES_CM_128_HMAC_SHA1_80 {THEIR_KEY} UNENCRYPTED_SRTP\n");
    let suite = Ok(Some("AES_CM_128_HMAC_SHA1_80"));
    let check = |local: &LocalMedia, line: &str, crypto: &str, expected: Result<Option<&str>, Refusal>| {
        let answer = text(C, &format!("{line}{crypto}"));
        let found = accept_answer(local, answer.as_bytes(), RtpSource::Signalled);
        let found = found.map(|media| media.srtp.map(|srtp| srtp.suite()));
        assert_eq!(found, expected.map_err(TrunkSdpError::Unacceptable), "{line}{crypto}");
    };
    for local in [&optional, &required] {
        check(local, savp, &good, suite);
        check(local, avp, &good, suite);
        for bad in [&other_tag, &unknown_tag, &parameter] {
            check(local, savp, bad, Err(Refusal::Keys));
            check(local, avp, bad, Err(Refusal::Keys));
        }
        check(local, savp, "", Err(Refusal::Keys));
        check(local, "m=audio 5000 UDP/TLS/RTP/SAVP 0\n", "", Err(Refusal::Transport));
    }
    check(&optional, avp, "", Ok(None));
    check(&required, avp, "", Err(Refusal::Plain));
    check(&local(), savp, &good, Err(Refusal::Encrypted));
    check(&local(), avp, &good, Ok(None));
}

#[test]
fn an_offer_with_keys_is_answered_with_one_of_ours() {
    let crypto = format!(
        "a=crypto:5 F8_128_HMAC_SHA1_80 {THEIR_KEY}\na=crypto:7 AES_CM_128_HMAC_SHA1_32 {THEIR_KEY}|2^31|1:1\n"
    );
    for profile in ["RTP/SAVP", "RTP/AVP", "RTP/SAVPF", "RTP/AVPF"] {
        let offer = text(C, &format!("m=audio 5000 {profile} 0\n{crypto}"));
        for required in [false, true] {
            let (media, answer) = answer_offer(&encrypted(required), offer.as_bytes(), RtpSource::Signalled).unwrap();
            assert_eq!(media.srtp.as_ref().unwrap().suite(), "AES_CM_128_HMAC_SHA1_32");
            assert!(answer.contains(&format!("m=audio 40000 {profile} 0\r\n")), "{answer}");
            assert_eq!(answer.matches("a=crypto:").count(), 1);
            assert!(answer.contains("a=crypto:7 AES_CM_128_HMAC_SHA1_32 inline:"), "{answer}");
            assert!(!answer.contains("WVNf") && !format!("{media:?}").contains("WVNf"));
        }
    }
    let plain = text(C, "m=audio 5000 RTP/AVP 0\n");
    let (media, answer) = answer_offer(&encrypted(false), plain.as_bytes(), RtpSource::Signalled).unwrap();
    assert!(media.srtp.is_none() && !answer.contains("crypto"));
    let refused = |local: &LocalMedia, offer: &str| match answer_offer(local, offer.as_bytes(), RtpSource::Signalled) {
        Err(TrunkSdpError::Unacceptable(why)) => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&encrypted(true), &plain), Refusal::Plain);
    assert_eq!(refused(&encrypted(false), &text(C, "m=audio 5000 RTP/SAVP 0\n")), Refusal::Keys);
    assert_eq!(refused(&local(), &text(C, &format!("m=audio 5000 RTP/SAVP 0\n{crypto}"))), Refusal::Encrypted);
    assert_eq!(refused(&local(), &text(C, "m=audio 5000 RTP/AVP 18\n")), Refusal::NoCodec);
    assert_eq!(refused(&local(), &text(C, "m=audio 5000 TCP/RTP/AVP 0\n")), Refusal::Transport);
    assert_eq!(refused(&local(), &text(C, "m=video 5000 RTP/AVP 34\n")), Refusal::NoAudio);
}

#[test]
fn of_a_plain_and_an_encrypted_line_we_take_the_encrypted_one_if_we_can() {
    let both = text(
        C,
        &format!("m=audio 5000 RTP/AVP 0\nm=audio 5002 RTP/SAVP 0\na=crypto:1 AES_CM_128_HMAC_SHA1_80 {THEIR_KEY}\n"),
    );
    let check = |local: &LocalMedia, lines: [&str; 2]| {
        let (_, answer) = answer_offer(local, both.as_bytes(), RtpSource::Signalled).unwrap();
        assert_eq!(answer.lines().filter(|line| line.starts_with("m=")).collect::<Vec<_>>(), lines);
    };
    check(&encrypted(false), ["m=audio 0 RTP/AVP 0", "m=audio 40000 RTP/SAVP 0"]);
    check(&local(), ["m=audio 40000 RTP/AVP 0", "m=audio 0 RTP/SAVP 0"]);
}

#[test]
fn our_key_lasts_until_the_peer_is_another() {
    let mut keys = KeySource::new([9; 32]);
    let mut local = LocalMedia { encryption: Some(keys.draw(false)), ..local() };
    let offer = |port: u16, key: &str, more: &str| {
        text(C, &format!("m=audio {port} RTP/AVP 0\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{key}\n{more}"))
    };
    let (first, second) = ("WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz", "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj");
    let (mut media, _) = answer_offer(&local, offer(5000, first, "").as_bytes(), RtpSource::Signalled).unwrap();
    let mut renegotiated = |sdp: &str| {
        let before = media.srtp.as_ref().map(|srtp| srtp.ours);
        media = renegotiate(&mut local, &media, sdp.as_bytes(), &mut keys).unwrap().0;
        (before == media.srtp.as_ref().map(|srtp| srtp.ours), local.version)
    };
    assert_eq!(renegotiated(&offer(5000, first, "a=sendonly\n")), (true, 2), "hold");
    assert_eq!(renegotiated(&offer(5000, first, "")), (true, 3), "resume");
    assert_eq!(renegotiated(&offer(5000, second, "")), (false, 4), "another key");
    assert_eq!(renegotiated(&offer(5002, second, "")), (false, 5), "another place");
    assert_eq!(renegotiated(&text(C, "m=audio 5002 RTP/AVP 0\n")), (false, 6), "plain");
    assert_eq!(renegotiated(&offer(5002, second, "")), (false, 7), "encrypted again");
    let kept = local.clone();
    let refused = renegotiate(&mut local, &media, text(C, "m=audio 1 RTP/AVP 18\n").as_bytes(), &mut keys);
    assert_eq!(refused.unwrap_err(), TrunkSdpError::Unacceptable(Refusal::NoCodec));
    assert_eq!(local, kept, "a refused offer changes nothing");
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = accept_answer(&local(), &bytes, RtpSource::Signalled);
        let _ = answer_offer(&local(), &bytes, RtpSource::Signalled);
    }

    #[test]
    fn no_line_soup_panics(lines in proptest::collection::vec("[vomca]=(audio|rtpmap:|rtcp:|ptime:|IN IP4)?[ -~]{0,30}", 0..12)) {
        let soup = format!("v=0\r\n{}\r\n", lines.join("\r\n"));
        let _ = accept_answer(&local(), soup.as_bytes(), RtpSource::Signalled);
        let _ = answer_offer(&local(), soup.as_bytes(), RtpSource::Signalled);
    }

    #[test]
    fn no_damaged_description_panics(at in 0usize..400, value: u8) {
        let mut bytes = offer(&local()).into_bytes();
        let at = at % bytes.len();
        bytes[at] = value;
        let _ = answer_offer(&local(), &bytes, RtpSource::Signalled);
    }
}
