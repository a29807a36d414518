//! Which way digits go, and that each is told once.

use trunkline_config::Dtmf;
use trunkline_media::api::DigitWay;

use super::*;

/// Answered by a trunk of this mode; what it says of telephone-events in its SDP.
fn talking(mode: Dtmf, events: bool) -> Bench {
    let Planned::Dial(route) = route("sip:a@acme") else { panic!() };
    let mut bench = Bench::new(vec![Planned::Dial(Arc::new(Route { dtmf: mode, ..(*route).clone() }))]);
    bench.feed(Input::Start);
    let mut bench = bench.invite(1);
    bench.connect();
    let codecs = if events { "0 101\r\na=rtpmap:101 telephone-event/8000" } else { "0" };
    bench.sip(SipEvent::Answered { fork: Fork::default(), sdp: Some(sdp(4_000, codecs, "sendrecv")) });
    bench
}

fn set(bench: &Bench) -> Option<(DigitWay, bool)> {
    bench.done.iter().rev().find_map(|effect| {
        let Effect::Media(Command::SetDigits { way, listen }) = effect else { return None };
        Some((*way, *listen))
    })
}

fn digits(text: &str) -> Vec<Digit> {
    text.chars().filter_map(Digit::from_char).collect()
}

#[test]
fn the_way_of_digits_is_the_trunks_or_chosen_by_its_answer() {
    use DigitWay::{Elsewhere, Tones};
    for (mode, events, expected) in [
        (Dtmf::Auto, true, None),
        (Dtmf::Auto, false, Some((Elsewhere, true))),
        (Dtmf::Rfc4733, false, None),
        (Dtmf::Info, true, Some((Elsewhere, false))),
        (Dtmf::Inband, true, Some((Tones, true))),
    ] {
        let bench = talking(mode, events);
        assert_eq!(set(&bench), expected, "{mode:?} {events}");
        let at = |wanted: fn(&Effect) -> bool| bench.done.iter().position(wanted);
        let told = at(|effect| matches!(effect, Effect::Media(Command::SetDigits { .. })));
        let connected = at(|effect| matches!(effect, Effect::Media(Command::ConnectTrunk(_))));
        assert!(told.is_none() || told > connected, "a leg that is connected is told");
    }
}

#[test]
fn digits_go_by_info_and_as_tones_once_that_is_refused() {
    let mut bench = talking(Dtmf::Auto, false);
    bench.done.clear();
    bench.feed(Input::Api(Api::Dtmf { towards: Leg::Trunk, digits: digits("12"), duration_ms: 100 }));
    bench.media(MediaEvent::Dtmf { from: Leg::Browser, digit: digits("3")[0], duration_ms: 80 });
    let by_info = bench.done.iter().filter_map(|effect| {
        let Effect::SendDigits { digits, .. } = effect else { return None };
        Some(digits.iter().map(|(digit, _)| *digit).collect::<String>())
    });
    assert_eq!(by_info.collect::<Vec<_>>(), ["12", "3"]);
    assert!(bench.finding("dtmf_not_confirmed").is_none(), "an INFO that is answered is a confirmation");

    let each = Duration::from_millis(100);
    bench.done.clear();
    bench.sip(SipEvent::DigitsRefused { status: Some(415), digits: vec![('2', each), ('3', each)] });
    assert_eq!(set(&bench), Some((DigitWay::Tones, true)));
    let sent = Effect::Media(Command::SendDtmf { leg: Leg::Trunk, digits: digits("23"), duration_ms: 100 });
    assert!(bench.done.contains(&sent), "{:?}", bench.done);
    assert_eq!(bench.finding("dtmf_not_confirmed").unwrap()["evidence"]["seen"], "as_tones");
    // A new description of the same trunk changes nothing of that.
    bench.done.clear();
    bench.sip(SipEvent::Offer { fork: Fork::default(), sdp: Some(sdp(4_002, "0", "sendrecv")) });
    assert_eq!(set(&bench), None);

    // Told to use INFO alone, nothing else is tried.
    let mut bench = talking(Dtmf::Info, false);
    bench.sip(SipEvent::DigitsRefused { status: None, digits: vec![('2', each)] });
    assert_eq!(set(&bench), Some((DigitWay::Elsewhere, false)));
    assert_eq!(bench.finding("dtmf_not_confirmed").unwrap()["evidence"]["seen"], "refused");
}

#[test]
fn a_digit_that_comes_by_two_ways_is_told_once() {
    let mut bench = talking(Dtmf::Auto, true);
    for (by_media, digit) in [
        (true, '1'),
        (false, '1'),
        (false, '1'),
        (true, '1'),
        (true, '2'),
        (true, '2'),
        (false, '2'),
        (false, '2'),
        (false, '7'),
    ] {
        if by_media {
            let digit = Digit::from_char(digit).unwrap();
            bench.media(MediaEvent::Dtmf { from: Leg::Trunk, digit, duration_ms: 80 });
        } else {
            bench.sip(SipEvent::Digit { digit, duration: None });
        }
    }
    let told = bench.done.iter().filter_map(|effect| {
        let Effect::Emit(event) = effect else { return None };
        (event.name == "dtmf_received").then(|| event.data["digit"].as_str().unwrap().to_owned())
    });
    assert_eq!(told.collect::<String>(), "11227");
    let to_browser = |effect: &&Effect| matches!(effect, Effect::Media(Command::SendDtmf { leg: Leg::Browser, .. }));
    assert_eq!(bench.done.iter().filter(to_browser).count(), 2, "those that came by INFO, and were no twins");
    // Much later it is another one.
    let mut bench = bench.after(5);
    bench.done.clear();
    bench.media(MediaEvent::Dtmf { from: Leg::Trunk, digit: digits("7")[0], duration_ms: 80 });
    assert_eq!(bench.events(), ["dtmf_received"]);
}

/// The media plane begins anew with a leg that takes another's place, and so does the way of digits.
#[test]
fn a_leg_that_takes_over_has_a_way_of_digits_of_its_own() {
    use DigitWay::{Elsewhere, Tones};
    let events = "0 101\r\na=rtpmap:101 telephone-event/8000";
    for (first, second, said, expected, by_info) in [
        (Dtmf::Info, Dtmf::Rfc4733, events, None, false),
        (Dtmf::Inband, Dtmf::Rfc4733, events, None, false),
        (Dtmf::Rfc4733, Dtmf::Info, events, Some((Elsewhere, false)), true),
        (Dtmf::Rfc4733, Dtmf::Auto, "0", Some((Elsewhere, true)), true),
        (Dtmf::Inband, Dtmf::Inband, events, Some((Tones, true)), false),
    ] {
        let mut bench = talking(first, true);
        let Planned::Dial(route) = route("sip:other@acme") else { panic!() };
        let plan = vec![Planned::Dial(Arc::new(Route { dtmf: second, ..(*route).clone() }))];
        let order = HandOver::Bridge { destination: "sip:other@acme".into(), plan, replaces: None };
        bench.feed(Input::Api(Api::Transfer(Box::new(order))));
        let mut bench = bench.invite(2);
        // The leg that waits is no matter of whoever is dialled.
        let moved = SipEvent::Offer { fork: Fork::default(), sdp: Some(sdp(4_050, events, "sendrecv")) };
        bench.done.clear();
        bench.feed(Input::Sip { attempt: AttemptId(1), event: moved });
        assert_eq!(set(&bench), None, "{first:?} {second:?}");
        bench.sip(SipEvent::Answered { fork: Fork::default(), sdp: Some(sdp(4_100, said, "sendrecv")) });
        assert_eq!(set(&bench), expected, "{first:?} {second:?}");
        bench.done.clear();
        bench.feed(Input::Api(Api::Dtmf { towards: Leg::Trunk, digits: digits("1"), duration_ms: 100 }));
        let info = bench.done.iter().any(|effect| matches!(effect, Effect::SendDigits { .. }));
        assert_eq!(info, by_info, "{first:?} {second:?}: {:?}", bench.done);
    }
}
