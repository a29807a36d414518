//! The trunk's end: plain RTP, and ears.

use std::time::{Duration, Instant};

use crate::audio::Codec;
use crate::audio::codec::{Decoder, Encoder};
use crate::audio::sweep::Sweep;
use crate::audio::tone::{Tone, detect, level};
use crate::rtp::{PayloadType, RtpPacket, Ssrc};
use crate::srtp::{Inbound, Outbound};

/// A packet somebody received.
#[derive(Debug, Clone)]
pub(crate) struct Packet {
    pub(crate) at: Instant,
    pub(crate) marker: bool,
    pub(crate) payload_type: u8,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) ssrc: u32,
    pub(crate) payload: Vec<u8>,
}

impl Packet {
    pub(crate) fn parse(at: Instant, bytes: &[u8]) -> Self {
        let packet = RtpPacket::parse(bytes).unwrap();
        Self {
            at,
            marker: packet.marker,
            payload_type: packet.payload_type.0,
            sequence: packet.sequence,
            timestamp: packet.timestamp,
            ssrc: packet.ssrc.0,
            payload: packet.payload.to_vec(),
        }
    }
}

pub(crate) struct Phone {
    voice: Option<Voice>,
    sequence: u16,
    timestamp: u32,
    pub(crate) heard: Vec<Packet>,
    pub(crate) reports: usize,
    /// The last of them, as it came.
    pub(crate) report: Vec<u8>,
    /// What it sends is encrypted with the first, what it receives with the second.
    pub(crate) keys: Option<(Outbound, Inbound)>,
    /// Datagrams that its keys did not open.
    pub(crate) unreadable: usize,
}

struct Voice {
    codec: Codec,
    encoder: Encoder,
    rate: u32,
    source: Source,
    next: Instant,
    packet_ms: u32,
}

impl Phone {
    pub(crate) fn new() -> Self {
        Self {
            voice: None,
            sequence: 65_500,
            timestamp: 7,
            heard: Vec::new(),
            reports: 0,
            report: Vec::new(),
            keys: None,
            unreadable: 0,
        }
    }

    pub(crate) fn speak(&mut self, now: Instant, codec: Codec, hz: f64) {
        self.speak_in(now, codec, hz, 20);
    }

    /// The same in packets of so many milliseconds.
    pub(crate) fn speak_in(&mut self, now: Instant, codec: Codec, hz: f64, packet_ms: u32) {
        let rate = voice_rate(codec, hz);
        let encoder = Encoder::new(codec, rate).unwrap();
        self.voice = Some(Voice { codec, encoder, rate, source: tone(hz, rate), next: now, packet_ms });
    }

    /// Says this once, and then nothing audible, in packets of 20 ms.
    pub(super) fn sweep(&mut self, now: Instant, codec: Codec, sweep: Sweep) {
        let rate = codec.pcm_rate();
        let encoder = Encoder::new(codec, rate).unwrap();
        self.voice = Some(Voice { codec, encoder, rate, source: once(sweep, rate), next: now, packet_ms: 20 });
    }

    /// Says the same on in another codec.
    pub(crate) fn switch(&mut self, codec: Codec) {
        if let Some(voice) = &mut self.voice {
            (voice.codec, voice.encoder) = (codec, Encoder::new(codec, voice.rate).unwrap());
        }
    }

    pub(crate) fn hush(&mut self) {
        self.voice = None;
    }

    /// Lets time pass; what it sends.
    pub(crate) fn step(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let mut sent = Vec::new();
        while let Some(voice) = self.voice.as_mut().filter(|voice| voice.next <= now) {
            let mut payload = Vec::new();
            voice
                .encoder
                .encode(&(voice.source)((voice.rate / 1000 * voice.packet_ms) as usize), &mut payload)
                .unwrap();
            voice.next += Duration::from_millis(u64::from(voice.packet_ms));
            let pt = match voice.codec {
                Codec::Opus => 107,
                Codec::Pcmu => 0,
                Codec::Pcma => 8,
                Codec::G722 => 9,
            };
            let at = self.timestamp;
            self.timestamp = self.timestamp.wrapping_add(voice.codec.clock_rate() / 1000 * voice.packet_ms);
            let packet = self.packet(pt, false, at, &payload);
            sent.push(self.sealed(packet));
        }
        sent
    }

    fn sealed(&mut self, mut packet: Vec<u8>) -> Vec<u8> {
        if let Some((ours, _)) = &mut self.keys {
            ours.protect_rtp(&mut packet, 0).unwrap();
        }
        packet
    }

    /// A datagram reached its RTP port.
    pub(crate) fn receive(&mut self, now: Instant, datagram: &[u8]) {
        let opened = match &mut self.keys {
            Some((_, theirs)) => theirs.unprotect_rtp(datagram),
            None => Ok(datagram),
        };
        match opened {
            Ok(plain) => self.heard.push(Packet::parse(now, plain)),
            Err(_) => self.unreadable += 1,
        }
    }

    /// A datagram reached its RTCP port.
    pub(crate) fn receive_report(&mut self, datagram: &[u8]) {
        let opened = self.keys.as_mut().is_none_or(|(_, theirs)| theirs.unprotect_rtcp(datagram).is_ok());
        if opened {
            self.reports += 1;
            self.report = datagram.to_vec();
        } else {
            self.unreadable += 1;
        }
    }

    /// So many packets that nobody gets.
    pub(crate) fn speak_into_the_void(&mut self, packets: u32) {
        for _ in 0..packets {
            let at = self.timestamp;
            self.timestamp = self.timestamp.wrapping_add(160);
            let packet = self.packet(0, false, at, &[0xff; 160]);
            self.sealed(packet);
        }
    }

    /// Its clock goes on while it says nothing.
    pub(crate) fn skip_ms(&mut self, ms: u32) {
        self.timestamp = self.timestamp.wrapping_add(8 * ms);
    }

    pub(crate) fn timestamp(&self) -> u32 {
        self.timestamp
    }

    pub(crate) fn packet(&mut self, pt: u8, marker: bool, timestamp: u32, payload: &[u8]) -> Vec<u8> {
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        let payload_type = PayloadType(pt);
        let mut bytes = Vec::new();
        RtpPacket { marker, payload_type, sequence, timestamp, ssrc: Ssrc(0x5150), payload }.write(&mut bytes);
        bytes
    }
}

/// What somebody says: the next so many samples.
pub(super) type Source = Box<dyn FnMut(usize) -> Vec<i16>>;

/// A tone of this pitch, for ever.
pub(super) fn tone(hz: f64, rate: u32) -> Source {
    let mut tone = Tone::new(hz, rate, -12.0);
    Box::new(move |samples| tone.take(samples))
}

/// A sweep, and silence.
pub(super) fn once(sweep: Sweep, rate: u32) -> Source {
    let mut rest = sweep.take(rate).into_iter().chain(std::iter::repeat(0));
    Box::new(move |samples| rest.by_ref().take(samples).collect())
}

/// The rate of the microphone that a tone of this pitch takes.
pub(super) fn voice_rate(codec: Codec, hz: f64) -> u32 {
    if hz < 4_000.0 { 8_000 } else { codec.pcm_rate() }
}

/// What somebody heard, decoded at 8 kHz in the order it came.
pub(crate) fn listen(heard: &[Packet], payload_type: u8, codec: Codec) -> Vec<i16> {
    listen_at(8_000, heard, payload_type, codec)
}

/// The same at another rate.
pub(super) fn listen_at(rate: u32, heard: &[Packet], payload_type: u8, codec: Codec) -> Vec<i16> {
    let mut decoder = Decoder::new(codec, rate).unwrap();
    let mut all = Vec::new();
    let mut pcm = Vec::new();
    for packet in heard.iter().filter(|packet| packet.payload_type == payload_type) {
        decoder.decode(&packet.payload, &mut pcm).unwrap();
        all.extend_from_slice(&pcm);
    }
    all
}

/// Whether this is that tone and hardly anything else.
pub(crate) fn is_tone(pcm: &[i16], hz: f64) -> bool {
    let (tone, all) = (detect(pcm, 8000, hz), level(pcm));
    tone > -30.0 && tone > all - 1.5
}

/// Whether nothing is to be heard.
pub(crate) fn is_silent(pcm: &[i16]) -> bool {
    level(pcm) < -60.0
}
