//! Digits by INFO within a call: `application/dtmf-relay` and `application/dtmf`. Both are older than the Info Packages of
//! RFC 6086 and go without one, which its section 2 leaves as it is.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::leg::{Leg, LegTimer, Stage};
use super::outgoing::MAX_CHALLENGES;
use super::receive::Arrival;
use super::transactions::User;
use super::{Endpoint, Event, LegId, NoSuchLeg};
use crate::message::{HeaderName, Method, Request, Response};
use crate::transaction::ServerKey;

/// Digits of a leg that may wait.
const QUEUE: usize = 64;
/// Silence between two digits, as the other side is to play them.
const PAUSE: Duration = Duration::from_millis(70);
/// What is written of a duration at most; the other side's clock is 16 bits wide as a rule.
const LONGEST: Duration = Duration::from_secs(6);
/// Longest body that is read.
const MAX_BODY: usize = 256;
/// What we take.
const ACCEPT: &str = "application/dtmf-relay, application/dtmf";

/// How a digit is written in INFO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InfoForm {
    /// `application/dtmf-relay`: `Signal=5`, `Duration=160`.
    Relay,
    /// `application/dtmf`: the digit alone.
    Plain,
}

impl InfoForm {
    const fn content_type(self) -> &'static str {
        match self {
            Self::Relay => "application/dtmf-relay",
            Self::Plain => "application/dtmf",
        }
    }

    fn body(self, digit: char, duration: Duration) -> Bytes {
        match self {
            Self::Relay => format!("Signal={digit}\r\nDuration={}\r\n", duration.as_millis()).into(),
            Self::Plain => digit.to_string().into(),
        }
    }
}

/// Digits on their way out of a leg, one INFO after the other: two at once may arrive in either order.
#[derive(Debug, Default)]
pub(super) struct Sending {
    queue: VecDeque<(char, Duration, InfoForm)>,
    /// The first of them has been sent.
    is_asking: bool,
    challenges: u8,
}

impl Endpoint {
    pub(super) fn queue_digits(
        &mut self,
        now: Instant,
        id: LegId,
        form: InfoForm,
        digits: &[(char, Duration)],
    ) -> Result<usize, NoSuchLeg> {
        let Some(Leg { stage: Stage::Up(up), .. }) = self.legs.get_mut(&id) else { return Err(NoSuchLeg) };
        if up.hangup.is_some() {
            return Err(NoSuchLeg);
        }
        // overflow: the rest is refused, and whoever asked is told how many were taken.
        let taken = digits.len().min(QUEUE.saturating_sub(up.digits.queue.len()));
        up.digits.queue.extend(digits.iter().take(taken).map(|&(digit, time)| (digit, time.min(LONGEST), form)));
        self.send_next_digit(now, id);
        self.reschedule_leg(id);
        Ok(taken)
    }

    /// Sends the first digit that waits, if nothing is under way and the one before is over.
    pub(super) fn send_next_digit(&mut self, now: Instant, id: LegId) {
        let Self { core, legs, .. } = self;
        let Some(Leg { stage: Stage::Up(up), deadlines, peer, auth, .. }) = legs.get_mut(&id) else { return };
        if up.digits.is_asking || deadlines.is_set(LegTimer::NextDigit) {
            return;
        }
        let Some(&(digit, duration, form)) = up.digits.queue.front() else { return };
        let to = peer.next_hop(&up.dialog);
        let mut request = up.dialog.request(Method::Info);
        request.body = form.body(digit, duration);
        request.headers.push(HeaderName::ContentType, form.content_type());
        if let Some(auth) = auth.as_mut().filter(|_| peer.may_authorize(to)) {
            let (uri, body) = (request.uri.to_string(), request.body.clone());
            auth.authorize(&Method::Info, &uri, &body, &mut request.headers);
        }
        up.digits.is_asking = true;
        if up.digits.challenges == 0 {
            deadlines.set(LegTimer::NextDigit, now + duration + PAUSE);
        }
        core.send_other(now, request, to, User::Digit(id));
    }

    pub(super) fn handle_digit_response(&mut self, now: Instant, id: LegId, response: &Response) {
        if response.status < 200 {
            return;
        }
        let Some(Leg { stage: Stage::Up(up), auth, deadlines, .. }) = self.legs.get_mut(&id) else { return };
        up.digits.is_asking = false;
        match response.status {
            ..=299 => {
                up.digits.challenges = 0;
                up.digits.queue.pop_front();
                if up.digits.queue.is_empty() {
                    self.core.event(Event::DigitsSent { leg: id });
                }
            }
            401 | 407
                if up.digits.challenges < MAX_CHALLENGES
                    && auth.as_mut().is_some_and(|auth| {
                        auth.handle_challenge(&response.headers, response.status == 407).is_ok()
                    }) =>
            {
                up.digits.challenges += 1;
                deadlines.stop(LegTimer::NextDigit);
            }
            // It may know the other form.
            415 if matches!(up.digits.queue.front(), Some((_, _, InfoForm::Relay))) => {
                up.digits.queue.iter_mut().for_each(|(_, _, form)| *form = InfoForm::Plain);
                deadlines.stop(LegTimer::NextDigit);
            }
            // The other side has no such call (RFC 3261 section 12.2.1.2).
            481 => return self.lose(now, id, Some(481), true),
            status => self.refuse_digits(id, Some(status)),
        }
        self.send_next_digit(now, id);
        self.reschedule_leg(id);
    }

    pub(super) fn handle_digit_fault(&mut self, now: Instant, id: LegId) {
        self.refuse_digits(id, None);
        self.send_next_digit(now, id);
        self.reschedule_leg(id);
    }

    /// None of the digits that wait will go.
    pub(super) fn refuse_digits(&mut self, id: LegId, status: Option<u16>) {
        let Some(Leg { stage: Stage::Up(up), .. }) = self.legs.get_mut(&id) else { return };
        let unsent = std::mem::take(&mut up.digits).queue;
        let digits = unsent.into_iter().map(|(digit, duration, _)| (digit, duration)).collect();
        self.core.event(Event::DigitsRefused { leg: id, status, digits });
    }

    /// INFO. We have no Info Packages, so one of them is refused with 469 and our empty list (RFC 6086 section 4.2.2).
    /// Digits are taken; of the older use otherwise (RFC 2976) an INFO without a body is 200, and 415 one with a body
    /// nobody understands.
    pub(super) fn handle_info(&mut self, arrival: Arrival, key: ServerKey, id: LegId, request: &Request) {
        if request.headers.get(&HeaderName::other("Info-Package")).is_some() {
            let field = Some((HeaderName::other("Recv-Info"), String::new()));
            return self.core.refuse(request, arrival, (469, field));
        }
        if request.body.is_empty() {
            return self.core.answer_stateless(request, arrival, 200, None);
        }
        let content_type = request.headers.content_type().unwrap_or_default();
        let is_relay = content_type == InfoForm::Relay.content_type();
        if !is_relay && content_type != InfoForm::Plain.content_type() {
            let field = Some((HeaderName::Accept, ACCEPT.to_owned()));
            return self.core.refuse(request, arrival, (415, field));
        }
        let Some((digit, duration)) = read(&request.body) else {
            return self.core.refuse(request, arrival, (400, None));
        };
        if self.is_full() {
            return self.core.refuse_overload(request, arrival);
        }
        // A transaction answers what comes twice: the digit is told once.
        let tx = self.core.serve(arrival, key, id, false);
        self.core.answer(arrival.now, tx, Response::to_request(request, 200, None));
        if let Some(digit) = digit {
            self.core.event(Event::Digit { leg: id, digit, duration });
        }
    }
}

/// The digit of a body and how long it lasted; `None` inside for a signal that is no digit (a hook flash), outside for a
/// body that is none of the two. Keys and blanks are read as leniently as they are written in the field.
fn read(body: &[u8]) -> Option<(Option<char>, Option<Duration>)> {
    let text = std::str::from_utf8(body.get(..MAX_BODY.min(body.len()))?).ok()?;
    let of = |wanted: &str| {
        let mut pairs = text.lines().filter_map(|line| line.split_once('='));
        pairs.find(|(key, _)| key.trim().eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim())
    };
    let signal = if text.contains('=') { of("Signal")? } else { text.trim() };
    let duration = of("Duration").and_then(|value| value.parse().ok()).map(Duration::from_millis);
    Some((digit_of(signal)?, duration.filter(|time| !time.is_zero()).map(|time| time.min(LONGEST))))
}

/// A digit as it is, or by the number of its event (RFC 4733 section 3.2).
fn digit_of(signal: &str) -> Option<Option<char>> {
    if let Ok(event @ 10..) = signal.parse::<usize>() {
        return Some("*#ABCD".chars().nth(event - 10)).filter(|digit| digit.is_some() || event == 16);
    }
    let mut all = signal.chars().map(|digit| digit.to_ascii_uppercase());
    match (all.next()?, all.next()) {
        ('!', None) => Some(None),
        (digit, None) if digit.is_ascii_digit() || "*#ABCD".contains(digit) => Some(Some(digit)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_as_the_field_writes_them() {
        let ms = |time| Some(Duration::from_millis(time));
        for (body, digit, duration) in [
            ("Signal=5\r\nDuration=160\r\n", Some('5'), ms(160)),
            ("Signal= 5\r\nDuration= 250\r\n", Some('5'), ms(250)),
            ("signal = #\nDURATION = 100", Some('#'), ms(100)),
            ("Duration=80\r\nSignal=d\r\n", Some('D'), ms(80)),
            ("Signal=10\r\n", Some('*'), None),
            ("Signal=11\r\nDuration=0\r\n", Some('#'), None),
            ("Signal=15\r\nDuration=many\r\n", Some('D'), None),
            ("Signal=16\r\nDuration=100\r\n", None, ms(100)),
            ("Signal=!\r\n", None, None),
            ("Signal=1\r\nDuration=99999999\r\n", Some('1'), Some(LONGEST)),
            ("7", Some('7'), None),
            ("*\r\n", Some('*'), None),
            ("10", Some('*'), None),
        ] {
            assert_eq!(read(body.as_bytes()), Some((digit, duration)), "{body:?}");
        }
        for bad in
            ["", "\r\n", "Signal=", "Signal=x", "Signal=17", "Signal=123", "Tone=5\r\nDuration=9\r\n", "55", "é", "="]
        {
            assert_eq!(read(bad.as_bytes()), None, "{bad:?}");
        }
        assert_eq!(read(&[0xff, 0x35]), None);
    }

    #[test]
    fn what_is_written_is_read_back() {
        for digit in "0123456789*#ABCD".chars() {
            let time = Duration::from_millis(120);
            assert_eq!(read(&InfoForm::Relay.body(digit, time)), Some((Some(digit), Some(time))));
            assert_eq!(read(&InfoForm::Plain.body(digit, time)), Some((Some(digit), None)));
        }
    }
}
