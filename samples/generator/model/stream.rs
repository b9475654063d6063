//! An endless supply of normal traffic for benchmarks and load tests, heavier in bodies than the
//! samples are, because that is where the bytes of big clusters are.

use super::cluster::{Cluster, clusters};
use super::envelope::{Record, message};
use super::random::Random;
use super::{Habit, Scene, habits};

/// Records in a message, as seen from a hub.
const RECORDS: usize = 20;
/// 2026-03-10T00:00:00Z in microseconds.
const START: i64 = 1_773_100_800_000_000;

/// Event Hubs message bodies (`{"records":[…]}`) that hold `events` audit events between them, with
/// about 2.6 KB an event, envelope included. Audit ids are unique; event time goes on by about 40 ms
/// an event, over the three clusters in turn.
pub fn messages(seed: u64, events: usize) -> impl Iterator<Item = Vec<u8>> {
    let clusters = clusters();
    let habits: Vec<&'static Habit> = habits().collect();
    let total: u64 = habits.iter().map(|h| u64::from(h.heavy)).sum();
    let mut random = Random::new(seed);
    let mut at = START;
    let mut left = events;
    let mut turn = 0;
    std::iter::from_fn(move || {
        if left == 0 {
            return None;
        }
        let cluster = &clusters[turn % clusters.len()];
        turn += 1;
        let size = left.min(RECORDS);
        left -= size;
        let records: Vec<String> = (0..size)
            .map(|_| {
                at += random.between(1_000, 80_000);
                record(cluster, &habits, total, at, &mut random)
            })
            .collect();
        Some(message(&records).into_bytes())
    })
}

fn record(cluster: &Cluster, habits: &[&'static Habit], total: u64, at: i64, random: &mut Random) -> String {
    let mut ticket = random.below(total);
    let habit = habits.iter().find(|h| {
        let weight = u64::from(h.heavy);
        let chosen = ticket < weight;
        ticket = ticket.saturating_sub(weight);
        chosen
    });
    let make = habit.map_or(super::system::HABITS[0].make, |h| h.make);
    let event = make(&mut Scene { cluster, random, at });
    let admin = !cluster.audit && habit.is_none_or(|h| h.write);
    let category = if admin { "kube-audit-admin" } else { "kube-audit" };
    Record::audit(cluster, &event, category, random).text(cluster)
}
