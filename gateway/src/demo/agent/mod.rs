//! The demo's agent: a SIP user agent of its own on another port, reached over real SIP and RTP.
//!
//! Who is called decides what happens: `busy` is busy, `reject` declines, `noanswer` rings for ever, everybody else
//! answers, greets, and echoes. `*` makes the agent hang up; other digits come back as digits.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use trunkline_media::api::RtpSource;
use trunkline_media::audio::Codec;
use trunkline_media::audio::prompt::Prompt;
use trunkline_media::sdp::trunk::{LocalMedia, TrunkMedia, answer_offer};
use trunkline_signaling::endpoint::{EndpointConfig, Event, LegId, Reason, Timers};
use trunkline_signaling::message::Uri;
use trunkline_signaling::transport::udp::{self, Handle};

use crate::ids::random_bits;

mod line;
mod voice;

use line::Line;

const RING: Duration = Duration::from_millis(800);
const MAX_CALLS: usize = 256;

/// An agent that takes calls until it is dropped.
pub struct Agent {
    /// Where it listens.
    pub address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

impl Agent {
    /// Starts the agent on this address (port 0: any), with this greeting.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub fn start(bind: SocketAddr, greeting: Arc<Prompt>) -> io::Result<Self> {
        let config = EndpointConfig {
            advertised: bind,
            domain: bind.ip().to_string(),
            user_agent: "Trunkline demo agent".into(),
            accepts_calls: true,
            timers: Timers { t1: Duration::from_millis(500), t2: Duration::from_secs(4), t4: Duration::from_secs(5) },
            max_transactions: 4 * MAX_CALLS,
            trace: false,
            snapshots: None,
        };
        let (sip, events, address) = udp::spawn(config, bind, random_bits())?;
        let desk = Desk { sip, greeting, address, lines: HashMap::new() };
        Ok(Self { address, task: tokio::spawn(desk.run(events)) })
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// All calls of the agent.
struct Desk {
    sip: Handle,
    greeting: Arc<Prompt>,
    address: SocketAddr,
    lines: HashMap<LegId, Seat>,
}

/// What the desk keeps of one call.
struct Seat {
    local: LocalMedia,
    /// New descriptions for the line; its end when dropped.
    media: mpsc::Sender<TrunkMedia>,
}

impl Desk {
    async fn run(mut self, mut events: mpsc::Receiver<Event>) {
        while let Some(event) = events.recv().await {
            match event {
                Event::Incoming { leg, uri, sdp, .. } => {
                    if let Err(status) = self.take(leg, &uri, sdp).await {
                        // The transport is gone, or the caller has given up: nobody is left to tell.
                        let _ = self.sip.call(move |sip, now| sip.reject(now, leg, status)).await;
                    }
                }
                Event::Offer { leg, sdp, .. } => {
                    let answer = self.renegotiate(leg, sdp);
                    let _ = self.sip.call(move |sip, now| sip.answer_offer(now, leg, answer)).await;
                }
                Event::Ended { leg, .. }
                | Event::Lost { leg, .. }
                | Event::SessionExpired { leg, .. }
                | Event::Cancelled { leg, .. } => {
                    self.lines.remove(&leg);
                }
                Event::Trying { .. }
                | Event::Provisional { .. }
                | Event::Answered { .. }
                | Event::Failed { .. }
                | Event::OfferAnswered { .. }
                | Event::Confirmed { .. }
                | Event::Pinged { .. }
                | Event::Replied { .. }
                | Event::Digit { .. }
                | Event::DigitsSent { .. }
                | Event::DigitsRefused { .. }
                | Event::Snapshot { .. }
                | Event::Transfer { .. }
                | Event::Traced { .. } => {}
            }
        }
    }

    /// Takes a call, or says with which status it is refused.
    async fn take(&mut self, leg: LegId, uri: &Uri, sdp: Option<Bytes>) -> Result<(), u16> {
        let user = match uri {
            Uri::Sip(uri) => uri.user.clone().unwrap_or_default(),
            Uri::Tel(_) | Uri::Other(_) => Bytes::new(),
        };
        match user.as_ref() {
            b"busy" => return Err(486),
            b"reject" => return Err(603),
            _ if self.lines.len() >= MAX_CALLS => return Err(503),
            _ => {}
        }
        let ring = move |sip: &mut trunkline_signaling::endpoint::Endpoint, now| sip.ring(now, leg, 180, None);
        let _ = self.sip.call(ring).await;
        if user.as_ref() == b"noanswer" {
            return Ok(());
        }
        let line = Line::bind(self.address.ip()).await.map_err(|_| 503_u16)?;
        let session_id = u64::from_be_bytes(random_bits()) >> 1;
        let local = LocalMedia {
            address: line.address,
            codecs: vec![Codec::Pcmu, Codec::Pcma],
            session_id,
            version: 1,
            holding: false,
            encryption: None,
        };
        let (media, answer) = answer_offer(&local, &sdp.ok_or(488_u16)?, RtpSource::Latch).map_err(|_| 488_u16)?;
        let (sender, changes) = mpsc::channel(8);
        self.lines.insert(leg, Seat { local, media: sender });
        let (sip, greeting) = (self.sip.clone(), Arc::clone(&self.greeting));
        tokio::spawn(async move {
            tokio::time::sleep(RING).await;
            let accept = sip.call(move |sip, now| sip.accept(now, leg, answer.into())).await;
            if matches!(accept, Ok(Ok(()))) && line.talk(media, greeting, changes).await {
                let reason = Reason { protocol: "Q.850".into(), cause: 16, text: None };
                let _ = sip.call(move |sip, now| sip.hangup(now, leg, Some(reason))).await;
            }
        });
        Ok(())
    }

    fn renegotiate(&mut self, leg: LegId, sdp: Option<Bytes>) -> Result<Bytes, u16> {
        let seat = self.lines.get_mut(&leg).ok_or(481_u16)?;
        seat.local.version += 1;
        let (media, answer) = answer_offer(&seat.local, &sdp.ok_or(488_u16)?, RtpSource::Latch).map_err(|_| 488_u16)?;
        // overflow: refused; a peer that renegotiates eight times within a frame gets 500.
        seat.media.try_send(media).map_err(|_| 500_u16)?;
        Ok(answer.into())
    }
}
