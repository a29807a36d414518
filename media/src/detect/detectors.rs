//! Everything that watches one call, and what it has found.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::echo::Echo;
use super::hearing::Hearing;
use super::ledger::Ledger;
use super::microphone::Microphone;
use super::passage::{Blocked, Delivery, Passage, Sight};
use super::probe::Band;
use super::{Fact, Issue, IssueChange, Verdict};
use crate::api::{CallStats, DropStats, Leg, Path};
use crate::quality::{HalfLeg, HalfLegSample, Level, LevelReason};
use crate::sdp::browser::{Candidate, CandidateKind};

/// Addresses of relays remembered.
const MAX_RELAYS: usize = 64;

/// How often what was heard is summed up.
const SECOND: Duration = Duration::from_secs(1);

/// An issue of a level is over when its reason was not among the reasons for so many looks.
const REASON_GONE: u8 = 5;

/// A second of which more than this is lost or made up says nothing of the microphone.
const MADE_UP: f32 = 0.02;

/// A pause like this has the same effect, milliseconds.
const HOLE_MS: u32 = 200;

/// Nor do the seconds after it, until the floor of the noise has forgotten it.
const FORGOTTEN: u8 = 4;

const NO_AUDIO: [Issue; 5] =
    [Issue::NoPackets, Issue::Undecryptable, Issue::WrongSource, Issue::UnknownPayloadType, Issue::Silence];

/// An issue, the reason of a level it goes with, and its measure.
type OfLevel = (Issue, LevelReason, fn(&HalfLegSample) -> Option<f32>);

const NETWORK: [OfLevel; 3] = [
    (Issue::Loss, LevelReason::Loss, |sample| sample.loss.map(|loss| loss * 100.0)),
    (Issue::Jitter, LevelReason::Jitter, |sample| sample.jitter_ms),
    (Issue::Rtt, LevelReason::Rtt, |sample| sample.rtt_ms),
];

/// How things stand in the call.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Situation {
    /// Audio is expected, in the order of [`HalfLeg::ALL`].
    pub(crate) expected: [bool; 4],
    /// Packets of audio so far: from the browser, from the trunk.
    pub(crate) audio: [u64; 2],
    /// Who has said that it is silent (comfort noise, RFC 3389), and not spoken since: the browser, the trunk.
    pub(crate) rests: [bool; 2],
    /// Payload types nobody negotiated, seen last: from the browser, from the trunk.
    pub(crate) strangers: [Option<u8>; 2],
}

/// Watches one call.
#[derive(Default)]
pub(crate) struct Detectors {
    ledger: Ledger,
    /// Browser, trunk.
    passages: [Passage; 2],
    deliveries: [Delivery; 2],
    path: Option<Path>,
    relays: Vec<SocketAddr>,
    levels: [Option<i8>; 2],
    microphone: Box<Microphone>,
    /// Seconds until what the browser says tells of its microphone again.
    spoilt: u8,
    /// The trunk returns what it was sent; the browser does.
    echoes: Option<Box<[Echo; 2]>>,
    /// See [`CallStats::speech_samples`].
    speech_samples: (u64, u64),
    summed: Option<Instant>,
    absent: [[u8; NETWORK.len()]; 4],
}

impl Detectors {
    /// The browser's candidates, or more of them.
    pub(crate) fn candidates(&mut self, candidates: &[Candidate]) {
        let relays = candidates.iter().filter(|candidate| candidate.kind == CandidateKind::Relay);
        for Candidate { address, .. } in relays {
            // overflow: dropped; no browser has so many relays.
            if self.relays.len() < MAX_RELAYS && !self.relays.contains(address) {
                self.relays.push(*address);
            }
        }
    }

    /// The leg has another peer: what is known of the one before does not hold for it.
    pub(crate) fn forget(&mut self, leg: Leg) {
        let [browser, trunk] = &mut self.passages;
        let [to_browser, to_trunk] = &mut self.deliveries;
        let (passage, delivery) = match leg {
            Leg::Browser => (browser, to_browser),
            Leg::Trunk => (trunk, to_trunk),
        };
        (*passage, *delivery) = (Passage::default(), Delivery::default());
        self.echoes = None;
    }

    /// The browser's packets go this way now.
    pub(crate) fn connected_over(&mut self, path: Path) {
        self.path = Some(path);
    }

    /// A report came from this leg: the highest number of ours it says has arrived, or nothing about us.
    pub(crate) fn reported(&mut self, now: Instant, leg: Leg, highest: Option<u32>) {
        let [browser, trunk] = &mut self.deliveries;
        match leg {
            Leg::Browser => browser.reported(now, highest),
            Leg::Trunk => trunk.reported(now, highest),
        }
    }

    /// Fills in what was found.
    pub(crate) fn fill(&self, stats: &mut CallStats) {
        let [browser, trunk] = &self.passages;
        let [to_browser, to_trunk] = &self.deliveries;
        stats.speech_samples = self.speech_samples;
        stats.verdicts = [browser.verdict, to_browser.verdict, trunk.verdict, to_trunk.verdict];
        // What comes from one leg is what the other is sent.
        let [from_browser, from_trunk] = self.levels;
        for (sample, level) in stats.quality.iter_mut().zip([from_browser, from_trunk, from_trunk, from_browser]) {
            sample.audio_dbov = level;
        }
    }

    /// Looks at everything, at least once a second. Ears: on the browser, on the trunk. When to look before that second
    /// is over, if so.
    pub(crate) fn look(
        &mut self,
        now: Instant,
        situation: &Situation,
        stats: &CallStats,
        mut ears: [Option<&mut Hearing>; 2],
    ) -> Option<Instant> {
        self.look_at_passages(now, situation, stats, &mut ears);
        let second_over = self.summed.is_none_or(|at| now.saturating_duration_since(at) >= SECOND - SECOND / 50);
        if second_over {
            self.summed = Some(now);
            self.listen(now, &stats.quality, ears);
            self.look_at_levels(now, &stats.quality);
            self.look_at_path(now, stats.browser_remote);
        }
        let passages = self.passages.iter().filter_map(Passage::due);
        passages.filter(|due| *due > now).min()
    }

    /// What is new. Call until `None`.
    pub(crate) fn poll(&mut self) -> Option<IssueChange> {
        self.ledger.poll()
    }

    fn look_at_passages(
        &mut self,
        now: Instant,
        situation: &Situation,
        stats: &CallStats,
        ears: &mut [Option<&mut Hearing>; 2],
    ) {
        let [browser_up, browser_down, sip_up, sip_down] = situation.expected;
        let browser_drops = difference(stats.drops, stats.trunk_drops);
        let up = [(HalfLeg::BrowserUp, browser_up, browser_drops), (HalfLeg::SipUp, sip_up, stats.trunk_drops)];
        let said = situation.audio.into_iter().zip(situation.rests).zip(situation.strangers);
        let state = self.passages.iter_mut().zip(said).zip(ears);
        for ((half_leg, expected, drops), ((passage, ((audio, rests), stranger)), ear)) in up.into_iter().zip(state) {
            let heard = ear.as_ref().map(|ear| ear.heard());
            let blocked = passage.look(now, &Sight { expected, audio, rests, drops, stranger, heard });
            if let Some(ear) = ear {
                ear.listen_afresh();
                if expected && passage.verdict != Verdict::Heard {
                    ear.listen_closely();
                }
            }
            tell_blocked(&mut self.ledger, now, half_leg, blocked);
        }
        let sent = [stats.browser_out.packets, stats.trunk_out.packets];
        let down = [(HalfLeg::BrowserDown, browser_down), (HalfLeg::SipDown, sip_down)];
        for (((half_leg, expected), delivery), sent) in down.into_iter().zip(&mut self.deliveries).zip(sent) {
            let blocked = delivery.look(now, expected, sent);
            tell_blocked(&mut self.ledger, now, half_leg, blocked);
        }
    }

    fn listen(&mut self, now: Instant, quality: &[HalfLegSample; 4], [browser, trunk]: [Option<&mut Hearing>; 2]) {
        let (Some(browser), Some(trunk)) = (browser, trunk) else { return };
        let second = browser.take_second();
        self.speech_samples.0 += u64::from(second.speech_samples);
        self.speech_samples.1 += u64::from(second.clipped);
        self.levels = [second.level(), trunk.take_second().level()];
        let [browser_up, ..] = quality;
        self.spoilt = if is_spoilt(browser_up) { FORGOTTEN } else { self.spoilt.saturating_sub(1) };
        if self.spoilt == 0 {
            self.microphone.push(&second);
        }
        for complaint in self.microphone.complaints() {
            if !complaint.present {
                self.ledger.clear(complaint.issue, HalfLeg::BrowserUp);
                continue;
            }
            let (name, measure) = complaint.measure;
            self.ledger.raise(now, (complaint.issue, HalfLeg::BrowserUp), complaint.confidence, measure, || {
                let noise = complaint.noise_dbov.map(|noise| ("noise_dbov", number(noise)));
                let mut evidence = vec![("speech_dbov", number(complaint.speech_dbov))];
                evidence.extend(noise);
                if name != "speech_dbov" {
                    evidence.push((name, number(measure)));
                }
                evidence
            });
        }
        self.look_at_band(now, browser.band());
        self.look_for_echo(now, browser, trunk);
    }

    fn look_at_band(&mut self, now: Instant, band: Option<Band>) {
        match band {
            Some(Band::Narrow { above, speech }) => {
                // A header alone says what the sender did, not what its microphone can do.
                let confidence = if above.is_some() { 0.8 } else { 0.6 };
                self.ledger.raise(now, (Issue::NarrowbandMic, HalfLeg::BrowserUp), confidence, 0.0, || {
                    let mut evidence = vec![("speech_dbov", Fact::Number(f64::from(speech)))];
                    evidence.extend(above.map(|above| ("above_4_khz_dbov", Fact::Number(f64::from(above)))));
                    evidence
                });
            }
            Some(Band::Wide) => self.ledger.clear(Issue::NarrowbandMic, HalfLeg::BrowserUp),
            None => {}
        }
    }

    fn look_for_echo(&mut self, now: Instant, browser: &Hearing, trunk: &Hearing) {
        let [from_trunk, from_browser] = &mut **self.echoes.get_or_insert_default();
        from_trunk.look(browser, trunk);
        from_browser.look(trunk, browser);
        // An envelope resembles itself a little later: of two echoes the weaker is the other's shadow.
        let trunk_leads = from_trunk.score() >= from_browser.score();
        for (echo, half_leg, leads) in
            [(from_trunk, HalfLeg::SipUp, trunk_leads), (from_browser, HalfLeg::BrowserUp, !trunk_leads)]
        {
            let Some(found) = echo.found() else {
                self.ledger.clear(Issue::Echo, half_leg);
                continue;
            };
            if !leads {
                continue;
            }
            let confidence = (found.correlation - 0.1).clamp(0.4, 0.95);
            self.ledger.raise(now, (Issue::Echo, half_leg), confidence, found.delay_ms as f32, || {
                vec![
                    ("delay_ms", Fact::Count(u64::from(found.delay_ms))),
                    ("erl_db", number(found.erl_db)),
                    ("correlation", number(found.correlation)),
                ]
            });
        }
    }

    fn look_at_levels(&mut self, now: Instant, quality: &[HalfLegSample; 4]) {
        let all = HalfLeg::ALL.into_iter().zip(quality).zip(&mut self.absent);
        for ((half_leg, sample), absent) in all {
            for ((issue, reason, measure), absent) in NETWORK.into_iter().zip(absent) {
                let bad = matches!(sample.level, Level::Amber | Level::Red) && sample.reasons.contains(reason);
                if bad {
                    *absent = 0;
                    let confidence = if sample.level == Level::Red { 0.95 } else { 0.8 };
                    let measure = measure(sample).unwrap_or_default();
                    self.ledger.raise(now, (issue, half_leg), confidence, measure, || network_evidence(sample));
                    continue;
                }
                *absent = absent.saturating_add(1);
                if sample.level == Level::Green || *absent >= REASON_GONE {
                    self.ledger.clear(issue, half_leg);
                }
            }
        }
    }

    /// Whether this address is one of the browser's relays.
    pub(crate) fn is_relay(&self, remote: Option<SocketAddr>) -> bool {
        remote.is_some_and(|remote| self.relays.contains(&remote))
    }

    fn look_at_path(&mut self, now: Instant, remote: Option<SocketAddr>) {
        match self.path {
            Some(Path::Tcp) => {
                self.ledger.raise(now, (Issue::TcpFallback, HalfLeg::BrowserUp), 1.0, 0.0, Vec::new);
            }
            Some(Path::Udp) | None => self.ledger.clear(Issue::TcpFallback, HalfLeg::BrowserUp),
        }
        match remote.filter(|remote| self.relays.contains(remote)) {
            Some(relay) => self.ledger.raise(now, (Issue::RelayInUse, HalfLeg::BrowserUp), 0.95, 0.0, || {
                vec![("relay", Fact::Text(relay.to_string()))]
            }),
            None => self.ledger.clear(Issue::RelayInUse, HalfLeg::BrowserUp),
        }
    }
}

fn tell_blocked(ledger: &mut Ledger, now: Instant, half_leg: HalfLeg, blocked: Option<Blocked>) {
    for issue in NO_AUDIO {
        if blocked.is_none_or(|blocked| blocked.issue != issue) {
            ledger.clear(issue, half_leg);
        }
    }
    let Some(blocked) = blocked else { return };
    ledger.raise(now, (blocked.issue, half_leg), blocked.confidence, 0.0, || {
        let ms = u64::try_from(blocked.lasts.as_millis()).unwrap_or(u64::MAX);
        let mut evidence = vec![("lasts_ms", Fact::Count(ms))];
        if blocked.dropped > 0 {
            evidence.push(("dropped", Fact::Count(blocked.dropped)));
        }
        evidence.extend(blocked.payload_type.map(|number| ("payload_type", Fact::Count(u64::from(number)))));
        evidence.extend(blocked.loudest.map(|loudest| ("loudest_dbov", Fact::Number(f64::from(loudest)))));
        evidence
    });
}

/// Whether much of this second did not come as it was said.
fn is_spoilt(sample: &HalfLegSample) -> bool {
    let shares = [sample.loss, sample.late, sample.concealed];
    sample.gap_ms > HOLE_MS || shares.into_iter().flatten().any(|share| share > MADE_UP)
}

fn network_evidence(sample: &HalfLegSample) -> Vec<(&'static str, Fact)> {
    let measures = [("loss", sample.loss), ("jitter_ms", sample.jitter_ms), ("rtt_ms", sample.rtt_ms)];
    measures.into_iter().filter_map(|(name, measure)| Some((name, number(measure?)))).collect()
}

/// Rounded, so that evidence reads well.
fn number(value: f32) -> Fact {
    Fact::Number((f64::from(value) * 1000.0).round() / 1000.0)
}

/// What is left of `all` without `part`.
fn difference(all: DropStats, part: DropStats) -> DropStats {
    DropStats {
        malformed: all.malformed.saturating_sub(part.malformed),
        bad_integrity: all.bad_integrity.saturating_sub(part.bad_integrity),
        wrong_source: all.wrong_source.saturating_sub(part.wrong_source),
        undecryptable: all.undecryptable.saturating_sub(part.undecryptable),
        replayed: all.replayed.saturating_sub(part.replayed),
        unknown_payload: all.unknown_payload.saturating_sub(part.unknown_payload),
        bad_dtls: all.bad_dtls.saturating_sub(part.bad_dtls),
        bad_rtcp: all.bad_rtcp.saturating_sub(part.bad_rtcp),
    }
}
