//! The browser leg: its transport, and RTP over it.

use std::time::Instant;

use super::Surroundings;
use super::random::Chance;
use super::redundancy::Redundancy;
use crate::api::{DropStats, OpenCall, OpenError, Opened};
use crate::audio::Codec;
use crate::audio::expected_loss::ExpectedLoss;
use crate::bridge::{Listener, Output};
use crate::browser::transport::BrowserTransport;
use crate::outbox::Outbox;
use crate::rtp::resend::Resends;
use crate::rtp::sender::Sender;
use crate::rtp::{PayloadType, RtpPacket};
use crate::sdp::browser::{AnswerParts, BrowserMedia, OfferError, answer};
use crate::stream::Stream;

/// What the gateway sends a browser in one packet, milliseconds.
const PTIME_MS: u32 = 20;

#[repr(C)]
pub(crate) struct BrowserLeg {
    pub(crate) transport: BrowserTransport,
    pub(crate) stream: Stream,
    /// What it is sent now, one of those it takes.
    pub(crate) speaks: (PayloadType, Codec),
    /// Where the browser may ask for what it lost.
    pub(crate) resends: Option<Box<Resends>>,
    redundancy: Option<Redundancy>,
    pub(crate) media: BrowserMedia,
    /// Drops that RTP counts, beside the transport's own.
    pub(crate) drops: DropStats,
    /// Drops of transports this one follows.
    carried_drops: DropStats,
    carried_resent: u64,
    loses: ExpectedLoss,
}

impl BrowserLeg {
    /// Makes a leg for the offer, and the answer to it.
    pub(crate) fn open(
        now: Instant,
        open: &OpenCall,
        surroundings: &Surroundings,
        chance: &mut Chance,
    ) -> Result<(Self, Opened), OpenError> {
        let media = BrowserMedia::negotiate(&open.offer, &open.codecs, open.prefer).map_err(|error| {
            let (OfferError::Invalid(why) | OfferError::Unsupported(why)) = error;
            OpenError::Unsupported(why)
        })?;
        let local = chance.credentials();
        let seed = chance.stream();
        let text = answer(
            &open.offer,
            &media,
            &AnswerParts {
                ice: &local,
                candidates: &surroundings.candidates,
                fingerprint: surroundings.identity.fingerprint(),
                ssrc: seed.ssrc,
                cname: &seed.cname,
                session: (chance.session_id(), 1),
                playback_rate: open.playback_rate,
            },
        );
        let opened = Opened { answer: text, ice_session: local.ufrag.clone(), codec: media.codec };
        let identity = &surroundings.identity;
        let transport = BrowserTransport::new(now, identity, &open.offer, local, open.limits.setup, chance.number());
        let mut stream = Stream::new(now, surroundings.wall(now), seed, media.codec.clock_rate());
        stream.set_telephone_event(media.telephone_event.map(|event| (event, media.codec.clock_rate())));
        stream.set_redundancy(media.redundancy);
        stream.set_formats(&media.accepted);
        stream.set_measured(surroundings.policy.measure);
        let resends = (!media.nacks.is_empty()).then(Box::<Resends>::default);
        let leg = Self {
            resends,
            redundancy: media.redundancy.map(Redundancy::new),
            loses: ExpectedLoss::default(),
            transport,
            speaks: (media.payload_type, media.codec),
            media,
            stream,
            drops: DropStats::default(),
            carried_drops: DropStats::default(),
            carried_resent: 0,
        };
        Ok((leg, opened))
    }

    /// Another peer connection takes the place of `old`; its counters go on.
    pub(crate) fn after(self, old: &mut Self) -> Self {
        let (carried_drops, carried_resent) = (old.all_drops(), old.resent());
        Self { stream: self.stream.after(&mut old.stream), carried_drops, carried_resent, ..self }
    }

    /// The browser says what fraction (0..1) of our packets it loses. What to expect from now on, once it gets back what
    /// it is told twice.
    pub(crate) fn reported(&mut self, loss: f64) -> f64 {
        let loss = self.loses.reported(loss);
        let told_twice = self.redundancy.as_mut().is_some_and(|redundancy| redundancy.reported(loss));
        if told_twice { loss / 2.0 } else { loss }
    }

    /// Packets sent again so far.
    pub(crate) fn resent(&self) -> u64 {
        self.carried_resent + self.resends.as_ref().map_or(0, |resends| resends.resent())
    }

    /// What may be sent to the browser now.
    pub(crate) fn output(&self) -> Option<Output> {
        (self.transport.is_connected() && self.media.sends)
            .then(|| Output::new(self.speaks.1, PTIME_MS, self.media.opus))
    }

    /// Sends what is due: reports and digits. `true` once all digits asked for are sent. Both wait for keys.
    pub(crate) fn poll(&mut self, now: Instant, out: &mut Outbox) -> bool {
        if !self.transport.is_connected() {
            return false;
        }
        if let Some(report) = self.stream.poll_report(now) {
            self.transport.send_rtcp(report, out);
        }
        let Self { transport, stream, .. } = self;
        stream.poll_digits(now, |event| {
            transport.send_rtp(out, |buffer| event.write(buffer));
        })
    }

    /// Sends again what the browser has asked for.
    pub(crate) fn resend(&mut self, now: Instant, out: &mut Outbox) {
        let Some(resends) = &mut self.resends else { return };
        while let Some(packet) = resends.poll(now) {
            self.transport.send_rtp(out, |buffer| buffer.extend_from_slice(packet));
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        let sending = self.transport.is_connected().then(|| self.stream.poll_timeout()).flatten();
        [self.transport.poll_timeout(), sending].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    /// Says goodbye by RTCP.
    pub(crate) fn bye(&mut self, now: Instant, out: &mut Outbox) {
        let goodbye = self.stream.bye(now);
        self.transport.send_rtcp(goodbye, out);
    }

    /// Every datagram dropped so far.
    pub(crate) fn all_drops(&self) -> DropStats {
        sum(sum(self.carried_drops, self.drops), self.transport.drops())
    }
}

/// Sends audio, which may be said twice, and of which a lost packet may be asked for.
fn send_audio(
    now: Instant,
    (transport, resends): (&mut BrowserTransport, &mut Option<Box<Resends>>),
    redundancy: Option<&mut Redundancy>,
    packet: RtpPacket<'_>,
    out: &mut Outbox,
) {
    let packet = match redundancy {
        Some(redundancy) => redundancy.wrap(packet),
        None => packet,
    };
    transport.send_rtp(out, |buffer| {
        let start = buffer.len();
        packet.write(buffer);
        if let Some(resends) = resends {
            resends.keep(now, buffer.get(start..).unwrap_or_default());
        }
    });
}

/// Two counts of drops together.
pub(crate) fn sum(a: DropStats, b: DropStats) -> DropStats {
    DropStats {
        malformed: a.malformed + b.malformed,
        bad_integrity: a.bad_integrity + b.bad_integrity,
        wrong_source: a.wrong_source + b.wrong_source,
        undecryptable: a.undecryptable + b.undecryptable,
        replayed: a.replayed + b.replayed,
        unknown_payload: a.unknown_payload + b.unknown_payload,
        bad_dtls: a.bad_dtls + b.bad_dtls,
        bad_rtcp: a.bad_rtcp + b.bad_rtcp,
    }
}

impl Listener for BrowserLeg {
    fn is_busy(&self) -> bool {
        self.stream.is_sending_digits()
    }

    fn relay(&mut self, now: Instant, source: &RtpPacket<'_>, sequence: u64, restarted: bool, out: &mut Outbox) {
        let RtpPacket { marker, timestamp, payload, .. } = *source;
        let (payload_type, sender) = speaker(&mut self.stream, now, self.speaks);
        let packet = sender.relay(now, payload_type, marker, sequence, timestamp, restarted, payload);
        let redundancy = self.redundancy.as_mut().filter(|_| self.speaks.1 == Codec::Opus);
        send_audio(now, (&mut self.transport, &mut self.resends), redundancy, packet, out);
    }

    fn pass(&mut self, now: Instant, gap: Option<u32>, samples: u32, payload: &[u8], out: &mut Outbox) {
        let (payload_type, sender) = speaker(&mut self.stream, now, self.speaks);
        let packet = sender.follow(now, payload_type, gap, samples, payload);
        let redundancy = self.redundancy.as_mut().filter(|_| self.speaks.1 == Codec::Opus);
        send_audio(now, (&mut self.transport, &mut self.resends), redundancy, packet, out);
    }

    fn frame(&mut self, now: Instant, samples: u32, payload: &[u8], out: &mut Outbox) {
        let (payload_type, sender) = speaker(&mut self.stream, now, self.speaks);
        let packet = sender.next(now, payload_type, samples, payload);
        let redundancy = self.redundancy.as_mut().filter(|_| self.speaks.1 == Codec::Opus);
        send_audio(now, (&mut self.transport, &mut self.resends), redundancy, packet, out);
    }
}

/// The sender, on the clock of what it says now: the codec may have changed (RFC 7160 section 4.1).
fn speaker(
    stream: &mut Stream,
    now: Instant,
    (payload_type, codec): (PayloadType, Codec),
) -> (PayloadType, &mut Sender) {
    let sender = stream.sender();
    sender.set_clock_rate(now, codec.clock_rate());
    (payload_type, sender)
}
