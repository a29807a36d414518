//! The trail: what it tells, what it leaves out, how far it grows.

use trunkline_signaling::endpoint::Traced;

use super::*;

fn traced(outgoing: bool, start_line: &str, cseq: &str, sdp: Option<&str>) -> SipEvent {
    SipEvent::Traced(Box::new(Traced {
        outgoing,
        peer: address("192.0.2.9:5070"),
        start_line: start_line.into(),
        cseq: cseq.into(),
        reason: None,
        sdp: sdp.map(|sdp| Bytes::from(sdp.to_owned())),
        repeated: false,
    }))
}

fn column(list: &Value, name: &str) -> Vec<String> {
    let text = |item: &Value| item[name].as_str().map_or_else(|| item[name].to_string(), str::to_owned);
    list.as_array().unwrap().iter().map(text).collect()
}

#[test]
fn the_timeline_tells_a_call_from_its_beginning_to_its_end() {
    let mut bench = Bench::started();
    bench.connect();
    bench = bench.invite(1).after(2);
    bench.sip(SipEvent::Provisional { fork: Fork::default(), status: 180, sdp: None });
    bench.sip(SipEvent::Answered { fork: Fork::default(), sdp: pcmu() });
    bench.media(MediaEvent::FirstAudio { from: Leg::Trunk });
    bench = bench.after(3);
    bench.feed(Input::Api(Api::VisitorHangup));
    let trail = bench.call.trail(bench.now);
    let what = column(&trail["timeline"], "what");
    let expected = [
        "call_started",
        "ice_connected",
        "dtls_connected",
        "inviting",
        "provisional",
        "call_ringing",
        "answered",
        "call_answered",
        "first_audio",
        "hangup",
        "hanging_up",
        "call_ended",
    ];
    let told: Vec<&str> = what.iter().map(String::as_str).filter(|w| expected.contains(w)).collect();
    assert_eq!(told, expected, "{trail:#}");
    let at = column(&trail["timeline"], "at");
    assert!(at.is_sorted() && at[0] == "2023-11-14T22:13:20.000Z" && at.last().unwrap() == "2023-11-14T22:13:25.000Z");
    let of = |name: &str| trail["timeline"].as_array().unwrap().iter().find(|entry| entry["what"] == name).unwrap();
    assert_eq!(of("inviting")["detail"], json!({"destination": "sip:agent@acme", "target": "udp:192.0.2.9:5070"}));
    assert_eq!(of("ice_connected")["detail"], json!({"remote": "198.51.100.7:5000", "path": "udp"}));
    assert_eq!(of("hanging_up")["detail"]["reason"].as_str().map(|r| r.starts_with("Q.850;cause=16")), Some(true));
    assert!(!trail.to_string().contains("gold"), "no context");
}

#[test]
fn the_ladder_goes_on_after_the_end_and_tells_offers_from_answers() {
    let mut bench = Bench::inviting();
    for (outgoing, line, cseq, sdp) in [
        (true, "INVITE sip:agent:hunter2@192.0.2.9 SIP/2.0", "1 INVITE", Some("v=0\r\ns=a\r\n")),
        (false, "SIP/2.0 407 Proxy Authentication Required", "1 INVITE", None),
        (true, "INVITE sip:agent@192.0.2.9 SIP/2.0", "2 INVITE", Some("v=0\r\ns=a\r\n")),
        (false, "SIP/2.0 183 Session Progress", "2 INVITE", Some("v=0\r\ns=b\r\na=crypto:1 X inline:K3Y\r\n")),
        (false, "SIP/2.0 200 OK", "2 INVITE", Some("v=0\r\ns=b\r\na=crypto:1 X inline:K3Y\r\n")),
        (false, "INVITE sip:gw@192.0.2.1 SIP/2.0", "9 INVITE", None),
        (true, "SIP/2.0 200 OK", "9 INVITE", Some("v=0\r\ns=c\r\n")),
        (false, "ACK sip:gw@192.0.2.1 SIP/2.0", "9 ACK", Some("v=0\r\ns=d\r\n")),
    ] {
        bench.sip(traced(outgoing, line, cseq, sdp));
    }
    bench.feed(Input::Api(Api::VisitorHangup));
    assert!(bench.call.is_over());
    bench.sip(traced(true, "BYE sip:agent@192.0.2.9 SIP/2.0", "3 BYE", None));
    let trail = bench.call.trail(bench.now);
    let rows: Vec<String> = ["kind", "direction", "sdp"]
        .map(|name| column(&trail["sdp"], name))
        .iter()
        .flat_map(|column| column.iter().map(|text| text.replace("\r\n", " ").trim().to_owned()).collect::<Vec<_>>())
        .collect();
    assert_eq!(rows[..4], ["offer", "answer", "offer", "answer"]);
    assert_eq!(rows[4..8], ["sent", "received", "sent", "received"]);
    assert_eq!(rows[8..], ["v=0 s=a", "v=0 s=b a=crypto:***", "v=0 s=c", "v=0 s=d"]);
    let ladder = &trail["sip_ladder"];
    assert_eq!(column(ladder, "message")[0], "INVITE sip:agent:***@192.0.2.9 SIP/2.0");
    assert_eq!((column(ladder, "cseq").len(), column(ladder, "cseq").last().map(String::as_str)), (9, Some("3 BYE")));
}

#[test]
fn floods_leave_the_beginning_and_the_end() {
    let mut bench = Bench::inviting();
    bench.sip(SipEvent::Answered { fork: Fork::default(), sdp: pcmu() });
    let digit = Digit::from_char('7').unwrap();
    for n in 0..2_000 {
        bench.media(MediaEvent::Dtmf { from: Leg::Browser, digit, duration_ms: 160 });
        bench.sip(traced(false, &format!("INFO {}", "x".repeat(1_000)), &format!("{n} INFO"), Some(&format!("v={n}"))));
        let candidate = format!("a=candidate:{n} 1 udp 1 192.0.2.1 9 typ host ufrag s3cr3t");
        bench.call.note_fragment(bench.now, true, candidate.as_bytes());
    }
    bench.feed(Input::Api(Api::VisitorHangup));
    let trail = bench.call.trail(bench.now);
    let count = |path: &str| trail.pointer(path).unwrap().as_array().unwrap().len();
    assert_eq!(["/timeline", "/sip_ladder", "/sdp", "/candidates/remote"].map(count), [256, 64, 16, 64]);
    for list in ["timeline", "sip_ladder", "sdp", "candidates"] {
        assert!(trail["left_out"][list].as_u64().unwrap() > 1_000, "{list}");
    }
    let what = column(&trail["timeline"], "what");
    assert_eq!((what[0].as_str(), what[255].as_str()), ("call_started", "call_ended"));
    assert_eq!(column(&trail["sip_ladder"], "cseq")[63], "1999 INFO");
    let text = trail.to_string();
    assert!(text.len() < 128 * 1_024 && !text.contains("s3cr3t") && !text.contains("\"7\""), "{}", text.len());
}
