//! The one thread that writes. Whatever waits goes into one transaction; what fails is tried again until it works, and
//! nothing leaves the queue before it is written.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use super::file::{OpenError, Place, is_damage};
use super::queue::Queue;
use super::read::Readers;
use super::{Kept, Options, calls, pack};
use crate::clock::Clock;

/// Entries in one transaction.
const BATCH: usize = 256;
/// How often the file says that the gateway lives.
const ALIVE: Duration = Duration::from_secs(5);
/// How often what is too old or too much is looked for.
const SWEEP: Duration = Duration::from_secs(30);
/// Calls forgotten, and pages given back, before the queue gets its turn again.
const SLICE_CALLS: u32 = 100;
const SLICE_PAGES: u32 = 256;
/// Between two tries, the first and the longest.
const FIRST_REST: Duration = Duration::from_millis(100);
const LONGEST_REST: Duration = Duration::from_secs(5);

pub(super) struct Writer {
    place: Place,
    db: Option<Connection>,
    keep: Duration,
    keep_bytes: u64,
    clock: Clock,
    queue: Arc<Queue>,
    readers: Arc<Readers>,
    rest: Option<Duration>,
    next_alive: Instant,
    next_sweep: Instant,
}

/// Why nothing was written.
enum Trouble {
    Open(OpenError),
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl Writer {
    pub(super) fn new(
        place: Place,
        db: Connection,
        options: &Options,
        clock: Clock,
        queue: Arc<Queue>,
        readers: Arc<Readers>,
    ) -> Self {
        let now = Instant::now();
        let (keep, keep_bytes) = (options.keep, options.keep_bytes);
        Self {
            place,
            db: Some(db),
            keep,
            keep_bytes,
            clock,
            queue,
            readers,
            rest: None,
            next_alive: now,
            next_sweep: now,
        }
    }

    pub(super) fn run(mut self) {
        loop {
            let batch = self.queue.next(BATCH, self.next_alive.min(self.next_sweep));
            match batch.closing {
                Some(_) if batch.entries.is_empty() => return self.closed(),
                Some(end) if Instant::now() >= end => return self.given_up(),
                Some(_) | None => {}
            }
            match self.turn(&batch.entries) {
                Ok(lost) => {
                    self.queue.done(batch.entries.len(), lost);
                    self.works();
                }
                Err(trouble) => self.failed(trouble),
            }
        }
    }

    /// Writes the entries, then does what is due. How many entries are lost for good.
    fn turn(&mut self, entries: &[Arc<Kept>]) -> Result<u64, Trouble> {
        let lost = if entries.is_empty() { 0 } else { self.write_all(entries)? };
        let now = Instant::now();
        if now >= self.next_alive {
            let wall = self.clock.now().wall;
            calls::alive(self.db()?, wall)?;
            self.next_alive = now + ALIVE;
        }
        // What was written stays written, whatever becomes of the sweep.
        if now >= self.next_sweep && entries.len() < BATCH {
            match self.sweep() {
                Ok(more) => self.next_sweep = if more { now } else { now + SWEEP },
                Err(trouble) => {
                    self.next_sweep = now + SWEEP;
                    self.failed(trouble);
                }
            }
        }
        Ok(lost)
    }

    fn write_all(&mut self, entries: &[Arc<Kept>]) -> Result<u64, Trouble> {
        match self.write(entries) {
            // One of them cannot be put down, and not because of the disk: the others shall not suffer.
            Err(Trouble::Sqlite(error)) if is_the_entrys_fault(&error) => {
                let mut lost = 0_u64;
                for entry in entries {
                    match self.write(std::slice::from_ref(entry)) {
                        Ok(more) => lost = lost.saturating_add(more),
                        Err(Trouble::Sqlite(error)) if is_the_entrys_fault(&error) => {
                            tracing::error!(%error, call = %entry.id, "a call cannot be written down");
                            lost = lost.saturating_add(1);
                        }
                        Err(trouble) => return Err(trouble),
                    }
                }
                Ok(lost)
            }
            other => other,
        }
    }

    /// How many could not even be made.
    fn write(&mut self, entries: &[Arc<Kept>]) -> Result<u64, Trouble> {
        let mut lost = 0_u64;
        let tx = self.db()?.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for (at, entry) in entries.iter().enumerate() {
            // The journal of a call that has come to its end meanwhile.
            let later = entries.get(at.saturating_add(1)..).unwrap_or_default();
            if entry.ended.is_none() && later.iter().any(|other| other.id == entry.id) {
                continue;
            }
            let made = std::panic::catch_unwind(AssertUnwindSafe(|| {
                let details = entry.with_details.then(|| pack::pack(&entry.papers.details()));
                (entry.papers.record().to_string(), details)
            }));
            let Ok((record, details)) = made else {
                tracing::error!(call = %entry.id, "panic while a call was written down, it is not kept");
                lost = lost.saturating_add(1);
                continue;
            };
            calls::write(&tx, entry, &record, details.as_deref())?;
        }
        tx.commit()?;
        Ok(lost)
    }

    /// Forgets a slice of what is too old or too much; whether there may be more.
    fn sweep(&mut self) -> Result<bool, Trouble> {
        let (keep_bytes, now) = (self.keep_bytes, self.clock.now().wall);
        let end = now.checked_sub(self.keep).unwrap_or(now);
        let db = self.db()?;
        let mut gone = calls::forget_before(db, end, SLICE_CALLS)?;
        let mut bytes = used_bytes(db)?;
        if gone == 0 && bytes > keep_bytes {
            gone = calls::forget_oldest(db, SLICE_CALLS)?;
        }
        let free: i64 = db.pragma_query_value(None, "freelist_count", |row| row.get(0))?;
        if free > 0 {
            // It gives back a page a step.
            let mut vacuum = db.prepare(&format!("PRAGMA incremental_vacuum({SLICE_PAGES})"))?;
            let mut steps = vacuum.query([])?;
            while steps.next()?.is_some() {}
        }
        bytes = if gone > 0 { used_bytes(db)? } else { bytes };
        self.queue.note(|stats| {
            stats.bytes = bytes;
            stats.expired = stats.expired.saturating_add(u64::try_from(gone).unwrap_or(u64::MAX));
        });
        Ok(gone > 0 || free > i64::from(SLICE_PAGES))
    }

    /// The connection, opened again after trouble.
    fn db(&mut self) -> Result<&mut Connection, Trouble> {
        if self.db.is_none() {
            self.readers.forget();
            self.db = Some(self.place.open().map_err(Trouble::Open)?);
        }
        #[cfg(test)]
        if let Some(db) = &self.db {
            let pages = self.queue.disk_pages.load(std::sync::atomic::Ordering::Relaxed);
            let pages = if pages == 0 { 1 << 30 } else { pages };
            db.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
        }
        self.db.as_mut().ok_or(Trouble::Sqlite(rusqlite::Error::InvalidQuery))
    }

    fn failed(&mut self, trouble: Trouble) {
        let first = self.rest.is_none();
        let rest = self.rest.map_or(FIRST_REST, |rest| rest.saturating_mul(2).min(LONGEST_REST));
        self.rest = Some(rest);
        self.queue.note(|stats| {
            stats.failures = stats.failures.saturating_add(1);
            stats.failing = true;
        });
        let (error, damaged) = match trouble {
            Trouble::Open(error) => (error.to_string(), false),
            Trouble::Sqlite(error) => {
                let damaged = is_damage(&error) && self.place.move_aside(&error).is_ok();
                (error.to_string(), damaged)
            }
        };
        if first {
            tracing::warn!(error, "calls cannot be written down: they wait in memory, and it is tried again");
        } else {
            tracing::debug!(error, "calls still cannot be written down");
        }
        self.db = None;
        if damaged {
            self.readers.forget();
        }
        self.queue.rest(rest);
    }

    fn works(&mut self) {
        if self.db.is_some() && self.rest.take().is_some() {
            self.queue.note(|stats| stats.failing = false);
            tracing::info!("calls are written down again");
        }
    }

    fn closed(mut self) {
        if let Some(db) = self.db.take() {
            // Closing the last connection folds the log into the file.
            self.readers.forget();
            if let Err((_, error)) = db.close() {
                tracing::warn!(%error, "the database could not be closed in good order");
            }
        }
    }

    fn given_up(self) {
        let waiting = self.queue.stats().waiting;
        tracing::error!(waiting, "calls could not be written down before the end");
    }
}

/// What the file holds without its free pages.
fn used_bytes(db: &Connection) -> rusqlite::Result<u64> {
    let read = |name: &str| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let pages = read("page_count")?.saturating_sub(read("freelist_count")?);
    Ok(u64::try_from(pages.saturating_mul(read("page_size")?)).unwrap_or(0))
}

/// Whether no disk in the world would take this entry.
fn is_the_entrys_fault(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::ConstraintViolation
                | ErrorCode::TypeMismatch
                | ErrorCode::TooBig
                | ErrorCode::ParameterOutOfRange
        )
    )
}
