//! Delivery: each sink has a worker that takes its alerts from the outbox, sends them, and notes what
//! became of them; when it cannot, it waits and tries again for as long as it takes.
//!
//! At least once: an alert is out of the outbox only after its sink acknowledged it. A sink that hangs,
//! fails or panics delays only itself. What a sink does with alerts, and what its answers mean, is its
//! own; how alerts are kept is the outbox's.

mod worker;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Backoff, Sink};
use crate::event::Clock;
use crate::outbox::Outbox;
use crate::telemetry::{Health, Metrics};

use worker::Worker;

/// How often gauges that change with time are set.
const OBSERVE_EVERY: Duration = Duration::from_secs(5);

/// Waits of the delivery.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    pub backoff: Backoff,
    /// A send that takes longer has failed.
    pub send: Duration,
    /// After so many failures of whole sends in a row only single alerts are tried.
    pub threshold: u32,
}

impl Default for Timing {
    fn default() -> Self {
        Self { backoff: Backoff::default(), send: Duration::from_secs(60), threshold: 5 }
    }
}

/// Where workers say how it goes: counts, and as a note `sink NAME` what a sink fails at.
#[derive(Debug, Clone)]
pub struct Telling {
    pub metrics: Arc<Metrics>,
    pub health: Arc<Health>,
}

/// The running workers; they end when this is dropped.
#[derive(Debug)]
pub struct Delivery {
    stop: CancellationToken,
    workers: JoinSet<()>,
    gauges: JoinSet<()>,
    outbox: Outbox,
    names: Vec<String>,
}

impl Delivery {
    /// Starts a worker for each sink, on the runtime this is called in.
    pub fn start(outbox: Outbox, sinks: Vec<Arc<dyn Sink>>, telling: Telling, clock: Clock) -> Self {
        Self::start_with(outbox, sinks, telling, clock, Timing::default())
    }

    /// Starts with other waits than usual.
    pub fn start_with(
        outbox: Outbox,
        sinks: Vec<Arc<dyn Sink>>,
        telling: Telling,
        clock: Clock,
        timing: Timing,
    ) -> Self {
        let stop = CancellationToken::new();
        let names = sinks.iter().map(|sink| sink.name().to_owned()).collect();
        let mut workers = JoinSet::new();
        for sink in sinks {
            let (outbox, telling, clock) = (outbox.clone(), telling.clone(), Arc::clone(&clock));
            workers.spawn(Worker::new(sink, outbox, telling, clock, timing, stop.clone()).run());
        }
        let mut gauges = JoinSet::new();
        gauges.spawn(observe(outbox.clone(), clock));
        Self { stop, workers, gauges, outbox, names }
    }

    /// Tries once to deliver what is due, those that wait for a fuller mail too, and stops; what is not
    /// delivered after `within` stays in the outbox.
    pub async fn drain(mut self, within: Duration) {
        self.stop.cancel();
        let all = async { while self.workers.join_next().await.is_some() {} };
        let in_time = tokio::time::timeout(within, all).await.is_ok();
        self.workers.shutdown().await;
        self.gauges.shutdown().await;
        for sink in &self.names {
            let alerts = self.outbox.depth(sink);
            if alerts > 0 {
                tracing::info!(sink, alerts, in_time, "alerts stay in the outbox until the next start");
            }
        }
    }
}

async fn observe(outbox: Outbox, clock: Clock) {
    let mut ticks = tokio::time::interval(OBSERVE_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let (outbox, now) = (outbox.clone(), clock());
        let work = tokio::task::spawn_blocking(move || outbox.observe(now));
        if let Ok(Err(error)) = work.await {
            tracing::debug!(%error, "reading the age of alerts failed");
        }
    }
}
