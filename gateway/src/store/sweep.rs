//! Forgetting: calls, events and the log of deliveries that are too old or too many, a slice at a time.

use rusqlite::Connection;

use super::events::Forget;
use super::writer::{Trouble, Writer};
use super::{calls, events};

/// What is forgotten, and pages given back, before the queue gets its turn again.
const SLICE_CALLS: u32 = 100;
const SLICE_EVENTS: u32 = 500;
const SLICE_PAGES: u32 = 256;

impl Writer {
    /// Forgets a slice of what is too old or too much; whether there may be more.
    pub(super) fn sweep(&mut self) -> Result<bool, Trouble> {
        let more_events = self.sweep_events()?;
        let (keep_bytes, now) = (self.options.keep_bytes, self.clock.now().wall);
        let end = now.checked_sub(self.options.keep).unwrap_or(now);
        let events = u64::try_from(self.ledger.bytes).unwrap_or(0);
        let db = self.db()?;
        let mut gone = calls::forget_before(db, end, SLICE_CALLS)?;
        let mut bytes = used_bytes(db)?;
        if gone == 0 && bytes.saturating_sub(events) > keep_bytes {
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
        Ok(more_events || gone > 0 || free > i64::from(SLICE_PAGES))
    }

    /// Events that no delivery waits for, with the log of their deliveries.
    fn sweep_events(&mut self) -> Result<bool, Trouble> {
        let now = self.clock.now().wall;
        let end = now.checked_sub(self.options.events.keep).unwrap_or(now);
        let mut ledger = self.ledger.clone();
        let keep_bytes = i64::try_from(self.options.events.keep_bytes).unwrap_or(i64::MAX);
        let db = self.db()?;
        let mut gone = events::forget(db, Forget::Before(end), SLICE_EVENTS, &mut ledger)?;
        if gone == 0 && ledger.bytes > keep_bytes {
            let over = Forget::Bytes(ledger.bytes.saturating_sub(keep_bytes));
            gone = events::forget(db, over, SLICE_EVENTS, &mut ledger)?;
        }
        self.ledger = ledger;
        self.queue.note(|stats| {
            stats.events_expired = stats.events_expired.saturating_add(u64::try_from(gone).unwrap_or(u64::MAX));
        });
        Ok(gone > 0)
    }
}

/// What the file holds without its free pages.
fn used_bytes(db: &Connection) -> rusqlite::Result<u64> {
    let read = |name: &str| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let pages = read("page_count")?.saturating_sub(read("freelist_count")?);
    Ok(u64::try_from(pages.saturating_mul(read("page_size")?)).unwrap_or(0))
}
