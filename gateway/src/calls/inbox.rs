//! How word reaches a call: its bounded inbox, and the desk that finds the call of a SIP leg.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc::{self, error::TrySendError};
use trunkline_media::api::MediaEvent;
use trunkline_signaling::endpoint::{Event, LegId};

use super::counters::{Counters, bump};
use crate::call::{AttemptId, Input, SipEvent};
use crate::sip;

/// Inputs a call may lie behind. It handles one in microseconds; only a flood comes near this.
const DEPTH: usize = 256;
/// SIP events kept for legs whose call is about to be named.
const EARLY: usize = 1_024;

/// What an inbox holds. The channel makes room for 32 at a time, most of it never used: pointers keep that small.
pub(super) type Letter = Box<Input>;

/// The writing end of a call's inbox.
#[derive(Debug, Clone)]
pub(super) struct Inbox {
    sender: mpsc::Sender<Letter>,
    overrun: Arc<AtomicBool>,
    counters: Arc<Counters>,
}

/// A new inbox with its reading end.
pub(super) fn inbox(counters: Arc<Counters>) -> (Inbox, mpsc::Receiver<Letter>) {
    let (sender, receiver) = mpsc::channel(DEPTH);
    (Inbox { sender, overrun: Arc::default(), counters }, receiver)
}

impl Inbox {
    /// Hands an input to the call; `false` if it has ended.
    pub(super) fn offer(&self, input: Input) -> bool {
        let sample = matches!(input, Input::Media(MediaEvent::Sample(_)));
        // overflow: a ladder's message never takes the room of what a call has to hear; it is dropped and counted.
        if is_trace(&input) && self.sender.capacity() <= DEPTH / 2 && !self.sender.is_closed() {
            bump(&self.counters.sip_traces_dropped);
            return true;
        }
        // overflow: a sample is dropped and counted; anything else ends the call, which can no longer be right.
        match self.sender.try_send(Box::new(input)) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) if sample => {
                bump(&self.counters.samples_dropped);
                true
            }
            Err(TrySendError::Full(_)) => {
                bump(&self.counters.inbox_overflows);
                self.overrun.store(true, Ordering::Release);
                true
            }
            Err(TrySendError::Closed(_)) => false,
        }
    }

    /// Whether something was lost since the last look.
    pub(super) fn take_overrun(&self) -> bool {
        self.overrun.swap(false, Ordering::AcqRel)
    }
}

/// Finds the call of a SIP leg. A leg's first events may be here before the call has heard the leg's name: they are
/// kept while any INVITE is being placed.
#[derive(Debug, Default)]
pub(super) struct Desk {
    inner: Mutex<DeskInner>,
}

#[derive(Debug, Default)]
struct DeskInner {
    legs: HashMap<LegId, (Inbox, AttemptId)>,
    placing: usize,
    early: VecDeque<(LegId, Event)>,
}

impl Desk {
    /// An INVITE is about to be placed; ends with [`Self::placed`].
    pub(super) fn placing(&self) {
        let mut inner = self.lock();
        inner.placing = inner.placing.saturating_add(1);
    }

    /// An INVITE was placed, or not. What its leg said so far goes to the inbox.
    pub(super) fn placed(&self, leg: Option<(LegId, Inbox, AttemptId)>) {
        let mut inner = self.lock();
        if let Some((leg, inbox, attempt)) = leg {
            inner.legs.insert(leg, (inbox, attempt));
            let (own, others) = inner.early.drain(..).partition(|(l, _)| *l == leg);
            inner.early = others;
            let own: VecDeque<_> = own;
            own.into_iter().for_each(|(leg, event)| inner.deliver(leg, event));
        }
        inner.placing = inner.placing.saturating_sub(1);
        if inner.placing == 0 {
            inner.early.clear();
        }
    }

    /// A leg that is there already has a call.
    pub(super) fn take(&self, leg: LegId, inbox: Inbox, attempt: AttemptId) {
        self.lock().legs.insert(leg, (inbox, attempt));
    }

    /// The call has no more interest in a leg.
    pub(super) fn forget(&self, leg: LegId) {
        self.lock().legs.remove(&leg);
    }

    /// The leg that an endpoint knows an attempt of a call by.
    pub(super) fn leg(&self, of: &Inbox, attempt: AttemptId) -> Option<LegId> {
        let inner = self.lock();
        let found = inner.legs.iter().find(|(_, (inbox, a))| *a == attempt && inbox.sender.same_channel(&of.sender));
        found.map(|(leg, _)| *leg)
    }

    /// Whether a call would hear of a leg.
    pub(super) fn knows(&self, leg: LegId) -> bool {
        self.lock().legs.contains_key(&leg)
    }

    /// The SIP side says something.
    pub(super) fn dispatch(&self, event: Event, counters: &Counters) {
        let leg = sip::leg_of(&event);
        let mut inner = self.lock();
        if inner.legs.contains_key(&leg) {
            inner.deliver(leg, event);
        } else if inner.placing > 0 {
            // overflow: a ladder's message is dropped first; else the oldest event, whose call ends by its own timers.
            if inner.early.len() >= EARLY {
                let trace = inner.early.iter().position(|(_, early)| is_traced(early));
                if is_traced(&event) || trace.is_some() {
                    bump(&counters.sip_traces_dropped);
                } else {
                    bump(&counters.early_sip_events_dropped);
                }
                if is_traced(&event) {
                    return;
                }
                inner.early.remove(trace.unwrap_or(0));
            }
            inner.early.push_back((leg, event));
        }
    }

    /// The SIP side is gone: every call with a leg hears of it.
    pub(super) fn gone(&self) {
        for (inbox, _) in self.lock().legs.values() {
            inbox.offer(Input::SipGone);
        }
    }

    fn lock(&self) -> MutexGuard<'_, DeskInner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_trace(input: &Input) -> bool {
    matches!(input, Input::Sip { event: SipEvent::Traced(_), .. })
}

fn is_traced(event: &Event) -> bool {
    matches!(event, Event::Traced { .. })
}

impl DeskInner {
    fn deliver(&mut self, leg: LegId, event: Event) {
        let Some((inbox, attempt)) = self.legs.get(&leg) else { return };
        let attempt = *attempt;
        let gone = match sip::translate(event) {
            Some(event) => {
                let last = sip::is_last(&event);
                !inbox.offer(Input::Sip { attempt, event }) || last
            }
            None => false,
        };
        if gone {
            self.legs.remove(&leg);
        }
    }
}
