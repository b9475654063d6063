//! One detection, planned: checked against the tables, split at its row filter, ready to run.
//!
//! The planned and optimised query leaves its row filters and projections at the scans
//! ([`super::table`]); what stands above them is the rule's physical plan, made once.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::DataFusionError;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::eliminate_filter::EliminateFilter;
use datafusion::optimizer::optimize_projections::OptimizeProjections;
use datafusion::optimizer::push_down_filter::PushDownFilter;
use datafusion::optimizer::simplify_expressions::SimplifyExpressions;
use datafusion::optimizer::single_distinct_to_groupby::SingleDistinctToGroupBy;
use datafusion::optimizer::{Optimizer, OptimizerRule};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::sql::parser::Statement;

use super::crowd::Crowd;
use super::cut;
use super::explain;
use super::functions::Lookups;
use super::lacking::{self, Lacking};
use super::lint::{self, Problem, Purpose, suggestion};
use super::monotone;
use super::needs;
use super::prepare::Preparation;
use super::session::{self, WindowEnd};
use super::table::{PlannedScan, RuleTable, ScanLog};
use crate::event::Table;
use crate::rules::{Catalog, Detection, Diagnostic, Kind};

/// A detection that can run.
#[derive(Debug)]
pub struct Planned {
    pub kind: Kind,
    pub scans: Vec<PlannedScan>,
    /// Everything above the row filters; reads the scans' slots.
    pub plan: Arc<dyn ExecutionPlan>,
    /// Columns of the `SELECT`.
    pub output: SchemaRef,
    /// Whether it calls `window_end()` and so is evaluated at every step.
    pub uses_window_end: bool,
    /// Whether more rows in a window can only add to its alerts.
    pub monotone: bool,
    /// What rows a window must have for it.
    pub crowd: Option<Crowd>,
    /// Whether nothing comes of a window in which one of the scans has no rows.
    pub needs_all: bool,
    /// The columns of a baseline's kept rows that its keys are made of, where they are known and short.
    pub key_sources: Option<Vec<usize>>,
    pub lacking: Lacking,
}

type Passes = Vec<Arc<dyn OptimizerRule + Send + Sync>>;

/// What one evaluation of one rule may hold.
const RULE_MEMORY: usize = 256 << 20;

/// Plans detections one after another over one session.
#[derive(Debug)]
pub struct Planner {
    state: SessionState,
    /// For rules over single rows: the few optimiser passes they need. Planning is nearly all of
    /// start-up, and all passes over a rule take ten times as long as these.
    brief: SessionState,
    /// For rules over several rows: all passes but [`SingleDistinctToGroupBy`], which makes of an aggregate
    /// something in which what it counts is not to be seen any more.
    several: SessionState,
    log: ScanLog,
    lookups: Lookups,
    runtime: tokio::runtime::Runtime,
}

impl Planner {
    /// A planner for the catalog's lists; `window_end` is what the function of that name reads.
    pub fn new(catalog: &Catalog, window_end: WindowEnd) -> Result<Self, String> {
        let make = || -> Result<Self, DataFusionError> {
            let lookups = Lookups { lists: Arc::new(catalog.lists.clone()), geoip: catalog.geoip.clone() };
            let context = session::new(&lookups, window_end, RULE_MEMORY)?;
            let log = ScanLog::default();
            for table in Table::ALL {
                context.register_table(table.name(), Arc::new(RuleTable { table, log: log.clone() }))?;
            }
            let runtime =
                tokio::runtime::Builder::new_current_thread().build().map_err(DataFusionError::IoError)?;
            let state = context.state();
            let brief = brief_state(&state);
            let several = several_state(&state);
            Ok(Self { state, brief, several, log, lookups, runtime })
        };
        make().map_err(|e| format!("cannot open a query session: {}", e.strip_backtrace()))
    }

    pub fn state(&self) -> &SessionState {
        &self.state
    }

    /// Checks and plans one detection; every problem found is reported.
    pub fn plan(&self, rule: &Detection) -> Result<Planned, Vec<Diagnostic>> {
        let at = |problem: Problem| Diagnostic::error(&rule.path, problem.at, problem.message);
        let state = &self.state;
        let linted =
            lint::lint(&rule.sql, Purpose::Rule, state, &self.lookups.lists).map_err(|mut problem| {
                // Not every statement knows where it stands.
                if problem.at == (1, 1) {
                    problem.at = rule.position("sql");
                }
                vec![at(problem)]
            })?;
        let select = linted.select;
        let mut problems = linted.problems;
        if linted.uses_window_end && rule.window.is_none() {
            problems
                .push(Problem { at: select, message: "window_end() needs a `window` in the header".into() });
        }
        if !problems.is_empty() {
            problems.sort_by_key(|p| p.at);
            return Err(problems.into_iter().map(at).collect());
        }
        let statement = Statement::Statement(Box::new(linted.statement));
        let logical = self
            .runtime
            .block_on(state.statement_to_plan(statement))
            .map_err(|e| vec![at(explain::problem(&e, &rule.sql, select, &linted.relations))])?;
        let missing = self.missing_columns(rule, &logical);
        if !missing.is_empty() {
            return Err(missing);
        }
        let explained = |e| vec![at(explain::problem(&e, &rule.sql, select, &linted.relations))];
        let single_rows = linted.relations.len() == 1 && rule.window.is_none();
        let state = if single_rows { &self.brief } else { &self.several };
        let optimised = state.optimize(&logical).map_err(explained)?;
        let sequence =
            shape(rule, &logical, &optimised).map_err(|message| vec![at(Problem { at: select, message })])?;
        self.take_scans();
        let keeps_rows = (rule.window.is_some() || rule.baseline.is_some()) && rule.thin.is_none();
        let left = if keeps_rows { self.cut(optimised.clone()) } else { Ok(optimised.clone()) };
        debug_assert!(left.is_ok(), "{}: {left:?}", rule.id);
        // A plan that cannot be cut says the same as a whole.
        let left = left.unwrap_or(optimised);
        let finished = if single_rows { Ok(left.clone()) } else { self.finish(left.clone()) };
        let plan = finished.and_then(|plan| self.physical(&plan, state)).map_err(explained)?;
        let scans = self.take_scans();
        if scans.is_empty() {
            let message = match reads_a_table(&logical) {
                true => "the rule reads no rows: its row filter is never true".into(),
                false => "no table; write FROM audit or FROM control_plane".into(),
            };
            return Err(vec![at(Problem { at: select, message })]);
        }
        let kind = match (rule.baseline, rule.window) {
            (Some(_), _) => Kind::Baseline,
            (None, Some(_)) if sequence => Kind::Sequence,
            (None, Some(_)) => Kind::Window,
            (None, None) => Kind::Stateless,
        };
        let output = plan.schema();
        let uses_window_end = linted.uses_window_end;
        // Thinning keeps the first of equal rows, so one row may take another's place.
        let monotone = rule.window.is_some()
            && rule.thin.is_none()
            && !uses_window_end
            && monotone::is_monotone(&logical, &rule.key);
        let crowd = match scans.as_slice() {
            [scan] if rule.window.is_some() => {
                Crowd::of(&left, scan.slot.schema(), &self.state).map_err(explained)?
            }
            _ => None,
        };
        let needs_all = needs::all_scans(&left);
        let key_sources = match scans.as_slice() {
            [scan] if rule.baseline.is_some() => {
                // Bodies are long to compare and hardly ever equal.
                let kept = scan.slot.schema();
                let is_body = |at: &usize| cut::BODIES.contains(&kept.field(*at).name().as_str());
                let long = |at: &usize| scan.preparation.is_none() && is_body(at);
                let sources = needs::sources(&left, &rule.key, kept).map_err(explained)?;
                sources.filter(|sources| !sources.iter().any(long))
            }
            _ => None,
        };
        let lacking = lacking::of(&logical, &self.state, &self.lookups).map_err(explained)?;
        Ok(Planned {
            kind,
            scans,
            plan,
            output,
            uses_window_end,
            monotone,
            crowd,
            needs_all,
            key_sources,
            lacking,
        })
    }

    /// Makes what a plan does with single rows preparations of its scans.
    fn cut(&self, plan: LogicalPlan) -> Result<LogicalPlan, DataFusionError> {
        let pulled = cut::pull_calls(plan)?;
        let plan = match pulled.transformed {
            true => self.passes(vec![Arc::new(OptimizeProjections::new())], pulled.data)?,
            false => pulled.data,
        };
        let cut = cut::cut(plan, &self.log)?;
        for part in cut.parts {
            let text = part.plan.display_indent().to_string();
            let physical = self.physical(&part.plan, &self.several)?;
            let preparation = Preparation::new(physical, part.raw, self.state.task_ctx(), text);
            let set = part.table.preparation.set(preparation);
            debug_assert!(set.is_ok(), "each part is planned once");
        }
        Ok(cut.plan)
    }

    /// A statement as rules over several rows are planned, before what they count is rewritten.
    #[cfg(test)]
    pub fn cut_statement(&self, sql: &str) -> LogicalPlan {
        let logical = self.runtime.block_on(self.state.create_logical_plan(sql)).expect("a sound statement");
        self.cut(self.several.optimize(&logical).expect("a plan")).expect("a plan")
    }

    fn finish(&self, plan: LogicalPlan) -> Result<LogicalPlan, DataFusionError> {
        let plan = cut::compile_patterns(plan)?;
        self.passes(
            vec![Arc::new(SingleDistinctToGroupBy::new()), Arc::new(OptimizeProjections::new())],
            plan,
        )
    }

    fn passes(&self, passes: Passes, plan: LogicalPlan) -> Result<LogicalPlan, DataFusionError> {
        Optimizer::with_rules(passes).optimize(plan, &self.several, |_, _| {})
    }

    fn physical(
        &self,
        plan: &LogicalPlan,
        state: &SessionState,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        self.runtime.block_on(state.query_planner().create_physical_plan(plan, state))
    }

    fn take_scans(&self) -> Vec<PlannedScan> {
        std::mem::take(&mut self.log.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Key and summary columns that the `SELECT` does not return.
    fn missing_columns(&self, rule: &Detection, plan: &LogicalPlan) -> Vec<Diagnostic> {
        let selected: Vec<&str> = plan.schema().fields().iter().map(|f| f.name().as_str()).collect();
        let report = |kind: &str, position: &str, column: &str| {
            let hint = suggestion(column, &selected);
            let hint = if hint.is_empty() { "; add it to the SELECT".into() } else { hint };
            let message = format!("{kind} \"{column}\" is not selected{hint}");
            Diagnostic::error(&rule.path, rule.position(position), message)
        };
        let absent = |column: &str| !selected.contains(&column);
        let keys = rule.key.iter().enumerate().filter(|(_, column)| absent(column));
        let keys = keys.map(|(i, column)| report("key column", &format!("key.{i}"), column));
        let summary = rule.summary_columns().into_iter().filter(|column| absent(column));
        let summary = summary.map(|column| report("summary column", &format!("summary.{column}"), column));
        keys.chain(summary).collect()
    }
}

/// Rules a thread must have to plan before it is worth starting.
const RULES_PER_THREAD: usize = 8;

/// Plans rules, in order, with all planners at once: planning is nearly all of start-up, and the commands
/// are run hundreds of times a day.
pub fn plan_all(planners: &[Planner], rules: &[&Detection]) -> Vec<Result<Planned, Vec<Diagnostic>>> {
    let plan = |planner: &Planner, rules: &[&Detection]| -> Vec<_> {
        rules.iter().map(|rule| planner.plan(rule)).collect()
    };
    let threads = planners.len().min(rules.len() / RULES_PER_THREAD).max(1);
    let portions: Vec<&[&Detection]> = rules.chunks(rules.len().div_ceil(threads).max(1)).collect();
    std::thread::scope(|scope| {
        let pairs = planners.iter().zip(&portions).skip(1);
        let others: Vec<_> = pairs.map(|(planner, rules)| scope.spawn(|| plan(planner, rules))).collect();
        let mut planned = match (planners.first(), portions.first()) {
            (Some(planner), Some(rules)) => plan(planner, rules),
            _ => Vec::new(),
        };
        for other in others {
            match other.join() {
                Ok(rest) => planned.extend(rest),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        planned
    })
}

/// Whether a table stands anywhere in the plan as written.
fn reads_a_table(logical: &LogicalPlan) -> bool {
    let mut found = false;
    let visited = logical.apply_with_subqueries(|node| {
        found |= matches!(node, LogicalPlan::TableScan(_));
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    debug_assert!(visited.is_ok(), "the closure never fails");
    found
}

/// The session with only the passes that fold constants and move the row filter and the choice of
/// columns into the scan.
fn brief_state(state: &SessionState) -> SessionState {
    let passes: Passes = vec![
        Arc::new(SimplifyExpressions::new()),
        Arc::new(EliminateFilter::new()),
        Arc::new(PushDownFilter::new()),
        Arc::new(OptimizeProjections::new()),
    ];
    // In this order once is enough: nothing of a later pass makes work for an earlier one.
    // The catalog is shared with the other session: a new one would take its tables' place.
    let mut config = state.config().clone().with_create_default_catalog_and_schema(false);
    config.options_mut().optimizer.max_passes = 1;
    SessionStateBuilder::new_from_existing(state.clone())
        .with_config(config)
        .with_optimizer_rules(passes)
        .with_physical_optimizer_rules(Vec::new())
        .build()
}

fn several_state(state: &SessionState) -> SessionState {
    let distinct = SingleDistinctToGroupBy::new();
    let passes = state.optimizers().iter().filter(|pass| pass.name() != distinct.name()).cloned();
    SessionStateBuilder::new_from_existing(state.clone())
        .with_config(state.config().clone().with_create_default_catalog_and_schema(false))
        .with_optimizer_rules(passes.collect())
        .build()
}

/// Refuses what has no meaning for this kind of rule; tells whether it relates rows to each other.
fn shape(rule: &Detection, logical: &LogicalPlan, optimised: &LogicalPlan) -> Result<bool, String> {
    let (mut as_written, mut as_run) = (Shape::default(), Shape::default());
    as_written.collect(logical);
    as_run.collect(optimised);
    if rule.window.is_none()
        && let Some(what) = as_written.beyond.or(as_run.beyond)
    {
        let advice = match rule.baseline {
            Some(_) => "a baseline selects single rows",
            None => "give the rule a `window`, or select single rows",
        };
        return Err(format!("{what} looks at several rows; {advice}"));
    }
    Ok(as_run.joins)
}

#[derive(Default)]
struct Shape {
    joins: bool,
    /// The first node that is more than a choice of rows and columns.
    beyond: Option<&'static str>,
}

impl Shape {
    fn collect(&mut self, plan: &LogicalPlan) {
        let what = match plan {
            LogicalPlan::TableScan(_)
            | LogicalPlan::Projection(_)
            | LogicalPlan::SubqueryAlias(_)
            | LogicalPlan::EmptyRelation(_)
            | LogicalPlan::Filter(_) => None,
            LogicalPlan::Aggregate(_) => Some("an aggregate"),
            LogicalPlan::Join(_) => {
                self.joins = true;
                Some("a join")
            }
            LogicalPlan::Distinct(_) => Some("DISTINCT"),
            LogicalPlan::Sort(_) => Some("ORDER BY"),
            LogicalPlan::Limit(_) => Some("LIMIT"),
            LogicalPlan::Union(_) => Some("UNION"),
            LogicalPlan::Window(_) => Some("a window function"),
            LogicalPlan::Unnest(_) => Some("unnest"),
            _ => Some("this query"),
        };
        self.beyond = self.beyond.or(what);
        for input in plan.inputs() {
            self.collect(input);
        }
    }
}
