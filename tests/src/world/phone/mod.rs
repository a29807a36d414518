//! A phone at the end of a trunk: a SIP endpoint that takes calls, plain RTP, its own tone, and a script.

mod calling;
mod line;
pub mod rtcp;
mod script;
mod transfer;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use trunkline_media::api::Digit;
use trunkline_media::audio::Codec;
use trunkline_signaling::endpoint::{Endpoint, EndpointConfig, Event, Fork, InfoForm, LegId, Reason, Timers};

pub use self::line::Line;
use self::line::next_port;
pub use self::rtcp::{Lie, Rtcp};
pub use self::script::{Answer, Script};
pub use self::transfer::Obeys;
use super::sdp;
use super::voice::Says;

const SIP_PORT: u16 = 5060;

/// Names a phone of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PhoneId(pub usize);

/// How a call ended at the phone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PhoneEnd {
    /// The phone hung up.
    HungUp,
    /// The gateway hung up.
    Ended,
    /// The gateway gave up before the answer.
    Cancelled,
    /// The phone refused.
    Rejected(u16),
    /// The gateway did not answer a request any more, or never acknowledged.
    Lost,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    Ring,
    Answer,
    Reject(u16),
    HangUp,
}

/// A phone.
pub struct SimPhone {
    address: SocketAddr,
    sip: Endpoint,
    /// What it does with calls from now on.
    pub script: Script,
    /// All calls so far.
    pub lines: Vec<Line>,
    due: Vec<(Instant, LegId, Due)>,
    /// Deaf and mute.
    pub vanished: bool,
    /// Its SIP is deaf and mute; audio goes on.
    pub sip_vanished: bool,
    out: Vec<(SocketAddr, SocketAddr, Vec<u8>)>,
    /// Names of what happened, for the world's log.
    pub log: Vec<&'static str>,
}

impl SimPhone {
    /// A phone at this host.
    #[must_use]
    pub fn new(host: SocketAddr, script: Script, seed: [u8; 32]) -> Self {
        let address = SocketAddr::new(host.ip(), SIP_PORT);
        Self {
            address,
            sip: endpoint(address, seed),
            script,
            lines: Vec::new(),
            due: Vec::new(),
            vanished: false,
            sip_vanished: false,
            out: Vec::new(),
            log: Vec::new(),
        }
    }

    /// Where it takes calls.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its latest call.
    ///
    /// # Panics
    /// When nobody has called.
    #[must_use]
    pub fn line(&self) -> &Line {
        self.lines.last().expect("nobody has called this phone")
    }

    /// Whether SIP holds nothing of any call any more.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        let stats = self.sip.stats();
        self.sip_vanished || stats.legs == 0 && stats.transactions == 0
    }

    /// Counters of its SIP.
    #[must_use]
    pub fn sip_stats(&self) -> trunkline_signaling::endpoint::EndpointStats {
        self.sip.stats()
    }

    /// Hangs up, and may say why (protocol, cause).
    pub fn hang_up(&mut self, now: Instant, why: Option<(&str, u16)>) {
        let Some(line) = self.lines.last_mut().filter(|line| line.end.is_none()) else { return };
        line.finish(now, PhoneEnd::HungUp);
        self.log.push("phone hangs up");
        let why = why.map(|(protocol, cause)| Reason { protocol: protocol.into(), cause, text: None });
        let _ = self.sip.hangup(now, line.leg, why);
    }

    /// Sends a re-INVITE with this direction: `sendonly` is hold with music, `inactive` silent hold, `sendrecv` resumes.
    pub fn set_direction(&mut self, now: Instant, direction: &'static str) {
        let Some(line) = self.lines.last_mut().filter(|line| line.end.is_none()) else { return };
        line.version += 1;
        let text = sdp::write(line.rtp, line.mouth.codec(), self.script.events, line.version, direction);
        let _ = self.sip.reinvite(now, line.leg, Bytes::from(text));
        line.mouth
            .say(now, if direction == "inactive" || !self.script.audio { Says::Nothing } else { self.script.says });
    }

    /// Offers to be heard at another port, by re-INVITE, or while it rings by UPDATE.
    pub fn move_audio(&mut self, now: Instant) {
        let Some(line) = self.lines.last_mut().filter(|line| line.end.is_none()) else { return };
        line.move_audio();
        line.version += 1;
        let text = sdp::write(line.rtp, line.mouth.codec(), self.script.events, line.version, "sendrecv");
        let _ = match line.answered_at {
            Some(_) => self.sip.reinvite(now, line.leg, text.into()),
            None => self.sip.update(now, line.leg, &line.other, text.into()),
        };
    }

    /// Offers another codec, and speaks that from now on if it takes effect.
    pub fn offer_codec(&mut self, now: Instant, codec: Codec, takes_effect: bool) {
        let Some(line) = self.lines.last_mut().filter(|line| line.end.is_none()) else { return };
        line.version += 1;
        let text = sdp::write(line.rtp, codec, self.script.events, line.version, "sendrecv");
        let _ = self.sip.reinvite(now, line.leg, text.into());
        if takes_effect {
            line.change_codec(now, codec, self.script.says);
        }
    }

    /// Its SIP forgets every call, as after a restart; audio goes on.
    pub fn forget_calls(&mut self, seed: [u8; 32]) {
        self.sip = endpoint(self.address, seed);
    }

    /// Says this from now on.
    pub fn say(&mut self, now: Instant, says: Says) {
        if let Some(line) = self.lines.last_mut() {
            line.mouth.say(now, says);
        }
    }

    fn by_info(&mut self, digit: char) {
        if let Some(line) = self.lines.last_mut() {
            line.digits.push(digit);
        }
    }

    /// Sends digits by INFO, 100 ms each.
    pub fn send_digits_by_info(&mut self, now: Instant, digits: &str) {
        let digits: Vec<_> = digits.chars().map(|digit| (digit, Duration::from_millis(100))).collect();
        if let Some(leg) = self.lines.last().map(|line| line.leg) {
            self.sip.send_digits(now, leg, InfoForm::Plain, &digits).unwrap();
        }
    }

    /// Sends digits, 100 ms each.
    pub fn send_digits(&mut self, now: Instant, digits: &str) {
        let digits: Vec<_> = digits.chars().filter_map(Digit::from_char).collect();
        if let Some(line) = self.lines.last_mut() {
            line.digits_out.push(now, &digits, Duration::from_millis(100));
        }
    }

    /// A datagram has arrived.
    pub fn handle_datagram(&mut self, now: Instant, from: SocketAddr, to: SocketAddr, bytes: Vec<u8>) {
        if self.vanished {
            return;
        }
        if to == self.address && self.sip_vanished {
            return;
        }
        if to == self.address {
            self.sip.handle_datagram(now, from, bytes.into());
            self.drain_sip(now);
        } else if let Some(line) = self.lines.iter_mut().find(|line| line.hears_at(to)) {
            line.hear(now, &bytes);
        } else if let Some(line) = self.lines.iter_mut().find(|line| next_port(line.rtp) == to) {
            line.reporter.handle(now, &bytes);
        }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.vanished {
            return;
        }
        while let Some(at) = self.due.iter().position(|(at, ..)| *at <= now) {
            let (_, leg, due) = self.due.swap_remove(at);
            self.act(now, leg, due);
        }
        if self.sip.poll_timeout().is_some_and(|(at, _)| at <= now) {
            self.sip.handle_timeout(now);
        }
        self.drain_sip(now);
        for line in &mut self.lines {
            line.speak(now, &mut self.out);
        }
    }

    /// When something is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        if self.vanished {
            return None;
        }
        let script = self.due.iter().map(|(at, ..)| (*at, "phone's script"));
        let voice = self.lines.iter().filter_map(Line::poll_timeout).map(|at| (at, "phone's voice"));
        script.chain(voice).chain(self.sip.poll_timeout()).min_by_key(|(at, _)| *at)
    }

    /// What it sends: from, to, bytes.
    pub fn take_transmits(&mut self) -> Vec<(SocketAddr, SocketAddr, Vec<u8>)> {
        while let Some(transmit) = self.sip.poll_transmit() {
            if !self.sip_vanished {
                self.out.push((self.address, transmit.to, transmit.bytes.to_vec()));
            }
        }
        let out = std::mem::take(&mut self.out);
        if self.vanished { Vec::new() } else { out }
    }

    fn act(&mut self, now: Instant, leg: LegId, due: Due) {
        let Some(line) = self.lines.iter_mut().find(|line| line.leg == leg && line.end.is_none()) else { return };
        match due {
            Due::Ring => {
                let (status, sdp) = if self.script.early_media {
                    line.mouth.say(now, Says::Tone);
                    (
                        183,
                        Some(Bytes::from(sdp::write(line.rtp, line.mouth.codec(), self.script.events, 1, "sendrecv"))),
                    )
                } else {
                    (180, None)
                };
                let _ = self.sip.ring(now, leg, status, sdp);
            }
            Due::Answer => {
                let text = sdp::write(line.rtp, line.mouth.codec(), self.script.events, line.version, "sendrecv");
                if self.sip.accept(now, leg, text.into()).is_ok() {
                    line.answered_at = Some(now);
                    if self.script.audio {
                        line.mouth.say(now, self.script.says);
                    }
                    if let Some(after) = self.script.hang_up {
                        self.due.push((now + after, leg, Due::HangUp));
                    }
                }
            }
            Due::Reject(status) => {
                let _ = self.sip.reject(now, leg, status);
                line.finish(now, PhoneEnd::Rejected(status));
            }
            Due::HangUp => {
                line.finish(now, PhoneEnd::HungUp);
                let _ = self.sip.hangup(now, leg, None);
            }
        }
    }

    fn drain_sip(&mut self, now: Instant) {
        while let Some(event) = self.sip.poll_event() {
            self.happened(now, event);
        }
    }

    fn happened(&mut self, now: Instant, event: Event) {
        let (leg, end, reason) = match event {
            Event::Incoming { leg, sdp, from, .. } => {
                let other = Fork(from.tag().cloned().unwrap_or_default());
                return self.called(now, leg, other, sdp);
            }
            Event::Confirmed { leg, sdp } => {
                self.log.push("phone: confirmed");
                if let Some(line) = self.lines.iter_mut().find(|line| line.leg == leg) {
                    line.confirmed = true;
                    line.remote = sdp.as_deref().and_then(sdp::read).map_or(line.remote, |described| described.address);
                }
                return;
            }
            Event::Offer { leg, sdp, .. } => {
                let Some(line) = self.lines.iter_mut().find(|line| line.leg == leg) else { return };
                if let Some(described) = sdp.as_deref().and_then(sdp::read) {
                    line.remote = described.address;
                }
                line.version += 1;
                let text = sdp::write(line.rtp, line.mouth.codec(), self.script.events, line.version, "sendrecv");
                let _ = self.sip.answer_offer(now, leg, Ok(text.into()));
                return;
            }
            Event::Transfer { leg, transfer } => return self.transferred(now, leg, transfer),
            Event::OfferAnswered { leg, result } => {
                let described = result.ok().as_deref().and_then(sdp::read);
                self.log.push(if described.is_some() { "phone: offer answered" } else { "phone: offer refused" });
                if let (Some(line), Some(described)) = (self.lines.iter_mut().find(|line| line.leg == leg), described) {
                    line.remote = described.address;
                }
                return;
            }
            Event::Digit { digit, .. } => return self.by_info(digit),
            Event::Pinged { .. }
            | Event::Replied { .. }
            | Event::DigitsSent { .. }
            | Event::DigitsRefused { .. }
            | Event::Snapshot { .. }
            | Event::Traced { .. } => return,
            Event::Ended { leg, reason } => (leg, PhoneEnd::Ended, reason),
            Event::Cancelled { leg, reason } => (leg, PhoneEnd::Cancelled, reason),
            Event::Lost { leg, .. } | Event::SessionExpired { leg, .. } => (leg, PhoneEnd::Lost, None),
            Event::Trying { .. } => return,
            event @ (Event::Provisional { .. } | Event::Answered { .. } | Event::Failed { .. }) => {
                return self.progressed(now, event);
            }
        };
        self.log.push("phone: over");
        if let Some(line) = self.lines.iter_mut().find(|line| line.leg == leg) {
            line.reason = reason.map(|reason| (reason.protocol, reason.cause));
            line.finish(now, end);
        }
    }

    fn called(&mut self, now: Instant, leg: LegId, other: Fork, offer: Option<Bytes>) {
        self.log.push("phone: called");
        let described = match &offer {
            Some(offer) => sdp::read(offer),
            // It is to make the offer itself.
            None => Some(sdp::anybody(self.script.codec)),
        };
        let Some(described) = described else {
            let _ = self.sip.reject(now, leg, 488);
            return;
        };
        let port = 40_000 + 2 * u16::try_from(self.lines.len()).unwrap();
        let rtp = SocketAddr::new(self.address.ip(), port);
        let mut line = Line::new(now, leg, &self.script, rtp, described.address);
        line.other = other;
        if described.formats.contains(&sdp::payload_type(self.script.codec)) {
            self.due.extend(self.script.ring.map(|after| (now + after, leg, Due::Ring)));
            match self.script.answer {
                Answer::After(after) => self.due.push((now + after, leg, Due::Answer)),
                Answer::Reject(status, after) => self.due.push((now + after, leg, Due::Reject(status))),
                Answer::Never => {}
            }
        } else {
            let _ = self.sip.reject(now, leg, 488);
            line.finish(now, PhoneEnd::Rejected(488));
        }
        self.lines.push(line);
    }
}

fn endpoint(address: SocketAddr, seed: [u8; 32]) -> Endpoint {
    let config = EndpointConfig {
        advertised: address,
        domain: "phone.example".into(),
        user_agent: "phone".into(),
        accepts_calls: true,
        timers: standard_timers(),
        max_transactions: 1000,
        trace: false,
        snapshots: None,
    };
    Endpoint::new(config, seed)
}

/// RFC 3261 table 4.
#[must_use]
pub fn standard_timers() -> Timers {
    Timers { t1: Duration::from_millis(500), t2: Duration::from_secs(4), t4: Duration::from_secs(5) }
}
