//! How many rows fell into each interval of time, in bounded memory: when there are too many intervals,
//! two and two become one.

use std::collections::BTreeMap;

/// Counts by aligned interval. Only intervals that hold something take room.
#[derive(Debug, Clone)]
pub struct Histogram {
    /// Microseconds of an interval before any were joined.
    unit: i64,
    /// How often intervals were joined: each is `unit << joined` long.
    joined: u32,
    counts: BTreeMap<i64, u64>,
    limit: usize,
}

impl Histogram {
    /// `unit` microseconds an interval, until there are more than `limit` of them.
    pub fn new(unit: i64, limit: usize) -> Self {
        Self { unit: unit.max(1), joined: 0, counts: BTreeMap::new(), limit: limit.max(1) }
    }

    /// Microseconds of an interval.
    pub fn width(&self) -> i64 {
        self.unit.saturating_mul(1_i64.checked_shl(self.joined).unwrap_or(i64::MAX))
    }

    /// Counts a row at `time`, microseconds since the epoch.
    pub fn add(&mut self, time: i64) {
        *self.counts.entry(time.div_euclid(self.width())).or_default() += 1;
        self.keep_to_limit();
    }

    /// Adds what another one of the same unit counted.
    pub fn merge(&mut self, other: &Histogram) {
        self.join(other.joined);
        let apart = self.joined - other.joined.min(self.joined);
        for (interval, rows) in &other.counts {
            *self.counts.entry(interval >> apart).or_default() += rows;
        }
        self.keep_to_limit();
    }

    /// Joins intervals until they were joined `times` times in all.
    pub fn join(&mut self, times: u32) {
        while self.joined < times {
            self.joined += 1;
            let mut counts = BTreeMap::new();
            for (interval, rows) in std::mem::take(&mut self.counts) {
                *counts.entry(interval >> 1).or_default() += rows;
            }
            self.counts = counts;
        }
    }

    /// How often intervals were joined.
    pub fn joined(&self) -> u32 {
        self.joined
    }

    /// Intervals that hold something, as their number since the epoch and their rows.
    pub fn intervals(&self) -> &BTreeMap<i64, u64> {
        &self.counts
    }

    fn keep_to_limit(&mut self) {
        while self.counts.len() > self.limit {
            self.join(self.joined + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_kept_and_intervals_are_not() {
        let mut whole = Histogram::new(10, 8);
        let (mut even, mut odd) = (whole.clone(), whole.clone());
        for time in -500..500 {
            whole.add(time);
            if time % 2 == 0 { even.add(time) } else { odd.add(time) }
        }
        odd.add(i64::MIN);
        odd.add(i64::MAX);
        even.merge(&odd);
        assert!(whole.intervals().len() <= 8 && even.intervals().len() <= 8);
        assert_eq!(whole.intervals().values().sum::<u64>(), 1000);
        assert_eq!(even.intervals().values().sum::<u64>(), 1002);
        assert_eq!(whole.width(), 160);
        assert_eq!(whole.intervals().first_key_value().map(|(at, _)| at * 160), Some(-640));
    }
}
