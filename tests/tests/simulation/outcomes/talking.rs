//! Calls that reach somebody and end there.

use trunkline::call::{Api, Input};
use trunkline_media::api::MediaEvent;
use trunkline_media::audio::Codec;
use trunkline_tests::world::{CallNo, Dial, PhoneEnd, PhoneId, Says, World, secs};

use super::{BROWSER, Row, at_phone, talking};

#[test]
fn simulation_outcome_user_hangup_while_talking() {
    let (mut world, call, phone) = talking();
    world.api(call, Api::VisitorHangup);
    Row::ended("user_hangup", "talking", "none").check(&mut world, call, secs(1));
    at_phone(&mut world, phone, PhoneEnd::Ended, Some(("Q.850", 16)));
}

#[test]
fn simulation_outcome_remote_hangup_bye() {
    let (mut world, call, phone) = talking();
    world.phone_hangs_up_because(phone, "Q.850", 16);
    let row = Row::ended("remote_hangup", "talking", "none").detail("bye").evidence(&["received_reason"]);
    let outcome = row.check(&mut world, call, secs(1));
    assert_eq!(outcome["evidence"]["received_reason"]["cause"], 16, "{outcome:#}");
    at_phone(&mut world, phone, PhoneEnd::HungUp, None);
}

#[test]
fn simulation_outcome_remote_hangup_max_duration() {
    let dial = Dial { max_duration: secs(20), ..Dial::default() };
    let (mut world, call, _, phone) = World::talking(1, &dial, Codec::Pcmu);
    let outcome =
        Row::ended("remote_hangup", "talking", "none").detail("max_duration").check(&mut world, call, secs(21));
    assert_eq!(outcome["evidence"]["timers_fired"][0], "max_duration", "{outcome:#}");
    at_phone(&mut world, phone, PhoneEnd::Ended, Some(("Q.850", 16)));
}

#[test]
fn simulation_outcome_remote_hangup_operator() {
    let (mut world, call, phone) = talking();
    world.api(call, Api::OperatorHangup("training".into()));
    let row = Row::ended("remote_hangup", "talking", "operator").detail("operator").evidence(&["operator_reason"]);
    row.check(&mut world, call, secs(1));
    at_phone(&mut world, phone, PhoneEnd::Ended, Some(("Q.850", 16)));
}

#[test]
fn simulation_outcome_media_timeout_browser() {
    let (mut world, call, phone) = talking();
    world.browser_says(BROWSER, Says::Nothing);
    let outcome = Row::error("media_timeout", "talking", "visitor").detail("browser").check(&mut world, call, secs(22));
    let age = outcome["evidence"]["last_rtp_age_ms"]["browser"].as_u64().unwrap();
    assert!((19_000..22_000).contains(&age), "{age}");
    at_phone(&mut world, phone, PhoneEnd::Ended, Some(("Q.850", 38)));
}

#[test]
fn simulation_outcome_media_timeout_sip() {
    let (mut world, call, phone) = talking();
    world.phone_says(phone, Says::Nothing);
    let outcome = Row::error("media_timeout", "talking", "trunk").detail("sip").check(&mut world, call, secs(22));
    let age = outcome["evidence"]["last_rtp_age_ms"]["sip"].as_u64().unwrap();
    assert!((19_000..22_000).contains(&age), "{age}");
    at_phone(&mut world, phone, PhoneEnd::Ended, Some(("Q.850", 38)));
}

#[test]
fn simulation_outcome_sip_transport_lost_when_our_sip_side_is_gone() {
    let (mut world, call, _) = talking();
    world.tell_call(call, Input::SipGone);
    Row::error("sip_transport_lost", "talking", "trunk").check(&mut world, call, secs(1));
}

#[test]
fn simulation_outcome_node_shutdown() {
    let (mut world, call, phone) = talking();
    world.tell_call(call, Input::Shutdown);
    Row::error("node_shutdown", "talking", "gateway").check(&mut world, call, secs(1));
    at_phone(&mut world, phone, PhoneEnd::Ended, Some(("SIP", 503)));
}

#[test]
fn simulation_outcome_internal_error() {
    for input in [Input::Broken("a queue is full: a worker is stuck".into()), Input::Media(MediaEvent::Crashed)] {
        let (mut world, call, phone) = talking();
        world.tell_call(call, input);
        Row::error("internal_error", "talking", "gateway").evidence(&["error"]).check(&mut world, call, secs(1));
        at_phone(&mut world, phone, PhoneEnd::Ended, Some(("SIP", 500)));
    }
}

/// A call whose session is refreshed every 45 s.
fn refreshed() -> (World, CallNo, PhoneId) {
    let dial = Dial { session_expires: 90, ..Dial::default() };
    let (world, call, _, phone) = World::talking(1, &dial, Codec::Pcmu);
    (world, call, phone)
}

#[test]
fn simulation_outcome_trunk_lost() {
    let (mut world, call, phone) = refreshed();
    world.restart_phone(phone);
    let row = Row::error("trunk_lost", "talking", "trunk");
    let outcome = row.check(&mut world, call, secs(60));
    assert_eq!(outcome["evidence"]["last_sip"]["code"], 481, "{outcome:#}");
}

#[test]
fn simulation_outcome_session_timer_expired() {
    let (mut world, call, phone) = refreshed();
    world.phone_mut(phone).sip_vanished = true;
    let row = Row::error("session_timer_expired", "talking", "trunk").evidence(&["session_interval_seconds"]);
    row.check(&mut world, call, secs(70));
}

#[test]
fn simulation_outcome_none_while_the_session_is_refreshed() {
    let (mut world, call, phone) = refreshed();
    world.run_for(secs(600));
    assert_eq!((world.state(call), world.outcome(call)), ("talking", None));
    world.api(call, Api::VisitorHangup);
    Row::ended("user_hangup", "talking", "none").check(&mut world, call, secs(1));
    at_phone(&mut world, phone, PhoneEnd::Ended, Some(("Q.850", 16)));
}
