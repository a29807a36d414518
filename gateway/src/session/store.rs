//! The sessions of this node: bounded in number and age, in memory only.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use super::context::cut;
use super::{LIFETIME, Session, packed};
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

/// All sessions that may still start a call. What they say stands in one queue of octets: there may be tens of thousands, and
/// as pieces of memory between those of calls that come and go they would keep all of it from going back to the system.
pub struct Sessions {
    /// By number, counted from the first there ever was.
    numbers: HashMap<SessionId, u64>,
    /// In the order they were made, which is the order they expire.
    order: VecDeque<Kept>,
    octets: VecDeque<u8>,
    /// How many have gone, and how many octets.
    gone: (u64, u64),
    /// Of those that have some.
    reports: HashMap<SessionId, Vec<ClientReport>>,
    cap: usize,
}

struct Kept {
    id: SessionId,
    made: Instant,
    /// Where its octets begin, counted from the first there ever were. They end where the next one's begin.
    begin: u64,
}

impl Sessions {
    /// A store of at most `cap`.
    #[must_use]
    pub fn new(cap: usize) -> Self {
        let (numbers, order, octets) = (HashMap::new(), VecDeque::new(), VecDeque::new());
        Self { numbers, order, octets, gone: (0, 0), reports: HashMap::new(), cap }
    }

    /// Takes one in. Problem: `overloaded` 503.
    pub fn insert(&mut self, now: Instant, session: &Session) -> Result<(), Problem> {
        self.reap(now);
        if self.order.len() >= self.cap {
            // overflow: refused; the oldest one's expiry says when there is room again.
            let wait = self
                .order
                .front()
                .map_or(LIFETIME, |oldest| LIFETIME.saturating_sub(now.saturating_duration_since(oldest.made)));
            let wait = u32::try_from(wait.as_secs().clamp(1, 60)).unwrap_or(60);
            return Err(Problem::overloaded("try again later").retry_in(wait));
        }
        let packed = packed::pack(session).ok_or_else(|| Problem::internal_error("the session could not be kept"))?;
        let (number, begin) = (self.gone.0 + count(self.order.len()), self.gone.1 + count(self.octets.len()));
        self.octets.extend(packed);
        self.order.push_back(Kept { id: session.id.clone(), made: session.created, begin });
        self.numbers.insert(session.id.clone(), number);
        Ok(())
    }

    /// One that has not expired.
    #[must_use]
    pub fn get(&mut self, now: Instant, id: &SessionId) -> Option<Session> {
        self.reap(now);
        let place = usize::try_from(self.numbers.get(id)?.checked_sub(self.gone.0)?).ok()?;
        let (kept, end) = (self.order.get(place)?, self.begin(place.saturating_add(1)));
        let within = |at: u64| usize::try_from(at.saturating_sub(self.gone.1)).unwrap_or(usize::MAX);
        let octets: Vec<u8> = self.octets.range(within(kept.begin)..within(end)).copied().collect();
        packed::unpack(id.clone(), kept.made, &octets)
    }

    /// Keeps a report until a call takes it.
    pub fn note(&mut self, id: &SessionId, report: ClientReport) {
        if self.numbers.contains_key(id) {
            let reports = self.reports.entry(id.clone()).or_default();
            // overflow: the first reports stay, they are nearer the cause.
            if reports.len() < REPORTS {
                reports.push(report);
            }
        }
    }

    /// The reports kept so far, for the call that begins.
    #[must_use]
    pub fn take_reports(&mut self, id: &SessionId) -> Vec<ClientReport> {
        self.reports.remove(id).unwrap_or_default()
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Forgets those that can no longer start a call.
    pub fn reap(&mut self, now: Instant) {
        let is_old = |oldest: &mut Kept| now.saturating_duration_since(oldest.made) >= LIFETIME;
        while let Some(Kept { id, begin, .. }) = self.order.pop_front_if(is_old) {
            let length = self.begin(0).saturating_sub(begin);
            self.octets.drain(..usize::try_from(length).unwrap_or(usize::MAX).min(self.octets.len()));
            self.gone = (self.gone.0 + 1, begin + length);
            self.numbers.remove(&id);
            self.reports.remove(&id);
        }
        give_back(&mut self.numbers);
        give_back(&mut self.order);
        give_back(&mut self.octets);
        give_back(&mut self.reports);
    }

    /// Where the octets of the one at this place begin, or all end.
    fn begin(&self, place: usize) -> u64 {
        self.order.get(place).map_or_else(|| self.gone.1 + count(self.octets.len()), |kept| kept.begin)
    }
}

fn count(entries: usize) -> u64 {
    u64::try_from(entries).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_of_many_sessions_is_given_back_when_they_have_expired() {
        let (start, mut sessions) = (Instant::now(), Sessions::new(10_000));
        for n in 0..5_000 {
            sessions.insert(start, &session(&format!("ses_{n}"), start)).unwrap();
            sessions.note(&SessionId::from_client(&format!("ses_{n}")), ClientReport::new("other", None));
        }
        assert!(sessions.room() < 400 * 5_000, "{} octets for 5,000 sessions", sessions.room());
        let later = start + LIFETIME;
        sessions.insert(later, &session("ses_new", later)).unwrap();
        assert_eq!((sessions.len(), sessions.get(later, &SessionId::from_client("ses_0"))), (1, None));
        assert!(sessions.take_reports(&SessionId::from_client("ses_0")).is_empty());
        assert!(sessions.room() < 40 * 1024, "{} octets for one session", sessions.room());
    }

    #[test]
    fn each_session_is_found_as_it_was_while_others_come_and_go() {
        let (start, mut sessions) = (Instant::now(), Sessions::new(10_000));
        let made = |n: u64| start + n as u32 * (LIFETIME / 100);
        let nth = |n: u64| Session {
            lang: "x".repeat(n as usize % 7),
            context: (0..n % 5).map(|k| (format!("key_{k}"), "é\"\n".repeat(k as usize))).collect(),
            metadata: n.is_multiple_of(3).then(|| serde_json::json!({"n": n, "deep": [1, null, {"b": "c"}]})),
            ..session(&format!("ses_{n}"), made(n))
        };
        for n in 0..1_000 {
            sessions.insert(made(n), &nth(n)).unwrap();
            for m in [n.saturating_sub(99), n.saturating_sub(50), n] {
                assert_eq!(sessions.get(made(n), &nth(m).id), Some(nth(m)));
            }
            assert_eq!(n.checked_sub(100).and_then(|m| sessions.get(made(n), &nth(m).id)), None);
            assert_eq!(sessions.len(), 100.min(n as usize + 1));
        }
    }

    impl Sessions {
        /// Octets of memory, reports' own aside.
        fn room(&self) -> usize {
            let numbers = self.numbers.capacity() * size_of::<(SessionId, u64)>();
            let reports = self.reports.capacity() * size_of::<(SessionId, Vec<ClientReport>)>();
            numbers + reports + self.order.capacity() * size_of::<Kept>() + self.octets.capacity()
        }
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
