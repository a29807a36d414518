//! The contact centre: a SIP user agent that answers every call at once, and its calls' RTP.
#![allow(clippy::disallowed_methods)] // The edge: the clock is read here.

use std::collections::{BTreeMap, HashMap};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::Bytes;
use mio::Waker;
use trunkline_media::api::RtpSource;
use trunkline_media::audio::Codec;
use trunkline_media::sdp::trunk::{LocalMedia, answer_offer};
use trunkline_signaling::endpoint::{Endpoint, EndpointConfig, Event, LegId, Timers};
use trunkline_signaling::message::{HeaderName, Headers};

use crate::control::{Control, Side};
use crate::lines::{Line, Lines};
use crate::reactor::{Phase, Reactor};
use crate::stream::{Content, Format, Heard, Voice};
use crate::sys::Inbox;

/// The SIP socket's token and the endpoint's deadline; calls have the tokens from 0.
const SIP: usize = 1 << 32;

/// How the gateway passes a session's `party` on.
const PARTY_HEADER: &str = "X-C2C-party";

/// What an agent is made of.
pub(crate) struct AgentParts {
    pub(crate) control: Arc<Control>,
    /// How many calls there will be.
    pub(crate) calls: usize,
    pub(crate) epoch: Instant,
    /// Where its SIP socket is, and its RTP sockets beside it.
    pub(crate) listen: SocketAddr,
    pub(crate) codec: Codec,
    /// What it says in a call.
    pub(crate) says: Says,
}

/// What is said in the call of this number.
pub(crate) type Says = Arc<dyn Fn(u32) -> Content + Send + Sync>;

/// What the agent brings home.
pub(crate) struct Report {
    pub(crate) heard: Heard,
    /// Packets sent, by call.
    pub(crate) sent: BTreeMap<u32, u32>,
    /// Calls that were offered and could not be answered, and why.
    pub(crate) failures: Vec<String>,
}

/// The running thread.
pub(crate) struct Agent {
    /// Where INVITEs go.
    pub(crate) address: SocketAddr,
    waker: Arc<Waker>,
    thread: JoinHandle<Result<Report>>,
}

impl Agent {
    pub(crate) fn start(parts: AgentParts) -> Result<Self> {
        let sip = UdpSocket::bind(parts.listen)?;
        sip.set_nonblocking(true)?;
        let address = sip.local_addr()?;
        let reactor = Reactor::new()?;
        reactor.watch(&sip, SIP)?;
        let waker = reactor.waker();
        let config = EndpointConfig {
            advertised: address,
            domain: address.ip().to_string(),
            user_agent: "trunkline-loadtest".into(),
            accepts_calls: true,
            timers: Timers { t1: Duration::from_millis(500), t2: Duration::from_secs(4), t4: Duration::from_secs(5) },
            max_transactions: parts.calls * 4 + 100,
            trace: false,
            snapshots: None,
        };
        let desk = Desk {
            endpoint: Endpoint::new(config, rand::random()),
            sip,
            reactor,
            lines: Lines::new(Side::Agent, Arc::clone(&parts.control)),
            parties: HashMap::new(),
            failures: Vec::new(),
            parts,
        };
        let thread = std::thread::Builder::new().name("agent".into()).spawn(move || desk.run())?;
        Ok(Self { address, waker, thread })
    }

    /// Waits for the thread; [`Control::end`] comes first.
    pub(crate) fn join(self) -> Result<Report> {
        let _ = self.waker.wake();
        self.thread.join().ok().context("the agent thread panicked")?
    }
}

/// Any free port of this machine alone.
pub(crate) fn anywhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

struct Desk {
    endpoint: Endpoint,
    sip: UdpSocket,
    reactor: Reactor,
    lines: Lines,
    parties: HashMap<LegId, u32>,
    failures: Vec<String>,
    parts: AgentParts,
}

impl Desk {
    fn run(mut self) -> Result<Report> {
        let mut ready = Vec::new();
        let mut inbox = Inbox::new(64);
        while !self.parts.control.is_over() {
            self.reactor.wait(&mut ready)?;
            let now = Instant::now();
            for token in ready.drain(..) {
                match u32::try_from(token) {
                    Ok(party) => self.lines.read(party),
                    Err(_) => self.read_sip(now, &mut inbox)?,
                }
            }
            while let Some(who) = self.reactor.pop_due(now) {
                match u32::try_from(who) {
                    Ok(party) => self.lines.tick(&mut self.reactor, now, party),
                    Err(_) => self.endpoint.handle_timeout(now),
                }
            }
            self.drain(now)?;
        }
        let (heard, sent) = self.lines.finish();
        Ok(Report { heard, sent, failures: self.failures })
    }

    fn read_sip(&mut self, now: Instant, inbox: &mut Inbox) -> Result<()> {
        loop {
            let count = inbox.receive(&self.sip)?;
            for nth in 0..count {
                if let Some(arrived) = inbox.datagram(nth) {
                    self.endpoint.handle_datagram(now, arrived.from, Bytes::copy_from_slice(arrived.bytes));
                }
            }
            if count < inbox.slots() {
                return Ok(());
            }
        }
    }

    fn drain(&mut self, now: Instant) -> Result<()> {
        while let Some(event) = self.endpoint.poll_event() {
            match event {
                Event::Incoming { leg, headers, sdp, .. } => {
                    if let Err(error) = self.answer(now, leg, &headers, sdp.as_deref()) {
                        self.failures.push(format!("{error:#}"));
                        let _ = self.endpoint.reject(now, leg, 488);
                    }
                }
                Event::Confirmed { leg, .. } => {
                    if let Some(party) = self.parties.get(&leg) {
                        self.lines.speak(&mut self.reactor, now, *party);
                    }
                }
                Event::Ended { leg, .. }
                | Event::Lost { leg, .. }
                | Event::SessionExpired { leg, .. }
                | Event::Cancelled { leg, .. } => {
                    if let Some(party) = self.parties.remove(&leg) {
                        self.lines.remove(party);
                    }
                }
                Event::Offer { leg, .. } => drop(self.endpoint.answer_offer(now, leg, Err(488))),
                Event::Trying { .. }
                | Event::Provisional { .. }
                | Event::Answered { .. }
                | Event::Failed { .. }
                | Event::OfferAnswered { .. }
                | Event::Transfer { .. }
                | Event::Pinged { .. }
                | Event::Replied { .. }
                | Event::Digit { .. }
                | Event::DigitsSent { .. }
                | Event::DigitsRefused { .. }
                | Event::Snapshot { .. }
                | Event::Traced { .. } => {}
            }
        }
        while let Some(transmit) = self.endpoint.poll_transmit() {
            self.sip.send_to(&transmit.bytes, transmit.to)?;
        }
        if let Some((at, _)) = self.endpoint.poll_timeout() {
            self.reactor.set(SIP, at);
        }
        Ok(())
    }

    fn answer(&mut self, now: Instant, leg: LegId, headers: &Headers, offer: Option<&[u8]>) -> Result<()> {
        let party = party_of(headers).context("an INVITE without its number")?;
        let socket = Line::socket_at(self.parts.listen.ip())?;
        let local = LocalMedia {
            address: socket.local_addr()?,
            codecs: vec![self.parts.codec],
            session_id: u64::from(party) + 1,
            version: 1,
            holding: false,
            encryption: None,
        };
        let offer = offer.context("an INVITE without an offer")?;
        let (media, sdp) = answer_offer(&local, offer, RtpSource::Signalled)?;
        self.endpoint.accept(now, leg, sdp.into_bytes().into())?;
        let ticks = media.codec.clock_rate() / 50;
        let format = Format { payload_type: media.payload_type.0, ticks };
        let content = (self.parts.says)(party);
        let line = Line {
            socket,
            remote: media.remote,
            voice: Voice::new(party, content, format),
            phase: Phase::new(self.parts.epoch, party as usize, self.parts.calls, true),
            speaks_at: None,
            digits: media.telephone_event.map(|(number, _)| number.0),
        };
        self.parties.insert(leg, party);
        self.lines.add(&mut self.reactor, party, line)
    }
}

fn party_of(headers: &Headers) -> Option<u32> {
    let value = headers.get(&HeaderName::other(PARTY_HEADER))?;
    std::str::from_utf8(value).ok()?.trim().parse().ok()
}
