//! Admission and birth of a call.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tracing::Instrument;
use trunkline_config::Config;
use trunkline_media::api::{CallKey, Limits, OpenCall, OpenError, Opened};
use trunkline_media::audio::Codec;
use trunkline_media::sdp::browser::{Offer, OfferError};
use trunkline_media::sdp::trunk::KeySource;

use super::driver::Driver;
use super::inbox::inbox;
use super::limits::Permit;
use super::store::{IceSession, Live};
use super::{Calls, Shared, Started, bump};
use crate::call::{About, Call, Input, SdpKind};
use crate::clock::Now;
use crate::hook::Question;
use crate::ids::{CallId, SessionId, random_bits};
use crate::outcome::Refusal;
use crate::problem::Problem;
use crate::prompts::{CALL_FAILED, ENDING_SOON, HOLD, NO_DESTINATION, PLEASE_WAIT};
use crate::routing::{self, Planned};
use crate::session::Session;
use crate::session::hours::{self, Standing, open_at};
use crate::settings::Edition;

/// When a refused caller may try again, seconds.
pub(super) const RETRY_SECONDS: u32 = 5;

pub(super) async fn start(calls: &Calls, session: &Session, sdp: &[u8]) -> Result<Started, Problem> {
    let shared = &calls.shared;
    if session.preview {
        shared.counters.refused(Refusal::PreviewSession);
        return Err(Problem::preview_session("a preview shows the widget; it starts no calls"));
    }
    calls.admit().inspect_err(|_| shared.counters.refused(Refusal::Draining))?;
    let offer = Offer::parse(sdp).map_err(refused_offer)?;
    let edition = shared.settings.edition();
    let app = edition.config.apps.iter().find(|app| app.id == session.app);
    let app = app.ok_or_else(|| Problem::unknown_app("the session's app is not configured any more"))?;
    // Again, for the session's answer may be minutes old. A call that is up is never looked at.
    if let Standing::Closed { opens_at, label } =
        open_at(app.hours_of(session.profile.as_deref()), shared.clock.now().wall)
    {
        shared.counters.refused(Refusal::ClosedHours);
        return Err(hours::closed(opens_at, label.as_deref()));
    }
    let claim = Claim::of(shared, session)?;
    let permit = shared.apps.acquire(&app.id, app.max_calls);
    let permit = permit.ok_or_else(|| full(shared, "the app has all the calls it may have"))?;
    let birth = Birth { shared: Arc::clone(shared), edition, session: session.clone(), claim, permit };
    // On a task of its own: a client that goes away in between leaves no half-made call behind.
    let born = tokio::spawn(birth.go(offer, sdp.to_vec()));
    born.await.unwrap_or_else(|_| Err(Problem::internal_error("the call could not be made")))
}

/// Codecs a browser may be answered with.
pub(super) fn browser_codecs(config: &Config) -> Vec<Codec> {
    config.media.browser_codecs.iter().map(|&codec| routing::codec(codec)).collect()
}

/// The highest rate at which anybody a call may come to hears, Hz: a transfer or an answer hook may name any trunk, and a
/// browser is asked once.
pub(super) fn playback_rate(config: &Config) -> u32 {
    let codecs = config.trunks.iter().filter(|trunk| trunk.enabled).flat_map(|trunk| &trunk.codecs);
    let widest = codecs.map(|&codec| routing::codec(codec).playback_rate()).max();
    widest.unwrap_or_else(|| Codec::Opus.playback_rate())
}

pub(super) fn limits(config: &Config) -> Limits {
    let media = &config.media;
    Limits { setup: media.setup, inactivity: media.inactivity, grace: media.grace }
}

pub(super) fn refused_offer(error: OfferError) -> Problem {
    match error {
        OfferError::Invalid(what) => Problem::invalid_sdp(what),
        OfferError::Unsupported(what) => Problem::unsupported_sdp(what),
    }
}

pub(super) fn not_opened(shared: &Shared, error: OpenError) -> Problem {
    match error {
        OpenError::Unsupported(what) => Problem::unsupported_sdp(what),
        OpenError::Full => full(shared, "the media plane has all the calls it can carry"),
        OpenError::NoSuchCall => Problem::call_ended("the call's media is over"),
        OpenError::Stopped => full(shared, "the media plane is stopping"),
    }
}

fn full(shared: &Shared, what: &str) -> Problem {
    shared.counters.refused(Refusal::Capacity);
    Problem::capacity(what).retry_in(RETRY_SECONDS)
}

/// The session's one live call: taken here, kept by the call, given back if none comes of it.
pub(super) struct Claim {
    shared: Arc<Shared>,
    session: SessionId,
    call: CallId,
    pub(super) kept: bool,
}

impl Claim {
    fn of(shared: &Arc<Shared>, session: &Session) -> Result<Self, Problem> {
        Self::taking(shared, session, CallId::from_random(random_bits()))
    }

    /// For this call.
    pub(super) fn taking(shared: &Arc<Shared>, session: &Session, call: CallId) -> Result<Self, Problem> {
        match shared.by_session.entry(session.id.clone()) {
            dashmap::Entry::Occupied(taken) => {
                Err(Problem::call_in_progress("the session has a call that has not ended")
                    .with("call", taken.get().as_str())
                    .with("session", session.id.as_str()))
            }
            dashmap::Entry::Vacant(free) => {
                free.insert(call.clone());
                Ok(Self { shared: Arc::clone(shared), session: session.id.clone(), call, kept: false })
            }
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.kept {
            self.shared.by_session.remove_if(&self.session, |_, call| *call == self.call);
        }
    }
}

/// An admitted call on its way.
struct Birth {
    shared: Arc<Shared>,
    /// The configuration it keeps to its end.
    edition: Edition,
    session: Session,
    claim: Claim,
    permit: Permit,
}

impl Birth {
    async fn go(mut self, offer: Offer, sdp: Vec<u8>) -> Result<Started, Problem> {
        let now = self.shared.clock.now();
        let config = Arc::clone(&self.edition.config);
        let plan = routing::resolve(&config, &self.session);
        let key = CallKey(self.shared.next_key.fetch_add(1, Ordering::Relaxed));
        let (to_call, reading_end) = inbox(Arc::clone(&self.shared.counters));
        let remote_ufrag = offer.ice.ufrag.clone();
        let open = OpenCall {
            key,
            offer,
            codecs: browser_codecs(&config),
            prefer: preferred(&plan),
            playback_rate: playback_rate(&config),
            limits: limits(&config),
            seed: random_bits(),
        };
        self.shared.by_key.insert(key, to_call.clone());
        let opened = match self.shared.media.open(open).await {
            Ok(opened) => opened,
            Err(error) => {
                self.shared.by_key.remove(&key);
                self.shared.one_ended.notify_waiters();
                return Err(not_opened(&self.shared, error));
            }
        };
        let about = self.about(now, &opened);
        let ice = IceSession { tag: opened.ice_session.clone(), remote_ufrag };
        let mut call = Call::new(now.instant, about, plan);
        call.note_description(now.instant, SdpKind::Offer, true, &sdp);
        call.note_description(now.instant, SdpKind::Answer, false, opened.answer.as_bytes());
        drop(sdp);
        let live = self.register(Live::new(key, now.wall, to_call, ice, call, self.edition.clone()));
        self.claim.kept = true;
        let span = tracing::info_span!("call", id = %live.id);
        let driver = Driver::new(Arc::clone(&self.shared), Arc::clone(&live), reading_end, self.permit);
        tokio::spawn(driver.drive().instrument(span));
        Ok(Started { call: live.id.clone(), answer: opened.answer, etag: opened.ice_session })
    }

    fn register(&self, live: Live) -> Arc<Live> {
        let live = Arc::new(live);
        self.shared.live.insert(live.id.clone(), Arc::clone(&live));
        bump(&self.shared.counters.started);
        self.shared.store.keep(live.journal(false));
        // A shutdown that has begun meanwhile has told the live calls already: this one hears of it at once.
        if self.shared.stopping.load(Ordering::Acquire) {
            live.inbox.offer(Input::Shutdown);
        }
        live
    }

    fn about(&self, now: Now, opened: &Opened) -> About {
        let (session, config) = (&self.session, &self.edition.config);
        About {
            call: self.claim.call.clone(),
            session: Some(session.id.clone()),
            caller: None,
            app: session.app.clone(),
            profile: session.profile.clone(),
            context: session.context.clone(),
            metadata: session.metadata.clone(),
            has_form_values: !session.form.is_empty(),
            headers: session.headers.clone(),
            browser_codec: opened.codec,
            advertise: config.sip.rtp_told(config.media.rtp_listen).first().copied(),
            // RFC 8866 section 5.2 wants a number; 62 bits are safe with every reader.
            sdp_session: u64::from_be_bytes(random_bits()) >> 2,
            keys: KeySource::new(random_bits()),
            limits: limits(config),
            poor_after: config.quality.poor_after,
            asked_profile: session.asked_profile.clone(),
            no_destination: self.shared.prompts.get(NO_DESTINATION, &session.lang),
            ending_soon: self.shared.prompts.get(ENDING_SOON, &session.lang),
            hold: self.shared.prompts.get(HOLD, &session.lang),
            please_wait: self.shared.prompts.get(PLEASE_WAIT, &session.lang),
            call_failed: self.shared.prompts.get(CALL_FAILED, &session.lang),
            lang: session.lang.clone(),
            question: Question::of(config, session, &self.claim.call).map(Arc::new),
            wall: now,
        }
    }
}

/// The trunk's own codec, if it shall be relayed to the browser.
fn preferred(plan: &[Planned]) -> Option<Codec> {
    let first = plan.iter().find_map(Planned::first_route)?;
    first.codecs.first().copied().filter(|_| first.relay)
}
