//! What a call's task still does when the call is over: hang up what was on its way, and hear the last words.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures::stream::StreamExt;

use super::{Driver, Leg};
use crate::call::{Api, Input, SipEvent};
use crate::sip;

/// How long an ended call's task waits for INVITEs that are being placed, so that it can hang them up.
const WIND_DOWN: Duration = Duration::from_secs(5);
/// How long the trunk's answer to a BYE or CANCEL is waited for.
const LAST_WORDS: Duration = Duration::from_secs(1);

impl Driver {
    /// INVITEs that were on their way when the call ended still have to be hung up.
    pub(super) async fn wind_down(&mut self) {
        let all = async {
            while let Some(done) = self.pending.next().await {
                self.done(done);
            }
        };
        if tokio::time::timeout(WIND_DOWN, all).await.is_err() {
            tracing::warn!("the SIP side or the media plane did not answer an ended call");
        }
        self.last_words().await;
        // What was taken in is dealt with; nothing more is.
        self.inbox.close();
        while let Ok(input) = self.inbox.try_recv() {
            self.late(Instant::now(), *input);
        }
        for (_, leg) in &self.legs {
            if let Leg::Placed(leg) | Leg::HungUp(leg) = leg {
                self.shared.desk.forget(*leg);
            }
        }
    }

    /// The trunk's answer to a BYE or CANCEL completes the ladder of the ended call.
    async fn last_words(&mut self) {
        let (end, mut heard) = (Instant::now() + LAST_WORDS, false);
        while self.legs.iter().any(|(_, leg)| matches!(leg, Leg::HungUp(_))) {
            if self.shared.stopping.load(Ordering::Acquire) {
                break;
            }
            let Ok(Some(input)) = tokio::time::timeout_at(end.into(), self.inbox.recv()).await else { break };
            heard |= self.late(Instant::now(), *input);
        }
        if heard {
            self.shared.amended(&self.live.id);
        }
    }

    /// What comes when the call is over; whether it adds to what is told of the call.
    pub(super) fn late(&mut self, now: Instant, input: Input) -> bool {
        self.notice_last_word(&input);
        self.answered_late(&input);
        if let Input::Api(Api::ClientReport { code, detail }) = input {
            self.live.call().late_report(now, code, detail);
            return true;
        }
        self.turn_away(&input);
        let traced = matches!(&input, Input::Sip { event: SipEvent::Traced(_), .. });
        if traced {
            self.live.call().handle(now, input);
        }
        traced
    }

    /// A leg that was hung up is forgotten when the trunk has said its last word on it.
    pub(super) fn notice_last_word(&mut self, input: &Input) {
        let Input::Sip { attempt, event } = input else { return };
        let last = sip::is_last(event) || matches!(event, SipEvent::Traced(traced) if sip::ends_a_leg(traced));
        let at = self.legs.iter().position(|(a, leg)| a == attempt && matches!(leg, Leg::HungUp(_)));
        if let Some(at) = at.filter(|_| last)
            && let (_, Leg::HungUp(leg)) = self.legs.swap_remove(at)
        {
            self.shared.desk.forget(leg);
        }
    }
}
