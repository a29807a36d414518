//! Virtual time and wires between a browser, a call and a phone.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::browser::Browser;
use super::phone::{Packet, Phone};
use crate::api::{CallKey, CallStats, Command, Limits, MediaEvent, OpenCall, Opened, Path, RtpSource};
use crate::audio::{Codec, OpusWishes};
use crate::browser::demux::{Kind, classify};
use crate::browser::transport::DtlsIdentity;
use crate::call::{Call, Surroundings};
use crate::counting::{allocations, steady_state};
use crate::outbox::{Outbox, Port};
use crate::quality::Policy;
use crate::rtp::PayloadType;
use crate::sdp::browser::{Direction, Offer};
use crate::sdp::trunk::TrunkMedia;

const STEP: Duration = Duration::from_millis(5);

pub(super) struct World {
    pub(super) now: Instant,
    pub(super) call: Call,
    pub(super) opened: Opened,
    pub(super) browser: Browser,
    pub(super) phone: Phone,
    pub(super) events: Vec<MediaEvent>,
    /// Where the browser's packets seem to come from.
    pub(super) nat: SocketAddr,
    pub(super) browser_link: bool,
    /// Of a hundred of the browser's datagrams so many are lost, and each is delayed by less than so many milliseconds.
    pub(super) browser_loses: u32,
    pub(super) browser_jitter: u64,
    /// Of a hundred packets of audio so many never reach it.
    pub(super) browser_misses: u32,
    delayed: Vec<(Instant, Vec<u8>)>,
    chance: u32,
    pub(super) trunk_link: bool,
    pub(super) phone_at: SocketAddr,
    /// Bytes that went to anybody else.
    pub(super) astray: usize,
    /// Most datagrams one call into the core sent to the phone.
    pub(super) largest_burst: usize,
    /// How often the call allocated while it took datagrams and let time pass.
    pub(super) allocated: u64,
    /// What the call does from now on is counted from outside, too.
    pub(super) steady: bool,
    out: Outbox,
    seed: u8,
}

pub(super) fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn gateway() -> SocketAddr {
    at("192.0.2.10:4443")
}

pub(super) fn limits() -> Limits {
    Limits { setup: Duration::from_secs(10), inactivity: Duration::from_secs(20), grace: Duration::from_secs(30) }
}

fn identity() -> &'static Arc<DtlsIdentity> {
    static IDENTITY: OnceLock<Arc<DtlsIdentity>> = OnceLock::new();
    IDENTITY.get_or_init(|| Arc::new(DtlsIdentity::generate().unwrap()))
}

impl World {
    /// A call that was opened for a browser with these codecs.
    pub(super) fn new(codecs: &[Codec]) -> Self {
        Self::offered(codecs, |_| {})
    }

    /// The same with something changed in its offer.
    pub(super) fn offered(codecs: &[Codec], change: impl FnOnce(&mut Offer)) -> Self {
        // An hour ahead: whoever asks a clock of its own is found out.
        #[allow(clippy::disallowed_methods)]
        let now = Instant::now() + Duration::from_secs(3600);
        let address = at("198.51.100.7:50000");
        let (mut browser, mut offer) = Browser::new(now, address, codecs);
        change(&mut offer);
        let surroundings = Surroundings {
            identity: Arc::clone(identity()),
            candidates: Arc::from([format!("candidate:1 1 udp 2130706431 {} {} typ host", gateway().ip(), 4443)]),
            wall: Duration::from_secs(1_800_000_000),
            wall_at: now,
            policy: Policy::default(),
        };
        let open = OpenCall {
            key: CallKey(1),
            offer,
            codecs: vec![Codec::Opus, Codec::G722, Codec::Pcmu, Codec::Pcma],
            prefer: None,
            playback_rate: 48_000,
            limits: limits(),
            seed: [7; 32],
        };
        let (call, opened) = Call::open(now, &open, &surroundings).unwrap();
        browser.accept(&opened.answer);
        Self {
            now,
            call,
            opened,
            browser,
            phone: Phone::new(),
            events: Vec::new(),
            nat: address,
            browser_link: true,
            browser_loses: 0,
            browser_jitter: 0,
            browser_misses: 0,
            delayed: Vec::new(),
            chance: 1,
            trunk_link: true,
            phone_at: at("203.0.113.5:30000"),
            astray: 0,
            largest_burst: 0,
            allocated: 0,
            steady: false,
            out: Outbox::new(),
            seed: 8,
        }
    }

    /// A call whose browser is connected and whose trunk speaks this codec; both sides talk, 440 Hz from the browser
    /// (in its first codec), 1000 Hz from the phone.
    pub(super) fn talking(browser: &[Codec], trunk: Codec) -> Self {
        let mut world = Self::new(browser);
        world.talk(browser[0], trunk);
        world
    }

    pub(super) fn talk(&mut self, browser: Codec, trunk: Codec) {
        self.connect_browser();
        self.connect_trunk(trunk);
        self.browser.speak(self.now, browser, 440.0);
        self.phone.speak(self.now, trunk, 1000.0);
        self.run(1000);
    }

    pub(super) fn connect_browser(&mut self) {
        self.run_until(2000, |world| world.saw(|event| matches!(event, MediaEvent::DtlsConnected { .. })));
        self.run_until(2000, |world| world.browser.is_connected());
    }

    pub(super) fn connect_trunk(&mut self, codec: Codec) {
        self.call.attach_trunk(self.now, at("192.0.2.10:20000"));
        let media = self.trunk_media(codec);
        self.command(Command::ConnectTrunk(media));
    }

    pub(super) fn trunk_media(&self, codec: Codec) -> TrunkMedia {
        TrunkMedia {
            remote: self.phone_at,
            remote_rtcp: SocketAddr::new(self.phone_at.ip(), self.phone_at.port() + 1),
            codec,
            payload_type: PayloadType(match codec {
                Codec::Opus => 107,
                Codec::Pcmu => 0,
                Codec::Pcma => 8,
                Codec::G722 => 9,
            }),
            telephone_event: Some((PayloadType(101), codec.clock_rate())),
            opus: OpusWishes { fec: true, ..OpusWishes::default() },
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

    pub(super) fn command(&mut self, command: Command) {
        let mut out = std::mem::take(&mut self.out);
        self.call.handle_command(self.now, command, &mut out);
        self.deliver(out);
    }

    /// A new page with a new peer connection.
    pub(super) fn reattach(&mut self, codecs: &[Codec]) {
        let (browser, offer) = Browser::new(self.now, at("198.51.100.99:41000"), codecs);
        self.seed += 1;
        let open = OpenCall {
            key: CallKey(1),
            offer,
            codecs: vec![Codec::Opus, Codec::G722, Codec::Pcmu, Codec::Pcma],
            prefer: None,
            playback_rate: 48_000,
            limits: limits(),
            seed: [self.seed; 32],
        };
        let mut out = std::mem::take(&mut self.out);
        self.opened = self.call.reattach(self.now, &open, &mut out).unwrap();
        self.nat = browser.address;
        self.browser = browser;
        self.deliver(out);
        self.browser.accept(&self.opened.answer);
    }

    /// A datagram from somewhere to the trunk's RTP port.
    pub(super) fn inject_rtp(&mut self, from: SocketAddr, datagram: &[u8]) {
        let mut out = std::mem::take(&mut self.out);
        let ((), allocated) = counted(self.steady, || self.call.handle_trunk_rtp(self.now, from, datagram, &mut out));
        self.allocated += allocated;
        self.deliver(out);
    }

    pub(super) fn inject_rtcp(&mut self, from: SocketAddr, datagram: &[u8]) {
        let mut out = std::mem::take(&mut self.out);
        self.call.handle_trunk_rtcp(self.now, from, datagram, &mut out);
        self.deliver(out);
    }

    /// Lets the transport ask for the round trip, as a call without reports would; nothing else of quality runs.
    pub(super) fn probe(&mut self, wanted: bool) {
        self.call.surroundings.policy.measure = false;
        let mut out = std::mem::take(&mut self.out);
        self.call.browser.transport.probe(self.now, wanted, &mut out);
        self.deliver(out);
    }

    pub(super) fn run(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        while self.now < end {
            self.step();
        }
    }

    pub(super) fn run_until(&mut self, limit_ms: u64, done: impl Fn(&Self) -> bool) {
        let end = self.now + Duration::from_millis(limit_ms);
        while !done(self) {
            assert!(self.now < end, "not within {limit_ms} ms; events so far: {:?}", self.events);
            self.step();
        }
    }

    /// Time passes while the media thread does not run; what the others send waits for it.
    pub(super) fn stall(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        let mut waiting = Vec::new();
        while self.now < end {
            self.now += STEP;
            waiting.extend(self.browser.step(self.now).into_iter().map(|datagram| (true, datagram)));
            waiting.extend(self.phone.step(self.now).into_iter().map(|datagram| (false, datagram)));
        }
        for (is_browser, datagram) in waiting {
            if is_browser {
                self.browser_sends(datagram);
            } else {
                self.inject_rtp(self.phone_at, &datagram);
            }
        }
    }

    /// The same, but what the others send overflows the kernel's buffers and is gone.
    pub(super) fn stall_deaf(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        while self.now < end {
            self.now += STEP;
            self.browser.step(self.now);
            self.phone.step(self.now);
        }
    }

    pub(super) fn saw(&self, wanted: impl Fn(&MediaEvent) -> bool) -> bool {
        self.events.iter().any(wanted)
    }

    pub(super) fn count(&self, wanted: impl Fn(&MediaEvent) -> bool) -> usize {
        self.events.iter().filter(|event| wanted(event)).count()
    }

    pub(super) fn stats(&self) -> CallStats {
        self.call.stats(self.now)
    }

    /// What both sides heard in the next `ms`, and only then.
    pub(super) fn listen(&mut self, ms: u64) -> (Vec<Packet>, Vec<Packet>) {
        self.browser.heard.clear();
        self.phone.heard.clear();
        self.run(ms);
        (std::mem::take(&mut self.browser.heard), std::mem::take(&mut self.phone.heard))
    }

    fn step(&mut self) {
        self.now += STEP;
        for datagram in self.browser.step(self.now) {
            let by = u64::from(self.chance()) % self.browser_jitter.max(1);
            if u64::from(self.chance()) % 100 >= u64::from(self.browser_loses) {
                self.delayed.push((self.now + Duration::from_millis(by), datagram));
            }
        }
        let due = self.delayed.extract_if(.., |(due, _)| *due <= self.now).collect::<Vec<_>>();
        for (_, datagram) in due {
            self.browser_sends(datagram);
        }
        for datagram in self.phone.step(self.now) {
            if self.trunk_link {
                self.inject_rtp(self.phone_at, &datagram);
            }
        }
        let mut rounds = 0;
        while self.call.poll_timeout().is_some_and(|(at, _)| at <= self.now) {
            rounds += 1;
            assert!(rounds < 20, "spins on {:?}", self.call.poll_timeout());
            let mut out = std::mem::take(&mut self.out);
            let ((), allocated) = counted(self.steady, || self.call.handle_timeout(self.now, &mut out));
            self.allocated += allocated;
            self.deliver(out);
        }
    }

    fn chance(&mut self) -> u32 {
        self.chance = self.chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.chance >> 8
    }

    fn browser_sends(&mut self, mut datagram: Vec<u8>) {
        if !self.browser_link {
            return;
        }
        let mut out = std::mem::take(&mut self.out);
        let from = self.nat;
        let (_, allocated) =
            counted(self.steady, || self.call.handle_browser(self.now, Path::Udp, from, &mut datagram, &mut out));
        self.allocated += allocated;
        self.deliver(out);
    }

    fn deliver(&mut self, mut out: Outbox) {
        let mut replies = Vec::new();
        let mut burst = 0;
        for datagram in out.iter() {
            match datagram.port {
                Port::Browser if datagram.to == self.nat && self.browser_link => {
                    let misses = u64::from(self.browser_misses);
                    if misses > 0 && classify(datagram.bytes) == Kind::Rtp && u64::from(self.chance()) % 100 < misses {
                        continue;
                    }
                    replies.extend(self.browser.receive(self.now, gateway(), datagram.bytes));
                }
                Port::TrunkRtp if datagram.to == self.phone_at => {
                    burst += 1;
                    if self.trunk_link {
                        self.phone.receive(self.now, datagram.bytes);
                    }
                }
                Port::TrunkRtcp if datagram.to.ip() == self.phone_at.ip() => {
                    self.phone.receive_report(datagram.bytes);
                }
                Port::Browser | Port::BrowserTcp | Port::TrunkRtp | Port::TrunkRtcp => {
                    self.astray += datagram.bytes.len()
                }
            }
        }
        self.largest_burst = self.largest_burst.max(burst);
        out.clear();
        self.out = out;
        while let Some(event) = self.call.poll_event() {
            self.events.push(event);
        }
        for reply in replies {
            self.browser_sends(reply);
        }
    }
}

fn counted<T>(steady: bool, run: impl FnOnce() -> T) -> (T, u64) {
    allocations(|| if steady { steady_state(run) } else { run() })
}
