//! What outlives the process: one SQLite file, one thread that writes it, readers with connections of their own.
//!
//! ```text
//! calls, events, outbox ─ keep, append, … ─▶ queue (bounded) ─▶ writer thread ─▶ trunkline.db ◀─ readers (spawn_blocking)
//!                                                                └─ told: what is durable goes to streams and webhooks
//! ```
//!
//! Whoever has something to keep hands it over and goes on: a slow, full or broken disk is the writer's trouble alone.
//! What waits in the queue is found by readers too, so that nothing is invisible on its way.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::clock::Clock;
use crate::ids::{CallId, SessionId, random_bits};

mod access;
mod calls;
mod entry;
mod events;
mod file;
mod legs;
mod outbox;
mod pack;
mod queue;
mod read;
mod sweep;
#[cfg(test)]
mod tests;
mod told;
mod writer;

pub use calls::{Cursor, Orphan, Query, Row};
pub use entry::Filed;
pub use events::EventPage;
pub use file::OpenError;
pub use outbox::{Attempt, ChangeError, Delivery, DeliveryState, IntegrationState};

use crate::events::Bus;
use events::Ledger;
use queue::Queue;
use read::Readers;
use told::Told;

/// Reads at once; more wait their turn.
const READERS: usize = 4;
/// How long closing waits for what is still to be written.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Where the file is and what it may hold.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder (`node.data_dir`); made when it is not there.
    pub dir: PathBuf,
    /// Calls are forgotten so long after their end.
    pub keep: Duration,
    /// The oldest calls are forgotten when the file holds more, bytes.
    pub keep_bytes: u64,
    /// The log of events and deliveries.
    pub events: EventOptions,
}

/// What the log of events and deliveries may hold.
#[derive(Debug, Clone, Copy)]
pub struct EventOptions {
    /// Events are forgotten so long after they happened.
    pub keep: Duration,
    /// The oldest are forgotten when they take more, bytes.
    pub keep_bytes: u64,
    /// What may wait in memory while the disk is away, bytes.
    pub backlog_bytes: u64,
    /// Deliveries that may wait for one integration.
    pub pending_max: u64,
}

impl From<trunkline_config::Events> for EventOptions {
    fn from(events: trunkline_config::Events) -> Self {
        let trunkline_config::Events { keep, keep_bytes, backlog_bytes, pending_max } = events;
        Self { keep, keep_bytes, backlog_bytes, pending_max }
    }
}

impl Default for EventOptions {
    fn default() -> Self {
        let day = Duration::from_secs(86_400);
        Self { keep: 7 * day, keep_bytes: 512 << 20, backlog_bytes: 64 << 20, pending_max: 100_000 }
    }
}

/// A call to keep. While it lives this is its place in the journal, after its end all that stays of it.
#[derive(Clone)]
pub struct Kept {
    /// Its id; a later entry of the same id replaces an earlier one.
    pub id: CallId,
    /// Its session, if somebody has it.
    pub session: Option<SessionId>,
    /// Its app.
    pub app: String,
    /// When it began.
    pub started: Timestamp,
    /// When and for what reason it ended; `None`: it lives.
    pub ended: Option<(Timestamp, &'static str)>,
    /// What is written of it: made by the writer when it is its turn.
    pub papers: Arc<dyn Papers>,
    /// The details are written too.
    pub with_details: bool,
}

/// Makes what is written of a call.
pub trait Papers: Send + Sync {
    /// The record of `api.md`.
    fn record(&self) -> Value;
    /// Everything else support may ask for.
    fn details(&self) -> Value;
}

/// How the store does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Entries that wait to be written.
    pub waiting: usize,
    /// Entries written.
    pub written: u64,
    /// Ended calls that were never written: the queue was full, or they could not be put down at all.
    pub dropped: u64,
    /// Ended calls of which only the record is kept, because the queue was long.
    pub shed: u64,
    /// Journal entries of live calls that were left out, because the queue was long.
    pub unjournalled: u64,
    /// Changes of SIP legs that were left out, because too many waited.
    pub legs_left_out: u64,
    /// Ended calls forgotten because of their age or the file's size.
    pub expired: u64,
    /// Writes that failed.
    pub failures: u64,
    /// Writing fails now: the alarm.
    pub failing: bool,
    /// What the file holds, bytes.
    pub bytes: u64,
    /// What events take that wait to be written, bytes.
    pub backlog_bytes: u64,
    /// Events that were never written: the queue was full, or they could not be put down at all.
    pub events_lost: u64,
    /// Events forgotten because of their age or the log's size.
    pub events_expired: u64,
    /// Events that a visitor was told before they were durable.
    pub events_early: u64,
    /// Deliveries never tried because too many waited.
    pub deliveries_skipped: u64,
}

/// Reading failed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be read.
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    /// What was read is not what was written.
    #[error("a stored call cannot be understood")]
    Garbled,
    /// The reader broke.
    #[error("the reader has stopped")]
    Stopped,
}

/// The store; clones share it. The last one to go writes what waits and ends the thread.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    queue: Arc<Queue>,
    readers: Arc<Readers>,
    permits: Semaphore,
    told: Arc<Told>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
    /// Goes with the store.
    temporary: Option<PathBuf>,
}

impl Store {
    /// Opens the file, or begins one; a damaged one is moved aside. Also the calls that were live when whoever wrote
    /// it went away.
    ///
    /// # Errors
    /// The folder or file cannot be used, another process uses it, or a newer version has written it.
    pub fn open(options: &Options, clock: &Clock) -> Result<(Self, Vec<Orphan>), OpenError> {
        Self::start(options, clock, None)
    }

    /// A store that is gone with its last handle.
    ///
    /// # Errors
    /// There is no room for temporary files.
    pub fn temporary(clock: &Clock) -> Result<Self, OpenError> {
        let bits: [u8; 8] = random_bits();
        let dir = std::env::temp_dir().join(format!("trunkline-{:016x}", u64::from_be_bytes(bits)));
        let keep = Duration::from_secs(86_400);
        let options = Options { dir: dir.clone(), keep, keep_bytes: 256 << 20, events: EventOptions::default() };
        Self::start(&options, clock, Some(dir)).map(|(store, _)| store)
    }

    fn start(options: &Options, clock: &Clock, temporary: Option<PathBuf>) -> Result<(Self, Vec<Orphan>), OpenError> {
        let place = file::Place::take(&options.dir, temporary.is_none())?;
        let db = place.open()?;
        let wrong = |source| OpenError::Sqlite { path: place.path.clone(), source };
        let orphans = calls::orphans(&db).map_err(wrong)?;
        let mut ledger = Ledger { pending_max: options.events.pending_max, ..Ledger::default() };
        ledger.read(&db).map_err(wrong)?;
        let told = Arc::new(Told::new(Bus::new(events::end(&db).map_err(wrong)?), &ledger));
        let queue = Arc::new(Queue::new(options.events.backlog_bytes));
        let readers = Arc::new(Readers::new(place.path.clone()));
        let shared = (Arc::clone(&queue), Arc::clone(&readers), Arc::clone(&told));
        let writer = writer::Writer::new((place, db), options.clone(), clock.clone(), shared, ledger);
        let thread = std::thread::Builder::new()
            .name("store".into())
            .spawn(move || writer.run())
            .map_err(|source| OpenError::Folder { path: options.dir.clone(), source })?;
        let (permits, thread) = (Semaphore::new(READERS), Mutex::new(Some(thread)));
        Ok((Self { inner: Arc::new(Inner { queue, readers, permits, told, thread, temporary }) }, orphans))
    }

    /// Hands a call over; returns at once, whatever the disk does.
    pub fn keep(&self, kept: Kept) {
        self.inner.queue.push(kept);
    }

    /// An ended call that is not written yet.
    #[must_use]
    pub fn waiting(&self, id: &CallId) -> Option<Arc<Kept>> {
        self.inner.queue.find(id)
    }

    /// All ended calls that are not written yet.
    #[must_use]
    pub fn all_waiting(&self) -> Vec<Arc<Kept>> {
        self.inner.queue.ended()
    }

    /// The record of a written, ended call.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn record(&self, id: &CallId) -> Result<Option<Value>, ReadError> {
        let id = id.clone();
        self.read(move |db| calls::record(db, &id)).await
    }

    /// Whose call it is, if it was ever written.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn session_of(&self, id: &CallId) -> Result<Option<SessionId>, ReadError> {
        let id = id.clone();
        self.read(move |db| calls::session_of(db, &id)).await
    }

    /// The record and the details of a written, ended call.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn papers(&self, id: &CallId) -> Result<Option<(Value, Value)>, ReadError> {
        let id = id.clone();
        self.read(move |db| calls::papers(db, &id)).await
    }

    /// Written, ended calls, newest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn page(&self, query: Query) -> Result<Vec<Row>, ReadError> {
        self.read(move |db| calls::page(db, &query)).await
    }

    /// How it does.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        let told = &self.inner.told;
        StoreStats {
            events_early: told.early.load(std::sync::atomic::Ordering::Relaxed),
            deliveries_skipped: told.skipped(),
            ..self.inner.queue.stats()
        }
    }

    /// Waits until all that was handed over so far is written. `false`: not within `limit`. Blocks.
    #[must_use]
    pub fn flush(&self, limit: Duration) -> bool {
        self.inner.queue.flush(limit)
    }

    /// Writes what waits and ends the thread, within five seconds. Blocks.
    pub fn close(&self) {
        self.inner.close();
    }

    async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&rusqlite::Connection) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let _permit = self.inner.permits.acquire().await.map_err(|_| ReadError::Stopped)?;
        let readers = Arc::clone(&self.inner.readers);
        tokio::task::spawn_blocking(move || readers.read(look)).await.map_err(|_| ReadError::Stopped)?
    }
}

impl Inner {
    fn close(&self) {
        self.queue.close(LAST_WORDS);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A panic of the writer has been logged by itself.
            let _ = thread.join();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
        self.readers.forget();
        if let Some(dir) = &self.temporary {
            remove(dir);
        }
    }
}

fn remove(dir: &Path) {
    if let Err(error) = std::fs::remove_dir_all(dir) {
        tracing::debug!(%error, "a temporary folder stays behind");
    }
}
