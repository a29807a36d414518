//! One call that is sent far too much takes nothing from the others.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use super::Plane;
use super::spare_tests::media;
use super::tests::{config, eventually, open};
use crate::api::{CallKey, Command, OpenCall};
use crate::audio::Codec;
use crate::call::tests::browser::Browser;

/// Rounds of the flood; in each, the call that behaves sends a packet.
const ROUNDS: u16 = 40;

fn rtp(sequence: u16, ssrc: u8) -> Vec<u8> {
    let [high, low] = sequence.to_be_bytes();
    [&[0x80, 0, high, low, 0, 0, high, low, 0, 0, 0, ssrc][..], &[0xff; 160]].concat()
}

/// A call with a trunk: the address of its port, and the socket that speaks to it.
async fn with_trunk(plane: &Plane, key: u64) -> (SocketAddr, UdpSocket) {
    plane.open(open(key)).await.unwrap();
    let address = plane.lease_trunk(CallKey(key)).await.unwrap();
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    assert!(plane.command(CallKey(key), Command::ConnectTrunk(media(peer.local_addr().unwrap()))));
    (address, peer)
}

/// Waits until so many packets have been heard by a call: from its trunk, or from its browser.
async fn until_heard(plane: &Plane, key: u64, (trunk, browser): (u64, u64)) {
    for _ in 0..10_000 {
        let stats = plane.call_stats(CallKey(key)).await.unwrap();
        if (stats.trunk_in.packets, stats.browser_in.packets) == (trunk, browser) {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("never heard: {:?}", plane.stats());
}

#[tokio::test]
async fn a_flooded_trunk_leg_costs_the_others_no_packet() {
    let (plane, _reports) = Plane::start(config(1, 18_200..=18_299)).unwrap();
    let (flooded, flood) = with_trunk(&plane, 1).await;
    let (quiet, peer) = with_trunk(&plane, 2).await;
    for round in 0..ROUNDS {
        for nth in 0..400_u16 {
            // What the kernel does not take is no matter.
            let _ = flood.send_to(&rtp(round.wrapping_mul(400).wrapping_add(nth), 1), flooded);
        }
        peer.send_to(&rtp(round, 2), quiet).unwrap();
        until_heard(&plane, 2, (u64::from(round) + 1, 0)).await;
    }
    assert!(plane.call_stats(CallKey(1)).await.unwrap().trunk_in.packets > 0);
    // What its own socket had no room for is told when the leg is over.
    assert!(plane.command(CallKey(1), Command::ReleaseTrunk));
    eventually(&plane, |stats| stats.leased_pairs == 1).await;
    assert!(plane.stats()[0].socket_drops > 0, "{:?}", plane.stats());
}

/// A browser on a socket of its own, in real time.
struct Peer {
    browser: Browser,
    socket: UdpSocket,
    gateway: SocketAddr,
}

impl Peer {
    async fn connect(plane: &Plane, key: u64) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let (mut browser, offer) = Browser::new(now(), socket.local_addr().unwrap(), &[Codec::Pcmu]);
        let opened = plane.open(OpenCall { offer, ..open(key) }).await.unwrap();
        browser.accept(&opened.answer);
        let mut peer = Self { browser, socket, gateway: plane.addresses()[0] };
        while !peer.browser.is_connected() {
            peer.step().await;
        }
        peer.browser.speak(now(), Codec::Pcmu, 440.0);
        peer
    }

    /// A millisecond passes; how many packets of audio were sent in it.
    async fn step(&mut self) -> u64 {
        let mut out = self.browser.step(now());
        let mut buffer = [0; 2048];
        while let Ok((length, from)) = self.socket.recv_from(&mut buffer) {
            out.extend(self.browser.receive(now(), from, &buffer[..length]));
        }
        for datagram in &out {
            self.socket.send_to(datagram, self.gateway).unwrap();
        }
        #[allow(clippy::disallowed_methods)] // Real sockets keep real time.
        tokio::time::sleep(Duration::from_millis(1)).await;
        let is_audio = |datagram: &&Vec<u8>| datagram[0] >> 6 == 2 && !(64..96).contains(&(datagram[1] & 0x7f));
        out.iter().filter(is_audio).count() as u64
    }
}

fn now() -> Instant {
    #[allow(clippy::disallowed_methods)] // Real sockets keep real time.
    Instant::now()
}

#[tokio::test]
async fn a_browser_that_floods_is_cut_short_and_the_others_are_heard() {
    let (plane, _reports) = Plane::start(config(1, 18_300..=18_399)).unwrap();
    let loud = Peer::connect(&plane, 1).await;
    let mut quiet = Peer::connect(&plane, 2).await;
    let mut said = 0;
    for _ in 0..ROUNDS {
        for nth in 0..200 {
            let _ = loud.socket.send_to(&rtp(nth, 9), loud.gateway);
        }
        let before = said;
        while said == before {
            said += quiet.step().await;
        }
        until_heard(&plane, 2, (0, said)).await;
    }
    assert!(plane.stats()[0].flooded > 0, "{:?}", plane.stats());
}
