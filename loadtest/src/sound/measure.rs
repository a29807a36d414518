//! A path over a network, measured: what each recording sounds like, and what it might.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;
use trunkline_media::browser::transport::DtlsIdentity;
use trunkline_media::rtp::{PayloadType, red};

use super::asked::Asked;
use super::lane::Lane;
use super::listener::Listener;
use super::network::{Impairment, Link};
use super::paths::{Path, Way};
use super::pesq::Judge;
use super::speech::{Speaker, Speech, decode, delay_ms, encode, through};
use crate::browser::Kit;
use crate::row::OPUS;

/// What a speaker holds back until a packet is full.
const PACKET_MS: u32 = 20;

/// What all rows share.
pub(super) struct Bench {
    pub(super) recordings: Vec<Speech>,
    pub(super) seeds: u64,
    pub(super) identity: Arc<DtlsIdentity>,
    pub(super) kit: Kit,
}

/// PESQ of each way to the ear, and how long two of them take.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Scores {
    /// The codecs alone, without a network or a call.
    pub(super) codecs: f64,
    /// A plain decoder without FEC at the end of the same network, without a call.
    pub(super) plain: f64,
    /// The same packets lost, none late, the rest decoded with all that FEC and redundancy know: nobody can do better.
    pub(super) ideal: f64,
    pub(super) gateway: f64,
    /// From the mouth to the ear, with a packet's time and the listener's own jitter buffer.
    pub(super) delay_ms: f64,
    pub(super) plain_delay_ms: f64,
    /// How many runs this is the mean of.
    pub(super) runs: u32,
}

impl Bench {
    /// The means over all recordings that have the path's band. Each is said twice: once to find out about the network, once
    /// to be judged.
    pub(super) fn measure(&self, path: &Path, network: Impairment, judges: &mut [Judge]) -> Result<Scores> {
        let threads = judges.len();
        let shares = std::thread::scope(|scope| {
            let work = |(first, judge): (usize, &mut Judge)| {
                let mut sum = Scores::default();
                for (n, speech) in self.recordings.iter().enumerate().skip(first).step_by(threads) {
                    if path.rate > 8_000 && !speech.is_wide {
                        continue;
                    }
                    for seed in 0..self.seeds {
                        self.once(path, network, speech, 1 + n as u64 + 1_000 * seed, judge, &mut sum)?;
                    }
                }
                Ok(sum)
            };
            let running: Vec<_> = judges.iter_mut().enumerate().map(|job| scope.spawn(move || work(job))).collect();
            running.into_iter().map(|one| one.join().ok().context("a run panicked")?).collect::<Result<Vec<_>>>()
        })?;
        Ok(mean(&shares))
    }

    fn once(
        &self,
        path: &Path,
        network: Impairment,
        speech: &Speech,
        seed: u64,
        judge: &Judge,
        sum: &mut Scores,
    ) -> Result<()> {
        let said = speech.pcm(path.rate);
        let source = speech.pcm(path.source_rate()).repeat(2);
        let lane = Lane::open(*path, &self.identity, &self.kit, seed)?;
        let asked = lane.asked;
        let heard = lane.run(spoken(path, asked, network, &source)?.into(), network)?;
        let rate = path.rate;
        let judged = |whole: &[i16]| -> Result<(f64, f64)> {
            let second = whole.get(said.len()..).unwrap_or_default();
            let late = delay_ms(said, second, rate);
            let degraded = second.get(late * rate as usize / 1000..).unwrap_or_default();
            let degraded = degraded.get(..said.len().min(degraded.len())).unwrap_or_default();
            Ok((judge.score(rate, said, degraded)?, late as f64 + f64::from(PACKET_MS)))
        };
        sum.codecs += judged(&ideal(path, asked, &source, None, seed)?)?.0;
        sum.ideal += judged(&ideal(path, asked, &source, Some(network), seed)?)?.0;
        let (plain, plain_delay_ms) = judged(&plain(path, network, &source, seed)?)?;
        let (gateway, delay_ms) = judged(&heard)?;
        sum.plain += plain;
        sum.gateway += gateway;
        sum.plain_delay_ms += plain_delay_ms;
        sum.delay_ms += delay_ms;
        sum.runs += 1;
        Ok(())
    }
}

fn mean(shares: &[Scores]) -> Scores {
    let runs: u32 = shares.iter().map(|share| share.runs).sum();
    let of = |value: fn(&Scores) -> f64| shares.iter().map(value).sum::<f64>() / f64::from(runs.max(1));
    Scores {
        codecs: of(|scores| scores.codecs),
        plain: of(|scores| scores.plain),
        ideal: of(|scores| scores.ideal),
        gateway: of(|scores| scores.gateway),
        delay_ms: of(|scores| scores.delay_ms),
        plain_delay_ms: of(|scores| scores.plain_delay_ms),
        runs,
    }
}

/// What the speaker sends: a browser has heard of the loss, and the trunk's network is good.
fn spoken(path: &Path, asked: Asked, network: Impairment, pcm: &[i16]) -> Result<Vec<Vec<u8>>> {
    let packets = match path.way {
        Way::Up => encode(Speaker::Browser(asked), path.browser(), path.source_rate(), pcm, share(network))?,
        Way::Down => encode(Speaker::Gateway(path.complexity), path.trunk, path.rate, pcm, 0.0)?,
    };
    if !asked.twice || path.way == Way::Down {
        return Ok(packets);
    }
    let before = std::iter::once(&[][..]).chain(packets.iter().map(Vec::as_slice));
    let twice = before.zip(&packets).map(|(before, packet)| {
        let mut both = Vec::new();
        red::write(&mut both, PayloadType(OPUS), Some((path.browser().clock_rate() / 50, before)), packet);
        both
    });
    Ok(twice.collect())
}

/// The codecs alone, over a network that delays nothing and of which all is known, or without one.
fn ideal(path: &Path, asked: Asked, source: &[i16], network: Option<Impairment>, seed: u64) -> Result<Vec<i16>> {
    let rate = path.rate;
    let loss = network.map_or(0.0, share);
    let mut link = Link::new(network.unwrap_or(Impairment::NONE), seed);
    let now = Instant::now();
    let mut over = |codec, packets: &[Vec<u8>]| {
        let came: Vec<bool> = packets.iter().map(|_| link.carries(now)).collect();
        decode(codec, rate, packets, path.red && (asked.twice || path.way == Way::Down), |n| {
            came.get(n).copied().unwrap_or(false)
        })
    };
    match path.way {
        Way::Up => {
            let heard = over(
                path.browser(),
                &encode(Speaker::Browser(asked), path.browser(), path.source_rate(), source, loss)?,
            )?;
            if path.trunk == path.browser() { Ok(heard) } else { through(path.trunk, rate, &heard) }
        }
        Way::Down => {
            let codec = if path.elastic && loss == 0.0 { path.trunk } else { path.browser() };
            let before = if path.trunk == codec { source.to_vec() } else { through(path.trunk, rate, source)? };
            over(
                codec,
                &encode(
                    Speaker::Gateway(path.complexity),
                    codec,
                    rate,
                    &before,
                    if path.red { loss / 2.0 } else { loss },
                )?,
            )
        }
    }
}

/// The same codecs and the same network, no call in between, nobody who knows FEC, and a browser that nobody asks for
/// anything.
fn plain(path: &Path, network: Impairment, source: &[i16], seed: u64) -> Result<Vec<i16>> {
    let rate = path.rate;
    let codec = if path.elastic { path.trunk } else { path.browser() };
    let packets = match path.way {
        Way::Up => encode(Speaker::Browser(Asked::NOTHING), codec, path.source_rate(), source, 0.0)?,
        Way::Down if path.trunk != codec => {
            encode(Speaker::Gateway(path.complexity), codec, rate, &through(path.trunk, rate, source)?, 0.0)?
        }
        Way::Down => encode(Speaker::Gateway(path.complexity), codec, rate, source, 0.0)?,
    };
    let began = Instant::now();
    let (mut link, mut listener) = (Link::new(network, seed), Listener::new(began, codec, rate, false)?);
    let mut waiting = packets.iter().zip(0u32..);
    for ms in 0..(u32::try_from(packets.len())? + 50) * PACKET_MS {
        let now = began + Duration::from_millis(ms.into());
        if ms % PACKET_MS == 0
            && let Some((payload, number)) = waiting.next()
        {
            link.send(now, [&number.to_be_bytes()[..], payload].concat());
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
        Way::Up if path.trunk != codec => through(path.trunk, rate, &listener.heard),
        Way::Up | Way::Down => Ok(listener.heard),
    }
}

/// The share that is lost, 0..1.
fn share(network: Impairment) -> f64 {
    f64::from(network.loss_percent) / 100.0
}
