//! Is somebody speaking? Energy against a noise floor that follows the quietest moment of the last seconds.

/// A part of the past, in frames; the floor is the lowest of all parts.
const PART: u16 = 40;
const PARTS: usize = 8;

/// Above the floor by so many decibels is speech.
const ABOVE_DB: f32 = 7.0;

/// The floor is what the quietest 40 ms have; the mean of the noise lies above.
const BIAS_DB: f32 = 2.0;

/// No microphone is quieter, whatever a noise suppressor makes of it.
const LOWEST_DBOV: f32 = -78.0;

/// Frames that still count as speech after it.
const HANGOVER: u8 = 12;

/// Follows levels of 10 ms frames.
#[derive(Debug)]
pub(super) struct VoiceActivity {
    smooth: f32,
    lowest: f32,
    in_part: u16,
    parts: [i8; PARTS],
    part: usize,
    hangover: u8,
    /// Parts that are filled, up to all.
    filled: usize,
    /// The lowest of them.
    past: f32,
}

impl Default for VoiceActivity {
    fn default() -> Self {
        Self { smooth: 0.0, lowest: 0.0, in_part: 0, parts: [0; PARTS], part: 0, hangover: 0, filled: 0, past: 0.0 }
    }
}

impl VoiceActivity {
    /// Takes the level of the next frame; whether it is speech.
    pub(super) fn push(&mut self, level: i8) -> bool {
        let level = f32::from(level);
        let first = self.filled == 0 && self.in_part == 0;
        self.smooth = if first { level } else { self.smooth + (level - self.smooth) / 4.0 };
        self.lowest = if self.in_part == 0 { self.smooth } else { self.lowest.min(self.smooth) };
        self.in_part += 1;
        if self.in_part == PART {
            if let Some(part) = self.parts.get_mut(self.part) {
                *part = self.lowest as i8;
            }
            self.part = (self.part + 1) % PARTS;
            self.filled = (self.filled + 1).min(PARTS);
            self.in_part = 0;
            self.past = self.parts.iter().take(self.filled).copied().min().map_or(0.0, f32::from);
        }
        let speaks = self.smooth > self.floor().max(LOWEST_DBOV) + ABOVE_DB;
        self.hangover = if speaks { HANGOVER } else { self.hangover.saturating_sub(1) };
        speaks
    }

    fn floor(&self) -> f32 {
        if self.in_part == 0 { self.past } else { self.past.min(self.lowest) }
    }

    /// Somebody spoke within the last tenth of a second.
    pub(super) fn is_speaking(&self) -> bool {
        self.hangover > 0
    }

    /// The level of the last 40 ms.
    pub(super) fn smooth(&self) -> i8 {
        self.smooth as i8
    }

    /// Level of the noise, once enough was heard to know.
    pub(super) fn noise(&self) -> Option<i8> {
        (self.filled >= PARTS / 2).then(|| (self.floor() + BIAS_DB).clamp(-127.0, 0.0) as i8)
    }
}
