//! Browsers that come over TCP, on real loopback sockets.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use super::spare_tests::media;
use super::tcp::{Arrived, Connections, SharedCounters};
use super::tests::{config, open};
use super::{ConnectionStats, Plane, PlaneConfig};
use crate::api::{CallKey, Command, MediaEvent, OpenCall, Path};
use crate::audio::Codec;
use crate::browser::framing::{Deframer, frame};
use crate::call::tests::browser::Browser;
use crate::call::tests::phone::{Packet, Phone, is_tone, listen};

fn now() -> Instant {
    #[allow(clippy::disallowed_methods)] // Real sockets keep real time.
    Instant::now()
}

async fn a_moment() {
    #[allow(clippy::disallowed_methods)] // Real sockets keep real time.
    tokio::time::sleep(Duration::from_millis(2)).await;
}

fn over_tcp() -> PlaneConfig {
    PlaneConfig { tcp_listen: Some("127.0.0.1:0".parse().unwrap()), ..config(2, 20_000..=29_999) }
}

/// A browser that has nothing but a connection.
struct Connected {
    browser: Browser,
    stream: TcpStream,
    deframer: Deframer,
    /// Where it believes to send its datagrams to.
    gateway: SocketAddr,
    ended: bool,
}

impl Connected {
    /// Opens a call and a connection for it, from this address.
    async fn open(plane: &Plane, key: u64, from: &str) -> Self {
        let address: SocketAddr = "192.0.2.1:5000".parse().unwrap();
        let (mut browser, offer) = Browser::new(now(), address, &[Codec::Pcmu]);
        let opened = plane.open(OpenCall { offer, ..open(key) }).await.unwrap();
        browser.accept(&opened.answer);
        let line = opened.answer.lines().find(|line| line.contains("tcptype passive")).unwrap();
        let to = plane.tcp_address().unwrap();
        assert!(line.contains(&format!(" {} {} typ host", to.ip(), to.port())), "{line}");
        let udp = opened.answer.lines().find(|line| line.contains(" udp ")).unwrap();
        let words: Vec<&str> = udp.split(' ').collect();
        let gateway = format!("{}:{}", words[4], words[5]).parse().unwrap();
        let stream = connect(from, to);
        Self { browser, stream, deframer: Deframer::default(), gateway, ended: false }
    }

    /// What the browser sends now, in frames.
    fn step(&mut self) -> Vec<u8> {
        let mut octets = [0; 4096];
        while !self.ended {
            match self.stream.read(&mut octets) {
                Ok(0) => self.ended = true,
                Ok(length) => self.deframer.push(&octets[..length]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(_) => self.ended = true,
            }
        }
        let mut out = self.browser.step(now());
        while let Some(datagram) = self.deframer.take().unwrap() {
            out.extend(self.browser.receive(now(), self.gateway, datagram));
        }
        let mut frames = Vec::new();
        assert!(out.iter().all(|datagram| frame(datagram, &mut frames)));
        frames
    }

    async fn run(&mut self, limit_ms: u64, done: impl Fn(&Self) -> bool) {
        let end = now() + Duration::from_millis(limit_ms);
        while now() < end && !done(self) {
            let frames = self.step();
            // In pieces, as a network may deliver them.
            for piece in frames.chunks(37) {
                let _ = self.stream.write(piece);
            }
            a_moment().await;
        }
    }

    async fn connected(plane: &Plane, key: u64, from: &str) -> Self {
        let mut one = Self::open(plane, key, from).await;
        one.run(10_000, |one| one.browser.is_connected()).await;
        assert!(one.browser.is_connected(), "not over the connection: {:?}", plane.connections());
        one
    }
}

fn connect(from: &str, to: SocketAddr) -> TcpStream {
    let domain = socket2::Domain::for_address(to);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None).unwrap();
    let from: SocketAddr = format!("{from}:0").parse().unwrap();
    socket.bind(&from.into()).unwrap();
    socket.connect(&to.into()).unwrap();
    let stream: TcpStream = socket.into();
    stream.set_nonblocking(true).unwrap();
    stream
}

/// Waits for the other side to close.
async fn is_closed(stream: &mut TcpStream) -> bool {
    for _ in 0..10_000 {
        match stream.read(&mut [0; 64]) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => a_moment().await,
            Err(_) => return true,
        }
    }
    false
}

async fn settled(plane: &Plane, wanted: impl Fn(&ConnectionStats) -> bool) -> ConnectionStats {
    for _ in 0..5000 {
        if wanted(&plane.connections()) {
            return plane.connections();
        }
        a_moment().await;
    }
    panic!("never so: {:?}", plane.connections());
}

#[tokio::test]
async fn a_call_is_heard_over_a_browsers_connection() {
    let (plane, mut reports) = Plane::start(over_tcp()).unwrap();
    let mut one = Connected::connected(&plane, 1, "127.0.0.1").await;
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    let mut phone = Phone::new();
    let trunk = plane.lease_trunk(CallKey(1)).await.unwrap();
    assert!(plane.command(CallKey(1), Command::ConnectTrunk(media(socket.local_addr().unwrap()))));
    one.browser.speak(now(), Codec::Pcmu, 440.0);
    phone.speak(now(), Codec::Pcmu, 1000.0);
    let mut octets = [0; 2048];
    for n in 0..75 {
        if n == 25 {
            (phone.heard, one.browser.heard) = Default::default();
        }
        one.run(20, |_| false).await;
        for datagram in phone.step(now()) {
            socket.send_to(&datagram, trunk).unwrap();
        }
        while let Ok((length, from)) = socket.recv_from(&mut octets) {
            if from == trunk {
                phone.heard.push(Packet::parse(now(), &octets[..length]));
            }
        }
    }
    assert!(is_tone(&listen(&phone.heard, 0, Codec::Pcmu), 440.0));
    assert!(is_tone(&listen(&one.browser.heard, 0, Codec::Pcmu), 1000.0));
    let mut over = Vec::new();
    while let Ok(report) = reports.try_recv() {
        if let MediaEvent::IceConnected { path, remote } = report.event {
            over.push((path, remote));
        }
    }
    assert_eq!(over, [(Path::Tcp, one.stream.local_addr().unwrap())]);
    let stats = plane.call_stats(CallKey(1)).await.unwrap();
    assert_eq!((stats.drops.malformed, stats.drops.wrong_source, stats.browser_in.lost), (0, 0, 0));

    // The goodbye of DTLS arrives before the connection ends.
    assert!(plane.command(CallKey(1), Command::Close));
    one.run(10_000, |one| one.ended).await;
    assert!(one.ended);
    let stats = settled(&plane, |stats| stats.live == 0).await;
    assert_eq!((stats.accepted, stats.refused, stats.dropped), (1, 0, 0));
}

#[tokio::test]
async fn a_browser_whose_connection_breaks_comes_back_over_another() {
    let (plane, mut reports) = Plane::start(over_tcp()).unwrap();
    let mut one = Connected::connected(&plane, 1, "127.0.0.1").await;
    one.stream = connect("127.0.0.1", plane.tcp_address().unwrap());
    one.deframer = Deframer::default();
    settled(&plane, |stats| stats.live == 0).await;
    one.run(10_000, |_| plane.connections().live == 1).await;
    let local = one.stream.local_addr().unwrap();
    let mut moved = false;
    for _ in 0..1000 {
        one.run(10, |_| false).await;
        while let Ok(report) = reports.try_recv() {
            moved |= matches!(report.event, MediaEvent::BrowserMoved { remote, path: Path::Tcp } if remote == local);
        }
        if moved {
            break;
        }
    }
    assert!(moved, "{:?}", plane.connections());
}

#[tokio::test]
async fn strangers_get_nothing_and_keep_nobody_out() {
    let (plane, _reports) = Plane::start(over_tcp()).unwrap();
    let to = plane.tcp_address().unwrap();
    // With a call's name and without its password: it is heard, and closed when nothing else comes.
    let mut liar = Connected::open(&plane, 1, "127.0.0.4").await;
    let mut check = liar.step();
    let last = check.len() - 12;
    check[last] ^= 1;
    liar.stream.write_all(&check).unwrap();
    // Of a call that is over.
    let mut late = Connected::open(&plane, 2, "127.0.0.4").await;
    assert!(plane.command(CallKey(2), Command::Close));
    let check = late.step();
    late.stream.write_all(&check).unwrap();
    // Slow ones: nothing, half a length, half a frame; more than one address may have.
    let mut idle: Vec<TcpStream> = (0..40).map(|_| connect("127.0.0.2", to)).collect();
    for (slow, octets) in idle.iter_mut().zip([&[][..], &[0], &[0, 40, 0, 1]]) {
        slow.write_all(octets).unwrap();
    }
    let mut web = connect("127.0.0.3", to);
    web.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut other = connect("127.0.0.3", to);
    other.write_all(&[0, 3, b'a', b'b', b'c']).unwrap();

    let browser = Connected::connected(&plane, 3, "127.0.0.5").await;
    assert!(is_closed(&mut web).await && is_closed(&mut other).await && is_closed(&mut late.stream).await);
    for slow in &mut idle {
        assert!(is_closed(slow).await);
    }
    assert!(is_closed(&mut liar.stream).await);
    // All but the browser: 40, two that spoke of something else, one too late, one without the password.
    let stats = settled(&plane, |stats| stats.live == 1).await;
    assert_eq!((stats.accepted, stats.refused), (45, 44));
    assert!(!browser.ended);
    assert!(plane.stats().iter().all(|worker| worker.panics == 0));
}

/// A browser that takes nothing loses whole datagrams, so that what comes after them is still understood.
#[test]
fn a_connection_that_does_not_keep_up_loses_whole_datagrams() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (socket, from) = listener.accept().unwrap();
    socket.set_nonblocking(true).unwrap();
    let poll = mio::Poll::new().unwrap();
    let counters = SharedCounters::default();
    let mut connections = Connections::new(counters.clone());
    let arrived = Arrived { socket, from, ufrag: "ours".into(), deframer: Deframer::default() };
    let at = connections.add(now(), poll.registry(), 0, arrived).unwrap();
    let mut taken = Vec::new();
    let mut number = 0u32;
    while counters.read().dropped < 10 {
        if connections.push(from, &[number.to_be_bytes(); 300].concat()) {
            taken.push(number);
        }
        number += 1;
        connections.flush(poll.registry());
        assert!(number < 1_000_000, "it takes everything");
    }
    // It reads again, and so do we: what waited is on its way.
    far.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let (mut deframer, mut got) = (Deframer::default(), Vec::new());
    let mut octets = vec![0; 64 * 1024];
    for _ in 0..1000 {
        if let Ok(length) = far.read(&mut octets) {
            deframer.push(&octets[..length]);
        }
        let _ = connections.read(at);
        while let Some(datagram) = deframer.take().unwrap() {
            assert_eq!(datagram.len(), 1200);
            got.push(u32::from_be_bytes(datagram[..4].try_into().unwrap()));
        }
        if got.len() == taken.len() {
            break;
        }
    }
    assert_eq!(got, taken);
    assert!(!connections.push("192.0.2.1:9".parse().unwrap(), b"nobody"));
}
