//! Small files as one stream of rows: what a service leaves before it is compacted is a file for every
//! minute. A query engine takes ten times as long to open such a file as it takes to read it whole, so they
//! are read here.
//!
//! Rows come with the columns a query needs; its predicates are left to the engine.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use parquet::errors::ParquetError;

use super::read::Opened;
use super::reader::Footers;
use super::stored::{Stored, Unusable};
use super::table::Share;

/// A file of at most so many bytes is small.
pub(super) const SMALL: u64 = 256 << 10;
/// Objects of a store that are fetched at once: each is a round trip.
const AT_ONCE: usize = 16;

/// Small files that one thread reads.
#[derive(Debug)]
pub(super) struct Small {
    pub files: Arc<Vec<Stored>>,
    /// Which of the files, and what of each.
    pub shares: Vec<(usize, Share)>,
    pub footers: Arc<Footers>,
    /// The columns that are read.
    pub schema: SchemaRef,
}

impl PartitionStream for Small {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (footers, schema) = (self.footers.clone(), self.schema.clone());
        let chosen =
            self.shares.iter().filter_map(|(at, share)| Some((self.files.get(*at)?.clone(), share.clone())));
        let chosen: Vec<(Stored, Share)> = chosen.collect();
        let at_once = if chosen.iter().any(|(file, _)| file.blob.is_some()) { AT_ONCE } else { 1 };
        let batches = stream::iter(chosen).map(move |(file, share)| {
            let (footers, schema) = (footers.clone(), schema.clone());
            async move {
                rows(&file, share, &footers, &schema).await.map_err(|error| {
                    let text = format!("cannot read {}: {error}", file.path);
                    DataFusionError::ParquetError(Box::new(ParquetError::General(text)))
                })
            }
        });
        let batches = batches.buffered(at_once).map_ok(|batches| stream::iter(batches.into_iter().map(Ok)));
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), batches.try_flatten()))
    }
}

async fn rows(
    file: &Stored,
    share: Share,
    footers: &Footers,
    schema: &SchemaRef,
) -> std::result::Result<Vec<RecordBatch>, Unusable> {
    let bytes = file.fetch(0..file.bytes).await?;
    let metadata = footers.within(file, &bytes)?;
    let (selection, groups) = match share {
        Share::All => (None, None),
        Share::Rows(rows) => (Some(rows), None),
        Share::Groups(groups) => (None, Some(groups)),
    };
    Opened::with_footer(Arc::new(file.clone()), metadata)?.within(bytes, schema, groups, selection)
}
