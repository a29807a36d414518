//! After the set-up: audio and reports both ways, moves, restarts, ends, and what strangers try.

use std::net::SocketAddr;
use std::time::Duration;

use trunkline_media::api::Path;
use trunkline_media::browser::TransportEvent;

use crate::world::{SSRC, World};

const SECOND: Duration = Duration::from_secs(1);

fn moved(public: &str) -> TransportEvent {
    TransportEvent::Moved { remote: public.parse().unwrap(), path: Path::Udp }
}

/// A packet each way, and whether both arrived.
fn both_ways(world: &mut World, mark: u8, sequence: u16) -> bool {
    let (rtp, heard) = (world.rtp.len(), world.heard().len());
    world.browser_speaks(&[mark; 40]);
    assert!(world.gateway_speaks(sequence, &[mark; 30]));
    world.run_for(Duration::from_millis(200));
    world.rtp.len() == rtp + 1 && world.heard().len() == heard + 1
}

#[test]
fn audio_flows_both_ways() {
    let mut world = World::connected();
    for n in 0..50 {
        assert!(both_ways(&mut world, n, 1000 + u16::from(n)));
    }
    assert!(world.rtp[3].ends_with(&[3; 40]) && !world.rtp[3].ends_with(&[3; 41]));
    assert_eq!(world.heard()[4], [4; 30]);
    let drops = world.gateway.drops();
    assert_eq!((drops.undecryptable, drops.replayed, drops.wrong_source), (0, 0, 0), "{drops:?}");
}

#[test]
fn reports_flow_both_ways() {
    let mut world = World::connected();
    assert!(both_ways(&mut world, 1, 1));
    let mut report = vec![0x80, 200, 0, 6];
    report.extend_from_slice(&SSRC.to_be_bytes());
    report.extend_from_slice(&[0; 20]);
    assert!(world.gateway_reports(&report));
    world.run_for(SECOND * 10);
    assert_eq!(world.rtcp_heard(), 1);
    assert!(!world.rtcp.is_empty(), "the browser reports every few seconds");
    assert_eq!(world.rtcp[0][1] & 0xfe, 200, "a compound packet begins with SR or RR");
}

#[test]
fn a_nat_that_rebinds_is_followed() {
    let mut world = World::connected();
    let old = world.public;
    assert!(both_ways(&mut world, 1, 1));
    let next = "203.0.113.7:41111";
    world.public = next.parse().unwrap();
    // Audio from an address no check has proven is dropped.
    world.browser_speaks(&[9; 40]);
    world.run_for(Duration::from_millis(50));
    assert_eq!(world.gateway.drops().wrong_source, 1);
    assert!(world.run_until(SECOND * 10, |w| w.events.contains(&moved(next))), "{:?}", world.events);
    assert_eq!(world.gateway.remote(), Some(next.parse().unwrap()));
    assert!(both_ways(&mut world, 2, 2));
    assert!(world.gateway.knows(Path::Udp, old));
}

#[test]
fn an_ice_restart_keeps_the_audio() {
    let mut world = World::connected();
    assert!(both_ways(&mut world, 1, 1));
    world.restart_ice("again");
    assert_eq!(world.gateway.local_credentials().ufrag, "again");
    assert!(both_ways(&mut world, 2, 2));
    world.public = "198.51.100.20:2000".parse().unwrap();
    assert!(world.run_until(SECOND * 10, |w| w.events.contains(&moved("198.51.100.20:2000"))), "{:?}", world.events);
    assert!(both_ways(&mut world, 3, 3));
    world.run_for(SECOND * 40);
    assert!(both_ways(&mut world, 4, 4), "checks go on with the new credentials");
    assert_eq!(world.events.iter().filter(|e| matches!(e, TransportEvent::DtlsConnected { .. })).count(), 1);
}

#[test]
fn a_browser_that_leaves_is_noticed() {
    let mut world = World::connected();
    world.browser.close().unwrap();
    world.browser_wakes = world.now;
    assert!(world.run_until(SECOND, |w| w.events.contains(&TransportEvent::Closed)), "{:?}", world.events);
    assert!(!world.gateway_speaks(1, &[1; 20]));
    assert_eq!(world.gateway.poll_timeout(), None);
}

#[test]
fn a_browser_is_told_that_we_leave() {
    let mut world = World::connected();
    world.gateway_closes();
    assert!(world.run_until(SECOND, |w| !w.browser.is_alive()));
    assert!(!world.gateway_speaks(1, &[1; 20]));
}

#[test]
fn goodbyes_come_and_go_long_after_the_handshake() {
    let mut world = World::connected();
    assert!(both_ways(&mut world, 1, 1));
    world.run_for(SECOND * 60);
    assert!(both_ways(&mut world, 2, 2));
    world.gateway_closes();
    assert!(world.run_until(SECOND, |w| !w.browser.is_alive()));
    let mut world = World::connected();
    assert!(both_ways(&mut world, 1, 1));
    world.run_for(SECOND * 60);
    world.browser.close().unwrap();
    world.browser_wakes = world.now;
    assert!(world.run_until(SECOND, |w| w.events.contains(&TransportEvent::Closed)), "{:?}", world.events);
    assert_eq!(world.gateway.drops().bad_dtls, 0);
}

#[test]
fn nothing_plain_ends_a_call() {
    let mut world = World::connected();
    assert!(both_ways(&mut world, 1, 1));
    let seen = world.captured.clone();
    let stranger: SocketAddr = "198.51.100.66:6666".parse().unwrap();
    let friend = world.public;
    for from in [stranger, friend] {
        for datagram in &seen {
            world.inject(from, datagram); // hellos, key exchanges, checks, audio: all of it again
        }
        for code in [0, 10, 40, 42, 80] {
            world.inject(from, &[21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, code]);
        }
        for kind in 20..64 {
            for epoch in [0, 1, 2] {
                let mut record = vec![kind, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 1, 0, 0, 40];
                record.extend_from_slice(&[0x5a; 40]);
                world.inject(from, &record);
            }
        }
        for second in 0..=255 {
            world.inject(from, &[&[0x80, second][..], &[0x33; 60]].concat());
        }
    }
    let events = world.events.len();
    world.run_for(SECOND * 3);
    assert_eq!(world.events.len(), events, "{:?}", world.events);
    assert_eq!(world.gateway.remote(), Some(friend));
    assert!(both_ways(&mut world, 2, 2));
    let drops = world.gateway.drops();
    assert!(drops.undecryptable > 200 && drops.wrong_source > 200 && drops.bad_dtls > 100, "{drops:?}");
    assert!(drops.replayed >= 1 && drops.bad_integrity >= 1, "{drops:?}");
}

#[test]
fn what_a_stranger_sends_is_not_answered() {
    let mut world = World::connected();
    let seen = world.captured.clone();
    let stranger: SocketAddr = "198.51.100.66:6666".parse().unwrap();
    world.sent.clear();
    for datagram in &seen {
        let mut datagram = datagram.clone();
        if let Some(octet) = datagram.get_mut(12) {
            *octet ^= 1; // another transaction, so no replay but a forgery
        }
        world.inject(stranger, &datagram);
    }
    assert!(world.sent.iter().all(|(to, _)| *to != stranger));
}
