//! Calls that reach nobody.

use trunkline::call::Api;
use trunkline::outcome::{Reason, Unavailable};
use trunkline::routing::Planned;
use trunkline_media::api::MediaEvent;
use trunkline_media::audio::Codec;
use trunkline_tests::world::ports::Ports;
use trunkline_tests::world::{Answer, Dial, Link, PhoneEnd, Script, Visitor, World, ms, secs};

use super::{BROWSER, Row, at_phone};

/// A phone that does this is called, with nothing but signalling.
fn destination(script: Script, row: Row) {
    let mut world = World::new(1);
    let phone = world.add_phone(script.dumb());
    let call = world.dial(&Dial::without_media(), &[phone]);
    let outcome = row.evidence(&["attempts"]).check(&mut world, call, secs(300));
    let attempts = outcome["evidence"]["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 1, "{outcome:#}");
    assert_eq!(attempts[0]["reason"], row.reason);
    world.run_for(secs(45));
    assert!(world.is_at_rest(), "{}", world.tell());
}

/// Each of these statuses is this reason.
fn statuses(statuses: &[u16], reason: &'static str, blame: &'static str) {
    for status in statuses {
        destination(Script::rejects(*status), Row::error(reason, "setup", blame));
        let ringing = Script { ring: Some(ms(50)), ..Script::rejects(*status) };
        destination(ringing, Row::error(reason, "ringing", blame));
    }
}

#[test]
fn simulation_outcome_user_hangup_before_the_answer() {
    let mut world = World::new(1);
    let phone = world.add_phone(Script::rings());
    let call = world.dial(&Dial::default(), &[phone]);
    world.run_for(secs(2));
    world.api(call, Api::VisitorHangup);
    Row::ended("user_hangup", "ringing", "none").check(&mut world, call, secs(1));
    at_phone(&mut world, phone, PhoneEnd::Cancelled, Some(("Q.850", 16)));
}

#[test]
fn simulation_outcome_no_destination() {
    let mut world = World::new(1);
    let call = world.dial(&Dial::default(), &[]);
    Row::error("no_destination", "routing", "operator").check(&mut world, call, secs(40));
    assert!(world.call(call).invites.is_empty() && world.is_at_rest());
}

#[test]
fn simulation_outcome_dest_busy() {
    statuses(&[486, 600], "dest_busy", "agent");
}

#[test]
fn simulation_outcome_dest_rejected() {
    statuses(&[403, 603, 607], "dest_rejected", "agent");
}

#[test]
fn simulation_outcome_dest_not_found() {
    statuses(&[404, 410, 484, 604], "dest_not_found", "operator");
}

#[test]
fn simulation_outcome_dest_no_answer_480() {
    statuses(&[480], "dest_no_answer", "agent");
}

#[test]
fn simulation_outcome_dest_no_answer_ring_timeout() {
    let mut world = World::new(1);
    let phone = world.add_phone(Script::rings());
    let dial = Dial { ring_timeout: secs(20), ..Dial::default() };
    let call = world.dial(&dial, &[phone]);
    let outcome = Row::error("dest_no_answer", "ringing", "agent").check(&mut world, call, secs(25));
    assert_eq!(outcome["evidence"]["timers_fired"][0], "ring", "{outcome:#}");
    at_phone(&mut world, phone, PhoneEnd::Cancelled, Some(("Q.850", 19)));
}

#[test]
fn simulation_outcome_dest_timeout_408() {
    statuses(&[408], "dest_timeout", "trunk");
}

#[test]
fn simulation_outcome_dest_timeout_no_provisional() {
    let mut world = World::new(1);
    let phone = world.add_phone(Script::rings());
    world.phone_mut(phone).vanished = true;
    let call = world.dial(&Dial::default(), &[phone]);
    let row = Row::error("dest_timeout", "setup", "trunk").detail("no_provisional").evidence(&["attempts"]);
    row.check(&mut world, call, secs(40));
}

#[test]
fn simulation_outcome_dest_timeout_no_final() {
    let mut world = World::new(1);
    let phone = world.add_phone(Script::rings());
    let dial = Dial { ring_timeout: secs(600), ..Dial::default() };
    let call = world.dial(&dial, &[phone]);
    world.run_until(|world| world.state(call) == "ringing", secs(2));
    world.phone_mut(phone).vanished = true;
    let row = Row::error("dest_timeout", "ringing", "trunk").detail("no_final").evidence(&["attempts"]);
    row.check(&mut world, call, secs(300));
}

#[test]
fn simulation_outcome_dest_auth() {
    statuses(&[401, 407], "dest_auth", "operator");
}

#[test]
fn simulation_outcome_dest_codec() {
    statuses(&[415, 488, 606], "dest_codec", "trunk");
}

#[test]
fn simulation_outcome_dest_codec_when_the_answer_has_none_of_ours() {
    let mut world = World::new(1);
    let phone = world.add_phone(Script::answers_after(secs(1)).codec(Codec::Pcma));
    let dial = Dial { trunk: vec![Codec::Pcmu], ..Dial::without_media() };
    let call = world.dial(&dial, &[phone]);
    Row::error("dest_codec", "setup", "trunk").evidence(&["attempts"]).check(&mut world, call, secs(10));
}

#[test]
fn simulation_outcome_dest_unavailable_5xx() {
    statuses(&[500, 503, 504], "dest_unavailable", "trunk");
}

#[test]
fn simulation_outcome_dest_unavailable_trunk_disabled() {
    let mut world = World::new(1);
    let reason = Reason::DestUnavailable(Unavailable::TrunkDisabled);
    let skip = Planned::Skip { destination: "sip:agent@off".into(), trunk: Some("off".into()), reason };
    let call = world.dial_plan(&Dial::default(), vec![skip]);
    let row = Row::error("dest_unavailable", "routing", "operator").detail("trunk_disabled").evidence(&["attempts"]);
    row.check(&mut world, call, secs(10));
}

#[test]
fn simulation_outcome_dest_unavailable_trunk_full() {
    let mut world = World::new(1);
    let phone = world.add_phone(Script::rings());
    world.gateway_mut().trunks_full = true;
    let call = world.dial(&Dial::default(), &[phone]);
    let row = Row::error("dest_unavailable", "routing", "operator").detail("trunk_full").evidence(&["attempts"]);
    row.check(&mut world, call, secs(10));
}

#[test]
fn simulation_outcome_dest_unavailable_gateway_full() {
    let mut world = World::new(1);
    let phone = world.add_phone(Script::rings());
    world.gateway_mut().ports = Ports::new(30_000, 0, secs(10));
    let call = world.dial(&Dial::default(), &[phone]);
    let row = Row::error("dest_unavailable", "routing", "gateway").detail("gateway_full").evidence(&["attempts"]);
    row.check(&mut world, call, secs(10));
}

#[test]
fn simulation_outcome_dest_dns() {
    let mut world = World::new(1);
    let phone = world.add_phone(Script::rings());
    world.gateway_mut().names.clear();
    let call = world.dial(&Dial::without_media(), &[phone]);
    Row::error("dest_dns", "routing", "operator").evidence(&["attempts"]).check(&mut world, call, secs(10));
    assert!(world.phone(phone).lines.is_empty());
}

#[test]
fn simulation_outcome_dest_unreachable() {
    let mut world = World::new(1);
    let phone = world.add_phone(Script::rings());
    world.phone_mut(phone).vanished = true;
    let call = world.dial(&Dial::default(), &[phone]);
    world.run_for(ms(100));
    world.refuse(phone);
    Row::error("dest_unreachable", "setup", "trunk").evidence(&["attempts"]).check(&mut world, call, secs(1));
}

#[test]
fn simulation_outcome_names_every_destination_that_was_tried() {
    let mut world = World::new(1);
    let phones = [486, 404, 503].map(|status| world.add_phone(Script::rejects(status)));
    let call = world.dial(&Dial::without_media(), &phones);
    let outcome = Row::error("dest_unavailable", "setup", "trunk").check(&mut world, call, secs(10));
    let attempts = outcome["evidence"]["attempts"].as_array().unwrap();
    let said: Vec<_> = attempts.iter().map(|attempt| (&attempt["status"], &attempt["reason"])).collect();
    let expected = serde_json::json!([[486, "dest_busy"], [404, "dest_not_found"], [503, "dest_unavailable"]]);
    assert_eq!(serde_json::to_value(said).unwrap(), expected);
    assert!(attempts.iter().all(|attempt| attempt["target"].is_string()), "{outcome:#}");
}

const DTLS: &[&str] = &[];
const ICE: &[&str] = &["candidates", "checks_udp"];

/// A browser like this, which may also be cut off, calls a phone that answers.
fn browser(visitor: Visitor, cut_off: bool, detail: &'static str) {
    let mut world = World::new(1);
    let phone = world.add_phone(Script::answers_after(secs(2)));
    let call = world.dial(&Dial { visitor, ..Dial::default() }, &[phone]);
    world.browser_mut(BROWSER).vanished = cut_off;
    let row = Row::error("ice_failed", "setup", "visitor_network").detail(detail).evidence(ICE);
    row.check(&mut world, call, secs(30));
    at_phone(&mut world, phone, PhoneEnd::Ended, Some(("Q.850", 41)));
}

#[test]
fn simulation_outcome_ice_failed_udp_blocked() {
    browser(Visitor::default(), true, "udp_blocked");
}

#[test]
fn simulation_outcome_ice_failed_no_candidates() {
    browser(Visitor { without_candidates: true, ..Visitor::default() }, true, "no_candidates");
}

#[test]
fn simulation_outcome_ice_failed_checks_timeout() {
    browser(Visitor { wrong_password: true, ..Visitor::default() }, false, "checks_timeout");
}

#[test]
fn simulation_outcome_ice_failed_while_it_rings_cancels() {
    let mut world = World::new(1);
    let phone = world.add_phone(Script { answer: Answer::Never, ..Script::rings() });
    let call = world.dial(&Dial::default(), &[phone]);
    world.browser_mut(BROWSER).vanished = true;
    let row = Row::error("ice_failed", "setup", "visitor_network").detail("udp_blocked").evidence(ICE);
    row.check(&mut world, call, secs(30));
    at_phone(&mut world, phone, PhoneEnd::Cancelled, Some(("Q.850", 41)));
}

#[test]
fn simulation_outcome_dtls_failed_fingerprint() {
    let mut world = World::new(1);
    let phone = world.add_phone(Script::answers_after(secs(2)));
    let visitor = Visitor { wrong_fingerprint: true, ..Visitor::default() };
    let call = world.dial(&Dial { visitor, ..Dial::default() }, &[phone]);
    let row = Row::error("dtls_failed", "setup", "visitor_network").detail("fingerprint").evidence(DTLS);
    row.check(&mut world, call, secs(30));
    world.run_for(secs(45));
    assert!(world.is_at_rest(), "{}", world.tell());
}

#[test]
fn simulation_outcome_dtls_failed_handshake_timeout() {
    let mut world = World::new(1);
    let phone = world.add_phone(Script::answers_after(secs(2)));
    world.link_browser(BROWSER, Link::good().without_dtls());
    let call = world.dial(&Dial::default(), &[phone]);
    let row = Row::error("dtls_failed", "setup", "visitor_network").detail("handshake_timeout").evidence(DTLS);
    row.check(&mut world, call, secs(30));
    at_phone(&mut world, phone, PhoneEnd::Ended, Some(("Q.850", 41)));
}

#[test]
fn simulation_outcome_dtls_failed_alert() {
    let mut world = World::new(1);
    let phone = world.add_phone(Script::answers_after(secs(2)));
    let call = world.dial(&Dial::default(), &[phone]);
    let ice =
        |world: &World| world.call(call).media_events.iter().any(|e| matches!(e, MediaEvent::IceConnected { .. }));
    world.run_until(ice, secs(5));
    // The second hello, with the cookie, arrives two round trips after the first check; our flight then does not.
    world.run_for(ms(66));
    world.link_browser(BROWSER, Link::good().without_dtls());
    world.run_for(ms(50));
    let (from, to) = (world.stats(call).browser_remote.unwrap(), world.gateway().public);
    // A fatal handshake_failure (RFC 5246 section 7.2) in the clear, as a browser sends that dislikes the hello.
    let alert = [&[21, 254, 253, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2], [2, 40].as_slice()].concat();
    world.inject(from, to, alert);
    let row = Row::error("dtls_failed", "setup", "visitor").detail("alert").evidence(&["dtls_alert"]);
    row.check(&mut world, call, secs(30));
}
