//! The circuit breaker of one sink: closed while it answers; after some failures in a row open, and from
//! time to time half open for a single alert.

use std::time::Duration;

use tokio::time::Instant;

/// Failures of whole sends in a row, and when the next may be.
#[derive(Debug)]
pub(super) struct Breaker {
    threshold: u32,
    failures: u32,
    since: Option<Instant>,
    until: Option<Instant>,
}

/// What has ended with a success.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Recovery {
    pub failures: u32,
    pub outage: Duration,
    /// The breaker was open.
    pub was_open: bool,
}

impl Breaker {
    /// Opens after `threshold` failures in a row.
    pub fn new(threshold: u32) -> Self {
        Self { threshold: threshold.max(1), failures: 0, since: None, until: None }
    }

    /// When the next send may be; `None` if now.
    pub fn wait(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|until| *until > now)
    }

    /// Failures in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Whether only single alerts are tried.
    pub fn is_open(&self) -> bool {
        self.failures >= self.threshold
    }

    /// Notes that a whole send failed; the next may be after `wait`. Returns the failures in a row.
    pub fn failed(&mut self, wait: Duration, now: Instant) -> u32 {
        self.failures = self.failures.saturating_add(1);
        self.since.get_or_insert(now);
        self.until = Some(now + wait);
        self.failures
    }

    /// Notes that the sink answered; what that ends, if it ends anything.
    pub fn succeeded(&mut self, now: Instant) -> Option<Recovery> {
        let was_open = self.is_open();
        let since = self.since.take()?;
        self.until = None;
        let failures = std::mem::take(&mut self.failures);
        Some(Recovery { failures, outage: now.saturating_duration_since(since), was_open })
    }

    /// The next send may be now.
    pub fn hurry(&mut self) {
        self.until = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_failures_in_a_row_and_closes_with_one_success() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut breaker = Breaker::new(2);
        assert_eq!((breaker.wait(start), breaker.succeeded(start)), (None, None));
        assert_eq!(breaker.failed(second, start), 1);
        assert!(!breaker.is_open());
        assert_eq!(breaker.wait(start), Some(start + second));
        assert_eq!(breaker.wait(start + second), None);
        assert_eq!(breaker.failed(second, start + second), 2);
        assert!(breaker.is_open());
        breaker.hurry();
        assert_eq!((breaker.wait(start + second), breaker.is_open()), (None, true));
        let recovery = Recovery { failures: 2, outage: 3 * second, was_open: true };
        assert_eq!(breaker.succeeded(start + 3 * second), Some(recovery));
        assert_eq!((breaker.failures(), breaker.is_open(), breaker.wait(start)), (0, false, None));
    }
}
