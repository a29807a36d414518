//! Calls whose visitor goes away, and how the ways of going away are told apart.

use trunkline_tests::world::{Link, Loss, PhoneEnd, ms, secs};

use super::{BROWSER, Row, at_phone, talking};

#[test]
fn simulation_outcome_ip_change() {
    let (mut world, call, phone) = talking();
    world.run_for(secs(5));
    world.rebind(BROWSER);
    world.run_until(|world| world.stats(call).browser_remote.is_some_and(|at| at.port() != 40_000), secs(12));
    world.browser_mut(BROWSER).vanished = true;
    Row::error("ip_change", "talking", "visitor_network").check(&mut world, call, secs(40));
    at_phone(&mut world, phone, PhoneEnd::Ended, Some(("Q.850", 41)));
}

#[test]
fn simulation_outcome_ip_change_when_an_ice_restart_came_and_nothing_after_it() {
    let (mut world, call, phone) = talking();
    world.run_for(secs(5));
    world.browser_mut(BROWSER).vanished = true;
    world.run_for(secs(4));
    assert_eq!(world.state(call), "reconnecting");
    world.restart_ice(call, BROWSER);
    Row::error("ip_change", "talking", "visitor_network").check(&mut world, call, secs(40));
    at_phone(&mut world, phone, PhoneEnd::Ended, Some(("Q.850", 41)));
}

#[test]
fn simulation_outcome_peer_vanished() {
    let (mut world, call, phone) = talking();
    world.run_for(secs(5));
    world.browser_mut(BROWSER).vanished = true;
    let outcome = Row::error("peer_vanished", "talking", "visitor_network").check(&mut world, call, secs(40));
    let evidence = &outcome["evidence"];
    let ages = [evidence["last_rtp_age_ms"]["browser"].as_u64(), evidence["last_stun_check_age_ms"].as_u64()];
    assert!(ages.iter().all(|age| age.is_some_and(|ms| ms > 30_000)), "{outcome:#}");
    at_phone(&mut world, phone, PhoneEnd::Ended, Some(("Q.850", 31)));
}

#[test]
fn simulation_outcome_client_gone() {
    let (mut world, call, phone) = talking();
    let now = world.now();
    world.browser_mut(BROWSER).close(now);
    world.run_for(ms(500));
    world.browser_mut(BROWSER).vanished = true;
    Row::error("client_gone", "talking", "visitor").check(&mut world, call, secs(40));
    at_phone(&mut world, phone, PhoneEnd::Ended, Some(("Q.850", 31)));
}

#[test]
fn simulation_outcome_network_poor() {
    let (mut world, call, phone) = talking();
    world.run_for(secs(5));
    world.link_browser(BROWSER, Link::good().loss(Loss::Random(0.3)));
    world.run_for(secs(20));
    world.browser_mut(BROWSER).vanished = true;
    let outcome = Row::error("network_poor", "talking", "visitor_network").check(&mut world, call, secs(40));
    assert_eq!(outcome["quality_at_end"]["level"], "red", "{outcome:#}");
    assert_eq!(outcome["quality_at_end"]["half_leg"], "browser_up", "{outcome:#}");
    at_phone(&mut world, phone, PhoneEnd::Ended, Some(("Q.850", 41)));
}
