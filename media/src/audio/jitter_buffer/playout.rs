//! What is played when: the playout side of the jitter buffer.
//!
//! The front packet is due when its sequence number and timestamp are. A number that is missing is lost; time that is
//! missing without a number is the sender's silence; an empty buffer is one or the other, which the next packet tells.

use super::{Dry, JitterBuffer, Pace, store};

/// A buffer that ran dry makes up sound for this long, then falls silent and fills up again.
const DRY_MS: i64 = 100;
/// Delay is changed by a part of a packet at a time, this far apart.
const ADJUST_MS: i64 = 60;
/// For that long the delay must be too long before anything is left out: a quiet packet whole, a part of any other.
const SHRINK_MS: (i64, i64) = (100, 300);
/// After so long a change is made even where it may be heard.
const URGENT_MS: i64 = 1000;

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The packet just taken out of the store.
    Play(Pace),
    /// Make up sound; for the packet before the front one, or for time.
    MakeUp { before_front: bool },
    /// Silence.
    Rest,
}

impl JitterBuffer {
    pub(super) fn step(&mut self, now: i64) -> Step {
        // Each turn returns, or takes an entry out, or settles how to go on; the bound is never met.
        for _ in 0..2 * store::CAPACITY {
            if let Some(step) = self.try_step(now) {
                return step;
            }
        }
        self.rest()
    }

    fn try_step(&mut self, now: i64) -> Option<Step> {
        let Some(front) = self.store.front() else { return Some(self.run_dry()) };
        let (sequence, timestamp) = (front.sequence, front.timestamp);
        if front.payload().is_none() {
            self.pass_over(sequence);
            return None;
        }
        let (next, due) = match self.next {
            Some(next) if !self.waiting => next,
            Some(_) | None => {
                if self.delay.delay_at(now, timestamp) < self.target() && !self.is_over_long() {
                    return Some(self.rest());
                }
                let spoke_again = self.next.is_some_and(|(next, due)| next == sequence && timestamp > due);
                self.settle_dry(spoke_again);
                self.waiting = false;
                self.move_to(sequence, timestamp);
                (sequence, timestamp)
            }
        };
        let (missing, gap) = (sequence - next, timestamp - due);
        if missing == 0 && gap < self.frame / 2 {
            return self.play_front(now);
        }
        if missing == 0 || gap > self.max {
            // The sender was silent, or so much is missing that it is better to begin again.
            self.settle_dry(missing == 0);
            self.waiting = true;
            return None;
        }
        let made_up_already = self.dry.units > 0 && gap <= self.dry.units + self.frame / 2;
        if gap < self.frame / 2 || (made_up_already && self.delay.delay_at(now, timestamp) >= self.target()) {
            self.note_loss(if gap < self.frame / 2 { 0 } else { missing });
            self.settle_dry(false);
            self.move_to(sequence, timestamp);
            return None;
        }
        let (missing, gap) = self.count_dry(now, missing, gap);
        Some(self.make_up_missing(missing, gap))
    }

    /// The packets that the buffer ran dry of turn out to be lost: they are made up already, and what of the gap is left
    /// may yet be taken from the packet after it. But where there is too little delay, the time made up is delay gained.
    fn count_dry(&mut self, now: i64, missing: u64, gap: i64) -> (u64, i64) {
        let Some((next, due)) = self.next else { return (missing, gap) };
        let each = gap / i64::try_from(missing).unwrap_or(i64::MAX).max(1);
        let made_up = u64::try_from(self.dry.units / each.max(1)).unwrap_or(0).min(missing.saturating_sub(1));
        let units = each * made_up.cast_signed();
        if made_up == 0 || self.delay.delay_at(now, due + units) < self.target() {
            return (missing, gap);
        }
        self.note_loss(made_up);
        self.settle_dry(false);
        self.move_to(next + made_up, due + units);
        (missing - made_up, gap - units)
    }

    /// The front packet is the one that is due.
    fn play_front(&mut self, now: i64) -> Option<Step> {
        self.settle_dry(false);
        let front = self.store.front()?;
        let (sequence, end, samples, timestamp) = (front.sequence, front.end(), front.samples, front.timestamp);
        let quiet = front.payload().is_some_and(self.hints.quiet);
        let delay = self.delay.delay_at(now, timestamp);
        let may_adjust = now - self.adjusted_at >= self.clock(ADJUST_MS);
        let pace = if may_adjust { self.pace(now, delay, quiet) } else { Pace::AsIs };
        match pace {
            Pace::AsIs => {}
            Pace::Longer { .. } => {
                self.adjusted_at = now;
                self.stats.stretched += 1;
            }
            Pace::Shorter { .. } => {
                self.adjusted_at = now;
                if quiet {
                    self.too_long_since = None;
                    self.stats.shrunk += 1;
                    self.drop_front();
                    return None;
                }
                self.stats.shortened += 1;
            }
        }
        self.store.take();
        self.next = Some((sequence + 1, end));
        self.played = self.played << 1 | 1;
        self.loss_score *= 0.999;
        self.covers = samples;
        self.stats.played += 1;
        let waiting = self.store.end().map_or(samples, |newest| newest - timestamp);
        self.stats.actual_ms = self.milliseconds(delay.min(waiting).max(0));
        Some(Step::Play(pace))
    }

    /// How long a packet is to last.
    fn pace(&mut self, now: i64, delay: i64, quiet: bool) -> Pace {
        if delay < self.target() {
            self.too_long_since = None;
            let since = *self.too_short_since.get_or_insert(now);
            return Pace::Longer { urgent: now - since >= self.clock(URGENT_MS) };
        }
        self.too_short_since = None;
        if delay - self.target() - self.frame < self.clock(10) {
            self.too_long_since = None;
            return Pace::AsIs;
        }
        let waited = now - *self.too_long_since.get_or_insert(now);
        let patience = if quiet { SHRINK_MS.0 } else { SHRINK_MS.1 };
        // Delay against the fastest packet may be a memory; what is really here must bear the loss of a packet.
        let bears = self.store.follows_directly() && self.buffered_span() >= self.target() + self.frame;
        if bears && waited >= self.clock(patience) {
            Pace::Shorter { urgent: waited >= self.clock(URGENT_MS) }
        } else {
            Pace::AsIs
        }
    }

    fn make_up_missing(&mut self, missing: u64, gap: i64) -> Step {
        let even = gap / i64::try_from(missing).unwrap_or(i64::MAX).max(1);
        let covers = even.clamp(1, self.frame.max(1));
        self.settle_dry(false);
        self.note_loss(1);
        self.stats.lost += 1;
        self.covers = covers;
        if let Some((next, due)) = self.next {
            self.move_to(next + 1, due + covers);
        }
        Step::MakeUp { before_front: missing == 1 }
    }

    fn run_dry(&mut self) -> Step {
        if self.waiting || self.next.is_none() {
            return self.rest();
        }
        let covers = self.short_frame();
        self.covers = covers;
        self.dry.times += 1;
        self.dry.units += covers;
        if self.dry.units >= self.clock(DRY_MS) {
            self.waiting = true;
        }
        Step::MakeUp { before_front: false }
    }

    fn rest(&mut self) -> Step {
        self.covers = self.clock(20);
        Step::Rest
    }

    /// What was made up while the buffer was dry was loss, unless the sender turns out to have been silent.
    pub(super) fn settle_dry(&mut self, was_silence: bool) {
        let dry = std::mem::take::<Dry>(&mut self.dry);
        if !was_silence {
            self.stats.lost += dry.times;
        }
    }

    /// More is here than may ever be: a burst after a stall. Only the newest is worth playing.
    pub(super) fn catch_up(&mut self) {
        if self.buffered_span() <= self.max {
            return;
        }
        let enough = (self.target() + self.frame).min(self.max);
        while self.buffered_span() > enough {
            self.drop_front();
        }
    }

    pub(super) fn drop_front(&mut self) {
        let Some(front) = self.store.front() else { return };
        let (sequence, end) = (front.sequence, front.end());
        if self.store.drop_front() {
            self.stats.overflow += 1;
            self.skipped = true;
            self.move_to(sequence + 1, end);
        } else {
            self.pass_over_number(sequence);
        }
    }

    pub(super) fn make_room(&mut self) {
        if self.store.is_full() {
            self.drop_front();
        }
    }

    /// The front entry is a number without audio.
    fn pass_over(&mut self, sequence: u64) {
        let _ = self.store.drop_front();
        self.pass_over_number(sequence);
    }

    fn pass_over_number(&mut self, sequence: u64) {
        // Numbers missing before this one were events too, most likely; if not, the timestamp will tell.
        if let Some((next, due)) = self.next
            && sequence >= next
        {
            self.move_to(sequence + 1, due);
        }
    }

    pub(super) fn move_to(&mut self, sequence: u64, timestamp: i64) {
        let steps = self.next.map_or(0, |(next, _)| sequence.saturating_sub(next));
        self.played = u32::try_from(steps).ok().and_then(|by| self.played.checked_shl(by)).unwrap_or(0);
        self.next = Some((sequence, timestamp));
    }

    pub(super) fn note_loss(&mut self, packets: u64) {
        self.loss_score = (self.loss_score + packets as f32).min(20.0);
    }
}
