//! What calls tell: whose events are read, and who tells of what is no call.

use std::sync::Arc;

use super::{Calls, EventStream, unreadable};
use crate::events::{Herald, Seats};
use crate::ids::{CallId, SessionId};
use crate::problem::Problem;

impl Calls {
    /// A call's events after `seq` (0: from the beginning).
    #[must_use]
    pub fn events(&self, call: &CallId, after: u64) -> Option<EventStream> {
        let live = self.shared.get_live(call).map(|live| Arc::clone(&live.log));
        let log = live.or_else(|| self.shared.ended().get(call).map(|ended| Arc::clone(&ended.log)))?;
        Some(EventStream::new(call.clone(), Some(log), self.shared.store.clone(), after))
    }

    /// The events after `seq` of a call that nobody here remembers, if it is that session's: all there is of them is in the
    /// database.
    ///
    /// # Errors
    /// `records-unavailable` 503.
    pub async fn past_events(&self, call: &CallId, of: &SessionId, after: u64) -> Result<Option<EventStream>, Problem> {
        let store = &self.shared.store;
        let session = store.session_of(call).await.map_err(|error| unreadable(&error))?;
        let known = session.as_ref() == Some(of);
        Ok(known.then(|| EventStream::new(call.clone(), None, store.clone(), after)))
    }

    /// Who reads events.
    #[must_use]
    pub fn seats(&self) -> &Seats {
        &self.shared.seats
    }

    /// Where events of sessions, trunks, integrations and the node are announced.
    #[must_use]
    pub fn herald(&self) -> &Herald {
        &self.shared.herald
    }
}
