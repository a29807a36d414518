//! What browsers report of their calls: joined to the live call, or to the one that ended a moment ago.

use std::collections::VecDeque;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::store::Live;
use super::{Calls, Shared};
use crate::call::{Api, Input};
use crate::ids::{CallId, SessionId};
use crate::room::give_back;

/// How long after its end a call takes its browser's last words: they are sent when the page hears of the end.
const LATE: Duration = Duration::from_secs(10);
/// Ended calls that are remembered for it.
const REMEMBERED: usize = 1024;

impl Calls {
    /// Notes a client report in the session's live call, or in the one that has ended just now. `false`: neither is there.
    pub fn client_report(&self, session: &SessionId, code: &str, detail: Option<&str>) -> bool {
        note(&self.shared, session, code, detail)
    }

    /// Whether a report of this session would find a call.
    #[must_use]
    pub fn takes_report(&self, session: &SessionId) -> bool {
        self.live_call_of(session).is_some() || just_ended(&self.shared, session).is_some()
    }
}

/// Calls that ended a moment ago, newest last.
pub(super) type JustEnded = VecDeque<(Instant, SessionId, CallId)>;

/// A call has ended.
pub(super) fn ended(shared: &Shared, live: &Live, now: Instant) {
    let Some(session) = live.session.get() else { return };
    let mut just_ended = shared.just_ended.lock().unwrap_or_else(PoisonError::into_inner);
    forget_past(&mut just_ended, now);
    // overflow: the oldest call takes no more reports.
    if just_ended.len() >= REMEMBERED {
        just_ended.pop_front();
    }
    just_ended.push_back((now, session.clone(), live.id.clone()));
}

/// Forgets calls whose browsers have had their time.
pub(super) fn forget_past(just_ended: &mut JustEnded, now: Instant) {
    while just_ended.front().is_some_and(|(at, ..)| is_past(*at, now)) {
        just_ended.pop_front();
    }
    give_back(just_ended);
}

/// The session's call, if it ended a moment ago.
fn just_ended(shared: &Shared, session: &SessionId) -> Option<CallId> {
    let now = shared.clock.now().instant;
    let just_ended = shared.just_ended.lock().unwrap_or_else(PoisonError::into_inner);
    let newest = just_ended.iter().rev().find(|(_, of, _)| of == session)?;
    (!is_past(newest.0, now)).then(|| newest.2.clone())
}

fn is_past(ended: Instant, now: Instant) -> bool {
    now.saturating_duration_since(ended) > LATE
}

/// Notes a report where it belongs; `false`: no call takes it.
fn note(shared: &Shared, session: &SessionId, code: &str, detail: Option<&str>) -> bool {
    let live = shared.by_session.get(session).map(|call| call.clone()).and_then(|call| shared.get_live(&call));
    if let Some(live) = live {
        let (code, detail) = (code.to_owned(), detail.map(str::to_owned));
        if live.inbox.offer(Input::Api(Api::ClientReport { code, detail })) {
            return true;
        }
    }
    let Some(call) = just_ended(shared, session) else { return false };
    let Some(body) = shared.body(&call) else { return false };
    body.call().late_report(shared.clock.now().instant, code.to_owned(), detail.map(str::to_owned));
    shared.amended(&call);
    true
}
