//! Token buckets: how often a client may do what. Bounded in memory whatever comes.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::problem::Problem;

/// Buckets in each of the two generations.
const GENERATION: usize = 20_000;

/// How often is too often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// In the long run; 0 is no limit.
    pub per_minute: u32,
    /// At once.
    pub burst: u32,
}

impl Rate {
    /// So many a minute, all of them at once if somebody likes.
    #[must_use]
    pub fn a_minute(per_minute: u32) -> Self {
        Self { per_minute, burst: per_minute }
    }
}

/// A limit per key, of the rate that holds when it is asked.
pub struct Limiter<K> {
    buckets: Mutex<Buckets<K>>,
}

/// Two generations: a full young one becomes the old one, and with it go the keys that were not seen since.
struct Buckets<K> {
    young: HashMap<K, Bucket>,
    old: HashMap<K, Bucket>,
}

#[derive(Clone, Copy)]
struct Bucket {
    tokens: f64,
    filled: Instant,
}

impl<K> Default for Limiter<K> {
    fn default() -> Self {
        Self { buckets: Mutex::new(Buckets { young: HashMap::new(), old: HashMap::new() }) }
    }
}

impl<K: Hash + Eq> Limiter<K> {
    /// Takes one. Problem: `rate-limited` 429 with the time to wait.
    pub fn take(&self, now: Instant, rate: Rate, key: K) -> Result<(), Problem> {
        if rate.per_minute == 0 {
            return Ok(());
        }
        let (burst, per_second) = (f64::from(rate.burst.max(1)), f64::from(rate.per_minute) / 60.0);
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let known = buckets.young.get(&key).or_else(|| buckets.old.get(&key)).copied();
        let mut bucket = known.unwrap_or(Bucket { tokens: burst, filled: now });
        let since = now.saturating_duration_since(bucket.filled).as_secs_f64();
        bucket.tokens = (bucket.tokens + since * per_second).min(burst);
        bucket.filled = bucket.filled.max(now);
        let verdict = if bucket.tokens >= 1.0 {
            bucket.tokens -= 1.0;
            Ok(())
        } else {
            Err(wait((1.0 - bucket.tokens) / per_second))
        };
        buckets.keep(key, bucket);
        verdict
    }
}

impl<K: Hash + Eq> Buckets<K> {
    fn keep(&mut self, key: K, bucket: Bucket) {
        // overflow: keys not seen for a whole generation start again with a full bucket.
        if self.young.len() >= GENERATION && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, bucket);
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Clamped to what fits.
fn wait(seconds: f64) -> Problem {
    Problem::rate_limited("wait before the next request").retry_in(seconds.ceil().clamp(1.0, 3600.0) as u32)
}

/// What counts as one client: an IPv4 address, or the /64 an IPv6 customer is given (RFC 6177).
#[must_use]
pub fn client_key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_bucket_empties_refills_and_says_how_long_to_wait() {
        let (limiter, rate) = (Limiter::default(), Rate { per_minute: 30, burst: 3 });
        let now = Instant::now();
        for _ in 0..3 {
            assert_eq!(limiter.take(now, rate, "a"), Ok(()));
        }
        let refused = limiter.take(now, rate, "a").unwrap_err();
        assert_eq!((refused.status, refused.retry_after), (429, Some(2)));
        assert_eq!(limiter.take(now, rate, "b"), Ok(()));
        assert_eq!(limiter.take(now + Duration::from_secs(2), rate, "a"), Ok(()));
        assert!(limiter.take(now + Duration::from_secs(2), rate, "a").is_err());
        // A reading from before the last one gives nothing for free.
        assert!(limiter.take(now, rate, "a").is_err());
    }

    #[test]
    fn zero_is_no_limit() {
        let (limiter, rate) = (Limiter::default(), Rate { per_minute: 0, burst: 0 });
        assert!((0..1000).all(|_| limiter.take(Instant::now(), rate, 1).is_ok()));
    }

    #[test]
    fn a_rate_that_changes_holds_for_buckets_that_are_there() {
        let limiter = Limiter::default();
        let (wide, narrow) = (Rate { per_minute: 60, burst: 10 }, Rate { per_minute: 60, burst: 1 });
        let now = Instant::now();
        assert!(limiter.take(now, wide, "a").is_ok() && limiter.take(now, narrow, "a").is_ok());
        assert!(limiter.take(now, narrow, "a").is_err() && limiter.take(now, wide, "a").is_err());
        assert!((0..9).all(|_| limiter.take(now + Duration::from_secs(9), wide, "a").is_ok()));
    }

    #[test]
    fn memory_is_bounded_and_a_busy_key_is_not_forgotten() {
        let (limiter, rate) = (Limiter::default(), Rate { per_minute: 1, burst: 1 });
        let now = Instant::now();
        assert!(limiter.take(now, rate, u32::MAX).is_ok());
        for key in 0..100_000 {
            assert!(limiter.take(now, rate, key).is_ok());
            if key % 1000 == 0 {
                assert!(limiter.take(now, rate, u32::MAX).is_err(), "{key}");
            }
        }
        let buckets = limiter.buckets.lock().unwrap();
        assert!(buckets.young.len() <= GENERATION && buckets.old.len() <= GENERATION);
    }

    #[test]
    fn a_client_is_an_ipv4_address_or_an_ipv6_network() {
        let key = |text: &str| client_key(text.parse().unwrap()).to_string();
        assert_eq!(key("192.0.2.1"), "192.0.2.1");
        assert_eq!(key("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(key("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(key("2001:db8:1:2::9"), "2001:db8:1:2::");
    }
}
