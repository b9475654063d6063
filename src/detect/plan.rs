//! One detection, planned: checked against the tables, split at its row filter, ready to run.
//!
//! The planned and optimised query leaves its row filters and projections at the scans
//! ([`super::table`]); what stands above them is the rule's physical plan, made once.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement;

use super::lint::{self, Problem, lower_first, suggestion};
use super::session::{self, WindowEnd};
use super::table::{PlannedScan, RuleTable, ScanLog, Table};
use crate::event::schema::TABLES;
use crate::rules::{Catalog, Detection, Diagnostic, Kind, List};

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
}

/// Plans detections one after another over one session.
pub struct Planner {
    context: SessionContext,
    log: ScanLog,
    lists: BTreeMap<String, Arc<List>>,
    runtime: tokio::runtime::Runtime,
}

impl Planner {
    /// A planner for the catalog's lists; `window_end` is what the function of that name reads.
    pub fn new(catalog: &Catalog, window_end: WindowEnd) -> Result<Self, String> {
        let make = || -> Result<Self, DataFusionError> {
            let context = session::new(Arc::new(catalog.lists.clone()), window_end)?;
            let log = ScanLog::default();
            for table in Table::ALL {
                context.register_table(table.name(), Arc::new(RuleTable { table, log: log.clone() }))?;
            }
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .map_err(|e| DataFusionError::IoError(e))?;
            Ok(Self { context, log, lists: catalog.lists.clone(), runtime })
        };
        make().map_err(|e| format!("cannot open a query session: {}", e.strip_backtrace()))
    }

    pub fn state(&self) -> SessionState {
        self.context.state()
    }

    /// Checks and plans one detection; every problem found is reported.
    pub fn plan(&self, rule: &Detection) -> Result<Planned, Vec<Diagnostic>> {
        let at = |problem: Problem| Diagnostic::error(&rule.path, problem.at, problem.message);
        let state = self.context.state();
        let linted = lint::lint(&rule.sql, &state, &self.lists).map_err(|p| vec![at(p)])?;
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
            .map_err(|e| vec![at(planning_problem(&e, &rule.sql, select))])?;
        let missing = self.missing_columns(rule, &logical);
        if !missing.is_empty() {
            return Err(missing);
        }
        let optimised =
            state.optimize(&logical).map_err(|e| vec![at(planning_problem(&e, &rule.sql, select))])?;
        let sequence =
            self.shape(rule, &optimised).map_err(|message| vec![at(Problem { at: select, message })])?;
        self.take_scans();
        let plan = self
            .runtime
            .block_on(state.query_planner().create_physical_plan(&optimised, &state))
            .map_err(|e| vec![at(planning_problem(&e, &rule.sql, select))])?;
        let scans = self.take_scans();
        if scans.is_empty() {
            let message = "the rule reads no rows: its row filter is never true".into();
            return Err(vec![at(Problem { at: select, message })]);
        }
        let kind = match (rule.baseline, rule.window) {
            (Some(_), _) => Kind::Baseline,
            (None, Some(_)) if sequence => Kind::Sequence,
            (None, Some(_)) => Kind::Window,
            (None, None) => Kind::Stateless,
        };
        let output = plan.schema();
        Ok(Planned { kind, scans, plan, output, uses_window_end: linted.uses_window_end })
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

    /// Refuses what has no meaning for this kind of rule; tells whether a table is read more than once.
    fn shape(&self, rule: &Detection, plan: &LogicalPlan) -> Result<bool, String> {
        let mut scans = 0;
        let mut beyond = None;
        collect(plan, &mut scans, &mut beyond);
        match beyond {
            Some(what) if rule.window.is_none() => {
                Err(format!("{what} looks at several rows; give the rule a `window`, or select single rows"))
            }
            _ => Ok(scans > 1),
        }
    }
}

/// Counts scans, and names the first node that is more than a choice of rows and columns.
fn collect(plan: &LogicalPlan, scans: &mut usize, beyond: &mut Option<&'static str>) {
    let what = match plan {
        LogicalPlan::TableScan(_) => {
            *scans += 1;
            None
        }
        LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) | LogicalPlan::EmptyRelation(_) => None,
        LogicalPlan::Aggregate(_) => Some("an aggregate"),
        LogicalPlan::Join(_) => Some("a join"),
        LogicalPlan::Distinct(_) => Some("DISTINCT"),
        LogicalPlan::Sort(_) => Some("ORDER BY"),
        LogicalPlan::Limit(_) => Some("LIMIT"),
        LogicalPlan::Union(_) => Some("UNION"),
        LogicalPlan::Window(_) => Some("a window function"),
        LogicalPlan::Unnest(_) => Some("unnest"),
        _ => Some("this query"),
    };
    if beyond.is_none() {
        *beyond = what;
    }
    for input in plan.inputs() {
        collect(input, scans, beyond);
    }
}

/// DataFusion's error as ours: where, and in the words of the tables.
fn planning_problem(error: &DataFusionError, sql: &str, select: (usize, usize)) -> Problem {
    let at = error
        .diagnostic()
        .and_then(|d| d.span)
        .map(|span| (span.start.line as usize, span.start.column as usize))
        .filter(|(line, _)| *line > 0);
    if let Some(SchemaError::FieldNotFound { field, valid_fields }) = schema_error(error) {
        let span = field.spans().first().map(|s| (s.start.line as usize, s.start.column as usize));
        let at = at.or(span).or_else(|| find_word(sql, &field.name)).unwrap_or(select);
        let from = table_of(&field.name, field.relation.as_ref().map(|r| r.table()), valid_fields);
        let names: Vec<&str> = valid_fields.iter().map(|c| c.name.as_str()).collect();
        let message = format!("no column \"{}\"{from}{}", field.name, suggestion(&field.name, names));
        return Problem { at, message };
    }
    let text = error.strip_backtrace();
    let text = text.lines().next().unwrap_or_default();
    let text = [
        "Error during planning: ",
        "Schema error: ",
        "Arrow error: ",
        "Cast error: ",
        "Optimizer rule 'simplify_expressions' failed",
        "caused by",
    ]
    .iter()
    .fold(text.to_string(), |t, prefix| t.replace(prefix, ""));
    let at = at.or_else(|| quoted(&text).and_then(|word| find_word(sql, word))).unwrap_or(select);
    Problem { at, message: lower_first(text.trim()) }
}

fn schema_error(error: &DataFusionError) -> Option<&SchemaError> {
    match error {
        DataFusionError::SchemaError(inner, _) => Some(inner),
        DataFusionError::Diagnostic(_, inner) | DataFusionError::Context(_, inner) => schema_error(inner),
        DataFusionError::Collection(all) => all.iter().find_map(schema_error),
        DataFusionError::Shared(inner) => schema_error(inner),
        _ => None,
    }
}

/// ` in audit`, where the columns at hand are those of one table.
fn table_of(name: &str, alias: Option<&str>, valid: &[datafusion::common::Column]) -> String {
    let _ = name;
    if let Some(alias) = alias {
        return format!(" in {alias}");
    }
    let known = |table: &[crate::event::schema::Column]| {
        !valid.is_empty() && valid.iter().all(|c| table.iter().any(|t| t.name == c.name))
    };
    TABLES.iter().find(|(_, columns)| known(columns)).map_or(String::new(), |(name, _)| format!(" in {name}"))
}

/// The first text in single or double quotes.
fn quoted(text: &str) -> Option<&str> {
    let open = text.find(['\'', '"'])?;
    let quote = text.as_bytes()[open] as char;
    let rest = &text[open + 1..];
    rest.find(quote).map(|end| &rest[..end])
}

/// Line and column of the first occurrence of a word in the SQL.
fn find_word(sql: &str, word: &str) -> Option<(usize, usize)> {
    if word.is_empty() {
        return None;
    }
    let at = sql.find(word)?;
    let before = &sql[..at];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |s| s.chars().count()) + 1;
    Some((line, column))
}
