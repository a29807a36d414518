//! Calls from phones: whom they ring, and who answers.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use trunkline::call::{Answerer, Call, Called, Caller, Input, ReceiverSays, Summons};
use trunkline::ids::SessionId;
use trunkline::routing::Route;
use trunkline_media::api::{Limits, Opened};
use trunkline_media::call::Call as MediaCall;
use trunkline_media::sdp::browser::Offer;
use trunkline_signaling::admission::{Admission, Door, Network, Strangers};
use trunkline_signaling::endpoint::Event;
use trunkline_signaling::targets::Target;

use super::{CallNo, SimCall, SimGateway};
use crate::world::dial::{Dial, route};

/// Who waits for calls, and on what terms they come.
pub struct Waiting {
    /// Sessions, each rung by every call.
    pub sessions: Vec<SessionId>,
    /// What they were told: whom, of which call, what.
    pub told: Vec<(SessionId, CallNo, Summons)>,
    pub(super) route: Arc<Route>,
    limits: Limits,
}

impl SimGateway {
    /// Takes calls from the phones, for these sessions.
    pub fn take_calls(&mut self, dial: &Dial, sessions: &[&str]) {
        let phones = Door {
            name: "phones".into(),
            sources: Network::parse("203.0.113.0/24").into_iter().collect(),
            calls: true,
            credentials: None,
        };
        self.sip.guard(Admission { doors: vec![phones], realm: "gw.example".into(), strangers: Strangers::Silent });
        let sessions = sessions.iter().map(|id| SessionId::from_client(id)).collect();
        let route = Arc::new(Route { trunk: "phones".into(), ..route(dial, "gw.example") });
        self.waiting = Some(Waiting { sessions, told: Vec::new(), route, limits: dial.limits });
    }

    /// Who waits for calls.
    ///
    /// # Panics
    /// When none are taken.
    #[must_use]
    pub fn waiting(&self) -> &Waiting {
        self.waiting.as_ref().expect("calls are taken")
    }

    /// A phone calls.
    pub(super) fn called(&mut self, now: Instant, event: Event) {
        let Event::Incoming { leg, peer, over, sdp, .. } = event else { return };
        let peer = Target { address: peer, over, name: "phone".into() };
        let no = CallNo(self.calls.len() as u64 + 1);
        let Some(waiting) = &self.waiting else { return };
        let caller = Caller { number: "phone".into(), display: None, called: "agents".into(), name: "agents".into() };
        let (limits, sessions, route) = (waiting.limits, waiting.sessions.clone(), Arc::clone(&waiting.route));
        let about = self.about(now, no, limits, None, Some(caller));
        let call_id = self.sip.call_id(leg).map(|id| String::from_utf8_lossy(&id).into_owned());
        let call = Call::called(now, about, Called { route, peer, call_id, offer: sdp, receivers: sessions, busy: 0 });
        let mut call = SimCall::new(call, None);
        let attempt = trunkline::call::AttemptId(1);
        call.legs.push((attempt, leg));
        self.by_leg.insert(leg, (no, attempt));
        self.calls.insert(no, call);
        self.input(now, no, Input::Start);
    }

    /// A browser answers a call that rings it.
    ///
    /// # Panics
    /// When the media plane refuses the offer.
    pub fn answer(&mut self, now: Instant, no: CallNo, session: &str, offer: Offer) -> Opened {
        let limits = self.calls[&no].call.about().limits;
        let prefer = self.calls[&no].call.wanted_codec();
        let open = self.open_call(no, offer, prefer, limits);
        let (media, opened) = MediaCall::open(now, &open, &self.surroundings).unwrap();
        self.calls.get_mut(&no).unwrap().media = Some(media);
        self.learn_ufrags(no);
        let answerer = Answerer {
            session: SessionId::from_client(session),
            profile: None,
            metadata: None,
            lang: "en".into(),
            codec: opened.codec,
            ending_soon: None,
            hold: None,
            please_wait: None,
        };
        self.later(now, no, Input::Receiver(ReceiverSays::Answered(Box::new(answerer))));
        opened
    }

    pub(super) fn tell(&mut self, no: CallNo, sessions: Vec<SessionId>, summons: &Summons) {
        let Some(waiting) = &mut self.waiting else { return };
        waiting.told.extend(sessions.into_iter().map(|session| (session, no, summons.clone())));
    }

    pub(super) fn accept(&mut self, now: Instant, no: CallNo, sdp: Bytes) {
        if let Some((_, leg)) = self.calls[&no].legs.first().copied() {
            // A leg that is gone is no error.
            let _ = self.sip.accept(now, leg, sdp);
        }
    }
}
