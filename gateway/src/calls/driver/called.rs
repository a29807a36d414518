//! What a call from a trunk has done: the trunk rung, answered or refused, and the browsers told that wait for it.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;
use trunkline_media::api::Command;
use trunkline_signaling::endpoint::{LegId, Reason as ReasonHeader};

use super::{Driver, Leg, Letter};
use crate::call::{AttemptId, Input, ReceiverSays, Summons};
use crate::calls::Shared;
use crate::calls::incoming::Permits;
use crate::calls::store::Live;
use crate::ids::SessionId;
use crate::routing::Route;

impl Driver {
    /// Of a call whose leg is there, and waits.
    pub(in super::super) fn called(
        shared: Arc<Shared>,
        live: Arc<Live>,
        inbox: mpsc::Receiver<Letter>,
        permits: Permits,
        (leg, route): (LegId, &Arc<Route>),
    ) -> Self {
        let Permits { trunk, app } = permits;
        shared.desk.take(leg, live.inbox.clone(), AttemptId(1));
        let mut driver = Self::new(shared, live, inbox, app);
        driver.trunk = Some((route.trunk.clone(), trunk));
        driver.legs.push((AttemptId(1), Leg::Placed(leg)));
        driver
    }

    fn placed_leg(&self, attempt: AttemptId) -> Option<LegId> {
        self.legs.iter().find_map(|(a, leg)| match leg {
            Leg::Placed(leg) if *a == attempt => Some(*leg),
            Leg::Placed(_) | Leg::Placing(_) | Leg::HungUp(_) => None,
        })
    }

    pub(super) fn ring(&self, attempt: AttemptId) {
        if let Some(leg) = self.placed_leg(attempt) {
            self.shared.sip.ring(leg);
        }
    }

    pub(super) fn accept(&self, attempt: AttemptId, sdp: Bytes) {
        if let Some(leg) = self.placed_leg(attempt) {
            self.shared.sip.accept(leg, sdp);
        }
    }

    pub(super) fn refuse(&mut self, attempt: AttemptId, status: u16, reason: ReasonHeader) {
        let Some(leg) = self.placed_leg(attempt) else { return };
        self.shared.sip.refuse(leg, status, Some(reason));
        if let Some((_, state)) = self.legs.iter_mut().find(|(a, _)| *a == attempt) {
            *state = Leg::HungUp(leg);
        }
    }

    pub(super) fn tell(&self, sessions: &[SessionId], summons: Summons) {
        let (name, fields) = match summons {
            Summons::Incoming(fields) => ("incoming_call", fields),
            Summons::Cancelled(reason) => {
                let fields = [("call", self.live.id.as_str()), ("reason", reason)];
                let fields = fields.map(|(key, value)| (key.to_owned(), value.into())).into_iter().collect();
                ("incoming_call_cancelled", fields)
            }
        };
        let now = self.shared.clock.now();
        sessions.iter().for_each(|session| self.shared.receivers.tell(now, session, name, &fields));
    }

    /// A browser whose answer came when the call was over: its leg is open, and nobody else closes it.
    pub(super) fn answered_late(&self, input: &Input) {
        if matches!(input, Input::Receiver(ReceiverSays::Answered(_))) {
            self.shared.media.command(self.live.key, Command::Close);
            self.shared.by_key.remove(&self.live.key);
            if let Some(session) = self.live.session.get() {
                self.shared.by_session.remove_if(session, |_, call| *call == self.live.id);
            }
        }
    }
}
