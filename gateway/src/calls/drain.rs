//! Letting the node run dry: nothing new, what lives may end by itself until the deadline, and what is left then is ended.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::start::RETRY_SECONDS;
use super::{Calls, Shared};
use crate::call::Input;
use crate::clock::rfc3339;
use crate::events::Notice;
use crate::problem::Problem;

/// How long calls that are told to end may take.
const END: Duration = Duration::from_secs(5);

/// A drain that has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drain {
    /// When it began.
    pub since: Timestamp,
    /// When calls that are still live are ended.
    pub deadline: Timestamp,
    ends: Instant,
}

impl Calls {
    /// No sessions and calls from now on, which `node_draining` tells; calls that live longer than `node.drain_seconds` end with `node_shutdown`. Asked
    /// again, the drain that has begun goes on as it is. Within a runtime.
    pub fn drain(&self) -> Drain {
        self.drain_for(self.shared.settings.load().node.drain)
    }

    fn drain_for(&self, wait: Duration) -> Drain {
        *self.shared.drain.get_or_init(|| {
            let now = self.shared.clock.now();
            let ends = now.instant.checked_add(wait).unwrap_or(now.instant);
            let drain = Drain { since: now.wall, deadline: now.wall_at(ends), ends };
            let live = self.live();
            tracing::info!(live, deadline = %drain.deadline, "draining");
            let notice = Notice::new("node_draining").with("node", self.shared.settings.load().node.name.as_str());
            let notice = notice.with("deadline_at", rfc3339(drain.deadline)).with("live_calls", live);
            self.shared.herald.announce(notice);
            let shared = Arc::downgrade(&self.shared);
            tokio::spawn(async move {
                tokio::time::sleep_until(ends.into()).await;
                if let Some(shared) = shared.upgrade() {
                    shared.end_all();
                }
            });
            drain
        })
    }

    /// The drain, once one was asked for.
    #[must_use]
    pub fn draining(&self) -> Option<Drain> {
        self.shared.drain.get().copied()
    }

    /// Whether a drain was asked for.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining().is_some()
    }

    /// Whether anything new may begin. Problem: `draining` 503.
    pub fn admit(&self) -> Result<(), Problem> {
        if self.is_draining() {
            return Err(Problem::draining("this node is being drained: try another one").retry_in(RETRY_SECONDS));
        }
        Ok(())
    }

    /// Returns when the last call has ended, at the latest a little after the drain's deadline.
    pub async fn drained(&self) {
        let ends = self.drain().ends;
        self.over_by(ends.checked_add(END).unwrap_or(ends)).await;
    }

    /// Ends every live call with `node_shutdown` and waits until all have ended and their BYEs are with the SIP side (at
    /// most five seconds).
    pub async fn shutdown(&self) {
        self.drain_for(Duration::ZERO);
        self.shared.end_all();
        let now = self.shared.clock.now().instant;
        self.over_by(now.checked_add(END).unwrap_or(now)).await;
    }

    async fn over_by(&self, limit: Instant) {
        let all_over = async {
            loop {
                let ended = self.shared.one_ended.notified();
                if self.shared.by_key.is_empty() && self.shared.driving.load(Ordering::Acquire) == 0 {
                    return;
                }
                ended.await;
            }
        };
        if tokio::time::timeout_at(limit.into(), all_over).await.is_err() {
            tracing::warn!(calls = self.live(), "calls are still live");
        }
    }
}

impl Shared {
    /// Every call that lives, and every one that is being born, ends with `node_shutdown`.
    fn end_all(&self) {
        self.stopping.store(true, Ordering::Release);
        self.live.iter().for_each(|live| {
            live.inbox.offer(Input::Shutdown);
        });
    }
}
