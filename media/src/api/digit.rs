//! Digits, and how they go.

/// A digit for RFC 4733: `0-9*#A-D`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digit(u8);

impl Digit {
    /// The digit a character names; `None` for anything that is no DTMF digit.
    #[must_use]
    pub fn from_char(c: char) -> Option<Self> {
        let c = c.to_ascii_uppercase();
        "0123456789*#ABCD".find(c).and_then(|at| u8::try_from(at).ok()).map(Self)
    }

    /// The digit an RFC 4733 event code names (0..=15).
    #[must_use]
    pub fn from_event(code: u8) -> Option<Self> {
        (code < 16).then_some(Self(code))
    }

    /// RFC 4733 section 3.2 event code.
    #[must_use]
    pub fn event(self) -> u8 {
        self.0
    }

    /// The digit as it is written.
    #[must_use]
    pub fn as_char(self) -> char {
        b"0123456789*#ABCD".get(usize::from(self.0)).map_or('?', |&c| char::from(c))
    }
}

/// How digits reach a trunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DigitWay {
    /// As telephone-events (RFC 4733).
    #[default]
    Events,
    /// As tones in the audio.
    Tones,
    /// Not by media: those of the browser are reported, and somebody else sends them.
    Elsewhere,
}
