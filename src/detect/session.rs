//! The only place that builds a DataFusion session: dialect, functions, limits.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use datafusion::error::Result;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};

use super::expiry::Expiry;
use super::functions::{self, Lookups};
use super::slices::OwnRows;

/// The time `window_end()` gives, microseconds since the epoch.
pub type WindowEnd = Arc<AtomicI64>;

/// Rows that are handed on at a time when a rule is evaluated.
const RULE_ROWS: usize = 1024;

/// A session without tables, for rules. One partition: rules are small and run beside each other, and
/// row order then means something to functions that depend on it.
///
/// What a query may hold while it runs is bounded by `memory` bytes: sorts and aggregates go to disk
/// beyond it, joins fail.
pub fn new(lookups: &Lookups, window_end: WindowEnd, memory: usize) -> Result<SessionContext> {
    // Windows are small and looked at often, and operators make room for a whole batch each time.
    let mut config = SessionConfig::new().with_target_partitions(1).with_batch_size(RULE_ROWS);
    // Filters a join makes up while it runs have no place in a plan that is run again and again.
    config.options_mut().set("datafusion.optimizer.enable_dynamic_filter_pushdown", "false")?;
    let runtime = RuntimeEnvBuilder::new().with_memory_limit(memory, 1.0).build_arc()?;
    build(config, runtime, lookups, window_end)
}

/// What one merge of spilled rows keeps for itself at most, so that a small limit leaves room for the rest.
const MERGE_MEMORY: usize = 10 << 20;
/// A partition with less than this goes to disk before it has done anything.
const PARTITION_MEMORY: usize = 64 << 20;
/// Rows handed on at a time for each megabyte there is: whoever sorts holds some batches at least.
const ROWS_PER_MEGABYTE: usize = 64;

/// A session without tables, for one query at a time that may use the whole machine: up to `threads`
/// partitions share `memory` bytes, and whatever sorts or groups gets an equal part of it before it
/// goes to disk.
pub fn for_hunts(
    lookups: &Lookups,
    window_end: WindowEnd,
    memory: usize,
    threads: usize,
) -> Result<SessionContext> {
    let partitions = threads.min(memory / PARTITION_MEMORY).max(1);
    let rows = ((memory >> 20) * ROWS_PER_MEGABYTE).clamp(128, 8192);
    let mut config = SessionConfig::new().with_target_partitions(partitions).with_batch_size(rows);
    let options = config.options_mut();
    options.execution.sort_spill_reservation_bytes = (memory / 6 / partitions).min(MERGE_MEMORY);
    options.execution.time_zone = Some("+00:00".into());
    let pool = Arc::new(FairSpillPool::new(memory));
    let runtime = RuntimeEnvBuilder::new().with_memory_pool(pool).build_arc()?;
    let context = build(config, runtime, lookups, window_end)?;
    let state = SessionStateBuilder::new_from_existing(context.state())
        .with_physical_optimizer_rule(Arc::new(OwnRows))
        .build();
    Ok(SessionContext::new_with_state(state))
}

fn build(
    config: SessionConfig,
    runtime: Arc<RuntimeEnv>,
    lookups: &Lookups,
    window_end: WindowEnd,
) -> Result<SessionContext> {
    let mut config = config.with_information_schema(false);
    let options = config.options_mut();
    // Under the generic dialect a column named `cluster` is a syntax error behind a comma.
    options.set("datafusion.sql_parser.dialect", "postgresql")?;
    options.set("datafusion.sql_parser.collect_spans", "true")?;
    let mut context = SessionContext::new_with_config_rt(config, runtime);
    datafusion_functions_json::register_all(&mut context)?;
    for function in functions::all(lookups, window_end) {
        context.register_udf(function);
    }
    context.add_analyzer_rule(Arc::new(Expiry { lists: lookups.lists.clone() }));
    Ok(context)
}
