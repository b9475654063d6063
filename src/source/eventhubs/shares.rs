//! Who should read what: decided by each replica for itself from the leases it sees, without I/O. A lease
//! has run out when it was not renewed for its time by *our* monotonic clock, so clocks that differ between
//! machines do not matter; one given back is free at once.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::checkpoint::Lease;
use crate::checkpoint::LeaseName;
use crate::event::Partition;

/// Claimed in one round at most, so that replicas that start together share before one has all.
const FEW: usize = 8;

/// The leases as they were seen, and since when.
#[derive(Debug)]
pub(super) struct Board {
    me: String,
    time: Duration,
    seen: HashMap<Partition, Seen>,
}

#[derive(Debug)]
struct Seen {
    lease: Lease,
    /// When its etag was first seen.
    since: Instant,
}

/// Why a partition is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// It was ours before a restart.
    Ours,
    Free,
    /// Its owner is gone.
    RunOut,
    /// Its owner has more than its share.
    Share,
}

/// A partition to take, and the lease to replace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) partition: Partition,
    pub(super) seen: Option<Lease>,
    pub(super) why: Why,
}

impl Board {
    pub(super) fn new(me: &str, time: Duration) -> Self {
        Self { me: me.to_owned(), time, seen: HashMap::new() }
    }

    /// Takes note of all leases there are.
    pub(super) fn observe(&mut self, leases: Vec<Lease>, now: Instant) {
        let mut before = std::mem::take(&mut self.seen);
        for lease in leases {
            let LeaseName::Partition(partition) = &lease.name else { continue };
            let since = match before.remove(partition) {
                Some(seen) if seen.lease.etag == lease.etag => seen.since,
                _ => now,
            };
            self.seen.insert(Partition::clone(partition), Seen { lease, since });
        }
    }

    /// What to take now; `mine` are the partitions that this replica reads already.
    pub(super) fn claims(&self, partitions: &[Partition], mine: &[Partition], now: Instant) -> Vec<Claim> {
        let mut owners: BTreeMap<&str, Vec<&Partition>> = BTreeMap::new();
        let mut ours = Vec::new();
        let mut open = Vec::new();
        for partition in partitions {
            if mine.contains(partition) {
                continue;
            }
            let claim = |why, seen: Option<&Seen>| Claim {
                partition: Partition::clone(partition),
                seen: seen.map(|seen| seen.lease.clone()),
                why,
            };
            match self.seen.get(partition) {
                None => open.push(claim(Why::Free, None)),
                Some(seen) if seen.lease.owner.is_empty() => open.push(claim(Why::Free, Some(seen))),
                Some(seen) if seen.lease.owner == self.me => ours.push(claim(Why::Ours, Some(seen))),
                Some(seen) if now.duration_since(seen.since) >= self.time => {
                    open.push(claim(Why::RunOut, Some(seen)));
                }
                Some(seen) => owners.entry(seen.lease.owner.as_str()).or_default().push(partition),
            }
        }
        let share = partitions.len().div_ceil(owners.len() + 1);
        let have = mine.len() + ours.len();
        // Replicas that see the same should not all try the same.
        fastrand::shuffle(&mut open);
        open.truncate(FEW.min(share.saturating_sub(have)));
        ours.append(&mut open);
        if ours.is_empty() && have < share {
            ours.extend(self.surplus(&owners, have));
        }
        ours
    }

    /// One partition of whoever has at least two more than we: only then is anything evened out by taking.
    fn surplus(&self, owners: &BTreeMap<&str, Vec<&Partition>>, have: usize) -> Option<Claim> {
        let richest = owners.values().max_by_key(|partitions| partitions.len())?;
        if richest.len() < have + 2 {
            return None;
        }
        let partition = richest.get(fastrand::usize(..richest.len()))?;
        let seen = self.seen.get(*partition)?;
        Some(Claim {
            partition: Partition::clone(partition),
            seen: Some(seen.lease.clone()),
            why: Why::Share,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Duration = Duration::from_secs(30);

    fn partitions(count: usize) -> Vec<Partition> {
        (0..count).map(|number| number.to_string().into()).collect()
    }

    fn lease(partition: &Partition, owner: &str, version: usize) -> Lease {
        let name = LeaseName::Partition(Partition::clone(partition));
        Lease { name, owner: owner.to_owned(), etag: version.to_string(), modified: 0 }
    }

    /// Replicas that act one after another on a board that all see, until nobody takes anything.
    fn settle(
        partitions: &[Partition],
        owners: &mut HashMap<Partition, (String, usize)>,
        alive: &[&str],
    ) -> usize {
        let start = Instant::now();
        let mut boards: Vec<_> = alive.iter().map(|me| Board::new(me, TIME)).collect();
        let mut moves = 0;
        for round in 0..200_u32 {
            let now = start + TIME / 3 * round;
            let mut quiet = true;
            for (board, me) in boards.iter_mut().zip(alive) {
                for (owner, version) in owners.values_mut().filter(|(owner, _)| owner == me) {
                    assert_eq!(owner, me);
                    *version += 1;
                }
                let leases = owners.iter().map(|(p, (owner, version))| lease(p, owner, *version)).collect();
                board.observe(leases, now);
                let mine: Vec<_> =
                    owners.iter().filter(|(_, (owner, _))| owner == me).map(|(p, _)| p.clone()).collect();
                for claim in board.claims(partitions, &mine, now) {
                    let version = owners.get(&claim.partition).map_or(0, |(_, version)| version + 1);
                    owners.insert(claim.partition, ((*me).to_owned(), version));
                    quiet = false;
                    moves += 1;
                }
            }
            // Long enough for a lease of the dead to run out.
            if quiet && round > 5 {
                return moves;
            }
        }
        panic!("never at rest: {owners:?}");
    }

    fn counts(owners: &HashMap<Partition, (String, usize)>) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for (owner, _) in owners.values() {
            *counts.entry(owner.as_str()).or_default() += 1;
        }
        counts
    }

    #[test]
    fn replicas_share_evenly_and_come_to_rest() {
        for count in [1, 2, 3, 4, 7, 32] {
            for alive in [&["a"][..], &["a", "b"], &["a", "b", "c"], &["a", "b", "c", "d", "e"]] {
                let partitions = partitions(count);
                let mut owners = HashMap::new();
                settle(&partitions, &mut owners, &alive[..1]);
                settle(&partitions, &mut owners, alive);
                let counts = counts(&owners);
                assert_eq!(counts.values().sum::<usize>(), count);
                assert_eq!(counts.len(), alive.len().min(count), "{counts:?}");
                let most = counts.values().max().unwrap();
                assert!(most - counts.values().min().unwrap() <= 1, "{counts:?}");
                assert_eq!(settle(&partitions, &mut owners, alive), 0, "nothing moves any more");
            }
        }
    }

    #[test]
    fn what_a_dead_replica_had_is_taken_when_its_lease_has_run_out() {
        let partitions = partitions(4);
        let mut owners = HashMap::new();
        settle(&partitions, &mut owners, &["a"]);
        settle(&partitions, &mut owners, &["a", "b"]);
        assert_eq!(counts(&owners), BTreeMap::from([("a", 2), ("b", 2)]));
        settle(&partitions, &mut owners, &["b"]);
        assert_eq!(counts(&owners), BTreeMap::from([("b", 4)]));
    }

    #[test]
    fn a_lease_runs_out_by_our_clock_and_one_given_back_is_free_at_once() {
        let partitions = partitions(1);
        let mut board = Board::new("b", TIME);
        let now = Instant::now();
        board.observe(vec![lease(&partitions[0], "a", 1)], now);
        assert_eq!(board.claims(&partitions, &[], now + TIME / 2), []);
        board.observe(vec![lease(&partitions[0], "a", 2)], now + TIME / 2);
        assert_eq!(board.claims(&partitions, &[], now + TIME), []);
        board.observe(vec![lease(&partitions[0], "a", 2)], now + TIME);
        let claims = board.claims(&partitions, &[], now + TIME / 2 + TIME);
        assert_eq!((claims.len(), claims[0].why), (1, Why::RunOut));
        board.observe(vec![lease(&partitions[0], "", 3)], now);
        assert_eq!(board.claims(&partitions, &[], now)[0].why, Why::Free);
    }

    #[test]
    fn a_replica_takes_back_at_once_what_was_its_own() {
        let partitions = partitions(4);
        let mut board = Board::new("a", TIME);
        let now = Instant::now();
        let leases = [("0", "a"), ("1", "b"), ("2", "a"), ("3", "b")];
        board.observe(leases.map(|(p, owner)| lease(&p.into(), owner, 1)).into(), now);
        let mut claims: Vec<_> =
            board.claims(&partitions, &[], now).iter().map(|c| (c.partition.to_string(), c.why)).collect();
        claims.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(claims, [("0".to_owned(), Why::Ours), ("2".to_owned(), Why::Ours)]);
    }
}
