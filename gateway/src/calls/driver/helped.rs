//! What a call's task has others do for it: ask the answer hook, get a recording, make the trunk an offer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use trunkline_media::api::{Command, Leg as MediaLeg};

use super::{Done, Driver, Leg};
use crate::call::{AttemptId, Input, SipEvent, Sound};
use crate::hook::{Asked, Question, Unanswered};

impl Driver {
    pub(super) fn ask(&mut self, question: Arc<Question>) {
        let shared = Arc::clone(&self.shared);
        self.while_live(async move {
            let asked = match shared.helpers.get() {
                Some(helpers) => helpers.hooks.ask(&question).await,
                None => Asked { tries: Vec::new(), took: Duration::ZERO, actions: Err(Unanswered::Unasked) },
            };
            Done::Input(Input::Asked(Box::new(asked)))
        });
    }

    pub(super) fn fetch(&mut self, id: u32, sound: Sound) {
        let (shared, allow_insecure) = (Arc::clone(&self.shared), self.live.allows_insecure_urls());
        self.while_live(async move {
            let result = match shared.helpers.get() {
                Some(helpers) => helpers.recordings.get(sound, allow_insecure).await,
                None => Err("nobody gets recordings here".to_owned()),
            };
            Done::Input(Input::Fetched { id, result })
        });
    }

    /// Digits by INFO; what becomes of them is told by events of the leg.
    pub(super) fn send_digits(&self, attempt: AttemptId, digits: Vec<(char, Duration)>) {
        if let Some((_, Leg::Placed(leg))) = self.legs.iter().find(|(a, _)| *a == attempt) {
            self.shared.sip.send_digits(*leg, digits);
        }
    }

    /// An offer that cannot be made now is as one that met another (RFC 3261 section 14.1).
    pub(super) fn offer(&mut self, attempt: AttemptId, sdp: Bytes) {
        let leg = self.legs.iter().find_map(|(a, leg)| match leg {
            Leg::Placed(leg) if *a == attempt => Some(*leg),
            Leg::Placed(_) | Leg::Placing(_) | Leg::HungUp(_) => None,
        });
        let offered = leg.map(|leg| self.shared.sip.offer(leg, sdp));
        self.later(async move {
            let made = match offered {
                Some(offered) => offered.await,
                None => false,
            };
            if made {
                return Done::Nothing;
            }
            Done::Input(Input::Sip { attempt, event: SipEvent::OfferAnswered(Err(491)) })
        });
    }

    /// Counts what begins to play.
    pub(super) fn count_played(&self, command: &Command) {
        if let Command::Play { leg, .. } = command {
            let leg = match leg {
                MediaLeg::Browser => "browser",
                MediaLeg::Trunk => "sip",
            };
            self.shared.counters.measures.hooks.played(leg);
        }
    }

    /// Given up when the call is over.
    fn while_live(&self, future: impl Future<Output = Done> + Send + 'static) {
        let mut over = self.over.subscribe();
        self.later(async move {
            tokio::select! {
                done = future => done,
                _ = over.wait_for(|over| *over) => Done::Nothing,
            }
        });
    }
}
