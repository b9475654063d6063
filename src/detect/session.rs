//! The only place that builds a DataFusion session: dialect, functions, limits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use datafusion::error::Result;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};

use super::functions;
use crate::rules::List;

/// Lists by name, as `listed()` reads them.
pub type Lists = Arc<BTreeMap<String, Arc<List>>>;

/// The time `window_end()` gives, microseconds since the epoch.
pub type WindowEnd = Arc<AtomicI64>;

/// A session without tables. One partition: rules are small and run beside each other, and row order
/// then means something to functions that depend on it.
///
/// What a query may hold while it runs is bounded by `memory` bytes: sorts and aggregates go to disk
/// beyond it, joins fail.
pub fn new(lists: Lists, window_end: WindowEnd, memory: usize) -> Result<SessionContext> {
    let mut config = SessionConfig::new().with_target_partitions(1).with_information_schema(false);
    let options = config.options_mut();
    // Under the generic dialect a column named `cluster` is a syntax error behind a comma.
    options.set("datafusion.sql_parser.dialect", "postgresql")?;
    options.set("datafusion.sql_parser.collect_spans", "true")?;
    // Filters a join makes up while it runs have no place in a plan that is run again and again.
    options.set("datafusion.optimizer.enable_dynamic_filter_pushdown", "false")?;
    let runtime = RuntimeEnvBuilder::new().with_memory_limit(memory, 1.0).build_arc()?;
    let mut context = SessionContext::new_with_config_rt(config, runtime);
    datafusion_functions_json::register_all(&mut context)?;
    for function in functions::all(lists, window_end) {
        context.register_udf(function);
    }
    Ok(context)
}
