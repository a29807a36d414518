//! How many streams are read at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::ids::CallId;

/// Streams of all events.
const OF_ALL: usize = 2_048;
/// Streams of single calls, and of one call: a page, its reload, a second page.
const OF_CALLS: usize = 16_384;
const OF_ONE_CALL: usize = 8;

/// The streams of both listeners; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Seats {
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    of_all: usize,
    of_calls: usize,
    by_call: HashMap<CallId, usize>,
    stats: SeatStats,
}

/// What is counted of streams.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SeatStats {
    /// Streams of single calls now, and those refused so far.
    pub of_calls: usize,
    /// See there.
    pub of_calls_refused: u64,
    /// Streams of all events now, and those refused so far.
    pub of_all: usize,
    /// See there.
    pub of_all_refused: u64,
    /// Streams of all events that ended because their reader did not keep up.
    pub lagged: u64,
}

/// A place, given back when it is dropped.
#[derive(Debug)]
pub struct Seat {
    seats: Seats,
    /// `None`: all events are read.
    call: Option<CallId>,
}

impl Seats {
    /// A place for a stream of all events.
    #[must_use]
    pub fn take(&self) -> Option<Seat> {
        let mut taken = self.lock();
        // overflow: refused with a problem, and counted.
        if taken.of_all >= OF_ALL {
            taken.stats.of_all_refused = taken.stats.of_all_refused.saturating_add(1);
            return None;
        }
        taken.of_all = taken.of_all.saturating_add(1);
        Some(Seat { seats: self.clone(), call: None })
    }

    /// A place for a stream of one call's events.
    #[must_use]
    pub fn take_of(&self, call: &CallId) -> Option<Seat> {
        let mut taken = self.lock();
        // overflow: refused with a problem, and counted.
        if taken.of_calls >= OF_CALLS || taken.by_call.get(call).is_some_and(|streams| *streams >= OF_ONE_CALL) {
            taken.stats.of_calls_refused = taken.stats.of_calls_refused.saturating_add(1);
            return None;
        }
        taken.of_calls = taken.of_calls.saturating_add(1);
        let streams = taken.by_call.entry(call.clone()).or_default();
        *streams = streams.saturating_add(1);
        Some(Seat { seats: self.clone(), call: Some(call.clone()) })
    }

    /// A reader did not keep up.
    pub fn lagged(&self) {
        let mut taken = self.lock();
        taken.stats.lagged = taken.stats.lagged.saturating_add(1);
    }

    /// What is counted.
    #[must_use]
    pub fn stats(&self) -> SeatStats {
        let taken = self.lock();
        SeatStats { of_calls: taken.of_calls, of_all: taken.of_all, ..taken.stats }
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        let Some(call) = &self.call else {
            taken.of_all = taken.of_all.saturating_sub(1);
            return;
        };
        taken.of_calls = taken.of_calls.saturating_sub(1);
        if let Some(streams) = taken.by_call.get_mut(call) {
            *streams = streams.saturating_sub(1);
            if *streams == 0 {
                taken.by_call.remove(call);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_limited_and_come_back() {
        let seats = Seats::default();
        let call = CallId::from_client("call_1");
        let mut own: Vec<_> = (0..OF_ONE_CALL).map(|_| seats.take_of(&call).unwrap()).collect();
        assert!(seats.take_of(&call).is_none());
        let other = seats.take_of(&CallId::from_client("call_2")).unwrap();
        own.pop();
        let again = seats.take_of(&call).unwrap();
        let all: Vec<_> = (0..OF_ALL).map(|_| seats.take().unwrap()).collect();
        assert!(seats.take().is_none());
        let stats = seats.stats();
        assert_eq!((stats.of_calls, stats.of_calls_refused), (OF_ONE_CALL + 1, 1));
        assert_eq!((stats.of_all, stats.of_all_refused), (OF_ALL, 1));
        drop((own, again, other, all));
        let stats = seats.stats();
        assert_eq!((stats.of_calls, stats.of_all), (0, 0));
        assert!(seats.lock().by_call.is_empty());
    }
}
