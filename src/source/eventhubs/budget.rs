//! Bytes that may be under way at once: one half for those handed on and not given back, the other, shared
//! by the partitions, for those that the service may send without being asked again.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;

/// A permit stands for this many bytes, because permits are counted in 32 bits.
const UNIT: usize = 1024;

/// Messages the service sends ahead on one link.
const LEAST_AHEAD: u32 = 10;
const MOST_AHEAD: u32 = 300;

/// Taken for the size of a message until some are seen: AKS sends many records in one.
const ASSUMED: f64 = 64.0 * 1024.0;
/// How much a new message changes the mean.
const WEIGHT: f64 = 1.0 / 32.0;

/// Room for messages of all partitions.
pub(super) struct Budget {
    room: Arc<Semaphore>,
    units: u32,
    bytes: usize,
    /// Partitions that share it.
    readers: AtomicUsize,
}

impl Budget {
    pub(super) fn new(bytes: usize) -> Self {
        let most = Semaphore::MAX_PERMITS.min(u32::MAX as usize);
        let bytes = bytes / 2;
        let units = (bytes / UNIT).clamp(1, most);
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        Self {
            room: Arc::new(Semaphore::new(units as usize)),
            units,
            bytes: bytes.max(UNIT),
            readers: AtomicUsize::new(0),
        }
    }

    /// Takes as much more as `bytes` need, if it is there.
    pub(super) fn grow(&self, room: &mut Room, bytes: usize) -> bool {
        let missing = self.units_of(bytes).saturating_sub(room.units());
        match (Arc::clone(&self.room).try_acquire_many_owned(missing), &mut room.0) {
            (Ok(more), Some(permit)) => permit.merge(more),
            (Ok(more), none) => *none = Some(more),
            (Err(_), _) => return false,
        }
        true
    }

    /// Waits until there is room for `bytes`. A batch larger than the whole budget takes all of it.
    pub(super) async fn fill(&self, room: &mut Room, bytes: usize) {
        if self.grow(room, bytes) {
            return;
        }
        // Whoever waits has nothing that another one may be waiting for.
        room.0 = None;
        // Never closed, so never an error.
        room.0 = Arc::clone(&self.room).acquire_many_owned(self.units_of(bytes)).await.ok();
    }

    fn units_of(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).clamp(1, self.units)
    }

    /// Bytes handed on and not given back.
    pub(super) fn taken(&self) -> usize {
        (self.units as usize).saturating_sub(self.room.available_permits()) * UNIT
    }

    pub(super) fn readers(&self, count: usize) {
        self.readers.store(count, Ordering::Relaxed);
    }

    /// How many messages of this size a link may have ahead.
    pub(super) fn ahead(&self, size: &Size) -> u32 {
        let share = self.bytes as f64 / self.readers.load(Ordering::Relaxed).max(1) as f64;
        ((share / size.mean.max(1.0)) as u32).clamp(LEAST_AHEAD, MOST_AHEAD)
    }
}

/// Room taken for one batch; given back when it is dropped.
#[derive(Debug, Default)]
pub(super) struct Room(pub(super) Option<OwnedSemaphorePermit>);

impl Room {
    fn units(&self) -> u32 {
        self.0.as_ref().map_or(0, |permit| u32::try_from(permit.num_permits()).unwrap_or(u32::MAX))
    }
}

/// The mean size of the last messages of a partition.
#[derive(Debug, Clone)]
pub(super) struct Size {
    mean: f64,
    known: bool,
}

impl Size {
    pub(super) fn unknown() -> Self {
        Self { mean: ASSUMED, known: false }
    }

    pub(super) fn see(&mut self, bytes: usize) {
        let bytes = bytes as f64;
        self.mean = if self.known { self.mean + (bytes - self.mean) * WEIGHT } else { bytes };
        self.known = true;
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn larger_messages_are_asked_for_in_smaller_numbers() {
        let budget = Budget::new(32 << 20);
        budget.readers(4);
        let mut size = Size::unknown();
        assert_eq!(budget.ahead(&size), 64);
        size.see(200 * 1024);
        assert_eq!(budget.ahead(&size), 20);
        for _ in 0..500 {
            size.see(2048);
        }
        assert_eq!(budget.ahead(&size), 300);
        for _ in 0..500 {
            size.see(1 << 20);
        }
        assert_eq!(budget.ahead(&size), 10);
    }

    #[tokio::test]
    async fn a_batch_larger_than_everything_passes_alone() {
        let budget = Budget::new(20 * UNIT);
        let (mut large, mut small) = (Room::default(), Room::default());
        budget.fill(&mut large, 100 * UNIT).await;
        assert_eq!(budget.taken(), 10 * UNIT);
        assert!(!budget.grow(&mut small, 1));
        assert!(budget.fill(&mut small, 1).now_or_never().is_none());
        drop(large);
        budget.fill(&mut small, 1).await;
        assert_eq!(budget.taken(), UNIT);
        assert!(budget.grow(&mut small, 3 * UNIT));
        assert_eq!(budget.taken(), 3 * UNIT);
        drop(small);
        assert_eq!(budget.taken(), 0);
    }

    #[tokio::test]
    async fn two_that_want_all_do_not_wait_for_each_other() {
        let budget = Budget::new(20 * UNIT);
        let (mut a, mut b) = (Room::default(), Room::default());
        assert!(budget.grow(&mut a, 5 * UNIT) && budget.grow(&mut b, 5 * UNIT));
        let first = async {
            budget.fill(&mut a, 10 * UNIT).await;
            drop(a);
        };
        let second = async {
            budget.fill(&mut b, 10 * UNIT).await;
            drop(b);
        };
        futures::join!(first, second);
        assert_eq!(budget.taken(), 0);
    }
}
