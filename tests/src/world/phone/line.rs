//! A phone's end of one call: its RTP, its voice, its ears.

use std::net::SocketAddr;
use std::time::Instant;

use trunkline_media::audio::Codec;
use trunkline_media::audio::dtmf::{DtmfReceiver, DtmfSender};
use trunkline_media::rtp::{PayloadType, RtpPacket, Ssrc};
use trunkline_signaling::endpoint::{Fork, LegId};

use super::rtcp::{Reporter, Rtcp, Sent};
use super::{PhoneEnd, Script};
use crate::world::voice::{Ear, Mouth, Says, Sound};
use crate::world::{PHONE_TONE, sdp};

const TELEPHONE_EVENT: u8 = 101;
const SSRC: u32 = 0x5150_5150;

/// One call at a phone.
pub struct Line {
    pub(super) leg: LegId,
    /// Where it hears.
    pub rtp: SocketAddr,
    pub(super) remote: SocketAddr,
    /// The other end of its dialog.
    pub(super) other: Fork,
    pub(super) mouth: Mouth,
    /// What it hears.
    pub ear: Ear,
    pub(super) digits_out: DtmfSender,
    digits_in: DtmfReceiver,
    /// Digits heard.
    pub digits: String,
    sequence: u16,
    /// Where its RTP leaves from.
    sends_from: SocketAddr,
    payload_type: u8,
    /// Packets and payload octets of audio sent.
    sent: (u32, u32),
    /// Its RTCP.
    pub reporter: Reporter,
    pub(super) version: u32,
    /// When it was answered.
    pub answered_at: Option<Instant>,
    /// The ACK came.
    pub confirmed: bool,
    /// How it ended.
    pub end: Option<PhoneEnd>,
    /// Ends that came after the end; none may.
    pub surplus_ends: u32,
    /// The Reason (protocol, cause) of the gateway's BYE or CANCEL.
    pub reason: Option<(String, u16)>,
}

impl Line {
    /// A call that has come in.
    pub(super) fn new(now: Instant, leg: LegId, script: &Script, rtp: SocketAddr, remote: SocketAddr) -> Self {
        let codec = script.codec;
        let rtcp = if script.audio { script.rtcp } else { Rtcp::Silent };
        Self {
            leg,
            rtp,
            remote,
            other: Fork::default(),
            mouth: Mouth::new(now, codec, PHONE_TONE),
            ear: Ear::default(),
            digits_out: DtmfSender::new(8_000),
            digits_in: DtmfReceiver::new(8_000),
            digits: String::new(),
            sequence: 65_530,
            sends_from: script.rtp_from.unwrap_or(rtp),
            payload_type: script.payload_type.unwrap_or(sdp::payload_type(codec)),
            sent: (0, 0),
            reporter: Reporter::new(now, rtcp, codec.clock_rate()),
            version: 1,
            answered_at: None,
            confirmed: false,
            end: None,
            surplus_ends: 0,
            reason: None,
        }
    }

    /// Another codec from now on.
    pub(super) fn speak_in(&mut self, now: Instant, codec: Codec) {
        self.mouth = Mouth::new(now, codec, PHONE_TONE);
        self.payload_type = sdp::payload_type(codec);
        self.sends_from = self.rtp;
    }

    /// Whether RTP for it goes there: where it said, or where its own comes from.
    pub(super) fn hears_at(&self, to: SocketAddr) -> bool {
        self.rtp == to || self.sends_from == to
    }

    pub(super) fn finish(&mut self, now: Instant, end: PhoneEnd) {
        self.mouth.say(now, Says::Nothing);
        if self.end.is_some() {
            self.surplus_ends += 1;
        } else {
            self.end = Some(end);
        }
    }

    /// Its audio is at another port from now on.
    pub(super) fn move_audio(&mut self) {
        self.rtp.set_port(self.rtp.port() + 2_000);
        self.sends_from = self.rtp;
    }

    /// It speaks and hears another codec from now on.
    pub(super) fn change_codec(&mut self, now: Instant, codec: Codec, says: Says) {
        self.mouth = Mouth::new(now, codec, PHONE_TONE);
        self.mouth.say(now, says);
        self.payload_type = sdp::payload_type(codec);
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        if self.end.is_some() {
            return None;
        }
        let reports = self.answered_at.and_then(|_| self.reporter.poll_timeout());
        [self.mouth.poll_timeout(), self.digits_out.poll_timeout(), self.digits_in.poll_timeout(), reports]
            .into_iter()
            .flatten()
            .min()
    }

    pub(super) fn hear(&mut self, now: Instant, bytes: &[u8]) {
        let Some(packet) = RtpPacket::parse(bytes) else { return };
        if packet.payload_type.0 == TELEPHONE_EVENT {
            let digit = self.digits_in.push(now, packet.timestamp, packet.payload);
            self.digits.extend(digit.map(|(digit, _)| digit.as_char()));
        } else if packet.payload_type.0 == sdp::payload_type(self.mouth.codec()) {
            let RtpPacket { sequence, ssrc, payload, timestamp, .. } = packet;
            self.reporter.heard(now, ssrc.0, sequence, timestamp);
            self.ear.hear(now, Sound { codec: self.mouth.codec(), sequence, ssrc: ssrc.0, payload });
        }
    }

    pub(super) fn speak(&mut self, now: Instant, out: &mut Vec<(SocketAddr, SocketAddr, Vec<u8>)>) {
        if self.end.is_some() {
            return;
        }
        if let Some((digit, _)) = self.digits_in.handle_timeout(now) {
            self.digits.push(digit.as_char());
        }
        if self.mouth.echoes() {
            self.ear.keeps = true;
            self.mouth.heard(self.ear.take_played());
        }
        let (from, to) = (self.sends_from, self.remote);
        while let Some(event) = self.digits_out.poll(now) {
            let timestamp = self.mouth.timestamp_at(event.began);
            out.push((from, to, packet(&mut self.sequence, TELEPHONE_EVENT, event.marker, timestamp, &event.payload)));
        }
        let silenced = self.digits_out.is_sending();
        while let Some((timestamp, payload)) = self.mouth.poll(now, silenced) {
            self.sent = (self.sent.0 + 1, self.sent.1 + payload.len() as u32);
            out.push((from, to, packet(&mut self.sequence, self.payload_type, false, timestamp, payload)));
        }
        self.report(now, out);
    }

    fn report(&mut self, now: Instant, out: &mut Vec<(SocketAddr, SocketAddr, Vec<u8>)>) {
        if self.answered_at.is_none() {
            return;
        }
        let (packets, octets) = self.sent;
        let sent = Sent { ssrc: SSRC, packets, octets, timestamp: self.mouth.timestamp_at(now) };
        let (from, to) = (next_port(self.rtp), next_port(self.remote));
        out.extend(self.reporter.poll(now, sent).into_iter().map(|report| (from, to, report)));
    }
}

/// Where RTCP belongs to RTP (RFC 3550 section 11).
pub(super) fn next_port(rtp: SocketAddr) -> SocketAddr {
    SocketAddr::new(rtp.ip(), rtp.port() + 1)
}

fn packet(sequence: &mut u16, payload_type: u8, marker: bool, timestamp: u32, payload: &[u8]) -> Vec<u8> {
    let payload_type = PayloadType(payload_type);
    let packet = RtpPacket { marker, payload_type, sequence: *sequence, timestamp, ssrc: Ssrc(SSRC), payload };
    *sequence = sequence.wrapping_add(1);
    let mut bytes = Vec::new();
    packet.write(&mut bytes);
    bytes
}
