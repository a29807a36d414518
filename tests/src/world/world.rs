//! Everything together, and time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use trunkline::routing::Planned;
use trunkline_media::audio::Codec;

use super::browser::{BrowserId, SimBrowser, Visitor};
use super::chance::Chance;
use super::check;
use super::clock::SimClock;
use super::dial::{Dial, route};
use super::gateway::{Begin, CallNo, SimGateway};
use super::net::SimNet;
use super::phone::{PhoneId, Script, SimPhone};
use super::reference::Reference;
use super::secs;

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
    pub(super) calls: Vec<(CallNo, Option<BrowserId>)>,
    /// What the latest call should sound like.
    pub(super) reference: Reference,
    pub(super) steps: u64,
}

pub(super) fn at(text: &str) -> SocketAddr {
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
        let browser = (!dial.browser.is_empty()).then(|| self.open_browser(&dial.browser, dial.visitor));
        let (offer, browser) = browser.map_or((None, None), |(offer, id)| (Some(offer), Some(id)));
        let prefer = dial.relay.then(|| dial.trunk.first().copied()).flatten();
        let (call, opened) = self.gateway.begin(now, Begin { offer, plan, prefer, limits: dial.limits });
        if let (Some(id), Some(opened)) = (browser, opened) {
            self.browsers[id.0].accept(&opened.answer);
        }
        self.calls.push((call, browser));
        call
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

    pub(super) fn open_browser(
        &mut self,
        codecs: &[Codec],
        visitor: Visitor,
    ) -> (trunkline_media::sdp::browser::Offer, BrowserId) {
        let nth = self.browsers.len();
        let inner = browser_address(nth);
        let outer = SocketAddr::new(at(&format!("198.51.100.{}:0", 1 + nth)).ip(), 40_000);
        let (browser, offer) = SimBrowser::new(self.now(), (inner, outer), codecs, visitor);
        self.net.translate(inner, outer);
        if visitor.over_tcp {
            self.gateway.over_tcp.push(outer.ip());
        }
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

    fn soonest(&mut self) -> Option<(Instant, &'static str)> {
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

pub(super) fn browser_address(nth: usize) -> SocketAddr {
    at(&format!("10.0.0.{}:50000", 1 + nth))
}
