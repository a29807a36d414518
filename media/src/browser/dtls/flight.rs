//! What we send in the handshake, and when it is sent again.

use std::time::{Duration, Instant};

use super::record;
use crate::outbox::{Outbox, Remote};

/// The first repeat of our flight comes after this; a common round trip is shorter.
const FIRST_REPEAT: Duration = Duration::from_millis(150);
/// Repeats never come more slowly than this. RFC 6347 section 4.2.4.1 would go to 60 s; a visitor is gone by then.
const SLOWEST_REPEAT: Duration = Duration::from_secs(1);
/// A peer that repeats itself gets our flight again, but not more often than this.
const REPEAT_PAUSE: Duration = Duration::from_millis(50);
/// What we sent last, to be sent again.
#[derive(Default)]
pub(super) struct Flight {
    datagrams: Vec<Vec<u8>>,
    next_sequence: u64,
    sent_at: Option<Instant>,
    /// When it is repeated next, and how long after the time before.
    repeat: Option<(Instant, Duration)>,
    repeats_left: u32,
}

impl Flight {
    /// When the next repeat is due.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.repeat.map(|(at, _)| at)
    }

    /// Sends a new flight, and plans as many repeats of it at most.
    pub(super) fn send(&mut self, now: Instant, datagrams: Vec<Vec<u8>>, repeats: u32, to: Remote, out: &mut Outbox) {
        self.datagrams = datagrams;
        self.repeat = Some((now + FIRST_REPEAT, FIRST_REPEAT));
        self.repeats_left = repeats;
        self.transmit(now, to, out);
    }

    /// Sends what is not to be repeated.
    pub(super) fn send_once(&mut self, mut datagram: Vec<u8>, to: Remote, out: &mut Outbox) {
        record::renumber(&mut datagram, &mut self.next_sequence);
        out.push(to.port(), to.address, &datagram);
    }

    /// The peer repeats itself, so our flight was lost.
    pub(super) fn send_again(&mut self, now: Instant, to: Remote, out: &mut Outbox) {
        let pause = |sent| now.saturating_duration_since(sent) >= REPEAT_PAUSE;
        if self.sent_at.is_some_and(pause) {
            self.transmit(now, to, out);
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, to: Remote, out: &mut Outbox) {
        if let Some((at, interval)) = self.repeat
            && now >= at
        {
            let interval = (interval * 2).min(SLOWEST_REPEAT);
            self.repeats_left = self.repeats_left.saturating_sub(1);
            self.repeat = Some((now + interval, interval)).filter(|_| self.repeats_left > 0);
            self.transmit(now, to, out);
        }
    }

    /// The peer has it all, but may ask for it again.
    pub(super) fn stop_repeating(&mut self) {
        self.repeat = None;
    }

    /// Nobody will want it any more.
    pub(super) fn forget(&mut self) {
        self.datagrams = Vec::new();
        self.repeat = None;
    }

    fn transmit(&mut self, now: Instant, to: Remote, out: &mut Outbox) {
        self.sent_at = Some(now);
        for datagram in &mut self.datagrams {
            record::renumber(datagram, &mut self.next_sequence);
            out.push(to.port(), to.address, datagram);
        }
    }
}
