//! The call's deadlines: a table, so that none can be forgotten.

use std::time::Instant;

/// What a deadline is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Timer {
    /// The browser's path should be up; the media plane decides, this is for when its report is lost.
    Setup,
    /// Ports or DNS should have come back; their own limits are shorter.
    Step,
    /// A target should have shown a sign of life, for there is another.
    Target,
    /// It rings too long.
    Ring,
    /// The call will soon have lasted too long.
    EndingSoon,
    /// The call lasts too long.
    MaxDuration,
    /// A lost browser should be back; the media plane decides, this is for when its report is lost.
    Grace,
    /// The prompt should be over.
    Prompt,
    /// The answer hook's time is over; whoever asks it knows, this is for when the answer is lost.
    Answer,
    /// What the browser hears should be ready, or over.
    HeardByBrowser,
    /// The same for the trunk.
    HeardBySip,
    /// An offer that met another is made again.
    OfferAgain,
    /// A transfer should have come to something.
    Transfer,
}

impl Timer {
    const ALL: [Self; 13] = [
        Self::Setup,
        Self::Step,
        Self::Target,
        Self::Ring,
        Self::EndingSoon,
        Self::MaxDuration,
        Self::Grace,
        Self::Prompt,
        Self::Answer,
        Self::HeardByBrowser,
        Self::HeardBySip,
        Self::OfferAgain,
        Self::Transfer,
    ];

    /// The timer's name in logs and evidence.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Setup => "setup",
            Self::Step => "step",
            Self::Target => "target",
            Self::Ring => "ring",
            Self::EndingSoon => "ending_soon",
            Self::MaxDuration => "max_duration",
            Self::Grace => "grace",
            Self::Prompt => "prompt",
            Self::Answer => "answer_hook",
            Self::HeardByBrowser => "heard_by_browser",
            Self::HeardBySip => "heard_by_sip",
            Self::OfferAgain => "offer_again",
            Self::Transfer => "transfer",
        }
    }
}

/// At most one deadline of each kind.
#[derive(Debug, Default)]
pub(super) struct Timers {
    running: Vec<(Instant, Timer)>,
}

impl Timers {
    pub(super) fn set(&mut self, timer: Timer, at: Instant) {
        self.stop(timer);
        self.running.push((at, timer));
    }

    pub(super) fn stop(&mut self, timer: Timer) {
        self.running.retain(|&(_, t)| t != timer);
    }

    pub(super) fn is_set(&self, timer: Timer) -> bool {
        self.running.iter().any(|&(_, t)| t == timer)
    }

    pub(super) fn stop_all(&mut self) {
        self.running.clear();
    }

    /// Takes out one timer that is due, in table order.
    pub(super) fn take_expired(&mut self, now: Instant) -> Option<Timer> {
        let due = |timer: &Timer| self.running.iter().any(|&(at, t)| t == *timer && at <= now);
        let timer = Timer::ALL.into_iter().find(due)?;
        self.stop(timer);
        Some(timer)
    }

    pub(super) fn next(&self) -> Option<(Instant, &'static str)> {
        self.running.iter().min_by_key(|(at, _)| *at).map(|&(at, timer)| (at, timer.name()))
    }
}
