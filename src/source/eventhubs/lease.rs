//! One lease in the checkpoint store: asking for it and keeping it, with an end to every wait.

use tokio::time::Instant;
use tokio::time::timeout;

use super::shared::Holding;
use super::shared::Shared;
use crate::checkpoint::Lease;
use crate::checkpoint::LeaseName;
use crate::event::Partition;

/// Asks for a lease; it counts from before the question.
pub(super) async fn claim(
    shared: &Shared,
    partition: &Partition,
    seen: Option<&Lease>,
) -> Result<Option<Holding>, String> {
    let name = LeaseName::Partition(Partition::clone(partition));
    let config = &shared.link.config;
    let asked = Instant::now();
    let patience = shared.store_patience();
    match timeout(patience, shared.checkpoints.claim(&name, &config.replica, seen)).await {
        Ok(Ok(lease)) => Ok(lease.map(|lease| Holding { lease, asked, until: asked + config.lease })),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer in {patience:?}")),
    }
}

/// Renews a lease. Whether it is still ours, as far as is known: while the store is away, until it runs out.
pub(super) async fn renew(shared: &Shared, partition: &Partition, holding: &Holding) -> bool {
    let held = &shared.held;
    match claim(shared, partition, Some(&holding.lease)).await {
        Ok(Some(holding)) => {
            held.set(partition, holding);
            return true;
        }
        Ok(None) => tracing::info!(%partition, "another replica took the partition"),
        Err(error) if holding.until <= Instant::now() => {
            tracing::error!(%partition, error, "a lease has run out: the partition is given up");
        }
        Err(error) => {
            tracing::warn!(%partition, error, "a lease was not renewed: reading on until it runs out");
            return true;
        }
    }
    held.remove(partition);
    false
}
