//! The sessions of this node: bounded in number and age, in memory only.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use super::context::cut;
use super::{LIFETIME, Session};
use crate::ids::SessionId;
use crate::problem::Problem;
use crate::room::give_back;

/// Reports kept for a session that has no call yet.
const REPORTS: usize = 10;
/// Longest detail of a report, bytes.
const DETAIL_BYTES: usize = 2048;

/// What a browser told of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientReport {
    /// One of the published codes.
    pub code: &'static str,
    /// In its own words.
    pub detail: Option<String>,
}

impl ClientReport {
    /// A report whose detail is cut to size and freed of what is no text: control characters, and those that turn the
    /// direction of what stands beside them.
    #[must_use]
    pub fn new(code: &'static str, detail: Option<&str>) -> Self {
        let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        let plain = |text: &str| text.chars().filter(|&c| !c.is_control() && !turns(c)).collect::<String>();
        Self { code, detail: detail.map(|detail| plain(cut(detail, DETAIL_BYTES))) }
    }
}

struct Kept {
    session: Session,
    reports: Vec<ClientReport>,
}

/// All sessions that may still start a call.
pub struct Sessions {
    /// Boxed: the room a table keeps ready is little more than the ids.
    kept: HashMap<SessionId, Box<Kept>>,
    /// In the order they were made, which is the order they expire.
    order: VecDeque<(Instant, SessionId)>,
    cap: usize,
}

impl Sessions {
    /// A store of at most `cap`.
    #[must_use]
    pub fn new(cap: usize) -> Self {
        Self { kept: HashMap::new(), order: VecDeque::new(), cap }
    }

    /// Takes one in. Problem: `overloaded` 503.
    pub fn insert(&mut self, now: Instant, session: Session) -> Result<(), Problem> {
        self.reap(now);
        if self.kept.len() >= self.cap {
            // overflow: refused; the oldest one's expiry says when there is room again.
            let wait = self
                .order
                .front()
                .map_or(LIFETIME, |(made, _)| LIFETIME.saturating_sub(now.saturating_duration_since(*made)));
            let wait = u32::try_from(wait.as_secs().clamp(1, 60)).unwrap_or(60);
            return Err(Problem::overloaded("try again later").retry_in(wait));
        }
        self.order.push_back((now, session.id.clone()));
        self.kept.insert(session.id.clone(), Box::new(Kept { session, reports: Vec::new() }));
        Ok(())
    }

    /// One that has not expired.
    #[must_use]
    pub fn get(&mut self, now: Instant, id: &SessionId) -> Option<Session> {
        self.reap(now);
        self.kept.get(id).map(|kept| kept.session.clone())
    }

    /// Keeps a report until a call takes it.
    pub fn note(&mut self, id: &SessionId, report: ClientReport) {
        // overflow: the first reports stay, they are nearer the cause.
        if let Some(kept) = self.kept.get_mut(id)
            && kept.reports.len() < REPORTS
        {
            kept.reports.push(report);
        }
    }

    /// The reports kept so far, for the call that begins.
    #[must_use]
    pub fn take_reports(&mut self, id: &SessionId) -> Vec<ClientReport> {
        self.kept.get_mut(id).map(|kept| std::mem::take(&mut kept.reports)).unwrap_or_default()
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Forgets those that can no longer start a call.
    pub fn reap(&mut self, now: Instant) {
        while let Some((made, id)) = self.order.front()
            && now.saturating_duration_since(*made) >= LIFETIME
        {
            self.kept.remove(id);
            self.order.pop_front();
        }
        give_back(&mut self.kept);
        give_back(&mut self.order);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_of_many_sessions_is_given_back_when_they_have_expired() {
        let (start, mut sessions) = (Instant::now(), Sessions::new(10_000));
        for n in 0..5_000 {
            sessions.insert(start, session(&format!("ses_{n}"), start)).unwrap();
        }
        let later = start + LIFETIME;
        sessions.insert(later, session("ses_new", later)).unwrap();
        assert_eq!((sessions.len(), sessions.get(later, &SessionId::from_client("ses_0")).is_some()), (1, false));
        assert!(sessions.kept.capacity() < 500 && sessions.order.capacity() < 500);
    }

    fn session(id: &str, created: Instant) -> Session {
        Session { id: SessionId::from_client(id), created, ..crate::testing::session("acme") }
    }

    #[test]
    fn details_are_text_of_limited_size() {
        let check = |detail: &str, expected: &str| {
            assert_eq!(ClientReport::new("other", Some(detail)).detail.as_deref(), Some(expected));
        };
        check("{\"rtt_ms\":3}", "{\"rtt_ms\":3}");
        check("a\r\nb\u{0}\u{1b}[31mc\u{202e}d\u{2066}", "ab[31mcd");
        check(&"é".repeat(2_000), &"é".repeat(1_024));
        assert_eq!(ClientReport::new("other", None).detail, None);
    }
}
