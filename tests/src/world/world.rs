//! Everything together, and time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use trunkline::call::Api;
use trunkline::routing::{Planned, Route};
use trunkline_media::api::{Leg, Limits, RtpSource};
use trunkline_media::audio::Codec;

use super::browser::{BrowserId, SimBrowser};
use super::chance::Chance;
use super::check;
use super::clock::SimClock;
use super::gateway::{Begin, CallNo, SimGateway};
use super::net::{Link, SimNet};
use super::phone::{PhoneId, Script, SimPhone};
use super::reference::Reference;
use super::secs;
use super::voice::Says;

/// Rounds of work at one moment; more is a loop that feeds itself.
const MAX_ROUNDS: usize = 100;

/// The world.
pub struct World {
    pub(super) seed: u64,
    pub(super) clock: SimClock,
    pub(super) chance: Chance,
    pub(super) net: SimNet,
    pub(super) gateway: SimGateway,
    pub(super) phones: Vec<SimPhone>,
    pub(super) browsers: Vec<SimBrowser>,
    /// Which browser belongs to which call.
    calls: Vec<(CallNo, Option<BrowserId>)>,
    /// What the latest call should sound like.
    reference: Reference,
    pub(super) steps: u64,
}

/// How a call is dialled.
#[derive(Debug, Clone)]
pub struct Dial {
    /// What the browser offers, best first; empty: a call without media.
    pub browser: Vec<Codec>,
    /// What the trunk is offered.
    pub trunk: Vec<Codec>,
    /// The trunk's codec is relayed to the browser, if the browser has it.
    pub relay: bool,
    /// How long it may ring.
    pub ring_timeout: Duration,
    /// Time limits of the media.
    pub limits: Limits,
}

impl Default for Dial {
    fn default() -> Self {
        Self {
            browser: vec![Codec::Opus, Codec::Pcmu, Codec::Pcma],
            trunk: vec![Codec::Pcmu, Codec::Pcma],
            relay: false,
            ring_timeout: secs(60),
            limits: Limits { setup: secs(20), inactivity: secs(20), grace: secs(30) },
        }
    }
}

impl Dial {
    /// Signalling only.
    #[must_use]
    pub fn without_media() -> Self {
        Self { browser: Vec::new(), ..Self::default() }
    }
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

impl World {
    /// A world with a gateway in it. The environment variable `SEED` overrides the seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let seed = std::env::var("SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(seed);
        let clock = SimClock::default();
        let host = at("192.0.2.10:0");
        Self {
            seed,
            clock,
            chance: Chance::new(seed),
            net: SimNet::new(seed, host.ip()),
            gateway: SimGateway::new(clock.now(), host, seed),
            phones: Vec::new(),
            browsers: Vec::new(),
            calls: Vec::new(),
            reference: Reference::default(),
            steps: 0,
        }
    }

    /// A browser talks to a phone: the call, and both.
    ///
    /// # Panics
    /// When they do not within ten seconds.
    #[must_use]
    pub fn talking(seed: u64, dial: &Dial, codec: Codec) -> (Self, CallNo, BrowserId, PhoneId) {
        let mut world = Self::new(seed);
        let phone = world.add_phone(Script::answers_after(secs(1)).codec(codec));
        let call = world.dial(dial, &[phone]);
        world.run_until(|world| world.state(call) == "talking" && world.browsers[0].connected, secs(10));
        world.run_for(secs(1));
        (world, call, BrowserId(0), phone)
    }

    /// Adds a phone.
    pub fn add_phone(&mut self, script: Script) -> PhoneId {
        let nth = self.phones.len();
        let host = at(&format!("203.0.113.{}:0", 10 + nth));
        self.phones.push(SimPhone::new(host, script, self.chance.seed()));
        let address = self.phones[nth].address();
        self.gateway.names.insert(format!("phone{nth}"), vec![address]);
        PhoneId(nth)
    }

    /// The way between a phone and the gateway is like this from now on.
    pub fn link_phone(&mut self, phone: PhoneId, link: Link) {
        self.net.set_link(self.phones[phone.0].address().ip(), link);
    }

    /// The way between the nth browser (there already or not) and the gateway is like this from now on.
    pub fn link_browser(&mut self, browser: BrowserId, link: Link) {
        self.net.set_link(browser_address(browser.0).ip(), link);
    }

    /// Nothing passes between the browser and the gateway for this long.
    pub fn black_out_browser(&mut self, browser: BrowserId, length: Duration) {
        let until = self.now() + length;
        self.net.black_out(self.browsers[browser.0].inner.ip(), until);
    }

    /// Nothing passes between the phone and the gateway for this long.
    pub fn black_out_phone(&mut self, phone: PhoneId, length: Duration) {
        let until = self.now() + length;
        self.net.black_out(self.phones[phone.0].address().ip(), until);
    }

    /// A visitor calls these phones, in order, with a new browser.
    pub fn dial(&mut self, dial: &Dial, phones: &[PhoneId]) -> CallNo {
        let plan =
            phones.iter().map(|phone| Planned::Dial(Arc::new(route(dial, &format!("phone{}", phone.0))))).collect();
        self.dial_plan(dial, plan)
    }

    /// A visitor calls by this plan.
    pub fn dial_plan(&mut self, dial: &Dial, plan: Vec<Planned>) -> CallNo {
        let now = self.now();
        self.reference = Reference::default();
        let browser = (!dial.browser.is_empty()).then(|| self.open_browser(&dial.browser));
        let (offer, browser) = browser.map_or((None, None), |(offer, id)| (Some(offer), Some(id)));
        let prefer = dial.relay.then(|| dial.trunk.first().copied()).flatten();
        let (call, opened) = self.gateway.begin(now, Begin { offer, plan, prefer, limits: dial.limits });
        if let (Some(id), Some(opened)) = (browser, opened) {
            self.browsers[id.0].accept(&opened.answer);
        }
        self.calls.push((call, browser));
        call
    }

    /// The page is loaded again: a new browser for the same call, from another network.
    pub fn reattach(&mut self, call: CallNo, codecs: &[Codec]) -> BrowserId {
        let now = self.now();
        let (offer, id) = self.open_browser(codecs);
        let opened = self.gateway.reattach(now, call, offer);
        self.browsers[id.0].accept(&opened.answer);
        if let Some(entry) = self.calls.iter_mut().find(|(no, _)| *no == call) {
            entry.1 = Some(id);
        }
        id
    }

    /// The browser restarts ICE, by a PATCH.
    pub fn restart_ice(&mut self, call: CallNo, browser: BrowserId) {
        let now = self.now();
        let credentials = self.browsers[browser.0].restart_ice();
        let restarted = self.gateway.restart_ice(now, call, credentials);
        self.browsers[browser.0].accept_restart(&restarted);
    }

    /// The browser's translator gives it another address.
    pub fn rebind(&mut self, browser: BrowserId) {
        let inner = self.browsers[browser.0].inner;
        let outer = SocketAddr::new(at("198.51.100.1:0").ip(), 41_000 + self.chance.below(20_000) as u16);
        self.net.translate(inner, outer);
    }

    /// The API asks something of a call.
    pub fn api(&mut self, call: CallNo, api: Api) {
        let now = self.now();
        match &api {
            Api::Mute { leg: Leg::Browser, muted } => self.reference.browser_muted = *muted,
            Api::Mute { leg: Leg::Trunk, muted } => self.reference.phone_muted = *muted,
            Api::VisitorHangup
            | Api::OperatorHangup(_)
            | Api::Dtmf { .. }
            | Api::Restarted
            | Api::Reattached { .. }
            | Api::ClientReport { .. } => {}
        }
        self.gateway.api(now, call, api);
    }

    /// The browser says this from now on.
    pub fn browser_says(&mut self, browser: BrowserId, says: Says) {
        self.reference.browser_speaks = says == Says::Tone;
        let now = self.now();
        self.browsers[browser.0].say(now, says);
    }

    /// The phone says this from now on.
    pub fn phone_says(&mut self, phone: PhoneId, says: Says) {
        self.reference.phone_speaks = says == Says::Tone;
        let now = self.now();
        self.phones[phone.0].say(now, says);
    }

    /// The phone sends a re-INVITE with this direction.
    pub fn phone_directs(&mut self, phone: PhoneId, direction: &'static str) {
        self.reference.phone_direction = direction;
        self.reference.phone_speaks = direction != "inactive";
        let now = self.now();
        self.phones[phone.0].set_direction(now, direction);
    }

    /// The phone hangs up.
    pub fn phone_hangs_up(&mut self, phone: PhoneId) {
        let now = self.now();
        self.phones[phone.0].hang_up(now);
    }

    /// A datagram from anywhere to anywhere arrives at once.
    pub fn inject(&mut self, from: SocketAddr, to: SocketAddr, bytes: Vec<u8>) {
        let now = self.now();
        self.net.inject(now, from, to, bytes);
    }

    /// Lets time pass.
    pub fn run_for(&mut self, length: Duration) {
        let end = self.now() + length;
        while self.now() < end {
            self.step(end);
        }
    }

    /// Lets time pass until this is so.
    ///
    /// # Panics
    /// When it is not within the limit.
    pub fn run_until(&mut self, done: impl Fn(&Self) -> bool, limit: Duration) {
        let end = self.now() + limit;
        while !done(self) {
            assert!(self.now() < end, "not within {limit:?}; {}", self.tell());
            self.step(end);
        }
    }

    /// Listens for this long, after a time in which whatever was done takes effect, and compares with the reference.
    ///
    /// # Panics
    /// When somebody hears what he should not, or does not hear what he should.
    pub fn assert_hearing(&mut self, browser: BrowserId, phone: PhoneId, settle: Duration, length: Duration) {
        self.run_for(settle);
        let from = self.now();
        self.reference.talking = true;
        let expected = (self.reference.browser_hears(), self.reference.phone_hears());
        self.run_for(length);
        let to = self.now();
        for (who, ear, expected) in [
            ("browser", &self.browsers[browser.0].ear, expected.0),
            ("phone", &self.phones[phone.0].line().ear, expected.1),
        ] {
            for tone in [super::BROWSER_TONE, super::PHONE_TONE] {
                let heard = ear.fraction(tone, from, to);
                let sound = if expected == Some(tone) { heard > 0.9 } else { heard < 0.05 };
                assert!(sound, "{who} hears {heard:.2} of {tone} Hz, expected {expected:?}; {}", self.tell());
            }
        }
    }

    fn open_browser(&mut self, codecs: &[Codec]) -> (trunkline_media::sdp::browser::Offer, BrowserId) {
        let nth = self.browsers.len();
        let inner = browser_address(nth);
        let (browser, offer) = SimBrowser::new(self.now(), inner, codecs);
        let outer = SocketAddr::new(at(&format!("198.51.100.{}:0", 1 + nth)).ip(), 40_000);
        self.net.translate(inner, outer);
        self.browsers.push(browser);
        (offer, BrowserId(nth))
    }

    /// Jumps to the next thing that is due, at most to `end`, does all that is due then, and looks at everything.
    fn step(&mut self, end: Instant) {
        self.steps += 1;
        let next = self.soonest().map_or(end, |(at, _)| at.min(end));
        self.clock.advance_to(next);
        let mut rounds = 0;
        while self.work() {
            rounds += 1;
            assert!(rounds < MAX_ROUNDS, "no progress: {:?}; {}", self.soonest(), self.tell());
        }
        check::after_step(self);
    }

    fn soonest(&self) -> Option<(Instant, &'static str)> {
        let net = self.net.poll_timeout().map(|at| (at, "datagram"));
        let phones = self.phones.iter().filter_map(SimPhone::poll_timeout);
        let browsers = self.browsers.iter().filter_map(SimBrowser::poll_timeout);
        net.into_iter().chain(self.gateway.poll_timeout()).chain(phones).chain(browsers).min_by_key(|(at, _)| *at)
    }

    /// Does what is due now; `false` if nothing was.
    fn work(&mut self) -> bool {
        let now = self.now();
        let mut worked = self.flush(now);
        while let Some(arrival) = self.net.poll(now) {
            worked = true;
            let (from, to) = (arrival.from, arrival.to);
            if to.ip() == self.gateway.public.ip() {
                self.gateway.handle_datagram(now, from, to, arrival.bytes);
            } else if let Some(browser) = self.browsers.iter_mut().find(|browser| browser.inner == to) {
                browser.handle_datagram(now, from, &arrival.bytes);
            } else if let Some(phone) = self.phones.iter_mut().find(|phone| phone.address().ip() == to.ip()) {
                phone.handle_datagram(now, from, to, arrival.bytes);
            }
        }
        let is_due = |due: Option<(Instant, &str)>| due.is_some_and(|(at, _)| at <= now);
        if is_due(self.gateway.poll_timeout()) {
            worked = true;
            self.gateway.handle_timeout(now);
        }
        for phone in self.phones.iter_mut().filter(|phone| is_due(phone.poll_timeout())) {
            worked = true;
            phone.handle_timeout(now);
        }
        for browser in self.browsers.iter_mut().filter(|browser| is_due(browser.poll_timeout())) {
            worked = true;
            browser.handle_timeout(now);
        }
        self.flush(now) || worked
    }

    /// Everything that waits to be sent goes onto the network.
    fn flush(&mut self, now: Instant) -> bool {
        let mut all = self.gateway.take_transmits();
        all.extend(self.phones.iter_mut().flat_map(SimPhone::take_transmits));
        all.extend(self.browsers.iter_mut().flat_map(SimBrowser::take_transmits));
        for (from, to, bytes) in &all {
            self.net.send(now, *from, *to, bytes);
        }
        !all.is_empty()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("repeat with SEED={}", self.seed);
        }
    }
}

/// The route to a host.
#[must_use]
pub fn route(dial: &Dial, host: &str) -> Route {
    Route {
        destination: format!("sip:agent@{host}"),
        trunk: host.to_owned(),
        request_uri: format!("sip:agent@{host}.example"),
        host: host.to_owned(),
        port: None,
        credentials: None,
        codecs: dial.trunk.clone(),
        ring_timeout: dial.ring_timeout,
        max_duration: secs(4 * 3600),
        rtp_source: RtpSource::Signalled,
        relay: dial.relay,
    }
}

fn browser_address(nth: usize) -> SocketAddr {
    at(&format!("10.0.0.{}:50000", 1 + nth))
}
