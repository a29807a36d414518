//! When the next request is due: well before the bindings run out, and after failures ever later.

use std::time::Duration;

/// Least pause between two tries, whatever else is said.
pub(super) const LEAST: Duration = Duration::from_secs(1);
/// A registrar that asks for a longer pause (Retry-After) gets this one.
pub(super) const MAX_RETRY_AFTER: Duration = Duration::from_secs(3_600);
/// Bindings that last longer are refreshed this long before their end, others at half their time: there is room for
/// several tries, and a registrar that forgot us is found out.
const MARGIN: Duration = Duration::from_secs(600);

/// Pauses after failures in a row (RFC 5626 section 4.5): random, between half of and the whole of twice as much as the
/// time before, up to a limit. Gateways that lost their registrar together do not come back together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Half of the most after the first failure.
    pub base: Duration,
    /// Most.
    pub most: Duration,
}

impl Default for Pace {
    /// As the RFC has it, where no flow is up.
    fn default() -> Self {
        Self { base: Duration::from_secs(30), most: Duration::from_secs(1_800) }
    }
}

impl Pace {
    pub(super) fn after(self, failures: u32, random: u32) -> Duration {
        let doubled = self.base.saturating_mul(1 << failures.min(20));
        upper_half(doubled.min(self.most), random)
    }

    pub(super) fn longest(self, random: u32) -> Duration {
        upper_half(self.most, random)
    }
}

/// How long after a registration the next one is due; a tenth of it is chance.
pub(super) fn refresh_after(lasts: Duration, random: u32) -> Duration {
    let wait = if lasts > 2 * MARGIN { lasts.saturating_sub(MARGIN) } else { lasts / 2 };
    wait.saturating_sub(share(wait / 10, random)).max(LEAST)
}

fn upper_half(time: Duration, random: u32) -> Duration {
    (time / 2 + share(time / 2, random)).max(LEAST)
}

/// A random part of a time.
fn share(time: Duration, random: u32) -> Duration {
    time.mul_f64(f64::from(random) / f64::from(u32::MAX))
}
