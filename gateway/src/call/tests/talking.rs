//! What an answered call does for the trunk and the API.

use super::*;

#[test]
fn the_trunk_may_change_its_media_and_put_the_call_on_hold() {
    let attempt = AttemptId(1);
    let mut bench = Bench::talking();
    for (offer, version) in [("sendonly", 2), ("inactive", 3), ("sendrecv", 4)] {
        let effects = bench.sip(SipEvent::Offer { fork: Fork::default(), sdp: Some(sdp(4_004, "8", offer)) });
        let [
            Effect::AnswerOffer { attempt: of, answer: Ok(answer) },
            Effect::Media(Command::ConnectTrunk(media)),
            then @ ..,
        ] = &effects[..]
        else {
            panic!("{effects:?}")
        };
        // Who sends has music of its own; who does not leaves that to us.
        let held = |held| vec![Effect::Media(Command::SetHeld { leg: Leg::Browser, held, audio: None })];
        let expected = match offer {
            "inactive" => held(true),
            "sendrecv" => held(false),
            _ => Vec::new(),
        };
        assert_eq!(then, expected, "{offer}");
        assert_eq!((*of, media.codec), (attempt, Codec::Pcma));
        assert_eq!(media.remote.to_string(), "192.0.2.9:4004");
        let answer = String::from_utf8_lossy(answer);
        assert!(answer.contains(&format!("o=- 7 {version} ")), "{answer}");
    }
    let refused = bench.sip(SipEvent::Offer { fork: Fork::default(), sdp: Some(sdp(4_006, "18", "sendrecv")) });
    assert_eq!(refused, [Effect::AnswerOffer { attempt, answer: Err(488) }]);
    assert_eq!(bench.call.state(), State::Talking);
    assert_eq!(bench.record()["sip"]["codec"], "PCMA", "nothing changed");
}

#[test]
fn a_visitor_is_held_as_long_as_anybody_holds_him() {
    let mut bench = Bench::talking();
    let offer = |direction| SipEvent::Offer { fork: Fork::default(), sdp: Some(sdp(4_000, "0", direction)) };
    let holds = |effects: Vec<Effect>| {
        effects.iter().find_map(|effect| {
            let Effect::Media(Command::SetHeld { leg: Leg::Browser, held, .. }) = effect else { return None };
            Some(*held)
        })
    };
    let operator = |held| Input::Api(Api::Hold { leg: Leg::Browser, held });
    assert_eq!(holds(bench.sip(offer("inactive"))), Some(true));
    assert_eq!(bench.record()["browser"]["held"], false, "by no operator");
    assert_eq!(holds(bench.feed(operator(true))), None);
    assert_eq!(holds(bench.sip(offer("sendrecv"))), None);
    assert_eq!(holds(bench.sip(offer("inactive"))), None);
    assert_eq!(holds(bench.feed(operator(false))), None, "the agent still does");
    assert_eq!(holds(bench.sip(offer("sendonly"))), Some(false));
}

#[test]
fn a_re_invite_without_an_offer_gets_ours() {
    let mut bench = Bench::talking();
    let effects = bench.sip(SipEvent::Offer { fork: Fork::default(), sdp: None });
    let [Effect::AnswerOffer { answer: Ok(offer), .. }] = &effects[..] else { panic!("{effects:?}") };
    assert!(String::from_utf8_lossy(offer).contains("m=audio 30000 RTP/AVP 0 8"));
    let moved = bench.sip(SipEvent::OfferAnswered(Ok(sdp(4_010, "0", "sendrecv"))));
    assert!(matches!(&moved[..], [Effect::Media(Command::ConnectTrunk(m))] if m.remote.port() == 4_010));
    assert_eq!(bench.sip(SipEvent::OfferAnswered(Ok(Bytes::from_static(b"nonsense")))), []);
    assert_eq!(bench.sip(SipEvent::OfferAnswered(Err(491))), []);
    assert_eq!(bench.call.state(), State::Talking);
}

#[test]
fn what_the_api_asks_reaches_the_media_plane() {
    let mut bench = Bench::talking();
    let digits = vec![Digit::from_char('5').unwrap()];
    let rows = [
        (
            Api::Dtmf { towards: Leg::Trunk, digits: digits.clone(), duration_ms: 100 },
            Command::SendDtmf { leg: Leg::Trunk, digits, duration_ms: 100 },
        ),
        (Api::Mute { leg: Leg::Browser, muted: true }, Command::SetMuted { leg: Leg::Browser, muted: true }),
    ];
    for (api, command) in rows {
        assert_eq!(bench.feed(Input::Api(api)), [Effect::Media(command)]);
    }
}
