//! All events from a place on, for a back end: what it missed from the database, then as they become durable, without a
//! gap and without doubles. A reader that does not keep up is told so, and comes back for the rest.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::watch;

use super::bus::Look;
use super::{Bus, Envelope, Published};
use crate::ids::EventId;
use crate::store::{ReadError, Store};

/// Events taken at once, from the ring and from the database.
const TAKEN: usize = 32;
const PAGE: usize = 128;

/// Which events. Empty: all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of these apps.
    pub apps: Vec<String>,
    /// Of these names.
    pub names: Vec<String>,
}

impl Filter {
    fn takes(&self, event: &Envelope) -> bool {
        let wanted = |list: &[String], value: &str| list.is_empty() || list.iter().any(|one| one == value);
        wanted(&self.apps, &event.app) && wanted(&self.names, event.name)
    }
}

/// What a reader hears.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    /// The next event.
    Event(Arc<Envelope>),
    /// It fell behind and hears nothing more.
    Lagged {
        /// Events it has not heard, those it would not have been told among them.
        missed: u64,
        /// From which on it may come back: everything up to this one was told or not asked for.
        last: Option<EventId>,
    },
}

/// One reader's place in the order of all events.
pub struct Feed {
    store: Store,
    bus: Bus,
    changed: watch::Receiver<i64>,
    filter: Filter,
    position: i64,
    last: Option<EventId>,
    /// Has caught up with the present once: from then on it must keep up.
    live: bool,
    ready: VecDeque<Arc<Envelope>>,
}

impl Feed {
    /// From now on, or after an event that was the last one seen. `Ok(None)`: there is no such event any more.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn open(store: &Store, filter: Filter, after: Option<EventId>) -> Result<Option<Self>, ReadError> {
        let bus = store.bus().clone();
        let live = after.is_none();
        let (position, last) = match after {
            None => bus.end(),
            Some(id) => match bus.find(&id) {
                Some(position) => (position, Some(id)),
                None => match store.position_of(&id).await? {
                    Some(position) => (position, Some(id)),
                    None => return Ok(None),
                },
            },
        };
        Ok(Some(Self::at(store, filter, position, last, live)))
    }

    /// From the oldest event there is.
    #[must_use]
    pub fn from_the_beginning(store: &Store, filter: Filter) -> Self {
        Self::at(store, filter, 0, None, false)
    }

    fn at(store: &Store, filter: Filter, position: i64, last: Option<EventId>, live: bool) -> Self {
        let bus = store.bus().clone();
        let changed = bus.watch();
        Self { store: store.clone(), bus, changed, filter, position, last, live, ready: VecDeque::new() }
    }

    /// The last event it is past, from which on it may come back.
    #[must_use]
    pub fn last(&self) -> Option<&EventId> {
        self.last.as_ref()
    }

    /// The next event. After [`Heard::Lagged`] nothing sensible follows. May be dropped and called again.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn next(&mut self) -> Result<Heard, ReadError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Heard::Event(event));
            }
            self.changed.mark_unchanged();
            match self.bus.after(self.position, TAKEN) {
                Look::Here(events) if events.is_empty() => {
                    self.live = true;
                    if self.bus.is_closed() || self.changed.changed().await.is_err() {
                        return Err(ReadError::Stopped);
                    }
                }
                Look::Here(events) => self.take(events),
                Look::Behind(missed) if self.live => {
                    return Ok(Heard::Lagged { missed, last: self.last.clone() });
                }
                Look::Behind(_) => self.read().await?,
            }
        }
    }

    fn take(&mut self, events: Vec<Published>) {
        for Published { position, event } in events {
            self.position = position;
            self.last = Some(event.id.clone());
            if self.filter.takes(&event) {
                self.ready.push_back(event);
            }
        }
    }

    async fn read(&mut self) -> Result<(), ReadError> {
        let page = self.store.events_after(self.position, &self.filter, PAGE).await?;
        self.take(page.events);
        self.position = self.position.max(page.upto);
        Ok(())
    }
}
