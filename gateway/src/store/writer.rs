//! The one thread that writes. Whatever waits goes into one transaction; what fails is tried again until it works, and
//! nothing leaves the queue before it is written.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use super::entry::Entry;
use super::events::Ledger;
use super::file::{OpenError, Place, is_damage};
use super::queue::{Lost, Queue};
use super::read::Readers;
use super::told::Told;
use super::{Kept, Options, calls, events, legs, outbox, pack};
use crate::clock::Clock;

/// Entries in one transaction.
const BATCH: usize = 1_024;
/// How often the file says that the gateway lives.
const ALIVE: Duration = Duration::from_secs(5);
/// How often what is too old or too much is looked for.
const SWEEP: Duration = Duration::from_secs(30);
/// Between two tries, the first and the longest.
const FIRST_REST: Duration = Duration::from_millis(100);
const LONGEST_REST: Duration = Duration::from_secs(5);

pub(super) struct Writer {
    place: Place,
    db: Option<Connection>,
    pub(super) options: Options,
    pub(super) clock: Clock,
    pub(super) queue: Arc<Queue>,
    readers: Arc<Readers>,
    /// As of the last commit.
    pub(super) ledger: Ledger,
    told: Arc<Told>,
    rest: Option<Duration>,
    next_alive: Instant,
    next_sweep: Instant,
}

/// Why nothing was written.
pub(super) enum Trouble {
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
        (place, db): (Place, Connection),
        options: Options,
        clock: Clock,
        (queue, readers, told): (Arc<Queue>, Arc<Readers>, Arc<Told>),
        ledger: Ledger,
    ) -> Self {
        let now = Instant::now();
        Self {
            place,
            db: Some(db),
            options,
            clock,
            queue,
            readers,
            ledger,
            told,
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
                    self.queue.done(batch.entries.len(), &lost);
                    self.works();
                }
                Err(trouble) => self.failed(trouble),
            }
        }
    }

    /// Writes the entries, then does what is due. What of them is lost for good.
    fn turn(&mut self, entries: &[Entry]) -> Result<Lost, Trouble> {
        let lost = if entries.is_empty() { Lost::default() } else { self.write_all(entries)? };
        // What was written stays written, and is told once, whatever becomes of the rest.
        if let Err(trouble) = self.upkeep(Instant::now(), entries.len() < BATCH) {
            self.failed(trouble);
        }
        Ok(lost)
    }

    /// Says that the gateway lives, and forgets, when it is time.
    fn upkeep(&mut self, now: Instant, may_sweep: bool) -> Result<(), Trouble> {
        if now >= self.next_alive {
            let wall = self.clock.now().wall;
            calls::alive(self.db()?, wall)?;
            self.next_alive = now + ALIVE;
        }
        if now >= self.next_sweep && may_sweep {
            self.next_sweep = now + SWEEP;
            if self.sweep()? {
                self.next_sweep = now;
            }
        }
        Ok(())
    }

    fn write_all(&mut self, entries: &[Entry]) -> Result<Lost, Trouble> {
        match self.write(entries) {
            // One of them cannot be put down, and not because of the disk: the others shall not suffer.
            Err(Trouble::Sqlite(error)) if is_the_entrys_fault(&error) => {
                let mut lost = Lost::default();
                for entry in entries {
                    match self.write(std::slice::from_ref(entry)) {
                        Ok(more) => lost.add(&more),
                        Err(Trouble::Sqlite(error)) if is_the_entrys_fault(&error) => {
                            lost.add(&given_up(entry, &error))
                        }
                        Err(trouble) => return Err(trouble),
                    }
                }
                Ok(lost)
            }
            other => other,
        }
    }

    /// One transaction. Only when it is through does anybody hear of what was in it.
    fn write(&mut self, entries: &[Entry]) -> Result<Lost, Trouble> {
        let now = self.clock.now().wall;
        self.db()?;
        let mut ledger = self.ledger.clone();
        let (mut lost, mut published, mut orders) = (Lost::default(), Vec::new(), Vec::new());
        let tx = self.db()?.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for (at, entry) in entries.iter().enumerate() {
            if let Some(kept) = entry.call() {
                let later = entries.get(at.saturating_add(1)..).unwrap_or_default();
                lost.calls = lost.calls.saturating_add(write_call(&tx, kept, later)?);
            }
            match entry {
                Entry::Call(..) => {}
                Entry::Event(filed) => {
                    let position = events::write(&tx, filed, now, &mut ledger)?;
                    published.push((position, Arc::clone(filed)));
                }
                Entry::Order(order, _) => {
                    orders.push((Arc::clone(order), outbox::apply(&tx, &order.change, &mut ledger)?));
                }
                Entry::Leg(change, _) => legs::write(&tx, change)?,
            }
        }
        if !published.is_empty() {
            ledger.write(&tx)?;
        }
        tx.commit()?;
        self.ledger = ledger;
        entries.iter().for_each(Entry::settle_leg);
        self.told.tell(&self.ledger, published, orders);
        Ok(lost)
    }

    /// The connection, opened again after trouble.
    pub(super) fn db(&mut self) -> Result<&mut Connection, Trouble> {
        if self.db.is_none() {
            self.readers.forget();
            let db = self.place.open().map_err(Trouble::Open)?;
            self.ledger.read(&db)?;
            self.db = Some(db);
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
            tracing::warn!(
                error,
                "calls and events cannot be written down: they wait in memory, and it is tried again"
            );
        } else {
            tracing::debug!(error, "calls and events still cannot be written down");
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
            tracing::info!("calls and events are written down again");
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
        tracing::error!(waiting, "calls and events could not be written down before the end");
    }
}

/// Writes a call, unless what comes later says more of it; 1 if it could not even be made.
fn write_call(db: &Connection, kept: &Kept, later: &[Entry]) -> rusqlite::Result<u64> {
    // The journal of a call that has come to its end meanwhile.
    if kept.ended.is_none() && later.iter().filter_map(Entry::call).any(|other| other.id == kept.id) {
        return Ok(0);
    }
    let made = std::panic::catch_unwind(AssertUnwindSafe(|| {
        let details = kept.with_details.then(|| pack::pack(&kept.papers.details()));
        (kept.papers.record().to_string(), details)
    }));
    let Ok((record, details)) = made else {
        tracing::error!(call = %kept.id, "panic while a call was written down, it is not kept");
        return Ok(1);
    };
    calls::write(db, kept, &record, details.as_deref())?;
    Ok(0)
}

/// Counts what no disk would take.
fn given_up(entry: &Entry, error: &rusqlite::Error) -> Lost {
    let call = entry.call().map(|kept| kept.id.as_str());
    tracing::error!(%error, call, "something cannot be written down, ever");
    if let Entry::Event(filed) = entry {
        filed.settle();
    }
    Lost { calls: u64::from(call.is_some()), events: u64::from(matches!(entry, Entry::Event(_))) }
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
