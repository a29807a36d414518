//! Events and the outbox, as the rest of the gateway uses them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use jiff::Timestamp;
use tokio::sync::watch;

use super::entry::{Filed, Order};
use super::events::{self, EventPage};
use super::outbox::{self, Attempt, Change, ChangeError, Delivery, DeliveryState, IntegrationState};
use super::{ReadError, Store};
use crate::events::{Bus, Envelope, Filter};
use crate::ids::{CallId, EventId};

/// Events: handed over to be written, told when they are.
impl Store {
    /// Hands an event over; returns at once, whatever the disk does. When it is durable, with its deliveries and the call
    /// it closes, it goes to the bus and the outbox; to the call's own stream then or after a second.
    pub fn append(&self, filed: Filed) {
        let (log, seq) = (filed.log.clone(), filed.envelope.seq);
        if let Some(log) = &log {
            log.push(filed.since, Arc::clone(&filed.envelope));
        }
        if !self.inner.queue.push_event(filed)
            && let Some(log) = log
        {
            log.settle(seq);
        }
    }

    /// All durable events as they come.
    #[must_use]
    pub fn bus(&self) -> &Bus {
        &self.inner.told.bus
    }

    /// Durable events since the start, by name.
    #[must_use]
    pub fn events_by_name(&self) -> Vec<(&'static str, u64)> {
        self.inner.told.by_name()
    }

    /// A call's durable events after `seq` and before `end`, in order.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn events_of(
        &self,
        call: &CallId,
        seq: u64,
        end: u64,
        most: usize,
    ) -> Result<Vec<Arc<Envelope>>, ReadError> {
        let call = call.clone();
        self.read(move |db| events::of_call(db, &call, seq, end, most)).await
    }

    /// A page of all durable events after a position, in order.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn events_after(&self, position: i64, filter: &Filter, most: usize) -> Result<EventPage, ReadError> {
        let filter = filter.clone();
        self.read(move |db| events::after(db, position, &filter, most)).await
    }

    /// Where an event is in the order of all.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn position_of(&self, event: &EventId) -> Result<Option<i64>, ReadError> {
        let event = event.clone();
        self.read(move |db| events::position_of(db, &event)).await
    }

    /// A visitor was told before the event was durable.
    pub(crate) fn told_early(&self) {
        self.inner.told.early.fetch_add(1, Ordering::Relaxed);
    }
}

/// The outbox: what integrations still have to be told. Every change is durable when its future is ready; the caller may
/// drop the future, the change is made all the same.
impl Store {
    /// Changes whenever there is more to deliver.
    #[must_use]
    pub fn outbox(&self) -> watch::Receiver<u64> {
        self.inner.told.outbox()
    }

    /// Deliveries that wait, by integration.
    #[must_use]
    pub fn pending_counts(&self) -> HashMap<String, u64> {
        self.inner.told.pending()
    }

    /// What waits for an integration after the delivery `after` (0: from the first), in order: up to `most`, fewer when
    /// they are large.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn pending(&self, integration: &str, after: i64, most: usize) -> Result<Vec<Delivery>, ReadError> {
        let integration = integration.to_owned();
        self.read(move |db| outbox::pending(db, &integration, after, most)).await
    }

    /// The log of an integration before the delivery `before` (`None`: from the newest), newest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn deliveries(
        &self,
        integration: &str,
        state: Option<DeliveryState>,
        before: Option<i64>,
        most: usize,
    ) -> Result<Vec<Delivery>, ReadError> {
        let (integration, before) = (integration.to_owned(), before.unwrap_or(i64::MAX));
        self.read(move |db| outbox::log(db, &integration, state, before, most)).await
    }

    /// One event's delivery to an integration.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn delivery(&self, integration: &str, event: &EventId) -> Result<Option<Delivery>, ReadError> {
        let (integration, event) = (integration.to_owned(), event.clone());
        self.read(move |db| outbox::find(db, &integration, &event)).await
    }

    /// What is known of integrations; one that nothing was ever written of is active.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn integrations(&self) -> Result<Vec<IntegrationState>, ReadError> {
        self.read(outbox::integrations).await
    }

    /// What an attempt came to. `false`: the delivery does not wait any more.
    ///
    /// # Errors
    /// It was not written.
    pub async fn attempted(&self, attempt: Attempt) -> Result<bool, ChangeError> {
        self.change(Change::Attempt(attempt)).await.map(|rows| rows > 0)
    }

    /// A delivery is made once more, under the same event id. `false`: there is none, or it waits already.
    ///
    /// # Errors
    /// It was not written.
    pub async fn requeue(&self, integration: &str, event: &EventId, at: Timestamp) -> Result<bool, ChangeError> {
        let change = Change::Requeue { integration: integration.to_owned(), event: event.clone(), at };
        self.change(change).await.map(|rows| rows > 0)
    }

    /// Ends the pause of an integration: it is active, what waits begins anew, and the failures that led to the pause are
    /// made once more, with what there was no room for since; how many came back.
    ///
    /// # Errors
    /// It was not written.
    pub async fn reactivate(&self, paused: IntegrationState, at: Timestamp) -> Result<u64, ChangeError> {
        self.change(Change::Reactivate { paused, at }).await
    }

    /// Gives up what waits for an integration (it is not configured any more); how many.
    ///
    /// # Errors
    /// It was not written.
    pub async fn skip_pending(&self, integration: &str, why: &str, at: Timestamp) -> Result<u64, ChangeError> {
        self.change(Change::Skip { integration: integration.to_owned(), why: why.to_owned(), at }).await
    }

    async fn change(&self, change: Change) -> Result<u64, ChangeError> {
        let (order, answer) = Order::new(change);
        if !self.inner.queue.push_order(order) {
            return Err(ChangeError::Busy);
        }
        answer.await.map_err(|_| ChangeError::Stopped)
    }
}
