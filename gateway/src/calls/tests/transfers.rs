//! Transfers as the API asks for them, up to what the two protocol sides are told.

use trunkline_media::api::Command;
use trunkline_signaling::endpoint::{Transfer, TransferOrder};

use super::*;

fn to(destination: &str) -> HandOverTo {
    HandOverTo::Destination(destination.into(), None)
}

/// Waits for so many INVITEs; the last one.
async fn invited(bench: &Bench, count: usize) -> crate::call::InviteOrder {
    loop {
        let last = bench.sip.invites.lock().unwrap().get(count - 1).cloned();
        if let Some(order) = last {
            return order;
        }
        tokio::task::yield_now().await;
    }
}

async fn answer(bench: &Bench, leg: LegId) {
    let sdp = Some(testing::ANSWER.into());
    bench.events.send(Event::Answered { leg, fork: Fork::default(), sdp }).await.unwrap();
}

async fn named(bench: &Bench, call: &CallId, name: &str) {
    let mut events = bench.calls.events(call, 0).unwrap();
    while events.next().await.unwrap().name != name {}
}

#[tokio::test]
async fn a_bridge_holds_two_places_and_then_one() {
    let bench = Bench::new();
    let call = bench.talking("ses_1").await;
    let trunk = bench.calls.shared.settings.load().trunks.first().unwrap().id.clone();
    let destination = format!("sip:other@{trunk}");
    bench.calls.transfer(&call, HandOverBy::Bridge, to(&destination)).await.unwrap();
    let order = invited(&bench, 2).await;
    assert_eq!((order.route.destination.as_str(), bench.live_on_trunks()), (destination.as_str(), 2));
    let again = bench.calls.transfer(&call, HandOverBy::Bridge, to(&destination)).await.unwrap_err();
    assert_eq!(again.slug, "transfer-in-progress");
    let held = bench.calls.hold(&call, Leg::Browser, true).unwrap_err();
    assert_eq!(held.slug, "transfer-in-progress");
    answer(&bench, LegId(2)).await;
    named(&bench, &call, "call_transferred").await;
    assert_eq!(bench.live_on_trunks(), 1);
    assert_eq!(bench.sip.hangups.lock().unwrap().iter().map(|(leg, _)| *leg).collect::<Vec<_>>(), [LegId(1)]);
    let swaps = |(_, command): &&(CallKey, Command)| matches!(command, Command::SwapTrunk(_));
    assert_eq!(bench.media.commands.lock().unwrap().iter().filter(swaps).count(), 1);
    bench.calls.hangup(&call, HangupBy::Visitor);
    bench.story(&call).await;
    assert_eq!((bench.calls.live(), bench.live_on_trunks()), (0, 0));
}

/// Whoever is dialled beside a leg is a call that begins on the trunk, as any other.
#[tokio::test]
async fn a_bridge_keeps_to_the_trunks_calls_a_second() {
    let bench = Bench::new();
    let mut config = (*bench.calls.shared.settings.load()).clone();
    let trunk = config.trunks[0].id.clone();
    config.trunks[0].max_calls_per_second = 1;
    bench.calls.shared.settings.replace(config);
    let call = bench.talking("ses_1").await;
    // The next minutes are taken.
    for _ in 0..300 {
        let hour = Duration::from_secs(3600);
        assert!(bench.calls.shared.paces().reserve(Instant::now(), &trunk, 1, hour).is_some());
    }
    bench.calls.transfer(&call, HandOverBy::Bridge, to(&format!("sip:other@{trunk}"))).await.unwrap();
    named(&bench, &call, "call_transfer_failed").await;
    assert_eq!((bench.sip.invites.lock().unwrap().len(), bench.live_on_trunks()), (1, 1));
}

#[tokio::test]
async fn a_call_is_handed_to_whoever_talks_to_another() {
    let bench = Bench::new();
    let (call, other) = (bench.talking("ses_1").await, bench.talking("ses_2").await);
    bench.calls.transfer(&call, HandOverBy::Bridge, HandOverTo::Call(other.clone())).await.unwrap();
    let order = invited(&bench, 3).await;
    assert_eq!(order.route.request_uri, "sip:agent-2@192.0.2.9");
    let first = bench.sip.invites.lock().unwrap()[0].target.clone();
    assert_eq!(order.target, first, "the way is the trunk's");
    assert!(order.fields.contains(&("Replaces".into(), "call-2;to-tag=b;from-tag=a".into())), "{:?}", order.fields);
    bench.events.send(Event::Failed { leg: LegId(3), failure: Failure::NoProvisional }).await.unwrap();
    named(&bench, &call, "call_transfer_failed").await;

    bench.calls.transfer(&call, HandOverBy::Refer, HandOverTo::Call(other.clone())).await.unwrap();
    loop {
        let orders = bench.sip.orders.lock().unwrap().clone();
        if let Some((leg, TransferOrder::Refer(refer))) = orders.first() {
            assert_eq!((*leg, refer.to.to_string().as_str()), (LegId(1), "sip:agent-2@192.0.2.9"));
            assert!(refer.replaces.is_some());
            break;
        }
        tokio::task::yield_now().await;
    }
    let own = bench.calls.transfer(&other, HandOverBy::Refer, HandOverTo::Call(other.clone())).await.unwrap_err();
    let none = bench.calls.transfer(&other, HandOverBy::Refer, HandOverTo::Call(CallId::from_client("x"))).await;
    assert_eq!((own.slug, none.unwrap_err().slug), ("invalid-request", "unknown-call"));
    let bad = HandOverTo::Destination("sip:a@b".into(), Some("nonsense".into()));
    assert_eq!(bench.calls.transfer(&other, HandOverBy::Bridge, bad).await.unwrap_err().slug, "invalid-request");
}

#[tokio::test]
async fn a_leg_that_calls_in_the_place_of_another_is_adopted_or_turned_away() {
    let bench = Bench::new();
    let call = bench.talking("ses_1").await;
    let replaced = |by| {
        let transfer = Transfer::Replaced { by: LegId(by), call_id: "new".into(), sdp: Some(testing::ANSWER.into()) };
        Event::Transfer { leg: LegId(1), transfer }
    };
    bench.events.send(replaced(77)).await.unwrap();
    named(&bench, &call, "call_transferred").await;
    let orders = bench.sip.orders.lock().unwrap().clone();
    assert!(matches!(&orders[..], [(LegId(77), TransferOrder::Accept(_))]), "{orders:?}");
    assert_eq!(bench.sip.hangups.lock().unwrap()[0].0, LegId(1));
    // What the new leg says is the call's.
    bench.events.send(Event::Ended { leg: LegId(77), reason: None }).await.unwrap();
    let story = bench.story(&call).await;
    assert_eq!(story.last(), Some(&"call_ended"));
    // Nobody knows the leg that would be replaced any more.
    bench.events.send(replaced(78)).await.unwrap();
    loop {
        let orders = bench.sip.orders.lock().unwrap().clone();
        if orders.contains(&(LegId(78), TransferOrder::Reject(481))) {
            break;
        }
        tokio::task::yield_now().await;
    }
}

/// A transfer to a group goes on as a call to it does: a trunk that is down is passed over, and tried when nothing else
/// is left.
#[tokio::test]
async fn a_bridge_to_a_group_passes_over_the_trunk_that_is_down() {
    let bench = Bench::new();
    let mut config = (*bench.calls.shared.settings.load()).clone();
    let first = config.trunks[0].clone();
    config.trunks.push(trunkline_config::Trunk { id: "second".into(), ..first.clone() });
    let member = |id: &str, priority| trunkline_config::GroupMember { trunk: id.into(), priority, weight: 1 };
    let members = vec![member(&first.id, 1), member("second", 2)];
    config.trunk_groups = vec![trunkline_config::TrunkGroup { id: "carriers".into(), members }];
    bench.calls.shared.settings.replace(config);
    let call = bench.talking("ses_1").await;
    bench.calls.finder().set_trunks_down([first.id.clone()].into());
    bench.calls.transfer(&call, HandOverBy::Bridge, to("sip:other@carriers")).await.unwrap();
    assert_eq!(invited(&bench, 2).await.route.trunk, "second");
    let failure = Failure::Rejected { status: 503, phrase: String::new(), reason: None, retry_after: None };
    bench.events.send(Event::Failed { leg: LegId(2), failure: failure.clone() }).await.unwrap();
    assert_eq!(invited(&bench, 3).await.route.trunk, first.id);
    bench.events.send(Event::Failed { leg: LegId(3), failure }).await.unwrap();
    named(&bench, &call, "call_transfer_failed").await;
    assert_eq!((bench.calls.live(), bench.live_on_trunks()), (1, 1), "the call goes on as it was");
}
