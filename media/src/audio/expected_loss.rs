//! How much a listener will lose, by what it reports.

/// With each report that tells of less, what is expected falls by this share of the difference.
const FALL: f64 = 0.25;

/// Less than this is none.
const NONE: f64 = 0.005;

/// Rises with a report at once and falls by and by: a report tells of a second or five, and of so few packets chance takes
/// one in ten now and none then.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ExpectedLoss(f64);

impl ExpectedLoss {
    /// A report of this fraction (0..1) came. What to expect from now on.
    pub(crate) fn reported(&mut self, fraction: f64) -> f64 {
        let fraction = fraction.max(0.0);
        let fallen = self.0 + (fraction - self.0) * FALL;
        self.0 = fraction.max(fallen).min(1.0);
        if self.0 < NONE {
            self.0 = 0.0;
        }
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protection_outlasts_reports_without_loss_and_ends() {
        // Reports, hundredths; what is expected after the last, from and to.
        for (reports, from, to) in [
            (&[0][..], 0.0, 0.0),
            (&[10], 10.0, 10.0),
            (&[2, 10], 10.0, 10.0),
            (&[10, 0], 7.0, 8.0),
            (&[10, 0, 12, 0, 8], 8.5, 9.0),
            (&[1, 0, 0, 0, 1], 1.0, 1.0),
            (&[10, 0, 0, 0, 0, 0, 0], 1.0, 2.0),
            (&[10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 0.0, 0.0),
        ] {
            let mut loss = ExpectedLoss::default();
            let last = reports.iter().map(|&percent| loss.reported(f64::from(percent) / 100.0) * 100.0).last().unwrap();
            assert!((from..=to).contains(&last), "{reports:?}: {last}");
        }
    }

    #[test]
    fn what_no_peer_may_say_is_survived() {
        let mut loss = ExpectedLoss::default();
        assert!((loss.reported(7.0) - 1.0).abs() < 1e-9);
        assert!(loss.reported(f64::NAN).is_finite() && loss.reported(-1.0) >= 0.0);
    }
}
