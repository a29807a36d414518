//! Events in the database.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::types::Value as SqlValue;
use rusqlite::{Connection, OptionalExtension, Row as SqlRow, params, params_from_iter};

use super::ReadError;
use super::entry::Filed;
use super::outbox;
use crate::events::{Envelope, Filter};
use crate::ids::{CallId, EventId};

/// Bodies in one page, bytes.
const PAGE_BYTES: usize = 256 << 10;
/// What an event and each of its deliveries take in the file besides the body, about.
const ROW_BYTES: i64 = 300;
const DELIVERY_BYTES: i64 = 200;

/// A page of the order of all events.
#[derive(Debug, Default)]
pub struct EventPage {
    /// Those that were asked for.
    pub events: Vec<crate::events::Published>,
    /// All up to here have been looked at.
    pub upto: i64,
}

/// What the writer knows of the tables without looking.
#[derive(Debug, Clone, Default)]
pub(super) struct Ledger {
    /// The last event's position; none is given twice, even by a file that was begun anew.
    pub(super) position: i64,
    /// What events and deliveries take, about.
    pub(super) bytes: i64,
    /// Deliveries that wait, by integration.
    pub(super) pending: HashMap<String, u64>,
    /// Most of them for one integration.
    pub(super) pending_max: u64,
    /// Deliveries skipped because there were as many.
    pub(super) skipped: u64,
}

impl Ledger {
    /// Reads it anew from a file that has just been opened.
    pub(super) fn read(&mut self, db: &Connection) -> rusqlite::Result<()> {
        let last: Option<i64> =
            db.query_row("SELECT seq FROM sqlite_sequence WHERE name = 'events'", [], |row| row.get(0)).optional()?;
        self.position = self.position.max(last.unwrap_or(0));
        let bytes = db.query_row("SELECT value FROM node WHERE name = 'event_bytes'", [], |row| row.get(0));
        self.bytes = bytes.optional()?.unwrap_or(0);
        let mut counts =
            db.prepare("SELECT integration, count(*) FROM deliveries WHERE state = 'pending' GROUP BY integration")?;
        let counts = counts.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?)))?;
        self.pending.clear();
        for count in counts {
            let (integration, count): (String, i64) = count?;
            self.pending.insert(integration, u64::try_from(count).unwrap_or(0));
        }
        Ok(())
    }

    /// Notes what the tables take.
    pub(super) fn write(&self, db: &Connection) -> rusqlite::Result<()> {
        db.prepare_cached("INSERT OR REPLACE INTO node (name, value) VALUES ('event_bytes', ?1)")?
            .execute([self.bytes])?;
        Ok(())
    }

    /// More deliveries wait; how many were added.
    pub(super) fn add(&mut self, integration: &str, rows: usize) -> u64 {
        let rows = u64::try_from(rows).unwrap_or(u64::MAX);
        let waits = self.pending.entry(integration.to_owned()).or_default();
        *waits = waits.saturating_add(rows);
        rows
    }

    /// Fewer deliveries wait; how many are done with.
    pub(super) fn take(&mut self, integration: &str, rows: usize) -> u64 {
        let rows = u64::try_from(rows).unwrap_or(u64::MAX);
        let waits = self.pending.entry(integration.to_owned()).or_default();
        *waits = waits.saturating_sub(rows);
        rows
    }

    pub(super) fn waits(&self, integration: &str) -> u64 {
        self.pending.get(integration).copied().unwrap_or(0)
    }
}

/// The event the file ends with.
pub(super) fn end(db: &Connection) -> rusqlite::Result<Option<(i64, EventId)>> {
    db.query_row("SELECT position, id FROM events ORDER BY position DESC LIMIT 1", [], |row| {
        Ok((row.get(0)?, id(row, 1)?))
    })
    .optional()
}

/// Writes an event and its deliveries; its position. One that is there already keeps its place.
pub(super) fn write(db: &Connection, filed: &Filed, now: Timestamp, ledger: &mut Ledger) -> rusqlite::Result<i64> {
    let event = &filed.envelope;
    let position = ledger.position.saturating_add(1);
    let body = event.body();
    let text = std::str::from_utf8(&body).unwrap_or_default();
    let bytes = i64::try_from(text.len()).unwrap_or(i64::MAX).saturating_add(ROW_BYTES);
    let bytes = bytes.saturating_add(DELIVERY_BYTES.saturating_mul(i64::try_from(filed.to.len()).unwrap_or(0)));
    let (id, call) = (event.id.as_str(), event.call.as_ref().map(CallId::as_str));
    let seq = i64::try_from(event.seq).unwrap_or(i64::MAX);
    let written = db
        .prepare_cached(
            "INSERT INTO events (position, id, call, app, name, seq, time, bytes, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (id) DO NOTHING",
        )?
        .execute(params![position, id, call, event.app, event.name, seq, event.at.as_microsecond(), bytes, text])?;
    // A commit that was said to have failed had not.
    if written == 0 {
        let mut found = db.prepare_cached("SELECT position FROM events WHERE id = ?1")?;
        return found.query_row([id], |row| row.get(0));
    }
    ledger.position = position;
    ledger.bytes = ledger.bytes.saturating_add(bytes);
    for integration in &filed.to {
        outbox::file(db, position, integration, now, ledger)?;
    }
    Ok(position)
}

pub(super) fn position_of(db: &Connection, id: &EventId) -> Result<Option<i64>, ReadError> {
    let mut statement = db.prepare_cached("SELECT position FROM events WHERE id = ?1")?;
    Ok(statement.query_row([id.as_str()], |row| row.get(0)).optional()?)
}

/// A call's events after `seq` and before `end`.
pub(super) fn of_call(
    db: &Connection,
    call: &CallId,
    seq: u64,
    end: u64,
    most: usize,
) -> Result<Vec<Arc<Envelope>>, ReadError> {
    let mut statement = db.prepare_cached(
        "SELECT position, id, call, app, name, seq, time, body FROM events
         WHERE call = ?1 AND seq > ?2 AND seq < ?3 ORDER BY seq LIMIT ?4",
    )?;
    let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![call.as_str(), number(seq), number(end), most], envelope)?;
    Ok(rows.map(|row| row.map(|(_, event)| event)).collect::<Result<_, _>>()?)
}

/// Events after a position.
pub(super) fn after(db: &Connection, position: i64, filter: &Filter, most: usize) -> Result<EventPage, ReadError> {
    // One view of the file for both looks.
    let tx = db.unchecked_transaction()?;
    let end: i64 = tx.query_row("SELECT coalesce(max(position), 0) FROM events", [], |row| row.get(0))?;
    let mut sql = String::from("SELECT position, id, call, app, name, seq, time, body FROM events WHERE position > ?");
    let mut values: Vec<SqlValue> = vec![position.into()];
    for (column, wanted) in [("app", &filter.apps), ("name", &filter.names)] {
        if !wanted.is_empty() {
            let marks = vec!["?"; wanted.len()].join(", ");
            sql.push_str(&format!(" AND {column} IN ({marks})"));
            values.extend(wanted.iter().map(|value| SqlValue::from(value.clone())));
        }
    }
    sql.push_str(" ORDER BY position LIMIT ?");
    values.push(i64::try_from(most).unwrap_or(i64::MAX).into());
    let mut statement = tx.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let (mut page, mut bytes, mut whole) = (EventPage::default(), 0_usize, false);
    while bytes < PAGE_BYTES {
        let Some(row) = rows.next()? else {
            whole = page.events.len() < most;
            break;
        };
        let (position, event) = envelope(row)?;
        bytes = bytes.saturating_add(event.frame().len());
        page.events.push(crate::events::Published { position, event });
    }
    page.upto = page.events.last().map_or(position, |last| last.position);
    if whole {
        page.upto = page.upto.max(end);
    }
    Ok(page)
}

/// The last `seq` of a call, and whether its end has been told.
pub(super) fn told(db: &Connection, call: &str) -> rusqlite::Result<(u64, bool)> {
    let mut statement = db.prepare_cached(
        "SELECT coalesce(max(seq), 0), coalesce(max(name IN ('call_ended', 'call_error')), 0)
         FROM events WHERE call = ?1",
    )?;
    statement.query_row([call], |row| Ok((u64::try_from(row.get::<_, i64>(0)?).unwrap_or(0), row.get(1)?)))
}

/// The columns position, id, call, app, name, seq, time, body.
pub(super) fn envelope(row: &SqlRow<'_>) -> rusqlite::Result<(i64, Arc<Envelope>)> {
    let call: Option<String> = row.get(2)?;
    let (name, body): (String, String) = (row.get(4)?, row.get(7)?);
    let seq = u64::try_from(row.get::<_, i64>(5)?).unwrap_or(0);
    let at = Timestamp::from_microsecond(row.get(6)?).unwrap_or(Timestamp::UNIX_EPOCH);
    let of = (call.map(|call| CallId::from_client(&call)), seq);
    Ok((row.get(0)?, Envelope::stored(id(row, 1)?, &name, at, row.get(3)?, of, &body)))
}

fn id(row: &SqlRow<'_>, at: usize) -> rusqlite::Result<EventId> {
    row.get::<_, String>(at).map(|text| EventId::from_client(&text))
}

/// Which events are forgotten.
#[derive(Debug, Clone, Copy)]
pub(super) enum Forget {
    /// Those that happened before.
    Before(Timestamp),
    /// The oldest, until so many bytes are free.
    Bytes(i64),
}

/// Forgets up to `most` of the oldest events that no delivery waits for, with their deliveries. How many there were.
pub(super) fn forget(db: &mut Connection, which: Forget, most: u32, ledger: &mut Ledger) -> rusqlite::Result<usize> {
    let tx = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let old = oldest(&tx, which, most)?;
    let mut after = ledger.clone();
    for (position, bytes) in &old {
        tx.prepare_cached("DELETE FROM deliveries WHERE event = ?1")?.execute([position])?;
        tx.prepare_cached("DELETE FROM events WHERE position = ?1")?.execute([position])?;
        after.bytes = after.bytes.saturating_sub(*bytes).max(0);
    }
    if !old.is_empty() {
        after.write(&tx)?;
    }
    tx.commit()?;
    *ledger = after;
    Ok(old.len())
}

/// Positions and bytes. Events lie in the order of their time, nearly.
fn oldest(db: &Connection, which: Forget, most: u32) -> rusqlite::Result<Vec<(i64, i64)>> {
    let (end, mut bytes) = match which {
        Forget::Before(end) => (end.as_microsecond(), i64::MAX),
        Forget::Bytes(bytes) => (i64::MAX, bytes),
    };
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let mut statement = db.prepare_cached(
        "SELECT position, bytes, time,
             EXISTS (SELECT 1 FROM deliveries d WHERE d.event = e.position AND d.state = 'pending')
         FROM events e ORDER BY position",
    )?;
    let (mut rows, mut old) = (statement.query([])?, Vec::new());
    while let Some(row) = rows.next()? {
        if row.get::<_, i64>(2)? >= end || old.len() >= most || bytes <= 0 {
            break;
        }
        if !row.get::<_, bool>(3)? {
            let its_bytes = row.get(1)?;
            bytes = bytes.saturating_sub(its_bytes);
            old.push((row.get(0)?, its_bytes));
        }
    }
    Ok(old)
}
