//! What visitors and agents hear of the gateway's own: ringing, a busy tone, words.

use trunkline_config::{FailureSound, REGIONS};
use trunkline_media::audio::signal::Region;

use super::*;

fn tones(region: &str, ringback: bool, failure: FailureSound) -> Tones {
    Tones { region: region.into(), ringback, failure }
}

fn with_tones(destination: &str, tones: Tones) -> Planned {
    let Planned::Dial(plain) = route(destination) else { panic!() };
    Planned::Dial(Arc::new(Route { tones, ..(*plain).clone() }))
}

/// With these tones and a connected browser, the INVITE out.
fn inviting(tones: &Tones, call_failed: Option<Arc<Prompt>>) -> Bench {
    let now = Instant::now() + Duration::from_secs(3_600);
    let plan = vec![with_tones("sip:agent@acme", tones.clone())];
    let mut bench = Bench::of(Call::new(now, About { call_failed, ..about(now) }, plan), now);
    bench.feed(Input::Start);
    bench.connect();
    bench.invite(1)
}

fn provisional(status: u16) -> SipEvent {
    SipEvent::Provisional { fork: Fork::default(), status, sdp: None }
}

fn busy() -> SipEvent {
    SipEvent::Failed(Failure::Rejected { status: 486, phrase: String::new(), reason: None, retry_after: None })
}

fn words_prompt() -> Arc<Prompt> {
    Arc::new(Prompt::from_pcm(8_000, vec![1; 8_000]).unwrap())
}

fn played(effects: &[Effect]) -> Option<(Leg, u32, Arc<Prompt>)> {
    effects.iter().find_map(|effect| {
        let Effect::Media(Command::Play { leg, id, prompt, looped: false, over: false }) = effect else { return None };
        Some((*leg, *id, Arc::clone(prompt)))
    })
}

#[test]
fn every_region_of_the_configuration_has_its_tones() {
    assert!(Region::codes().eq(REGIONS));
}

/// RFC 3960 section 3.2: nothing rings before a 180; what comes of the trunk's own the media plane hears itself.
#[test]
fn it_rings_for_the_visitor_from_180_on_as_the_trunks_country_does() {
    let rings = |effects: &[Effect]| {
        effects.iter().find_map(|e| if let Effect::Media(Command::Ring { region }) = e { *region } else { None })
    };
    let mut bench = inviting(&tones("gb", true, FailureSound::Off), None);
    assert_eq!(rings(&bench.sip(provisional(183))), None);
    assert_eq!(rings(&bench.sip(provisional(180))), Region::find("gb"));
    let mut off = inviting(&tones("gb", false, FailureSound::Off), None);
    assert_eq!(rings(&off.sip(provisional(180))), None);
}

#[test]
fn a_visitor_nobody_can_be_reached_for_hears_so_and_the_call_ends_for_its_own_reason() {
    let words_of = words_prompt();
    for (failure, lasts) in [(FailureSound::Tone, 4_000), (FailureSound::Prompt, 1_000)] {
        let bench = || {
            let mut bench = inviting(&tones("us", true, failure), Some(Arc::clone(&words_of)));
            bench.sip(provisional(180));
            let effects = bench.sip(busy());
            let (leg, id, prompt) = played(&effects).unwrap();
            assert_eq!((leg, id, prompt.duration_ms()), (Leg::Browser, 0, lasts), "{failure:?}");
            assert!(effects.contains(&Effect::Media(Command::ReleaseTrunk)), "its ports are free meanwhile");
            assert_eq!((bench.call.state(), bench.call.is_parting()), (State::Ringing, true));
            bench
        };
        let outcome = "error dest_busy - ringing agent";
        let mut heard = bench();
        check_end(&heard.media(MediaEvent::PromptFinished { leg: Leg::Browser, id: 0 }), None, "call_error");
        assert_eq!(words(&heard.outcome()), outcome);

        let mut hangs_up = bench();
        check_end(&hangs_up.feed(Input::Api(Api::VisitorHangup)), None, "call_error");
        assert_eq!(words(&hangs_up.outcome()), outcome, "who hangs up on a busy tone was told it was busy");

        let mut vanishes = bench();
        vanishes.media(MediaEvent::BrowserLost { how: BrowserLoss::Silence });
        assert_eq!(words(&vanishes.outcome()), outcome);

        let mut stuck = bench();
        assert_eq!(stuck.timeout(), "prompt");
        assert_eq!(words(&stuck.outcome()), outcome);
    }
}

#[test]
fn who_is_not_there_or_is_not_to_hear_it_waits_for_nothing() {
    let mut off = inviting(&tones("us", true, FailureSound::Off), Some(words_prompt()));
    let effects = off.sip(busy());
    let released = effects.iter().position(|effect| *effect == Effect::Media(Command::ReleaseTrunk)).unwrap();
    check_end(&effects[released + 1..], None, "call_error");

    let mut without = inviting(&tones("us", true, FailureSound::Prompt), None);
    without.sip(busy());
    assert!(without.call.is_over());

    let now = Instant::now() + Duration::from_secs(3_600);
    let plan = vec![with_tones("sip:agent@acme", tones("us", true, FailureSound::Tone))];
    let mut away = Bench::of(Call::new(now, about(now), plan), now);
    away.feed(Input::Start);
    let mut away = away.invite(1);
    // A browser that is on its way is waited for, as long as it may take.
    assert_eq!(played(&away.sip(busy())), None);
    away.media(MediaEvent::SetupFailed(SetupFailure::Ice { candidates: 1, checks: 0 }));
    assert_eq!(words(&away.outcome()), "error dest_busy - setup agent");

    // The next destination comes first.
    let plan = ["sip:a@acme", "sip:b@acme"].map(|to| with_tones(to, tones("us", true, FailureSound::Tone)));
    let mut next = Bench::of(Call::new(now, about(now), plan.into()), now);
    next.feed(Input::Start);
    next.connect();
    let mut next = next.invite(1);
    assert_eq!(played(&next.sip(busy())), None);
    let mut next = next.invite(2);
    assert!(played(&next.sip(busy())).is_some());
}

#[test]
fn an_agent_is_asked_to_wait_while_the_browser_is_away() {
    let now = Instant::now() + Duration::from_secs(3_600);
    let with = About { please_wait: Some(words_prompt()), ..about(now) };
    let mut bench = Bench::of(Call::new(now, with, vec![route("sip:agent@acme")]), now);
    bench.feed(Input::Start);
    bench.connect();
    let mut bench = bench.invite(1);
    bench.sip(SipEvent::Answered { fork: Fork::default(), sdp: pcmu() });
    let lost = bench.media(MediaEvent::BrowserLost { how: BrowserLoss::Silence });
    let (leg, id, _) = played(&lost).unwrap();
    assert_eq!(leg, Leg::Trunk);
    let back = MediaEvent::BrowserBack { gap_ms: 5_000, cause: BackCause::SamePath, gap: GapKind::Network };
    let effects = bench.media(back.clone());
    assert!(effects.contains(&Effect::Media(Command::StopPlaying { leg: Leg::Trunk })), "{effects:?}");

    // Heard to its end, nothing is left to stop.
    bench.media(MediaEvent::BrowserLost { how: BrowserLoss::Silence });
    bench.media(MediaEvent::PromptFinished { leg: Leg::Trunk, id: id + 1 });
    let effects = bench.media(back);
    assert!(!effects.contains(&Effect::Media(Command::StopPlaying { leg: Leg::Trunk })), "{effects:?}");
}

#[test]
fn what_is_mixed_is_played_over_the_other_side() {
    let mut bench = Bench::talking();
    let manner = Manner { looped: false, over: true };
    let effects = bench.feed(Input::Api(Api::Play { leg: Leg::Trunk, sound: Sound::Prompt(words_prompt()), manner }));
    let over = |effect: &Effect| matches!(effect, Effect::Media(Command::Play { leg: Leg::Trunk, over: true, .. }));
    assert!(effects.iter().any(over), "{effects:?}");
}
