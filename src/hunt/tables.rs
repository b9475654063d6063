//! The tables of a session: our own Parquet read by column, everything else decoded, as one.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use datafusion::catalog::TableProvider;
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::error::Result;
use datafusion::logical_expr::LogicalPlanBuilder;
use datafusion::prelude::SessionContext;

use super::files::{Account, FileTable, Files};
use crate::archive;
use crate::archive::table::Damaged;
use crate::event::Table;
use crate::pipeline::parquet::Sorted;
use crate::pipeline::replay::Options;
use crate::pipeline::stages::Progress;
use crate::source::files::FileStatus;

/// The inputs of a session, by who reads them.
pub(super) struct Tables {
    /// The inputs as they were given.
    pub options: Options,
    decoded: Arc<Files>,
    has_own: bool,
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
        let needs_decoding = !others.files.is_empty();
        let decoded = Arc::new(Files::new(Options { inputs: others, ..options.clone() }, progress, room));
        let (selection, damaged) = (options.range.selection(), Damaged::default());
        for table in Table::ALL {
            let files: Arc<dyn TableProvider> = Arc::new(FileTable { table, files: decoded.clone() });
            let provider = if own.is_empty() {
                files
            } else {
                let ours = archive::table::provider(&own, table, &selection, &damaged)?;
                if needs_decoding { both(table, ours, files)? } else { ours }
            };
            context.register_table(table.name(), provider)?;
        }
        Ok(Self { options, decoded, has_own: !own.is_empty(), damaged })
    }

    /// What the queries since the last call did not see.
    pub fn account(&self) -> Account {
        let mut account = self.decoded.account();
        for (path, reason) in self.damaged.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            account.files.insert(PathBuf::from(path), FileStatus::Unreadable(reason.clone()));
        }
        if self.has_own {
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
