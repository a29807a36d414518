//! The media half of a phone on a real socket: sends its tone as G.711, records what it hears, speaks RFC 4733.
//! The signalling half is somebody else's (SIPp), whose SDP names this socket.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;
use trunkline_media::api::Digit;
use trunkline_media::audio::Codec;
use trunkline_media::audio::codec::{Decoder, Encoder};
use trunkline_media::audio::dtmf::{DtmfReceiver, DtmfSender};
use trunkline_media::audio::tone::Tone;
use trunkline_media::rtp::sender::Sender;
use trunkline_media::rtp::{PayloadType, RtpPacket, Ssrc};

use crate::page::judge;

const RATE: u32 = 8000;
const FRAME: usize = 160;
/// The payload type the tests' SIP scenarios answer for telephone-event.
pub const TELEPHONE_EVENT: PayloadType = PayloadType(101);

/// A phone's media. Starts sending to whoever first sends to it.
pub struct MediaPhone {
    address: SocketAddr,
    heard: Arc<Mutex<Heard>>,
    task: JoinHandle<()>,
}

/// What the phone has heard so far.
#[derive(Default)]
struct Heard {
    pcm: Vec<i16>,
    digits: String,
    packets: u64,
    to_send: Vec<(Digit, Duration)>,
}

impl MediaPhone {
    /// A phone on a free even port that sends a tone of `hz` in `codec` (PCMU or PCMA).
    pub async fn start(codec: Codec, hz: f64) -> Result<Self> {
        Self::start_at(Ipv4Addr::LOCALHOST.into(), codec, hz).await
    }

    /// The same at this address of the machine.
    pub async fn start_at(host: IpAddr, codec: Codec, hz: f64) -> Result<Self> {
        let socket = even_port(host).await?;
        let address = socket.local_addr()?;
        let heard = Arc::new(Mutex::new(Heard::default()));
        let task = tokio::spawn(speak(socket, codec, hz, Arc::clone(&heard)));
        Ok(Self { address, heard, task })
    }

    /// A phone that sends back what it hears, packet by packet.
    pub async fn echo(codec: Codec) -> Result<Self> {
        Self::start(codec, 0.0).await
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The last `length` of what it heard, as PCM at 8000 Hz.
    #[must_use]
    pub fn heard(&self, length: Duration) -> Vec<i16> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let samples = usize::try_from(length.as_millis()).unwrap_or(0) * RATE as usize / 1000;
        heard.pcm[heard.pcm.len().saturating_sub(samples)..].to_vec()
    }

    /// Forgets what it heard so far.
    pub fn forget(&self) {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).pcm.clear();
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
        anyhow::bail!("the phone does not hear {tone} Hz: {last}")
    }

    /// Waits until no RTP has come for `length`.
    pub async fn falls_silent(&self, length: Duration) -> Result<()> {
        for _ in 0..40 {
            let before = self.packets();
            tokio::time::sleep(length).await;
            if self.packets() == before {
                return Ok(());
            }
        }
        anyhow::bail!("the phone still hears something")
    }

    /// Digits heard so far.
    #[must_use]
    pub fn digits(&self) -> String {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).digits.clone()
    }

    /// RTP packets heard so far.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).packets
    }

    /// Sends digits as telephone events.
    pub fn send_digits(&self, digits: &str) {
        let digits = digits.chars().filter_map(Digit::from_char).map(|d| (d, Duration::from_millis(100)));
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).to_send.extend(digits);
    }
}

impl Drop for MediaPhone {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn even_port(host: IpAddr) -> Result<UdpSocket> {
    loop {
        let socket = UdpSocket::bind((host, 0)).await?;
        if socket.local_addr()?.port().is_multiple_of(2) {
            return Ok(socket);
        }
    }
}

async fn speak(socket: UdpSocket, codec: Codec, hz: f64, heard: Arc<Mutex<Heard>>) {
    let payload_type = if codec == Codec::Pcmu { PayloadType(0) } else { PayloadType(8) };
    let (Ok(mut encoder), Ok(mut decoder)) = (Encoder::new(codec, RATE), Decoder::new(codec, RATE)) else { return };
    let mut sender = Sender::new(Ssrc(0x1234_5678), 7, 99, RATE);
    let mut digits_out = DtmfSender::new(RATE);
    let mut digits_in = DtmfReceiver::new(RATE);
    let mut tone = Tone::new(hz, RATE, -12.0);
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    let (mut buffer, mut pcm, mut payload, mut out) = (vec![0u8; 2048], Vec::new(), Vec::new(), Vec::new());
    let mut peer = None;
    loop {
        tokio::select! {
            received = socket.recv_from(&mut buffer) => {
                let Ok((length, from)) = received else { continue };
                peer = Some(from);
                let Some(packet) = RtpPacket::parse(&buffer[..length]) else { continue };
                let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
                heard.packets += 1;
                if packet.payload_type == TELEPHONE_EVENT {
                    if let Some((digit, _)) = digits_in.push(Instant::now(), packet.timestamp, packet.payload) {
                        heard.digits.push(digit.as_char());
                    }
                } else if packet.payload_type == payload_type && decoder.decode(packet.payload, &mut pcm).is_ok() {
                    heard.pcm.extend(&pcm);
                    if hz == 0.0 {
                        out.clear();
                        sender.next(Instant::now(), payload_type, 160, packet.payload).write(&mut out);
                        let _ = socket.try_send_to(&out, from);
                    }
                }
            }
            _ = tick.tick() => {
                let now = Instant::now();
                for (digit, duration) in std::mem::take(&mut heard.lock().unwrap_or_else(PoisonError::into_inner).to_send) {
                    digits_out.push(now, &[digit], duration);
                }
                let Some(peer) = peer else { continue };
                out.clear();
                let mut frame = vec![0i16; FRAME];
                tone.fill(&mut frame);
                if let Some(event) = digits_out.poll(now) {
                    sender.event(now, TELEPHONE_EVENT, event.marker, event.began, &event.payload).write(&mut out);
                } else if hz != 0.0 && !digits_out.is_sending() && encoder.encode(&frame, &mut payload).is_ok() {
                    sender.next(now, payload_type, 160, &payload).write(&mut out);
                }
                if !out.is_empty() {
                    // A phone whose peer is gone keeps talking.
                    let _ = socket.send_to(&out, peer).await;
                }
            }
        }
    }
}
