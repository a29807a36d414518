//! What is measured of the calls: each second's quality, findings, dropped datagrams, how long each stage took.

use std::sync::Arc;
use std::time::Duration;

use trunkline_media::api::{CallStats, DropStats, ReorderStats};
use trunkline_media::audio::Codec;
use trunkline_media::quality::{HalfLeg, HalfLegSample};

use super::catalogue;
use super::family::Family;
use super::handles::{Histogram, Ledger, Tally};
use super::hooks::HookMeasures;
use super::labels::DROPS;
use crate::call::Timings;
use crate::outcome::{Class, Outcome, Phase};

/// What is measured of all calls of this node.
#[derive(Debug)]
pub struct CallMeasures {
    seconds: Tally,
    loss: Histogram,
    jitter: Histogram,
    rtt: Histogram,
    mos: Histogram,
    findings: Tally,
    drops: Tally,
    resent: Tally,
    reordered: Tally,
    switches: Tally,
    dropped: Tally,
    duration: Histogram,
    talk: Histogram,
    setup: Histogram,
    attempts: Ledger,
    transfers: Tally,
    /// Hooks and recordings, which have a count of their own.
    pub(crate) hooks: Arc<HookMeasures>,
}

impl Default for CallMeasures {
    fn default() -> Self {
        Self {
            seconds: Tally::new(&catalogue::QUALITY_SECONDS),
            loss: Histogram::new(&catalogue::LOSS_RATIO),
            jitter: Histogram::new(&catalogue::JITTER_SECONDS),
            rtt: Histogram::new(&catalogue::RTT_SECONDS),
            mos: Histogram::new(&catalogue::MOS_SCORE),
            findings: Tally::new(&catalogue::FINDINGS),
            drops: Tally::new(&catalogue::MEDIA_DROPS),
            resent: Tally::new(&catalogue::MEDIA_RESENT),
            reordered: Tally::new(&catalogue::REORDERED),
            switches: Tally::new(&catalogue::CODEC_SWITCHES),
            dropped: Tally::new(&catalogue::CALLS_DROPPED),
            duration: Histogram::new(&catalogue::CALL_DURATION),
            talk: Histogram::new(&catalogue::CALL_TALK),
            setup: Histogram::new(&catalogue::CALL_SETUP),
            attempts: Ledger::new(&catalogue::TRUNK_ATTEMPTS),
            transfers: Tally::new(&catalogue::TRANSFERS),
            hooks: Arc::default(),
        }
    }
}

impl CallMeasures {
    /// A second of a call. What is not known is not observed.
    pub fn sampled(&self, quality: &[HalfLegSample; 4]) {
        for (half_leg, sample) in HalfLeg::ALL.into_iter().zip(quality) {
            let word = half_leg.word();
            let observe = |histogram: &Histogram, labels: &[&str], measure: Option<f32>, unit: f64| {
                if let Some(measure) = measure {
                    histogram.observe(labels, f64::from(measure) / unit);
                }
            };
            self.seconds.add(&[word, sample.level.word()], 1);
            observe(&self.loss, &[word], sample.loss, 1.0);
            observe(&self.jitter, &[word], sample.jitter_ms, 1e3);
            observe(&self.rtt, &[word], sample.rtt_ms, 1e3);
            observe(&self.mos, &[word, "lq"], sample.mos_lq, 1.0);
            observe(&self.mos, &[word, "cq"], sample.mos_cq, 1.0);
        }
    }

    /// A cause of a bad call was found, by its word.
    pub fn found(&self, finding: &str) {
        self.findings.add(&[finding], 1);
    }

    /// What a browser is sent goes on in another codec.
    pub fn switched(&self, to: Codec) {
        self.switches.add(&[to.name()], 1);
    }

    /// An INVITE to a trunk came to something: `answered`, `cancelled`, or a reason.
    pub fn attempted(&self, trunk: &str, result: &str) {
        self.attempts.add(&[trunk, result]);
    }

    /// A call was handed over, or was to be: `done`, `failed`.
    pub fn transferred(&self, mode: &str, by: &str, result: &str) {
        self.transfers.add(&[mode, by, result], 1);
    }

    /// A call is over.
    pub fn ended(&self, outcome: &Outcome, timings: &Timings) {
        let reason = outcome.reason;
        if let Some(ended) = timings.ended {
            self.duration.observe(&[reason.class().word()], ended.as_secs_f64());
            if let Some(answered) = timings.answered {
                self.talk.observe(&[], ended.saturating_sub(answered).as_secs_f64());
            }
        }
        if reason.class() == Class::Error && outcome.phase == Phase::Talking {
            self.dropped.add(&[reason.blame().word(), outcome.quality_at_end.level], 1);
        }
        for (stage, took) in stages(timings) {
            if let Some(took) = took {
                self.setup.observe(&[stage], took.as_secs_f64());
            }
        }
    }

    /// All of it at this moment.
    #[must_use]
    pub fn read(&self) -> Vec<Family> {
        let calls = [&self.findings, &self.dropped, &self.transfers];
        let media = [&self.seconds, &self.drops, &self.resent, &self.reordered, &self.switches];
        let tallies = calls.into_iter().chain(media).map(Tally::read);
        let histograms = [&self.loss, &self.jitter, &self.rtt, &self.mos, &self.duration, &self.talk, &self.setup]
            .map(Histogram::read);
        tallies.chain(histograms).chain([self.attempts.read()]).chain(self.hooks.read()).collect()
    }
}

/// The stages of a set-up that were come through. Audio that was there before the answer was not waited for.
fn stages(timings: &Timings) -> [(&'static str, Option<Duration>); 7] {
    let between = |from: Option<Duration>, to: Option<Duration>| Some(to?.saturating_sub(from?));
    let Timings { ice, dtls, ringing, answered, first_audio_up, first_audio_down, ended: _ } = *timings;
    [
        ("offer_to_ice", ice),
        ("ice_to_dtls", between(ice, dtls)),
        ("offer_to_ringing", ringing),
        ("offer_to_answer", answered),
        ("ringing_to_answer", between(ringing, answered)),
        ("answer_to_audio_up", between(answered, first_audio_up)),
        ("answer_to_audio_down", between(answered, first_audio_down)),
    ]
}

/// Which of a call's dropped datagrams have been counted, browser leg and trunk leg, of those sent again, and of those that
/// came out of order.
#[derive(Debug, Default)]
pub struct DropsSeen {
    drops: [[u64; DROPS.len()]; 2],
    resent: u64,
    reorder: ReorderStats,
}

impl DropsSeen {
    /// Counts those that are new.
    pub fn count(&mut self, stats: &CallStats, measures: &CallMeasures) {
        if stats.resent > self.resent {
            measures.resent.add(&[], stats.resent - self.resent);
            self.resent = stats.resent;
        }
        let (seen, now) = (std::mem::replace(&mut self.reorder, stats.browser_in.reorder), stats.browser_in.reorder);
        for (result, seen, now) in
            [("put_right", seen.put_right, now.put_right), ("given_up", seen.given_up, now.given_up)]
        {
            measures.reordered.add(&[result], now.saturating_sub(seen));
        }
        let (all, trunk) = (fields(&stats.drops), fields(&stats.trunk_drops));
        let browser = std::array::from_fn(|at| {
            all.get(at).copied().unwrap_or(0).saturating_sub(trunk.get(at).copied().unwrap_or(0))
        });
        for ((leg, seen), now) in ["browser", "sip"].into_iter().zip(&mut self.drops).zip([browser, trunk]) {
            for ((reason, seen), now) in DROPS.into_iter().zip(seen).zip(now) {
                if now > *seen {
                    measures.drops.add(&[leg, reason], now - *seen);
                    *seen = now;
                }
            }
        }
    }
}

/// In the order of the words.
fn fields(drops: &DropStats) -> [u64; DROPS.len()] {
    let DropStats {
        malformed,
        bad_integrity,
        wrong_source,
        undecryptable,
        replayed,
        unknown_payload,
        bad_dtls,
        bad_rtcp,
    } = *drops;
    [malformed, bad_integrity, wrong_source, undecryptable, replayed, unknown_payload, bad_dtls, bad_rtcp]
}
