//! Pages of records, newest first.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use trunkline_media::api::CallKey;

use super::store::{Ended, Live};
use super::{CallFilter, CallPage, Shared};
use crate::call::State;

/// Most rows of a page.
const MAX_ROWS: usize = 200;

/// A row that matched; its record is made only if it is on the page.
enum Row {
    Live(Arc<Live>),
    Ended(Arc<str>),
}

pub(super) fn list(shared: &Shared, filter: &CallFilter) -> CallPage {
    let Some(filter) = Filter::parse(filter) else { return CallPage { calls: Vec::new(), next_cursor: None } };
    let mut rows: Vec<(CallKey, Row)> = Vec::new();
    let mut seen = HashSet::new();
    {
        let ended = shared.ended();
        for call in ended.iter() {
            seen.insert(call.key);
            if filter.takes_ended(call) {
                rows.push((call.key, Row::Ended(Arc::clone(&call.record))));
            }
        }
    }
    for live in &shared.live {
        // A call may have moved to the ended ones since.
        if !seen.contains(&live.key) && filter.takes_live(&live) {
            rows.push((live.key, Row::Live(Arc::clone(&live))));
        }
    }
    rows.sort_by_key(|(key, _)| std::cmp::Reverse(*key));
    let next_cursor =
        (rows.len() > filter.rows).then(|| rows.get(filter.rows.saturating_sub(1)).map(|(key, _)| key.0.to_string()));
    let now = shared.clock.now().instant;
    let calls = rows.into_iter().take(filter.rows).filter_map(|(_, row)| match row {
        Row::Live(live) => Some(live.call().record(now)),
        Row::Ended(text) => serde_json::from_str::<Value>(&text).ok(),
    });
    CallPage { calls: calls.collect(), next_cursor: next_cursor.flatten() }
}

struct Filter<'a> {
    of: &'a CallFilter,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    before: Option<u64>,
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
            before: of.cursor.as_ref().map(|c| c.parse()).transpose().ok()?,
            rows: of.limit.clamp(1, MAX_ROWS),
        })
    }

    fn takes(&self, key: CallKey, state: State, app: &str, reason: Option<&str>, started: Timestamp) -> bool {
        self.before.is_none_or(|before| key.0 < before)
            && self.of.state.as_ref().is_none_or(|w| w == state.word() || (w == "live" && state != State::Ended))
            && self.of.app.as_ref().is_none_or(|wanted| wanted == app)
            && self.of.reason.as_ref().is_none_or(|wanted| Some(wanted.as_str()) == reason)
            && self.since.is_none_or(|since| started >= since)
            && self.until.is_none_or(|until| started < until)
    }

    fn takes_ended(&self, call: &Ended) -> bool {
        self.takes(call.key, State::Ended, &call.app, Some(call.reason), call.started_at)
    }

    fn takes_live(&self, live: &Live) -> bool {
        let call = live.call();
        self.takes(live.key, call.state(), &call.about().app, call.outcome().map(|o| o.reason.word()), live.started_at)
    }
}
