//! The outbox: what each integration still has to be told, and what became of the rest. A delivery comes into being with
//! its event, in one transaction; every change of one is written before whoever made it goes on.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row as SqlRow, params};

use super::ReadError;
use super::events::{self, Ledger};
use crate::events::Envelope;
use crate::ids::EventId;

/// Bodies in one page of what waits, bytes.
const PAGE_BYTES: usize = 1 << 20;
/// What a skipped delivery says of itself.
const TOO_MANY: &str = "too many deliveries waited for this integration";

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    /// Still to be made.
    Pending,
    /// The receiver took it.
    Delivered,
    /// It was given up.
    Failed,
    /// It was never tried.
    Skipped,
}

impl DeliveryState {
    /// All.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Delivered, Self::Failed, Self::Skipped];

    /// As it is written.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }

    fn read(word: &str) -> Self {
        Self::ALL.into_iter().find(|state| state.word() == word).unwrap_or(Self::Failed)
    }
}

/// One event for one integration.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// Its place in the order of all deliveries.
    pub id: i64,
    /// To whom.
    pub integration: String,
    /// The event.
    pub event: std::sync::Arc<Envelope>,
    /// What became of it.
    pub state: DeliveryState,
    /// Attempts so far.
    pub attempts: u32,
    /// Not before.
    pub next_attempt: Option<Timestamp>,
    /// HTTP status of the last answer.
    pub status: Option<u16>,
    /// Why the last attempt failed, or why none was made.
    pub error: Option<String>,
    /// When it came into being.
    pub created: Timestamp,
    /// When it changed last.
    pub updated: Timestamp,
}

/// What an attempt came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// Of which delivery.
    pub delivery: i64,
    /// When.
    pub at: Timestamp,
    /// What becomes of the delivery: pending if it is tried again.
    pub state: DeliveryState,
    /// Attempts so far, with this one.
    pub attempts: u32,
    /// Not before.
    pub next_attempt: Option<Timestamp>,
    /// HTTP status of the answer.
    pub status: Option<u16>,
    /// What went wrong.
    pub error: Option<String>,
    /// The integration as it is now, written together with it.
    pub integration: Option<IntegrationState>,
}

/// What outlives the process of an integration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntegrationState {
    /// Its name.
    pub id: String,
    /// Nothing is delivered.
    pub paused: bool,
    /// Deliveries in a row that failed.
    pub consecutive_failures: u32,
    /// Why the last one did.
    pub last_error: Option<String>,
    /// Since when it is paused.
    pub paused_at: Option<Timestamp>,
}

/// A change of the outbox.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Change {
    Attempt(Attempt),
    Requeue {
        integration: String,
        event: EventId,
        at: Timestamp,
    },
    /// Of an integration that is paused: its state so far.
    Reactivate {
        paused: IntegrationState,
        at: Timestamp,
    },
    Skip {
        integration: String,
        why: String,
        at: Timestamp,
    },
}

impl Change {
    /// Whether there may be more to deliver after it.
    pub(super) fn gives_work(&self) -> bool {
        match self {
            Self::Requeue { .. } | Self::Reactivate { .. } => true,
            Self::Attempt(_) | Self::Skip { .. } => false,
        }
    }
}

/// A change was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// Too many wait already.
    #[error("the store is busy")]
    Busy,
    /// The store has stopped.
    #[error("the store has stopped")]
    Stopped,
}

/// A delivery comes into being.
pub(super) fn file(
    db: &Connection,
    event: i64,
    integration: &str,
    now: Timestamp,
    ledger: &mut Ledger,
) -> rusqlite::Result<()> {
    // overflow: beyond the limit it is in the log, but not tried unless somebody asks for it; counted.
    let room = ledger.waits(integration) < ledger.pending_max;
    let (state, error) = if room { (DeliveryState::Pending, None) } else { (DeliveryState::Skipped, Some(TOO_MANY)) };
    let written = db
        .prepare_cached(
            "INSERT INTO deliveries (event, integration, state, error, created, updated)
             VALUES (?1, ?2, ?3, ?4, ?5, ?5) ON CONFLICT (event, integration) DO NOTHING",
        )?
        .execute(params![event, integration, state.word(), error, now.as_microsecond()])?;
    if written == 0 {
        return Ok(());
    }
    if room {
        ledger.add(integration, 1);
    } else {
        ledger.skipped = ledger.skipped.saturating_add(1);
    }
    Ok(())
}

/// Makes a change; how many rows it concerned.
pub(super) fn apply(db: &Connection, change: &Change, ledger: &mut Ledger) -> rusqlite::Result<u64> {
    match change {
        Change::Attempt(attempt) => attempted(db, attempt, ledger),
        Change::Requeue { integration, event, at } => {
            let rows = db
                .prepare_cached(
                    "UPDATE deliveries SET state = 'pending', attempts = 0, next_attempt = NULL, error = NULL, updated = ?3
                     WHERE integration = ?1 AND event = (SELECT position FROM events WHERE id = ?2)
                         AND state <> 'pending'",
                )?
                .execute(params![integration, event.as_str(), at.as_microsecond()])?;
            Ok(ledger.add(integration, rows))
        }
        Change::Reactivate { paused, at } => reactivate(db, paused, *at, ledger),
        Change::Skip { integration, why, at } => {
            let rows = db
                .prepare_cached(
                    "UPDATE deliveries SET state = 'skipped', next_attempt = NULL, error = ?2, updated = ?3
                     WHERE integration = ?1 AND state = 'pending'",
                )?
                .execute(params![integration, why, at.as_microsecond()])?;
            Ok(ledger.take(integration, rows))
        }
    }
}

/// The pause ends: the failures that led to it are made once more, and what there was no room for meanwhile. What waits
/// begins anew, without the rest of its waits.
fn reactivate(db: &Connection, paused: &IntegrationState, at: Timestamp, ledger: &mut Ledger) -> rusqlite::Result<u64> {
    const AGAIN: &str =
        "UPDATE deliveries SET state = 'pending', attempts = 0, next_attempt = NULL, error = NULL, updated = ?2
         WHERE integration = ?1 AND";
    let IntegrationState { id, consecutive_failures, paused_at, .. } = paused;
    let at = at.as_microsecond();
    db.prepare_cached(&format!("{AGAIN} state = 'pending' AND attempts > 0"))?.execute(params![id, at])?;
    // A run of failures is what failed last: a success would have ended it.
    let failed = db
        .prepare_cached(&format!(
            "{AGAIN} id IN (SELECT id FROM deliveries WHERE integration = ?1 AND state = 'failed'
                            ORDER BY updated DESC, id DESC LIMIT ?3)"
        ))?
        .execute(params![id, at, consecutive_failures])?;
    let since = paused_at.map_or(i64::MAX, Timestamp::as_microsecond);
    let skipped = db
        .prepare_cached(&format!("{AGAIN} state = 'skipped' AND error = ?3 AND created >= ?4"))?
        .execute(params![id, at, TOO_MANY, since])?;
    keep_state(db, &IntegrationState { paused: false, consecutive_failures: 0, paused_at: None, ..paused.clone() })?;
    Ok(ledger.add(id, failed.saturating_add(skipped)))
}

fn attempted(db: &Connection, attempt: &Attempt, ledger: &mut Ledger) -> rusqlite::Result<u64> {
    let next = attempt.next_attempt.map(Timestamp::as_microsecond);
    let at = attempt.at.as_microsecond();
    // One that somebody gave up meanwhile stays given up.
    let integration: Option<String> = db
        .prepare_cached(
            "UPDATE deliveries SET state = ?2, attempts = ?3, next_attempt = ?4, status = ?5, error = ?6, updated = ?7
             WHERE id = ?1 AND state = 'pending' RETURNING integration",
        )?
        .query_row(
            params![attempt.delivery, attempt.state.word(), attempt.attempts, next, attempt.status, attempt.error, at],
            |row| row.get(0),
        )
        .optional()?;
    if let Some(state) = &attempt.integration {
        keep_state(db, state)?;
    }
    let Some(integration) = integration else { return Ok(0) };
    if attempt.state != DeliveryState::Pending {
        ledger.take(&integration, 1);
    }
    Ok(1)
}

fn keep_state(db: &Connection, state: &IntegrationState) -> rusqlite::Result<u64> {
    db.prepare_cached(
        "INSERT OR REPLACE INTO integrations (id, status, consecutive_failures, last_error, paused_at)
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![
        state.id,
        if state.paused { "paused" } else { "active" },
        state.consecutive_failures,
        state.last_error,
        state.paused_at.map(Timestamp::as_microsecond),
    ])?;
    Ok(1)
}

const COLUMNS: &str = "SELECT e.position, e.id, e.call, e.app, e.name, e.seq, e.time, e.body,
    d.id, d.integration, d.state, d.attempts, d.next_attempt, d.status, d.error, d.created, d.updated
    FROM deliveries d JOIN events e ON e.position = d.event";

/// What waits for an integration after a delivery, in order.
pub(super) fn pending(db: &Connection, integration: &str, after: i64, most: usize) -> Result<Vec<Delivery>, ReadError> {
    let mut statement = db.prepare_cached(&format!(
        "{COLUMNS} WHERE d.integration = ?1 AND d.state = 'pending' AND d.id > ?2 ORDER BY d.id LIMIT ?3"
    ))?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![integration, after, most])?;
    let (mut page, mut bytes) = (Vec::new(), 0_usize);
    while bytes < PAGE_BYTES {
        let Some(row) = rows.next()? else { break };
        let delivery = delivery(row)?;
        bytes = bytes.saturating_add(delivery.event.body().len());
        page.push(delivery);
    }
    Ok(page)
}

/// The log of an integration before a delivery, newest first; of one state, if one is named.
pub(super) fn log(
    db: &Connection,
    integration: &str,
    state: Option<DeliveryState>,
    before: i64,
    most: usize,
) -> Result<Vec<Delivery>, ReadError> {
    let mut statement = db.prepare_cached(&format!(
        "{COLUMNS} WHERE d.integration = ?1 AND d.id < ?2 AND (?3 IS NULL OR d.state = ?3) ORDER BY d.id DESC LIMIT ?4"
    ))?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![integration, before, state.map(DeliveryState::word), most], delivery)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// One delivery.
pub(super) fn find(db: &Connection, integration: &str, event: &EventId) -> Result<Option<Delivery>, ReadError> {
    let mut statement = db.prepare_cached(&format!("{COLUMNS} WHERE e.id = ?1 AND d.integration = ?2"))?;
    Ok(statement.query_row(params![event.as_str(), integration], delivery).optional()?)
}

/// What is known of integrations.
pub(super) fn integrations(db: &Connection) -> Result<Vec<IntegrationState>, ReadError> {
    let mut statement =
        db.prepare_cached("SELECT id, status, consecutive_failures, last_error, paused_at FROM integrations")?;
    let rows = statement.query_map([], |row| {
        Ok(IntegrationState {
            id: row.get(0)?,
            paused: row.get::<_, String>(1)? == "paused",
            consecutive_failures: row.get(2)?,
            last_error: row.get(3)?,
            paused_at: row.get::<_, Option<i64>>(4)?.map(time),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn delivery(row: &SqlRow<'_>) -> rusqlite::Result<Delivery> {
    let (_, event) = events::envelope(row)?;
    Ok(Delivery {
        id: row.get(8)?,
        integration: row.get(9)?,
        event,
        state: DeliveryState::read(&row.get::<_, String>(10)?),
        attempts: row.get(11)?,
        next_attempt: row.get::<_, Option<i64>>(12)?.map(time),
        status: row.get(13)?,
        error: row.get(14)?,
        created: time(row.get(15)?),
        updated: time(row.get(16)?),
    })
}

fn time(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::UNIX_EPOCH)
}
