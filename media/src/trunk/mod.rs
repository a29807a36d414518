//! The trunk leg: RTP and RTCP on a leased port pair, encrypted where that is agreed.

mod security;
mod source;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rtc_crypto::RTCCryptoProvider;

use self::security::Security;
use self::source::SourceGuard;
use crate::api::{DropStats, SentStats, StreamStats};
use crate::audio::Codec;
use crate::audio::expected_loss::ExpectedLoss;
use crate::bridge::{Listener, MAX_DELAY, Output};
use crate::outbox::Outbox;
use crate::quality::LegReading;
use crate::rtp::{PayloadType, RtpPacket};
use crate::sdp::browser::Direction;
use crate::sdp::trunk::TrunkMedia;
use crate::stream::{Heard, Stream, StreamSeed, Told};

/// One leg towards a trunk. It has a port pair from the start, and a peer once the SDP is agreed.
#[repr(C)]
pub(crate) struct TrunkLeg {
    peer: Option<Peer>,
    local: SocketAddr,
    drops: DropStats,
    /// Quality is measured.
    measured: bool,
    loses: ExpectedLoss,
    /// What was discarded of the legs before this one.
    discarded_before: u64,
}

#[repr(C)]
struct Peer {
    guard: SourceGuard,
    media: TrunkMedia,
    stream: Stream,
    security: Security,
}

impl TrunkLeg {
    /// A leg on this port, silent and deaf until it is connected. `discarded`: packets that were of no use to who hears it,
    /// of legs before.
    pub(crate) fn new(local: SocketAddr, measured: bool, discarded: u64) -> Self {
        let (drops, loses) = (DropStats::default(), ExpectedLoss::default());
        Self { local, peer: None, drops, measured, loses, discarded_before: discarded }
    }

    /// The trunk says what fraction (0..1) of our packets it loses. What to expect from now on.
    pub(crate) fn reported(&mut self, loss: f64) -> f64 {
        self.loses.reported(loss)
    }

    pub(crate) fn local(&self) -> SocketAddr {
        self.local
    }

    /// Applies negotiated media. Our stream goes on as it is unless the codec's clock or our key is another: then it is a
    /// new one, with a new SSRC. `seed` is asked only when a stream begins. `true` if digits were under way that are not
    /// sent any more.
    pub(crate) fn connect(
        &mut self,
        now: Instant,
        wall: Duration,
        media: TrunkMedia,
        crypto: &dyn RTCCryptoProvider,
        seed: impl FnOnce() -> StreamSeed,
    ) -> bool {
        let clock_rate = media.codec.clock_rate();
        let was_busy = self.is_busy();
        let before = self.peer.as_ref().map(|peer| (peer.media.payload_type, peer.media.codec));
        match &mut self.peer {
            Some(peer) => {
                let begins = peer.security.apply(media.srtp.as_deref(), crypto);
                if begins || peer.stream.clock_rate() != clock_rate {
                    peer.stream = Stream::new(now, wall, seed(), clock_rate).after(&mut peer.stream);
                }
                if peer.media.remote != media.remote || peer.media.source != media.source {
                    peer.guard = SourceGuard::new(media.source, media.remote);
                }
                peer.media = media;
            }
            None => {
                let mut security = Security::default();
                security.apply(media.srtp.as_deref(), crypto);
                self.peer = Some(Peer {
                    guard: SourceGuard::new(media.source, media.remote),
                    stream: Stream::new(now, wall, seed(), clock_rate),
                    media,
                    security,
                });
            }
        }
        if let Some(peer) = &mut self.peer {
            // Who holds us is sent no digits either.
            if !peer.listens() {
                peer.stream.set_telephone_event(None);
            }
            peer.stream.set_telephone_event(peer.media.telephone_event);
            peer.stream.set_measured(self.measured);
            peer.stream.set_wish(peer.media.extended.unwrap_or_default());
            let mut formats = vec![(peer.media.payload_type, peer.media.codec)];
            formats.extend_from_slice(&peer.media.also);
            // What is under way is still as it was agreed before (RFC 3264 section 8.3.1), unless its number means something
            // else by now.
            let event = peer.media.telephone_event.map(|(number, _)| number);
            let is_free = |&(before, _): &(PayloadType, Codec)| {
                Some(before) != event && formats.iter().all(|(number, _)| *number != before)
            };
            if let Some(before) = before.filter(is_free) {
                formats.push(before);
            }
            peer.stream.set_formats(&formats);
        }
        was_busy && !self.is_busy()
    }

    /// Whether a datagram on the RTP port is RTCP that shares it (RFC 5761 section 4).
    pub(crate) fn is_report(&self, datagram: &[u8]) -> bool {
        self.peer.as_ref().is_some_and(|peer| peer.media.rtcp_mux)
            && datagram.get(1).is_some_and(|second| (64..96).contains(&(second & 0x7f)))
    }

    pub(crate) fn codec(&self) -> Option<Codec> {
        self.peer.as_ref().map(|peer| peer.media.codec)
    }

    /// What may be sent to this leg now: nothing while it holds us without listening.
    pub(crate) fn output(&self) -> Option<Output> {
        let peer = self.peer.as_ref()?;
        peer.listens().then(|| Output::new(peer.media.codec, peer.media.ptime_ms, peer.media.opus))
    }

    /// Whether the peer said it sends audio.
    pub(crate) fn owes_audio(&self) -> bool {
        self.peer.as_ref().is_some_and(|peer| match peer.media.peer_direction {
            Direction::SendRecv | Direction::SendOnly => true,
            Direction::RecvOnly | Direction::Inactive => false,
        })
    }

    pub(crate) fn stream(&mut self) -> Option<&mut Stream> {
        self.peer.as_mut().map(|peer| &mut peer.stream)
    }

    /// A datagram on the RTP port.
    pub(crate) fn receive<'a>(&'a mut self, now: Instant, from: SocketAddr, datagram: &'a [u8]) -> Heard<'a> {
        let Some(peer) = self.peer.as_mut().filter(|peer| peer.guard.could_be(from)) else {
            self.drops.wrong_source += 1;
            return Heard::Nothing;
        };
        let Some(plain) = peer.security.open_rtp(datagram, &mut self.drops) else { return Heard::Nothing };
        if !peer.guard.accepts(from, plain) {
            self.drops.wrong_source += 1;
            return Heard::Nothing;
        }
        peer.stream.receive(now, plain, &mut self.drops)
    }

    /// A datagram on the RTCP port.
    pub(crate) fn receive_report(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) -> Option<Told> {
        let believed = |peer: &Peer| {
            from == peer.media.remote_rtcp || from == peer.media.remote || peer.guard.accepts_report(from)
        };
        let Some(peer) = self.peer.as_mut().filter(|peer| believed(peer)) else {
            self.drops.wrong_source += 1;
            return None;
        };
        let plain = peer.security.open_rtcp(datagram, &mut self.drops)?;
        peer.stream.receive_report(now, plain, &mut self.drops)
    }

    /// Sends what is due: reports and digits. `true` once all digits asked for are sent.
    pub(crate) fn poll(&mut self, now: Instant, out: &mut Outbox) -> bool {
        let Some(peer) = &mut self.peer else { return false };
        if let Some(to) = peer.reports_to()
            && let Some(report) = peer.stream.poll_report(now)
        {
            peer.security.send_rtcp(peer.media.rtcp_mux, to, report, out);
        }
        let to = peer.remote();
        let Peer { stream, security, .. } = peer;
        stream.poll_digits(now, |packet| {
            if let Some(to) = to {
                security.send_rtp(to, packet, out);
            }
        })
    }

    /// Says goodbye by RTCP.
    pub(crate) fn bye(&mut self, now: Instant, out: &mut Outbox) {
        if let Some(peer) = &mut self.peer
            && let Some(to) = peer.reports_to()
        {
            peer.security.send_rtcp(peer.media.rtcp_mux, to, peer.stream.bye(now), out);
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        self.peer.as_ref()?.stream.poll_timeout()
    }

    /// The last payload type that came and that nobody negotiated.
    pub(crate) fn stranger(&self) -> Option<PayloadType> {
        self.peer.as_ref().and_then(|peer| peer.stream.stranger)
    }

    pub(crate) fn drops(&self) -> DropStats {
        self.drops
    }

    /// What this second's sample is made of; the leg's audio is expected since `since`.
    pub(crate) fn quality(&mut self, now: Instant, since: Option<Instant>) -> Option<LegReading> {
        let peer = self.peer.as_mut()?;
        let expects_down = peer.listens();
        let output = Output::new(peer.media.codec, peer.media.ptime_ms, peer.media.opus);
        let packet_ms = u32::try_from(output.frame().as_millis()).unwrap_or(20);
        let down = peer.stream.down(now, Some(output.codec), packet_ms);
        let rtt = peer.stream.rtt(now);
        Some(LegReading { up: peer.stream.up(now, since), down, rtt, expects_down, ..LegReading::default() })
    }

    /// How the peer is heard so far, for one that wants to know; `level` of its speech in dBov.
    pub(crate) fn tell_voip(&mut self, heard: &StreamStats, level: Option<i8>) {
        if let Some(peer) = &mut self.peer {
            let limit_ms = u16::try_from(MAX_DELAY.as_millis()).unwrap_or(u16::MAX);
            let discarded = heard.discarded.saturating_sub(self.discarded_before);
            let heard = StreamStats { discarded, ..heard.clone() };
            peer.stream.tell_voip(&heard, peer.media.ptime_ms, level, limit_ms);
        }
    }

    pub(crate) fn received(&self, now: Instant) -> StreamStats {
        self.peer.as_ref().map(|peer| peer.stream.received(now)).unwrap_or_default()
    }

    pub(crate) fn sent(&self) -> SentStats {
        self.peer.as_ref().map(|peer| peer.stream.sent()).unwrap_or_default()
    }
}

impl Peer {
    fn listens(&self) -> bool {
        let wants = match self.media.peer_direction {
            Direction::SendRecv | Direction::RecvOnly => true,
            Direction::SendOnly | Direction::Inactive => false,
        };
        wants && self.remote().is_some()
    }

    /// Where RTP goes: the latched address once there is one (symmetric RTP), else the signalled one.
    fn remote(&self) -> Option<SocketAddr> {
        reachable(self.guard.latched().unwrap_or(self.media.remote))
    }

    fn reports_to(&self) -> Option<SocketAddr> {
        if self.media.rtcp_mux { self.remote() } else { reachable(self.media.remote_rtcp) }
    }
}

/// An address datagrams can go to: old-style hold names 0.0.0.0, a refused line port 0.
fn reachable(address: SocketAddr) -> Option<SocketAddr> {
    (!address.ip().is_unspecified() && address.port() != 0).then_some(address)
}

impl Listener for TrunkLeg {
    fn is_busy(&self) -> bool {
        self.peer.as_ref().is_some_and(|peer| peer.stream.is_sending_digits())
    }

    fn relay(&mut self, now: Instant, source: &RtpPacket<'_>, sequence: u64, restarted: bool, out: &mut Outbox) {
        let Some(peer) = &mut self.peer else { return };
        let Some(to) = peer.remote() else { return };
        let RtpPacket { marker, timestamp, payload, .. } = *source;
        let payload_type = peer.media.payload_type;
        let packet = peer.stream.sender().relay(now, payload_type, marker, sequence, timestamp, restarted, payload);
        peer.security.send_rtp(to, &packet, out);
    }

    fn pass(&mut self, now: Instant, gap: Option<u32>, samples: u32, payload: &[u8], out: &mut Outbox) {
        let Some(peer) = &mut self.peer else { return };
        let Some(to) = peer.remote() else { return };
        let packet = peer.stream.sender().follow(now, peer.media.payload_type, gap, samples, payload);
        peer.security.send_rtp(to, &packet, out);
    }

    fn frame(&mut self, now: Instant, samples: u32, payload: &[u8], out: &mut Outbox) {
        let Some(peer) = &mut self.peer else { return };
        let Some(to) = peer.remote() else { return };
        let packet = peer.stream.sender().next(now, peer.media.payload_type, samples, payload);
        peer.security.send_rtp(to, &packet, out);
    }

    fn takes_noise(&self) -> bool {
        self.peer.as_ref().is_some_and(|peer| peer.media.comfort_noise)
    }

    fn noise(&mut self, now: Instant, level: u8, out: &mut Outbox) {
        let Some(peer) = &mut self.peer else { return };
        let Some(to) = peer.remote() else { return };
        // Of its spectrum nothing is said (RFC 3389 section 3.2): it is white.
        let packet = peer.stream.sender().noise(now, PayloadType::COMFORT_NOISE, std::slice::from_ref(&level));
        peer.security.send_rtp(to, &packet, out);
    }
}
