//! A browser, a NAT and our transport, joined by a wire in virtual time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::crypto::from_feature_flags;
use str0m::media::{Direction, MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{RawPacket, RtpWrite};
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};
use trunkline_media::api::Path;
use trunkline_media::audio::Codec;
use trunkline_media::browser::transport::DtlsIdentity;
use trunkline_media::browser::{BrowserTransport, Inbound, TransportEvent};
use trunkline_media::outbox::Outbox;
use trunkline_media::rtp::Ssrc;
use trunkline_media::sdp::browser::{AnswerParts, BrowserMedia, IceCredentials, Offer, answer};
use trunkline_media::sdp::fragment;

pub(crate) const GATEWAY: &str = "192.0.2.10:3478";
pub(crate) const BROWSER: &str = "10.0.0.2:50000";
pub(crate) const SSRC: u32 = 0x7e57_ab1e;
const LATENCY: Duration = Duration::from_millis(20);

/// What the wire does to a datagram: what arrives instead, each after a delay on top of the latency.
pub(crate) type Wire = Box<dyn FnMut(Towards, &[u8]) -> Vec<(Duration, Vec<u8>)>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Towards {
    Gateway,
    Browser,
}

type InFlight = Reverse<(Instant, u64, Towards, SocketAddr, Vec<u8>)>;

pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) browser: Rtc,
    pub(crate) gateway: BrowserTransport,
    pub(crate) mid: Mid,
    /// The browser's address as the gateway sees it.
    pub(crate) public: SocketAddr,
    pub(crate) wire: Wire,
    pub(crate) events: Vec<TransportEvent>,
    pub(crate) browser_events: Vec<Event>,
    /// RTP and RTCP the gateway decrypted.
    pub(crate) rtp: Vec<Vec<u8>>,
    pub(crate) rtcp: Vec<Vec<u8>>,
    /// Datagrams as they left the browser.
    pub(crate) captured: Vec<Vec<u8>>,
    /// Datagrams the gateway sent, with their destination.
    pub(crate) sent: Vec<(SocketAddr, Vec<u8>)>,
    pub(crate) browser_wakes: Instant,
    in_flight: BinaryHeap<InFlight>,
    order: u64,
    sequence: u64,
}

/// What of the call's set-up a test changes.
pub(crate) struct Setup {
    pub(crate) config: fn(RtcConfig) -> RtcConfig,
    pub(crate) offer: fn(String) -> String,
    pub(crate) limit: Duration,
    pub(crate) wire: Wire,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            config: |config| config,
            offer: |offer| offer,
            limit: Duration::from_secs(15),
            wire: Box::new(|_, bytes| vec![(Duration::ZERO, bytes.to_vec())]),
        }
    }
}

fn credentials(name: &str) -> IceCredentials {
    IceCredentials { ufrag: name.into(), password: format!("{name}-password-of-22-chars") }
}

fn candidates() -> Vec<String> {
    vec!["candidate:1 1 udp 2130706431 192.0.2.10 3478 typ host".to_owned()]
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(Setup::default())
    }

    pub(crate) fn with(setup: Setup) -> Self {
        #[allow(clippy::disallowed_methods)] // the one clock reading of a simulated run
        let now = Instant::now() + Duration::from_secs(3600);
        let config = RtcConfig::new()
            .set_crypto_provider(Arc::new(from_feature_flags()))
            .clear_codecs()
            .enable_opus(true, false)
            .enable_pcmu(true, false)
            .enable_pcma(true, false)
            .set_rtp_mode(true)
            .enable_raw_packets(true);
        let mut browser = (setup.config)(config).build(now);
        browser.add_local_candidate(Candidate::host(BROWSER.parse().unwrap(), "udp").unwrap());
        let mut change = browser.sdp_api();
        let mid = change.add_media(MediaKind::Audio, Direction::SendRecv, None, None, None);
        let (offer, pending) = change.apply().unwrap();

        let offer = Offer::parse((setup.offer)(offer.to_sdp_string()).as_bytes()).unwrap();
        let identity = Arc::new(DtlsIdentity::generate().unwrap());
        let local = credentials("ours");
        let gateway = BrowserTransport::new(now, &identity, &offer, local.clone(), setup.limit, 7);
        let text = answered(&offer, &local, &identity);
        accept(&mut browser, pending, &text);
        Self {
            now,
            browser,
            gateway,
            mid,
            public: "203.0.113.7:40000".parse().unwrap(),
            wire: setup.wire,
            events: Vec::new(),
            browser_events: Vec::new(),
            rtp: Vec::new(),
            rtcp: Vec::new(),
            captured: Vec::new(),
            sent: Vec::new(),
            browser_wakes: now,
            in_flight: BinaryHeap::new(),
            order: 0,
            sequence: 0,
        }
    }

    /// Runs until both sides are connected.
    pub(crate) fn connected() -> Self {
        let mut world = Self::new();
        assert!(world.run_until(Duration::from_secs(5), |w| w.is_connected()), "{:?}", world.events);
        world
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.gateway.is_connected() && self.browser_events.iter().any(|e| matches!(e, Event::Connected))
    }

    pub(crate) fn run_for(&mut self, time: Duration) {
        self.run_until(time, |_| false);
    }

    /// Runs until `done`, at most for `limit`; says whether it was done.
    pub(crate) fn run_until(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) -> bool {
        let end = self.now + limit;
        loop {
            self.step();
            if done(self) {
                return true;
            }
            let arrival = self.in_flight.peek().map(|Reverse((at, ..))| *at);
            let timer = self.gateway.poll_timeout().map(|(at, _)| at);
            let next = arrival.into_iter().chain(timer).chain([self.browser_wakes]).min().unwrap();
            if next > end {
                self.now = end;
                return done(self);
            }
            assert!(timer.is_none_or(|at| at > self.now), "a timer that was served asks to be served again");
            self.now = self.now.max(next);
        }
    }

    /// The browser speaks one packet.
    pub(crate) fn browser_speaks(&mut self, payload: &[u8]) {
        let mut api = self.browser.direct_api();
        let stream = api.stream_tx_by_mid(self.mid, None).unwrap();
        let time = u32::try_from(self.sequence).unwrap() * 960;
        stream.write_rtp(RtpWrite::new(111.into(), self.sequence.into(), time, self.now, payload));
        self.sequence += 1;
        self.poll_browser();
    }

    /// The gateway speaks one packet.
    pub(crate) fn gateway_speaks(&mut self, sequence: u16, payload: &[u8]) -> bool {
        let mut packet = vec![0x80, 111];
        packet.extend_from_slice(&sequence.to_be_bytes());
        packet.extend_from_slice(&(u32::from(sequence) * 960).to_be_bytes());
        packet.extend_from_slice(&SSRC.to_be_bytes());
        packet.extend_from_slice(payload);
        let mut out = Outbox::new();
        let sent = self.gateway.send_rtp(&mut out, |buffer| buffer.extend_from_slice(&packet));
        self.ship(&out);
        sent
    }

    pub(crate) fn gateway_reports(&mut self, rtcp: &[u8]) -> bool {
        let mut out = Outbox::new();
        let sent = self.gateway.send_rtcp(rtcp, &mut out);
        self.ship(&out);
        sent
    }

    pub(crate) fn gateway_closes(&mut self) {
        let mut out = Outbox::new();
        self.gateway.close(self.now, &mut out);
        self.ship(&out);
    }

    /// Payloads of the RTP packets the browser heard.
    pub(crate) fn heard(&self) -> Vec<Vec<u8>> {
        let mut heard = Vec::new();
        for event in &self.browser_events {
            if let Event::RtpPacket(packet) = event {
                heard.push(packet.payload.to_vec());
            }
        }
        heard
    }

    /// RTCP the browser decrypted.
    pub(crate) fn rtcp_heard(&self) -> usize {
        let raw = self.browser_events.iter().filter_map(Event::as_raw_packet);
        raw.filter(|p| matches!(p, RawPacket::RtcpRx(_))).count()
    }

    /// The browser restarts ICE; credentials travel as they do in a PATCH.
    pub(crate) fn restart_ice(&mut self, name: &str) {
        let mut change = self.browser.sdp_api();
        change.ice_restart(true);
        let (offer, pending) = change.apply().unwrap();
        let text = offer.to_sdp_string();
        let wanted = |line: &&str| line.starts_with("a=ice-ufrag:") || line.starts_with("a=ice-pwd:");
        let patch: Vec<&str> = text.lines().filter(wanted).take(2).collect();
        let patch = fragment::Fragment::parse(patch.join("\r\n").as_bytes()).unwrap();
        let local = credentials(name);
        self.gateway.restart_ice(self.now, patch.ice, local.clone());
        let offer = Offer::parse(text.as_bytes()).unwrap();
        let identity = DtlsIdentity::generate().unwrap();
        let text = answered(&offer, &local, &identity);
        // The fingerprint stays that of the first answer.
        let known = self.browser.direct_api().remote_dtls_fingerprint().unwrap().to_string();
        let text: Vec<String> = text
            .lines()
            .map(|l| if l.starts_with("a=fingerprint:") { format!("a=fingerprint:{known}") } else { l.to_owned() })
            .collect();
        accept(&mut self.browser, pending, &format!("{}\r\n", text.join("\r\n")));
    }

    /// A datagram from anyone to the gateway, at once.
    pub(crate) fn inject(&mut self, from: SocketAddr, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        let mut out = Outbox::new();
        match self.gateway.handle_datagram(self.now, Path::Udp, from, &mut bytes, &mut out) {
            Inbound::Consumed => {}
            Inbound::Rtp(packet) => self.rtp.push(packet.to_vec()),
            Inbound::Rtcp(packet) => self.rtcp.push(packet.to_vec()),
        }
        self.ship(&out);
        while let Some(event) = self.gateway.poll_event() {
            self.events.push(event);
        }
    }

    fn step(&mut self) {
        while self.in_flight.peek().is_some_and(|Reverse((at, ..))| *at <= self.now) {
            let Some(Reverse((_, _, towards, from, bytes))) = self.in_flight.pop() else { break };
            match towards {
                Towards::Gateway => self.inject(from, &bytes),
                Towards::Browser => self.deliver_to_browser(&bytes),
            }
        }
        if self.gateway.poll_timeout().is_some_and(|(at, _)| at <= self.now) {
            let mut out = Outbox::new();
            self.gateway.handle_timeout(self.now, &mut out);
            self.ship(&out);
            while let Some(event) = self.gateway.poll_event() {
                self.events.push(event);
            }
        }
        if self.browser_wakes <= self.now {
            self.browser.handle_input(Input::Timeout(self.now)).unwrap();
            self.poll_browser();
            // It may ask for the time it was just told.
            self.browser_wakes = self.browser_wakes.max(self.now + Duration::from_millis(1));
        }
    }

    fn deliver_to_browser(&mut self, bytes: &[u8]) {
        let (source, destination) = (GATEWAY.parse().unwrap(), BROWSER.parse().unwrap());
        let Ok(receive) = Receive::new(Protocol::Udp, source, destination, bytes) else { return };
        let input = Input::Receive(self.now, receive);
        if self.browser.accepts(&input) {
            let _ = self.browser.handle_input(input);
            self.poll_browser();
        }
    }

    fn poll_browser(&mut self) {
        loop {
            match self.browser.poll_output() {
                Ok(Output::Timeout(at)) => {
                    self.browser_wakes = at;
                    return;
                }
                Ok(Output::Transmit(transmit)) => {
                    assert_eq!(transmit.destination, GATEWAY.parse::<SocketAddr>().unwrap());
                    self.captured.push(transmit.contents.to_vec());
                    self.put_on_wire(Towards::Gateway, self.public, &transmit.contents);
                }
                Ok(Output::Event(event)) => self.browser_events.push(event),
                Err(_) => {
                    // A browser whose DTLS has failed is of no more use.
                    self.browser_wakes = self.now + Duration::from_secs(3600);
                    return;
                }
            }
        }
    }

    fn ship(&mut self, out: &Outbox) {
        for datagram in out.iter() {
            self.sent.push((datagram.to, datagram.bytes.to_vec()));
            // The NAT lets in what goes to the address it has now.
            if datagram.to == self.public {
                self.put_on_wire(Towards::Browser, datagram.to, datagram.bytes);
            }
        }
    }

    fn put_on_wire(&mut self, towards: Towards, from: SocketAddr, bytes: &[u8]) {
        for (delay, bytes) in (self.wire)(towards, bytes) {
            self.order += 1;
            self.in_flight.push(Reverse((self.now + LATENCY + delay, self.order, towards, from, bytes)));
        }
    }
}

fn answered(offer: &Offer, local: &IceCredentials, identity: &DtlsIdentity) -> String {
    let media = BrowserMedia::negotiate(offer, &[Codec::Opus, Codec::Pcmu], None).unwrap();
    let parts = AnswerParts {
        ice: local,
        candidates: &candidates(),
        fingerprint: identity.fingerprint(),
        ssrc: Ssrc(SSRC),
        cname: "cname",
        session: (1, 1),
        playback_rate: 48_000,
    };
    answer(offer, &media, &parts)
}

fn accept(browser: &mut Rtc, pending: SdpPendingOffer, text: &str) {
    let answer = SdpAnswer::from_sdp_string(text).unwrap();
    browser.sdp_api().accept_answer(pending, answer).unwrap();
}
