//! `a=rtcp-xr` of offers and answers.

use super::*;

fn local() -> LocalMedia {
    LocalMedia {
        address: "192.0.2.10:40000".parse().unwrap(),
        codecs: vec![Codec::Pcmu],
        session_id: 42,
        version: 1,
        holding: false,
        encryption: None,
    }
}

fn description(session: &str, line: &str) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\n{session}m=audio 5000 RTP/AVP 0\r\n{line}"
    )
}

#[test]
fn extended_reports_are_those_the_peer_names() {
    let check = |session: &str, line: &str, expected: Option<(bool, bool)>| {
        let text = description(session, line);
        let read = accept_answer(&local(), text.as_bytes(), RtpSource::Signalled).unwrap().extended;
        assert_eq!(read.map(|wish| (wish.round_trip, wish.voip)), expected, "{text}");
    };
    check("", "", None);
    check("", "a=rtcp-xr:voip-metrics\r\n", Some((false, true)));
    check("", "a=rtcp-xr:pkt-loss-rle=50 rcvr-rtt=all:10 VoIP-Metrics\r\n", Some((true, true)));
    check("a=rtcp-xr:rcvr-rtt=sender\r\n", "", Some((true, false)));
    check("a=rtcp-xr:voip-metrics\r\n", "a=rtcp-xr:\r\n", Some((false, false)));
    check("", "a=rtcp-xr:voip-metricsx stat-summary=loss,dup\r\n", Some((false, false)));
    check("", "a=rtcp-xr\r\n", Some((false, false)));
}

#[test]
fn every_offer_asks_for_extended_reports_and_an_answer_to_who_knows_them() {
    let answer = |line: &str| answer_offer(&local(), description("", line).as_bytes(), RtpSource::Signalled).unwrap().1;
    let asked = "a=rtcp-xr:rcvr-rtt=all voip-metrics\r\n";
    assert!(answer("a=rtcp-xr:voip-metrics\r\n").contains(asked));
    assert!(!answer("").contains("rtcp-xr"));
    assert!(offer(&local()).contains(asked));
}
