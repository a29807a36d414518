//! How speech sounds at the far end: through a call in process and virtual time, over networks that lose and delay, beside
//! the codecs alone and beside a plain decoder that knows no FEC. Scores are PESQ's, by `pesq.py`.
#![allow(clippy::disallowed_methods)] // The edge: where virtual time begins.

mod lane;
mod listener;
mod network;
mod paths;
mod pesq;
mod speech;

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use trunkline_media::browser::transport::DtlsIdentity;

use self::lane::Lane;
use self::listener::Listener;
use self::network::{Impairment, Kind, Link};
use self::paths::{Path, Way};
use self::pesq::Judge;
use self::speech::{Speech, delay_ms, encode, through};
use crate::browser::Kit;

/// Of every network's chances.
const SEED: u64 = 42;
/// What a speaker holds back until a packet is full.
const PACKET_MS: usize = 20;

/// What is asked of a run.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct SoundArgs {
    /// Folder of recordings (WAV).
    #[arg(long, default_value = "tests/data/speech")]
    speech: PathBuf,
    /// A Python that has `pesq` (`loadtest/pesq.py` says how to get it).
    #[arg(long, default_value = "target/python/bin/python")]
    python: PathBuf,
    /// One recording, no bursts, and the ends of each scale alone.
    #[arg(long)]
    quick: bool,
    /// Only paths whose name holds this.
    #[arg(long, default_value = "")]
    path: String,
    /// Writes all numbers to this file, too.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// A path over a network: means over all recordings.
#[derive(Debug, Serialize)]
struct Row {
    path: &'static str,
    rate: u32,
    network: Impairment,
    /// The codecs alone, without a network or a call.
    codecs: f64,
    /// A plain decoder without FEC at the end of the same network, without a call.
    plain: f64,
    gateway: f64,
    /// From the mouth to the ear, with a packet's time and the listener's own jitter buffer.
    delay_ms: usize,
    plain_delay_ms: usize,
}

/// Runs all paths over all networks; `true` if the goals are met.
pub(crate) fn run(args: &SoundArgs) -> Result<bool> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(&args.speech)
        .with_context(|| format!("{}", args.speech.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|of| of == "wav"))
        .collect();
    files.sort();
    files.truncate(if args.quick { 1 } else { files.len() });
    ensure!(!files.is_empty(), "no recordings in {}", args.speech.display());
    let recordings = files.iter().map(|file| Speech::read(file)).collect::<Result<Vec<_>>>()?;
    let (identity, kit, judge) = (Arc::new(DtlsIdentity::generate()?), Kit::new()?, Judge::new(&args.python)?);
    let mut rows = Vec::new();
    let mut out = std::io::stdout();
    writeln!(out, "path                        loss        jitter   codecs   plain gateway   delay (plain) ms")?;
    for path in paths::ALL.iter().filter(|path| path.name.contains(&args.path)) {
        for network in networks(args.quick) {
            let row = measure(path, network, &recordings, (&identity, &kit), &judge)?;
            writeln!(out, "{row}")?;
            rows.push(row);
        }
    }
    if let Some(file) = &args.json {
        std::fs::write(file, serde_json::to_string_pretty(&rows)?)?;
    }
    goals(&rows)
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

fn measure(
    path: &Path,
    network: Impairment,
    recordings: &[Speech],
    (identity, kit): (&Arc<DtlsIdentity>, &Kit),
    judge: &Judge,
) -> Result<Row> {
    let mut sum = [0.0; 3];
    let mut delays = [0; 2];
    for recording in recordings {
        let said = recording.pcm(path.rate);
        // Once to find out about the network, once to be judged.
        let twice = said.repeat(2);
        let lane = Lane::open(*path, network, identity, kit)?;
        let heard = lane.run(spoken(path, network, &twice)?.into())?;
        let plain = plain(path, network, &twice)?;
        let alone = through(&path.codecs(), path.rate, &twice)?;
        for (n, whole) in [alone, plain, heard].into_iter().enumerate() {
            let second = whole.get(said.len()..).unwrap_or_default();
            let late = delay_ms(said, second, path.rate);
            let from = late * path.rate as usize / 1000;
            let degraded = second.get(from..).unwrap_or_default();
            let degraded = degraded.get(..said.len().min(degraded.len())).unwrap_or_default();
            let score = judge.score(path.rate, said, degraded)?;
            if let Some(sum) = sum.get_mut(n) {
                *sum += score;
            }
            if let Some(delay) = n.checked_sub(1).and_then(|n| delays.get_mut(n)) {
                *delay += late + PACKET_MS;
            }
        }
    }
    let [codecs, plain, gateway] = sum.map(|sum| sum / recordings.len() as f64);
    let [plain_delay_ms, delay_ms] = delays.map(|delay| delay / recordings.len());
    Ok(Row { path: path.name, rate: path.rate, network, codecs, plain, gateway, delay_ms, plain_delay_ms })
}

/// What the speaker sends: a browser has heard of the loss, and the trunk's network is good.
fn spoken(path: &Path, network: Impairment, pcm: &[i16]) -> Result<Vec<Vec<u8>>> {
    match path.way {
        Way::Up => encode(path.browser(), path.rate, pcm, f64::from(network.loss_percent) / 100.0),
        Way::Down => encode(path.trunk, path.rate, pcm, 0.0),
    }
}

/// The same codecs and the same network, no call in between, and nobody who knows FEC.
fn plain(path: &Path, network: Impairment, pcm: &[i16]) -> Result<Vec<i16>> {
    let (codec, rate) = (if path.elastic { path.trunk } else { path.browser() }, path.rate);
    let before = match path.way {
        Way::Down if path.trunk != codec => through(&[path.trunk], rate, pcm)?,
        Way::Up | Way::Down => pcm.to_vec(),
    };
    let began = Instant::now();
    let (mut link, mut listener) = (Link::new(network, SEED), Listener::new(began, codec, rate, false)?);
    let packets = encode(codec, rate, &before, 0.0)?;
    let packet_ms = PACKET_MS as u64;
    for ms in 0..(packets.len() as u64 + 50) * packet_ms {
        let now = began + Duration::from_millis(ms);
        if ms % packet_ms == 0
            && let Some((number, payload)) =
                usize::try_from(ms / packet_ms).ok().and_then(|n| Some((n, packets.get(n)?)))
        {
            let mut packet = u32::try_from(number)?.to_be_bytes().to_vec();
            packet.extend_from_slice(payload);
            link.send(now, packet);
        }
        while let Some(packet) = link.receive(now) {
            if let Some((number, payload)) = packet.split_first_chunk::<4>() {
                let number = u32::from_be_bytes(*number);
                listener.packet(now, number as u16, number.wrapping_mul(codec.clock_rate() / 50), payload);
            }
        }
        listener.play(now);
    }
    match path.way {
        Way::Up if path.trunk != codec => through(&[path.trunk], rate, &listener.heard),
        Way::Up | Way::Down => Ok(listener.heard),
    }
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
    if let (Some(alone), Some(coded)) = (find("PCMU relayed down", 0), find("PCMU to opus", 0)) {
        let less = alone.codecs - coded.gateway;
        met &= less <= 0.05;
        writeln!(out, "G.711 to Opus is {less:.3} below G.711 alone: at most 0.05")?;
    }
    if let Some(row) = find("opus relayed up", 10) {
        met &= row.gateway >= 3.9;
        writeln!(out, "Opus with FEC at 10 % of random loss: {:.2}, at least 3.9", row.gateway)?;
    }
    Ok(met)
}

impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Impairment { loss_percent, kind, jitter_ms } = self.network;
        let loss = format!("{loss_percent} % {}", if kind == Kind::Burst { "bursts" } else { "random" });
        let (codecs, plain, gateway) = (self.codecs, self.plain, self.gateway);
        write!(f, "{:<27} {loss:<11} {jitter_ms:>3} ms {codecs:>8.2} {plain:>7.2} {gateway:>7.2}", self.path)?;
        write!(f, " {:>7} ({})", self.delay_ms, self.plain_delay_ms)
    }
}
