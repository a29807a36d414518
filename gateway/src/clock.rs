//! The daemon's one look at the clock for the HTTP side: monotonic and wall time, read together and passed down.

#![allow(clippy::disallowed_methods)] // The edge where time enters.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

/// One reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// For deadlines.
    pub instant: Instant,
    /// For what people and tokens read.
    pub wall: Timestamp,
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
}
