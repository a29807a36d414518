//! The conductor: for each row a gateway, its calls, a steady window, and the way home; then the floor.
#![allow(clippy::disallowed_methods)] // The edge: everything here happens in real time.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::codec_floor;
use crate::control::Control;
use crate::floor::Floor;
use crate::growth::{self, Growth};
use crate::report::{FloorReport, Report};
use crate::row::Row;
use crate::speech::Speech;
use crate::stats::{Priority, Spread, cpu_seconds};
use crate::take::Take;

/// What is asked of a run.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct BenchArgs {
    /// Calls at once.
    #[arg(long, default_value_t = 100)]
    pub(crate) calls: usize,
    /// Length of the steady window.
    #[arg(long, default_value_t = 20)]
    pub(crate) seconds: u64,
    /// Calls offered a second.
    #[arg(long, default_value_t = 20.0)]
    pub(crate) rate: f64,
    /// The gateway's binary (a release build).
    #[arg(long)]
    pub(crate) gateway: PathBuf,
    /// The gateway's media threads; 0: one per core.
    #[arg(long, default_value_t = 0)]
    pub(crate) workers: usize,
    /// Only this row; and none of the two below.
    #[arg(long)]
    pub(crate) row: Option<Row>,
    /// `growth`: relayed calls at once, step by step; none: not taken.
    #[arg(long, value_delimiter = ',')]
    pub(crate) steps: Vec<usize>,
    /// `churn`: for how long calls of a second come and go; 0: not taken.
    #[arg(long, default_value_t = 0)]
    pub(crate) churn_seconds: u64,
    /// `churn`: set-ups a second.
    #[arg(long, default_value_t = 100.0)]
    pub(crate) churn_rate: f64,
    /// `churn`: what is left is counted so many seconds after the last call; sessions live ten minutes.
    #[arg(long, default_value_t = 45)]
    pub(crate) churn_rest: u64,
    /// Writes all numbers to this file, too.
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
    /// Scheduler weight of the whole run, gateway and load alike, as nice(1).
    #[arg(long, default_value_t = -10, allow_hyphen_values = true)]
    pub(crate) nice: i32,
}

impl BenchArgs {
    fn takes(&self, row: Row) -> bool {
        let only_grows = !self.steps.is_empty() || self.churn_seconds > 0;
        self.row.map_or(!only_grows, |only| only == row)
    }
}

/// Longest steady window of the floor.
const FLOOR_SECONDS: u64 = 20;
/// Between the last call's audio and the steady window.
pub(crate) const SETTLE: Duration = Duration::from_secs(2);
/// From the last packet sent to the last one that may still come.
pub(crate) const DRAIN: Duration = Duration::from_millis(500);

/// Runs the whole; `true` if nothing was lost or leaked.
pub(crate) async fn run(args: &BenchArgs) -> Result<bool> {
    let priority = Priority::raise(args.nice);
    let speech = Speech::new()?;
    let floor = tread(args).await.context("the floor")?;
    let (up_us, down_us) = codec_floor::us_per_packet_time(&speech, args.calls)?;
    let mut rows = Vec::new();
    for row in Row::ALL.into_iter().filter(|row| args.takes(*row)) {
        let report = Take::new(args, row, &speech).await?.run().await.with_context(|| format!("row {row:?}"))?;
        rows.push(report);
    }
    let growth = if args.steps.is_empty() { None } else { Some(Growth::take(args, &speech).await?) };
    let churn = if args.churn_seconds == 0 { None } else { Some(growth::churn(args).await.context("churn")?) };
    let report = Report {
        calls: args.calls,
        seconds: args.seconds,
        rate: args.rate,
        priority_raised: priority.is_raised(),
        floor: FloorReport { codec_us_per_packet_time: up_us + down_us, codec_up_us_per_packet_time: up_us, ..floor },
        rows,
        growth,
        churn,
    };
    report.print()?;
    if let Some(path) = &args.json {
        std::fs::write(path, serde_json::to_string_pretty(&report)?)?;
    }
    Ok(report.is_clean())
}

/// CPU per call, `%` of one core, over a window of the process' life.
pub(crate) async fn cpu_per_call(pid: u32, calls: usize, window: Duration) -> Result<f64> {
    let (start, before) = (Instant::now(), cpu_seconds(pid)?);
    tokio::time::sleep(window).await;
    let (spent, passed) = (cpu_seconds(pid)? - before, Instant::now().saturating_duration_since(start));
    Ok(100.0 * spent / passed.as_secs_f64() / calls.max(1) as f64)
}

async fn tread(args: &BenchArgs) -> Result<FloorReport> {
    let threads = if args.workers > 0 { args.workers } else { std::thread::available_parallelism()?.get() };
    let floor = Floor::start(args.calls, threads)?;
    tokio::time::sleep(SETTLE).await;
    let control: &Control = floor.control();
    control.set_measuring(true);
    let window = Duration::from_secs(args.seconds.min(FLOOR_SECONDS));
    let cpu_percent_per_call = cpu_per_call(floor.pid(), args.calls, window).await?;
    control.set_measuring(false);
    control.hush();
    tokio::time::sleep(DRAIN).await;
    let trodden = floor.finish()?;
    Ok(FloorReport {
        cpu_percent_per_call,
        codec_us_per_packet_time: 0.0,
        codec_up_us_per_packet_time: 0.0,
        transit_up_ms: Spread::of_us(trodden.up.transit_us),
        transit_down_ms: Spread::of_us(trodden.down.transit_us),
        lost: trodden.lost,
    })
}
