//! The daemon's one look at the clock for the HTTP side: monotonic and wall time, read together and passed down.

#![allow(clippy::disallowed_methods)] // The edge where time enters.

use std::sync::Arc;
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};

/// One reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// For deadlines.
    pub instant: Instant,
    /// For what people and tokens read.
    pub wall: Timestamp,
}

impl Now {
    /// The wall time of an instant, counted from this reading.
    #[must_use]
    pub fn wall_at(&self, instant: Instant) -> Timestamp {
        let ahead = SignedDuration::try_from(instant.saturating_duration_since(self.instant)).unwrap_or_default();
        let behind = SignedDuration::try_from(self.instant.saturating_duration_since(instant)).unwrap_or_default();
        self.wall.checked_add(ahead).and_then(|wall| wall.checked_sub(behind)).unwrap_or(self.wall)
    }
}

/// Where readings come from; tests bring their own.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Now + Send + Sync>);

impl Clock {
    /// The system's clocks.
    #[must_use]
    pub fn system() -> Self {
        Self::new(|| Now { instant: Instant::now(), wall: Timestamp::now() })
    }

    /// Any other.
    pub fn new(read: impl Fn() -> Now + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    /// Reads it.
    #[must_use]
    pub fn now(&self) -> Now {
        (self.0)()
    }
}

/// RFC 3339 in UTC with milliseconds: how every time leaves the gateway.
#[must_use]
pub fn rfc3339(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc_with_milliseconds() {
        let time = Timestamp::from_millisecond(1_700_000_000_007).unwrap();
        assert_eq!(rfc3339(time), "2023-11-14T22:13:20.007Z");
        assert_eq!(rfc3339(Timestamp::from_second(0).unwrap()), "1970-01-01T00:00:00.000Z");
    }
    #[test]
    fn instants_become_wall_times_both_ways() {
        let instant = Instant::now();
        let now = Now { instant, wall: Timestamp::from_millisecond(10_000).unwrap() };
        let ms = std::time::Duration::from_millis;
        assert_eq!(now.wall_at(instant + ms(1_500)).as_millisecond(), 11_500);
        assert_eq!(now.wall_at(instant.checked_sub(ms(1_500)).unwrap()).as_millisecond(), 8_500);
    }
}
