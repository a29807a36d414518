//! A browser takes a call that rings it, or does not want it. Of several that take it the first has it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use trunkline_media::api::{Command, OpenCall};
use trunkline_media::sdp::browser::Offer;

use super::start::{Claim, browser_codecs, limits, not_opened, playback_rate, refused_offer};
use super::store::{IceSession, Live};
use super::{Calls, Shared, Started, over};
use crate::call::{Answerer, Input, ReceiverSays, Rings, SdpKind};
use crate::ids::{CallId, SessionId, random_bits};
use crate::problem::Problem;
use crate::prompts::{ENDING_SOON, HOLD, PLEASE_WAIT};
use crate::receivers::{ReceiverStream, Receivers};
use crate::session::Session;

impl Calls {
    /// Answers a call that rings the session's browser. Problems: `unknown-call` 404, `call-answered` and `call-ended`
    /// 409, `call-in-progress` 409, and those of an offer.
    pub async fn answer(&self, session: &Session, call: &CallId, offer: &[u8]) -> Result<Started, Problem> {
        let live = rung(&self.shared, call, &session.id)?;
        let parsed = Offer::parse(offer).map_err(refused_offer)?;
        let taking = Taking::of(&live)?;
        let claim = Claim::taking(&self.shared, session, call.clone())?;
        let answer = Answer { shared: Arc::clone(&self.shared), live, session: session.clone(), taking, claim };
        // On a task of its own: a client that goes away in between leaves no half-made call behind.
        let answered = tokio::spawn(answer.go(parsed, offer.to_vec()));
        answered.await.unwrap_or_else(|_| Err(Problem::internal_error("the call could not be answered")))
    }

    /// The session's browser does not want a call that rings it; others it rings may. Problems: `unknown-call` 404,
    /// `call-answered` and `call-ended` 409.
    pub fn decline(&self, session: &SessionId, call: &CallId) -> Result<(), Problem> {
        let live = rung(&self.shared, call, session)?;
        if live.inbox.offer(Input::Receiver(ReceiverSays::Declined(session.clone()))) {
            Ok(())
        } else {
            Err(over(call))
        }
    }

    /// Opens a stream of a session that waits for calls under a name; calls that ring there now ring its browser too.
    pub fn receive(&self, session: &Session, name: &str, after: u64) -> Result<ReceiverStream, Problem> {
        let shared = &self.shared;
        let (stream, is_new) = shared.receivers.join(shared.clock.now(), session, name, after)?;
        if is_new {
            let ringing: Vec<_> = shared.live.iter().map(|live| Arc::clone(&live)).collect();
            for live in ringing.iter().filter(|live| live.call().rings_for(&session.app, name)) {
                live.inbox.offer(Input::Receiver(ReceiverSays::Joined(session.id.clone())));
            }
        }
        Ok(stream)
    }

    /// Who waits for calls.
    #[must_use]
    pub fn receivers(&self) -> &Receivers {
        &self.shared.receivers
    }
}

/// A live call that rings this session.
fn rung(shared: &Shared, call: &CallId, session: &SessionId) -> Result<Arc<Live>, Problem> {
    let Some(live) = shared.get_live(call) else {
        let was_rung = shared.ended().get(call).is_some_and(|ended| ended.body.call().rings(session) != Rings::No);
        return Err(if was_rung { over(call) } else { Problem::unknown_call("check the call") });
    };
    let (rings, is_over) = {
        let call = live.call();
        (call.rings(session), call.is_over())
    };
    match rings {
        Rings::No => Err(Problem::unknown_call("check the call")),
        Rings::NoMore if is_over => Err(over(call)),
        Rings::NoMore => Err(answered(call)),
        Rings::Yes => Ok(live),
    }
}

fn answered(call: &CallId) -> Problem {
    Problem::call_answered("another browser has it, or this one has declined it").with("call", call.as_str())
}

/// The first one's right to the call, given back if nothing comes of it.
struct Taking {
    live: Arc<Live>,
    kept: bool,
}

impl Taking {
    fn of(live: &Arc<Live>) -> Result<Self, Problem> {
        if live.is_taken.swap(true, Ordering::AcqRel) {
            return Err(answered(&live.id));
        }
        Ok(Self { live: Arc::clone(live), kept: false })
    }
}

impl Drop for Taking {
    fn drop(&mut self) {
        if !self.kept {
            self.live.is_taken.store(false, Ordering::Release);
        }
    }
}

struct Answer {
    shared: Arc<Shared>,
    live: Arc<Live>,
    session: Session,
    taking: Taking,
    claim: Claim,
}

impl Answer {
    async fn go(mut self, offer: Offer, sdp: Vec<u8>) -> Result<Started, Problem> {
        let (shared, live) = (&self.shared, &self.live);
        let config = live.config();
        let remote_ufrag = offer.ice.ufrag.clone();
        let open = OpenCall {
            key: live.key,
            offer,
            codecs: browser_codecs(config),
            prefer: live.call().wanted_codec(),
            playback_rate: playback_rate(config),
            limits: limits(config),
            seed: random_bits(),
        };
        shared.by_key.insert(live.key, live.inbox.clone());
        let opened = match shared.media.open(open).await {
            Ok(opened) => opened,
            Err(error) => {
                shared.by_key.remove(&live.key);
                shared.one_ended.notify_waiters();
                return Err(not_opened(shared, error));
            }
        };
        *live.ice.lock().await = IceSession { tag: opened.ice_session.clone(), remote_ufrag };
        let now = shared.clock.now().instant;
        live.call().note_description(now, SdpKind::Offer, true, &sdp);
        live.call().note_description(now, SdpKind::Answer, false, opened.answer.as_bytes());
        let session = &self.session;
        let answerer = Answerer {
            session: session.id.clone(),
            profile: session.profile.clone(),
            metadata: session.metadata.clone(),
            lang: session.lang.clone(),
            codec: opened.codec,
            ending_soon: shared.prompts.get(ENDING_SOON, &session.lang),
            hold: shared.prompts.get(HOLD, &session.lang),
            please_wait: shared.prompts.get(PLEASE_WAIT, &session.lang),
        };
        // Before the call can be asked for, and before it can end.
        let _ = live.session.set(session.id.clone());
        if !live.inbox.offer(Input::Receiver(ReceiverSays::Answered(Box::new(answerer)))) {
            shared.media.command(live.key, Command::Close);
            shared.by_key.remove(&live.key);
            shared.one_ended.notify_waiters();
            return Err(over(&live.id));
        }
        (self.taking.kept, self.claim.kept) = (true, true);
        Ok(Started { call: live.id.clone(), answer: opened.answer, etag: opened.ice_session })
    }
}
