//! Our own Parquet as a table that DataFusion reads with its own source: only columns, row groups and pages
//! that a query needs, on as many threads as the session has.
//!
//! Files are left out by the hour in their path first, then by Bloom filters where a query asks for one
//! identity, address or object, then by statistics and the pages' index. A row that lies in several files is seen once.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{ArrayRef, BooleanArray, TimestampMicrosecondArray};
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::{
    ParquetAccessPlan, ParquetRowSelection, RowGroupAccess,
};
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::{TableType, ViewTable, provider_as_source};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{
    BinaryExpr, Expr, LogicalPlanBuilder, Operator, TableProviderFilterPushDown, col, lit,
};
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::union::UnionExec;
use parquet::arrow::arrow_reader::RowSelection;

use super::copies::{self, by_folder};
use super::layout::{HOUR, Placed};
pub use super::reader::Damaged;
use super::reader::{Footers, Older, Place, Readers};
use super::selection::Selection;
use super::sieve::{Wanted, sift};
use super::small::{SMALL, Small};
use super::stored::Stored;
use crate::event::Table;

/// The files of an archive that are rows of `table`, as SQL sees them. `files` are our own Parquet; those
/// outside the selection and of the other table are left out. A file that turns out to be damaged is
/// passed and told to `damaged`.
pub fn provider(
    files: &[Stored],
    table: Table,
    selection: &Selection,
    damaged: &Damaged,
) -> Result<Arc<dyn TableProvider>> {
    let mut files: Vec<Stored> = files.iter().filter(|file| file.table == table).cloned().collect();
    selection.prune(&mut files);
    let files = Arc::new(files);
    let archive = Arc::new(Archive {
        table,
        footers: Arc::new(Footers::new(files.clone(), damaged.clone())),
        files,
        folders: Mutex::default(),
    });
    let Some(predicate) = predicate(selection) else { return Ok(archive) };
    let plan = LogicalPlanBuilder::scan(table.name(), provider_as_source(archive), None)?;
    Ok(Arc::new(ViewTable::new(plan.filter(predicate)?.build()?, None)))
}

/// The selection in SQL's terms.
fn predicate(selection: &Selection) -> Option<Expr> {
    let time = |micros| lit(ScalarValue::TimestampMicrosecond(Some(micros), Some("+00:00".into())));
    let cluster = selection.cluster.as_ref().map(|wanted| {
        let escaped: String = wanted
            .chars()
            .flat_map(|c| matches!(c, '%' | '_' | '\\').then_some('\\').into_iter().chain([c]))
            .collect();
        let like = |pattern: String| col("cluster").ilike(lit(pattern));
        like(escaped.clone()).or(like(format!("%/{escaped}")))
    });
    let since = selection.since.map(|since| col("time").gt_eq(time(since)));
    let until = selection.until.map(|until| col("time").lt(time(until)));
    conjunction([since, until, cluster].into_iter().flatten())
}

/// Which files of a folder are read, and which of their rows.
type Folder = Arc<Vec<(usize, Option<RowSelection>)>>;

/// What is read of a file.
#[derive(Debug, Clone)]
pub(super) enum Share {
    All,
    Rows(RowSelection),
    /// Of each row group, whether it is read.
    Groups(Vec<bool>),
}

struct Archive {
    table: Table,
    files: Arc<Vec<Stored>>,
    footers: Arc<Footers>,
    /// Folders that were looked at: a shell asks again and again.
    folders: Mutex<HashMap<String, Folder>>,
}

impl fmt::Debug for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Archive").field("table", &self.table).field("files", &self.files.len()).finish()
    }
}

#[async_trait]
impl TableProvider for Archive {
    fn schema(&self) -> SchemaRef {
        self.table.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        // They come again as physical predicates, and the source takes those exactly.
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let wanted = self.in_time(state, filters)?;
        let threads = state.config().target_partitions();
        let files = self.sifted(self.planned(wanted).await?, filters, threads).await?;
        let (small, large): (Vec<_>, Vec<_>) = files
            .into_iter()
            .partition(|(at, _)| self.files.get(*at).is_some_and(|file| file.bytes <= SMALL));
        if small.is_empty() {
            return self.engine(large, projection, limit, threads);
        }
        let small = self.small(small, projection, limit, threads)?;
        if large.is_empty() {
            return Ok(small);
        }
        UnionExec::try_new(vec![self.engine(large, projection, limit, threads)?, small])
    }
}

impl Archive {
    /// A plan in which the engine reads files.
    fn engine(
        &self,
        files: Vec<(usize, Share)>,
        projection: Option<&Vec<usize>>,
        limit: Option<usize>,
        threads: usize,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = self.schema();
        let source = ParquetSource::new(schema)
            .with_pushdown_filters(true)
            .with_reorder_filters(true)
            .with_parquet_file_reader_factory(Arc::new(Readers::new(self.footers.clone())));
        let groups = self.groups(files, threads);
        // Bytes come from our readers; the store named here is never asked.
        let config = FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), Arc::new(source))
            .with_file_groups(groups)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .with_expr_adapter(Some(Arc::new(Older)))
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }

    /// A plan in which we read files ourselves.
    fn small(
        &self,
        files: Vec<(usize, Share)>,
        projection: Option<&Vec<usize>>,
        limit: Option<usize>,
        threads: usize,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = match projection {
            Some(columns) => Arc::new(self.schema().project(columns)?),
            None => self.schema(),
        };
        let share = files.len().div_ceil(threads.max(1)).max(1);
        let parts = files.chunks(share).map(|shares| {
            let (files, footers) = (self.files.clone(), self.footers.clone());
            let small = Small { files, shares: shares.to_vec(), footers, schema: schema.clone() };
            Arc::new(small) as Arc<dyn PartitionStream>
        });
        let plan = StreamingTableExec::try_new(schema.clone(), parts.collect(), None, [], false, limit)?;
        Ok(Arc::new(plan))
    }

    /// Which files may have rows for the filters, as the hours in their paths tell.
    fn in_time(&self, state: &dyn Session, filters: &[Expr]) -> Result<Vec<bool>> {
        let all = vec![true; self.files.len()];
        let Some(filter) = conjunction(filters.iter().cloned()) else { return Ok(all) };
        let schema = self.schema();
        let known = DFSchema::try_from(schema.as_ref().clone())?;
        let Ok(filter) = state.create_physical_expr(filter, &known) else { return Ok(all) };
        match PruningPredicateBuilder::new().with_file_schema(schema).build(filter) {
            Some(predicate) => predicate.prune(&Hours(&self.files)),
            None => Ok(all),
        }
    }

    /// The wanted files that count, with their rows that do.
    async fn planned(&self, wanted: Vec<bool>) -> Result<Vec<(usize, Option<RowSelection>)>> {
        let mut folders: Vec<(String, Vec<usize>)> = Vec::new();
        for (folder, mut members) in by_folder(&self.files) {
            members.retain(|at| wanted.get(*at).copied().unwrap_or(true));
            if !members.is_empty() {
                folders.push((folder.to_owned(), members));
            }
        }
        let mut planned = Vec::new();
        for (folder, members) in folders {
            let known = self.folders.lock().unwrap_or_else(PoisonError::into_inner).get(&folder).cloned();
            let found = match known {
                Some(found) => found,
                // All files of a folder are of one hour, so what is wanted of one is wanted of all.
                None if members.len() == 1 => Arc::new(members.into_iter().map(|at| (at, None)).collect()),
                None => {
                    let found = self.look(&members).await?;
                    let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
                    folders.insert(folder, found.clone());
                    found
                }
            };
            planned.extend(found.iter().cloned());
        }
        Ok(planned)
    }

    /// Of the files that count, those whose row groups may hold what the filters want.
    async fn sifted(
        &self,
        files: Vec<(usize, Option<RowSelection>)>,
        filters: &[Expr],
        threads: usize,
    ) -> Result<Vec<(usize, Share)>> {
        let share = |rows: Option<RowSelection>| rows.map_or(Share::All, Share::Rows);
        let wanted = Wanted::all(filters.iter().map(wanted).collect());
        if wanted == Wanted::Anything {
            return Ok(files.into_iter().map(|(at, rows)| (at, share(rows))).collect());
        }
        let places = files.iter().map(|(at, _)| *at).collect();
        let footers = self.footers.clone();
        let footer = move |file: &Stored| footers.of(file);
        let found = sift(self.files.clone(), places, wanted, threads, footer).await;
        let found = found.map_err(|e| DataFusionError::External(Box::new(e)))?;
        let mut found: HashMap<usize, Option<Vec<bool>>> = found.into_iter().collect();
        let kept = files.into_iter().filter_map(|(at, rows)| match (found.remove(&at).flatten(), rows) {
            (Some(groups), _) if !groups.contains(&true) => None,
            (Some(groups), None) => Some((at, Share::Groups(groups))),
            (_, rows) => Some((at, share(rows))),
        });
        Ok(kept.collect())
    }

    /// Looks into the files of a folder, on a thread that may wait.
    async fn look(&self, members: &[usize]) -> Result<Folder> {
        let (files, footers, members) = (self.files.clone(), self.footers.clone(), members.to_vec());
        let look = move || -> std::result::Result<Folder, super::Unusable> {
            let footer = |file: &Stored| footers.of(file);
            let all = members.iter().filter_map(|at| Some((*at, files.get(*at)?)));
            let replaced = copies::replaced(all.clone().map(|(_, file)| file), &footer)?;
            let kept: Vec<(usize, &Stored)> =
                all.filter(|(_, file)| !replaced.contains(copies::name(&file.path))).collect();
            let stored: Vec<&Stored> = kept.iter().map(|(_, file)| *file).collect();
            let selections = copies::repeated(&stored, &footer)?;
            Ok(Arc::new(kept.into_iter().map(|(at, _)| at).zip(selections).collect()))
        };
        let looked = tokio::task::spawn_blocking(look).await;
        let looked = looked.map_err(|e| DataFusionError::External(Box::new(e)))?;
        looked.map_err(|e| DataFusionError::External(Box::new(e)))
    }

    /// Files by the thread that reads them, each with about the same bytes.
    fn groups(&self, files: Vec<(usize, Share)>, threads: usize) -> Vec<FileGroup> {
        let mut sized: Vec<(u64, PartitionedFile)> = files
            .into_iter()
            .filter_map(|(at, share)| {
                let stored = self.files.get(at)?;
                let mut file = PartitionedFile::new(stored.path.trim_start_matches('/'), stored.bytes)
                    .with_extension(Place(at));
                match share {
                    Share::All => {}
                    Share::Rows(rows) => file = file.with_extension(ParquetRowSelection::new(rows)),
                    Share::Groups(groups) => {
                        let access = |scan| if scan { RowGroupAccess::Scan } else { RowGroupAccess::Skip };
                        let plan = ParquetAccessPlan::new(groups.into_iter().map(access).collect());
                        file = file.with_extension(plan);
                    }
                }
                Some((stored.bytes, file))
            })
            .collect();
        let count = threads.clamp(1, sized.len().max(1));
        sized.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
        let mut groups: Vec<(u64, Vec<PartitionedFile>)> = vec![(0, Vec::new()); count];
        for (bytes, file) in sized {
            if let Some(least) = groups.iter_mut().min_by_key(|(load, _)| *load) {
                // A file costs something however small it is.
                least.0 += bytes + (64 << 10);
                least.1.push(file);
            }
        }
        groups.into_iter().map(|(_, files)| FileGroup::new(files)).collect()
    }
}

/// What a filter wants of columns whose row groups have Bloom filters.
fn wanted(filter: &Expr) -> Wanted {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match op {
            Operator::And => Wanted::all(vec![wanted(left), wanted(right)]),
            Operator::Or => Wanted::any(vec![wanted(left), wanted(right)]),
            Operator::Eq => match (&**left, &**right) {
                (Expr::Column(column), value) | (value, Expr::Column(column)) => {
                    text(value).map_or(Wanted::Anything, |text| Wanted::one_of(&column.name, vec![text]))
                }
                _ => Wanted::Anything,
            },
            _ => Wanted::Anything,
        },
        Expr::InList(InList { expr, list, negated: false }) => match &**expr {
            Expr::Column(column) => match list.iter().map(text).collect() {
                Some(texts) => Wanted::one_of(&column.name, texts),
                None => Wanted::Anything,
            },
            _ => Wanted::Anything,
        },
        _ => Wanted::Anything,
    }
}

fn text(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Literal(value, _) => value.try_as_str().flatten().map(str::to_owned),
        _ => None,
    }
}

/// The hours of files as bounds of their times.
struct Hours<'a>(&'a [Stored]);

impl Hours<'_> {
    fn bounds(&self, column: &Column, bound: impl Fn(i64) -> i64) -> Option<ArrayRef> {
        if column.name != "time" {
            return None;
        }
        let hour = |file: &Stored| Placed::parse(&file.path)?.hour.map(&bound);
        let bounds: TimestampMicrosecondArray = self.0.iter().map(hour).collect();
        Some(Arc::new(bounds.with_timezone("+00:00")))
    }
}

impl PruningStatistics for Hours<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bounds(column, |hour| hour)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bounds(column, |hour| hour + HOUR - 1)
    }

    fn num_containers(&self) -> usize {
        self.0.len()
    }

    fn null_counts(&self, _: &Column) -> Option<ArrayRef> {
        None
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        None
    }

    fn contained(&self, _: &Column, _: &std::collections::HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}
