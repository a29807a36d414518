//! The plane on real loopback sockets.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::spare_tests::media;
use super::{LeaseError, Plane, PlaneConfig, WorkerStats};
use crate::api::{CallKey, Command, Digit, Leg, Limits, MediaEvent, OpenCall, OpenError, Report};
use crate::audio::Codec;
use crate::call::tests::browser::Browser;
use crate::call::tests::phone::{Packet, Phone, is_tone, listen};
use crate::quality::Policy;
use crate::sdp::browser::Offer;

const OFFER: &str = "v=0\r\n\
    o=- 4611731400430051336 2 IN IP4 127.0.0.1\r\n\
    s=-\r\n\
    t=0 0\r\n\
    a=group:BUNDLE 0\r\n\
    m=audio 9 UDP/TLS/RTP/SAVPF 111 0 8 110\r\n\
    c=IN IP4 0.0.0.0\r\n\
    a=rtcp:9 IN IP4 0.0.0.0\r\n\
    a=ice-ufrag:Vx5e\r\n\
    a=ice-pwd:gNv8RzPsAGVk8L5NuGzLwXJl\r\n\
    a=fingerprint:sha-256 7B:8B:F0:65:5F:78:E2:51:3B:AC:6F:F3:3F:46:1B:35:DC:B8:5F:64:1A:24:C2:43:F0:A1:58:D0:A1:2C:19:08\r\n\
    a=setup:actpass\r\n\
    a=mid:0\r\n\
    a=sendrecv\r\n\
    a=rtcp-mux\r\n\
    a=rtpmap:111 opus/48000/2\r\n\
    a=rtpmap:0 PCMU/8000\r\n\
    a=rtpmap:8 PCMA/8000\r\n\
    a=rtpmap:110 telephone-event/48000\r\n\
    a=ssrc:1399694169 cname:foo\r\n";

pub(super) fn open(key: u64) -> OpenCall {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&key.to_be_bytes());
    OpenCall {
        key: CallKey(key),
        offer: Offer::parse(OFFER.as_bytes()).unwrap(),
        codecs: vec![Codec::Opus, Codec::Pcmu],
        prefer: None,
        playback_rate: 48_000,
        limits: Limits {
            setup: Duration::from_secs(10),
            inactivity: Duration::from_secs(20),
            grace: Duration::from_secs(30),
        },
        seed,
    }
}

pub(super) fn config(workers: usize, rtp_ports: RangeInclusive<u16>) -> PlaneConfig {
    PlaneConfig {
        workers,
        udp_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        tcp_listen: None,
        advertise: Vec::new(),
        rtp_listen: IpAddr::V4(Ipv4Addr::LOCALHOST),
        rtp_ports,
        quarantine: Duration::from_secs(60),
        max_calls_per_worker: 100,
        policy: Policy::default(),
    }
}

/// A port pair nobody holds, apart from the range the other tests lease from, and from where the tests that run at the
/// same time look.
fn free_pair() -> RangeInclusive<u16> {
    let is_free = |port: u16| UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    let even = (30_000..32_600).step_by(2).skip(std::process::id() as usize * 53 % 1000);
    even.map(|port| port..=port + 1).find(|pair| is_free(*pair.start()) && is_free(*pair.end())).unwrap()
}

fn total(plane: &Plane) -> WorkerStats {
    plane.stats().iter().fold(WorkerStats::default(), |sum, one| WorkerStats {
        calls: sum.calls + one.calls,
        leased_pairs: sum.leased_pairs + one.leased_pairs,
        quarantined_pairs: sum.quarantined_pairs + one.quarantined_pairs,
        received: sum.received + one.received,
        sent: sum.sent + one.sent,
        stray: sum.stray + one.stray,
        panics: sum.panics + one.panics,
        ports_in_use: sum.ports_in_use + one.ports_in_use,
        commands_dropped: sum.commands_dropped + one.commands_dropped,
        ..sum
    })
}

pub(super) async fn eventually(plane: &Plane, wanted: impl Fn(&WorkerStats) -> bool) -> WorkerStats {
    for _ in 0..1000 {
        let stats = total(plane);
        if wanted(&stats) {
            return stats;
        }
        #[allow(clippy::disallowed_methods)] // Real sockets keep real time.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never so: {:?}", plane.stats());
}

async fn next_event(reports: &mut mpsc::Receiver<Report>) -> (CallKey, MediaEvent) {
    let report = tokio::time::timeout(Duration::from_secs(5), reports.recv()).await.unwrap().unwrap();
    (report.key, report.event)
}

#[tokio::test]
async fn calls_come_and_go_and_leave_no_port_behind() {
    let (plane, _reports) = Plane::start(config(2, 20_000..=29_999)).unwrap();
    for key in 0..50 {
        let opened = plane.open(open(key)).await.unwrap();
        assert!(opened.answer.contains("a=candidate:1 1 udp") && opened.answer.contains("a=ice-lite"));
        plane.lease_trunk(CallKey(key)).await.unwrap();
    }
    let stats = eventually(&plane, |stats| stats.leased_pairs == 50).await;
    assert_eq!((stats.calls, stats.quarantined_pairs), (50, 0));
    let calls: Vec<u64> = plane.stats().iter().map(|worker| worker.calls).collect();
    assert_eq!(calls, [50, 0], "the second is not begun for so few");

    plane.lease_trunk(CallKey(0)).await.unwrap();
    let stats = eventually(&plane, |stats| stats.quarantined_pairs == 1).await;
    assert_eq!(stats.leased_pairs, 50, "a new lease gives the old pair back");

    for key in 0..25 {
        assert!(plane.command(CallKey(key), Command::ReleaseTrunk));
    }
    for key in 0..50 {
        assert!(plane.command(CallKey(key), Command::Close));
        assert!(!plane.command(CallKey(key), Command::Close), "closed once");
    }
    let stats = eventually(&plane, |stats| stats.calls == 0).await;
    assert_eq!((stats.leased_pairs, stats.quarantined_pairs), (0, 51));
}

#[tokio::test]
async fn a_pair_in_quarantine_is_drained_and_not_leased() {
    let pair = free_pair();
    let (plane, _reports) = Plane::start(config(1, pair.clone())).unwrap();
    plane.open(open(1)).await.unwrap();
    plane.open(open(2)).await.unwrap();
    let address = plane.lease_trunk(CallKey(1)).await.unwrap();
    assert_eq!(address.port(), *pair.start());
    assert_eq!(plane.lease_trunk(CallKey(2)).await, Err(LeaseError::Exhausted));
    plane.command(CallKey(1), Command::Close);
    assert_eq!(plane.lease_trunk(CallKey(2)).await, Err(LeaseError::Exhausted), "still in quarantine");

    let late = UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..100 {
        late.send_to(&[0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1], address).unwrap();
    }
    let stats = eventually(&plane, |stats| stats.stray == 100).await;
    assert_eq!((stats.received, stats.leased_pairs, stats.quarantined_pairs), (100, 0, 1));
}

#[tokio::test]
async fn a_pair_is_leased_again_after_its_quarantine() {
    let pair = free_pair();
    let (plane, _reports) =
        Plane::start(PlaneConfig { quarantine: Duration::from_millis(50), ..config(1, pair.clone()) }).unwrap();
    plane.open(open(1)).await.unwrap();
    plane.lease_trunk(CallKey(1)).await.unwrap();
    eventually(&plane, |stats| stats.leased_pairs == 1).await;
    plane.command(CallKey(1), Command::ReleaseTrunk);
    eventually(&plane, |stats| stats.leased_pairs == 0 && stats.quarantined_pairs == 0).await;
    assert_eq!(plane.lease_trunk(CallKey(1)).await.unwrap().port(), *pair.start());
}

#[tokio::test]
async fn a_pair_held_by_another_program_is_passed_over() {
    let pair = free_pair();
    let _held = UdpSocket::bind((Ipv4Addr::LOCALHOST, *pair.end())).unwrap();
    let (plane, _reports) = Plane::start(config(1, *pair.start()..=*pair.end() + 40)).unwrap();
    plane.open(open(1)).await.unwrap();
    let address = plane.lease_trunk(CallKey(1)).await.unwrap();
    assert_ne!(address.port(), *pair.start());
    let stats = eventually(&plane, |stats| stats.leased_pairs == 1).await;
    assert!(stats.ports_in_use >= 1);
}

#[tokio::test]
async fn a_panic_ends_one_call_alone() {
    let (plane, mut reports) = Plane::start(config(1, 20_000..=29_999)).unwrap();
    for key in 1..=3 {
        plane.open(open(key)).await.unwrap();
        plane.lease_trunk(CallKey(key)).await.unwrap();
    }
    plane.panic_in(CallKey(2));
    assert_eq!(next_event(&mut reports).await, (CallKey(2), MediaEvent::Crashed));
    assert!(plane.call_stats(CallKey(1)).await.is_some());
    assert!(plane.call_stats(CallKey(2)).await.is_none());
    assert!(plane.call_stats(CallKey(3)).await.is_some());
    let stats = eventually(&plane, |stats| stats.calls == 2).await;
    assert_eq!((stats.panics, stats.leased_pairs, stats.quarantined_pairs), (1, 2, 1));
    assert!(plane.command(CallKey(2), Command::Close), "its owner closes it as any other");
}

#[tokio::test]
async fn strangers_on_the_public_port_are_counted_and_never_answered() {
    let (plane, _reports) = Plane::start(config(1, 20_000..=29_999)).unwrap();
    plane.open(open(1)).await.unwrap();
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let datagrams: [&[u8]; 5] = [
        &[],
        &[0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        &[22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0],
        &[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[0xff; 1200],
    ];
    for datagram in datagrams {
        stranger.send_to(datagram, plane.addresses()[0]).unwrap();
    }
    let stats = eventually(&plane, |stats| stats.received == 5).await;
    assert_eq!((stats.stray, stats.sent), (5, 0));
}

#[tokio::test]
async fn a_full_plane_says_so_and_takes_calls_again_later() {
    let (plane, _reports) =
        Plane::start(PlaneConfig { max_calls_per_worker: 2, ..config(2, 20_000..=29_999) }).unwrap();
    for key in 0..4 {
        plane.open(open(key)).await.unwrap();
    }
    assert_eq!(plane.open(open(4)).await, Err(OpenError::Full));
    plane.command(CallKey(1), Command::Close);
    plane.open(open(5)).await.unwrap();
}

#[tokio::test]
async fn what_names_no_call_is_refused() {
    let (plane, _reports) = Plane::start(config(1, 20_000..=29_999)).unwrap();
    assert_eq!(plane.reattach(open(9)).await, Err(OpenError::NoSuchCall));
    assert_eq!(plane.lease_trunk(CallKey(9)).await, Err(LeaseError::NoSuchCall));
    assert!(plane.call_stats(CallKey(9)).await.is_none());
    assert!(!plane.command(CallKey(9), Command::ReleaseTrunk));
    plane.open(open(1)).await.unwrap();
    assert!(matches!(plane.open(open(1)).await, Err(OpenError::Unsupported(_))), "a key is never used twice");
}

#[tokio::test]
async fn a_call_whose_opener_went_away_is_closed() {
    let (plane, _reports) = Plane::start(config(1, 20_000..=29_999)).unwrap();
    // A worker may be so quick that the opener is still there to hear of it; that call stays.
    let is_told_at_once = |key: &u64| {
        let mut opening = pin!(plane.open(open(*key)));
        opening.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
    };
    let stay = (1..50).take_while(is_told_at_once).count() as u64;
    plane.open(open(50)).await.unwrap();
    eventually(&plane, |stats| stats.calls == stay + 1).await;
    assert!(plane.call_stats(CallKey(stay + 1)).await.is_none());
}

#[tokio::test]
async fn commands_reach_the_call_in_order() {
    let (plane, mut reports) = Plane::start(config(1, 20_000..=29_999)).unwrap();
    plane.open(open(1)).await.unwrap();
    for leg in [Leg::Trunk, Leg::Trunk] {
        let digits = vec![Digit::from_char('1').unwrap()];
        assert!(plane.command(CallKey(1), Command::SendDtmf { leg, digits, duration_ms: 100 }));
        assert_eq!(next_event(&mut reports).await, (CallKey(1), MediaEvent::DtmfNotSent { leg }));
    }
}

#[tokio::test]
async fn a_stopped_plane_says_so() {
    let (plane, mut reports) = Plane::start(config(2, 20_000..=29_999)).unwrap();
    plane.open(open(1)).await.unwrap();
    plane.shutdown();
    plane.shutdown();
    assert_eq!(plane.open(open(2)).await, Err(OpenError::Stopped));
    assert_eq!(plane.lease_trunk(CallKey(1)).await, Err(LeaseError::Stopped));
    assert!(reports.recv().await.is_none(), "no worker is left to report");
    assert_eq!(total(&plane).leased_pairs, 0);
}

/// A browser and a phone on sockets of their own, in real time.
struct Peers {
    browser: Browser,
    browser_socket: UdpSocket,
    phone: Phone,
    phone_socket: UdpSocket,
    gateway: SocketAddr,
    trunk: SocketAddr,
}

impl Peers {
    async fn run(&mut self, ms: u64) {
        let end = now() + Duration::from_millis(ms);
        let mut buffer = [0; 2048];
        while now() < end {
            let mut out = self.browser.step(now());
            while let Ok((length, from)) = self.browser_socket.recv_from(&mut buffer) {
                out.extend(self.browser.receive(now(), from, &buffer[..length]));
            }
            for datagram in out {
                self.browser_socket.send_to(&datagram, self.gateway).unwrap();
            }
            while let Ok((length, from)) = self.phone_socket.recv_from(&mut buffer) {
                if from.port() == self.trunk.port() + 1 {
                    continue; // Its RTCP.
                }
                assert_eq!(from, self.trunk, "symmetric RTP");
                self.phone.heard.push(Packet::parse(now(), &buffer[..length]));
            }
            for datagram in self.phone.step(now()) {
                self.phone_socket.send_to(&datagram, self.trunk).unwrap();
            }
            #[allow(clippy::disallowed_methods)] // Real sockets keep real time.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

fn now() -> Instant {
    #[allow(clippy::disallowed_methods)] // Real sockets keep real time.
    Instant::now()
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

/// What a whole call costs in datagrams and reports, end to end through the kernel.
async fn check_call(codec: Codec, payload_type: u8) {
    let (plane, mut reports) = Plane::start(config(1, 20_000..=29_999)).unwrap();
    let (browser_socket, phone_socket) = (socket(), socket());
    let (mut browser, offer) = Browser::new(now(), browser_socket.local_addr().unwrap(), &[codec]);
    let opened = plane.open(OpenCall { offer, ..open(1) }).await.unwrap();
    browser.accept(&opened.answer);
    let trunk = plane.lease_trunk(CallKey(1)).await.unwrap();
    let remote = phone_socket.local_addr().unwrap();
    assert!(plane.command(CallKey(1), Command::ConnectTrunk(media(remote))));
    let gateway = plane.addresses()[0];
    let mut peers = Peers { browser, browser_socket, phone: Phone::new(), phone_socket, gateway, trunk };
    for _ in 0..500 {
        if peers.browser.is_connected() {
            break;
        }
        peers.run(10).await;
    }
    peers.browser.speak(now(), codec, 440.0);
    peers.phone.speak(now(), Codec::Pcmu, 1000.0);
    peers.run(400).await;
    peers.phone.heard.clear();
    peers.browser.heard.clear();
    peers.run(600).await;
    assert!(is_tone(&listen(&peers.phone.heard, 0, Codec::Pcmu), 440.0), "{codec:?}");
    assert!(is_tone(&listen(&peers.browser.heard, payload_type, codec), 1000.0), "{codec:?}");

    let mut events = Vec::new();
    while let Ok(report) = reports.try_recv() {
        events.push(report.event);
    }
    let seen = |wanted: fn(&MediaEvent) -> bool| events.iter().filter(|event| wanted(event)).count();
    assert_eq!(seen(|event| matches!(event, MediaEvent::IceConnected { .. })), 1, "{events:?}");
    assert_eq!(seen(|event| matches!(event, MediaEvent::DtlsConnected { .. })), 1);
    assert_eq!(seen(|event| matches!(event, MediaEvent::FirstAudio { .. })), 2);
    let stats = plane.call_stats(CallKey(1)).await.unwrap();
    assert!(stats.browser_in.packets > 25 && stats.trunk_in.packets > 25);
    assert_eq!((stats.drops.wrong_source, stats.drops.undecryptable), (0, 0));
    assert_eq!(plane.stats()[0].send_failures, 0);
}

#[tokio::test]
async fn a_relayed_call_is_heard_through_real_sockets() {
    check_call(Codec::Pcmu, 0).await;
}

#[tokio::test]
async fn a_transcoded_call_is_heard_through_real_sockets() {
    check_call(Codec::Opus, 111).await;
}

#[test]
fn the_planes_futures_may_move_between_threads() {
    fn is_send(_: impl Send) {}
    let (plane, _reports) = Plane::start(config(1, 20_000..=29_999)).unwrap();
    is_send(plane.open(open(1)));
    is_send(plane.reattach(open(1)));
    is_send(plane.lease_trunk(CallKey(1)));
    is_send(plane.call_stats(CallKey(1)));
}
