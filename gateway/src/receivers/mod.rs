//! Browsers that wait for calls from trunks: who is reached under which name of which app, for as long as its stream of
//! events is open, and a little longer, so that a stream that comes again has missed nothing. In memory only.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use crate::call::MAX_RUNG;
use crate::clock::Now;
use crate::events::Envelope;
use crate::ids::{EventId, SessionId, random_bits};
use crate::problem::Problem;
use crate::session::Session;

mod log;
#[cfg(test)]
mod tests;

use log::Log;

/// How long a browser is waited for whose stream is gone.
const GRACE: Duration = Duration::from_secs(10);
/// Browsers that wait at once.
const MOST: usize = 10_000;
/// Streams of one session at once: a page, and its reload.
const STREAMS: usize = 4;

/// All of them; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Receivers {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    by_session: HashMap<SessionId, Receiver>,
    /// In the order they came.
    by_address: HashMap<Address, Vec<SessionId>>,
    closed: bool,
}

/// App and name.
type Address = (String, String);

#[derive(Debug)]
struct Receiver {
    session: Session,
    address: Address,
    log: Arc<Log>,
    streams: usize,
    /// Since when it has no stream.
    left: Option<Instant>,
}

/// A session's stream of events. While one is there the session is reached.
#[derive(Debug)]
pub struct ReceiverStream {
    receivers: Receivers,
    session: SessionId,
    log: Arc<Log>,
    seen: u64,
}

impl Receivers {
    /// Opens a stream of a session that waits under a name: from then on it is reached. `after`: the last event it has
    /// seen. Whether it was not reached before. Problems: `capacity` 503, `too-many-streams` 429.
    pub fn join(&self, now: Now, session: &Session, name: &str, after: u64) -> Result<(ReceiverStream, bool), Problem> {
        let mut inner = self.lock();
        inner.reap(now.instant);
        let is_new = !inner.by_session.contains_key(&session.id);
        if is_new {
            inner.add(session, name)?;
        }
        let closed = inner.closed;
        let Some(receiver) = inner.by_session.get_mut(&session.id) else {
            return Err(Problem::internal_error("the session could not be kept"));
        };
        // overflow: refused with a problem.
        if receiver.streams >= STREAMS {
            return Err(Problem::too_many_streams("close the session's other streams first").retry_in(5));
        }
        receiver.streams = receiver.streams.saturating_add(1);
        receiver.left = None;
        if closed {
            receiver.log.close();
        }
        let log = Arc::clone(&receiver.log);
        let stream = ReceiverStream { receivers: self.clone(), session: session.id.clone(), log, seen: after };
        Ok((stream, is_new))
    }

    /// Who waits under a name, longest first.
    #[must_use]
    pub fn of(&self, now: Instant, app: &str, name: &str) -> Vec<SessionId> {
        let mut inner = self.lock();
        inner.reap(now);
        inner.by_address.get(&(app.to_owned(), name.to_owned())).cloned().unwrap_or_default()
    }

    /// A session that is reached, however old its token.
    #[must_use]
    pub fn session(&self, now: Instant, id: &SessionId) -> Option<Session> {
        let mut inner = self.lock();
        inner.reap(now);
        inner.by_session.get(id).map(|receiver| receiver.session.clone())
    }

    /// Tells a session something, if it is reached.
    pub fn tell(&self, now: Now, session: &SessionId, name: &'static str, fields: &Map<String, Value>) {
        let inner = self.lock();
        let Some(receiver) = inner.by_session.get(session) else { return };
        let mut data = Map::from_iter([("session".to_owned(), Value::from(session.as_str()))]);
        data.extend(fields.clone());
        let app = receiver.session.app.clone();
        receiver.log.push(|seq| {
            let id = EventId::from_random(random_bits());
            Arc::new(Envelope::of_session(id, name, now.wall, app, seq, &data))
        });
    }

    /// How many are reached.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().by_session.len()
    }

    /// Whether nobody is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ends all streams: this node stops.
    pub fn close(&self) {
        let mut inner = self.lock();
        inner.closed = true;
        inner.by_session.values().for_each(|receiver| receiver.log.close());
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn add(&mut self, session: &Session, name: &str) -> Result<(), Problem> {
        let address = (session.app.clone(), name.to_owned());
        let waiting = self.by_address.entry(address.clone()).or_default();
        // overflow: refused with a problem; a call rings no more browsers anyway.
        if waiting.len() >= MAX_RUNG || self.by_session.len() >= MOST {
            return Err(Problem::capacity("as many browsers wait as may").retry_in(5));
        }
        waiting.push(session.id.clone());
        let (session, log) = (session.clone(), Arc::default());
        self.by_session.insert(session.id.clone(), Receiver { session, address, log, streams: 0, left: None });
        Ok(())
    }

    fn reap(&mut self, now: Instant) {
        let is_gone =
            |receiver: &Receiver| receiver.left.is_some_and(|left| now.saturating_duration_since(left) >= GRACE);
        let gone: Vec<SessionId> =
            self.by_session.iter().filter(|(_, receiver)| is_gone(receiver)).map(|(id, _)| id.clone()).collect();
        for id in gone {
            let Some(receiver) = self.by_session.remove(&id) else { continue };
            if let Some(waiting) = self.by_address.get_mut(&receiver.address) {
                waiting.retain(|one| *one != id);
                if waiting.is_empty() {
                    self.by_address.remove(&receiver.address);
                }
            }
        }
    }

    fn left(&mut self, now: Instant, session: &SessionId) {
        if let Some(receiver) = self.by_session.get_mut(session) {
            receiver.streams = receiver.streams.saturating_sub(1);
            receiver.left = Some(now).filter(|_| receiver.streams == 0);
        }
    }
}

impl ReceiverStream {
    /// The next event; `None` when this node stops.
    pub async fn next(&mut self) -> Option<Arc<Envelope>> {
        let event = self.log.next(self.seen).await?;
        self.seen = event.seq;
        Some(event)
    }
}

impl Drop for ReceiverStream {
    fn drop(&mut self) {
        self.receivers.lock().left(Instant::now(), &self.session);
    }
}
