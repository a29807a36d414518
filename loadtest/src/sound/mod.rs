//! How speech sounds at the far end: through a call in process and virtual time, over networks that lose and delay, beside
//! the codecs alone and beside a plain decoder that knows no FEC. Scores are PESQ's, by `pesq.py`.
#![allow(clippy::disallowed_methods)] // The edge: where virtual time begins.

mod asked;
mod lane;
mod listener;
mod measure;
mod network;
mod paths;
mod pesq;
mod speech;

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use trunkline_media::browser::transport::DtlsIdentity;

use self::measure::{Bench, Scores};
use self::network::{Impairment, Kind};
use self::pesq::Judge;
use self::speech::Speech;
use crate::browser::Kit;

/// What is asked of a run.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct SoundArgs {
    /// Folder of recordings (WAV).
    #[arg(long, default_value = "tests/data/speech")]
    speech: PathBuf,
    /// A Python that has `pesq` (`loadtest/pesq.py` says how to get it).
    #[arg(long, default_value = "target/python/bin/python")]
    python: PathBuf,
    /// Two recordings, no bursts, and the ends of each scale alone.
    #[arg(long)]
    quick: bool,
    /// How often each recording is said over each network, which loses others every time.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// Only paths whose name holds this.
    #[arg(long, default_value = "")]
    path: String,
    /// Writes all numbers to this file, too.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// A path over a network: means over all recordings and seeds.
#[derive(Debug, Serialize)]
struct Row {
    path: &'static str,
    rate: u32,
    network: Impairment,
    #[serde(flatten)]
    scores: Scores,
}

/// Runs all paths over all networks; `true` if the goals are met.
pub(crate) fn run(args: &SoundArgs) -> Result<bool> {
    let recordings = recordings(args)?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut judges = (0..threads).map(|_| Judge::new(&args.python)).collect::<Result<Vec<_>>>()?;
    let bench =
        Bench { recordings, seeds: args.seeds.max(1), identity: Arc::new(DtlsIdentity::generate()?), kit: Kit::new()? };
    let mut rows = Vec::new();
    let mut out = std::io::stdout();
    writeln!(
        out,
        "path                        loss        jitter   codecs   plain   ideal gateway   delay (plain) ms"
    )?;
    for path in paths::ALL.iter().filter(|path| path.name.contains(&args.path)) {
        for network in networks(args.quick) {
            let scores = bench.measure(path, network, &mut judges)?;
            let row = Row { path: path.name, rate: path.rate, network, scores };
            writeln!(out, "{row}")?;
            rows.push(row);
        }
    }
    if let Some(file) = &args.json {
        std::fs::write(file, serde_json::to_string_pretty(&rows)?)?;
    }
    goals(&rows)
}

fn recordings(args: &SoundArgs) -> Result<Vec<Speech>> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(&args.speech)
        .with_context(|| format!("{}", args.speech.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|of| of == "wav"))
        .collect();
    files.sort();
    // A voice of a machine and one of a person.
    let person = files.iter().position(|file| !file.to_string_lossy().contains("robot"));
    let quick = |n: &usize| !args.quick || *n == 0 || Some(*n) == person;
    let files: Vec<_> = (0..files.len()).filter(quick).filter_map(|n| files.get(n)).collect();
    ensure!(!files.is_empty(), "no recordings in {}", args.speech.display());
    files.into_iter().map(|file| Speech::read(file)).collect()
}

fn networks(quick: bool) -> Vec<Impairment> {
    let losses: &[u32] = if quick { &[0, 10] } else { &[0, 1, 5, 10] };
    let jitters: &[u64] = if quick { &[0, 80] } else { &[0, 30, 80] };
    let kinds: &[Kind] = if quick { &[Kind::Random] } else { &[Kind::Random, Kind::Burst] };
    let of = |&kind: &Kind| {
        let losses = losses.iter().filter(move |loss| **loss > 0 || kind == Kind::Random);
        losses.flat_map(move |&loss_percent| {
            jitters.iter().map(move |&jitter_ms| Impairment { loss_percent, kind, jitter_ms })
        })
    };
    kinds.iter().flat_map(of).collect()
}

/// G.711 coded in Opus is hardly worse than G.711, and FEC carries speech over a tenth of loss.
fn goals(rows: &[Row]) -> Result<bool> {
    let find = |path: &str, loss: u32| {
        rows.iter().find(|row| {
            let network = &row.network;
            row.path == path && (network.loss_percent, network.jitter_ms, network.kind) == (loss, 0, Kind::Random)
        })
    };
    let mut out = std::io::stdout();
    let mut met = true;
    for (path, when) in [("PCMU to opus, idle", "idle"), ("PCMU to opus", "busy")] {
        if let (Some(alone), Some(coded)) = (find("PCMU relayed down", 0), find(path, 0)) {
            let less = alone.scores.codecs - coded.scores.gateway;
            met &= less <= 0.05;
            writeln!(out, "G.711 to Opus is {less:.3} below G.711 alone in a gateway that is {when}: at most 0.05")?;
        }
    }
    if let Some(row) = find("opus relayed up, RED", 10) {
        met &= row.scores.gateway >= 3.9;
        writeln!(out, "Opus with FEC and redundancy at 10 % of random loss: {:.2}, at least 3.9", row.scores.gateway)?;
    }
    if let Some(row) = find("opus relayed up", 10) {
        writeln!(out, "from a browser that knows no redundancy, with FEC alone: {:.2}", row.scores.gateway)?;
    }
    Ok(met)
}

impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Impairment { loss_percent, kind, jitter_ms } = self.network;
        let loss = format!("{loss_percent} % {}", if kind == Kind::Burst { "bursts" } else { "random" });
        let Scores { codecs, plain, ideal, gateway, delay_ms, plain_delay_ms, .. } = self.scores;
        write!(
            f,
            "{:<27} {loss:<11} {jitter_ms:>3} ms {codecs:>8.3} {plain:>7.3} {ideal:>7.3} {gateway:>7.3}",
            self.path
        )?;
        write!(f, " {delay_ms:>7.0} ({plain_delay_ms:.0})")
    }
}
