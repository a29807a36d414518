//! Which of a speaker's last packets something was done with.

/// A bit each, the newest in bit 0; of those before the last 128 nothing is known.
#[derive(Debug, Default)]
pub(super) struct Recent(u128);

impl Recent {
    /// One comes that is so many numbers newer: nothing was done with it yet, nor with those between.
    pub(super) fn advance(&mut self, by: u64) {
        self.0 = u32::try_from(by).ok().and_then(|by| self.0.checked_shl(by)).unwrap_or(0);
    }

    /// It was done with the newest.
    pub(super) fn mark(&mut self) {
        self.0 |= 1;
    }

    /// Whether it was done with the one so many numbers before the newest.
    pub(super) fn is_marked(&self, ago: u64) -> bool {
        u32::try_from(ago).ok().and_then(|ago| self.0.checked_shr(ago)).unwrap_or(0) & 1 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_128_are_known_one_by_one() {
        let mut recent = Recent::default();
        recent.mark();
        recent.advance(3);
        assert_eq!([0, 1, 2, 3, 4].map(|ago| recent.is_marked(ago)), [false, false, false, true, false]);
        recent.mark();
        recent.advance(124);
        assert_eq!([124, 127, 128, u64::MAX].map(|ago| recent.is_marked(ago)), [true, true, false, false]);
        recent.advance(u64::MAX);
        assert!((0..128).all(|ago| !recent.is_marked(ago)));
    }
}
