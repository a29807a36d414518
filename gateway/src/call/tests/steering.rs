//! Hold and something to hear, as an operator asks for them.

use std::sync::Arc;

use super::*;

fn sound(ms: usize) -> Sound {
    Sound::Prompt(Arc::new(Prompt::from_pcm(8_000, vec![1; 8 * ms]).unwrap()))
}

fn play(leg: Leg, looped: bool) -> Input {
    Input::Api(Api::Play { leg, sound: sound(100), manner: Manner { looped, over: false } })
}

fn hold(leg: Leg, held: bool) -> Input {
    Input::Api(Api::Hold { leg, held })
}

/// The offer among the effects: its direction and version.
fn offered(effects: &[Effect]) -> Option<String> {
    effects.iter().find_map(|effect| {
        let Effect::Offer { sdp, .. } = effect else { return None };
        let text = String::from_utf8_lossy(sdp).into_owned();
        let version = text.lines().find_map(|l| l.strip_prefix("o=- 7 ")?.split(' ').next()).unwrap().to_owned();
        Some(format!("{} {version}", text.lines().last().unwrap()))
    })
}

#[test]
fn each_leg_is_held_once_and_taken_back_once() {
    let mut bench = Bench::talking();
    let held = |leg, held| Effect::Media(Command::SetHeld { leg, held, audio: None });
    assert_eq!(bench.feed(hold(Leg::Browser, true)), [held(Leg::Browser, true)]);
    assert_eq!(bench.feed(hold(Leg::Browser, true)), []);
    assert_eq!(bench.record()["browser"]["held"], true);
    assert_eq!(bench.feed(hold(Leg::Browser, false)), [held(Leg::Browser, false)]);
    assert_eq!(bench.feed(hold(Leg::Browser, false)), []);

    let effects = bench.feed(hold(Leg::Trunk, true));
    assert_eq!((&effects[0], offered(&effects).as_deref()), (&held(Leg::Trunk, true), Some("a=sendonly 2")));
    assert_eq!(bench.record()["sip"]["held"], true);
    let effects = bench.sip(SipEvent::OfferAnswered(Ok(sdp(4_000, "0", "recvonly"))));
    assert!(matches!(&effects[..], [Effect::Media(Command::ConnectTrunk(_))]), "{effects:?}");
    assert_eq!(offered(&bench.feed(hold(Leg::Trunk, false))).as_deref(), Some("a=sendrecv 3"));
    assert_eq!(bench.call.state(), State::Talking);

    let mut early = Bench::ringing();
    assert_eq!(early.feed(hold(Leg::Browser, true)), []);
}

#[test]
fn one_offer_at_a_time_and_the_last_wish_wins() {
    let mut bench = Bench::talking();
    assert!(offered(&bench.feed(hold(Leg::Trunk, true))).is_some());
    assert_eq!(offered(&bench.feed(hold(Leg::Trunk, false))), None, "the first is under way");
    let effects = bench.sip(SipEvent::OfferAnswered(Ok(sdp(4_000, "0", "recvonly"))));
    assert_eq!(offered(&effects).as_deref(), Some("a=sendrecv 3"));
    assert_eq!(offered(&bench.sip(SipEvent::OfferAnswered(Ok(sdp(4_000, "0", "sendrecv"))))), None);
}

#[test]
fn a_refused_offer_leaves_the_leg_held_and_one_that_met_another_is_made_again() {
    let mut bench = Bench::talking();
    bench.feed(hold(Leg::Trunk, true));
    assert_eq!(bench.sip(SipEvent::OfferAnswered(Err(488))), []);
    assert_eq!(bench.record()["sip"]["held"], true);
    let effects = bench.sip(SipEvent::Offer { fork: Fork::default(), sdp: Some(sdp(4_000, "0", "sendrecv")) });
    let Effect::AnswerOffer { answer: Ok(answer), .. } = &effects[0] else { panic!("{effects:?}") };
    assert!(String::from_utf8_lossy(answer).ends_with("a=sendrecv\r\n"), "the trunk would not have it");

    let mut bench = Bench::talking();
    bench.feed(hold(Leg::Trunk, true));
    for version in 3..7 {
        bench.sip(SipEvent::OfferAnswered(Err(491)));
        bench.done.clear();
        assert_eq!(bench.timeout(), "offer_again");
        assert_eq!(offered(&bench.done), Some(format!("a=sendonly {version}")));
    }
    bench.sip(SipEvent::OfferAnswered(Err(491)));
    assert_ne!(bench.call.poll_timeout().map(|(_, why)| why), Some("offer_again"), "enough");
}

#[test]
fn hold_survives_the_trunks_own_offers() {
    let mut bench = Bench::talking();
    bench.feed(hold(Leg::Trunk, true));
    bench.sip(SipEvent::OfferAnswered(Ok(sdp(4_000, "0", "recvonly"))));
    for (theirs, answered) in [("sendrecv", "sendonly"), ("sendonly", "inactive"), ("sendrecv", "sendonly")] {
        let effects = bench.sip(SipEvent::Offer { fork: Fork::default(), sdp: Some(sdp(4_000, "0", theirs)) });
        let Effect::AnswerOffer { answer: Ok(answer), .. } = &effects[0] else { panic!("{effects:?}") };
        assert!(String::from_utf8_lossy(answer).ends_with(&format!("a={answered}\r\n")), "{theirs}");
    }
    assert_eq!(bench.record()["sip"]["held"], true);
}

#[test]
fn one_thing_is_heard_after_the_other_and_what_loops_gives_way() {
    let mut bench = Bench::talking();
    let plays = |id, looped| move |effect: &Effect| matches!(effect, Effect::Media(Command::Play { id: i, looped: l, .. }) if (*i, *l) == (id, looped));
    let stop = Effect::Media(Command::StopPlaying { leg: Leg::Browser });
    assert!(bench.feed(play(Leg::Browser, true)).iter().any(plays(1, true)));
    let effects = bench.feed(play(Leg::Browser, false));
    assert!(effects[0] == stop && plays(2, false)(&effects[1]), "{effects:?}");
    assert_eq!(bench.feed(play(Leg::Browser, false)), [], "it waits");
    assert_eq!(bench.media(MediaEvent::PromptFinished { leg: Leg::Browser, id: 1 }), [], "not that one");
    assert!(bench.media(MediaEvent::PromptFinished { leg: Leg::Browser, id: 2 }).iter().any(plays(3, false)));
    assert!(bench.feed(play(Leg::Trunk, false)).iter().any(plays(4, false)), "the other leg is another matter");
    bench.feed(play(Leg::Browser, false));
    assert_eq!(bench.feed(Input::Api(Api::Stop { leg: Leg::Browser })), [stop]);
    assert_eq!(bench.feed(Input::Api(Api::Stop { leg: Leg::Browser })), []);

    for _ in 0..40 {
        bench.feed(play(Leg::Browser, false));
    }
    assert!(!bench.call.has_room(Leg::Browser) && bench.call.has_room(Leg::Trunk));
    assert!(bench.call.trail(bench.now)["timeline"].to_string().contains("too much waits"));
}

#[test]
fn a_prompt_that_never_ends_and_one_that_never_comes_make_room() {
    let mut bench = Bench::talking();
    bench.feed(play(Leg::Browser, false));
    let text = Sound::Say { text: "hello".into(), lang: "en".into() };
    bench.feed(Input::Api(Api::Play { leg: Leg::Browser, sound: text, manner: Manner::default() }));
    bench.feed(play(Leg::Browser, false));
    bench.done.clear();
    assert_eq!((bench.timeout(), bench.timeout()), ("heard_by_browser", "heard_by_browser"));
    assert!(matches!(bench.done.last(), Some(Effect::Media(Command::Play { id: 3, .. }))), "{:?}", bench.done);
    assert_eq!(bench.feed(Input::Fetched { id: 2, result: Err("late".into()) }), []);
}

#[test]
fn what_loops_before_the_answer_is_not_heard_over_the_agent() {
    let mut bench = Bench::ringing();
    bench.connect();
    bench.feed(play(Leg::Browser, true));
    let effects = bench.sip(SipEvent::Answered { fork: Fork::default(), sdp: pcmu() });
    assert!(effects.contains(&Effect::Media(Command::StopPlaying { leg: Leg::Browser })), "{effects:?}");
}

/// The trunk's offer comes first where both made one: ours is made anew, and never goes back behind what the trunk has seen.
#[test]
fn an_offer_that_gives_way_is_made_anew_from_what_is_agreed_then() {
    let mut bench = Bench::talking();
    assert_eq!(offered(&bench.feed(hold(Leg::Trunk, true))).as_deref(), Some("a=sendonly 2"));
    bench.sip(SipEvent::OfferAnswered(Err(491)));
    let effects = bench.sip(SipEvent::Offer { fork: Fork::default(), sdp: Some(sdp(4_002, "8", "sendrecv")) });
    let answered = effects.iter().find_map(|effect| {
        let Effect::AnswerOffer { answer: Ok(sdp), .. } = effect else { return None };
        Some(String::from_utf8_lossy(sdp).into_owned())
    });
    let answered = answered.unwrap();
    assert!(answered.contains("o=- 7 3 ") && answered.ends_with("a=sendrecv\r\n"), "{answered}");
    bench.done.clear();
    assert_eq!(bench.timeout(), "offer_again");
    assert_eq!(offered(&bench.done).as_deref(), Some("a=sendonly 4"));
}
