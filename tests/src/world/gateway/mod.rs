//! The gateway: its real cores, joined here as the daemon's edges join them, without a socket or a task between.

mod call;
mod called;
mod effects;
mod transfer;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use trunkline::call::{About, Api, AttemptId, Call, Caller, Input};
use trunkline::clock::{Clock, Now};
use trunkline::ids::{CallId, SessionId};
use trunkline::routing::Planned;
use trunkline_media::api::{CallKey, CallStats, Limits, MediaEvent, OpenCall, Opened, Path, Restarted};
use trunkline_media::audio::Codec;
use trunkline_media::browser::demux::{Kind, classify, local_ufrag};
use trunkline_media::browser::transport::DtlsIdentity;
use trunkline_media::call::{Call as MediaCall, Surroundings};
use trunkline_media::outbox::Outbox;
use trunkline_media::quality::Policy;
use trunkline_media::sdp::browser::{IceCredentials, Offer};
use trunkline_media::sdp::trunk::KeySource;
use trunkline_signaling::endpoint::{Endpoint, EndpointConfig, LegId};
use trunkline_signaling::targets::{Families, Resolver, SearchId, TargetHealth};

pub use self::call::SimCall;
pub use self::called::Waiting;
use super::chance::Chance;
use super::dns::SimDns;
use super::phone::standard_timers;
use super::ports::Ports;

/// Names a call of the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallNo(pub u64);

/// How a call is begun.
pub struct Begin {
    /// The browser's offer; `None`: a call without media, whose browser is always there.
    pub offer: Option<Offer>,
    /// Whom to call, in order.
    pub plan: Vec<Planned>,
    /// Put this codec first.
    pub prefer: Option<Codec>,
    /// Time limits.
    pub limits: Limits,
}

/// The gateway.
pub struct SimGateway {
    /// Where browsers send.
    pub public: SocketAddr,
    /// Where trunks send SIP.
    pub sip_address: SocketAddr,
    sip: Endpoint,
    /// All calls, ended ones too.
    pub calls: BTreeMap<CallNo, SimCall>,
    /// Its RTP ports.
    pub ports: Ports,
    by_leg: HashMap<LegId, (CallNo, AttemptId)>,
    by_tuple: HashMap<SocketAddr, CallNo>,
    by_ufrag: HashMap<String, CallNo>,
    /// Host names and their addresses; a name that is missing does not exist.
    pub names: HashMap<String, Vec<SocketAddr>>,
    /// Where the REFERs of phones lead.
    pub transfers: HashMap<String, Planned>,
    /// What else DNS knows, and what is wrong with it.
    pub dns: SimDns,
    resolver: Resolver,
    searches: HashMap<SearchId, (CallNo, AttemptId)>,
    /// How its targets are.
    pub health: TargetHealth,
    /// Trunks that do not answer OPTIONS.
    pub trunks_down: HashSet<String>,
    surroundings: Surroundings,
    chance: Chance,
    /// What happens a little later: answers of other tasks.
    later: BTreeMap<(Instant, u64), (CallNo, Input)>,
    later_number: u64,
    /// Hosts whose datagrams come out of a TCP connection.
    pub over_tcp: Vec<IpAddr>,
    /// Who waits for calls from phones, if any are taken.
    pub(super) waiting: Option<Waiting>,
    /// The trunks are at their limit.
    pub trunks_full: bool,
    /// How long answers of other tasks take.
    pub lag: Duration,
    out: Outbox,
    transmits: Vec<(SocketAddr, SocketAddr, Vec<u8>)>,
    /// Datagrams that belong to nobody.
    pub stray: u64,
    /// Names of what happened, for the world's log.
    pub log: Vec<String>,
}

fn identity() -> &'static Arc<DtlsIdentity> {
    static IDENTITY: OnceLock<Arc<DtlsIdentity>> = OnceLock::new();
    IDENTITY.get_or_init(|| Arc::new(DtlsIdentity::generate().unwrap()))
}

impl SimGateway {
    /// A gateway at this host.
    #[must_use]
    pub fn new(now: Instant, host: SocketAddr, seed: u64) -> Self {
        let mut chance = Chance::new(seed ^ 0x4741_5445);
        let public = SocketAddr::new(host.ip(), 20_000);
        let sip_address = SocketAddr::new(host.ip(), 5060);
        let config = EndpointConfig {
            advertised: sip_address,
            domain: "gw.example".into(),
            user_agent: "trunkline".into(),
            accepts_calls: false,
            timers: standard_timers(),
            max_transactions: 1000,
            trace: true,
            snapshots: None,
        };
        let candidate = format!("candidate:1 1 udp 2130706431 {} {} typ host", public.ip(), public.port());
        Self {
            public,
            sip_address,
            sip: Endpoint::new(config, chance.seed()),
            calls: BTreeMap::new(),
            ports: Ports::new(30_000, 100, Duration::from_secs(10)),
            by_leg: HashMap::new(),
            by_tuple: HashMap::new(),
            by_ufrag: HashMap::new(),
            names: HashMap::new(),
            transfers: HashMap::new(),
            dns: SimDns::default(),
            resolver: Resolver::new(Families::V4, [7; 32]),
            searches: HashMap::new(),
            health: TargetHealth::default(),
            trunks_down: HashSet::new(),
            surroundings: Surroundings {
                identity: Arc::clone(identity()),
                candidates: Arc::from([candidate]),
                wall: Duration::from_secs(1_800_000_000),
                wall_at: now,
                policy: Policy::default(),
            },
            chance,
            later: BTreeMap::new(),
            later_number: 0,
            over_tcp: Vec::new(),
            waiting: None,
            trunks_full: false,
            lag: Duration::from_micros(200),
            out: Outbox::new(),
            transmits: Vec::new(),
            stray: 0,
            log: Vec::new(),
        }
    }

    /// Takes a browser's offer and begins its call; the answer goes back to the browser.
    ///
    /// # Panics
    /// When the media plane refuses the offer.
    pub fn begin(&mut self, now: Instant, begin: Begin) -> (CallNo, Option<Opened>) {
        let Begin { offer, plan, prefer, limits } = begin;
        let no = CallNo(self.calls.len() as u64 + 1);
        let opened = offer.map(|offer| {
            let routes = plan.iter().filter_map(Planned::first_route);
            let rate = routes.flat_map(|route| &route.codecs).map(|codec| codec.playback_rate()).max();
            let open = OpenCall { playback_rate: rate.unwrap_or(8_000), ..self.open_call(no, offer, prefer, limits) };
            MediaCall::open(now, &open, &self.surroundings).unwrap()
        });
        let (media, opened) = opened.map_or((None, None), |(media, opened)| (Some(media), Some(opened)));
        let mut about = self.about(now, no, limits, Some(SessionId::from_client(&format!("ses_{}", no.0))), None);
        about.browser_codec = opened.as_ref().map_or(Codec::Opus, |opened| opened.codec);
        let has_media = media.is_some();
        let call = SimCall::new(Call::new(now, about, plan), media);
        self.calls.insert(no, call);
        self.learn_ufrags(no);
        self.input(now, no, Input::Start);
        if !has_media {
            let up = MediaEvent::DtlsConnected { profile: "none" };
            self.later(now, no, Input::Media(up));
        }
        (no, opened)
    }

    fn about(
        &mut self,
        now: Instant,
        no: CallNo,
        limits: Limits,
        session: Option<SessionId>,
        caller: Option<Caller>,
    ) -> About {
        About {
            call: CallId::from_client(&format!("call_{}", no.0)),
            session,
            caller,
            app: "sim".into(),
            profile: None,
            context: vec![("plan".into(), "gold".into())],
            metadata: None,
            has_form_values: false,
            headers: Vec::new(),
            browser_codec: Codec::Opus,
            advertise: None,
            sdp_session: self.chance.number() >> 2,
            keys: KeySource::new([8; 32]),
            limits,
            poor_after: Policy::default().poor_after,
            asked_profile: None,
            no_destination: None,
            ending_soon: None,
            hold: None,
            please_wait: None,
            call_failed: None,
            lang: "en".into(),
            question: None,
            // Any wall time will do; no decision hangs on it.
            wall: Now { instant: now, ..Clock::system().now() },
        }
    }

    /// The API asks for something.
    pub fn api(&mut self, now: Instant, no: CallNo, api: Api) {
        self.input(now, no, Input::Api(api));
    }

    /// Something happens to a call.
    pub fn input(&mut self, now: Instant, no: CallNo, input: Input) {
        let Some(call) = self.calls.get_mut(&no) else { return };
        call.call.handle(now, input);
        self.carry_out(now, no);
    }

    /// A new peer connection for a live call.
    ///
    /// # Panics
    /// When the call is over or the media plane refuses the offer.
    pub fn reattach(&mut self, now: Instant, no: CallNo, offer: Offer) -> Opened {
        let limits = self.calls[&no].call.about().limits;
        let open = self.open_call(no, offer, None, limits);
        let opened = self.media(now, no, |call, out| call.reattach(now, &open, out)).unwrap().unwrap();
        self.by_tuple.retain(|_, owner| *owner != no);
        self.learn_ufrags(no);
        self.api(now, no, Api::Reattached { codec: opened.codec });
        opened
    }

    /// New credentials for a live call.
    ///
    /// # Panics
    /// When the call is over.
    pub fn restart_ice(&mut self, now: Instant, no: CallNo, remote: IceCredentials) -> Restarted {
        let restarted = self.media(now, no, |call, _| call.restart_ice(now, remote)).unwrap();
        self.learn_ufrags(no);
        self.api(now, no, Api::Restarted);
        restarted
    }

    /// The network says that nothing gets to this address (ICMP).
    pub fn refused(&mut self, now: Instant, to: SocketAddr) {
        self.sip.handle_transport_error(now, to);
        self.drain_sip(now);
    }

    /// A call's counters now, or the last ones.
    #[must_use]
    pub fn stats(&self, now: Instant, no: CallNo) -> CallStats {
        let call = &self.calls[&no];
        call.media.as_ref().map_or_else(|| call.last_stats.clone(), |media| media.stats(now))
    }

    /// Counters of its SIP.
    #[must_use]
    pub fn sip_stats(&self) -> trunkline_signaling::endpoint::EndpointStats {
        self.sip.stats()
    }

    /// Whether nothing is held of any call any more.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        let stats = self.sip.stats();
        stats.legs == 0 && stats.transactions == 0 && self.ports.leased().is_empty() && self.by_leg.is_empty()
    }

    /// A datagram has arrived.
    pub fn handle_datagram(&mut self, now: Instant, from: SocketAddr, to: SocketAddr, mut bytes: Vec<u8>) {
        if to == self.sip_address {
            self.sip.handle_datagram(now, from, bytes.into());
            return self.drain_sip(now);
        }
        if to == self.public {
            let Some(no) = self.owner(from, &bytes) else { return self.stray += 1 };
            let path = if self.over_tcp.contains(&from.ip()) { Path::Tcp } else { Path::Udp };
            let proven = self.media(now, no, |call, out| call.handle_browser(now, path, from, &mut bytes, out));
            if proven == Some(true) {
                self.by_tuple.insert(from, no);
            }
            return;
        }
        let port = to.port() & !1;
        let owner = self.calls.iter().find(|(_, call)| call.lease == Some(port)).map(|(no, _)| *no);
        let Some(no) = owner else { return self.stray += 1 };
        let is_rtp = to.port() == port;
        self.media(now, no, |call, out| {
            if is_rtp {
                call.handle_trunk_rtp(now, from, &bytes, out);
            } else {
                call.handle_trunk_rtcp(now, from, &bytes, out);
            }
        });
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.sip.poll_timeout().is_some_and(|(at, _)| at <= now) {
            self.sip.handle_timeout(now);
        }
        self.drain_sip(now);
        if self.resolver.poll_timeout().is_some_and(|(at, _)| at <= now) {
            self.resolver.handle_timeout(now);
            self.drain_dns(now);
        }
        while let Some(entry) = self.later.first_entry().filter(|entry| entry.key().0 <= now) {
            let (no, input) = entry.remove();
            self.input(now, no, input);
        }
        let numbers: Vec<CallNo> = self.calls.keys().copied().collect();
        for no in numbers {
            let Some(call) = self.calls.get_mut(&no) else { continue };
            if call.call.poll_timeout().is_some_and(|(at, _)| at <= now) {
                call.call.handle_timeout(now);
                self.carry_out(now, no);
            }
            let Some(call) = self.calls.get_mut(&no) else { continue };
            if call.media.as_mut().and_then(MediaCall::poll_timeout).is_some_and(|(at, _)| at <= now) {
                self.media(now, no, |call, out| call.handle_timeout(now, out));
            }
        }
    }

    /// When something is due, and what.
    #[must_use]
    pub fn poll_timeout(&mut self) -> Option<(Instant, &'static str)> {
        let calls = self.calls.values_mut().flat_map(|call| {
            let media = call.media.as_mut().and_then(MediaCall::poll_timeout);
            call.call.poll_timeout().into_iter().chain(media)
        });
        let later = self.later.keys().next().map(|(at, _)| (*at, "another task"));
        calls.chain(later).chain(self.sip.poll_timeout()).chain(self.resolver.poll_timeout()).min_by_key(|(at, _)| *at)
    }

    /// What it sends: from, to, bytes.
    pub fn take_transmits(&mut self) -> Vec<(SocketAddr, SocketAddr, Vec<u8>)> {
        while let Some(transmit) = self.sip.poll_transmit() {
            self.transmits.push((self.sip_address, transmit.to, transmit.bytes.to_vec()));
        }
        std::mem::take(&mut self.transmits)
    }

    fn open_call(&mut self, no: CallNo, offer: Offer, prefer: Option<Codec>, limits: Limits) -> OpenCall {
        let codecs = vec![Codec::Opus, Codec::G722, Codec::Pcmu, Codec::Pcma];
        let (key, playback_rate) = (CallKey(no.0), Codec::Opus.playback_rate());
        OpenCall { key, offer, codecs, prefer, playback_rate, limits, seed: self.chance.seed() }
    }

    /// Whose datagram this is: by ufrag if it is a check, else by 5-tuple.
    fn owner(&self, from: SocketAddr, bytes: &[u8]) -> Option<CallNo> {
        let by_ufrag = match classify(bytes) {
            Kind::Stun => local_ufrag(bytes).and_then(|ufrag| self.by_ufrag.get(ufrag)),
            Kind::Dtls | Kind::Rtp | Kind::Rtcp | Kind::Unknown => None,
        };
        by_ufrag.or_else(|| self.by_tuple.get(&from)).copied()
    }

    fn learn_ufrags(&mut self, no: CallNo) {
        self.by_ufrag.retain(|_, owner| *owner != no);
        let media = self.calls.get(&no).and_then(|call| call.media.as_ref());
        for ufrag in media.into_iter().flat_map(MediaCall::ufrags) {
            self.by_ufrag.insert(ufrag.to_owned(), no);
        }
    }
}
