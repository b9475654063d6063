//! Tells a silent partition from a dead link: looks again and again at what the hub has of each partition
//! and how far its reader is. Two looks in a row have to agree, because a message may be on its way.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::Instant;
use tokio::time::MissedTickBehavior;
use tokio::time::interval;

use super::health::Progress;
use super::management::Extent;
use super::shared::Shared;
use crate::event::Partition;
use crate::telemetry::metrics;

/// The number of partitions can grow; asked for once in so many looks.
const PARTITIONS_EVERY: u32 = 30;
/// How many times the patience with a stalled link is had with one of which nothing is known, because
/// `$management` does not answer.
const UNKNOWN: u32 = 6;

/// Looks until the source is closed.
pub(super) async fn watch(shared: Arc<Shared>) {
    let closing = shared.closing.clone();
    tokio::select! {
        () = closing.cancelled() => {}
        () = look_around(&shared) => {}
    }
}

async fn look_around(shared: &Shared) {
    let mut ticks = interval(shared.timing().check);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut suspects = HashMap::new();
    let mut answers = true;
    for look in 1_u32.. {
        ticks.tick().await;
        let all = shared.health.all();
        suspects.retain(|partition, _| all.iter().any(|(read, _)| read == partition));
        for (partition, progress) in all {
            match shared.management.extent(&partition).await {
                Ok(extent) => {
                    answers = true;
                    judge(shared, &partition, &progress, &extent, &mut suspects);
                }
                Err(fault) => {
                    if std::mem::take(&mut answers) {
                        tracing::warn!(error = fault.text(), "the hub does not say what it has");
                    }
                    let since = progress.state().waiting.map_or(Duration::ZERO, |since| since.elapsed());
                    if since > shared.timing().stall * UNKNOWN {
                        progress.reopen.notify_waiters();
                    }
                }
            }
        }
        let taken = i64::try_from(shared.budget.taken()).unwrap_or(i64::MAX);
        shared.metrics.queue_bytes.get_or_create(&metrics::Queue { queue: "source" }).set(taken);
        if look % PARTITIONS_EVERY == 0
            && let Ok(partitions) = shared.management.partitions().await
        {
            *shared.partitions.lock().unwrap_or_else(PoisonError::into_inner) = partitions;
        }
    }
}

/// A partition that looked stalled.
struct Suspect {
    seen: i64,
    since: Instant,
}

fn judge(
    shared: &Shared,
    partition: &Partition,
    progress: &Progress,
    extent: &Extent,
    suspects: &mut HashMap<Partition, Suspect>,
) {
    let stall = shared.timing().stall;
    let state = progress.state();
    let Some(seen) = state.seen else { return };
    let lag = extent.behind(seen);
    progress.change(|state| {
        state.lag = Some(lag);
        // What came while the hub was asked is told by what was seen.
        state.idle = lag == 0 && state.waiting.is_some() && state.seen == Some(seen);
    });
    let label = metrics::Partition { partition: partition.to_string() };
    shared.metrics.lag.get_or_create(&label).set(lag);
    // The hub was made anew while the link stayed: connecting again notices.
    let anew = extent.last.sequence < seen;
    let Some(since) = state.waiting.filter(|_| lag > 0 || anew) else {
        suspects.remove(partition);
        if state.waiting.is_some() {
            set_stalled(shared, progress, &label, false);
        }
        return;
    };
    let now = Instant::now();
    let suspect = match suspects.get(partition) {
        Some(suspect) if suspect.seen == seen => suspect,
        _ => {
            suspects.insert(Partition::clone(partition), Suspect { seen, since: now });
            return;
        }
    };
    if now.duration_since(suspect.since) >= stall / 2 && now.duration_since(since) >= stall {
        set_stalled(shared, progress, &label, true);
        progress.reopen.notify_waiters();
        suspects.insert(Partition::clone(partition), Suspect { seen, since: now });
    }
}

fn set_stalled(shared: &Shared, progress: &Progress, label: &metrics::Partition, stalled: bool) {
    progress.change(|state| state.stalled = stalled);
    shared.metrics.stalled.get_or_create(label).set(stalled.into());
}
