//! What a visitor's page reads of its own call.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::log::Next;
use super::{Envelope, EventLog};
use crate::ids::CallId;
use crate::store::Store;

/// Events read from the database at once.
const PAGE: usize = 64;

/// A live view of one call's events: everything after a sequence number, then as they come; ends with the call.
pub struct EventStream {
    call: CallId,
    /// `None`: the call is long over, all there is is in the database.
    log: Option<Arc<EventLog>>,
    store: Store,
    seen: u64,
    page: VecDeque<Arc<Envelope>>,
}

impl EventStream {
    /// Everything after `seq` (0: from the beginning).
    #[must_use]
    pub fn new(call: CallId, log: Option<Arc<EventLog>>, store: Store, seq: u64) -> Self {
        Self { call, log, store, seen: seq, page: VecDeque::new() }
    }

    /// The next event; `None` when the call is over and all has been handed out.
    pub async fn next(&mut self) -> Option<Arc<Envelope>> {
        loop {
            if let Some(event) = self.page.pop_front() {
                self.seen = event.seq;
                return Some(event);
            }
            let Some(log) = self.log.clone() else {
                if self.read(u64::MAX).await {
                    continue;
                }
                return None;
            };
            let changed = log.changed();
            match log.after(Instant::now(), self.seen) {
                Next::Event(event, early) => {
                    if early {
                        self.store.told_early();
                    }
                    self.seen = event.seq;
                    return Some(event);
                }
                Next::From(first) => {
                    if !self.read(first).await {
                        self.seen = first.saturating_sub(1);
                    }
                }
                Next::Over => return None,
                Next::Wait(None) => changed.await,
                Next::Wait(Some(due)) => {
                    tokio::select! {
                        () = changed => {}
                        () = tokio::time::sleep_until(due.into()) => {}
                    }
                }
            }
        }
    }

    /// Reads a page of what comes before `end`; whether there was any. What cannot be read is left out: the reader sees
    /// the gap in `seq`, and its call goes on.
    async fn read(&mut self, end: u64) -> bool {
        match self.store.events_of(&self.call, self.seen, end, PAGE).await {
            Ok(page) => self.page.extend(page),
            Err(error) => tracing::warn!(%error, "a call's events cannot be read from the database"),
        }
        !self.page.is_empty()
    }
}
