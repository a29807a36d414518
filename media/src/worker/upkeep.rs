//! What a thread looks at once a second: its processor time, and what the kernel dropped at its full socket.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use super::batch::dropped;

const EVERY: Duration = Duration::from_secs(1);

/// The kernel's count of this thread's nanoseconds on a processor, its first number (proc(5), `schedstat`).
const CLOCK: &str = "/proc/thread-self/schedstat";

/// Looks once a second.
pub(super) struct Upkeep {
    /// Opened on the thread it is about; without it (a kernel that does not count) nothing is told.
    clock: Option<File>,
    due: Instant,
    looked: Instant,
    cpu: Duration,
    /// Dropped at the public port.
    dropped: u64,
}

/// What a look saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    /// Processor time of the thread so far.
    pub(super) cpu: Duration,
    /// Thousandths of the time since the last look.
    pub(super) busy: u64,
    /// Datagrams dropped at the full socket since the last look.
    pub(super) dropped: u64,
}

impl Upkeep {
    /// Begins on the thread that is looked at.
    pub(super) fn new(now: Instant) -> Self {
        Self { clock: File::open(CLOCK).ok(), due: now + EVERY, looked: now, cpu: Duration::ZERO, dropped: 0 }
    }

    /// Looks, if it is time to.
    pub(super) fn look(&mut self, now: Instant, public: &impl AsRawFd) -> Option<Look> {
        if now < self.due {
            return None;
        }
        let passed = now.saturating_duration_since(self.looked).as_micros().max(1);
        let cpu = self.clock.as_ref().and_then(read).unwrap_or(self.cpu);
        let spent = cpu.saturating_sub(self.cpu).as_micros();
        let dropped = dropped(public);
        let look = Look {
            cpu,
            busy: u64::try_from(1000 * spent / passed).unwrap_or(u64::MAX),
            dropped: dropped.saturating_sub(self.dropped),
        };
        (self.due, self.looked, self.cpu, self.dropped) = (now + EVERY, now, cpu, dropped.max(self.dropped));
        Some(look)
    }
}

fn read(clock: &File) -> Option<Duration> {
    let mut text = [0; 64];
    let length = clock.read_at(&mut text, 0).ok()?;
    let text = std::str::from_utf8(text.get(..length)?).ok()?;
    text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn work_and_full_sockets_are_seen_once_a_second() {
        #[allow(clippy::disallowed_methods)] // Real processor time is what is looked at; the times told are made up.
        let start = Instant::now();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut upkeep = Upkeep::new(start);
        assert_eq!(upkeep.look(start + EVERY / 2, &socket), None);
        let first = upkeep.look(start + EVERY, &socket).unwrap();
        while upkeep.clock.as_ref().and_then(read).unwrap() < first.cpu + Duration::from_millis(20) {}
        let to = socket.local_addr().unwrap();
        let flood = UdpSocket::bind("127.0.0.1:0").unwrap();
        (0..5_000).for_each(|_| drop(flood.send_to(&[0; 1200], to)));
        let second = upkeep.look(start + 2 * EVERY, &socket).unwrap();
        assert!(second.busy >= 20 && second.cpu > first.cpu, "{second:?}");
        assert!(second.dropped > 0);
        assert_eq!(upkeep.look(start + 3 * EVERY, &socket).unwrap().dropped, 0, "each is told once");
    }
}
