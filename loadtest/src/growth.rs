//! What calls cost as they become more, and whether a hundred set-ups a second leave anything behind.

use std::io::{self, Write};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::bench::BenchArgs;
use crate::report::RowReport;
use crate::row::Row;
use crate::scenario::file::Scenario;
use crate::scenario::{Tale, play};
use crate::speech::Speech;
use crate::take::Take;

/// Offered a second while the number grows: a machine that also plays the browsers must get there.
const RATE: f64 = 40.0;

/// Relayed calls, more of them in each step.
#[derive(Debug, Serialize)]
pub(crate) struct Growth(Vec<RowReport>);

impl Growth {
    /// Takes the row `relay` with each of these numbers of calls.
    pub(crate) async fn take(args: &BenchArgs, speech: &Speech) -> Result<Self> {
        let mut steps = Vec::new();
        for calls in &args.steps {
            let args = BenchArgs { calls: *calls, rate: args.rate.max(RATE), ..args.clone() };
            let step = Take::new(&args, Row::Relay, speech).await?.run().await;
            steps.push(step.with_context(|| format!("{calls} calls"))?);
        }
        Ok(Self(steps))
    }

    /// Nothing is lost or left behind at any size.
    pub(crate) fn is_clean(&self) -> bool {
        self.0.iter().all(RowReport::is_clean)
    }

    pub(crate) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "\ngrowth, relay")?;
        for step in &self.0 {
            let late = step.up.late + step.down.late;
            let lost = step.up.lost + step.down.lost;
            writeln!(
                out,
                "  {:>5} calls               {:.3} % of a core and {:.1} KiB each, {lost} lost, {late} late (load's own \
                 lateness p99 {:.1} ms){}",
                step.calls,
                step.cpu_percent_per_call,
                step.memory_per_call_kib(),
                step.load_lateness_ms.p99,
                if step.is_clean() { String::new() } else { format!(": {}", step.complaints().join(", ")) }
            )?;
        }
        Ok(())
    }
}

/// A hundred set-ups a second, each call a second long.
pub(crate) async fn churn(args: &BenchArgs) -> Result<Tale> {
    let gateway = toml::Value::String(args.gateway.display().to_string());
    let scenario = format!(
        r#"name = "churn"
[gateway]
binary = {gateway}
browser_audio = "relay"
[load]
rate = {}
seconds = {}
hold_seconds = [1, 1]
rest_seconds = {}
codecs = {{ PCMU = 1 }}
[thresholds]
failed_ratio = 0.0
lost_ratio = 0.0
descriptors_left = 8
"#,
        args.churn_rate, args.churn_seconds, args.churn_rest
    );
    play(&Scenario::parse(&scenario, None)?, true).await
}
