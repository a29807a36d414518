//! Calls in the database.

use jiff::Timestamp;
use rusqlite::types::{FromSql, Value as SqlValue};
use rusqlite::{Connection, OptionalExtension, Row as SqlRow, params, params_from_iter};
use serde_json::Value;

use super::{Kept, ReadError, events, pack};
use crate::ids::{CallId, SessionId};

/// Most calls a start finds to close; a node never has more.
const ORPHANS: i64 = 100_000;

/// A call that was live when its gateway went away.
#[derive(Debug, Clone, PartialEq)]
pub struct Orphan {
    /// Its id.
    pub id: CallId,
    /// Its session, if somebody had it.
    pub session: Option<SessionId>,
    /// Its app.
    pub app: String,
    /// When it began.
    pub started: Timestamp,
    /// When the gateway was last seen alive.
    pub last_known: Timestamp,
    /// Its record as it was then.
    pub record: Value,
    /// Its details as they were then, if there were any.
    pub details: Value,
    /// The `seq` of its last event.
    pub last_seq: u64,
    /// Its end has been told already.
    pub end_told: bool,
}

/// What stands for the session of a call that nobody answered.
const NOBODY: &str = "";

fn somebody(session: &str) -> Option<SessionId> {
    Some(session).filter(|session| *session != NOBODY).map(SessionId::from_client)
}

/// Which calls.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// Of this app.
    pub app: Option<String>,
    /// That ended for this reason.
    pub reason: Option<String>,
    /// Begun then or later.
    pub since: Option<Timestamp>,
    /// Begun earlier.
    pub until: Option<Timestamp>,
    /// Older than this one.
    pub before: Option<Cursor>,
    /// Most rows.
    pub limit: usize,
}

/// A place in the order of all calls: newest first, by their beginning.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// Microseconds of the Unix epoch.
    pub started: i64,
    /// For those that began together.
    pub id: CallId,
}

impl Cursor {
    /// The place of a call.
    #[must_use]
    pub fn of(started: Timestamp, id: &CallId) -> Self {
        Self { started: started.as_microsecond(), id: id.clone() }
    }

    /// Reads what [`std::fmt::Display`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (started, id) = text.split_once('.')?;
        Some(Self { started: started.parse().ok()?, id: CallId::from_client(id) })
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.started, self.id)
    }
}

/// A call of a page.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its place.
    pub at: Cursor,
    /// Its record.
    pub record: Value,
}

/// Writes a call over whatever was written of it before.
pub(super) fn write(db: &Connection, kept: &Kept, record: &str, details: Option<&[u8]>) -> rusqlite::Result<()> {
    let mut statement = db.prepare_cached(
        "INSERT INTO calls (id, session, app, state, reason, started, ended, record, details)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT (id) DO UPDATE SET state = excluded.state, session = excluded.session, reason = excluded.reason, ended = excluded.ended,
             record = excluded.record, details = coalesce(excluded.details, details)",
    )?;
    let state = if kept.ended.is_some() { "ended" } else { "live" };
    let (ended, reason) = kept.ended.map(|(at, reason)| (at.as_microsecond(), reason)).unzip();
    let started = kept.started.as_microsecond();
    let (id, session) = (kept.id.as_str(), kept.session.as_ref().map_or(NOBODY, SessionId::as_str));
    statement.execute(params![id, session, kept.app, state, reason, started, ended, record, details])?;
    Ok(())
}

pub(super) fn record(db: &Connection, id: &CallId) -> Result<Option<Value>, ReadError> {
    let mut statement = db.prepare_cached("SELECT record FROM calls WHERE id = ?1 AND state = 'ended'")?;
    let text: Option<String> = statement.query_row([id.as_str()], |row| row.get(0)).optional()?;
    text.map(|text| json(&text)).transpose()
}

pub(super) fn session_of(db: &Connection, id: &CallId) -> Result<Option<SessionId>, ReadError> {
    let mut statement = db.prepare_cached("SELECT session FROM calls WHERE id = ?1")?;
    let session: Option<String> = statement.query_row([id.as_str()], |row| row.get(0)).optional()?;
    Ok(session.and_then(|session| somebody(&session)))
}

pub(super) fn papers(db: &Connection, id: &CallId) -> Result<Option<(Value, Value)>, ReadError> {
    let mut statement = db.prepare_cached("SELECT record, details FROM calls WHERE id = ?1 AND state = 'ended'")?;
    let found: Option<(String, Option<Vec<u8>>)> =
        statement.query_row([id.as_str()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let Some((record, details)) = found else { return Ok(None) };
    let details = details.map_or(Some(Value::Null), |packed| pack::unpack(&packed)).ok_or(ReadError::Garbled)?;
    Ok(Some((json(&record)?, details)))
}

pub(super) fn page(db: &Connection, query: &Query) -> Result<Vec<Row>, ReadError> {
    let (sql, values) = select(query);
    let mut statement = db.prepare_cached(&sql)?;
    let rows = statement.query_map(params_from_iter(values), |row| {
        Ok((Cursor { started: row.get(0)?, id: CallId::from_client(&column::<String>(row, 1)?) }, row.get(2)?))
    })?;
    rows.map(|row| {
        let (at, text): (Cursor, String) = row?;
        Ok(Row { at, record: json(&text)? })
    })
    .collect()
}

fn select(query: &Query) -> (String, Vec<SqlValue>) {
    let mut sql = String::from("SELECT started, id, record FROM calls WHERE state = 'ended'");
    let mut values: Vec<SqlValue> = Vec::new();
    let mut also = |condition: &str, value: Vec<SqlValue>| {
        sql.push_str(condition);
        values.extend(value);
    };
    if let Some(app) = &query.app {
        also(" AND app = ?", vec![app.clone().into()]);
    }
    if let Some(reason) = &query.reason {
        also(" AND reason = ?", vec![reason.clone().into()]);
    }
    if let Some(since) = query.since {
        also(" AND started >= ?", vec![since.as_microsecond().into()]);
    }
    if let Some(until) = query.until {
        also(" AND started < ?", vec![until.as_microsecond().into()]);
    }
    if let Some(before) = &query.before {
        also(" AND (started, id) < (?, ?)", vec![before.started.into(), before.id.as_str().to_owned().into()]);
    }
    let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
    also(" ORDER BY started DESC, id DESC LIMIT ?", vec![limit.into()]);
    (sql, values)
}

/// The calls that are live in a file nobody writes.
pub(super) fn orphans(db: &Connection) -> rusqlite::Result<Vec<Orphan>> {
    let alive: Option<i64> =
        db.query_row("SELECT value FROM node WHERE name = 'alive_at'", [], |row| row.get(0)).optional()?;
    let mut statement =
        db.prepare("SELECT id, session, app, started, record, details FROM calls WHERE state = 'live' LIMIT ?1")?;
    let rows = statement.query_map([ORPHANS], |row| {
        let started: i64 = row.get(3)?;
        let (last_seq, end_told) = events::told(db, &column::<String>(row, 0)?)?;
        let time = |micros| Timestamp::from_microsecond(micros).unwrap_or(Timestamp::UNIX_EPOCH);
        let details: Option<Vec<u8>> = row.get(5)?;
        Ok(Orphan {
            id: CallId::from_client(&column::<String>(row, 0)?),
            session: somebody(&column::<String>(row, 1)?),
            app: row.get(2)?,
            started: time(started),
            last_known: time(alive.unwrap_or(started).max(started)),
            record: serde_json::from_str(&column::<String>(row, 4)?).unwrap_or(Value::Null),
            details: details.and_then(|packed| pack::unpack(&packed)).unwrap_or(Value::Null),
            last_seq,
            end_told,
        })
    })?;
    rows.collect()
}

/// Notes that the gateway lives.
pub(super) fn alive(db: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    let mut statement = db.prepare_cached("INSERT OR REPLACE INTO node (name, value) VALUES ('alive_at', ?1)")?;
    statement.execute([now.as_microsecond()])?;
    Ok(())
}

/// Forgets up to `most` calls that ended before; how many there were.
pub(super) fn forget_before(db: &Connection, end: Timestamp, most: u32) -> rusqlite::Result<usize> {
    let mut statement = db.prepare_cached(
        "DELETE FROM calls WHERE rowid IN (
             SELECT rowid FROM calls WHERE state = 'ended' AND ended < ?1 ORDER BY ended LIMIT ?2)",
    )?;
    statement.execute(params![end.as_microsecond(), most])
}

/// Forgets up to `most` of the calls that ended first; how many there were.
pub(super) fn forget_oldest(db: &Connection, most: u32) -> rusqlite::Result<usize> {
    let mut statement = db.prepare_cached(
        "DELETE FROM calls WHERE rowid IN (
             SELECT rowid FROM calls WHERE state = 'ended' ORDER BY ended LIMIT ?1)",
    )?;
    statement.execute([most])
}

fn column<T: FromSql>(row: &SqlRow<'_>, at: usize) -> rusqlite::Result<T> {
    row.get(at)
}

fn json(text: &str) -> Result<Value, ReadError> {
    serde_json::from_str(text).map_err(|_| ReadError::Garbled)
}
