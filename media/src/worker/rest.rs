//! How a thread rests between two wake-ups under load, and is called out of it.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token, Waker};

/// A bell that the control plane rings, heard asleep (by the thread's own poll) and at rest alike: what is asked is done
/// at once, while datagrams wait for each other.
pub(super) struct Bell {
    poll: Poll,
    events: Events,
}

impl Bell {
    /// A bell, who rings it, and its token in the poll behind `registry`.
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<(Self, Arc<Waker>)> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), token)?);
        registry.register(&mut SourceFd(&poll.as_raw_fd()), token, Interest::READABLE)?;
        Ok((Self { poll, events: Events::with_capacity(1) }, waker))
    }

    /// Rests for so long, or until the bell is rung.
    pub(super) fn rest(&mut self, time: Duration) {
        // An interrupted rest is a short one.
        let _ = self.poll.poll(&mut self.events, Some(time));
    }

    /// It was heard: the next ring is told anew.
    pub(super) fn heard(&mut self) {
        self.rest(Duration::ZERO);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_is_heard_asleep_and_at_rest_each_time_it_comes() {
        const TOKEN: Token = Token(0);
        let mut poll = Poll::new().unwrap();
        let (mut bell, waker) = Bell::new(poll.registry(), TOKEN).unwrap();
        let mut events = Events::with_capacity(8);
        let hour = Duration::from_secs(3600);
        for _ in 0..3 {
            waker.wake().unwrap();
            poll.poll(&mut events, Some(hour)).unwrap();
            assert_eq!(events.iter().map(|event| event.token()).collect::<Vec<_>>(), [TOKEN]);
            bell.heard();
            poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
            assert!(events.is_empty(), "told once");
            // At rest the same bell ends the rest, for an hour would never end here.
            waker.wake().unwrap();
            bell.rest(hour);
        }
    }
}
