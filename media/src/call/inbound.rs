//! What comes in from the two sides of a call.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::Call;
use super::browser_leg::BrowserLeg;
use super::echo::Echoed;
use crate::api::{BackCause, BrowserLoss, Digit, Leg, MediaEvent, Path};
use crate::bridge::Packet;
use crate::browser::Inbound;
use crate::outbox::Outbox;
use crate::stream::Heard;
use crate::trunk::TrunkLeg;

impl Call {
    /// A datagram on the public port that belongs to this call by 5-tuple or ufrag. `true` if `from` is now proven, so
    /// that the worker may learn the 5-tuple.
    pub fn handle_browser(
        &mut self,
        now: Instant,
        path: Path,
        from: SocketAddr,
        datagram: &mut [u8],
        out: &mut Outbox,
    ) -> bool {
        self.ran(now);
        let slow = self.slow.take();
        let mut is_audio = false;
        let BrowserLeg { transport, stream, drops, resends, .. } = &mut self.browser;
        let moved = (transport.path(), transport.remote()) != (Some(path), Some(from));
        let mut echoed = None;
        let heard = match transport.handle_datagram(now, path, from, datagram, out) {
            Inbound::Consumed => false,
            Inbound::Rtp(packet) => {
                match stream.receive(now, packet, drops) {
                    Heard::Audio { codec, accepted, packet, red } => {
                        if self.echoes {
                            echoed = Some(Echoed::of(codec, &accepted, &packet));
                        } else if let Some(trunk) = &mut self.trunk {
                            let (sequence, restarted) = (accepted.sequence, accepted.restarted);
                            let before = self.to_trunk.discarded();
                            self.to_trunk.push(
                                now,
                                &Packet { codec, sequence, restarted, red, rtp: packet },
                                trunk,
                                out,
                            );
                            if is_more(before, self.to_trunk.discarded()) {
                                stream.discarded(sequence);
                            }
                        }
                        let (sequence, timestamp) = (packet.sequence, packet.timestamp);
                        self.presence.numbered(now, sequence, timestamp, codec.clock_rate());
                        self.heard_audio(now, Leg::Browser);
                        is_audio = true;
                    }
                    Heard::Rest { sequence, noise } => {
                        self.to_trunk.rest(now, sequence, noise);
                        self.presence.rests(now, Leg::Browser);
                    }
                    Heard::Event { sequence, digit } => {
                        self.to_trunk.skip(sequence);
                        self.presence.heard_digits(now, Leg::Browser);
                        self.heard_digit(now, Leg::Browser, digit);
                        self.poll_legs(now, out);
                    }
                    Heard::Nothing => {}
                }
                true
            }
            Inbound::Rtcp(packet) => {
                let told = stream.receive_report(now, packet, drops).unwrap_or_default();
                if let Some(resends) = resends {
                    resends.ask(now, packet, stream.sender().ssrc(), stream.rtt(now).map(|(ms, _)| ms));
                }
                if let Some(detectors) = self.detectors.as_mut().filter(|_| told.report) {
                    detectors.reported(now, Leg::Browser, told.highest);
                }
                if let Some(fraction) = told.fraction_lost {
                    self.browser_reported(now, fraction);
                }
                self.browser.resend(now, out);
                if told.bye {
                    let lost = self.presence.lost(now, BrowserLoss::RtcpBye);
                    self.report(lost);
                }
                true
            }
        };
        if let Some(echoed) = echoed {
            echoed.back(now, &mut self.to_trunk, &mut self.browser, out);
        }
        self.drain_transport(now);
        let checked = self.browser.transport.last_check();
        let heard = std::mem::replace(&mut self.last_check, checked) != checked || heard;
        // The checks of a new peer connection bring nobody back before it has keys.
        if heard && self.browser.transport.is_connected() {
            if moved {
                self.presence.expect_return(BackCause::NewAddress);
            }
            let back = self.presence.heard(now);
            self.report(back);
        }
        if is_audio && self.events.is_empty() {
            self.slow = slow;
        }
        self.browser.transport.knows(path, from)
    }

    /// The browser's connection from there has ended.
    pub fn handle_disconnect(&mut self, now: Instant, from: SocketAddr) {
        self.slow = None;
        self.browser.transport.forget_connection(from);
        self.drain_transport(now);
    }

    /// A datagram on the trunk leg's RTP port.
    pub fn handle_trunk_rtp(&mut self, now: Instant, from: SocketAddr, datagram: &[u8], out: &mut Outbox) {
        self.ran(now);
        let slow = self.slow.take();
        if self.trunk.as_ref().is_some_and(|trunk| trunk.is_report(datagram)) {
            return self.handle_trunk_rtcp(now, from, datagram, out);
        }
        let Some(trunk) = &mut self.trunk else { return };
        match trunk.receive(now, from, datagram) {
            Heard::Audio { codec, accepted, packet, red } => {
                let (sequence, restarted) = (accepted.sequence, accepted.restarted);
                let packet = Packet { codec, sequence, restarted, red, rtp: packet };
                let before = self.to_browser.discarded();
                self.to_browser.push(now, &packet, &mut self.browser, out);
                self.digits.hear(now, codec, &accepted, packet.rtp.payload);
                if is_more(before, self.to_browser.discarded())
                    && let Some(stream) = self.trunk.as_mut().and_then(TrunkLeg::stream)
                {
                    stream.discarded(sequence);
                }
                self.heard_audio(now, Leg::Trunk);
                if self.events.is_empty() {
                    self.slow = slow;
                }
            }
            Heard::Rest { sequence, noise } => {
                self.to_browser.rest(now, sequence, noise);
                self.presence.rests(now, Leg::Trunk);
            }
            Heard::Event { sequence, digit } => {
                self.digits.event_came(now);
                self.to_browser.skip(sequence);
                self.presence.heard_digits(now, Leg::Trunk);
                self.heard_digit(now, Leg::Trunk, digit);
                self.poll_legs(now, out);
            }
            Heard::Nothing => {}
        }
    }

    /// A datagram on the trunk leg's RTCP port.
    pub fn handle_trunk_rtcp(&mut self, now: Instant, from: SocketAddr, datagram: &[u8], _out: &mut Outbox) {
        self.ran(now);
        self.slow = None;
        let Some(told) = self.trunk.as_mut().and_then(|trunk| trunk.receive_report(now, from, datagram)) else {
            return;
        };
        if let Some(detectors) = self.detectors.as_mut().filter(|_| told.report) {
            detectors.reported(now, Leg::Trunk, told.highest);
        }
        // A BYE on the trunk is not believed to end anything: SIP does that.
        if let Some(fraction) = told.fraction_lost {
            let expected = self.trunk.as_mut().map_or(fraction, |trunk| trunk.reported(fraction));
            self.to_trunk.set_expected_loss(expected);
        }
    }

    fn heard_audio(&mut self, now: Instant, from: Leg) {
        self.presence.heard_audio(now, from);
        let heard = match from {
            Leg::Browser => &mut self.heard.0,
            Leg::Trunk => &mut self.heard.1,
        };
        *heard += 1;
        if *heard == 1 {
            self.report(Some(MediaEvent::FirstAudio { from }));
        }
    }

    /// A digit from one leg is reported and goes on to the other.
    pub(super) fn heard_digit(&mut self, now: Instant, from: Leg, digit: Option<(Digit, Duration)>) {
        let Some((digit, duration)) = digit else { return };
        let duration_ms = u32::try_from(duration.as_millis()).unwrap_or(u32::MAX);
        self.report(Some(MediaEvent::Dtmf { from, digit, duration_ms }));
        if self.echoes {
            return;
        }
        let other = match from {
            Leg::Browser => Leg::Trunk,
            Leg::Trunk => Leg::Browser,
        };
        let duration = duration.clamp(Duration::from_millis(40), Duration::from_millis(6000));
        self.send_digits(now, other, &[digit], duration, false);
    }
}

/// Whether one more was counted.
fn is_more(before: Option<u64>, after: Option<u64>) -> bool {
    before.zip(after).is_some_and(|(before, after)| after > before)
}
