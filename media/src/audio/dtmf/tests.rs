use proptest::prelude::*;

use super::*;
use crate::api::Digit;
use crate::rtp::clock_units;

fn start() -> Instant {
    // The tests' only clock reading; from here time is virtual.
    #[allow(clippy::disallowed_methods)]
    Instant::now()
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn digits(text: &str) -> Vec<Digit> {
    text.chars().map(|c| Digit::from_char(c).unwrap()).collect()
}

/// Everything a sender sends, with the time and the RTP timestamp (`origin` belongs to the beginning).
fn play(clock_rate: u32, text: &str, duration: Duration, origin: u32) -> Vec<(Instant, u32, EventPacket)> {
    let began = start();
    let mut sender = DtmfSender::new(clock_rate);
    assert_eq!(sender.push(began, &digits(text), duration), text.len());
    let mut sent = Vec::new();
    while let Some(now) = sender.poll_timeout() {
        assert!(sender.is_sending());
        while let Some(packet) = sender.poll(now) {
            let offset = clock_units(packet.began - began, clock_rate) as u32;
            sent.push((now, origin.wrapping_add(offset), packet));
        }
    }
    assert!(!sender.is_sending());
    sent
}

fn fields(packet: &EventPacket) -> (u8, bool, u8, u16) {
    let [event, flags, high, low] = packet.payload;
    (event, flags & END != 0, flags & 0x3f, u16::from_be_bytes([high, low]))
}

#[test]
fn a_digit_grows_ends_three_times_and_pauses() {
    let sent = play(8_000, "5#", ms(60), 0);
    let at = |n: usize| (sent[n].0 - sent[0].0).as_millis();
    let table: Vec<_> = sent.iter().enumerate().map(|(n, (_, ts, p))| (at(n), *ts, p.marker, fields(p))).collect();
    assert_eq!(
        table,
        [
            (0, 0, true, (5, false, 10, 160)),
            (20, 0, false, (5, false, 10, 320)),
            (40, 0, false, (5, true, 10, 480)),
            (60, 0, false, (5, true, 10, 480)),
            (80, 0, false, (5, true, 10, 480)),
            (130, 1040, true, (11, false, 10, 160)),
            (150, 1040, false, (11, false, 10, 320)),
            (170, 1040, false, (11, true, 10, 480)),
            (190, 1040, false, (11, true, 10, 480)),
            (210, 1040, false, (11, true, 10, 480)),
        ]
    );
}

#[test]
fn a_long_digit_at_48_khz_goes_on_in_segments() {
    let sent = play(48_000, "1", Duration::from_secs(6), 7);
    let starts: Vec<_> = sent.iter().map(|s| s.1).fold(Vec::new(), |mut all, ts| {
        if all.last() != Some(&ts) {
            all.push(ts);
        }
        all
    });
    assert_eq!(starts, [7, 7 + 0xffff, 7 + 2 * 0xffff, 7 + 3 * 0xffff, 7 + 4 * 0xffff]);
    assert_eq!(sent.iter().filter(|s| s.2.marker).count(), 1);
    let full: Vec<_> = sent.iter().filter(|s| fields(&s.2).3 == 0xffff).map(|s| fields(&s.2).1).collect();
    assert_eq!(full, [false; 4]);
    assert_eq!(fields(&sent.last().unwrap().2), (1, true, 10, (288_000 - 4 * 0xffff) as u16));
}

#[test]
fn the_queue_has_an_end() {
    let (now, mut sender) = (start(), DtmfSender::new(8_000));
    assert_eq!(sender.push(now, &digits(&"1".repeat(100)), ms(100)), 64);
    assert_eq!(sender.push(now, &digits("23"), ms(100)), 1, "the digit being sent waits no more");
}

#[test]
fn digits_pushed_later_keep_the_pause() {
    let (now, mut sender) = (start(), DtmfSender::new(8_000));
    sender.push(now, &digits("1"), ms(40));
    while let Some(at) = sender.poll_timeout() {
        sender.poll(at);
    }
    sender.push(now + ms(70), &digits("2"), ms(40));
    assert_eq!(sender.poll_timeout(), Some(now + ms(110)));
    assert_eq!(sender.poll(now + ms(100)), None);
}

struct Case {
    receiver: DtmfReceiver,
    now: Instant,
    heard: Vec<(char, u64)>,
}

impl Case {
    fn new() -> Self {
        Self { receiver: DtmfReceiver::new(8_000), now: start(), heard: Vec::new() }
    }

    fn push(mut self, after: u64, timestamp: u32, digit: u8, end: bool, duration: u16) -> Self {
        self.now += ms(after);
        let [high, low] = duration.to_be_bytes();
        let payload = [digit, if end { END } else { 0 }, high, low];
        let heard = self.receiver.push(self.now, timestamp, &payload);
        self.note(heard)
    }

    fn wait(mut self, ms_passed: u64) -> Self {
        let until = self.now + ms(ms_passed);
        while let Some(at) = self.receiver.poll_timeout().filter(|at| *at <= until) {
            let heard = self.receiver.handle_timeout(at);
            self = self.note(heard);
        }
        self.now = until;
        self
    }

    fn note(mut self, heard: Option<(Digit, Duration)>) -> Self {
        self.heard.extend(heard.map(|(digit, held)| (digit.as_char(), held.as_millis() as u64)));
        self
    }

    fn check(self, expected: &[(char, u64)]) {
        assert_eq!(self.wait(1000).heard, expected);
    }
}

#[test]
fn each_digit_is_heard_once() {
    // Whole; repeated ends.
    let case = Case::new().push(0, 50, 1, false, 160).push(20, 50, 1, true, 320);
    case.push(20, 50, 1, true, 320).push(20, 50, 1, true, 320).check(&[('1', 40)]);
    // Only one end packet came.
    Case::new().push(0, 50, 15, true, 800).check(&[('D', 100)]);
    // No end packet came.
    Case::new().push(0, 50, 1, false, 160).push(20, 50, 1, false, 320).check(&[('1', 40)]);
    // No end packet came, and the next digit is there, or is there and over.
    let case = Case::new().push(0, 50, 1, false, 160);
    case.push(50, 900, 2, false, 160).push(20, 900, 2, true, 320).check(&[('1', 20), ('2', 40)]);
    Case::new().push(0, 50, 1, false, 160).push(50, 900, 2, true, 320).check(&[('1', 20), ('2', 40)]);
    // The same digit twice.
    Case::new().push(0, 50, 7, true, 320).push(90, 950, 7, true, 320).check(&[('7', 40), ('7', 40)]);
    // A stall in the middle: what comes after belongs to what was reported.
    Case::new().push(0, 50, 1, false, 160).wait(500).push(0, 50, 1, true, 4800).check(&[('1', 20)]);
    // Overtaken packets, also of the digit before.
    let case = Case::new().push(0, 50, 1, true, 320).push(90, 900, 2, false, 160).push(0, 50, 1, false, 160);
    case.push(20, 900, 2, true, 480).push(1, 900, 2, false, 320).check(&[('1', 40), ('2', 60)]);
    // Neither a digit nor a duration.
    Case::new().push(0, 50, 16, true, 320).push(0, 50, 200, true, 320).push(0, 50, 3, true, 0).check(&[]);
}

#[test]
fn a_short_payload_is_nothing() {
    assert_eq!(DtmfReceiver::new(8_000).push(start(), 1, &[1, 0x80, 0]), None);
}

proptest! {
    /// Whatever is dialled is heard, as long as one end packet of each digit arrives.
    #[test]
    fn what_is_sent_is_heard(
        text in "[0-9*#A-D]{1,12}",
        duration in prop_oneof![40u64..300, 1000u64..6000],
        clock_rate in prop_oneof![Just(8_000u32), Just(48_000u32)],
        origin in any::<u32>(),
        kept_end in prop::collection::vec(0usize..3, 12),
        middle_lost in any::<u64>(),
    ) {
        let mut receiver = DtmfReceiver::new(clock_rate);
        let mut heard = Vec::new();
        let (mut digit, mut ends) = (0, 0);
        for (n, (now, timestamp, packet)) in play(clock_rate, &text, ms(duration), origin).into_iter().enumerate() {
            while let Some(at) = receiver.poll_timeout().filter(|at| *at < now) {
                heard.extend(receiver.handle_timeout(at));
            }
            let arrives = if fields(&packet).1 {
                ends += 1;
                let arrives = ends - 1 == kept_end[digit];
                if ends == 3 {
                    (digit, ends) = (digit + 1, 0);
                }
                arrives
            } else {
                // Every second packet may be lost, those of a full segment too.
                n % 2 == 0 || middle_lost >> (n % 64) & 1 == 0
            };
            if arrives {
                heard.extend(receiver.push(now, timestamp, &packet.payload));
            }
        }
        prop_assert_eq!(receiver.poll_timeout(), None);
        let spelt: String = heard.iter().map(|(d, _)| d.as_char()).collect();
        prop_assert_eq!(spelt, text);
        for (_, held) in heard {
            prop_assert_eq!(held.as_millis() as u64, duration);
        }
    }

    #[test]
    fn no_packets_panic(packets in prop::collection::vec((0u64..400, any::<u32>(), prop::collection::vec(any::<u8>(), 0..6)), 0..50)) {
        let (mut now, mut receiver) = (start(), DtmfReceiver::new(8_000));
        for (after, timestamp, payload) in packets {
            now += ms(after);
            let _ = receiver.handle_timeout(now);
            let _ = receiver.push(now, timestamp, &payload);
        }
    }
}
