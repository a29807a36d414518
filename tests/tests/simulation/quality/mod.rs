//! The impairment matrix: each row of it on each of the four half-legs. The impaired half-leg, and nobody else's, shows
//! what is wrong, soon, without flapping, and is green again after it.

mod matrix;
mod pauses;
mod reports;

use std::time::{Duration, Instant};

use serde_json::Value;
use trunkline_media::audio::Codec;
use trunkline_tests::world::{
    BrowserId, CallNo, Dial, HalfLeg, Link, Manner, PhoneId, Rtcp, Says, Script, World, ms, secs,
};

const BROWSER: BrowserId = BrowserId(0);
const PHONE: PhoneId = PhoneId(0);

/// Long enough for every half-leg to be known: the browser reports every five seconds, and a level takes three samples.
const SETTLED: Duration = Duration::from_secs(16);
/// Long enough for five good samples, and for a loss that was rare to be told from one that is over.
const HEALED: Duration = Duration::from_secs(60);

/// What a half-leg may show.
#[derive(Debug, Clone, Copy)]
struct May {
    levels: &'static [&'static str],
    reasons: &'static [&'static str],
}

const GREEN: May = May { levels: &["green"], reasons: &[] };

/// One row.
#[derive(Debug, Clone)]
struct Row {
    link: Link,
    /// Everything is dark for this long, instead.
    dark: Option<Duration>,
    /// Opus and a jitter buffer on the way, instead of packets that go through as they are.
    transcoded: bool,
    /// What the half-leg may show while it is impaired.
    may: May,
    /// One of these has to be shown, and soon.
    must: &'static [&'static str],
    /// How soon, reports aside: three samples of a second each, the first of them begun before; weaker losses need more
    /// packets to be told from chance.
    soon: Duration,
    /// It is known from reports in both directions (a round trip).
    reported: bool,
    /// Changes of the level in two minutes. Bursts are no constant impairment: five seconds hold many of them or none.
    changes: usize,
    /// The same leg's other direction shares its round trip.
    shared: May,
    /// Findings that may be raised (see [`finding`]).
    findings: &'static [&'static str],
    /// The one that has to be.
    found: Option<&'static str>,
}

impl Row {
    fn new(link: Link) -> Self {
        Self {
            link,
            dark: None,
            transcoded: false,
            may: GREEN,
            must: &[],
            soon: ms(4_500),
            reported: false,
            changes: 3,
            shared: GREEN,
            findings: &[],
            found: None,
        }
    }

    fn dark(length: Duration) -> Self {
        Self { dark: Some(length), ..Self::new(Link::good()) }
    }

    fn may(self, levels: &'static [&'static str], reasons: &'static [&'static str]) -> Self {
        Self { may: May { levels, reasons }, ..self }
    }

    fn must(self, must: &'static [&'static str]) -> Self {
        Self { must, ..self }
    }

    fn within(self, milliseconds: u64) -> Self {
        Self { soon: ms(milliseconds), ..self }
    }

    fn reported(self) -> Self {
        Self { reported: true, ..self }
    }

    fn changes(self, changes: usize) -> Self {
        Self { changes, ..self }
    }

    fn shares(self, levels: &'static [&'static str], reasons: &'static [&'static str]) -> Self {
        Self { shared: May { levels, reasons }, ..self }
    }

    fn findings(self, findings: &'static [&'static str]) -> Self {
        Self { findings, ..self }
    }

    fn found(self, found: &'static str) -> Self {
        Self { found: Some(found), ..self }
    }

    fn transcoded(self) -> Self {
        Self { transcoded: true, ..self }
    }

    /// The row on each half-leg.
    fn check(self) {
        for half_leg in HalfLeg::ALL {
            self.check_on(half_leg);
        }
    }

    fn check_on(&self, half_leg: HalfLeg) {
        let (mut world, call) = talking(self.transcoded);
        for each in HalfLeg::ALL {
            assert_eq!(world.level(call, each).0, "green", "{} before anything happened", each.word());
        }
        let begun = world.now();
        let (limit, lasts) = match self.dark {
            Some(length) => {
                world.darken(half_leg, BROWSER, PHONE, length);
                (length, secs(15))
            }
            None => {
                world.impair(half_leg, BROWSER, PHONE, self.link.clone());
                (Duration::ZERO, secs(120))
            }
        };
        world.run_for(lasts);
        let ended = world.now();
        let told = Told { world: &world, call, begun, what: format!("{} {:?}", half_leg.word(), self) };
        if !self.must.is_empty() {
            let soon = limit + self.soon + report_interval(half_leg, self.reported);
            told.shows_soon(half_leg, self.must, soon);
        }
        for each in HalfLeg::ALL {
            let may = if each == half_leg {
                self.may
            } else if each.leg() == half_leg.leg() {
                self.shared
            } else {
                GREEN
            };
            told.shows_only(each, may, self.changes);
        }
        told.finds(half_leg, self.findings, self.found);
        world.impair(half_leg, BROWSER, PHONE, Link::good());
        world.run_for(if self.changes > 3 { 3 * HEALED } else { HEALED });
        for each in HalfLeg::ALL {
            let level = world.level(call, each);
            assert_eq!(level.0, "green", "{} after {} {self:?}: {level:?}", each.word(), half_leg.word());
        }
        let now = world.now();
        let open = lasting(&world, call);
        assert!(open.is_empty(), "{open:?} {:?} after {} {self:?}", now - ended, half_leg.word());
    }
}

/// What was told of a call since its impairment began.
struct Told<'a> {
    world: &'a World,
    call: CallNo,
    begun: Instant,
    what: String,
}

impl Told<'_> {
    /// Changes of a half-leg's level: when, to what, why.
    fn changes(&self, half_leg: HalfLeg) -> Vec<(Duration, String, Vec<String>)> {
        let events = self.world.call(self.call).events.iter();
        let changes = events.filter(|(at, event)| *at >= self.begun && event.name == "network_quality_changed");
        changes
            .filter(|(_, event)| event.data["half_leg"] == half_leg.word())
            .map(|(at, event)| {
                let reasons = event.data["reasons"].as_array().into_iter().flatten();
                let reasons = reasons.filter_map(|reason| reason.as_str().map(str::to_owned)).collect();
                (*at - self.begun, event.data["to"].as_str().unwrap_or_default().to_owned(), reasons)
            })
            .collect()
    }

    fn shows_soon(&self, half_leg: HalfLeg, must: &[&str], soon: Duration) {
        let changes = self.changes(half_leg);
        let shown = changes.iter().find(|(_, _, reasons)| reasons.iter().any(|reason| must.contains(&reason.as_str())));
        assert!(
            shown.is_some_and(|(after, ..)| *after <= soon),
            "{must:?} not within {soon:?}: {changes:?}; {}",
            self.what
        );
    }

    /// Nothing but this, or nothing at all while the reports it hangs on are lost, and no flapping.
    fn shows_only(&self, half_leg: HalfLeg, may: May, limit: usize) {
        let changes = self.changes(half_leg);
        for (_, level, reasons) in &changes {
            let allowed = matches!(level.as_str(), "green" | "unknown") || may.levels.contains(&level.as_str());
            assert!(allowed, "{} is {level}: {changes:?}; {}", half_leg.word(), self.what);
            let known = reasons.iter().all(|reason| may.reasons.contains(&reason.as_str()));
            assert!(known, "{} for {reasons:?}: {changes:?}; {}", half_leg.word(), self.what);
        }
        let changed = changes.iter().filter(|(_, level, _)| level != "unknown").count();
        assert!(changed <= limit, "{} flaps: {changes:?}; {}", half_leg.word(), self.what);
        let (level, reasons) = self.world.level(self.call, half_leg);
        let allowed = matches!(level.as_str(), "green" | "unknown") || may.levels.contains(&level.as_str());
        assert!(allowed, "{} ends {level} for {reasons:?}; {}", half_leg.word(), self.what);
    }

    fn finds(&self, half_leg: HalfLeg, may: &[&str], must: Option<&str>) {
        let raised = raised(self.world, self.call);
        let may: Vec<_> = may.iter().copied().chain(must).flat_map(|what| finding(what, half_leg)).collect();
        for each in &raised {
            assert!(may.contains(each), "found {each:?}, expected {may:?}; {}", self.what);
        }
        if let Some(must) = must {
            let must = finding(must, half_leg);
            assert!(raised.iter().any(|each| must.contains(each)), "found {raised:?}, not {must:?}; {}", self.what);
        }
    }
}

/// Findings told of so far, with their half-leg.
fn raised(world: &World, call: CallNo) -> Vec<(String, String)> {
    world.found(call).into_iter().map(|(finding, half_leg)| (finding, half_leg.unwrap_or_default())).collect()
}

/// Findings that last.
fn lasting(world: &World, call: CallNo) -> Vec<String> {
    let diagnosis = world.call(call).call.diagnosis(world.now());
    let findings = diagnosis["findings"].as_array().into_iter().flatten();
    findings.filter(|finding| finding["until"].is_null()).map(Value::to_string).collect()
}

/// The contract's finding for what is wrong with a half-leg. A round trip belongs to both directions of its leg.
fn finding(what: &str, half_leg: HalfLeg) -> Vec<(String, String)> {
    let at = |finding: &str, half_leg: HalfLeg| (finding.to_owned(), half_leg.word().to_owned());
    let word = match (what, half_leg) {
        ("loss", HalfLeg::BrowserUp) => "uplink_loss",
        ("loss", HalfLeg::BrowserDown) => "downlink_loss",
        ("loss", HalfLeg::SipUp | HalfLeg::SipDown) => "sip_loss",
        ("jitter", HalfLeg::BrowserUp | HalfLeg::BrowserDown) => "high_jitter",
        ("jitter", HalfLeg::SipUp | HalfLeg::SipDown) => "sip_jitter",
        ("rtt", _) => {
            let leg = HalfLeg::ALL.into_iter().filter(|each| each.leg() == half_leg.leg());
            return leg.map(|each| at("high_rtt", each)).collect();
        }
        (other, _) => other,
    };
    vec![at(word, half_leg)]
}

/// How often the peer reports what it receives; what comes up needs no reports.
fn report_interval(half_leg: HalfLeg, reported: bool) -> Duration {
    match half_leg {
        HalfLeg::BrowserUp | HalfLeg::SipUp if !reported => Duration::ZERO,
        HalfLeg::BrowserUp | HalfLeg::BrowserDown => secs(5),
        HalfLeg::SipUp | HalfLeg::SipDown => secs(1),
    }
}

/// Two people speak for long enough to know how good it is.
fn talking(transcoded: bool) -> (World, CallNo) {
    talking_with(transcoded, Rtcp::Honest)
}

fn talking_with(transcoded: bool, rtcp: Rtcp) -> (World, CallNo) {
    let mut world = World::new(1);
    let speech = Says::Speech(Manner::Plain);
    let phone = world.add_phone(Script::answers_after(secs(1)).says(speech).rtcp(rtcp));
    let browser = if transcoded { Codec::Opus } else { Codec::Pcmu };
    let dial = Dial { browser: vec![browser], trunk: vec![Codec::Pcmu], relay: !transcoded, ..Dial::default() };
    let call = world.dial(&dial, &[phone]);
    world.browser_says(BROWSER, speech);
    world.run_until(|world| world.state(call) == "talking" && world.browser(BROWSER).connected, secs(10));
    world.deafen();
    world.run_for(SETTLED);
    (world, call)
}
