//! How long to wait after a failure: exponential with full jitter, and at least what was asked for.

use std::time::Duration;

/// Nobody is waited for longer, whatever its `Retry-After` says.
const LONGEST_ASKED: Duration = Duration::from_secs(3600);
/// The jitter never makes it less than this part of the shortest wait, so that a fault is no busy loop.
const LEAST_PART: u32 = 10;

/// Waits between tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// At most so long after the first failure; twice as long after each further one.
    pub first: Duration,
    /// Never longer.
    pub longest: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_secs(1), longest: Duration::from_secs(300) }
    }
}

impl Backoff {
    /// How long to wait after so many failures in a row, where the other side asked for `asked`.
    pub fn wait(&self, failures: u32, asked: Option<Duration>) -> Duration {
        // Full jitter: many that failed together do not come back together.
        let jitter = self.most(failures).mul_f64(fastrand::f64()).max(self.first / LEAST_PART);
        asked.map_or(jitter, |asked| asked.min(LONGEST_ASKED).max(jitter))
    }

    fn most(&self, failures: u32) -> Duration {
        let factor = 1u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        self.first.saturating_mul(factor).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_up_to_the_longest_with_jitter_below() {
        let backoff = Backoff::default();
        let most: Vec<u64> = [1, 2, 3, 9, 10, 32, 33, u32::MAX].map(|n| backoff.most(n).as_secs()).to_vec();
        assert_eq!(most, [1, 2, 4, 256, 300, 300, 300, 300]);
        let waits: Vec<Duration> = (0..1000).map(|_| backoff.wait(5, None)).collect();
        assert!(waits.iter().all(|w| (Duration::from_millis(100)..=Duration::from_secs(16)).contains(w)));
        let early = waits.iter().filter(|w| **w < Duration::from_secs(4)).count();
        assert!((150..350).contains(&early), "a quarter of the time gets a quarter of the tries: {early}");
    }

    #[test]
    fn what_was_asked_for_is_granted_within_reason() {
        let backoff = Backoff::default();
        assert_eq!(backoff.wait(1, Some(Duration::from_secs(120))), Duration::from_secs(120));
        assert_eq!(backoff.wait(1, Some(Duration::from_secs(1 << 40))), LONGEST_ASKED);
        assert!(backoff.wait(1, Some(Duration::ZERO)) >= Duration::from_millis(100));
    }
}
