//! The browser: another project's WebRTC stack, told the time, with a voice.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::format::{Codec as StrCodec, FormatParams};
use str0m::media::{Direction, Frequency, MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::RtpWrite;
use str0m::{Candidate, Event, Input, Output, Rtc};

use super::phone::{Packet, Source, once, tone, voice_rate};
use crate::audio::Codec;
use crate::audio::codec::Encoder;
use crate::audio::sweep::Sweep;
use crate::rtp::{PayloadType, red};
use crate::sdp::browser::{IceCredentials, Offer};

const OPUS: u8 = 111;
/// Redundant Opus.
pub(super) const RED: u8 = 63;

pub(crate) struct Browser {
    rtc: Rtc,
    mid: Mid,
    pending: Option<SdpPendingOffer>,
    /// The address it thinks it has.
    pub(crate) address: SocketAddr,
    sequence: u64,
    timestamp: u32,
    voice: Option<Voice>,
    /// Each packet says the one before it once more, which is this.
    pub(crate) redundant: Option<Vec<u8>>,
    pub(crate) heard: Vec<Packet>,
}

struct Voice {
    codec: Codec,
    encoder: Encoder,
    rate: u32,
    source: Source,
    next: Instant,
}

impl Browser {
    /// A browser that offers these codecs, and its offer.
    pub(crate) fn new(now: Instant, address: SocketAddr, codecs: &[Codec]) -> (Self, Offer) {
        let mut config = Rtc::builder()
            .set_crypto_provider(Arc::new(str0m::crypto::from_feature_flags()))
            .set_rtp_mode(true)
            .clear_codecs();
        for codec in codecs {
            let fec = FormatParams { use_inband_fec: Some(true), min_p_time: Some(10), ..FormatParams::default() };
            let (name, clock, channels, format) = match codec {
                Codec::Opus => (StrCodec::Opus, Frequency::FORTY_EIGHT_KHZ, Some(2), fec),
                Codec::Pcmu => (StrCodec::PCMU, Frequency::EIGHT_KHZ, None, FormatParams::default()),
                Codec::G722 => (StrCodec::G722, Frequency::EIGHT_KHZ, None, FormatParams::default()),
                Codec::Pcma => (StrCodec::PCMA, Frequency::EIGHT_KHZ, None, FormatParams::default()),
            };
            config.codec_config().add_config(payload_type(*codec).into(), None, name, clock, channels, format);
        }
        if codecs.contains(&Codec::Opus) {
            // It knows no redundancy, and hands over as an Opus of one channel what comes as that.
            let format = FormatParams { use_inband_fec: Some(true), min_p_time: Some(10), ..FormatParams::default() };
            let clock = Frequency::FORTY_EIGHT_KHZ;
            config.codec_config().add_config(RED.into(), None, StrCodec::Opus, clock, None, format);
        }
        for (pt, clock) in [(110, Frequency::FORTY_EIGHT_KHZ), (126, Frequency::EIGHT_KHZ)] {
            let format = FormatParams::default();
            config.codec_config().add_config(pt.into(), None, StrCodec::Tele, clock, None, format);
        }
        let mut rtc = config.build(now);
        rtc.add_local_candidate(Candidate::host(address, "udp").unwrap());
        let mut change = rtc.sdp_api();
        let mid = change.add_media(MediaKind::Audio, Direction::SendRecv, None, None, None);
        let (offer, pending) = change.apply().unwrap();
        let parsed = Offer::parse(offer.to_sdp_string().as_bytes()).unwrap();
        let browser = Self {
            rtc,
            mid,
            pending: Some(pending),
            address,
            sequence: 1000,
            timestamp: 4_000_000_000,
            voice: None,
            redundant: None,
            heard: Vec::new(),
        };
        (browser, parsed)
    }

    pub(crate) fn accept(&mut self, answer: &str) {
        let answer =
            answer.replace("63 red/48000/2", "63 opus/48000").replace("63 111/111", "63 minptime=10;useinbandfec=1");
        let answer = SdpAnswer::from_sdp_string(&answer).unwrap();
        self.rtc.sdp_api().accept_answer(self.pending.take().unwrap(), answer).unwrap();
    }

    /// Says a tone in this codec from now on.
    pub(crate) fn speak(&mut self, now: Instant, codec: Codec, hz: f64) {
        let rate = voice_rate(codec, hz);
        let encoder = Encoder::new(codec, rate).unwrap();
        self.voice = Some(Voice { codec, encoder, rate, source: tone(hz, rate), next: now });
    }

    /// Says this once, and then nothing audible.
    pub(super) fn sweep(&mut self, now: Instant, codec: Codec, sweep: Sweep) {
        let rate = codec.pcm_rate();
        let encoder = Encoder::new(codec, rate).unwrap();
        self.voice = Some(Voice { codec, encoder, rate, source: once(sweep, rate), next: now });
    }

    pub(crate) fn hush(&mut self) {
        self.voice = None;
    }

    /// Sends a telephone-event packet.
    pub(crate) fn send_event(&mut self, now: Instant, pt: u8, marker: bool, timestamp: u32, payload: [u8; 4]) {
        self.write(now, pt, marker, timestamp, payload.to_vec());
    }

    /// Sends 20 ms of Opus, or lets them pass without a packet.
    pub(crate) fn send_opus(&mut self, now: Instant, payload: Option<Vec<u8>>) {
        if let Some(payload) = payload {
            self.write(now, OPUS, false, self.timestamp, payload);
        }
        self.timestamp = self.timestamp.wrapping_add(960);
    }

    pub(crate) fn timestamp(&self) -> u32 {
        self.timestamp
    }

    /// New credentials; what the PATCH would carry.
    pub(crate) fn restart_ice(&mut self) -> IceCredentials {
        let mut change = self.rtc.sdp_api();
        let creds = change.ice_restart(true);
        let (_, pending) = change.apply().unwrap();
        self.pending = Some(pending);
        IceCredentials { ufrag: creds.ufrag, password: creds.pass }
    }

    /// Asks for packets again that it misses, which this stack does for video alone unless it is told to.
    pub(crate) fn ask_for_lost(&mut self) {
        self.rtc.direct_api().stream_rx_by_mid(self.mid, None).unwrap().suppress_nack(false);
    }

    pub(crate) fn close(&mut self) {
        self.rtc.close().unwrap();
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.rtc.is_connected()
    }

    /// Lets time pass; what it sends.
    pub(crate) fn step(&mut self, now: Instant) -> Vec<Vec<u8>> {
        while let Some(voice) = self.voice.as_mut().filter(|voice| voice.next <= now) {
            let mut payload = Vec::new();
            voice.encoder.encode(&(voice.source)(voice.rate as usize / 50), &mut payload).unwrap();
            voice.next += Duration::from_millis(20);
            let codec = voice.codec;
            let mut number = payload_type(codec);
            if let Some(before) = &mut self.redundant {
                let mut red = Vec::new();
                red::write(&mut red, PayloadType(number), Some((codec.clock_rate() / 50, before)), &payload);
                *before = std::mem::replace(&mut payload, red);
                number = RED;
            }
            self.write(now, number, false, self.timestamp, payload);
            self.timestamp = self.timestamp.wrapping_add(codec.clock_rate() / 50);
        }
        self.rtc.handle_input(Input::Timeout(now)).unwrap();
        self.drain(now)
    }

    pub(crate) fn receive(&mut self, now: Instant, from: SocketAddr, bytes: &[u8]) -> Vec<Vec<u8>> {
        let Ok(receive) = Receive::new(Protocol::Udp, from, self.address, bytes) else { return Vec::new() };
        self.rtc.handle_input(Input::Receive(now, receive)).unwrap();
        self.drain(now)
    }

    fn write(&mut self, now: Instant, pt: u8, marker: bool, timestamp: u32, payload: Vec<u8>) {
        let sequence = self.sequence;
        if let Some(stream) = self.rtc.direct_api().stream_tx_by_mid(self.mid, None) {
            stream.write_rtp(RtpWrite::new(pt.into(), sequence.into(), timestamp, now, payload).marker(marker));
            self.sequence += 1;
            // One packet leaves for each time its clock is driven.
            self.rtc.handle_input(Input::Timeout(now)).unwrap();
        }
    }

    fn drain(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let mut sent = Vec::new();
        loop {
            match self.rtc.poll_output() {
                // It gave up (its own time-out of the handshake): from then on it is mute and deaf.
                Err(_) => {
                    self.rtc.disconnect();
                    return sent;
                }
                Ok(Output::Timeout(_)) => return sent,
                Ok(Output::Transmit(transmit)) => sent.push(transmit.contents.to_vec()),
                Ok(Output::Event(Event::RtpPacket(packet))) => self.heard.push(Packet {
                    at: now,
                    marker: packet.header.marker,
                    payload_type: *packet.header.payload_type,
                    sequence: packet.header.sequence_number,
                    timestamp: packet.header.timestamp,
                    ssrc: *packet.header.ssrc,
                    payload: packet.payload.to_vec(),
                }),
                Ok(Output::Event(_)) => {}
            }
        }
    }
}

pub(super) fn payload_type(codec: Codec) -> u8 {
    match codec {
        Codec::Opus => OPUS,
        Codec::Pcmu => 0,
        Codec::Pcma => 8,
        Codec::G722 => 9,
    }
}
