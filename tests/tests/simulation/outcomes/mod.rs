//! Every ending of the outcome table, by name: the same code in event, record and outcome, at the phone the `Reason` it
//! deserves, the evidence it rests on, and a bundle that says it all by itself.

mod lasting;
mod network;
mod setup;
mod talking;

use std::time::Duration;

use serde_json::Value;
use trunkline_media::audio::Codec;
use trunkline_tests::world::{BrowserId, CallNo, Dial, PhoneEnd, PhoneId, World, reader, secs};

const BROWSER: BrowserId = BrowserId(0);

/// What every outcome's evidence has.
const EVIDENCE: [&str; 6] =
    ["last_rtp_age_ms", "last_stun_check_age_ms", "ice_state", "selected_path", "last_sip", "timers_fired"];

/// A row of the table.
#[derive(Debug, Clone, Copy)]
struct Row {
    reason: &'static str,
    detail: Option<&'static str>,
    class: &'static str,
    phase: &'static str,
    blame: &'static str,
    evidence: &'static [&'static str],
}

impl Row {
    fn error(reason: &'static str, phase: &'static str, blame: &'static str) -> Self {
        Self { reason, detail: None, class: "error", phase, blame, evidence: &[] }
    }

    fn ended(reason: &'static str, phase: &'static str, blame: &'static str) -> Self {
        Self { class: "ended", ..Self::error(reason, phase, blame) }
    }

    fn detail(self, detail: &'static str) -> Self {
        Self { detail: Some(detail), ..self }
    }

    fn evidence(self, evidence: &'static [&'static str]) -> Self {
        Self { evidence, ..self }
    }

    /// The call ends like this within the limit. What it told, at its end and after.
    fn check(self, world: &mut World, call: CallNo, limit: Duration) -> Value {
        world.run_until(|world| world.outcome(call).is_some(), limit);
        let bundle = world.bundle(call);
        let outcome = bundle["outcome"].clone();
        let said = |name: &str| outcome[name].as_str();
        let told = (said("reason"), said("detail"), said("class"), said("phase"), said("blame"));
        let row = (Some(self.reason), self.detail, Some(self.class), Some(self.phase), Some(self.blame));
        assert_eq!(told, row, "{outcome:#}");
        for key in EVIDENCE.iter().chain(self.evidence) {
            assert!(outcome["evidence"].get(key).is_some(), "no {key} in the evidence of {outcome:#}");
        }
        for key in self.evidence {
            assert!(!outcome["evidence"][key].is_null(), "{key} is not known in {outcome:#}");
        }
        for key in world.call(call).outcomes[0].reason.required_evidence() {
            assert!(outcome["evidence"].get(*key).is_some(), "no {key} in the evidence of {outcome:#}");
        }
        assert!(said("advice").is_some_and(|advice| advice.len() > 10), "{outcome:#}");
        assert_eq!(bundle["record"]["outcome"], outcome);
        assert_eq!(bundle["record"]["state"], "ended");
        let all = &world.call(call).outcomes;
        assert_eq!((all.len(), serde_json::to_value(&all[0]).unwrap()), (1, outcome.clone()));
        self.check_event(world, call);
        let cause = match self.detail {
            Some(detail) => format!("{}: {detail}", self.reason),
            None => self.reason.to_owned(),
        };
        if self.class == "error" {
            assert_eq!(reader::cause(&bundle), cause);
        }
        outcome
    }

    fn check_event(self, world: &World, call: CallNo) {
        let name = if self.class == "ended" { "call_ended" } else { "call_error" };
        let [event] = world.events_named(call, name)[..] else { panic!("{:?}", world.events(call)) };
        assert_eq!(world.events(call).last(), Some(&name));
        let said = |name: &str| event.data.get(name).and_then(Value::as_str);
        assert_eq!((said("reason"), said("detail")), (Some(self.reason), self.detail));
        assert_eq!(
            (said("class"), said("phase"), said("blame")),
            (Some(self.class), Some(self.phase), Some(self.blame))
        );
        assert!(event.data.get("evidence").is_none(), "the visitor reads this");
    }
}

fn talking() -> (World, CallNo, PhoneId) {
    let (world, call, _, phone) = World::talking(1, &Dial::default(), Codec::Pcmu);
    (world, call, phone)
}

/// How the call ended at the phone, and that nothing is left of it anywhere.
fn at_phone(world: &mut World, phone: PhoneId, end: PhoneEnd, reason: Option<(&str, u16)>) {
    world.run_for(secs(45));
    let line = world.phone(phone).line();
    assert_eq!(line.end, Some(end));
    let header = line.reason.as_ref().map(|(protocol, cause)| (protocol.as_str(), *cause));
    assert_eq!(header, reason);
    assert!(world.is_at_rest(), "{}", world.tell());
}
