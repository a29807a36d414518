//! A call is over: what becomes of it.

use std::sync::{Arc, PoisonError};
use std::time::Instant;

use super::store::{Body, Live};
use super::{Shared, reports};
use crate::events::Word;
use crate::ids::CallId;
use crate::outcome::Outcome;

impl Shared {
    /// The call itself, live or just ended.
    pub(super) fn body(&self, call: &CallId) -> Option<Arc<Body>> {
        let live = self.live.get(call).map(|live| Arc::clone(&live.body));
        live.or_else(|| self.ended().get(call).map(|ended| Arc::clone(&ended.body)))
    }

    /// Something was added to a call that has just ended: it is written once more.
    pub(super) fn amended(&self, call: &CallId) {
        let kept = self.ended().get(call).map(|ended| ended.kept.clone());
        if let Some(kept) = kept {
            self.store.keep(kept);
        }
    }

    /// Forgets what is remembered of ended calls longer than anybody has use for it.
    pub(super) fn forget_old(&self, now: Instant) {
        self.ended().forget_old(now);
        reports::forget_past(&mut self.just_ended.lock().unwrap_or_else(PoisonError::into_inner), now);
    }

    /// A call is over: it goes to the store, its session may call again.
    pub(super) fn finish(&self, live: &Live, outcome: &Outcome, now: Instant, last: Option<Word>) {
        let at = {
            let call = live.call();
            self.counters.ended(outcome, &call.timings());
            call.about().wall.wall_at(now)
        };
        let ended = live.ended(at, outcome.reason.word());
        // Before it leaves the live ones, so that whoever looks finds it.
        match last {
            Some(word) => self.herald.tell(now, word, Some(&live.log), Some(ended.kept.clone())),
            None => self.store.keep(ended.kept.clone()),
        }
        self.ended().insert(now, ended);
        reports::ended(self, live, now);
        if let Some(session) = live.session.get() {
            self.by_session.remove_if(session, |_, call| *call == live.id);
        }
        self.by_key.remove(&live.key);
        self.live.remove(&live.id);
        live.log.close();
    }
}
