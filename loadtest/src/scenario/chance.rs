//! Chance that can be repeated (splitmix64).

/// Draws by a seed.
#[derive(Debug, Clone)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Somewhere in 0..1.
    pub(crate) fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// One of these, by their weights; `None` of none.
    pub(crate) fn pick<T: Copy>(&mut self, from: &[(T, u32)]) -> Option<T> {
        let all: u32 = from.iter().map(|(_, weight)| weight).sum();
        let mut left = self.share() * f64::from(all);
        for (each, weight) in from {
            left -= f64::from(*weight);
            if left < 0.0 {
                return Some(*each);
            }
        }
        from.last().map(|(each, _)| *each)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
