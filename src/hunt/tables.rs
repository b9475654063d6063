//! The tables of a session: our own Parquet read by column, everything else decoded.
//!
//! Where the same event may be in both, or in two archives, all of it goes through the decoder's way, which is
//! slower and knows an event again wherever it lies.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use datafusion::catalog::TableProvider;
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::error::Result;
use datafusion::logical_expr::LogicalPlanBuilder;
use datafusion::prelude::SessionContext;

use super::files::{Account, FileTable, Files};
use crate::archive::layout::Placed;
use crate::archive::table::Damaged;
use crate::archive::{self, Stored};
use crate::event::Table;
use crate::pipeline::parquet::Sorted;
use crate::pipeline::replay::Options;
use crate::pipeline::stages::Progress;
use crate::source::files::{FileStatus, InputFile, Inputs, Reader, Sizes};

/// The inputs of a session, by who reads them.
pub(super) struct Tables {
    /// The inputs as they were given.
    pub options: Options,
    decoded: Arc<Files>,
    by_column: bool,
    damaged: Damaged,
}

impl Tables {
    /// Looks at each file and registers the tables; `room` is for decoded rows that are kept, bytes. For
    /// threads that may wait.
    pub fn register(
        context: &SessionContext,
        options: Options,
        progress: Arc<dyn Progress + Send + Sync>,
        room: usize,
    ) -> Result<Self> {
        let Sorted { own, mut others, unreadable, .. } = Sorted::new(&options.inputs);
        // Whoever decodes them says what is wrong with them.
        let unreadable = unreadable.iter().filter_map(|problem| options.inputs.files.get(problem.file));
        others.files.extend(unreadable.cloned());
        let by_column = !own.is_empty() && !meet(&own) && !hold_rows(&others);
        let inputs = if by_column { others } else { options.inputs.clone() };
        let needs_decoding = !inputs.files.is_empty();
        let decoded = Arc::new(Files::new(Options { inputs, ..options.clone() }, progress, room));
        let (selection, damaged) = (options.range.selection(), Damaged::default());
        for table in Table::ALL {
            let files: Arc<dyn TableProvider> = Arc::new(FileTable { table, files: decoded.clone() });
            let provider = if by_column {
                let ours = archive::table::provider(&own, table, &selection, &damaged)?;
                // What is no log has no rows, but is told of.
                if needs_decoding { both(table, ours, files)? } else { ours }
            } else {
                files
            };
            context.register_table(table.name(), provider)?;
        }
        Ok(Self { options, decoded, by_column, damaged })
    }

    /// What the queries since the last call did not see.
    pub fn account(&self) -> Account {
        let mut account = self.decoded.account();
        for (path, reason) in self.damaged.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            account.files.insert(PathBuf::from(path), FileStatus::Unreadable(reason.clone()));
        }
        if self.by_column {
            // Rows that are read by column are not counted, so nobody knows whether there were none.
            account.times = None;
        }
        account
    }

    /// Bytes to decode for this many scans; what is read by column is not known before.
    pub fn to_read(&self, scans: usize) -> u64 {
        self.decoded.to_read(scans)
    }
}

/// Whether rows of one table, cluster and hour may lie in two folders, as in an archive and its copy.
fn meet(own: &[Stored]) -> bool {
    let mut places = HashMap::new();
    own.iter().any(|file| {
        let slot = Placed::parse(&file.path).map(|placed| (placed.table, placed.cluster, placed.hour));
        let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        places.insert(slot, folder).is_some_and(|other| other != folder)
    }) || places.len() > 1 && places.contains_key(&None)
}

/// Whether there is anything to decode in these. Looks until something is found; not into what can be read
/// only once.
fn hold_rows(others: &Inputs) -> bool {
    let once = |file: &InputFile| {
        file.blob.is_none() && std::fs::metadata(&file.path).is_ok_and(|about| !about.is_file())
    };
    others.files.iter().any(once) || Reader::new(others, Sizes::default()).any(|item| item.is_ok())
}

/// Rows of both.
fn both(
    table: Table,
    ours: Arc<dyn TableProvider>,
    decoded: Arc<dyn TableProvider>,
) -> Result<Arc<dyn TableProvider>> {
    let scan = |part| LogicalPlanBuilder::scan(table.name(), provider_as_source(part), None);
    let plan = scan(ours)?.union(scan(decoded)?.build()?)?.build()?;
    Ok(Arc::new(ViewTable::new(plan, None)))
}
