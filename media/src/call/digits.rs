//! Digits on the trunk's side: as telephone-events, as tones, or as somebody else's business.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Call;
use crate::api::{Digit, DigitWay, Leg, MediaEvent};
use crate::audio::Codec;
use crate::audio::codec::Decoder;
use crate::audio::dtmf::{DtmfEar, tones};
use crate::rtp::receiver::Accepted;
use crate::trunk::TrunkLeg;

/// Names the recording of a digit among prompts.
const TONE: u32 = u32::MAX;
/// Digits that wait to be played as tones.
const QUEUE: usize = 64;
/// A digit heard as a tone waits this long for its telephone-event: a trunk that sends both means one digit.
const TWIN: Duration = Duration::from_millis(300);
/// Telephone-events this long before a tone's end belong to it, beside the time it lasted.
const BEFORE: Duration = Duration::from_millis(500);
/// A trunk that falls silent in the middle of a tone has ended it.
const SILENCE: Duration = Duration::from_millis(200);
/// What the ear hears best, Hz.
const RATE: u32 = 8_000;
/// What the ear is given then, samples: more than ends any digit.
const ENDING: usize = 800;

/// How digits come and go.
#[derive(Debug, Default)]
pub(super) struct TrunkDigits {
    way: DigitWay,
    /// Digits to be played, and whether somebody waits to hear that they are through.
    queue: VecDeque<(Digit, Duration)>,
    asked: bool,
    playing: bool,
    ear: Option<Box<Listening>>,
    /// The last packet of a telephone-event.
    event_at: Option<Instant>,
}

#[derive(Debug, Default)]
struct Listening {
    ear: DtmfEar,
    /// Of the packet heard last.
    last: Option<(u64, Instant)>,
    /// Heard, when, and for how long; each waits for its twin.
    heard: VecDeque<(Instant, Digit, Duration)>,
    /// For codecs whose octets are no samples.
    decoder: Option<(Codec, Decoder)>,
    pcm: Vec<i16>,
}

impl TrunkDigits {
    pub(super) fn event_came(&mut self, now: Instant) {
        self.event_at = Some(now);
    }

    /// Listens for tones in a packet of the trunk's.
    pub(super) fn hear(&mut self, now: Instant, codec: Codec, accepted: &Accepted, payload: &[u8]) {
        let Some(listening) = &mut self.ear else { return };
        let Accepted { sequence, restarted } = *accepted;
        // Another stream may count from anywhere.
        match listening.last.filter(|_| !restarted) {
            // Late, or twice.
            Some((last, _)) if sequence <= last => return,
            Some((last, _)) if sequence == last + 1 => {}
            // Something was lost: a tone that goes on after it is the same one.
            Some(_) | None => listening.ear.interrupt(),
        }
        listening.last = Some((sequence, now));
        match codec.samples_by_octet() {
            Some(table) => {
                let sample = |&octet: &u8| table.get(usize::from(octet)).copied().unwrap_or_default();
                listening.hear(now, payload.iter().map(sample));
            }
            None => listening.decode(now, codec, payload),
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        let listening = self.ear.as_ref()?;
        let ripe = listening.heard.front().map(|(at, ..)| (*at + TWIN, "a tone's twin"));
        let ending =
            listening.last.filter(|_| listening.ear.is_hearing()).map(|(_, at)| (at + SILENCE, "a tone's end"));
        [ripe, ending].into_iter().flatten().min_by_key(|(at, _)| *at)
    }
}

impl Call {
    pub(super) fn set_digits(&mut self, way: DigitWay, listen: bool) {
        self.digits.way = way;
        if listen {
            self.digits.ear.get_or_insert_default();
        } else {
            self.digits.ear = None;
        }
    }

    /// Sends digits to a leg. `asked`: it is reported when they are through.
    pub(super) fn send_digits(&mut self, now: Instant, leg: Leg, digits: &[Digit], duration: Duration, asked: bool) {
        let stream = match (leg, self.digits.way) {
            (Leg::Browser, _) => Some(&mut self.browser.stream),
            (Leg::Trunk, DigitWay::Events) => {
                self.trunk.as_mut().filter(|trunk| trunk.output().is_some()).and_then(TrunkLeg::stream)
            }
            (Leg::Trunk, DigitWay::Tones) => return self.queue_tones(now, digits, duration, asked),
            (Leg::Trunk, DigitWay::Elsewhere) if !asked => return,
            (Leg::Trunk, DigitWay::Elsewhere) => None,
        };
        if !stream.is_some_and(|stream| stream.push_digits(now, digits, duration, asked)) {
            self.report(Some(MediaEvent::DtmfNotSent { leg }));
        }
    }

    fn queue_tones(&mut self, now: Instant, digits: &[Digit], duration: Duration, asked: bool) {
        let listens = self.trunk.as_ref().is_some_and(|trunk| trunk.output().is_some());
        // overflow: the rest is not sent, and that is said.
        let room = if listens { QUEUE.saturating_sub(self.digits.queue.len()) } else { 0 };
        let taken = digits.len().min(room);
        self.digits.queue.extend(digits.iter().take(taken).map(|&digit| (digit, duration)));
        self.digits.asked |= asked && taken > 0;
        if taken < digits.len() {
            self.report(Some(MediaEvent::DtmfNotSent { leg: Leg::Trunk }));
        }
        if !self.digits.playing {
            self.next_tone(now);
        }
    }

    /// Whether a leg hears digits as tones now.
    pub(super) fn plays_tones(&self, leg: Leg) -> bool {
        leg == Leg::Trunk && self.digits.playing
    }

    /// The leg is played something else: what is left of its digits is not sent, and that is said.
    pub(super) fn cut_tones(&mut self, leg: Leg) {
        if self.plays_tones(leg) {
            self.digits.queue.clear();
            (self.digits.playing, self.digits.asked) = (false, false);
            self.report(Some(MediaEvent::DtmfNotSent { leg }));
        }
    }

    /// A prompt towards the trunk has come to its end.
    pub(super) fn played_to_trunk(&mut self, now: Instant, finished: Option<u32>) {
        match finished {
            Some(TONE) => self.next_tone(now),
            Some(id) => self.report(Some(MediaEvent::PromptFinished { leg: Leg::Trunk, id })),
            None => {}
        }
    }

    fn next_tone(&mut self, now: Instant) {
        self.digits.playing = false;
        while let Some((digit, duration)) = self.digits.queue.pop_front() {
            let Ok(recording) = tones::recording(digit, duration) else { continue };
            // Whatever else the trunk was played ends here: digits do not wait for music.
            let cut = self.to_trunk.playing().filter(|id| *id != TONE);
            self.report(cut.map(|id| MediaEvent::PromptFinished { leg: Leg::Trunk, id }));
            self.to_trunk.play(now, TONE, Arc::new(recording), false, false);
            self.digits.playing = true;
            return;
        }
        if std::mem::take(&mut self.digits.asked) {
            self.report(Some(MediaEvent::DtmfSent { leg: Leg::Trunk }));
        }
    }

    /// Tones that have waited long enough, and those that nothing follows.
    pub(super) fn ripe_tones(&mut self, now: Instant) {
        let Some(listening) = &mut self.digits.ear else { return };
        if listening.last.is_some_and(|(_, at)| at + SILENCE <= now) && listening.ear.is_hearing() {
            listening.hear(now, std::iter::repeat_n(0, ENDING));
        }
        let mut ripe = Vec::new();
        while let Some(&(at, digit, duration)) = listening.heard.front().filter(|(at, ..)| *at + TWIN <= now) {
            listening.heard.pop_front();
            let twin = self.digits.event_at.is_some_and(|event| event + BEFORE + duration >= at);
            if !twin {
                ripe.push((digit, duration));
            }
        }
        for (digit, duration) in ripe {
            let duration_ms = u32::try_from(duration.as_millis()).unwrap_or(u32::MAX);
            // The browser has heard it.
            self.report(Some(MediaEvent::Dtmf { from: Leg::Trunk, digit, duration_ms }));
        }
    }
}

impl Listening {
    fn decode(&mut self, now: Instant, codec: Codec, payload: &[u8]) {
        if self.decoder.as_ref().is_none_or(|(of, _)| *of != codec) {
            self.decoder = Decoder::new(codec, RATE).ok().map(|decoder| (codec, decoder));
        }
        let mut pcm = std::mem::take(&mut self.pcm);
        if let Some((_, decoder)) = &mut self.decoder
            && decoder.decode(payload, &mut pcm).is_ok()
        {
            self.hear(now, pcm.iter().copied());
        }
        self.pcm = pcm;
    }

    fn hear(&mut self, now: Instant, pcm: impl Iterator<Item = i16>) {
        let heard = &mut self.heard;
        self.ear.listen(pcm, |digit, duration| {
            // overflow: cannot be, none waits longer than a third of a second; the oldest are kept.
            if heard.len() < QUEUE {
                heard.push_back((now, digit, duration));
            }
        });
    }
}
