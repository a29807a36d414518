//! Readiness, deadlines and phases of a load thread.
#![allow(clippy::disallowed_methods)] // The edge: wall time is read here for stamps that are compared with the kernel's.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};

use crate::sys;

/// Every party sends a packet this often.
pub(crate) const PACKET_TIME: Duration = Duration::from_millis(20);

/// Without a deadline the thread still looks around this often.
const IDLE: Duration = Duration::from_millis(100);

const WAKER: usize = usize::MAX;

/// Wall time, nanoseconds since the Unix epoch: what stamps carry and what the kernel stamps arrivals with.
pub(crate) fn wall_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Waits for many sockets and deadlines. Sockets must be read until they are empty.
pub(crate) struct Reactor {
    poll: Poll,
    events: Events,
    schedule: Schedule,
    waker: Arc<Waker>,
}

impl Reactor {
    pub(crate) fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), Token(WAKER))?);
        Ok(Self { poll, events: Events::with_capacity(1024), schedule: Schedule::default(), waker })
    }

    /// Interrupts [`Self::wait`] from another thread.
    pub(crate) fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    /// Reports `token` whenever the socket becomes readable.
    pub(crate) fn watch(&self, socket: &UdpSocket, token: usize) -> io::Result<()> {
        let descriptor = socket.as_raw_fd();
        self.poll.registry().register(&mut SourceFd(&descriptor), Token(token), Interest::READABLE)
    }

    /// Reports `who` at `at`, instead of any other time asked for before.
    pub(crate) fn set(&mut self, who: usize, at: Instant) {
        self.schedule.set(who, at);
    }

    /// Whose time has come; each is reported once.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<usize> {
        self.schedule.pop_due(now)
    }

    /// Waits for the next deadline or datagram; the sockets that are readable.
    pub(crate) fn wait(&mut self, ready: &mut Vec<usize>) -> io::Result<()> {
        let patience = self.schedule.next().map_or(IDLE, |at| at.saturating_duration_since(Instant::now()).min(IDLE));
        if !patience.is_zero() {
            sys::wait_readable(self.poll.as_raw_fd(), patience);
        }
        ready.clear();
        match self.poll.poll(&mut self.events, Some(Duration::ZERO)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            Ok(()) | Err(_) => {}
        }
        ready.extend(self.events.iter().map(|event| event.token().0).filter(|token| *token != WAKER));
        Ok(())
    }
}

/// Who wants to be called when.
#[derive(Default)]
struct Schedule {
    heap: BinaryHeap<Reverse<(Instant, usize)>>,
    wanted: HashMap<usize, Instant>,
}

impl Schedule {
    fn set(&mut self, who: usize, at: Instant) {
        if self.wanted.insert(who, at) != Some(at) {
            self.heap.push(Reverse((at, who)));
        }
    }

    fn pop_due(&mut self, now: Instant) -> Option<usize> {
        if self.next()? > now {
            return None;
        }
        let Reverse((_, who)) = self.heap.pop()?;
        self.wanted.remove(&who);
        Some(who)
    }

    fn next(&mut self) -> Option<Instant> {
        loop {
            let Reverse((at, who)) = self.heap.peek()?;
            if self.wanted.get(who) == Some(at) {
                return Some(*at);
            }
            self.heap.pop();
        }
    }
}

/// The sending instants of one party: its own place within the packet time, so that no two calls march in step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Phase {
    first: Instant,
}

impl Phase {
    /// The place of party `nth` of `of`, which sends half a step after its neighbour of the other side if `half`.
    pub(crate) fn new(epoch: Instant, nth: usize, of: usize, half: bool) -> Self {
        let place = (nth as f64 + if half { 0.5 } else { 0.0 }) / of.max(1) as f64;
        Self { first: epoch + PACKET_TIME.mul_f64(place.fract()) }
    }

    /// The first sending instant after `now`.
    pub(crate) fn after(self, now: Instant) -> Instant {
        let passed = now.saturating_duration_since(self.first).as_nanos() / PACKET_TIME.as_nanos();
        self.first + PACKET_TIME * u32::try_from(passed).unwrap_or(u32::MAX).saturating_add(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_wish_counts_and_is_granted_once() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut schedule = Schedule::default();
        schedule.set(1, at(10));
        schedule.set(2, at(20));
        schedule.set(1, at(30));
        assert_eq!(schedule.pop_due(at(15)), None);
        assert_eq!(
            (schedule.pop_due(at(30)), schedule.pop_due(at(30)), schedule.pop_due(at(30))),
            (Some(2), Some(1), None)
        );
        assert_eq!(schedule.next(), None);
    }

    #[test]
    fn phases_are_spread_over_the_packet_time() {
        let epoch = Instant::now();
        let now = epoch + Duration::from_secs(3);
        let mut instants: Vec<Instant> = (0..10).map(|n| Phase::new(epoch, n, 10, false).after(now)).collect();
        instants.sort();
        for pair in instants.windows(2) {
            assert_eq!(pair[1] - pair[0], Duration::from_millis(2));
        }
        let phase = Phase::new(epoch, 3, 10, true);
        assert_eq!(phase.after(phase.after(now)), phase.after(now) + PACKET_TIME);
    }
}
