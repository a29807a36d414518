//! What a scenario sees of the world.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use trunkline::call::CallEvent;
use trunkline::outcome::Outcome;
use trunkline_media::api::CallStats;
use trunkline_media::quality::HalfLeg;

use super::browser::{BrowserId, SimBrowser};
use super::chance::Chance;
use super::gateway::{CallNo, SimCall, SimGateway};
use super::net::SimNet;
use super::phone::{PhoneId, SimPhone};
use super::world::World;

impl World {
    /// The time.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Since the world began.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.clock.age()
    }

    /// The dice, for what a scenario leaves to chance.
    pub fn chance(&mut self) -> &mut Chance {
        &mut self.chance
    }

    /// The network.
    #[must_use]
    pub fn net(&self) -> &SimNet {
        &self.net
    }

    /// The gateway.
    #[must_use]
    pub fn gateway(&self) -> &SimGateway {
        &self.gateway
    }

    /// The gateway, to change it.
    pub fn gateway_mut(&mut self) -> &mut SimGateway {
        &mut self.gateway
    }

    /// All phones.
    #[must_use]
    pub fn phones(&self) -> &[SimPhone] {
        &self.phones
    }

    /// A phone.
    #[must_use]
    pub fn phone(&self, phone: PhoneId) -> &SimPhone {
        &self.phones[phone.0]
    }

    /// A phone, to change it.
    pub fn phone_mut(&mut self, phone: PhoneId) -> &mut SimPhone {
        &mut self.phones[phone.0]
    }

    /// All browsers.
    #[must_use]
    pub fn browsers(&self) -> &[SimBrowser] {
        &self.browsers
    }

    /// A browser.
    #[must_use]
    pub fn browser(&self, browser: BrowserId) -> &SimBrowser {
        &self.browsers[browser.0]
    }

    /// A browser, to change it.
    pub fn browser_mut(&mut self, browser: BrowserId) -> &mut SimBrowser {
        &mut self.browsers[browser.0]
    }

    /// A call.
    #[must_use]
    pub fn call(&self, call: CallNo) -> &SimCall {
        &self.gateway.calls[&call]
    }

    /// A call's state in the API's word.
    #[must_use]
    pub fn state(&self, call: CallNo) -> &'static str {
        self.call(call).call.state().word()
    }

    /// How a call ended: reason and detail.
    #[must_use]
    pub fn outcome(&self, call: CallNo) -> Option<(&'static str, Option<&'static str>)> {
        self.call(call).outcomes.first().map(|outcome: &Outcome| (outcome.reason.word(), outcome.reason.detail()))
    }

    /// The names of a call's events, without those of quality and findings.
    #[must_use]
    pub fn events(&self, call: CallNo) -> Vec<&'static str> {
        let aside = ["network_quality_changed", "issue_detected", "issue_cleared"];
        self.call(call).events.iter().map(|(_, event)| event.name).filter(|name| !aside.contains(name)).collect()
    }

    /// When a call's event of this name came first after a moment.
    #[must_use]
    pub fn told_at(&self, call: CallNo, name: &str, after: Instant) -> Option<Instant> {
        let mut events = self.call(call).events.iter();
        events.find(|(at, event)| *at >= after && event.name == name).map(|(at, _)| *at)
    }

    /// A call's events of this name.
    #[must_use]
    pub fn events_named(&self, call: CallNo, name: &str) -> Vec<&CallEvent> {
        self.call(call).events.iter().map(|(_, event)| event).filter(|event| event.name == name).collect()
    }

    /// All that support gets of a call: what the control API's bundle is made of.
    #[must_use]
    pub fn bundle(&self, call: CallNo) -> Value {
        let (call, now) = (&self.call(call).call, self.now());
        let record = call.record(now);
        let mut bundle = json!({
            "bundle_version": 1,
            "outcome": record["outcome"],
            "record": record,
            "quality": call.quality_series(now),
            "diagnosis": call.diagnosis(now),
        });
        if let (Value::Object(all), Value::Object(trail)) = (&mut bundle, call.trail(now)) {
            all.extend(trail);
        }
        bundle
    }

    /// The level of a half-leg and what makes it so, as the record says.
    #[must_use]
    pub fn level(&self, call: CallNo, half_leg: HalfLeg) -> (String, Vec<String>) {
        let record = self.call(call).call.record(self.now());
        let half_leg = &record["quality"][half_leg.word()];
        let reasons = half_leg["reasons"].as_array().into_iter().flatten();
        let reasons = reasons.filter_map(|reason| reason.as_str().map(str::to_owned)).collect();
        (half_leg["level"].as_str().unwrap_or("?").to_owned(), reasons)
    }

    /// Findings raised so far with their half-leg, cleared or not, in order and each once.
    #[must_use]
    pub fn found(&self, call: CallNo) -> Vec<(String, Option<String>)> {
        let mut found = Vec::new();
        for event in self.events_named(call, "issue_detected") {
            let word = |name: &str| event.data.get(name).and_then(Value::as_str).map(str::to_owned);
            let finding = (word("finding").unwrap_or_default(), word("half_leg"));
            if !found.contains(&finding) {
                found.push(finding);
            }
        }
        found
    }

    /// A call's counters.
    #[must_use]
    pub fn stats(&self, call: CallNo) -> CallStats {
        self.gateway.stats(self.now(), call)
    }

    /// Whether nobody holds anything of any call any more.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        self.gateway.is_at_rest() && self.phones.iter().all(|phone| phone.vanished || phone.is_at_rest())
    }

    /// A hash of what happened, in order: the same for the same seed.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.gateway.log.hash(&mut hasher);
        for phone in &self.phones {
            phone.log.hash(&mut hasher);
        }
        hasher.finish()
    }

    /// What happened so far, for people.
    #[must_use]
    pub fn tell(&self) -> String {
        format!(
            "at {:?} after {} steps; log {:?}; gateway sip {:?}; phones {:?}",
            self.clock.age(),
            self.steps,
            self.gateway.log,
            self.gateway.sip_stats(),
            self.phones.iter().map(|phone| (&phone.log, phone.sip_stats())).collect::<Vec<_>>(),
        )
    }
}
