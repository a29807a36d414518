//! A second port pair on real loopback sockets: leased beside the first, deaf, and then in its place.

use std::net::{SocketAddr, UdpSocket};

use super::tests::{config, eventually, open};
use super::{LeaseError, Plane};
use crate::api::{CallKey, Command, RtpSource};
use crate::audio::Codec;
use crate::rtp::PayloadType;
use crate::sdp::browser::Direction;
use crate::sdp::trunk::TrunkMedia;

#[tokio::test]
async fn a_spare_pair_takes_the_place_of_the_first_and_nothing_is_left() {
    let (plane, _reports) = Plane::start(config(1, 18_000..=18_099)).unwrap();
    let key = CallKey(1);
    assert_eq!(plane.lease_spare(key).await, Err(LeaseError::NoSuchCall));
    plane.open(open(1)).await.unwrap();
    let first = plane.lease_trunk(key).await.unwrap();
    let spare = plane.lease_spare(key).await.unwrap();
    assert_ne!(first, spare);
    eventually(&plane, |stats| stats.leased_pairs == 2).await;

    // Nobody hears what comes to it before its time.
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    peer.send_to(&[0x80; 172], spare).unwrap();
    eventually(&plane, |stats| stats.stray == 1).await;

    assert!(plane.command(key, Command::SwapTrunk(media(peer.local_addr().unwrap()))));
    let stats = eventually(&plane, |stats| stats.quarantined_pairs == 1).await;
    assert_eq!(stats.leased_pairs, 1);
    peer.send_to(&[0x80; 172], first).unwrap();
    eventually(&plane, |stats| stats.stray == 2).await;
    let before = plane.call_stats(key).await.unwrap().trunk_in.packets;
    peer.send_to(&[&[0x80, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1][..], &[0xff; 160]].concat(), spare).unwrap();
    for _ in 0..1000 {
        if plane.call_stats(key).await.unwrap().trunk_in.packets > before {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(plane.call_stats(key).await.unwrap().trunk_in.packets, before + 1);

    // One that is not needed goes to quarantine; a swap without one changes nothing.
    plane.lease_spare(key).await.unwrap();
    assert!(plane.command(key, Command::ReleaseSpare));
    assert!(plane.command(key, Command::SwapTrunk(media(peer.local_addr().unwrap()))));
    let stats = eventually(&plane, |stats| stats.quarantined_pairs == 2).await;
    assert_eq!(stats.leased_pairs, 1);
    plane.lease_spare(key).await.unwrap();
    assert!(plane.command(key, Command::Close));
    let stats = eventually(&plane, |stats| stats.calls == 0).await;
    assert_eq!((stats.leased_pairs, stats.quarantined_pairs), (0, 4));
}

/// A trunk at this address that speaks PCMU.
pub(super) fn media(remote: SocketAddr) -> TrunkMedia {
    TrunkMedia {
        remote,
        remote_rtcp: remote,
        codec: Codec::Pcmu,
        payload_type: PayloadType(0),
        telephone_event: None,
        opus: Default::default(),
        comfort_noise: false,
        ptime_ms: 20,
        peer_direction: Direction::SendRecv,
        source: RtpSource::Signalled,
        srtp: None,
        also: Vec::new(),
        rtcp_mux: false,
        extended: None,
        lines: Default::default(),
    }
}
