//! What the peer's reports say of the stream it gets from us, believed as far as it can be true.

use std::time::{Duration, Instant};

use crate::rtp::Ssrc;
use crate::rtp::rtcp::AboutUs;

/// Packets that may have been under way at the report before.
const UNDER_WAY: u64 = 300;

/// By so much loss may grow more than packets did (packets that were counted twice, or late).
const SLACK: i64 = 20;

/// After so many incredible reports in a row the next ones are compared with the last of them.
const PATIENCE: u8 = 3;

/// Another reporter is listened to once this one has been silent for so long.
const SILENT: Duration = Duration::from_secs(5);

/// Reports this old say nothing of now. A peer that reports less often is given two and a half times its mean interval, up
/// to the limit: an interval may be half as long again as the mean (RFC 3550 section 6.3.1), and a report may get lost.
const STALE: Duration = Duration::from_secs(6);
const STALE_LIMIT: Duration = Duration::from_secs(16);

/// The interval of RFC 3550 section 6.2, and of browsers, milliseconds.
const USUAL_INTERVAL_MS: u32 = 5_000;

/// More jitter is none.
const JITTER_LIMIT_MS: f64 = 10_000.0;

/// Packets sent between two reports, of which at least one should have arrived.
const SOME: u64 = 10;

/// The state of our own stream at a report.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OwnStream {
    /// Packets sent.
    pub(crate) sent: u64,
    /// Sequence numbers up to the reported one that were never sent: they were lost before they came to us.
    pub(crate) withheld: u64,
    /// The stream's first sequence number.
    pub(crate) first: u16,
    /// Who is heard on this leg.
    pub(crate) source: Option<Ssrc>,
}

/// One stream's reports.
#[derive(Debug, Default, Clone)]
pub(crate) struct RemoteView {
    reporter: Option<Ssrc>,
    base: Option<Base>,
    at: Option<Instant>,
    /// Mean time between reports, once there were any.
    interval_ms: u32,
    expected: u64,
    lost: i64,
    jitter_ms: Option<f32>,
    reports: u32,
    /// When anything was last known to have arrived, and whether nothing has since though it was sent.
    progress: Option<Instant>,
    stalled: bool,
    incredible: u8,
}

/// A report that others are compared with.
#[derive(Debug, Clone, Copy)]
struct Base {
    highest: u32,
    lost: i32,
    sent: u64,
    withheld: u64,
}

impl RemoteView {
    /// Takes a report; `false` if it cannot be true, or comes from somebody who is not listened to.
    pub(crate) fn take(&mut self, now: Instant, about: &AboutUs, own: &OwnStream) -> bool {
        let new = Base {
            highest: about.highest_sequence,
            lost: about.cumulative_lost,
            sent: own.sent,
            withheld: own.withheld,
        };
        match self.reporter {
            None => self.reporter = Some(about.reporter),
            Some(known) if known == about.reporter => {}
            Some(known) if !self.yields(now, known, about.reporter, own.source) => return false,
            Some(_) => {
                // Another receiver counts from another beginning: its next reports are compared with this one.
                self.reporter = Some(about.reporter);
                self.base = Some(new);
            }
        }
        let base =
            self.base.unwrap_or(Base { highest: u32::from(own.first).wrapping_sub(1), lost: 0, sent: 0, withheld: 0 });
        let advance = i64::from(new.highest.wrapping_sub(base.highest).cast_signed());
        let lost = i64::from(new.lost) - i64::from(base.lost);
        let sent = new.sent.saturating_sub(base.sent);
        let withheld = new.withheld.cast_signed().saturating_sub(base.withheld.cast_signed());
        let most = sent.saturating_add(UNDER_WAY).cast_signed().saturating_add(withheld.max(0));
        if !(0..=most).contains(&advance) || !(-advance - SLACK..=advance + SLACK).contains(&lost) {
            return self.doubt(new);
        }
        self.incredible = 0;
        self.base = Some(new);
        self.expected = self.expected.saturating_add(advance.saturating_sub(withheld).max(0).cast_unsigned());
        self.lost = self.lost.saturating_add(lost.saturating_sub(withheld));
        self.jitter_ms = (about.jitter_ms < JITTER_LIMIT_MS).then_some(about.jitter_ms as f32);
        self.stalled = advance == 0 && (self.stalled || sent >= SOME);
        if advance > 0 || self.progress.is_none() {
            self.progress = Some(now);
        }
        self.interval_ms = self.at.map_or(USUAL_INTERVAL_MS, |at| {
            let interval = now.saturating_duration_since(at).min(STALE_LIMIT);
            (3 * self.interval_ms + u32::try_from(interval.as_millis()).unwrap_or_default()) / 4
        });
        self.at = Some(now);
        self.reports = self.reports.wrapping_add(1);
        true
    }

    /// Packets expected and lost so far, while reports are fresh.
    pub(crate) fn totals(&self, now: Instant) -> Option<(u64, i64)> {
        self.is_fresh(now).then_some((self.expected, self.lost))
    }

    /// Jitter the peer sees, milliseconds.
    pub(crate) fn jitter_ms(&self) -> Option<f32> {
        self.jitter_ms
    }

    /// Goes up with every report that is believed.
    pub(crate) fn reports(&self) -> u32 {
        self.reports
    }

    /// How long the peer has reported that nothing arrives; zero while something does.
    pub(crate) fn gap(&self, now: Instant) -> Duration {
        match self.progress {
            Some(at) if self.stalled => now.saturating_duration_since(at),
            Some(_) | None => Duration::ZERO,
        }
    }

    fn is_fresh(&self, now: Instant) -> bool {
        let limit = Duration::from_millis(u64::from(self.interval_ms) * 5 / 2).clamp(STALE, STALE_LIMIT);
        self.at.is_some_and(|at| now.saturating_duration_since(at) <= limit)
    }

    /// Whether the reporter that was listened to gives way: to the source that is heard, or once it is silent.
    fn yields(&self, now: Instant, known: Ssrc, other: Ssrc, source: Option<Ssrc>) -> bool {
        let silent = self.at.is_none_or(|at| now.saturating_duration_since(at) >= SILENT);
        silent || (source == Some(other) && source != Some(known))
    }

    fn doubt(&mut self, new: Base) -> bool {
        self.incredible = self.incredible.saturating_add(1);
        if self.incredible >= PATIENCE {
            self.incredible = 0;
            self.base = Some(new);
        }
        false
    }
}

#[cfg(test)]
#[path = "remote_tests.rs"]
mod tests;
