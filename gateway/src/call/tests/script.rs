//! What a call makes of its answer hook's actions, and of those that are posted to it.

use std::sync::Arc;

use super::*;
use crate::hook::{Asked, Question, Unanswered};

fn prompt(ms: usize) -> Arc<Prompt> {
    Arc::new(Prompt::from_pcm(8_000, vec![1; 8 * ms]).unwrap())
}

fn hear(ms: usize) -> Action {
    Action::Hear(Sound::Prompt(prompt(ms)), Manner::default())
}

fn say(text: &str) -> Action {
    Action::Hear(Sound::Say { text: text.into(), lang: "en".into() }, Manner::default())
}

fn connect(destinations: &[&str]) -> Action {
    let headers = vec![("X-C2C-plan".into(), "platinum".into()), ("X-Case".into(), "42".into())];
    Action::Connect(Box::new(Connect { plan: destinations.iter().map(|d| route(d)).collect(), headers }))
}

/// Started, and its hook asked; the static route is `sip:static@acme`.
fn asking() -> Bench {
    let now = Instant::now() + Duration::from_secs(3_600);
    let question = Some(Arc::new(Question::for_tests()));
    let prompt = Some(prompt(1_000));
    let about = About { question, no_destination: prompt, ..about(now) };
    let mut bench = Bench::of(Call::new(now, about, vec![route("sip:static@acme")]), now);
    let effects = bench.feed(Input::Start);
    assert!(matches!(&effects[..], [Effect::Emit(started), Effect::Ask(_)] if started.name == "call_started"));
    bench
}

fn answer(actions: Result<Vec<Action>, Unanswered>) -> Input {
    Input::Asked(Box::new(Asked { tries: Vec::new(), took: Duration::from_millis(3), actions }))
}

fn played(effects: &[Effect]) -> Vec<u32> {
    let id = |effect: &Effect| {
        if let Effect::Media(Command::Play { id, .. }) = effect { Some(*id) } else { None }
    };
    effects.iter().filter_map(id).collect()
}

fn finished(bench: &mut Bench, id: u32) -> Vec<Effect> {
    bench.media(MediaEvent::PromptFinished { leg: Leg::Browser, id })
}

fn leases(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::LeaseTrunk { .. }))
}

fn dialled(bench: &Bench) -> Value {
    bench.record()["sip"]["destination"].clone()
}

#[test]
fn the_actions_of_the_hook_run_in_order_once_the_browser_hears() {
    let mut bench = asking();
    assert_eq!(bench.call.state(), State::Setup);
    let effects = bench.feed(answer(Ok(vec![hear(100), say("hello"), connect(&["sip:sales@acme"])])));
    assert_eq!(effects, [], "nobody is there yet to hear it");
    bench.connect();
    assert_eq!(played(&bench.done), [1]);
    let effects = finished(&mut bench, 1);
    assert!(matches!(&effects[..], [Effect::Fetch { id: 2, sound: Sound::Say { .. } }]), "{effects:?}");
    let effects = bench.feed(Input::Fetched { id: 2, result: Ok(prompt(500)) });
    assert_eq!(played(&effects), [2]);
    assert!(!leases(&effects));
    assert!(leases(&finished(&mut bench, 2)));
    let mut bench = bench.invite(1);
    let Some(Effect::Invite(order)) = bench.done.iter().find(|e| matches!(e, Effect::Invite(_))) else { panic!() };
    assert_eq!(order.route.destination, "sip:sales@acme");
    let own = [("X-C2C-plan".to_owned(), "platinum".to_owned()), ("X-Case".to_owned(), "42".to_owned())];
    assert_eq!(order.fields, own, "the hook's fields win over the session's");
    bench.sip(SipEvent::Answered { fork: Fork::default(), sdp: pcmu() });
    assert_eq!(bench.call.state(), State::Talking);
    let trail = bench.call.trail(bench.now)["timeline"].to_string();
    for what in ["asking", "answer_hook", "took_ms", r#""action":"say""#, r#""action":"connect""#] {
        assert!(trail.contains(what), "{what}: {trail}");
    }
}

#[test]
fn without_an_answer_the_static_route_is_dialled() {
    for unanswered in [Unanswered::Failed, Unanswered::Unasked] {
        let mut bench = asking();
        assert!(leases(&bench.feed(answer(Err(unanswered)))));
        assert_eq!(dialled(&bench), "sip:static@acme");
        assert_eq!(bench.feed(answer(Ok(vec![Action::Hangup("answer_hook")]))), [], "too late");
    }
    let mut lost = asking();
    assert_eq!(lost.timeout(), "answer_hook");
    assert_eq!(dialled(&lost), "sip:static@acme");
}

#[test]
fn a_list_that_ends_nowhere_is_no_destination() {
    for actions in [vec![], vec![hear(100)]] {
        let mut bench = asking();
        bench.connect();
        let first = bench.feed(answer(Ok(actions.clone())));
        let effects = if actions.is_empty() { first } else { finished(&mut bench, 1) };
        assert_eq!(played(&effects), [0], "the spoken prompt: {effects:?}");
        check_end(&finished(&mut bench, 0), None, "call_error");
        assert_eq!(words(&bench.outcome()), "error no_destination - routing operator");
        assert_eq!(bench.outcome()["evidence"]["answer_hook"]["result"], "answered");
    }
}

#[test]
fn a_hook_may_hang_up() {
    let mut bench = asking();
    bench.connect();
    bench.feed(answer(Ok(vec![hear(100), Action::Hangup("answer_hook")])));
    check_end(&finished(&mut bench, 1), None, "call_ended");
    assert_eq!(words(&bench.outcome()), "ended remote_hangup operator routing operator");
    assert_eq!(bench.outcome()["evidence"]["hung_up_by"], "answer_hook");
}

#[test]
fn what_cannot_be_played_is_left_out_and_the_trail_says_so() {
    let mut bench = asking();
    bench.connect();
    let missing = Action::Hear(Sound::Missing("welcome".into()), Manner::default());
    bench.feed(answer(Ok(vec![missing, say("a"), say("b"), connect(&["sip:sales@acme"])])));
    bench.feed(Input::Fetched { id: 2, result: Err("nobody speaks texts here".into()) });
    assert_eq!(bench.timeout(), "heard_by_browser", "the second never came back");
    assert_eq!(dialled(&bench), "sip:sales@acme");
    let trail = bench.call.trail(bench.now)["timeline"].to_string();
    assert!(trail.contains("there is no prompt welcome") && trail.contains("nobody speaks texts here"), "{trail}");
}

#[test]
fn what_follows_a_connect_is_for_when_nobody_answers() {
    let mut bench = asking();
    bench.connect();
    bench.feed(answer(Ok(vec![connect(&["sip:a@acme"]), hear(100), connect(&["sip:b@acme"]), Action::Hangup("x")])));
    let busy =
        || SipEvent::Failed(Failure::Rejected { status: 486, phrase: "".into(), reason: None, retry_after: None });
    let mut bench = bench.invite(1);
    let effects = bench.sip(busy());
    assert_eq!(played(&effects), [1], "{effects:?}");
    assert!(leases(&finished(&mut bench, 1)));
    let mut bench = bench.invite(2);
    check_end(&bench.sip(busy())[1..], None, "call_error");
    assert_eq!(bench.outcome()["reason"], "dest_busy", "the hang-up names why nobody answered");

    let mut answered = asking();
    answered.connect();
    answered.feed(answer(Ok(vec![connect(&["sip:a@acme"]), Action::Hangup("x")])));
    let mut answered = answered.invite(1);
    answered.sip(SipEvent::Answered { fork: Fork::default(), sdp: pcmu() });
    assert_eq!(answered.call.state(), State::Talking);
}

#[test]
fn posted_actions_come_at_once_and_connect_only_where_nobody_is_connected() {
    let mut bench = asking();
    bench.connect();
    bench.feed(answer(Ok(vec![hear(9_000), connect(&["sip:hook@acme"])])));
    let effects = bench.feed(Input::Api(Api::Act(vec![hear(100), connect(&["sip:posted@acme"])])));
    assert_eq!(effects.first(), Some(&Effect::Media(Command::StopPlaying { leg: Leg::Browser })));
    assert_eq!(played(&effects), [2]);
    finished(&mut bench, 2);
    assert_eq!(dialled(&bench), "sip:posted@acme");
    assert!(!bench.call.may_connect());

    let mut talking = Bench::talking();
    let effects =
        talking.feed(Input::Api(Api::Act(vec![connect(&["sip:no@acme"]), hear(100), Action::Hangup("operator")])));
    assert_eq!(played(&effects), [1], "{effects:?}");
    assert!(!leases(&effects));
    check_end(&finished(&mut talking, 1), Some(("Q.850", 16)), "call_ended");

    let mut early = asking();
    early.feed(Input::Api(Api::Act(vec![connect(&["sip:posted@acme"])])));
    assert_eq!(dialled(&early), "sip:posted@acme");
    assert_eq!(early.feed(answer(Ok(vec![Action::Hangup("answer_hook")]))), [], "somebody else was quicker");
}

#[test]
fn a_visitor_who_leaves_while_the_hook_is_asked_ends_the_call() {
    let mut bench = asking();
    check_end(&bench.feed(Input::Api(Api::VisitorHangup)), None, "call_ended");
    assert_eq!(words(&bench.outcome()), "ended user_hangup - routing none");
    assert_eq!(bench.feed(answer(Ok(vec![connect(&["sip:a@acme"])]))), []);
}
