//! A browser without a browser: another project's WebRTC stack on a real socket, for tests where starting Chromium
//! would only take time.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::format::{Codec as StrCodec, FormatParams};
use str0m::media::{Direction, Frequency, MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::RtpWrite;
use str0m::{Candidate, Event, Input, Output, Rtc};
use tokio::net::UdpSocket;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use trunkline_media::audio::Codec;
use trunkline_media::audio::codec::{Decoder, Encoder};
use trunkline_media::audio::tone::Tone;

use crate::gateway::{Gateway, Session};
use crate::page::judge;

const RATE: u32 = 8000;
const FRAME: u32 = 160;

/// A visitor in a call. Goes away without a word when dropped.
pub struct WebClient {
    /// Where its media comes from.
    pub address: SocketAddr,
    /// The session it used.
    pub session: Session,
    /// The call.
    pub call: String,
    /// Entity tag of the call's ICE session, quoted.
    pub etag: String,
    /// What it offered.
    pub offer: String,
    heard: Arc<Mutex<Vec<i16>>>,
    task: JoinHandle<Result<()>>,
}

/// A visitor with an offer, before it is sent.
pub struct Caller {
    rtc: Rtc,
    mid: Mid,
    pending: SdpPendingOffer,
    socket: UdpSocket,
    codec: Codec,
    /// The offer.
    pub offer: String,
}

impl Caller {
    /// Offers one codec (PCMU or PCMA).
    pub async fn new(codec: Codec) -> Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0").await?;
        let mut config = Rtc::builder().set_rtp_mode(true).clear_codecs();
        let (payload_type, name) = match codec {
            Codec::Pcma => (8, StrCodec::PCMA),
            Codec::Pcmu | Codec::G722 | Codec::Opus => (0, StrCodec::PCMU),
        };
        config.codec_config().add_config(
            payload_type.into(),
            None,
            name,
            Frequency::EIGHT_KHZ,
            None,
            FormatParams::default(),
        );
        let mut rtc = config.build(Instant::now());
        rtc.add_local_candidate(Candidate::host(socket.local_addr()?, "udp")?);
        let mut change = rtc.sdp_api();
        let mid = change.add_media(MediaKind::Audio, Direction::SendRecv, None, None, None);
        let (offer, pending) = change.apply().context("no offer")?;
        Ok(Self { rtc, mid, pending, socket, codec, offer: offer.to_sdp_string() })
    }

    /// Takes the gateway's answer and starts to speak with a tone of `hz`.
    pub async fn answered(self, session: Session, response: reqwest::Response, hz: f64) -> Result<WebClient> {
        let status = response.status();
        let header =
            |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        let (location, etag) = (header("location"), header("etag"));
        let answer = response.text().await?;
        ensure!(status == 201, "{status} {answer}");
        let call = location.rsplit('/').next().unwrap_or_default().to_owned();
        let answer = SdpAnswer::from_sdp_string(&answer)?;
        let mut rtc = self.rtc;
        rtc.sdp_api().accept_answer(self.pending, answer)?;
        let heard = Arc::new(Mutex::new(Vec::new()));
        let address = self.socket.local_addr()?;
        let (ready, connected) = oneshot::channel();
        let media = Media { rtc, mid: self.mid, socket: self.socket, address, codec: self.codec, heard: heard.clone() };
        let task = tokio::spawn(media.run(hz, ready));
        tokio::time::timeout(Duration::from_secs(15), connected).await.context("never connected")??;
        Ok(WebClient { address, session, call, etag, offer: self.offer, heard, task })
    }
}

impl WebClient {
    /// Opens a session and calls; returns when the media path is up.
    pub async fn call(gateway: &Gateway, codec: Codec, hz: f64) -> Result<Self> {
        let caller = Caller::new(codec).await?;
        let session = gateway.session().await?;
        let response = gateway.offer(&session, &caller.offer).await?;
        caller.answered(session, response, hz).await
    }

    /// The last `length` of what it heard, as PCM at 8000 Hz.
    #[must_use]
    pub fn heard(&self, length: Duration) -> Vec<i16> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let samples = usize::try_from(length.as_millis()).unwrap_or(0) * RATE as usize / 1000;
        heard[heard.len().saturating_sub(samples)..].to_vec()
    }

    /// Forgets what it heard so far.
    pub fn forget(&self) {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Waits until it hears exactly this tone and nothing of the other.
    pub async fn hears(&self, tone: f64, not: f64) -> Result<()> {
        let mut last = String::new();
        for _ in 0..400 {
            match judge(&self.heard(Duration::from_millis(400)), RATE, tone, not) {
                Ok(()) => return Ok(()),
                Err(why) => last = why,
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        anyhow::bail!("the visitor does not hear {tone} Hz: {last}")
    }
}

impl Drop for WebClient {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Media {
    rtc: Rtc,
    mid: Mid,
    socket: UdpSocket,
    address: SocketAddr,
    codec: Codec,
    heard: Arc<Mutex<Vec<i16>>>,
}

impl Media {
    async fn run(mut self, hz: f64, ready: oneshot::Sender<()>) -> Result<()> {
        let mut ready = Some(ready);
        let payload_type = if self.codec == Codec::Pcma { 8 } else { 0 };
        let (mut encoder, mut decoder) = (Encoder::new(self.codec, RATE)?, Decoder::new(self.codec, RATE)?);
        let mut tone = Tone::new(hz, RATE, -12.0);
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        let (mut sequence, mut timestamp) = (1u64, 0u32);
        let (mut buffer, mut pcm, mut payload) = (vec![0u8; 2048], Vec::new(), Vec::new());
        loop {
            let wait = loop {
                match self.rtc.poll_output()? {
                    Output::Timeout(at) => break at,
                    Output::Transmit(out) => {
                        // A gateway that is gone is what the caller of this finds out.
                        let _ = self.socket.send_to(&out.contents, out.destination).await;
                    }
                    Output::Event(Event::Connected) => {
                        let _ = ready.take().map(|ready| ready.send(()));
                    }
                    Output::Event(Event::RtpPacket(packet)) if *packet.header.payload_type == payload_type => {
                        if decoder.decode(&packet.payload, &mut pcm).is_ok() {
                            self.heard.lock().unwrap_or_else(PoisonError::into_inner).extend(&pcm);
                        }
                    }
                    Output::Event(_) => {}
                }
            };
            tokio::select! {
                received = self.socket.recv_from(&mut buffer) => {
                    if let Ok((length, from)) = received
                        && let Ok(receive) = Receive::new(Protocol::Udp, from, self.address, &buffer[..length])
                    {
                        self.rtc.handle_input(Input::Receive(Instant::now(), receive))?;
                    }
                }
                () = tokio::time::sleep_until(wait.into()) => self.rtc.handle_input(Input::Timeout(Instant::now()))?,
                _ = tick.tick() => {
                    if ready.is_none() {
                        encoder.encode(&tone.take(FRAME as usize), &mut payload)?;
                        let now = Instant::now();
                        if let Some(stream) = self.rtc.direct_api().stream_tx_by_mid(self.mid, None) {
                            stream.write_rtp(RtpWrite::new(payload_type.into(), sequence.into(), timestamp, now, payload.clone()));
                        }
                        (sequence, timestamp) = (sequence + 1, timestamp.wrapping_add(FRAME));
                        self.rtc.handle_input(Input::Timeout(now))?;
                    }
                }
            }
        }
    }
}
