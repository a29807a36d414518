//! Which sequence numbers were really sent. A relayed stream keeps the gaps it came with, and the listener's reports
//! count them as lost; they are not its network's.

/// Numbers remembered one by one: ten seconds of audio, longer than reports are under way.
const KEPT: u32 = 512;

/// The newest sequence numbers of an outgoing stream.
#[derive(Debug, Default)]
pub(super) struct SentMap {
    newest: Option<u16>,
    /// Bit n modulo [`KEPT`]: number n was sent.
    bits: [u64; KEPT as usize / 64],
    missing: u64,
}

impl SentMap {
    /// This number goes out.
    pub(super) fn mark(&mut self, sequence: u16) {
        let Some(newest) = self.newest else {
            self.newest = Some(sequence);
            self.set(sequence, true);
            return;
        };
        let ahead = sequence.wrapping_sub(newest).cast_signed();
        if ahead > 0 {
            for step in 1..ahead.unsigned_abs() {
                self.set(newest.wrapping_add(step), false);
            }
            self.missing += u64::from(ahead.unsigned_abs() - 1);
            self.newest = Some(sequence);
            self.set(sequence, true);
        } else if u32::from(ahead.unsigned_abs()) < KEPT && !self.get(sequence) {
            self.missing = self.missing.saturating_sub(1);
            self.set(sequence, true);
        }
    }

    /// How many numbers up to this one were not sent (so far).
    pub(super) fn missing_up_to(&self, sequence: u16) -> u64 {
        let Some(newest) = self.newest else { return 0 };
        let behind = newest.wrapping_sub(sequence);
        if behind > i16::MAX.unsigned_abs() {
            return self.missing;
        }
        let later = behind.min(KEPT as u16 - 1);
        let since = (0..later).filter(|&n| !self.get(newest.wrapping_sub(n))).count();
        self.missing.saturating_sub(since as u64)
    }

    fn get(&self, sequence: u16) -> bool {
        let (word, bit) = place(sequence);
        self.bits.get(word).is_some_and(|bits| bits >> bit & 1 != 0)
    }

    fn set(&mut self, sequence: u16, sent: bool) {
        let (word, bit) = place(sequence);
        if let Some(bits) = self.bits.get_mut(word) {
            *bits = *bits & !(1 << bit) | u64::from(sent) << bit;
        }
    }
}

fn place(sequence: u16) -> (usize, u32) {
    let at = u32::from(sequence) % KEPT;
    (at as usize / 64, at % 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_missing_until_they_are_filled() {
        let mut map = SentMap::default();
        for sequence in [65_530u16, 65_531, 65_534, 65_533, 1, 2] {
            map.mark(sequence);
        }
        assert_eq!(map.missing_up_to(2), 3);
        assert_eq!(map.missing_up_to(65_535), 2);
        assert_eq!(map.missing_up_to(65_531), 0);
        assert_eq!(map.missing_up_to(65_530), 0);
        map.mark(0);
        assert_eq!(map.missing_up_to(2), 2);
        assert_eq!(map.missing_up_to(500), 2, "numbers to come are not missing");
    }

    #[test]
    fn what_is_far_back_is_counted_all_the_same() {
        let mut map = SentMap::default();
        (0..60_000u16).filter(|n| n % 10 != 5).for_each(|n| map.mark(n));
        assert_eq!(map.missing_up_to(59_999), 6000);
        assert_eq!(map.missing_up_to(59_899), 5990);
    }
}
