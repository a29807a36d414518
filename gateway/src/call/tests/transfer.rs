//! An answered call that is handed to somebody else, or was to be.

use trunkline_signaling::endpoint::{Asked, LegId, Refer, Transfer, TransferOrder};
use trunkline_signaling::message::{Replaces, Uri};

use super::*;

fn uri(text: &str) -> Uri {
    Uri::parse(&Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

fn bridge(plan: Vec<Planned>) -> Input {
    let destination = "sip:other@acme".to_owned();
    Input::Api(Api::Transfer(Box::new(HandOver::Bridge { destination, plan, replaces: None })))
}

fn refer() -> Input {
    let refer = Box::new(Refer { to: uri("sip:other@trunk.example"), replaces: None });
    Input::Api(Api::Transfer(Box::new(HandOver::Refer { destination: "sip:other@acme".into(), refer })))
}

pub(super) fn of(attempt: u32, event: SipEvent) -> Input {
    Input::Sip { attempt: AttemptId(attempt), event }
}

pub(super) fn transfer(transfer: Transfer) -> Input {
    of(1, SipEvent::Transfer(Box::new(transfer)))
}

fn asked(to: &str) -> Input {
    let replaces = Replaces::parse(&Bytes::from_static(b"c;to-tag=a;from-tag=b"));
    let referred_by = Some(Bytes::from_static(b"<sip:agent@acme>"));
    transfer(Transfer::Asked(Box::new(Asked { to: uri(to), replaces, referred_by })))
}

fn answered_by_new() -> SipEvent {
    SipEvent::Answered { fork: Fork::default(), sdp: Some(sdp(4_100, "8", "sendrecv")) }
}

fn rejected(status: u16) -> SipEvent {
    SipEvent::Failed(Failure::Rejected { status, phrase: String::new(), reason: None, retry_after: None })
}

/// A word for each effect that matters here.
pub(super) fn words_of(effects: &[Effect]) -> Vec<String> {
    let word = |effect: &Effect| {
        Some(match effect {
            Effect::Media(Command::SwapTrunk(media)) => format!("swap {}", media.remote.port()),
            Effect::Media(Command::ConnectTrunk(media)) => format!("connect {}", media.remote.port()),
            Effect::Media(Command::SetHeld { leg: Leg::Browser, held, .. }) => format!("held {held}"),
            Effect::Media(Command::Answered) => "answered".into(),
            Effect::Media(Command::ReleaseTrunk) => "release".into(),
            Effect::Media(Command::ReleaseSpare) => "release spare".into(),
            Effect::Media(Command::Close) => "close".into(),
            Effect::LeaseTrunk { attempt, .. } => format!("lease {}", attempt.0),
            Effect::LeaseSpare { attempt, .. } => format!("lease spare {}", attempt.0),
            Effect::Invite(order) => format!("invite {} {}", order.attempt.0, order.route.destination),
            Effect::Hangup { attempt, reason } => format!("bye {} {}", attempt.0, reason.cause),
            Effect::Transfer { attempt, order: TransferOrder::Accept(_) } => format!("accept {}", attempt.0),
            Effect::Transfer { attempt, order: TransferOrder::Refer(refer) } => {
                format!("refer {} {}", attempt.0, refer.to)
            }
            Effect::Transfer { attempt, order: TransferOrder::Finish(reason) } => {
                format!("finish {} {}", attempt.0, reason.cause)
            }
            Effect::Transfer { attempt, order } => format!("{order:?} {}", attempt.0),
            Effect::Adopt { attempt, leg } => format!("adopt {} {}", attempt.0, leg.0),
            Effect::PlanTransfer { to, .. } => format!("plan {to}"),
            Effect::AnswerOffer { attempt, answer } => format!("answer {} {}", attempt.0, answer.is_ok()),
            Effect::Emit(event) => event.name.into(),
            Effect::Media(_)
            | Effect::Met { .. }
            | Effect::Resolve { .. }
            | Effect::Offer { .. }
            | Effect::Ring { .. }
            | Effect::Accept { .. }
            | Effect::Refuse { .. }
            | Effect::Tell { .. }
            | Effect::SendDigits { .. }
            | Effect::Ask(_)
            | Effect::Fetch { .. }
            | Effect::Finished(_) => return None,
        })
    };
    effects.iter().filter_map(word).collect()
}

/// Talking, and somebody else is being dialled: attempt 2.
fn dialling() -> Bench {
    let mut bench = Bench::talking();
    let effects = bench.feed(bridge(vec![route("sip:other@acme")]));
    assert_eq!(words_of(&effects), ["held true", "lease spare 2"]);
    bench = bench.invite(2);
    bench.done.clear();
    bench
}

fn told_of(effects: &[Effect], name: &str) -> Value {
    let events = effects.iter().filter_map(|effect| if let Effect::Emit(event) = effect { Some(event) } else { None });
    let event = events.into_iter().find(|event| event.name == name).map(|event| event.data.clone());
    Value::Object(event.unwrap_or_default())
}

#[test]
fn a_bridged_transfer_swaps_the_legs_when_the_new_one_answers() {
    let mut bench = dialling();
    assert_eq!(bench.call.state(), State::Talking);
    let ringing = bench.feed(of(2, SipEvent::Provisional { fork: Fork::default(), status: 183, sdp: pcmu() }));
    assert_eq!(words_of(&ringing), [""; 0], "its early media is not heard, nor is it news");
    let effects = bench.feed(of(2, answered_by_new()));
    assert_eq!(words_of(&effects), ["swap 4100", "answered", "bye 1 16", "held false", "call_transferred"]);
    let told = told_of(&effects, "call_transferred");
    assert_eq!((&told["mode"], &told["by"], &told["trunk"]), (&json!("bridge"), &json!("operator"), &json!("acme")));
    let record = bench.record();
    assert_eq!((&record["sip"]["destination"], &record["sip"]["codec"]), (&json!("sip:other@acme"), &json!("PCMA")));
    let attempts = record["sip"]["attempts"].as_array().unwrap();
    assert_eq!(attempts.iter().map(|a| a["status"].as_u64()).collect::<Vec<_>>(), [Some(200), Some(200)]);
    assert!(record["timings"]["answered_at"].is_string());
    // The new leg is the call's in every way; the old one's last words are nobody's.
    assert_eq!(bench.feed(of(1, SipEvent::Ended { reason: None })), []);
    let ended = bench.feed(of(2, SipEvent::Ended { reason: None }));
    check_end(&ended, None, "call_ended");
    assert_eq!(words(&bench.outcome()), "ended remote_hangup bye talking none");
}

#[test]
fn whatever_a_bridged_transfer_fails_of_the_old_leg_is_taken_up_again() {
    let rows = [
        (rejected(486), "dest_busy", Some(486)),
        (rejected(603), "dest_rejected", Some(603)),
        (SipEvent::Failed(Failure::NoProvisional), "dest_timeout", None),
        (SipEvent::NotSent(NotSent::Full), "dest_unavailable", None),
    ];
    for (event, reason, status) in rows {
        let mut bench = dialling();
        let before = Bench::talking().record()["sip"]["codec"].clone();
        let effects = bench.feed(of(2, event));
        assert_eq!(words_of(&effects), ["release spare", "held false", "call_transfer_failed"], "{reason}");
        let told = told_of(&effects, "call_transfer_failed");
        assert_eq!((&told["reason"], &told["status"]), (&json!(reason), &json!(status)));
        let record = bench.record();
        assert_eq!((&record["sip"]["destination"], &record["sip"]["codec"]), (&json!("sip:agent@acme"), &before));
        // As before in every way: the trunk's offers are its own again, and another transfer may follow.
        let effects =
            bench.feed(of(1, SipEvent::Offer { fork: Fork::default(), sdp: Some(sdp(4_200, "0", "sendrecv")) }));
        assert_eq!(words_of(&effects), ["answer 1 true", "connect 4200"]);
        assert_eq!(words_of(&bench.feed(bridge(vec![route("sip:third@acme")]))), ["held true", "lease spare 3"]);
    }
}

#[test]
fn ports_names_and_ringing_that_never_come_give_the_old_leg_back() {
    let mut bench = Bench::talking();
    bench.feed(bridge(vec![route("sip:other@acme")]));
    let refused = Input::TrunkLeased { attempt: AttemptId(2), result: Err(LeaseRefused::TrunkFull) };
    assert_eq!(words_of(&bench.feed(refused)), ["release spare", "held false", "call_transfer_failed"]);

    let mut bench = dialling();
    assert_eq!(bench.timeout(), "ring");
    assert_eq!(words_of(&bench.done), ["bye 2 19", "release spare", "held false", "call_transfer_failed"]);
    assert_eq!(bench.call.state(), State::Talking);
}

#[test]
fn destinations_of_a_transfer_are_tried_in_order() {
    let mut bench = Bench::talking();
    bench.feed(bridge(vec![route("sip:first@acme"), route("sip:second@acme")]));
    bench = bench.invite(2);
    bench.done.clear();
    assert_eq!(words_of(&bench.feed(of(2, rejected(486)))), ["release spare", "lease spare 3"]);
    bench = bench.invite(3);
    let effects = bench.feed(of(3, answered_by_new()));
    assert_eq!(words_of(&effects)[..3], ["swap 4100", "answered", "bye 1 16"]);
}

#[test]
fn hang_ups_during_a_transfer_end_the_call_once_and_both_legs() {
    let mut bench = dialling();
    let effects = bench.feed(Input::Api(Api::VisitorHangup));
    assert_eq!(words_of(&effects), ["bye 2 16", "bye 1 16", "close", "call_ended"]);
    assert_eq!(words(&bench.outcome()), "ended user_hangup - talking none");
    assert_eq!(bench.feed(of(2, answered_by_new())), []);

    // The agent leaves: the visitor waits on for whoever is dialled.
    let mut bench = dialling();
    assert_eq!(words_of(&bench.feed(of(1, SipEvent::Ended { reason: None }))), ["release"]);
    assert_eq!(bench.call.state(), State::Talking);
    let effects = bench.feed(of(2, answered_by_new()));
    assert_eq!(words_of(&effects), ["swap 4100", "answered", "held false", "call_transferred"]);

    // And if he does not come either, it was the agent who ended the call.
    let mut bench = dialling();
    bench.feed(of(1, SipEvent::Ended { reason: None }));
    let effects = bench.feed(of(2, rejected(486)));
    assert_eq!(words_of(&effects), ["release spare", "close", "call_ended"]);
    assert_eq!(words(&bench.outcome()), "ended remote_hangup bye talking none");
    assert_eq!(bench.outcome()["evidence"]["transfer_failed"], "dest_busy");

    let mut bench = dialling();
    bench.feed(of(1, SipEvent::Lost { status: Some(481) }));
    bench.feed(of(2, rejected(486)));
    assert_eq!(words(&bench.outcome()).split(' ').nth(1), Some("trunk_lost"));

    let mut bench = dialling();
    let effects = bench.feed(Input::SipGone);
    assert_eq!(words_of(&effects), ["close", "call_error"]);
}

#[test]
fn the_leg_that_waits_still_answers_offers() {
    let mut bench = dialling();
    let offer = SipEvent::Offer { fork: Fork::default(), sdp: Some(sdp(4_300, "0", "sendonly")) };
    assert_eq!(words_of(&bench.feed(of(1, offer))), ["answer 1 true", "connect 4300"]);
    assert_eq!(words_of(&bench.feed(asked("sip:2001@10.0.0.5"))), ["Answer(Err(491)) 1"]);
    // One at a time, and silence of a leg that waits ends nothing.
    assert_eq!(words_of(&bench.feed(bridge(vec![route("sip:third@acme")]))), [""; 0]);
    assert_eq!(bench.media(MediaEvent::MediaTimeout { leg: Leg::Trunk }), []);
    assert_eq!(words_of(&bench.feed(of(2, rejected(480)))), ["release spare", "held false", "call_transfer_failed"]);
}

#[test]
fn a_visitor_on_hold_stays_on_hold_over_a_transfer() {
    let mut bench = Bench::talking();
    bench.feed(Input::Api(Api::Hold { leg: Leg::Browser, held: true }));
    assert_eq!(words_of(&bench.feed(bridge(vec![route("sip:other@acme")]))), ["lease spare 2"]);
    bench = bench.invite(2);
    let effects = bench.feed(of(2, answered_by_new()));
    assert_eq!(words_of(&effects), ["swap 4100", "answered", "bye 1 16", "call_transferred"]);
    assert_eq!(bench.record()["browser"]["held"], true);
}

#[test]
fn the_trunks_refer_is_dialled_over_the_trunk_and_reported() {
    let mut bench = Bench::talking();
    let effects = bench.feed(asked("sip:2001@10.0.0.5"));
    assert_eq!(words_of(&effects), ["Answer(Ok(())) 1", "plan sip:2001@10.0.0.5"]);
    let effects = bench.feed(Input::TransferPlanned(route("sip:2001@10.0.0.5")));
    assert_eq!(words_of(&effects), ["held true", "lease spare 2"]);
    bench.leased(2);
    let effects = bench.resolved(2, &["192.0.2.9:5070"]);
    let Some(Effect::Invite(order)) = effects.first() else { panic!("{effects:?}") };
    let fields: Vec<_> = order.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert!(
        fields.contains(&("Replaces", "c;to-tag=a;from-tag=b"))
            && fields.contains(&("Referred-By", "<sip:agent@acme>")),
        "{fields:?}"
    );
    let ringing = SipEvent::Provisional { fork: Fork::default(), status: 180, sdp: None };
    assert_eq!(words_of(&bench.feed(of(2, ringing))), ["Report(180) 1"]);
    let effects = bench.feed(of(2, answered_by_new()));
    assert_eq!(words_of(&effects), ["swap 4100", "answered", "finish 1 16", "held false", "call_transferred"]);
    assert_eq!(told_of(&effects, "call_transferred")["by"], "trunk");
    // No header field of the transfer goes with what is dialled later.
    bench.feed(bridge(vec![route("sip:third@acme")]));
    bench.leased(3);
    let effects = bench.resolved(3, &["192.0.2.9:5070"]);
    let Some(Effect::Invite(order)) = effects.first() else { panic!("{effects:?}") };
    assert!(order.fields.iter().all(|(name, _)| name != "Replaces" && name != "Referred-By"));
}

#[test]
fn the_trunk_hears_why_its_refer_came_to_nothing() {
    for (event, status) in [(rejected(486), 486), (SipEvent::Failed(Failure::NoProvisional), 480)] {
        let mut bench = Bench::talking();
        bench.feed(asked("sip:2001@10.0.0.5"));
        bench.feed(Input::TransferPlanned(route("sip:2001@10.0.0.5")));
        bench = bench.invite(2);
        let effects = bench.feed(of(2, event));
        let report = format!("Report({status}) 1");
        assert_eq!(words_of(&effects), ["release spare", &report, "held false", "call_transfer_failed"]);
    }
    let mut bench = Bench::talking();
    bench.feed(asked("sip:nobody@nowhere"));
    let skip = Planned::Skip { destination: "sip:nobody@nowhere".into(), trunk: None, reason: Reason::DestNotFound };
    let effects = bench.feed(Input::TransferPlanned(skip));
    assert_eq!(words_of(&effects), ["held true", "Report(404) 1", "held false", "call_transfer_failed"]);
}

#[test]
fn a_trunk_without_the_policy_and_storms_of_refers_are_refused() {
    let mut bench = Bench::talking();
    let Stage::Talking(talking) = &mut bench.call.stage else { panic!("not talking") };
    talking.route = Arc::new(Route { transfers: false, ..Route::clone(&talking.route) });
    assert_eq!(words_of(&bench.feed(asked("sip:2001@10.0.0.5"))), ["Answer(Err(603)) 1"]);
    let replaced = Transfer::Replaced { by: LegId(9), call_id: "new".into(), sdp: pcmu() };
    assert_eq!(words_of(&bench.feed(transfer(replaced))), ["adopt 2 9", "Reject(603) 2"]);

    let mut bench = Bench::talking();
    bench.feed(asked("sip:2001@10.0.0.5"));
    assert_eq!(words_of(&bench.feed(asked("sip:2002@10.0.0.5"))), ["Answer(Err(491)) 1"]);

    let mut bench = Bench::talking();
    let mut begun = 0;
    while words_of(&bench.feed(asked("sip:2001@10.0.0.5"))) != ["Answer(Err(603)) 1"] {
        let skip = Planned::Skip { destination: "x".into(), trunk: None, reason: Reason::DestNotFound };
        bench.feed(Input::TransferPlanned(skip));
        begun += 1;
        assert!(begun < 100, "no end");
    }
    assert_eq!((begun, bench.call.state()), (32, State::Talking));
}

#[test]
fn a_refer_that_is_done_ends_the_call_whoever_hangs_up() {
    let mut bench = Bench::talking();
    assert_eq!(words_of(&bench.feed(refer())), ["refer 1 sip:other@trunk.example"]);
    bench.feed(transfer(Transfer::Accepted { watched: true }));
    bench.feed(transfer(Transfer::Progress(180)));
    assert_eq!(words_of(&bench.feed(transfer(Transfer::Progress(200)))), ["call_transferred"]);
    let ended = bench.feed(of(1, SipEvent::Ended { reason: None }));
    check_end(&ended, None, "call_ended");
    assert_eq!(words(&bench.outcome()), "ended remote_hangup bye talking none");

    let mut bench = Bench::talking();
    bench.feed(refer());
    bench.feed(transfer(Transfer::Progress(200)));
    bench.done.clear();
    assert_eq!(bench.timeout(), "transfer");
    assert_eq!(words_of(&bench.done), ["bye 1 16", "close", "call_ended"]);
    assert_eq!(words(&bench.outcome()), "ended remote_hangup operator talking operator");

    // It hangs up without a word about it.
    let mut bench = Bench::talking();
    bench.feed(refer());
    bench.feed(transfer(Transfer::Accepted { watched: false }));
    let effects = bench.feed(of(1, SipEvent::Ended { reason: None }));
    assert_eq!(words_of(&effects), ["call_transferred", "close", "call_ended"]);
    // It hangs up before it has taken it on: that is no transfer.
    let mut bench = Bench::talking();
    bench.feed(refer());
    let effects = bench.feed(of(1, SipEvent::Ended { reason: None }));
    assert_eq!(words_of(&effects), ["close", "call_ended"]);
}

#[test]
fn a_refer_that_comes_to_nothing_leaves_the_call_as_it_was() {
    let rows = [
        (Transfer::Refused(Some(405)), "refused", json!(405)),
        (Transfer::Refused(None), "no_answer", json!(null)),
        (Transfer::Untold, "untold", json!(null)),
        (Transfer::Progress(486), "refused", json!(486)),
    ];
    for (what, reason, status) in rows {
        let mut bench = Bench::talking();
        bench.feed(refer());
        let effects = bench.feed(transfer(what));
        assert_eq!(words_of(&effects), ["call_transfer_failed"]);
        let told = told_of(&effects, "call_transfer_failed");
        assert_eq!((&told["reason"], &told["status"], &told["mode"]), (&json!(reason), &status, &json!("refer")));
        assert_eq!((bench.call.state(), bench.call.is_transferring()), (State::Talking, false));
        assert_eq!(words_of(&bench.feed(refer())), ["refer 1 sip:other@trunk.example"]);
    }
    let mut bench = Bench::talking();
    bench.feed(refer());
    bench.done.clear();
    assert_eq!(bench.timeout(), "transfer");
    assert_eq!(bench.events(), ["call_transfer_failed"]);
}

/// The agent who handed the call over has hung up, and not whoever took it up.
#[test]
fn how_the_old_leg_went_is_no_evidence_of_the_new_ones_end() {
    let mut bench = dialling();
    let reason = Some(ReasonHeader { protocol: "Q.850".into(), cause: 16, text: None });
    bench.feed(of(1, SipEvent::Ended { reason }));
    bench.feed(of(2, answered_by_new()));
    bench.feed(of(2, SipEvent::Lost { status: Some(481) }));
    let outcome = bench.outcome();
    assert_eq!(words(&outcome), "error trunk_lost - talking trunk");
    let evidence = &outcome["evidence"];
    assert_eq!((&evidence["hung_up_by"], &evidence["received_reason"]), (&Value::Null, &Value::Null), "{outcome:#}");
    assert_eq!(evidence["status"], 481);
}
