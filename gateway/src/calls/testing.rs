//! Stand-ins for the two protocol sides.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::sync::mpsc;
use trunkline_media::api::{CallKey, Command, OpenCall, OpenError, Opened, Restarted};
use trunkline_media::audio::Codec;
use trunkline_media::sdp::browser::IceCredentials;
use trunkline_media::worker::LeaseError;
use trunkline_signaling::auth::Credentials;
use trunkline_signaling::endpoint::{
    EndpointConfig, Event, LegId, LegSnapshot, Reason as ReasonHeader, Refer, Timers, TransferOrder,
};
use trunkline_signaling::message::{Replaces, Uri};
use trunkline_signaling::transport::udp::{self, Handle};

use super::store::{IceSession, Live};
use super::{Calls, MediaPort, Placed, SipPort, inbox};
use crate::call::{Call, InviteOrder, NotSent};
use crate::clock::Clock;
use crate::prompts::Prompts;
use crate::settings::Settings;
use crate::store::Store;

/// Says yes to everything and remembers what it was asked.
#[derive(Default)]
pub(crate) struct FakeMedia {
    pub(crate) opened: Mutex<Vec<CallKey>>,
    /// How wide a sound each browser was to be asked for, Hz.
    pub(crate) playback_rates: Mutex<Vec<u32>>,
    pub(crate) commands: Mutex<Vec<(CallKey, Command)>>,
}

fn opened() -> Opened {
    Opened { answer: "v=0\r\n".into(), ice_session: "tag".into(), codec: Codec::Opus }
}

impl MediaPort for FakeMedia {
    fn open(&self, open: OpenCall) -> BoxFuture<'static, Result<Opened, OpenError>> {
        self.opened.lock().unwrap().push(open.key);
        self.playback_rates.lock().unwrap().push(open.playback_rate);
        Box::pin(async { Ok(opened()) })
    }

    fn reattach(&self, open: OpenCall) -> BoxFuture<'static, Result<Opened, OpenError>> {
        self.playback_rates.lock().unwrap().push(open.playback_rate);
        Box::pin(async { Ok(Opened { ice_session: "tag2".into(), ..opened() }) })
    }

    fn restart_ice(&self, _: CallKey, local: IceCredentials) -> BoxFuture<'static, Result<Restarted, OpenError>> {
        Box::pin(async { Ok(Restarted { local, candidates: Vec::new(), ice_session: "tag3".into() }) })
    }

    fn lease_trunk(&self, _: CallKey) -> BoxFuture<'static, Result<SocketAddr, LeaseError>> {
        Box::pin(async { Ok(([127, 0, 0, 1], 30_000).into()) })
    }

    fn lease_spare(&self, _: CallKey) -> BoxFuture<'static, Result<SocketAddr, LeaseError>> {
        Box::pin(async { Ok(([127, 0, 0, 1], 30_002).into()) })
    }

    fn command(&self, key: CallKey, command: Command) -> bool {
        self.commands.lock().unwrap().push((key, command));
        true
    }
}

/// Takes every INVITE; legs count from 1.
#[derive(Default)]
pub(crate) struct FakeSip {
    pub(crate) invites: Mutex<Vec<InviteOrder>>,
    pub(crate) hangups: Mutex<Vec<(LegId, ReasonHeader)>>,
    /// What became of the INVITEs of trunks: 180, 200, or what refused them.
    pub(crate) answers: Mutex<Vec<(LegId, u16, Option<Bytes>)>>,
    pub(crate) orders: Mutex<Vec<(LegId, TransferOrder)>>,
    pub(crate) lost: Mutex<Vec<(LegSnapshot, Option<Credentials>, ReasonHeader)>>,
}

impl SipPort for FakeSip {
    fn invite(&self, order: InviteOrder) -> BoxFuture<'static, Result<Placed, NotSent>> {
        let mut invites = self.invites.lock().unwrap();
        invites.push(order);
        let leg = LegId(invites.len() as u64);
        Box::pin(async move { Ok(Placed { leg, call_id: Some(format!("call-{}", leg.0)) }) })
    }

    fn hangup(&self, leg: LegId, reason: ReasonHeader) {
        self.hangups.lock().unwrap().push((leg, reason));
    }

    fn answer_offer(&self, _: LegId, _: Result<Bytes, u16>) {}

    fn ring(&self, leg: LegId) {
        self.answers.lock().unwrap().push((leg, 180, None));
    }

    fn accept(&self, leg: LegId, sdp: Bytes) {
        self.answers.lock().unwrap().push((leg, 200, Some(sdp)));
    }

    fn refuse(&self, leg: LegId, status: u16, _: Option<ReasonHeader>) {
        self.answers.lock().unwrap().push((leg, status, None));
    }

    fn transfer(&self, leg: LegId, order: TransferOrder) -> BoxFuture<'static, bool> {
        self.orders.lock().unwrap().push((leg, order));
        Box::pin(async { true })
    }

    fn replaceable(&self, leg: LegId) -> BoxFuture<'static, Option<Refer>> {
        let to = Uri::parse(&Bytes::from(format!("sip:agent-{}@192.0.2.9", leg.0))).unwrap();
        let replaces = Replaces::parse(&Bytes::from(format!("call-{};to-tag=b;from-tag=a", leg.0)));
        Box::pin(async move { Some(Refer { to, replaces }) })
    }

    fn snapshot_kept(&self, _: LegId, _: u64) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }

    fn end_lost_leg(
        &self,
        leg: LegSnapshot,
        credentials: Option<Credentials>,
        reason: ReasonHeader,
    ) -> BoxFuture<'static, bool> {
        self.lost.lock().unwrap().push((leg, credentials, reason));
        Box::pin(async { true })
    }

    fn offer(&self, _: LegId, _: Bytes) -> BoxFuture<'static, bool> {
        Box::pin(async { true })
    }
}

/// A real endpoint on a real socket.
pub(crate) struct RealSip(pub(crate) Handle);

impl SipPort for RealSip {
    fn invite(&self, order: InviteOrder) -> BoxFuture<'static, Result<Placed, NotSent>> {
        let handle = self.0.clone();
        Box::pin(async move {
            let invite = crate::sip::invite(order)?;
            let placed = handle.call(move |endpoint, now| {
                let leg = endpoint.invite(now, invite).map_err(|_| NotSent::Full)?;
                let call_id = endpoint.call_id(leg).map(|id| String::from_utf8_lossy(&id).into_owned());
                Ok(Placed { leg, call_id })
            });
            placed.await.unwrap_or(Err(NotSent::Gone))
        })
    }

    fn hangup(&self, leg: LegId, reason: ReasonHeader) {
        let handle = self.0.clone();
        tokio::spawn(async move { handle.call(move |endpoint, now| endpoint.hangup(now, leg, Some(reason))).await });
    }

    fn answer_offer(&self, leg: LegId, answer: Result<Bytes, u16>) {
        let handle = self.0.clone();
        tokio::spawn(async move { handle.call(move |endpoint, now| endpoint.answer_offer(now, leg, answer)).await });
    }

    fn ring(&self, leg: LegId) {
        let handle = self.0.clone();
        tokio::spawn(async move { handle.call(move |endpoint, now| endpoint.ring(now, leg, 180, None)).await });
    }

    fn accept(&self, leg: LegId, sdp: Bytes) {
        let handle = self.0.clone();
        tokio::spawn(async move { handle.call(move |endpoint, now| endpoint.accept(now, leg, sdp)).await });
    }

    fn refuse(&self, leg: LegId, status: u16, reason: Option<ReasonHeader>) {
        let (handle, fields) = (self.0.clone(), crate::sip::refusal(status, reason));
        tokio::spawn(
            async move { handle.call(move |endpoint, now| endpoint.reject_with(now, leg, status, &fields)).await },
        );
    }

    fn transfer(&self, leg: LegId, order: TransferOrder) -> BoxFuture<'static, bool> {
        let handle = self.0.clone();
        Box::pin(async move {
            handle.call(move |endpoint, now| endpoint.transfer(now, leg, order)).await.is_ok_and(|done| done.is_ok())
        })
    }

    fn replaceable(&self, leg: LegId) -> BoxFuture<'static, Option<Refer>> {
        let handle = self.0.clone();
        Box::pin(async move { handle.call(move |endpoint, _| endpoint.replaceable(leg)).await.ok().flatten() })
    }

    fn snapshot_kept(&self, _: LegId, _: u64) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }

    fn end_lost_leg(&self, _: LegSnapshot, _: Option<Credentials>, _: ReasonHeader) -> BoxFuture<'static, bool> {
        Box::pin(async { false })
    }

    fn offer(&self, leg: LegId, sdp: Bytes) -> BoxFuture<'static, bool> {
        let handle = self.0.clone();
        Box::pin(async move {
            handle.call(move |endpoint, now| endpoint.reinvite(now, leg, sdp)).await.is_ok_and(|r| r.is_ok())
        })
    }
}

/// A SIP side on loopback: how to reach it, what it says, where it is.
pub(crate) fn sip_socket(accepts_calls: bool) -> (Handle, mpsc::Receiver<Event>, SocketAddr) {
    let bind = "127.0.0.1:0".parse().unwrap();
    let ms = std::time::Duration::from_millis;
    let config = EndpointConfig {
        advertised: bind,
        domain: "127.0.0.1".into(),
        user_agent: "test".into(),
        accepts_calls,
        timers: Timers { t1: ms(500), t2: ms(4_000), t4: ms(5_000) },
        max_transactions: 100,
        trace: !accepts_calls,
        snapshots: None,
    };
    udp::spawn(config, bind, [7; 32]).unwrap()
}

impl Calls {
    /// With a store that goes with them.
    pub(crate) fn new(
        settings: Settings,
        media: Arc<dyn MediaPort>,
        sip: Arc<dyn SipPort>,
        prompts: Prompts,
        clock: Clock,
    ) -> Self {
        let store = Store::temporary(&clock).unwrap();
        Self::with_store(settings, media, sip, prompts, clock, store)
    }
}

/// A call that nobody drives.
pub(super) fn lonely_call() -> Live {
    let clock = Clock::system().now();
    let call = Call::new(clock.instant, crate::call::tests::about(clock.instant), Vec::new());
    let ice = IceSession { tag: "tag".into(), remote_ufrag: "ufrag".into() };
    let edition = Settings::new(crate::testing::config()).edition();
    Live::new(CallKey(1), clock.wall, inbox::inbox(Arc::default()).0, ice, call, edition)
}

/// The calls of a configuration, with nothing behind them.
pub(crate) fn calls(settings: &Settings) -> Calls {
    let (media, sip) = (Arc::new(FakeMedia::default()), Arc::new(FakeSip::default()));
    Calls::new(settings.clone(), media, sip, Prompts::none(), Clock::system())
}

/// The browser's user fragment in [`OFFER`].
pub(crate) const UFRAG: &str = "abcd";

/// A browser's offer.
pub(crate) const OFFER: &[u8] = b"v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
m=audio 9 UDP/TLS/RTP/SAVPF 111 0\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n\
a=fingerprint:sha-256 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F\r\n\
a=setup:actpass\r\na=mid:0\r\na=sendrecv\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\na=rtpmap:0 PCMU/8000\r\n";

/// A trunk's answer.
pub(crate) const ANSWER: &[u8] = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
m=audio 4000 RTP/AVP 0\r\na=sendrecv\r\n";
