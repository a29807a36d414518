//! A trunk, tested step by step, each with what failed: what an operator would do by hand.

use std::time::Duration;

use serde_json::{Map, Value, json};
use trunkline_config::Trunk;
use trunkline_signaling::endpoint::StreamError;
use trunkline_signaling::targets::Target;

use super::{Heard, Prober, milliseconds, ping};
use crate::call::ResolveError;
use crate::routing::wanted;
use crate::sip;

/// The steps up to the first that fails.
pub(super) async fn run(prober: &dyn Prober, trunk: &Trunk) -> Value {
    let mut steps = Steps::default();
    if let Some(target) = resolve(&mut steps, trunk).await
        && connect(&mut steps, prober, trunk, &target).await
    {
        options(&mut steps, prober, trunk, &target).await;
    }
    let ok = steps.0.iter().all(|step| step.get("ok") == Some(&Value::Bool(true)));
    json!({ "trunk": trunk.id, "ok": ok, "steps": steps.0 })
}

#[derive(Default)]
struct Steps(Vec<Value>);

impl Steps {
    /// Notes a step; whether the next can follow.
    fn note(&mut self, step: &str, outcome: Result<(), (&str, String)>, more: Value) -> bool {
        let mut noted: Map<String, Value> = Map::new();
        noted.insert("step".into(), step.into());
        noted.insert("ok".into(), outcome.is_ok().into());
        let ok = outcome.is_ok();
        if let Err((error, detail)) = outcome {
            noted.insert("error".into(), error.into());
            noted.insert("detail".into(), detail.into());
        }
        noted.extend(more.as_object().cloned().unwrap_or_default());
        self.0.push(Value::Object(noted));
        ok
    }
}

async fn resolve(steps: &mut Steps, trunk: &Trunk) -> Option<Target> {
    match sip::resolve(&wanted(trunk.first_hop())).await {
        Ok(targets) => {
            let addresses: Vec<_> = targets.iter().map(|target| target.address).collect();
            steps.note("dns", Ok(()), json!({ "addresses": addresses }));
            targets.into_iter().next()
        }
        Err(error) => {
            let failed = match error {
                ResolveError::TimedOut => ("timed_out", "no name server answered in time".to_owned()),
                ResolveError::Failed(why) => ("dns", why),
            };
            steps.note("dns", Err(failed), json!({ "host": trunk.target.host }));
            None
        }
    }
}

async fn connect(steps: &mut Steps, prober: &dyn Prober, trunk: &Trunk, target: &Target) -> bool {
    let about = json!({ "transport": target.over.token().to_ascii_lowercase(), "target": target.address });
    let Some(reached) = prober.reach(target.address, target.over.clone()).await else {
        // Datagrams need no connection: whether they arrive is for the answer to say.
        return steps.note("transport", Ok(()), about);
    };
    let connected = note_timed(steps, "transport", reached.connected, about);
    match reached.encrypted {
        Some(encrypted) => connected && note_timed(steps, "tls", encrypted, json!({ "name": trunk.target.host })),
        None => connected,
    }
}

fn note_timed(steps: &mut Steps, step: &str, took: Result<Duration, StreamError>, mut about: Value) -> bool {
    if let (Ok(time), Some(about)) = (&took, about.as_object_mut()) {
        about.insert("duration_ms".into(), milliseconds(*time).into());
    }
    let outcome = match took {
        Ok(_) => Ok(()),
        Err(StreamError::Unreachable | StreamError::Lost) => {
            Err(("unreachable", "the connection was refused or lost".to_owned()))
        }
        Err(StreamError::TimedOut) => Err(("timed_out", "no answer in time".to_owned())),
        Err(StreamError::Tls(why)) => Err(("tls", why)),
    };
    steps.note(step, outcome, about)
}

async fn options(steps: &mut Steps, prober: &dyn Prober, trunk: &Trunk, target: &Target) {
    match ping(prober, target, trunk).await {
        Heard::Answer { status, rtt_ms } => {
            let outcome = if status == 503 { Err(("status_503", "it takes no calls now".to_owned())) } else { Ok(()) };
            steps.note("options", outcome, json!({ "status": status, "rtt_ms": rtt_ms }));
        }
        Heard::Nothing(error) => {
            let why = match error {
                "unreachable" => "nobody listens there",
                "tls" => "the connection is not encrypted as it must be",
                _ => "no answer to OPTIONS",
            };
            steps.note("options", Err((error, why.to_owned())), json!({}));
        }
    }
}
