//! Whether a connection is of any use: when to ping (RFC 5626 section 4.4.1), and when the peer has been silent, slow or
//! idle for too long. Told the time; the connection does what it says.

use std::time::{Duration, Instant};

/// Until the peer must have taken what we say.
const TAKEN: Duration = Duration::from_secs(5);
/// Until a message that has begun must be whole.
const WHOLE: Duration = Duration::from_secs(10);
/// Until a ping must be answered (RFC 5626 section 4.4.1).
const PONG: Duration = Duration::from_secs(10);

/// What a connection is held to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// Until the first message must be there, if one must.
    pub(super) first: Option<Duration>,
    /// How long nothing is said before we ping, if it is for us to do.
    pub(super) ping: Option<Duration>,
    /// How long it may stay without any message.
    pub(super) idle: Duration,
}

/// Why a connection is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// The peer closed it, or the network did.
    Broken,
    /// We have no use for it any more.
    Dropped,
    /// What came is no SIP.
    Unreadable,
    /// A message was longer than we take.
    TooLong,
    /// A message was not whole in time, or the first one never came.
    Slow,
    /// No message for very long.
    Idle,
    /// A ping was not answered.
    Silent,
    /// What we said was not taken.
    Stalled,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Ping,
    Close(Ending),
}

#[derive(Debug)]
pub(super) struct Liveness {
    rules: Rules,
    opened: Instant,
    /// The latest message, either way.
    message: Option<Instant>,
    said: Instant,
    /// Since when a message has been coming.
    begun: Option<Instant>,
    /// Since when the peer has not taken what we say.
    saying: Option<Instant>,
    pinged: Option<Instant>,
    /// The peer answers pings. Many do not know them (RFC 3261 section 7.5 lets them ignore the octets): of those TCP
    /// itself finds out whether they are there.
    answers_pings: bool,
}

impl Liveness {
    pub(super) fn new(now: Instant, rules: Rules) -> Self {
        Self {
            rules,
            opened: now,
            message: None,
            said: now,
            begun: None,
            saying: None,
            pinged: None,
            answers_pings: false,
        }
    }

    /// Octets are to be written.
    pub(super) fn say(&mut self, now: Instant) {
        self.said = now;
        self.saying.get_or_insert(now);
    }

    /// All of them were taken.
    pub(super) fn taken(&mut self) {
        self.saying = None;
    }

    /// A whole message went or came.
    pub(super) fn message(&mut self, now: Instant) {
        self.message = Some(now);
    }

    /// Octets came; `rest`: of a message that is not whole.
    pub(super) fn heard(&mut self, now: Instant, rest: bool) {
        // Whoever talks is there.
        self.pinged = None;
        self.begun = if rest { self.begun.or(Some(now)) } else { None };
    }

    /// Whether a CRLF would be the answer to a ping.
    pub(super) fn awaits_pong(&self) -> bool {
        self.pinged.is_some()
    }

    /// It came.
    pub(super) fn ponged(&mut self) {
        self.pinged = None;
        self.answers_pings = true;
    }

    pub(super) fn poll_timeout(&self) -> Instant {
        let first = self.rules.first.filter(|_| self.message.is_none()).map(|limit| self.opened + limit);
        let ping = self.rules.ping.filter(|_| self.pinged.is_none()).map(|after| self.said + after);
        let others = [
            self.saying.map(|since| since + TAKEN),
            self.begun.map(|since| since + WHOLE),
            self.pinged.map(|since| since + PONG),
            first,
            ping,
        ];
        let idle = self.message.unwrap_or(self.opened) + self.rules.idle;
        others.into_iter().flatten().fold(idle, Instant::min)
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) -> Option<Verdict> {
        let past = |since: Option<Instant>, limit: Duration| since.is_some_and(|since| since + limit <= now);
        let close = |ending| Some(Verdict::Close(ending));
        if past(self.saying, TAKEN) {
            return close(Ending::Stalled);
        }
        if past(self.begun, WHOLE) {
            return close(Ending::Slow);
        }
        if self.message.is_none() && self.rules.first.is_some_and(|limit| past(Some(self.opened), limit)) {
            return close(Ending::Slow);
        }
        if past(self.message.or(Some(self.opened)), self.rules.idle) {
            return close(Ending::Idle);
        }
        if past(self.pinged, PONG) {
            self.pinged = None;
            if self.answers_pings {
                return close(Ending::Silent);
            }
        }
        if self.pinged.is_none() && self.rules.ping.is_some_and(|after| past(Some(self.said), after)) {
            self.pinged = Some(now);
            return Some(Verdict::Ping);
        }
        None
    }
}

#[cfg(test)]
#[path = "liveness_tests.rs"]
mod tests;
