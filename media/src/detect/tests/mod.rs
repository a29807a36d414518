//! Detectors against people's voices, synthesised ones, and signals made to mislead.

mod passages;
mod rates;
mod signals;

use std::time::{Duration, Instant};

use self::signals::packets;
use super::{Detectors, Ear, Issue, IssueChange, Situation};
use crate::api::CallStats;
use crate::audio::Codec;
use crate::quality::HalfLeg;

const PACKET: Duration = Duration::from_millis(20);

/// How the audio of a leg reaches the ear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Transcoded,
    Relayed,
}

/// Ears and detectors, told the time.
struct Bench {
    now: Instant,
    detectors: Detectors,
    ears: [Ear; 2],
    situation: Situation,
    stats: CallStats,
    told: Vec<IssueChange>,
    packets: u64,
    next_look: Instant,
    /// Before that.
    due: Option<Instant>,
}

impl Bench {
    fn new() -> Self {
        #[allow(clippy::disallowed_methods)] // Where virtual time begins.
        let now = Instant::now() + Duration::from_secs(3600);
        Self {
            now,
            detectors: Detectors::default(),
            ears: [Ear::new(now), Ear::new(now)],
            situation: Situation::default(),
            stats: CallStats::default(),
            told: Vec::new(),
            packets: 0,
            next_look: now,
            due: None,
        }
    }

    /// Everybody is expected from now on.
    fn answered() -> Self {
        let mut bench = Self::new();
        bench.situation.expected = [true; 4];
        bench.look();
        bench
    }

    fn look(&mut self) {
        let [browser, trunk] = &mut self.ears;
        let ears = [browser, trunk].map(|ear| Some(ear.hearing()));
        self.due = self.detectors.look(self.now, &self.situation, &self.stats, ears);
        while let Some(change) = self.detectors.poll() {
            self.told.push(change);
        }
        self.detectors.fill(&mut self.stats);
    }

    fn pass(&mut self, by: Duration) {
        self.now += by;
        if self.now >= self.next_look {
            self.next_look += Duration::from_secs(1);
            self.look();
        } else if self.due.is_some_and(|due| due <= self.now) {
            self.look();
        }
    }

    /// Nothing comes.
    fn wait(&mut self, ms: u64) {
        for _ in 0..ms / 20 {
            self.pass(PACKET);
        }
    }

    /// Both speak at 8 kHz.
    fn talk(&mut self, way: Way, browser: &[i16], trunk: &[i16]) {
        let sides = [packets(Codec::Pcmu, browser, 8_000), packets(Codec::Pcmu, trunk, 8_000)];
        for (n, (from_browser, from_trunk)) in sides[0].iter().zip(&sides[1]).enumerate() {
            let frames = [browser, trunk].map(|pcm| &pcm[n * 160..(n + 1) * 160]);
            for ((ear, payload), frame) in self.ears.iter_mut().zip([from_browser, from_trunk]).zip(frames) {
                match way {
                    Way::Transcoded => ear.pcm(self.now, Codec::Opus, 8_000, frame),
                    Way::Relayed => ear.packet(self.now, Codec::Pcmu, self.packets, payload, true),
                }
            }
            self.packets += 1;
            self.situation.audio = self.situation.audio.map(|packets| packets + 1);
            self.pass(PACKET);
        }
    }

    /// The browser sends Opus that somebody else decodes at 8 kHz.
    fn say_opus(&mut self, pcm: &[i16], rate: u32) {
        let payloads = signals::opus(pcm, rate);
        let heard = signals::decoded(&payloads, 8_000);
        for (payload, frame) in payloads.iter().zip(heard.chunks_exact(160)) {
            self.ears[0].packet(self.now, Codec::Opus, self.packets, payload, false);
            self.ears[0].pcm(self.now, Codec::Opus, 8_000, frame);
            self.packets += 1;
            self.situation.audio[0] += 1;
            self.pass(PACKET);
        }
    }

    fn raised(&self, issue: Issue, half_leg: HalfLeg) -> bool {
        self.told.iter().any(|change| (change.issue, change.half_leg, change.raised) == (issue, half_leg, true))
    }

    fn cleared(&self, issue: Issue, half_leg: HalfLeg) -> bool {
        self.told.iter().any(|change| (change.issue, change.half_leg, change.raised) == (issue, half_leg, false))
    }

    fn fact(&self, issue: Issue, name: &str) -> f64 {
        let change = self.told.iter().rev().find(|change| change.issue == issue && change.raised).unwrap();
        let (_, fact) = change.evidence.iter().find(|(known, _)| *known == name).unwrap();
        match fact {
            super::Fact::Number(number) => *number,
            super::Fact::Count(count) => *count as f64,
            super::Fact::Text(text) => panic!("{name} is {text}"),
        }
    }
}
