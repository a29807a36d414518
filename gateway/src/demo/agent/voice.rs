//! What the demo agent says and hears on one call: a greeting, then everything it hears, a second later. Sans-IO.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use trunkline_media::api::Digit;
use trunkline_media::audio::codec::{CodecError, Decoder, Encoder};
use trunkline_media::audio::dtmf::{DtmfReceiver, DtmfSender};
use trunkline_media::audio::prompt::{Player, Prompt};
use trunkline_media::rtp::receiver::Receiver;
use trunkline_media::rtp::sender::Sender;
use trunkline_media::rtp::{RtpPacket, Ssrc};
use trunkline_media::sdp::trunk::TrunkMedia;

/// How often a packet is sent.
pub(super) const FRAME: Duration = Duration::from_millis(20);
const RATE: u32 = 8000;
const FRAME_SAMPLES: usize = 160;
const ECHO_DELAY_SAMPLES: usize = 8000;
/// Two seconds: the delay and as much again for a sender whose clock runs fast.
const ECHO_LIMIT_SAMPLES: usize = 16_000;
const DIGIT: Duration = Duration::from_millis(100);

/// The agent's voice on one call.
pub(super) struct Voice {
    media: TrunkMedia,
    sender: Sender,
    receiver: Receiver,
    decoder: Decoder,
    encoder: Encoder,
    digits_in: DtmfReceiver,
    digits_out: DtmfSender,
    greeting: Option<Player>,
    echo: VecDeque<i16>,
    pcm: Vec<i16>,
    payload: Vec<u8>,
}

impl Voice {
    /// A voice for this media description; `random` names its stream.
    pub(super) fn new(media: TrunkMedia, greeting: Arc<Prompt>, random: [u8; 10]) -> Result<Self, CodecError> {
        let [a, b, c, d, e, f, g, h, i, j] = random;
        let clock = media.codec.clock_rate();
        let ssrc = Ssrc(u32::from_be_bytes([a, b, c, d]));
        Ok(Self {
            sender: Sender::new(ssrc, u16::from_be_bytes([e, f]), u32::from_be_bytes([g, h, i, j]), clock),
            receiver: Receiver::new(clock),
            decoder: Decoder::new(media.codec, RATE)?,
            encoder: Encoder::new(media.codec, RATE)?,
            digits_in: DtmfReceiver::new(clock),
            digits_out: DtmfSender::new(clock),
            greeting: Some(Player::new(greeting, RATE, false)),
            echo: std::iter::repeat_n(0, ECHO_DELAY_SAMPLES).collect(),
            pcm: Vec::new(),
            payload: Vec::new(),
            media,
        })
    }

    /// The description in use.
    #[must_use]
    pub(super) fn media(&self) -> &TrunkMedia {
        &self.media
    }

    /// The peer changed its address or direction (re-INVITE).
    pub(super) fn set_media(&mut self, media: TrunkMedia) {
        self.media = media;
    }

    /// Takes an RTP packet; a digit it completes is sent back and returned.
    pub(super) fn handle_rtp(&mut self, now: Instant, datagram: &[u8]) -> Option<Digit> {
        let packet = RtpPacket::parse(datagram)?;
        let is_event = self.media.telephone_event.is_some_and(|(event, _)| event == packet.payload_type);
        self.receiver.accept(now, &packet, !is_event).ok()?;
        if is_event {
            let (digit, _) = self.digits_in.push(now, packet.timestamp, packet.payload)?;
            self.digits_out.push(now, &[digit], DIGIT);
            return Some(digit);
        }
        if packet.payload_type == self.media.payload_type && self.decoder.decode(packet.payload, &mut self.pcm).is_ok()
        {
            self.echo.extend(&self.pcm);
            let surplus = self.echo.len().saturating_sub(ECHO_LIMIT_SAMPLES);
            self.echo.drain(..surplus);
        }
        None
    }

    /// Writes the packet that is due, every [`FRAME`].
    pub(super) fn tick(&mut self, now: Instant, datagram: &mut Vec<u8>) {
        datagram.clear();
        self.pcm.clear();
        let ready = self.echo.len().min(FRAME_SAMPLES);
        self.pcm.extend(self.echo.drain(..ready));
        self.pcm.resize(FRAME_SAMPLES, 0);
        if let Some(player) = &mut self.greeting
            && !player.fill(&mut self.pcm)
        {
            self.greeting = None;
        }
        if let (Some(event), Some((payload_type, _))) = (self.digits_out.poll(now), self.media.telephone_event) {
            self.sender.event(now, payload_type, event.marker, event.began, &event.payload).write(datagram);
        } else if !self.digits_out.is_sending() && self.encoder.encode(&self.pcm, &mut self.payload).is_ok() {
            let samples = self.media.codec.clock_rate() / 50;
            self.sender.next(now, self.media.payload_type, samples, &self.payload).write(datagram);
        }
    }
}
