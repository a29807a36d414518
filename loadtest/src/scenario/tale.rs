//! What a scenario came to: numbers, verdicts, a summary.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::file::{Scenario, Thresholds};
use crate::gateway::Metrics;
use crate::stats::Spread;
use crate::{agent, browsers};

/// A call that came about and was hung up.
#[derive(Debug, Clone)]
pub(super) struct Begun {
    pub(super) party: u32,
    pub(super) offered_ns: u64,
    pub(super) codec: &'static str,
    /// Digits pressed.
    pub(super) digits: usize,
}

/// All that is brought home.
pub(super) struct Home {
    pub(super) seconds: f64,
    pub(super) started_ns: u64,
    pub(super) samples: Vec<Sample>,
    pub(super) before: Option<Metrics>,
    pub(super) after: Option<Metrics>,
    pub(super) browsers: browsers::Report,
    pub(super) agent: agent::Report,
    pub(super) log: String,
    pub(super) told: Vec<Result<Begun, (u32, String)>>,
}

/// One second of the run.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Sample {
    pub(crate) at_seconds: f64,
    pub(crate) begun: usize,
    pub(crate) failed: usize,
    pub(crate) live: usize,
    /// The gateway's, so far; `None` if it is not asked.
    pub(crate) cpu_seconds: Option<f64>,
    pub(crate) resident_mib: Option<f64>,
    /// Of it, what no file backs: pages of the program that only many calls touch are no leak.
    pub(crate) anonymous_mib: Option<f64>,
    pub(crate) leased_pairs: Option<f64>,
}

/// A whole run.
#[derive(Debug, Serialize)]
pub(crate) struct Tale {
    pub(crate) scenario: Scenario,
    pub(crate) seconds: f64,
    pub(crate) planned: usize,
    /// Calls that came about, with audio both ways.
    pub(crate) talked: usize,
    pub(crate) by_codec: BTreeMap<&'static str, usize>,
    pub(crate) failures: Vec<String>,
    pub(crate) failed: usize,
    pub(crate) connected_ms: Spread,
    pub(crate) first_audio_up_ms: Spread,
    pub(crate) first_audio_down_ms: Spread,
    pub(crate) transit_up_ms: Spread,
    pub(crate) transit_down_ms: Spread,
    pub(crate) packets: u64,
    /// Missing in what was heard.
    pub(crate) lost: u64,
    /// What the scenario's network lost, up and down.
    pub(crate) weathered: [u64; 2],
    pub(crate) digits_pressed: usize,
    pub(crate) digits_heard: usize,
    /// Of one core for each call at once.
    pub(crate) cpu_percent_per_call: Option<f64>,
    /// Before, after.
    pub(crate) left: Vec<Left>,
    pub(crate) load_lateness_ms: Spread,
    pub(crate) verdicts: Vec<Verdict>,
    pub(crate) samples: Vec<Sample>,
    /// Milliseconds to the first audio down, by when the call was offered, seconds.
    pub(crate) first_audio: Vec<(f64, f64)>,
    /// The gateway's last words.
    pub(crate) log: String,
}

/// What is there after the run, beside what was there before.
#[derive(Debug, Serialize)]
pub(crate) struct Left {
    pub(crate) what: &'static str,
    pub(crate) before: f64,
    pub(crate) after: f64,
}

/// A threshold, and whether it is kept.
#[derive(Debug, Serialize)]
pub(crate) struct Verdict {
    pub(crate) what: &'static str,
    pub(crate) measured: Option<f64>,
    pub(crate) allowed: f64,
    pub(crate) kept: bool,
}

const MIB: f64 = 1.0 / 1_048_576.0;
const RESIDENT: &str = "trunkline_process_resident_memory_bytes";
const ANONYMOUS: &str = "trunkline_process_anonymous_memory_bytes";

const LEFT: [(&str, &str, f64); 6] = [
    ("calls", "trunkline_calls", 1.0),
    ("call tasks", "trunkline_call_tasks", 1.0),
    ("leased port pairs", "trunkline_worker_leased_pairs", 1.0),
    ("resident memory, MiB", RESIDENT, MIB),
    ("  anonymous, MiB", ANONYMOUS, MIB),
    ("open descriptors", "trunkline_process_open_fds", 1.0),
];

impl Sample {
    pub(super) fn of(at_seconds: f64, begun: usize, failed: usize, live: usize, metrics: Option<&Metrics>) -> Self {
        let read = |name: &str| metrics.map(|metrics| metrics.get(name));
        Self {
            at_seconds,
            begun,
            failed,
            live,
            cpu_seconds: read("trunkline_process_cpu_seconds_total"),
            resident_mib: read(RESIDENT).map(|bytes| bytes * MIB),
            anonymous_mib: read(ANONYMOUS).map(|bytes| bytes * MIB),
            leased_pairs: read("trunkline_worker_leased_pairs"),
        }
    }

    pub(super) fn line(&self) -> String {
        let Self { at_seconds, begun, failed, live, resident_mib, anonymous_mib, .. } = self;
        let memory = resident_mib.zip(*anonymous_mib);
        let memory = memory.map(|(all, own)| format!(", {all:.1} MiB ({own:.1} anonymous)")).unwrap_or_default();
        format!("{at_seconds:6.0} s: {live} live, {begun} begun, {failed} failed{memory}")
    }
}

impl Tale {
    pub(super) fn of(scenario: &Scenario, planned: usize, home: Home) -> Self {
        let Home { seconds, started_ns, samples, before, after, browsers, agent, log, told } = home;
        let mut failures: Vec<String> = browsers.failures.iter().chain(&agent.failures).cloned().collect();
        let (mut begun, mut by_codec) = (BTreeMap::new(), BTreeMap::new());
        for one in told {
            match one {
                Ok(call) => drop(begun.insert(call.party, call)),
                Err((party, why)) => failures.push(format!("call {party}: {why}")),
            }
        }
        let (up, down) = (&agent.heard, &browsers.heard);
        let is_whole = |party: &u32| up.first_ns.contains_key(party) && down.first_ns.contains_key(party);
        let whole: Vec<&Begun> = begun.values().filter(|call| is_whole(&call.party)).collect();
        whole.iter().for_each(|call| *by_codec.entry(call.codec).or_default() += 1);
        let since = |happened: &BTreeMap<u32, u64>| -> Vec<(f64, u32)> {
            let us = |call: &&Begun| {
                let us = happened.get(&call.party)?.saturating_sub(call.offered_ns) / 1000;
                let at = call.offered_ns.saturating_sub(started_ns) as f64 / 1e9;
                Some((at, u32::try_from(us).ok()?))
            };
            begun.values().filter_map(|call| us(&call)).collect()
        };
        let spread = |timed: &[(f64, u32)]| Spread::of_us(timed.iter().map(|(_, us)| *us).collect());
        let first_down = since(&down.first_ns);
        let ears = up.rtp.values().chain(down.rtp.values());
        let (packets, lost) = ears.fold((0, 0), |sum, ear| (sum.0 + ear.heard, sum.1 + ear.lost(None)));
        let mut tale = Self {
            scenario: scenario.clone(),
            seconds,
            planned,
            talked: whole.len(),
            by_codec,
            failed: planned.saturating_sub(whole.len()),
            connected_ms: spread(&since(&browsers.connected_ns)),
            first_audio_up_ms: spread(&since(&up.first_ns)),
            first_audio_down_ms: spread(&first_down),
            transit_up_ms: Spread::of_us(up.transit_us.clone()),
            transit_down_ms: Spread::of_us(down.transit_us.clone()),
            packets,
            lost,
            weathered: browsers.weathered,
            digits_pressed: begun.values().map(|call| call.digits).sum(),
            digits_heard: up.digits.values().map(|(count, _)| count).sum(),
            cpu_percent_per_call: cpu_per_call(&samples),
            left: left(before.as_ref(), after.as_ref()),
            load_lateness_ms: Spread::of_us(browsers.lateness_us),
            verdicts: Vec::new(),
            samples,
            first_audio: first_down.into_iter().map(|(at, us)| (at, f64::from(us) / 1000.0)).collect(),
            failures,
            log,
        };
        tale.verdicts = tale.judge(&scenario.thresholds);
        tale
    }

    /// Packets lost beyond what the network of the scenario took.
    fn unexplained(&self) -> u64 {
        self.lost.saturating_sub(self.weathered.iter().sum())
    }

    fn judge(&self, thresholds: &Thresholds) -> Vec<Verdict> {
        let share = |part: f64, of: f64| if of > 0.0 { part / of } else { 0.0 };
        let more = |what: &str| self.left.iter().find(|left| left.what == what).map(|left| left.after - left.before);
        let digits = self.digits_pressed.saturating_sub(self.digits_heard) as f64;
        let transit = self.transit_up_ms.p99.max(self.transit_down_ms.p99);
        let has_transit = self.transit_up_ms.count > 0 && self.transit_down_ms.count > 0;
        let t = thresholds;
        let rows = [
            ("failed_ratio", t.failed_ratio, Some(share(self.failed as f64, self.planned as f64))),
            ("lost_ratio", t.lost_ratio, Some(share(self.unexplained() as f64, (self.packets + self.lost) as f64))),
            ("connected_p95_ms", t.connected_p95_ms, Some(self.connected_ms.p95)),
            ("first_audio_p95_ms", t.first_audio_p95_ms, Some(self.first_audio_down_ms.p95)),
            ("transit_p99_ms", t.transit_p99_ms, has_transit.then_some(transit)),
            ("digits_lost_ratio", t.digits_lost_ratio, Some(share(digits, self.digits_pressed as f64))),
            ("cpu_percent_per_call", t.cpu_percent_per_call, self.cpu_percent_per_call),
            ("memory_left_mib", t.memory_left_mib, more("resident memory, MiB")),
            ("descriptors_left", t.descriptors_left, more("open descriptors")),
        ];
        // What could not be measured is not kept: a threshold is there to be seen to hold.
        let verdict = |(what, allowed, measured): (&'static str, Option<f64>, Option<f64>)| {
            let allowed = allowed?;
            Some(Verdict { what, measured, allowed, kept: measured.is_some_and(|measured| measured <= allowed) })
        };
        rows.into_iter().filter_map(verdict).collect()
    }

    /// For people.
    pub(crate) fn summary(&self) -> String {
        let mut text = format!("{}: {} of {} calls talked", self.scenario.name, self.talked, self.planned);
        let codecs: Vec<String> = self.by_codec.iter().map(|(codec, count)| format!("{codec} {count}")).collect();
        let _ = writeln!(text, " ({}), {:.0} s", codecs.join(", "), self.seconds);
        let spread =
            |spread: &Spread| format!("p50 {:.1}, p95 {:.1}, p99 {:.1} ms", spread.p50, spread.p95, spread.p99);
        for (what, of) in self.spreads() {
            let _ = writeln!(text, "  {what:<22}{}", spread(of));
        }
        let [up, down] = self.weathered;
        let _ = writeln!(
            text,
            "  packets heard         {}, {} lost (the network: {up} up, {down} down)",
            self.packets, self.lost
        );
        let _ = writeln!(text, "  digits                {} pressed, {} heard", self.digits_pressed, self.digits_heard);
        if let Some(cpu) = self.cpu_percent_per_call {
            let _ = writeln!(text, "  CPU for a call        {cpu:.3} % of a core");
        }
        for Left { what, before, after } in &self.left {
            let _ = writeln!(text, "  {what:<22}{before:.1} before, {after:.1} after");
        }
        for failure in self.failures.iter().take(5) {
            let _ = writeln!(text, "  failure: {failure}");
        }
        for Verdict { what, measured, allowed, kept } in &self.verdicts {
            let measured = measured.map_or("not known".into(), |measured| format!("{measured:.4}"));
            let _ = writeln!(text, "  {} {what} {measured} (allowed {allowed})", if *kept { "ok  " } else { "FAIL" });
        }
        text
    }

    /// The distributions by name.
    pub(super) fn spreads(&self) -> [(&'static str, &Spread); 6] {
        [
            ("connected", &self.connected_ms),
            ("first audio up", &self.first_audio_up_ms),
            ("first audio down", &self.first_audio_down_ms),
            ("transit up", &self.transit_up_ms),
            ("transit down", &self.transit_down_ms),
            ("load's own lateness", &self.load_lateness_ms),
        ]
    }
}

/// The gateway's CPU over all calls at once, second by second.
fn cpu_per_call(samples: &[Sample]) -> Option<f64> {
    let (first, last) = (samples.first()?, samples.last()?);
    let spent = last.cpu_seconds? - first.cpu_seconds?;
    let talked: f64 = samples
        .windows(2)
        .map(|pair| match pair {
            [a, b] => (b.at_seconds - a.at_seconds) * (a.live + b.live) as f64 / 2.0,
            _ => 0.0,
        })
        .sum();
    (talked > 0.0).then(|| 100.0 * spent / talked)
}

fn left(before: Option<&Metrics>, after: Option<&Metrics>) -> Vec<Left> {
    let (Some(before), Some(after)) = (before, after) else { return Vec::new() };
    let one = |(what, name, scale): (&'static str, &str, f64)| Left {
        what,
        before: before.get(name) * scale,
        after: after.get(name) * scale,
    };
    LEFT.into_iter().map(one).collect()
}
