//! What a host's way to the gateway is like, in one direction.

use std::time::{Duration, Instant};

use crate::world::chance::Chance;

/// What a slow link holds back before it drops, in time.
const LINK_QUEUE: Duration = Duration::from_millis(400);

/// A direction between a host and the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Towards {
    /// Host to gateway.
    Gateway,
    /// Gateway to host.
    Host,
}

/// How datagrams get lost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Loss {
    /// Each alike, with this probability.
    Random(f64),
    /// Gilbert–Elliott: a good state that loses nothing, a bad one that loses all; probabilities per datagram.
    Burst {
        /// From good to bad.
        enter: f64,
        /// From bad to good; its inverse is the mean length of a burst.
        leave: f64,
    },
}

impl Loss {
    /// This fraction is lost, in bursts of `length` datagrams on average.
    #[must_use]
    pub fn bursty(fraction: f64, length: f64) -> Self {
        let leave = 1.0 / length;
        Self::Burst { enter: leave * fraction / (1.0 - fraction), leave }
    }
}

/// What the way is like.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// One way.
    pub delay: Duration,
    /// At most this much more, evenly spread; may overtake.
    pub jitter: Duration,
    /// What is lost.
    pub loss: Loss,
    /// Probability that a datagram comes twice.
    pub duplicate: f64,
    /// Probability that a datagram is held up by 10 to 50 ms, so that later ones overtake it.
    pub reorder: f64,
    /// Octets per second; `None`: no limit.
    pub rate: Option<f64>,
    /// RTP arrives with its last octets changed, so that no key opens it.
    pub corrupt_media: bool,
    /// DTLS never arrives.
    pub drop_dtls: bool,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            delay: Duration::from_millis(15),
            jitter: Duration::ZERO,
            loss: Loss::Random(0.0),
            duplicate: 0.0,
            reorder: 0.0,
            rate: None,
            corrupt_media: false,
            drop_dtls: false,
        }
    }
}

impl Link {
    /// A good line.
    #[must_use]
    pub fn good() -> Self {
        Self::default()
    }

    /// A phone in a train: 60 ms, up to 30 ms jitter.
    #[must_use]
    pub fn mobile() -> Self {
        Self { delay: Duration::from_millis(60), jitter: Duration::from_millis(30), ..Self::default() }
    }

    /// With this delay, one way.
    #[must_use]
    pub fn delay(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    /// With at most this much more delay.
    #[must_use]
    pub fn jitter(self, jitter: Duration) -> Self {
        Self { jitter, ..self }
    }

    /// With this loss.
    #[must_use]
    pub fn loss(self, loss: Loss) -> Self {
        Self { loss, ..self }
    }

    /// With this many datagrams twice and this many overtaken.
    #[must_use]
    pub fn shuffled(self, duplicate: f64, reorder: f64) -> Self {
        Self { duplicate, reorder, ..self }
    }

    /// With so many octets a second.
    #[must_use]
    pub fn rate(self, octets: f64) -> Self {
        Self { rate: Some(octets), ..self }
    }

    /// Without DTLS.
    #[must_use]
    pub fn without_dtls(self) -> Self {
        Self { drop_dtls: true, ..self }
    }

    /// With RTP that no key opens.
    #[must_use]
    pub fn corrupting(self) -> Self {
        Self { corrupt_media: true, ..self }
    }
}

/// One direction of a host's link.
#[derive(Debug, Default)]
pub(super) struct Way {
    pub(super) link: Link,
    in_burst: bool,
    busy_until: Option<Instant>,
    /// No datagram passes until then.
    pub(super) dark_until: Option<Instant>,
}

impl Way {
    /// When a datagram arrives, if it does.
    pub(super) fn passes(&mut self, now: Instant, chance: &mut Chance, bytes: &[u8]) -> Option<Instant> {
        let is_dtls = matches!(bytes, [20..=63, 254, ..]);
        if self.dark_until.is_some_and(|until| now < until) || is_dtls && self.link.drop_dtls {
            return None;
        }
        let lost = match self.link.loss {
            Loss::Random(probability) => chance.happens(probability),
            Loss::Burst { enter, leave } => {
                let turn = if self.in_burst { leave } else { enter };
                self.in_burst ^= chance.happens(turn);
                self.in_burst
            }
        };
        if lost {
            return None;
        }
        let mut leaves = now;
        if let Some(rate) = self.link.rate {
            let begins = self.busy_until.map_or(now, |until| until.max(now));
            if begins.saturating_duration_since(now) > LINK_QUEUE {
                return None;
            }
            leaves = begins + Duration::from_secs_f64(bytes.len() as f64 / rate);
            self.busy_until = Some(leaves);
        }
        let mut at = leaves + self.link.delay + self.link.jitter.mul_f64(chance.fraction());
        if chance.happens(self.link.reorder) {
            at += Duration::from_millis(10 + chance.below(40));
        }
        Some(at)
    }
}

/// Changes the end of an RTP packet; leaves everything else (STUN, DTLS, RTCP by RFC 5761, SIP) alone.
pub(super) fn corrupt(bytes: &mut [u8]) {
    let [128..=191, kind, ..] = *bytes else { return };
    if !(64..=95).contains(&(kind & 0x7F))
        && let Some(last) = bytes.last_mut()
    {
        *last ^= 0x55;
    }
}
