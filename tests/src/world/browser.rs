//! A browser: another project's WebRTC stack, told the time, with a voice and ears.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::format::{Codec as StrCodec, FormatParams};
use str0m::media::{Direction, Frequency, MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::RtpWrite;
use str0m::{Candidate, Event, Input, Output, Rtc};
use trunkline_media::api::{Digit, Restarted};
use trunkline_media::audio::Codec;
use trunkline_media::audio::dtmf::{DtmfReceiver, DtmfSender};
use trunkline_media::sdp::browser::{IceCredentials, Offer};

use super::BROWSER_TONE;
use super::voice::{Ear, Mouth, Says, Sound};

/// Names a browser of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BrowserId(pub usize);

/// What is odd about a visitor's browser or way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Visitor {
    /// Its audio carries a payload type that is not in the offer.
    pub foreign_payload: bool,
    /// It reaches the gateway through a relay of its own.
    pub relayed: bool,
    /// It reaches the gateway over TCP.
    pub over_tcp: bool,
    /// It names no candidate.
    pub without_candidates: bool,
    /// Its offer was changed on the way: the fingerprint is not its certificate's.
    pub wrong_fingerprint: bool,
    /// The answer was changed on the way: its checks carry a wrong password.
    pub wrong_password: bool,
}

/// A payload type that no offer of this world has.
const FOREIGN: u8 = 97;

/// A browser.
pub struct SimBrowser {
    rtc: Rtc,
    mid: Mid,
    pending: Option<SdpPendingOffer>,
    answer: String,
    /// What is odd about it.
    pub visitor: Visitor,
    /// The address it thinks it has.
    pub inner: SocketAddr,
    /// When its stack wants to be woken.
    next: Instant,
    mouth: Mouth,
    /// What it hears.
    pub ear: Ear,
    sequence: u64,
    digits_out: DtmfSender,
    digits_in: DtmfReceiver,
    /// Digits heard.
    pub digits: String,
    /// Its keys are in place.
    pub connected: bool,
    says: Says,
    /// Its device sleeps until then: it neither sends nor hears, and then goes on as if nothing had been.
    asleep_until: Option<Instant>,
    /// Deaf and mute: the page is gone.
    pub vanished: bool,
    out: Vec<(SocketAddr, SocketAddr, Vec<u8>)>,
}

impl SimBrowser {
    /// A browser at this address (its own, and as the gateway sees it) that offers these codecs and speaks the first, and its offer.
    ///
    /// # Panics
    /// When the stack will not make an offer, or the gateway cannot read it.
    #[must_use]
    pub fn new(
        now: Instant,
        (inner, outer): (SocketAddr, SocketAddr),
        codecs: &[Codec],
        visitor: Visitor,
    ) -> (Self, Offer) {
        let mut config = Rtc::builder()
            .set_crypto_provider(Arc::new(str0m::crypto::from_feature_flags()))
            .set_rtp_mode(true)
            .clear_codecs();
        for codec in codecs {
            let fec = FormatParams { use_inband_fec: Some(true), min_p_time: Some(10), ..FormatParams::default() };
            let (name, clock, channels, format) = match codec {
                Codec::Opus => (StrCodec::Opus, Frequency::FORTY_EIGHT_KHZ, Some(2), fec),
                Codec::G722 => (StrCodec::G722, Frequency::EIGHT_KHZ, None, FormatParams::default()),
                Codec::Pcmu => (StrCodec::PCMU, Frequency::EIGHT_KHZ, None, FormatParams::default()),
                Codec::Pcma => (StrCodec::PCMA, Frequency::EIGHT_KHZ, None, FormatParams::default()),
            };
            config.codec_config().add_config(payload_type(*codec).into(), None, name, clock, channels, format);
        }
        for (pt, clock) in [(110, Frequency::FORTY_EIGHT_KHZ), (126, Frequency::EIGHT_KHZ)] {
            config.codec_config().add_config(pt.into(), None, StrCodec::Tele, clock, None, FormatParams::default());
        }
        if visitor.foreign_payload {
            let format = FormatParams::default();
            config.codec_config().add_config(FOREIGN.into(), None, StrCodec::PCMA, Frequency::EIGHT_KHZ, None, format);
        }
        let mut rtc = config.build(now);
        rtc.add_local_candidate(Candidate::host(inner, "udp").unwrap());
        let mut change = rtc.sdp_api();
        let mid = change.add_media(MediaKind::Audio, Direction::SendRecv, None, None, None);
        let (offer, pending) = change.apply().unwrap();
        let text = offer.to_sdp_string();
        let lines = text.lines().filter(|line| {
            let candidate = line.starts_with("a=candidate") || line.starts_with("a=end-of-candidates");
            !(line.starts_with(&format!("a=rtpmap:{FOREIGN}")) || candidate && visitor.without_candidates)
        });
        let text: String = lines
            .map(|line| match line.split_once(':') {
                // What the gateway sees of it is the address of its relay.
                _ if line.starts_with("a=candidate") && visitor.relayed => {
                    let host = format!("{} {} typ host", inner.ip(), inner.port());
                    let relay = format!("{} typ relay raddr 0.0.0.0 rport 9", outer.to_string().replace(':', " "));
                    line.replace(&host, &relay)
                }
                _ if line.starts_with("m=") => line.replace(&format!(" {FOREIGN}"), ""),
                Some(("a=fingerprint", value)) if visitor.wrong_fingerprint => {
                    let (start, end) = value.split_at(value.len() - 2);
                    format!("a=fingerprint:{start}{}", if end == "00" { "01" } else { "00" })
                }
                _ => line.to_owned(),
            })
            .map(|line| line + "\r\n")
            .collect();
        let offer = Offer::parse(text.as_bytes()).unwrap();
        let clock = codecs[0].clock_rate();
        let browser = Self {
            rtc,
            mid,
            pending: Some(pending),
            answer: String::new(),
            visitor,
            inner,
            next: now,
            mouth: Mouth::new(now, codecs[0], BROWSER_TONE),
            ear: Ear::default(),
            sequence: 1000,
            digits_out: DtmfSender::new(clock),
            digits_in: DtmfReceiver::new(clock),
            digits: String::new(),
            connected: false,
            says: Says::Tone,
            asleep_until: None,
            vanished: false,
            out: Vec::new(),
        };
        (browser, offer)
    }

    /// The gateway's answer has come.
    ///
    /// # Panics
    /// When the stack does not take it.
    pub fn accept(&mut self, answer: &str) {
        self.answer = answer.to_owned();
        let answer = match self.visitor.foreign_payload {
            true => {
                let lines = answer.lines().map(|line| match line.starts_with("m=audio") {
                    true => format!("{line} {FOREIGN}\r\n"),
                    false => format!("{line}\r\n"),
                });
                &(lines.collect::<String>() + &format!("a=rtpmap:{FOREIGN} PCMA/8000\r\n"))
            }
            false => answer,
        };
        let answer = match self.visitor.wrong_password {
            true => &answer.replace("a=ice-pwd:", "a=ice-pwd:0"),
            false => answer,
        };
        let answer = SdpAnswer::from_sdp_string(answer).unwrap();
        self.rtc.sdp_api().accept_answer(self.pending.take().unwrap(), answer).unwrap();
    }

    /// New credentials: what a PATCH carries.
    ///
    /// # Panics
    /// When the stack makes no offer.
    pub fn restart_ice(&mut self) -> IceCredentials {
        let mut change = self.rtc.sdp_api();
        let credentials = change.ice_restart(true);
        let (_, pending) = change.apply().unwrap();
        self.pending = Some(pending);
        IceCredentials { ufrag: credentials.ufrag, password: credentials.pass }
    }

    /// What the PATCH brought back.
    pub fn accept_restart(&mut self, restarted: &Restarted) {
        let replaced = self.answer.lines().map(|line| match line.split_once(':') {
            Some(("a=ice-ufrag", _)) => format!("a=ice-ufrag:{}\r\n", restarted.local.ufrag),
            Some(("a=ice-pwd", _)) => format!("a=ice-pwd:{}\r\n", restarted.local.password),
            Some(_) | None => format!("{line}\r\n"),
        });
        let answer: String = replaced.collect();
        self.accept(&answer);
    }

    /// Says this from now on; before the keys are in place it waits for them.
    pub fn say(&mut self, now: Instant, says: Says) {
        self.says = says;
        if self.connected {
            self.mouth.say(now, says);
        }
    }

    /// The device sleeps until then.
    pub fn sleep(&mut self, until: Instant) {
        self.asleep_until = Some(until);
    }

    fn is_asleep(&self, now: Instant) -> bool {
        self.asleep_until.is_some_and(|until| now < until)
    }

    /// Sends digits as telephone events, 100 ms each.
    pub fn send_digits(&mut self, now: Instant, digits: &str) {
        let digits: Vec<_> = digits.chars().filter_map(Digit::from_char).collect();
        self.digits_out.push(now, &digits, Duration::from_millis(100));
    }

    /// The page is closed in order: the connection says goodbye.
    pub fn close(&mut self, now: Instant) {
        let _ = self.rtc.close();
        self.drain(now);
        self.mouth.say(now, Says::Nothing);
    }

    /// A datagram has arrived.
    pub fn handle_datagram(&mut self, now: Instant, from: SocketAddr, bytes: &[u8]) {
        if self.vanished || self.is_asleep(now) {
            return;
        }
        // What its stack does not even take for a datagram of its own is dropped, as a browser does.
        if let Ok(receive) = Receive::new(Protocol::Udp, from, self.inner, bytes) {
            let _ = self.rtc.handle_input(Input::Receive(now, receive));
            self.drain(now);
        }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.vanished || self.is_asleep(now) {
            return;
        }
        if self.asleep_until.take().is_some() {
            // What was not said is not made up for.
            self.mouth.say(now, self.says);
        }
        self.speak(now);
        if let Some((digit, _)) = self.digits_in.handle_timeout(now) {
            self.digits.push(digit.as_char());
        }
        if self.next <= now {
            let _ = self.rtc.handle_input(Input::Timeout(now));
            self.drain(now);
        }
    }

    /// When something is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        if self.vanished {
            return None;
        }
        if let Some(until) = self.asleep_until {
            return Some((until, "browser wakes"));
        }
        let voice = self.connected.then(|| self.mouth.poll_timeout()).flatten();
        let digits = self.connected.then(|| self.digits_out.poll_timeout()).flatten();
        [Some(self.next), voice, digits, self.digits_in.poll_timeout()]
            .into_iter()
            .flatten()
            .min()
            .map(|at| (at, "browser"))
    }

    /// What it sends: from, to, bytes.
    pub fn take_transmits(&mut self) -> Vec<(SocketAddr, SocketAddr, Vec<u8>)> {
        let out = std::mem::take(&mut self.out);
        if self.vanished { Vec::new() } else { out }
    }

    fn speak(&mut self, now: Instant) {
        if !self.connected {
            return;
        }
        let event_type = if self.mouth.codec() == Codec::Opus { 110 } else { 126 };
        while let Some(event) = self.digits_out.poll(now) {
            let timestamp = self.mouth.timestamp_at(event.began);
            self.write(now, event_type, event.marker, timestamp, event.payload.to_vec());
        }
        let silenced = self.digits_out.is_sending();
        if self.mouth.echoes() {
            self.ear.keeps = true;
            self.mouth.heard(self.ear.take_played());
        }
        let codec = match self.visitor.foreign_payload {
            true => FOREIGN,
            false => payload_type(self.mouth.codec()),
        };
        while let Some((timestamp, payload)) = self.mouth.poll(now, silenced).map(|(at, bytes)| (at, bytes.to_vec())) {
            self.write(now, codec, false, timestamp, payload);
        }
    }

    fn write(&mut self, now: Instant, pt: u8, marker: bool, timestamp: u32, payload: Vec<u8>) {
        let sequence = self.sequence;
        if let Some(stream) = self.rtc.direct_api().stream_tx_by_mid(self.mid, None) {
            stream.write_rtp(RtpWrite::new(pt.into(), sequence.into(), timestamp, now, payload).marker(marker));
            self.sequence += 1;
            // One packet leaves for each time its clock is driven.
            let _ = self.rtc.handle_input(Input::Timeout(now));
            self.drain(now);
        }
    }

    fn drain(&mut self, now: Instant) {
        loop {
            match self.rtc.poll_output() {
                // It gave up: from then on it is mute and deaf.
                Err(_) => {
                    self.rtc.disconnect();
                    self.next = now + Duration::from_secs(3600);
                    return;
                }
                Ok(Output::Timeout(at)) => {
                    // It may ask to be woken at once, again and again; a real one is not woken so fast either.
                    self.next = at.max(now + Duration::from_millis(1));
                    return;
                }
                Ok(Output::Transmit(transmit)) => {
                    self.out.push((self.inner, transmit.destination, transmit.contents.to_vec()));
                }
                Ok(Output::Event(Event::Connected)) => {
                    self.connected = true;
                    self.mouth.say(now, self.says);
                }
                Ok(Output::Event(Event::RtpPacket(packet))) => {
                    let header = &packet.header;
                    self.hear(
                        now,
                        *header.payload_type,
                        header.sequence_number,
                        *header.ssrc,
                        header.timestamp,
                        &packet.payload,
                    );
                }
                Ok(Output::Event(_)) => {}
            }
        }
    }

    fn hear(&mut self, now: Instant, pt: u8, sequence: u16, ssrc: u32, timestamp: u32, payload: &[u8]) {
        let codec = match pt {
            111 => Codec::Opus,
            0 => Codec::Pcmu,
            8 => Codec::Pcma,
            9 => Codec::G722,
            110 | 126 => {
                let digit = self.digits_in.push(now, timestamp, payload);
                self.digits.extend(digit.map(|(digit, _)| digit.as_char()));
                return;
            }
            _ => return,
        };
        self.ear.hear(now, Sound { codec, sequence, ssrc, payload });
    }
}

fn payload_type(codec: Codec) -> u8 {
    match codec {
        Codec::Opus => 111,
        Codec::Pcmu => 0,
        Codec::Pcma => 8,
        Codec::G722 => 9,
    }
}
