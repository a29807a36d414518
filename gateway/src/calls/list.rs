//! Pages of records, newest first: the live calls, those on their way to the disk, and those on it.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::store::Live;
use super::{CallFilter, CallPage, Shared};
use crate::call::State;
use crate::ids::CallId;
use crate::store::{Cursor, Kept, Query, ReadError};

/// Most rows of a page.
const MAX_ROWS: usize = 200;

/// A row that matched; its record is made only if it is on the page.
enum Row {
    Live(Arc<Live>),
    Waiting(Arc<Kept>),
    Written(Value),
}

pub(super) async fn list(shared: &Shared, filter: &CallFilter) -> Result<CallPage, ReadError> {
    let Some(filter) = Filter::parse(filter) else { return Ok(CallPage { calls: Vec::new(), next_cursor: None }) };
    let mut rows: BTreeMap<Reverse<Cursor>, Row> = BTreeMap::new();
    // A call goes from the live ones to those that wait to those on the disk, and is always in one of them: looked at in
    // this order, none slips through, and what is found twice is taken from where it came to.
    if filter.wants_live() {
        for live in &shared.live {
            if let Some(at) = filter.takes_live(&live) {
                rows.insert(Reverse(at), Row::Live(Arc::clone(&live)));
            }
        }
    }
    if filter.wants_ended() {
        for kept in shared.store.all_waiting() {
            if let Some(at) = filter.takes_waiting(&kept) {
                rows.insert(Reverse(at), Row::Waiting(kept));
            }
        }
        for written in shared.store.page(filter.query()).await? {
            let row = rows.entry(Reverse(written.at)).or_insert_with(|| Row::Written(Value::Null));
            // What waits is newer than what is written.
            if !matches!(row, Row::Waiting(_)) {
                *row = Row::Written(written.record);
            }
        }
    }
    let more = rows.len() > filter.rows;
    let next_cursor = rows.keys().take(filter.rows).next_back().filter(|_| more).map(|Reverse(at)| at.to_string());
    let now = shared.clock.now().instant;
    let calls = rows.into_values().take(filter.rows).map(|row| match row {
        Row::Live(live) => live.call().record(now),
        Row::Waiting(kept) => kept.papers.record(),
        Row::Written(record) => record,
    });
    Ok(CallPage { calls: calls.collect(), next_cursor })
}

struct Filter<'a> {
    of: &'a CallFilter,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    before: Option<Cursor>,
    rows: usize,
}

impl<'a> Filter<'a> {
    /// `None`: something in it cannot be read, so nothing matches.
    fn parse(of: &'a CallFilter) -> Option<Self> {
        let time = |text: &Option<String>| text.as_ref().map(|t| t.parse::<Timestamp>()).transpose().ok();
        Some(Self {
            of,
            since: time(&of.since)?,
            until: time(&of.until)?,
            before: match &of.cursor {
                Some(cursor) => Some(Cursor::parse(cursor)?),
                None => None,
            },
            rows: of.limit.clamp(1, MAX_ROWS),
        })
    }

    /// Only what has ended has a reason.
    fn wants_live(&self) -> bool {
        self.of.reason.is_none() && self.of.state.as_deref() != Some(State::Ended.word())
    }

    fn wants_ended(&self) -> bool {
        self.of.state.as_deref().is_none_or(|state| state == State::Ended.word())
    }

    fn takes_live(&self, live: &Live) -> Option<Cursor> {
        let state = live.call().state();
        let wanted = self.of.state.as_ref().is_none_or(|w| w == state.word() || (w == "live" && state != State::Ended));
        wanted.then(|| self.place(&live.id, &live.call().about().app, live.started_at)).flatten()
    }

    fn takes_waiting(&self, kept: &Kept) -> Option<Cursor> {
        let reason = kept.ended.map(|(_, reason)| reason);
        let wanted = self.of.reason.as_ref().is_none_or(|wanted| Some(wanted.as_str()) == reason);
        wanted.then(|| self.place(&kept.id, &kept.app, kept.started)).flatten()
    }

    /// Where a call stands in the list, if it is in it.
    fn place(&self, id: &CallId, app: &str, started: Timestamp) -> Option<Cursor> {
        let at = Cursor::of(started, id);
        let taken = self.before.as_ref().is_none_or(|before| at < *before)
            && self.of.app.as_ref().is_none_or(|wanted| wanted == app)
            && self.since.is_none_or(|since| at.started >= since.as_microsecond())
            && self.until.is_none_or(|until| at.started < until.as_microsecond());
        taken.then_some(at)
    }

    fn query(&self) -> Query {
        Query {
            app: self.of.app.clone(),
            reason: self.of.reason.clone(),
            since: self.since,
            until: self.until,
            before: self.before.clone(),
            limit: self.rows.saturating_add(1),
        }
    }
}
