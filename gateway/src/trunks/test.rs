//! A trunk, tested step by step, each with what failed: what an operator would do by hand.

use futures::future::join_all;
use serde_json::{Map, Value, json};
use trunkline_config::Trunk;
use trunkline_signaling::endpoint::StreamError;
use trunkline_signaling::targets::{Found, NoAnswer, Source, Step, Target};

use super::{Heard, Prober, milliseconds, ping};
use crate::routing::wanted;
use crate::targets::Finder;

/// Targets that are tried; a call tries no more.
const MAX_TARGETS: usize = 6;

/// Each question to DNS, then the way to each target up to the step that fails. `ok`: a call would get through.
pub(super) async fn run(finder: &Finder, prober: &dyn Prober, trunk: &Trunk) -> Value {
    let mut steps = Steps::default();
    let targets = resolve(&mut steps, finder, trunk).await;
    // At once: whoever tests a trunk may have several that do not answer, and waits for each.
    let tried = join_all(targets.iter().map(|target| try_out(prober, trunk, target))).await;
    let ok = tried.iter().any(|(_, ok)| *ok);
    steps.0.extend(tried.into_iter().flat_map(|(steps, _)| steps.0));
    json!({ "trunk": trunk.id, "ok": ok, "steps": steps.0 })
}

/// The way to one target, and whether a call would get through.
async fn try_out(prober: &dyn Prober, trunk: &Trunk, target: &Target) -> (Steps, bool) {
    let mut steps = Steps::default();
    let ok = connect(&mut steps, prober, trunk, target).await && options(&mut steps, prober, trunk, target).await;
    (steps, ok)
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

    /// One question to DNS. That there are no such records is an answer.
    fn note_question(&mut self, step: &Step) {
        let (records, ok) = match (&step.answer, &step.failure) {
            (Ok(records), None) => (records.lines(), Ok(())),
            (Ok(records), Some(failure)) => (records.lines(), Err(failed(failure))),
            (Err(NoAnswer::Nothing(_)), _) => (Vec::new(), Ok(())),
            (Err(failure), _) => (Vec::new(), Err(failed(failure))),
        };
        let source = match step.source {
            Source::Dns => "dns",
            Source::Cache => "cache",
            Source::LastGood => "last_good",
        };
        let about = json!({ "query": step.question.kind.word(), "name": &*step.question.name, "records": records,
            "source": source, "duration_ms": milliseconds(step.took) });
        self.note("dns", ok, about);
    }
}

fn failed(failure: &NoAnswer) -> (&'static str, String) {
    match failure {
        NoAnswer::TimedOut => ("timed_out", "no name server answered in time".to_owned()),
        NoAnswer::Failed(_) | NoAnswer::Nothing(_) => ("dns", failure.to_string()),
    }
}

async fn resolve(steps: &mut Steps, finder: &Finder, trunk: &Trunk) -> Vec<Target> {
    let Found { targets, steps: questions } = finder.find(wanted(trunk.first_hop()), true).await;
    questions.iter().for_each(|question| steps.note_question(question));
    match targets {
        Ok(targets) => {
            let addresses: Vec<_> = targets.iter().map(|target| target.address).collect();
            let named: Vec<_> = targets.iter().map(ToString::to_string).collect();
            steps.note("dns", Ok(()), json!({ "addresses": addresses, "targets": named }));
            targets.into_iter().take(MAX_TARGETS).collect()
        }
        Err(why) => {
            steps.note("dns", Err(("dns", why.to_string())), json!({ "host": trunk.target.host }));
            Vec::new()
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
        Some(encrypted) => {
            let about = json!({ "name": trunk.target.host, "target": target.address });
            connected && note_timed(steps, "tls", encrypted, about)
        }
        None => connected,
    }
}

fn note_timed(steps: &mut Steps, step: &str, took: Result<std::time::Duration, StreamError>, mut about: Value) -> bool {
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

async fn options(steps: &mut Steps, prober: &dyn Prober, trunk: &Trunk, target: &Target) -> bool {
    match ping(prober, target, trunk).await {
        Heard::Answer { status, rtt_ms } => {
            let outcome = if status == 503 { Err(("status_503", "it takes no calls now".to_owned())) } else { Ok(()) };
            let about = json!({ "status": status, "rtt_ms": rtt_ms, "target": target.address });
            steps.note("options", outcome, about)
        }
        Heard::Nothing(error) => {
            let why = match error {
                "unreachable" => "nobody listens there",
                "tls" => "the connection is not encrypted as it must be",
                _ => "no answer to OPTIONS",
            };
            steps.note("options", Err((error, why.to_owned())), json!({ "target": target.address }))
        }
    }
}
