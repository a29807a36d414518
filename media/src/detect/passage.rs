//! Does a half-leg's audio get through? Up: from what comes and what is dropped. Down: from what the peer reports.

use std::time::{Duration, Instant};

use super::hearing::Heard;
use super::{Issue, Verdict};
use crate::api::DropStats;

/// Audio that is expected and never came is missed after this.
pub(super) const PATIENCE: Duration = Duration::from_millis(1800);

/// Audio that stops is missed after this, or sooner when something else comes in its stead, or later when the last
/// thing heard was silence (a sender may stop sending then).
const STOPPED: Duration = Duration::from_secs(4);
const STOPPED_IN_SILENCE: Duration = Duration::from_secs(10);

/// Dropped packets of a kind that show it is no accident.
const NOT_BY_CHANCE: u64 = 8;

/// Silence of one who had spoken before is worth a word after this.
const FELL_SILENT: Duration = Duration::from_secs(30);

/// The loudest frame that is no microphone's: digital silence, and what companding and Opus make of it. dBov.
pub(super) const NOTHING: i8 = -84;
const NOTHING_COMPANDED: i8 = -71;

/// Packets sent before the peer's report must mention them.
const SENT_ENOUGH: u64 = 50;

/// Reports in a row whose highest number does not move show that nothing arrives.
const REPORTS: u8 = 2;

/// Who gets nothing at all cannot name a number: so many of its reports, over so long, show that too.
const BARE_REPORTS: u8 = 3;
const BARE_FOR: Duration = Duration::from_secs(8);

/// What was reported is known no more after this; browsers report every five seconds or so.
const REPORT_HOLDS: Duration = Duration::from_secs(16);

/// What is known of an up half-leg now. Counts are totals.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sight {
    pub(super) expected: bool,
    pub(super) audio: u64,
    /// It has said that it is silent: until it speaks, nothing is missing.
    pub(super) rests: bool,
    pub(super) drops: DropStats,
    /// The payload type nobody negotiated that was seen last.
    pub(super) stranger: Option<u8>,
    /// What was heard since the last look; `None` if nobody listens.
    pub(super) heard: Option<Heard>,
}

/// What is wrong, and what shows it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Blocked {
    pub(super) issue: Issue,
    pub(super) confidence: f32,
    /// How long it has lasted.
    pub(super) lasts: Duration,
    /// Packets dropped for this reason meanwhile.
    pub(super) dropped: u64,
    /// The payload type, of [`Issue::UnknownPayloadType`].
    pub(super) payload_type: Option<u8>,
    /// The loudest heard, of [`Issue::Silence`].
    pub(super) loudest: Option<i8>,
}

impl Blocked {
    fn new(issue: Issue, confidence: f32, lasts: Duration) -> Self {
        Self { issue, confidence, lasts, dropped: 0, payload_type: None, loudest: None }
    }
}

/// An up half-leg.
#[derive(Debug, Default)]
pub(super) struct Passage {
    watch: Option<Watch>,
    /// Somebody was heard on this half-leg before.
    heard_before: bool,
    pub(super) verdict: Verdict,
}

/// Since audio is expected.
#[derive(Debug)]
struct Watch {
    /// When audio last came, or was first expected.
    since: Instant,
    came: bool,
    audio: u64,
    /// Drops when audio last came.
    base: DropStats,
    /// When anything but silence was last heard, or was first expected.
    sound: Instant,
    loudest: Option<i8>,
    /// Frames and packets of silence since then.
    silent_frames: u32,
    quiet_packets: u32,
    /// The last look heard nothing but silence.
    silent: bool,
}

impl Passage {
    /// When the first judgement is due, if it was not made.
    pub(super) fn due(&self) -> Option<Instant> {
        self.watch.as_ref().filter(|_| self.verdict == Verdict::Unknown).map(|watch| watch.since + PATIENCE)
    }

    /// Looks. `None`: nothing is wrong, as far as can be said.
    pub(super) fn look(&mut self, now: Instant, sight: &Sight) -> Option<Blocked> {
        if !sight.expected {
            self.watch = None;
            return None;
        }
        let Some(watch) = &mut self.watch else {
            self.watch = Some(Watch {
                since: now,
                came: false,
                audio: sight.audio,
                base: sight.drops,
                sound: now,
                loudest: None,
                silent_frames: 0,
                quiet_packets: 0,
                silent: false,
            });
            self.verdict = Verdict::Unknown;
            return None;
        };
        if sight.audio > watch.audio {
            (watch.audio, watch.since, watch.base, watch.came) = (sight.audio, now, sight.drops, true);
        }
        if let Some(missing) = watch.missing(now, sight) {
            let (verdict, missing) = missing;
            self.verdict = verdict;
            return Some(missing);
        }
        if !watch.came {
            return None;
        }
        if watch.listen(now, sight.heard.unwrap_or_default()) {
            self.heard_before = true;
            self.verdict = Verdict::Heard;
        } else if matches!(
            self.verdict,
            Verdict::NoPackets | Verdict::Undecryptable | Verdict::WrongSource | Verdict::UnknownPayloadType
        ) {
            self.verdict = if self.heard_before { Verdict::Heard } else { Verdict::Unknown };
        }
        let silence = watch.silence(now, self.heard_before)?;
        self.verdict = Verdict::Silent;
        Some(silence)
    }
}

impl Watch {
    /// Why no audio comes, once that has lasted too long.
    fn missing(&self, now: Instant, sight: &Sight) -> Option<(Verdict, Blocked)> {
        let gap = now.saturating_duration_since(self.since);
        let (now_dropped, before) = (sight.drops, self.base);
        let strangers = now_dropped.unknown_payload.saturating_sub(before.unknown_payload);
        let (issue, verdict, dropped) = [
            (
                Issue::Undecryptable,
                Verdict::Undecryptable,
                now_dropped.undecryptable.saturating_sub(before.undecryptable),
            ),
            (Issue::WrongSource, Verdict::WrongSource, now_dropped.wrong_source.saturating_sub(before.wrong_source)),
            (Issue::UnknownPayloadType, Verdict::UnknownPayloadType, strangers),
        ]
        .into_iter()
        .max_by_key(|(_, _, dropped)| *dropped)?;
        let instead = dropped >= NOT_BY_CHANCE;
        let patience = match (self.came, instead) {
            (false, _) | (true, true) => PATIENCE,
            (true, false) if self.silent || strangers > 0 => STOPPED_IN_SILENCE,
            (true, false) => STOPPED,
        };
        if gap < patience || (!instead && sight.rests) {
            return None;
        }
        if !instead {
            let confidence = if self.came { 0.8 } else { 0.9 };
            return Some((Verdict::NoPackets, Blocked::new(Issue::NoPackets, confidence, gap)));
        }
        let payload_type = sight.stranger.filter(|_| issue == Issue::UnknownPayloadType);
        let confidence = if dropped >= 5 * NOT_BY_CHANCE { 0.95 } else { 0.8 };
        Some((verdict, Blocked { dropped, payload_type, ..Blocked::new(issue, confidence, gap) }))
    }

    /// Takes note of what was heard since the last look; whether it was more than silence.
    fn listen(&mut self, now: Instant, heard: Heard) -> bool {
        let nothing = if heard.companded { NOTHING_COMPANDED } else { NOTHING };
        if heard.loudest.is_some_and(|loudest| loudest > nothing) {
            (self.sound, self.loudest, self.silent) = (now, None, false);
            (self.silent_frames, self.quiet_packets) = (0, 0);
            return true;
        }
        if heard.frames > 0 || heard.quiet_packets > 0 {
            self.silent = true;
            self.loudest = self.loudest.max(heard.loudest);
            self.silent_frames = self.silent_frames.saturating_add(heard.frames);
            self.quiet_packets = self.quiet_packets.saturating_add(heard.quiet_packets);
        }
        false
    }

    /// Whether silence has lasted too long.
    fn silence(&self, now: Instant, heard_before: bool) -> Option<Blocked> {
        let lasts = now.saturating_duration_since(self.sound);
        let (frames, seconds) = (self.silent_frames, lasts.as_secs_f32());
        // Packets that are sent now and then, and empty: a sender's right, once it has spoken.
        let sparse = self.quiet_packets > 0;
        let confidence = match (heard_before, sparse) {
            (false, false) if frames >= 50 && lasts >= PATIENCE => (0.4 + seconds / 25.0).min(0.95),
            (false, true) if lasts >= PATIENCE => (0.25 + seconds / 50.0).min(0.8),
            (true, false) if frames >= 50 && lasts >= FELL_SILENT => 0.4,
            _ => return None,
        };
        Some(Blocked { loudest: self.loudest, ..Blocked::new(Issue::Silence, confidence, lasts) })
    }
}

/// A down half-leg.
#[derive(Debug, Default)]
pub(super) struct Delivery {
    /// Since we are expected to be heard.
    since: Option<Instant>,
    /// Packets so far, and when a report last said something.
    sent: u64,
    told_at: u64,
    /// The last report.
    reported: Option<Instant>,
    /// The highest number that arrived, as the peer last said.
    highest: Option<u32>,
    /// When it last said so.
    named: Option<Instant>,
    /// Reports in a row that show that nothing arrives, and the first of them.
    missing: u8,
    missing_since: Option<Instant>,
    pub(super) verdict: Verdict,
}

impl Delivery {
    /// Looks. `sent`: packets so far.
    pub(super) fn look(&mut self, now: Instant, expected: bool, sent: u64) -> Option<Blocked> {
        self.sent = sent;
        if !expected {
            (self.since, self.missing, self.missing_since) = (None, 0, None);
            return None;
        }
        if self.since.is_none() {
            (self.since, self.told_at) = (Some(now), sent);
        }
        let (first, last) = (self.missing_since?, self.reported?);
        if now.saturating_duration_since(last) > REPORT_HOLDS {
            (self.missing, self.missing_since) = (0, None);
            if self.verdict == Verdict::NoPackets {
                self.verdict = Verdict::Unknown;
            }
            return None;
        }
        let named = self.named.is_some_and(|at| at >= first);
        let bare = self.missing >= BARE_REPORTS && last.saturating_duration_since(first) >= BARE_FOR;
        let proven = bare || (named && self.missing >= REPORTS);
        if !proven {
            return None;
        }
        self.verdict = Verdict::NoPackets;
        let confidence = (0.7 + 0.05 * f32::from(self.missing)).min(0.95);
        Some(Blocked::new(Issue::NoPackets, confidence, now.saturating_duration_since(first)))
    }

    /// A report of the peer's: the highest of our numbers that arrived, or nothing about us.
    pub(super) fn reported(&mut self, now: Instant, highest: Option<u32>) {
        if self.since.is_none() {
            return;
        }
        if highest.is_some() && highest != self.highest {
            (self.missing, self.missing_since) = (0, None);
            (self.highest, self.told_at) = (highest, self.sent);
            (self.named, self.reported) = (Some(now), Some(now));
            self.verdict = Verdict::Delivered;
            return;
        }
        // Some peers report on us and on themselves in turns, and either may get lost.
        if highest.is_some() {
            self.named = Some(now);
        } else if self.named.is_some_and(|at| now.saturating_duration_since(at) < REPORT_HOLDS) {
            self.reported = if self.missing > 0 { Some(now) } else { self.reported };
            return;
        }
        self.reported = Some(now);
        if self.sent.saturating_sub(self.told_at) >= SENT_ENOUGH {
            self.told_at = self.sent;
            self.missing = self.missing.saturating_add(1);
            self.missing_since.get_or_insert(now);
        }
    }
}
