//! One call's media as a value: two legs and the bridge between them.

mod browser_leg;
mod deadlines;
mod digits;
mod echo;
mod elastic;
mod flows;
mod inbound;
mod listening;
mod presence;
mod random;
mod redundancy;
mod spare;
mod stats;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::browser_leg::BrowserLeg;
use self::deadlines::Deadline;
use self::digits::TrunkDigits;
use self::elastic::Elastic;
use self::flows::pcm_rate;
use self::presence::Presence;
use self::random::Chance;
use self::stats::with_buffer;
use crate::api::{
    BackCause, BrowserLoss, Command, Leg, MediaEvent, OpenCall, OpenError, Opened, Restarted, StreamStats,
};
use crate::bridge::{Comfort, Flow};
use crate::browser::transport::{DtlsIdentity, TransportEvent};
use crate::detect::{Detectors, Ear};
use crate::outbox::Outbox;
use crate::quality::{Monitor, Policy};
use crate::sdp::browser::IceCredentials;
use crate::sdp::trunk::TrunkMedia;
use crate::trunk::TrunkLeg;

/// Reports that wait to be polled; more than one input can cause, so only a caller that never polls loses any.
const MAX_EVENTS: usize = 128;

/// Counters are reported this often.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);

/// Not called for this long while connected (samples alone come every second): the thread was stopped.
const STALL: Duration = Duration::from_secs(2);

/// One call's media. After any `handle_*`: drain [`Self::poll_event`], send the outbox, read [`Self::poll_timeout`].
#[repr(C, align(64))]
pub struct Call {
    last_run: Instant,
    next_sample: Option<Instant>,
    last_check: Option<Instant>,
    /// Packets of audio so far: from the browser, from the trunk.
    heard: (u64, u64),
    /// When the detectors want to look beside that.
    next_look: Option<Instant>,
    /// The next of the deadlines that a packet of audio only moves away, as it was found last; without, it is to be found.
    slow: Option<Option<Deadline>>,
    /// The flow towards the trunk ends at the browser itself.
    echoes: bool,
    /// The trunk has answered.
    answered: bool,
    events: VecDeque<MediaEvent>,
    presence: Presence,
    browser: BrowserLeg,
    to_trunk: Flow,
    trunk: Option<TrunkLeg>,
    to_browser: Flow,
    /// How digits come and go on the trunk's side.
    digits: TrunkDigits,
    surroundings: Surroundings,
    chance: Chance,
    /// The RTP address of a pair leased for whoever may take the trunk's place.
    spare: Option<SocketAddr>,
    /// Local ufrags: the current one, and the one before an ICE restart.
    ufrags: (String, Option<String>),
    quality: Monitor,
    detectors: Option<Box<Detectors>>,
    /// What the browser is sent.
    elastic: Elastic,
}

/// What a call needs from the place it lives in.
#[derive(Clone)]
pub struct Surroundings {
    /// The gateway's certificate.
    pub identity: Arc<DtlsIdentity>,
    /// `a=candidate` values of the worker's public port(s).
    pub candidates: Arc<[String]>,
    /// Wall time (since the Unix epoch) that belongs to `wall_at`.
    pub wall: Duration,
    /// See `wall`. The same for all calls of a worker: their playout clocks count from it, and so tick together.
    pub wall_at: Instant,
    /// What is measured, and what counts as good.
    pub policy: Policy,
}

impl Surroundings {
    pub(crate) fn wall(&self, now: Instant) -> Duration {
        self.wall.saturating_add(now.saturating_duration_since(self.wall_at))
    }

    /// The clock on the wall may have been set. The moment that belongs to `wall` stays, for clocks count from it.
    pub(crate) fn set_wall(&mut self, now: Instant, wall: Duration) {
        self.wall = wall.saturating_sub(now.saturating_duration_since(self.wall_at));
    }
}

impl Call {
    /// Takes the browser's offer; the answer is ready to be sent once the call is registered with its worker.
    pub fn open(now: Instant, open: &OpenCall, surroundings: &Surroundings) -> Result<(Self, Opened), OpenError> {
        let mut chance = Chance::new(open.seed);
        let (browser, opened) = BrowserLeg::open(now, open, surroundings, &mut chance)?;
        let rate = pcm_rate(None, browser.media.codec);
        let policy = &surroundings.policy;
        let ear = || policy.listen.then(|| Ear::new(now));
        let mut detectors = (policy.listen || policy.measure).then(Box::<Detectors>::default);
        if let Some(detectors) = &mut detectors {
            detectors.candidates(&open.offer.candidate_addresses);
        }
        let call = Self {
            surroundings: surroundings.clone(),
            chance,
            browser,
            trunk: None,
            spare: None,
            to_trunk: Flow::new(surroundings.wall_at, Comfort::Always, rate, ear()),
            // A browser has a jitter buffer of its own, and a good one: a second one before it would only add delay. It
            // serves relayed audio too, so that a change of codec moves nothing in time.
            to_browser: Flow::new(surroundings.wall_at, Comfort::OnceHeard, rate, ear()).on_arrival(),
            presence: Presence::new(open.limits),
            events: VecDeque::new(),
            ufrags: (opened.ice_session.clone(), None),
            heard: (0, 0),
            last_check: None,
            last_run: now,
            next_sample: None,
            next_look: None,
            slow: None,
            quality: Monitor::default(),
            answered: false,
            detectors,
            echoes: false,
            digits: TrunkDigits::default(),
            elastic: Elastic::default(),
        };
        Ok((call, opened))
    }

    /// A new peer connection for the same call (page reload, other network): the old browser leg is dropped, the trunk
    /// leg stays. On an error the old leg stays as it is.
    pub fn reattach(&mut self, now: Instant, open: &OpenCall, out: &mut Outbox) -> Result<Opened, OpenError> {
        self.slow = None;
        let mut chance = Chance::new(open.seed);
        let (browser, opened) = BrowserLeg::open(now, open, &self.surroundings, &mut chance)?;
        self.browser.bye(now, out);
        self.browser.transport.close(now, out);
        self.chance = chance;
        self.browser = browser.after(&mut self.browser);
        self.ufrags = (opened.ice_session.clone(), None);
        self.last_check = None;
        self.to_trunk.forget_speaker();
        if let Some(detectors) = &mut self.detectors {
            detectors.forget(Leg::Browser);
            detectors.candidates(&open.offer.candidate_addresses);
        }
        self.presence.expect_return(BackCause::Reattach);
        self.rewire(now);
        Ok(opened)
    }

    /// ICE restart: new credentials on both sides.
    pub fn restart_ice(&mut self, now: Instant, remote: IceCredentials) -> Restarted {
        self.slow = None;
        let local = self.chance.credentials();
        self.browser.transport.restart_ice(now, remote, local.clone());
        let old = std::mem::replace(&mut self.ufrags.0, local.ufrag.clone());
        self.ufrags.1 = Some(old);
        self.presence.expect_return(BackCause::IceRestart);
        let ice_session = local.ufrag.clone();
        Restarted { local, candidates: self.surroundings.candidates.to_vec(), ice_session }
    }

    /// A port pair was leased: the trunk leg exists (silent until [`Command::ConnectTrunk`]). Replaces an older leg.
    pub fn attach_trunk(&mut self, now: Instant, local: SocketAddr) {
        self.slow = None;
        let discarded = with_buffer(StreamStats::default(), &self.to_browser).discarded;
        self.trunk = Some(TrunkLeg::new(local, self.surroundings.policy.measure, discarded));
        self.digits = TrunkDigits::default();
        self.quality.forget(Leg::Trunk);
        self.detectors.iter_mut().for_each(|detectors| detectors.forget(Leg::Trunk));
        self.answered = false;
        self.to_browser.forget_speaker();
        self.rewire(now);
    }

    /// The trunk leg's local RTP address, while there is one.
    #[must_use]
    pub fn trunk_local(&self) -> Option<SocketAddr> {
        self.trunk.as_ref().map(TrunkLeg::local)
    }

    /// The control plane asks for something.
    pub fn handle_command(&mut self, now: Instant, command: Command, out: &mut Outbox) {
        self.slow = None;
        match command {
            Command::ConnectTrunk(media) => self.connect_trunk(now, media),
            Command::ReleaseTrunk => self.release_trunk(now, out),
            Command::SwapTrunk(media) => self.swap_trunk(now, media, out),
            Command::ReleaseSpare => self.spare = None,
            Command::Answered => {
                self.answered = true;
                self.to_browser.ring(now, None);
                self.look_now(now);
            }
            Command::AddCandidates { count, addresses } => {
                self.browser.transport.add_candidates(count);
                if let Some(detectors) = &mut self.detectors {
                    detectors.candidates(&addresses);
                }
            }
            Command::SetMuted { leg, muted } => {
                self.flow_from(leg).set_muted(now, muted);
                self.tell_withheld(leg);
            }
            Command::SetAudio { elastic, on_arrival } => self.set_audio(now, elastic, on_arrival),
            Command::SetDigits { way, listen } => self.set_digits(way, listen),
            Command::SetHeld { leg, held, audio } => self.set_held(now, leg, held, audio),
            Command::SendDtmf { leg, digits, duration_ms } => {
                let duration = Duration::from_millis(u64::from(duration_ms.clamp(40, 6000)));
                self.send_digits(now, leg, &digits, duration, true);
                self.poll_legs(now, out);
            }
            Command::Play { leg, id, prompt, looped, over } => {
                self.cut_tones(leg);
                self.flow_to(leg).play(now, id, prompt, looped, over);
            }
            // Digits are no prompt that anybody could mean.
            Command::StopPlaying { leg } if self.plays_tones(leg) => {}
            Command::StopPlaying { leg } => self.flow_to(leg).stop_playing(now),
            Command::Ring { region } => self.to_browser.ring(now, region),
            Command::Echo => self.echo(now),
            Command::Close => {
                self.browser.bye(now, out);
                self.browser.transport.close(now, out);
                self.release_trunk(now, out);
            }
        }
    }

    /// Local ufrags by which a worker finds this call (two during an ICE restart).
    pub fn ufrags(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.ufrags.0.as_str()).chain(self.ufrags.1.as_deref())
    }

    /// What happened.
    pub fn poll_event(&mut self) -> Option<MediaEvent> {
        self.events.pop_front()
    }

    fn connect_trunk(&mut self, now: Instant, media: TrunkMedia) {
        let Some(trunk) = &mut self.trunk else { return };
        let wall = self.surroundings.wall(now);
        let remote = media.remote;
        let crypto = &**self.surroundings.identity.provider();
        let is_cut = trunk.connect(now, wall, media, crypto, || self.chance.stream());
        tracing::debug!(%remote, codec = ?trunk.codec(), "trunk media applied");
        let owed = trunk.owes_audio();
        self.report(is_cut.then_some(MediaEvent::DtmfNotSent { leg: Leg::Trunk }));
        self.presence.set_owed(now, Leg::Trunk, owed, true);
        self.to_browser.set_silent(!owed);
        self.next_sample.get_or_insert(now + SAMPLE_EVERY);
        self.rewire(now);
    }

    fn release_trunk(&mut self, now: Instant, out: &mut Outbox) {
        let Some(mut trunk) = self.trunk.take() else { return };
        trunk.bye(now, out);
        self.digits = TrunkDigits::default();
        self.quality.forget(Leg::Trunk);
        self.answered = false;
        self.presence.set_owed(now, Leg::Trunk, false, true);
        self.to_browser.forget_speaker();
        self.to_trunk.stop_playing(now);
        self.set_held(now, Leg::Trunk, false, None);
        self.rewire(now);
    }

    /// Tells both flows what their listeners take now.
    fn rewire(&mut self, now: Instant) {
        self.choose_codec();
        let rate = pcm_rate(self.trunk.as_ref().and_then(TrunkLeg::codec), self.browser.media.codec);
        let (trunk, browser) = self.listeners();
        self.to_trunk.set_output(now, trunk, rate);
        self.to_browser.set_output(now, browser, rate);
        self.look_soon(now);
    }

    /// Sends reports and digits that are due.
    fn poll_legs(&mut self, now: Instant, out: &mut Outbox) {
        if self.browser.poll(now, out) {
            self.report(Some(MediaEvent::DtmfSent { leg: Leg::Browser }));
        }
        if self.trunk.as_mut().is_some_and(|trunk| trunk.poll(now, out)) {
            self.report(Some(MediaEvent::DtmfSent { leg: Leg::Trunk }));
        }
    }

    fn drain_transport(&mut self, now: Instant) {
        while let Some(event) = self.browser.transport.poll_event() {
            match event {
                TransportEvent::IceConnected { remote, path } => {
                    self.reached_over(path);
                    self.report(Some(MediaEvent::IceConnected { remote, path }));
                }
                TransportEvent::Moved { remote, path } => {
                    self.reached_over(path);
                    self.presence.expect_return(BackCause::NewAddress);
                    self.report(Some(MediaEvent::BrowserMoved { remote, path }));
                }
                TransportEvent::DtlsConnected { profile } => {
                    self.report(Some(MediaEvent::DtlsConnected { profile }));
                    self.quality.forget(Leg::Browser);
                    let back = self.presence.connected(now);
                    self.report(back);
                    let owed = self.browser.media.receives;
                    self.presence.set_owed(now, Leg::Browser, owed, true);
                    self.next_sample.get_or_insert(now + SAMPLE_EVERY);
                    self.rewire(now);
                }
                // A second peer connection that never came up is an absence like any other: grace decides.
                TransportEvent::Failed(_) if self.presence.was_connected() => {
                    let lost = self.presence.lost(now, BrowserLoss::Silence);
                    self.report(lost);
                }
                TransportEvent::Failed(failure) => self.report(Some(MediaEvent::SetupFailed(failure))),
                TransportEvent::Closed => {
                    let lost = self.presence.lost(now, BrowserLoss::CloseNotify);
                    self.report(lost);
                    self.rewire(now);
                }
            }
        }
    }

    /// Notes that the thread is alive; a long stop of it is nobody's silence.
    fn ran(&mut self, now: Instant) {
        let since = now.saturating_duration_since(self.last_run);
        if self.next_sample.is_some() && since > STALL {
            self.presence.forgive(since);
            self.quality.disturb();
        }
        self.last_run = now;
    }

    fn report(&mut self, event: Option<MediaEvent>) {
        let Some(event) = event else { return };
        // overflow: dropped; cannot happen while the queue is drained after every input.
        if self.events.len() < MAX_EVENTS {
            self.events.push_back(event);
        }
    }
}
