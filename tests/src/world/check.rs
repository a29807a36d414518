//! What must hold after every step, whatever the scenario.

use std::time::{Duration, Instant};

use trunkline::call::CallEvent;

use super::gateway::SimCall;
use super::net::MAX_IN_FLIGHT;
use super::world::World;

/// Datagrams under way when a call ends still arrive; later ones are of a call that does not know its end.
const GRACE: Duration = Duration::from_secs(2);

/// Looks at everything.
pub(super) fn after_step(world: &World) {
    let gateway = world.gateway();
    for (no, call) in &gateway.calls {
        if let Err(fault) = check_call(call) {
            panic!("call {no:?}: {fault}; events {:?}", names(call));
        }
    }
    let leases = gateway.calls.values().flat_map(|call| [call.lease, call.spare]).flatten();
    let mut leases: Vec<u16> = leases.collect();
    let mut leased = gateway.ports.leased().to_vec();
    leases.sort_unstable();
    leased.sort_unstable();
    assert_eq!(leases, leased, "leased ports are not the trunk legs' ports");
    assert!(world.net().in_flight() < MAX_IN_FLIGHT, "a storm of datagrams");
    let stats = gateway.sip_stats();
    assert_eq!(stats.dropped, 0, "the SIP side dropped what nobody fetched");
    assert!(stats.transactions <= 1000 && stats.legs <= 1000, "more SIP than its limit: {stats:?}");
    for phone in world.phones() {
        for line in &phone.lines {
            assert_eq!(line.surplus_ends, 0, "a call ended twice at a phone");
        }
    }
    silence_after_the_end(world);
}

/// Once no call lives, nobody gets RTP any more.
fn silence_after_the_end(world: &World) {
    let ends: Option<Vec<_>> = world.gateway().calls.values().map(|call| call.ended_at).collect();
    let Some(last) = ends.and_then(|ends| ends.into_iter().max()) else { return };
    let heard = world.phones().iter().flat_map(|phone| &phone.lines).filter_map(|line| line.ear.last_at);
    let heard = heard.chain(world.browsers().iter().filter_map(|browser| browser.ear.last_at));
    for at in heard {
        assert!(at <= last + GRACE, "RTP {:?} after the last call's end", at.saturating_duration_since(last));
    }
}

fn check_call(call: &SimCall) -> Result<(), String> {
    let gapless = call.events.iter().zip(1..).all(|((_, event), seq)| event.seq == seq);
    let is_last = |(_, event): &(Instant, CallEvent)| matches!(event.name, "call_ended" | "call_error");
    let terminal = call.events.iter().filter(|event| is_last(event)).count();
    let over = call.call.is_over();
    // A call from a phone rings before it has a port.
    let talks = match call.call.state().word() {
        "ringing" => call.call.about().caller.is_none(),
        state => matches!(state, "talking" | "reconnecting"),
    };
    let ends_last = terminal == 0 || call.events.last().is_some_and(is_last);
    let rules = [
        (gapless, "event numbers have gaps"),
        (call.outcomes.len() == usize::from(over), "not one outcome for one end"),
        (terminal == usize::from(over), "not one last event for one end"),
        (ends_last, "something was told after the end"),
        (!over || call.lease.is_none(), "an ended call leases a port"),
        (!talks || call.lease.is_some() || call.call.is_transferring(), "a trunk leg without a port"),
        (call.spare.is_none() || call.call.is_transferring(), "a second pair for nobody"),
        (!over || call.call.poll_timeout().is_none(), "an ended call has a timer"),
    ];
    if let Some((_, fault)) = rules.into_iter().find(|(holds, _)| !holds) {
        return Err(fault.to_owned());
    }
    if let Some(fault) = &call.watch.fault {
        return Err(fault.clone());
    }
    if let Some(counter) = &call.went_back {
        return Err(format!("a counter went back: {counter}"));
    }
    let browser = &call.last_stats.browser_in;
    if browser.discarded > browser.packets {
        return Err(format!("more packets discarded than received: {browser:?}"));
    }
    Ok(())
}

fn names(call: &SimCall) -> Vec<&'static str> {
    call.events.iter().map(|(_, event)| event.name).collect()
}
