//! Calls by id: the live ones, and a bounded memory of those that have ended.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde_json::Value;
use trunkline_media::api::CallKey;

use super::inbox::Inbox;
use crate::call::Call;
use crate::events::EventLog;
use crate::ids::{CallId, SessionId};

/// Records of ended calls that are kept.
pub(super) const KEPT_RECORDS: usize = 10_000;
/// Ended calls whose events can still be replayed.
pub(super) const KEPT_LOGS: usize = 1_000;

/// A live call, shared by its driver and the API.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) id: CallId,
    pub(super) key: CallKey,
    pub(super) session: SessionId,
    pub(super) started_at: Timestamp,
    pub(super) inbox: Inbox,
    pub(super) log: Arc<EventLog>,
    /// Held across a restart or reattach, so that two of them come one after the other.
    pub(super) ice: tokio::sync::Mutex<IceSession>,
    call: Mutex<Call>,
}

/// The browser's ICE session.
#[derive(Debug)]
pub(super) struct IceSession {
    /// Entity tag.
    pub(super) tag: String,
    /// The browser's user fragment.
    pub(super) remote_ufrag: String,
}

impl Live {
    pub(super) fn new(key: CallKey, started_at: Timestamp, inbox: Inbox, ice: IceSession, call: Call) -> Self {
        Self {
            id: call.about().call.clone(),
            key,
            session: call.about().session.clone(),
            started_at,
            inbox,
            log: Arc::default(),
            ice: tokio::sync::Mutex::new(ice),
            call: Mutex::new(call),
        }
    }

    /// The call itself. Held for one input or one look; a panic in between is dealt with by the driver.
    pub(super) fn call(&self) -> MutexGuard<'_, Call> {
        self.call.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What stays of an ended call.
#[derive(Debug, Clone)]
pub(super) struct Ended {
    pub(super) id: CallId,
    pub(super) key: CallKey,
    pub(super) session: SessionId,
    pub(super) app: String,
    pub(super) reason: &'static str,
    pub(super) started_at: Timestamp,
    /// The record as JSON text: a tenth of what the parsed value takes.
    pub(super) record: Arc<str>,
    pub(super) log: Option<Arc<EventLog>>,
}

/// Ended calls, newest last.
#[derive(Debug, Default)]
pub(super) struct EndedCalls {
    by_id: HashMap<CallId, Ended>,
    order: VecDeque<CallId>,
    with_log: VecDeque<CallId>,
}

impl EndedCalls {
    /// Keeps a call; `true` if an older record went for it.
    pub(super) fn insert(&mut self, ended: Ended) -> bool {
        self.order.push_back(ended.id.clone());
        self.with_log.push_back(ended.id.clone());
        self.by_id.insert(ended.id.clone(), ended);
        // overflow: the oldest call's events, then its record, are forgotten.
        if self.with_log.len() > KEPT_LOGS
            && let Some(oldest) = self.with_log.pop_front().and_then(|id| self.by_id.get_mut(&id))
        {
            oldest.log = None;
        }
        let full = self.order.len() > KEPT_RECORDS;
        if let Some(oldest) = full.then(|| self.order.pop_front()).flatten() {
            self.by_id.remove(&oldest);
        }
        full
    }

    pub(super) fn get(&self, id: &CallId) -> Option<&Ended> {
        self.by_id.get(id)
    }

    /// Changes the record of an ended call.
    pub(super) fn amend(&mut self, id: &CallId, change: impl FnOnce(&mut Value)) {
        let Some(ended) = self.by_id.get_mut(id) else { return };
        let Ok(mut record) = serde_json::from_str(&ended.record) else { return };
        change(&mut record);
        ended.record = record.to_string().into();
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Ended> {
        self.order.iter().filter_map(|id| self.by_id.get(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(n: u64) -> Ended {
        Ended {
            id: CallId::from_client(&format!("call_{n}")),
            key: CallKey(n),
            session: SessionId::from_client("ses"),
            app: "acme".into(),
            reason: "user_hangup",
            started_at: Timestamp::UNIX_EPOCH,
            record: "{}".into(),
            log: Some(Arc::default()),
        }
    }

    #[test]
    fn the_oldest_records_and_logs_go_first() {
        let mut calls = EndedCalls::default();
        let dropped = (0..=10_001).filter(|&n| calls.insert(ended(n))).count();
        assert_eq!(dropped, 2);
        let get = |n: u64| calls.get(&CallId::from_client(&format!("call_{n}")));
        assert!(get(1).is_none());
        assert!(get(2).is_some_and(|e| e.log.is_none()));
        assert!(get(9_001).is_some_and(|e| e.log.is_none()));
        assert!(get(9_002).is_some_and(|e| e.log.is_some()));
        assert_eq!(calls.iter().next().map(|e| e.key), Some(CallKey(2)));
    }
}
