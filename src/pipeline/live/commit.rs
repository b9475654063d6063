//! The order of a commit: journal, archive, and only then the positions in the hub.
//!
//! Alerts are in the outbox and rejected records among the dead letters before a group comes here. One
//! group after the other; a step that fails is tried again until it succeeds, because giving up would
//! mean to lose rows. While that lasts nothing is committed and readiness says why.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use tokio::sync::mpsc;

use super::Control;
use crate::archive::{self, Finished};
use crate::checkpoint::Journal;
use crate::event::Span;
use crate::source::Commit;
use crate::store::Store;
use crate::telemetry::metrics::Outcome;
use crate::telemetry::{Health, Metrics};

/// What becomes durable together.
#[derive(Debug, Default)]
pub struct Group {
    /// Number and bytes of a segment of the windows' journal.
    pub segment: Option<(u64, Bytes)>,
    pub files: Vec<Finished>,
    pub spans: Vec<Span>,
}

/// Where groups go.
pub struct Committer {
    pub replica: String,
    pub journal: Option<Journal>,
    pub archive: Option<Store>,
    pub commit: Arc<dyn Commit>,
    pub metrics: Arc<Metrics>,
    pub health: Arc<Health>,
    pub control: mpsc::Sender<Control>,
}

/// Files on their way to the archive at once.
const FILES_AT_ONCE: usize = 8;
/// Pause before a failed step is tried again.
const AGAIN: Duration = Duration::from_secs(1);
const AGAIN_AT_MOST: Duration = Duration::from_secs(30);

impl Committer {
    /// Commits groups until there are no more.
    pub async fn run(self, mut groups: mpsc::Receiver<Group>) {
        while let Some(group) = groups.recv().await {
            let spans = group.spans.len();
            self.group(group).await;
            if spans > 0 {
                self.metrics.commits.get_or_create(&Outcome { outcome: "done".into() }).inc();
            }
            // The other side is gone only when the service ends.
            let _ = self.control.send(Control::Committed { positions: spans > 0 }).await;
        }
    }

    async fn group(&self, group: Group) {
        if let (Some(journal), Some((number, bytes))) = (&self.journal, &group.segment) {
            self.insist("journal", || journal.append(&self.replica, *number, bytes.clone())).await;
        }
        if let Some(store) = &self.archive {
            for files in group.files.chunks(FILES_AT_ONCE) {
                let publishing: Vec<_> = files.iter().map(|file| self.publish(file, store)).collect();
                join_all(publishing).await;
            }
        }
        for span in &group.spans {
            let ours = self.insist("checkpoint", || self.commit.commit(span)).await;
            if !ours {
                tracing::info!(partition = %span.partition, "not committed: the partition is read by another replica now");
            }
        }
    }

    async fn publish(&self, file: &Finished, store: &Store) {
        self.insist("archive", || archive::publish(file, store)).await;
        self.metrics.archive_files.inc();
        self.metrics.archive_bytes.inc_by(file.bytes);
        self.metrics.archive_rows.inc_by(file.rows);
    }

    /// Does a step until it succeeds.
    async fn insist<T, E, F>(&self, what: &'static str, mut step: impl FnMut() -> F) -> T
    where
        E: std::fmt::Display,
        F: Future<Output = Result<T, E>>,
    {
        let mut pause = AGAIN;
        loop {
            match step().await {
                Ok(done) => {
                    self.health.set(what, None);
                    return done;
                }
                Err(error) => {
                    tracing::error!(step = what, "not committed, trying again in {pause:?}: {error}");
                    self.metrics.commits.get_or_create(&Outcome { outcome: format!("{what}_failed") }).inc();
                    self.health.set(what, Some(&error.to_string()));
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(AGAIN_AT_MOST);
                }
            }
        }
    }
}
