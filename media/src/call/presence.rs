//! Whether the two sides are still there: loss and return of the browser, grace, and legs that owe audio and send none.

use std::time::{Duration, Instant};

use crate::api::{BackCause, BrowserLoss, GapKind, Leg, Limits, MediaEvent};
use crate::rtp::age_ms;

/// A browser that sent audio and then nothing at all for this long is lost.
const SILENCE: Duration = Duration::from_secs(3);

/// The same for one that sent no audio before (withheld track, listen-only): its checks (RFC 7675: every 4 to 6 s)
/// and reports are far apart.
const SPARSE_SILENCE: Duration = Duration::from_secs(15);

/// Audio this recent, seen from the last sign of life, means audio was flowing.
const FLOWING: Duration = Duration::from_secs(1);

/// Packets under way when a browser said goodbye are no return.
const STRAGGLERS: Duration = Duration::from_millis(500);

/// Watches a call's two sides.
#[repr(C)]
pub(crate) struct Presence {
    heard: Option<Instant>,
    heard_rtp: Option<Instant>,
    numbers: Numbers,
    browser_audio: Owed,
    trunk_audio: Owed,
    /// What will have brought the browser back, if anything out of the ordinary happened since it was last heard.
    cause: BackCause,
    /// What the first packet of audio after an absence says of it.
    gap: GapKind,
    browser: Browser,
    limits: Limits,
}

#[derive(Debug, Clone, Copy)]
enum Browser {
    /// Not connected yet; set-up has its own limit.
    Expected,
    Here,
    Away {
        since: Instant,
        heard: Instant,
        how: BrowserLoss,
        expired: bool,
    },
}

/// Audio that one leg owes.
#[derive(Debug, Default)]
struct Owed {
    /// Since when; `None` while nothing is owed.
    since: Option<Instant>,
    reported: bool,
    /// It said that it is silent.
    rests: bool,
}

impl Presence {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            browser: Browser::Expected,
            heard: None,
            heard_rtp: None,
            cause: BackCause::SamePath,
            numbers: Numbers::default(),
            gap: GapKind::Unknown,
            browser_audio: Owed::default(),
            trunk_audio: Owed::default(),
        }
    }

    /// Whether the browser was ever connected.
    pub(crate) fn was_connected(&self) -> bool {
        !matches!(self.browser, Browser::Expected)
    }

    /// Whether the browser was lost and is not back.
    pub(crate) fn is_away(&self) -> bool {
        matches!(self.browser, Browser::Away { .. })
    }

    /// Whether it is connected and not away.
    pub(crate) fn is_here(&self) -> bool {
        matches!(self.browser, Browser::Here)
    }

    /// When the browser was heard last.
    pub(crate) fn last_heard(&self) -> Option<Instant> {
        self.heard
    }

    /// Keys are in place: from now on the browser is expected to be heard.
    pub(crate) fn connected(&mut self, now: Instant) -> Option<MediaEvent> {
        if !self.was_connected() {
            self.browser = Browser::Here;
        }
        self.heard(now)
    }

    /// Something authentic came from the browser.
    pub(crate) fn heard(&mut self, now: Instant) -> Option<MediaEvent> {
        let event = match self.browser {
            Browser::Expected | Browser::Here => None,
            Browser::Away { since, heard, how, .. } => {
                let back = match how {
                    BrowserLoss::Silence => true,
                    // What the old connection still had under way, or its closing page, does not count.
                    BrowserLoss::RtcpBye => {
                        self.cause == BackCause::Reattach || now.saturating_duration_since(since) >= STRAGGLERS
                    }
                    BrowserLoss::CloseNotify => self.cause == BackCause::Reattach,
                };
                if !back {
                    return None;
                }
                self.browser = Browser::Here;
                // What it owed while it was away is forgiven: a check may come back before the first packet of audio.
                self.browser_audio.paid(now);
                // The numbers of another peer connection have nothing to do with the old one's.
                let known = std::mem::take(&mut self.gap);
                let gap = if self.cause == BackCause::Reattach { GapKind::Unknown } else { known };
                Some(MediaEvent::BrowserBack { gap_ms: age_ms(now, heard), cause: self.cause, gap })
            }
        };
        if matches!(self.browser, Browser::Here) {
            self.cause = BackCause::SamePath;
        }
        self.heard = Some(now);
        event
    }

    /// The browser's audio came.
    pub(crate) fn heard_audio(&mut self, now: Instant, from: Leg) {
        match from {
            Leg::Browser => {
                self.heard_rtp = Some(now);
                self.browser_audio.paid(now);
            }
            Leg::Trunk => self.trunk_audio.paid(now),
        }
    }

    /// A leg said that it is silent: until it speaks again it owes nothing.
    pub(crate) fn rests(&mut self, now: Instant, from: Leg) {
        self.heard_audio(now, from);
        match from {
            Leg::Browser => self.browser_audio.rests = true,
            Leg::Trunk => self.trunk_audio.rests = true,
        }
    }

    /// Digits came, which are no words: who is silent stays so.
    pub(crate) fn heard_digits(&mut self, now: Instant, from: Leg) {
        if self.is_resting(from) {
            self.rests(now, from);
        } else {
            self.heard_audio(now, from);
        }
    }

    /// Whether a leg has said that it is silent, and not spoken since.
    pub(crate) fn is_resting(&self, leg: Leg) -> bool {
        match leg {
            Leg::Browser => self.browser_audio.rests,
            Leg::Trunk => self.trunk_audio.rests,
        }
    }

    /// The number and timestamp of a packet of the browser's audio on a clock of `rate` Hz; tell it before
    /// [`Self::heard`].
    pub(crate) fn numbered(&mut self, now: Instant, sequence: u16, timestamp: u32, rate: u32) {
        if let Browser::Away { .. } = self.browser {
            self.gap = self.numbers.gap(now, sequence, rate);
        }
        self.numbers.note(now, sequence, timestamp);
    }

    /// Something happened that explains the browser's return.
    pub(crate) fn expect_return(&mut self, cause: BackCause) {
        let weight = |cause| match cause {
            BackCause::SamePath => 0,
            BackCause::NewAddress => 1,
            BackCause::IceRestart => 2,
            BackCause::Reattach => 3,
        };
        if weight(cause) > weight(self.cause) {
            self.cause = cause;
        }
    }

    /// The browser went, or is found to be gone.
    pub(crate) fn lost(&mut self, now: Instant, how: BrowserLoss) -> Option<MediaEvent> {
        match self.browser {
            Browser::Here => {
                self.browser = Browser::Away { since: now, heard: self.heard.unwrap_or(now), how, expired: false };
                Some(MediaEvent::BrowserLost { how })
            }
            Browser::Expected | Browser::Away { .. } => None,
        }
    }

    /// Whether audio is owed by a leg from now on. `afresh`: count from now even if it was owed before.
    pub(crate) fn set_owed(&mut self, now: Instant, leg: Leg, owed: bool, afresh: bool) {
        let audio = match leg {
            Leg::Browser => &mut self.browser_audio,
            Leg::Trunk => &mut self.trunk_audio,
        };
        if !owed {
            *audio = Owed::default();
        } else if afresh || audio.since.is_none() {
            // Who has said that it is silent still is, whatever is agreed on anew meanwhile.
            let rests = audio.rests && audio.since.is_some();
            *audio = Owed { since: Some(now), rests, reported: false };
        }
    }

    /// This thread did not run for so long: time in which nothing could be heard counts for nobody.
    pub(crate) fn forgive(&mut self, stall: Duration) {
        for at in [&mut self.heard, &mut self.heard_rtp, &mut self.browser_audio.since, &mut self.trunk_audio.since] {
            *at = at.map(|at| at + stall);
        }
    }

    /// What is over its limit now. Call until `None`.
    pub(crate) fn check(&mut self, now: Instant) -> Option<MediaEvent> {
        if self.silent_at().is_some_and(|at| at <= now) {
            return self.lost(now, BrowserLoss::Silence);
        }
        if let Browser::Away { since, how, expired, .. } = &mut self.browser
            && !*expired
            && *since + self.limits.grace <= now
        {
            *expired = true;
            return Some(MediaEvent::GraceExpired { how: *how });
        }
        if self.browser_audio_overdue().is_some_and(|at| at <= now) {
            self.browser_audio.reported = true;
            return Some(MediaEvent::MediaTimeout { leg: Leg::Browser });
        }
        if self.trunk_audio.overdue(self.limits.inactivity).is_some_and(|at| at <= now) {
            self.trunk_audio.reported = true;
            return Some(MediaEvent::MediaTimeout { leg: Leg::Trunk });
        }
        None
    }

    /// When [`Self::check`] has something to say.
    pub(crate) fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        let grace = match self.browser {
            Browser::Away { since, expired: false, .. } => Some(since + self.limits.grace),
            Browser::Away { expired: true, .. } | Browser::Expected | Browser::Here => None,
        };
        [
            (self.silent_at(), "browser silent"),
            (grace, "grace over"),
            (self.browser_audio_overdue(), "browser audio overdue"),
            (self.trunk_audio.overdue(self.limits.inactivity), "trunk audio overdue"),
        ]
        .into_iter()
        .filter_map(|(at, reason)| Some((at?, reason)))
        .min_by_key(|(at, _)| *at)
    }

    fn silent_at(&self) -> Option<Instant> {
        let (Browser::Here, Some(heard)) = (self.browser, self.heard) else { return None };
        let flowing = self.heard_rtp.is_some_and(|rtp| rtp + FLOWING >= heard);
        Some(heard + if flowing { SILENCE } else { SPARSE_SILENCE })
    }

    /// While the browser is away its silence is told as its loss.
    fn browser_audio_overdue(&self) -> Option<Instant> {
        match self.browser {
            Browser::Here => self.browser_audio.overdue(self.limits.inactivity),
            Browser::Expected | Browser::Away { .. } => None,
        }
    }
}

/// The last of the browser's audio packets.
#[derive(Debug, Default)]
struct Numbers {
    last: Option<(Instant, u16, u32)>,
    /// Timestamp units from one packet to the next.
    step: u32,
}

impl Numbers {
    fn note(&mut self, now: Instant, sequence: u16, timestamp: u32) {
        if let Some((_, last, at)) = self.last
            && last.wrapping_add(1) == sequence
        {
            self.step = timestamp.wrapping_sub(at);
        }
        self.last = Some((now, sequence, timestamp));
    }

    /// How many packets are missing, against how many would have come in that time.
    fn gap(&self, now: Instant, sequence: u16, rate: u32) -> GapKind {
        let Some((at, last, _)) = self.last else { return GapKind::Unknown };
        if self.step == 0 || self.step > rate {
            return GapKind::Unknown;
        }
        let seconds = now.saturating_duration_since(at).as_secs_f64();
        let would_have_come = seconds * f64::from(rate) / f64::from(self.step);
        let missing = sequence.wrapping_sub(last).wrapping_sub(1);
        if seconds < 1.0 || would_have_come > f64::from(u16::MAX / 2) || missing > u16::MAX - 128 {
            return GapKind::Unknown;
        }
        match f64::from(missing) / would_have_come {
            share if share < 0.3 => GapKind::Asleep,
            share if share > 0.7 => GapKind::Network,
            _ => GapKind::Unknown,
        }
    }
}

impl Owed {
    fn paid(&mut self, now: Instant) {
        if self.since.is_some() {
            *self = Self { since: Some(now), ..Self::default() };
        }
    }

    fn overdue(&self, limit: Duration) -> Option<Instant> {
        self.since.filter(|_| !self.reported && !self.rests).map(|since| since + limit)
    }
}
