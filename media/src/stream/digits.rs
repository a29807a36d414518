//! The digits in a stream, by telephone-events (RFC 4733).

use std::time::{Duration, Instant};

use super::Stream;
use crate::api::Digit;
use crate::audio::dtmf::{DtmfReceiver, DtmfSender};
use crate::rtp::{PayloadType, RtpPacket};

pub(super) struct Digits {
    pub(super) payload_type: PayloadType,
    /// Of their durations, Hz; their timestamps go by the stream's.
    clock_rate: u32,
    pub(super) sender: DtmfSender,
    pub(super) receiver: DtmfReceiver,
    /// Somebody asked for digits and waits to hear that they are sent.
    asked: bool,
}

impl Stream {
    /// Telephone events go by this payload type and clock from now on, or not at all.
    pub(crate) fn set_telephone_event(&mut self, event: Option<(PayloadType, u32)>) {
        match (&mut self.digits, event) {
            (Some(digits), Some((payload_type, clock_rate))) if digits.clock_rate == clock_rate => {
                digits.payload_type = payload_type;
            }
            (digits, event) => {
                *digits = event.map(|(payload_type, clock_rate)| Digits {
                    payload_type,
                    clock_rate,
                    sender: DtmfSender::new(clock_rate),
                    receiver: DtmfReceiver::new(clock_rate),
                    asked: false,
                });
            }
        }
    }

    /// Whether this payload type is that of telephone events.
    pub(super) fn are_digits(&self, payload_type: PayloadType) -> bool {
        self.digits.as_ref().is_some_and(|digits| digits.payload_type == payload_type)
    }

    /// Whether a digit is being sent, so that audio gives way.
    pub(crate) fn is_sending_digits(&self) -> bool {
        self.digits.as_ref().is_some_and(|digits| digits.sender.is_sending())
    }

    /// Queues digits; `false` if not all of them can be sent. `asked`: report when they are through.
    pub(crate) fn push_digits(&mut self, now: Instant, queue: &[Digit], duration: Duration, asked: bool) -> bool {
        let Some(digits) = &mut self.digits else { return false };
        let taken = digits.sender.push(now, queue, duration);
        digits.asked |= asked && taken > 0;
        taken == queue.len()
    }

    /// Hands every telephone-event packet that is due to `send`. `true` once all that was asked for is sent.
    pub(crate) fn poll_digits(&mut self, now: Instant, mut send: impl FnMut(&RtpPacket<'_>)) -> bool {
        let Some(digits) = &mut self.digits else { return false };
        while let Some(event) = digits.sender.poll(now) {
            self.sender.set_clock_rate(now, self.clock_rate);
            let packet =
                self.sender.event(now, digits.payload_type, event.marker, event.began, event.payload.as_slice());
            send(&packet);
        }
        digits.asked && !digits.sender.is_sending() && std::mem::take(&mut digits.asked)
    }

    /// A digit whose end never came.
    pub(crate) fn overdue_digit(&mut self, now: Instant) -> Option<(Digit, Duration)> {
        let receiver = &mut self.digits.as_mut()?.receiver;
        if receiver.poll_timeout().is_some_and(|at| at <= now) { receiver.handle_timeout(now) } else { None }
    }
}
