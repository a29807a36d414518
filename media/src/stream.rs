//! What both legs have in common: an RTP stream each way, its RTCP, and the digits in it.

mod digits;
mod extended;

use std::time::{Duration, Instant};

use self::digits::Digits;
use crate::api::{Digit, DropStats, SentStats, StreamStats};
use crate::audio::Codec;
use crate::audio::noise::ComfortNoise;
use crate::quality::{Arrival, Arrivals, BurstMeter, DownReading, Kind, OwnStream, RemoteView, RttSource, UpReading};
use crate::rtp::receiver::{Accepted, Receiver};
use crate::rtp::red::Red;
use crate::rtp::rtcp::{RtcpSession, VoipMetrics};
use crate::rtp::sender::Sender;
use crate::rtp::{PayloadType, RtpPacket, Ssrc, age_ms};

/// The random beginnings of one stream.
#[derive(Debug, Clone)]
pub(crate) struct StreamSeed {
    pub(crate) ssrc: Ssrc,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) cname: String,
    pub(crate) rtcp: u64,
}

/// RTP state of one leg.
#[repr(C)]
pub(crate) struct Stream {
    receiver: Receiver,
    arrivals: Arrivals,
    /// The codec heard last.
    heard: Option<Codec>,
    /// Who is being listened to.
    source: Option<Ssrc>,
    /// The payload type of packets that say once more what those before them said (RFC 2198).
    redundancy: Option<PayloadType>,
    measured: bool,
    /// A source began with something that is no audio; the first audio packet still begins the buffer.
    restart_pending: bool,
    clock_rate: u32,
    /// What may come.
    formats: [Option<(PayloadType, Codec)>; FORMATS],
    sender: Sender,
    digits: Option<Digits>,
    rtcp: RtcpSession,
    bursts: BurstMeter,
    peer: PeerView,
    remote: RemoteView,
    /// The last payload type that nobody negotiated.
    pub(crate) stranger: Option<PayloadType>,
    /// Packets and octets of sending streams this one follows.
    carried: (u64, u64),
    /// Packets, octets and loss of receiving streams this one follows on another clock.
    carried_in: (u64, u64, i64),
    scratch: Vec<u8>,
}

/// What the peer's reports say of our stream.
#[derive(Debug, Clone, Copy, Default)]
struct PeerView {
    fraction_lost: Option<f64>,
    lost: Option<i64>,
    jitter_ms: Option<f64>,
    rtt: Option<(f64, Instant)>,
    xr_rtt: Option<(f64, Instant)>,
    voip: Option<(VoipMetrics, Instant)>,
}

/// Payload types of audio: each codec's, and the one before a change.
const FORMATS: usize = 8;

/// A round trip measured longer ago than this is not known any more.
const RTT_STALE: Duration = Duration::from_secs(16);

/// What an RTP packet turned out to be.
pub(crate) enum Heard<'a> {
    /// Audio to be carried across.
    Audio {
        codec: Codec,
        accepted: Accepted,
        packet: RtpPacket<'a>,
        /// What it says once more of the packets before it.
        red: Option<Red<'a>>,
    },
    /// The speaker is silent from here on; the sound of the line.
    Rest { sequence: u64, noise: Option<ComfortNoise> },
    /// A packet of a telephone event; the digit if it is complete.
    Event { sequence: u64, digit: Option<(Digit, Duration)> },
    /// Dropped and counted.
    Nothing,
}

/// What an RTCP packet told.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Told {
    /// What the peer loses of our stream, 0..1, if it said so.
    pub(crate) fraction_lost: Option<f64>,
    /// The highest of our numbers that arrived, if it said so.
    pub(crate) highest: Option<u32>,
    /// It holds a report, about us and believed, or about others only.
    pub(crate) report: bool,
    /// It said goodbye.
    pub(crate) bye: bool,
}

impl Stream {
    /// A stream pair on this RTP clock. `wall` is the wall time that belongs to `now`.
    pub(crate) fn new(now: Instant, wall: Duration, seed: StreamSeed, clock_rate: u32) -> Self {
        Self {
            sender: Sender::new(seed.ssrc, seed.sequence, seed.timestamp, clock_rate),
            receiver: Receiver::new(clock_rate),
            rtcp: RtcpSession::new(seed.cname, now, wall, seed.rtcp),
            digits: None,
            redundancy: None,
            clock_rate,
            formats: [None; FORMATS],
            source: None,
            restart_pending: false,
            peer: PeerView::default(),
            measured: true,
            heard: None,
            arrivals: Arrivals::default(),
            bursts: BurstMeter::default(),
            remote: RemoteView::default(),
            stranger: None,
            carried: (0, 0),
            carried_in: (0, 0, 0),
            scratch: Vec::new(),
        }
    }

    /// Whether quality is measured; it is unless told otherwise.
    pub(crate) fn set_measured(&mut self, measured: bool) {
        self.measured = measured;
    }

    /// The same leg on a new stream (new peer connection, new clock) after `old`: what was sent and received so far
    /// stays counted.
    pub(crate) fn after(mut self, old: &mut Self) -> Self {
        self.carried = (old.carried.0 + old.sender.packets(), old.carried.1 + old.sender.octets());
        self.carried_in = old.carried_in;
        self.measured = old.measured;
        if self.clock_rate == old.clock_rate {
            std::mem::swap(&mut self.receiver, &mut old.receiver);
            std::mem::swap(&mut self.bursts, &mut old.bursts);
        } else {
            let (packets, octets, lost) = old.carried_in;
            let receiver = &old.receiver;
            self.carried_in = (packets + receiver.packets(), octets + receiver.octets(), lost + receiver.lost());
        }
        self
    }

    pub(crate) fn clock_rate(&self) -> u32 {
        self.clock_rate
    }

    pub(crate) fn sender(&mut self) -> &mut Sender {
        &mut self.sender
    }

    /// Redundancy comes by this payload type.
    pub(crate) fn set_redundancy(&mut self, payload_type: Option<PayloadType>) {
        self.redundancy = payload_type;
    }

    /// What may come from now on.
    pub(crate) fn set_formats(&mut self, formats: &[(PayloadType, Codec)]) {
        // overflow: no sound peer names as many; what comes by those beyond counts as of an unknown payload type.
        let known = formats.iter().copied().map(Some).chain(std::iter::repeat(None));
        self.formats.iter_mut().zip(known).for_each(|(place, format)| *place = format);
    }

    /// Takes an RTP packet whose source is already believed.
    pub(crate) fn receive<'a>(&mut self, now: Instant, bytes: &'a [u8], drops: &mut DropStats) -> Heard<'a> {
        let Some((packet, red)) = RtpPacket::parse(bytes).and_then(|packet| self.without_redundancy(packet)) else {
            drops.malformed += 1;
            return Heard::Nothing;
        };
        let format = self.formats.iter().flatten().find(|(payload_type, _)| *payload_type == packet.payload_type);
        let codec = format.map(|&(_, codec)| codec);
        codec.into_iter().for_each(|codec| self.receiver.set_clock_rate(codec.clock_rate()));
        if self.measured && self.receiver.leaves_window(&packet) {
            self.note_losses();
        }
        // An unknown payload type still takes part in the sequence, else it would be counted as loss, and shows that
        // the peer is there (comfort noise of RFC 3389 that nobody asked for).
        let Ok(mut accepted) = self.receiver.accept(now, &packet, codec.is_some()) else { return Heard::Nothing };
        self.source = Some(packet.ssrc);
        if self.measured {
            self.measure(now, &accepted, &packet, codec);
        }
        if let Some(codec) = codec {
            accepted.restarted |= std::mem::take(&mut self.restart_pending);
            return Heard::Audio { codec, accepted, packet, red };
        }
        self.restart_pending |= accepted.restarted;
        match &mut self.digits {
            Some(digits) if digits.payload_type == packet.payload_type => {
                let digit = digits.receiver.push(now, packet.timestamp, packet.payload);
                Heard::Event { sequence: accepted.sequence, digit }
            }
            // Its number stands for it whether it was agreed on or not.
            _ if packet.payload_type == PayloadType::COMFORT_NOISE => {
                Heard::Rest { sequence: accepted.sequence, noise: ComfortNoise::read(packet.payload) }
            }
            Some(_) | None => {
                drops.unknown_payload += 1;
                self.stranger = Some(packet.payload_type);
                Heard::Nothing
            }
        }
    }

    /// A packet with redundancy as the one it stands for; `None` if it is broken.
    fn without_redundancy<'a>(&self, packet: RtpPacket<'a>) -> Option<(RtpPacket<'a>, Option<Red<'a>>)> {
        if self.redundancy != Some(packet.payload_type) {
            return Some((packet, None));
        }
        let red = Red::parse(packet.payload)?;
        let (payload_type, payload) = red.primary;
        Some((RtpPacket { payload_type, payload, ..packet }, Some(red)))
    }

    /// Takes a compound RTCP packet whose source is already believed.
    pub(crate) fn receive_report(&mut self, now: Instant, bytes: &[u8], drops: &mut DropStats) -> Option<Told> {
        let Ok(received) = self.rtcp.handle(now, bytes, self.sender.ssrc(), self.source, self.sender.clock_rate())
        else {
            drops.bad_rtcp += 1;
            return None;
        };
        if let Some(ms) = received.xr_rtt_ms {
            self.peer.xr_rtt = Some((ms, now));
        }
        if let Some(metrics) = received.voip {
            self.peer.voip = Some((metrics, now));
        }
        let believed = received.about_us.filter(|about| {
            let own = OwnStream {
                sent: self.sender.packets(),
                withheld: self.sender.withheld(about.highest_sequence as u16),
                first: self.sender.first_sequence(),
                source: self.source,
            };
            self.remote.take(now, about, &own)
        });
        if let Some(about) = believed {
            self.peer = PeerView {
                fraction_lost: Some(about.fraction_lost),
                lost: Some(i64::from(about.cumulative_lost)),
                jitter_ms: Some(about.jitter_ms),
                rtt: about.rtt_ms.map(|ms| (ms, now)).or(self.peer.rtt),
                ..self.peer
            };
        } else if received.about_us.is_some() {
            drops.bad_rtcp += 1;
        }
        Some(Told {
            fraction_lost: believed.map(|about| about.fraction_lost),
            highest: believed.map(|about| about.highest_sequence),
            report: believed.is_some() || (received.sender_report && received.about_us.is_none()),
            bye: received.bye,
        })
    }

    /// A packet that was accepted turned out to be too late to be played.
    pub(crate) fn discarded(&mut self, sequence: u64) {
        self.note_losses();
        self.bursts.discarded(sequence);
    }

    /// What was received, for the quality of the leg's up half. `since`: from when on audio is expected.
    pub(crate) fn up(&mut self, now: Instant, since: Option<Instant>) -> UpReading {
        self.note_losses();
        UpReading {
            packets: self.carried_in.0 + self.receiver.packets(),
            lost: self.carried_in.2 + self.receiver.surely_lost(),
            jitter_ms: self.receiver.jitter_ms() as f32,
            gap: since.map_or(Duration::ZERO, |since| self.arrivals.gap(now, since)),
            codec: self.heard,
            runs: self.bursts.runs(),
        }
    }

    /// What was sent and what the peer reports of it, for the quality of the leg's down half.
    pub(crate) fn down(&self, now: Instant, codec: Option<Codec>, packet_ms: u32) -> DownReading {
        DownReading {
            packets: self.carried.0 + self.sender.packets(),
            reported: self.remote.totals(now),
            jitter_ms: self.remote.jitter_ms(),
            report: self.remote.reports(),
            gap: self.remote.gap(now),
            voip: self
                .peer
                .voip
                .filter(|(_, at)| now.saturating_duration_since(*at) <= RTT_STALE)
                .map(|(voip, _)| voip),
            codec,
            relays: self.sender.relays(),
            packet_ms,
        }
    }

    /// The round trip by the peer's reports, milliseconds, while it is fresh.
    pub(crate) fn rtt(&self, now: Instant) -> Option<(f64, RttSource)> {
        let fresh = |measured: Option<(f64, Instant)>| {
            measured.filter(|(_, at)| now.saturating_duration_since(*at) <= RTT_STALE).map(|(ms, _)| ms)
        };
        let by_rtcp = fresh(self.peer.rtt).map(|ms| (ms, RttSource::Rtcp));
        by_rtcp.or_else(|| fresh(self.peer.xr_rtt).map(|ms| (ms, RttSource::RtcpXr)))
    }

    /// Whether a round trip was measured by reports in this last while.
    pub(crate) fn has_rtt(&self, now: Instant, last: Duration) -> bool {
        [self.peer.rtt, self.peer.xr_rtt].iter().flatten().any(|(_, at)| now.saturating_duration_since(*at) <= last)
    }

    fn measure(&mut self, now: Instant, accepted: &Accepted, packet: &RtpPacket<'_>, codec: Option<Codec>) {
        let kind = match codec {
            Some(Codec::Opus) => Kind::Opus(packet.payload.len()),
            None if packet.payload_type == PayloadType::COMFORT_NOISE => Kind::Noise,
            None if self.are_digits(packet.payload_type) => Kind::Digits,
            Some(Codec::G722 | Codec::Pcmu | Codec::Pcma) | None => Kind::Other,
        };
        self.heard = codec.or(self.heard);
        let arrival = Arrival {
            sequence: accepted.sequence,
            timestamp: packet.timestamp,
            clock_rate: codec.map_or(self.clock_rate, Codec::clock_rate),
            restarted: accepted.restarted,
            kind,
        };
        self.arrivals.came(now, &arrival);
        if accepted.restarted {
            self.bursts.begin(accepted.sequence);
        }
    }

    /// Follows the losses up to now.
    fn note_losses(&mut self) {
        if let Some(window) = self.receiver.window().filter(|_| self.measured) {
            self.bursts.catch_up(window);
        }
    }

    /// Our report, if one is due.
    pub(crate) fn poll_report(&mut self, now: Instant) -> Option<&[u8]> {
        self.scratch.clear();
        let due = self.rtcp.poll_timeout().is_some_and(|at| at <= now);
        (due && self.rtcp.poll(now, &self.sender, &mut self.receiver, &mut self.scratch)).then_some(&self.scratch)
    }

    /// Our goodbye.
    pub(crate) fn bye(&mut self, now: Instant) -> &[u8] {
        self.scratch.clear();
        self.rtcp.bye(now, &self.sender, &mut self.receiver, &mut self.scratch);
        &self.scratch
    }

    pub(crate) fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        let digits = self.digits.as_ref();
        [
            (self.rtcp.poll_timeout(), "rtcp report"),
            (digits.and_then(|d| d.sender.poll_timeout()), "dtmf packet"),
            (digits.and_then(|d| d.receiver.poll_timeout()), "dtmf end missing"),
        ]
        .into_iter()
        .filter_map(|(at, reason)| Some((at?, reason)))
        .min_by_key(|(at, _)| *at)
    }

    /// What was received. Buffer figures are the bridge's and left at zero.
    pub(crate) fn received(&self, now: Instant) -> StreamStats {
        StreamStats {
            packets: self.carried_in.0 + self.receiver.packets(),
            octets: self.carried_in.1 + self.receiver.octets(),
            lost: self.carried_in.2 + self.receiver.lost(),
            jitter_ms: self.receiver.jitter_ms(),
            bursts: self.bursts.metrics(),
            last_rtp_age_ms: self.receiver.last_arrival().map(|at| age_ms(now, at)),
            rtt_ms: self.rtt(now).map(|(ms, _)| ms),
            rtt_source: self.rtt(now).map(|(_, source)| source),
            ..StreamStats::default()
        }
    }

    /// What was sent.
    pub(crate) fn sent(&self) -> SentStats {
        SentStats {
            packets: self.carried.0 + self.sender.packets(),
            octets: self.carried.1 + self.sender.octets(),
            remote_fraction_lost: self.peer.fraction_lost,
            remote_lost: self.peer.lost,
            remote_jitter_ms: self.peer.jitter_ms,
        }
    }
}
