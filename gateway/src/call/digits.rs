//! Digits: which way they reach the trunk, and that each is told once, whatever ways the trunk sends it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use trunkline_config::Dtmf;
use trunkline_media::api::{Command, Digit, DigitWay, Leg};
use trunkline_media::sdp::trunk::TrunkMedia;

use super::input::AttemptId;
use super::{Call, Effect, Stage};

/// The same digit by another way within this time is the same one.
const TWIN: Duration = Duration::from_secs(2);
/// Digits that are remembered for it.
const REMEMBERED: usize = 16;
/// A digit of an INFO that does not say how long it lasted.
const UNSAID: Duration = Duration::from_millis(100);

/// How digits reach a trunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Way {
    #[default]
    Events,
    Info,
    Tones,
}

/// By what a digit came from the trunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Media,
    Info,
}

/// A call's digits.
#[derive(Debug, Default)]
pub(super) struct Digits {
    way: Way,
    /// What the media plane was told last; it begins with events, and deaf to tones.
    told: (DigitWay, bool),
    /// The trunk took no INFO.
    refused: bool,
    heard: VecDeque<(Instant, By, char)>,
}

impl Call {
    /// Sends digits that somebody asked for.
    pub(super) fn send_digits(&mut self, towards: Leg, digits: Vec<Digit>, duration_ms: u32) {
        match self.info_attempt(towards) {
            Some(attempt) => {
                let duration = Duration::from_millis(duration_ms.into());
                let digits = digits.iter().map(|digit| (digit.as_char(), duration)).collect();
                self.effects.push_back(Effect::SendDigits { attempt, digits });
            }
            None => self.media(Command::SendDtmf { leg: towards, digits, duration_ms }),
        }
    }

    /// A digit of the browser's goes on to the trunk: media does that unless it is for INFO.
    pub(super) fn pass_digit_on(&mut self, now: Instant, digit: char, duration_ms: u32) {
        if let Some(attempt) = self.info_attempt(Leg::Trunk) {
            let duration = Duration::from_millis(duration_ms.clamp(40, 6_000).into());
            return self.effects.push_back(Effect::SendDigits { attempt, digits: vec![(digit, duration)] });
        }
        let Stage::Talking(talking) = &self.stage else { return };
        if self.digits.way == Way::Events && talking.media.telephone_event.is_none() {
            self.note_digits_unsent(now, Leg::Trunk, "received");
        }
    }

    /// A digit came by INFO: the browser gets it as from any trunk.
    pub(super) fn info_digit(&mut self, now: Instant, digit: char, duration: Option<Duration>) {
        let duration_ms = u32::try_from(duration.unwrap_or(UNSAID).as_millis()).unwrap_or(u32::MAX);
        if !self.is_first(now, By::Info, digit) {
            return;
        }
        if let Some(digit) = Digit::from_char(digit) {
            self.media(Command::SendDtmf { leg: Leg::Browser, digits: vec![digit], duration_ms });
        }
        self.tell_digit(Leg::Trunk, digit, duration_ms);
    }

    /// The trunk takes no INFO. Left to choose, we play these and all further digits as tones.
    pub(super) fn digits_refused(&mut self, now: Instant, status: Option<u16>, unsent: &[(char, Duration)]) {
        self.notes.evidence("info_status", status);
        if self.dtmf_mode() != Some(Dtmf::Auto) {
            return self.note_digits_unsent(now, Leg::Trunk, "refused");
        }
        self.note_digits_unsent(now, Leg::Trunk, "as_tones");
        self.digits.refused = true;
        self.digits.way = Way::Tones;
        self.tell_media_of_digits((DigitWay::Tones, true), VecDeque::push_back);
        let duration = unsent.first().map_or(UNSAID, |(_, duration)| *duration);
        let digits = unsent.iter().filter_map(|(digit, _)| Digit::from_char(*digit)).collect();
        let duration_ms = u32::try_from(duration.as_millis()).unwrap_or(u32::MAX);
        self.media(Command::SendDtmf { leg: Leg::Trunk, digits, duration_ms });
    }

    /// Whether a digit from the trunk is not one that came by another way a moment ago: some trunks send each twice.
    pub(super) fn is_first(&mut self, now: Instant, by: By, digit: char) -> bool {
        let heard = &mut self.digits.heard;
        while heard.front().is_some_and(|(at, ..)| *at + TWIN < now) {
            heard.pop_front();
        }
        if let Some(at) = heard.iter().position(|(_, other, known)| *other != by && *known == digit) {
            heard.remove(at);
            return false;
        }
        if heard.len() >= REMEMBERED {
            heard.pop_front();
        }
        heard.push_back((now, by, digit));
        true
    }

    /// The media plane is about to be told of the trunk's media: so it is of the way of digits, which depends on them. A leg
    /// that takes another's place begins as any leg does, there as here.
    pub(super) fn follow_digits(&mut self, effect: &Effect) {
        if matches!(effect, Effect::Media(Command::SwapTrunk(_))) {
            self.digits = Digits::default();
        }
        if let Effect::Media(Command::ConnectTrunk(media) | Command::SwapTrunk(media)) = effect {
            let (way, listens) = choose(self.dtmf_mode().unwrap_or_default(), media, self.digits.refused);
            self.digits.way = way;
            let media = match way {
                Way::Events => DigitWay::Events,
                Way::Tones => DigitWay::Tones,
                Way::Info => DigitWay::Elsewhere,
            };
            self.tell_media_of_digits((media, listens), VecDeque::push_front);
        } else if matches!(effect, Effect::LeaseTrunk { .. } | Effect::Media(Command::ReleaseTrunk)) {
            self.digits = Digits::default();
        }
    }

    fn tell_media_of_digits(&mut self, wanted: (DigitWay, bool), put: fn(&mut VecDeque<Effect>, Effect)) {
        if std::mem::replace(&mut self.digits.told, wanted) != wanted {
            let (way, listen) = wanted;
            put(&mut self.effects, Effect::Media(Command::SetDigits { way, listen }));
        }
    }

    fn info_attempt(&self, towards: Leg) -> Option<AttemptId> {
        let Stage::Talking(talking) = &self.stage else { return None };
        (towards == Leg::Trunk && self.digits.way == Way::Info).then_some(talking.attempt)
    }

    fn dtmf_mode(&self) -> Option<Dtmf> {
        self.heard_route().map(|route| route.dtmf)
    }
}

/// The way of digits, and whether tones are listened for. Left to choose: telephone-events if they are agreed on; else
/// INFO, and tones once that is refused.
fn choose(mode: Dtmf, media: &TrunkMedia, refused: bool) -> (Way, bool) {
    let agreed = media.telephone_event.is_some();
    match mode {
        Dtmf::Rfc4733 => (Way::Events, false),
        Dtmf::Info => (Way::Info, false),
        Dtmf::Inband => (Way::Tones, true),
        Dtmf::Auto if agreed => (Way::Events, false),
        Dtmf::Auto if refused => (Way::Tones, true),
        Dtmf::Auto => (Way::Info, true),
    }
}
