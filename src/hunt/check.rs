//! What is wrong with saved queries, found without running them.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use datafusion::catalog::MemTable;
use datafusion::error::DataFusionError;

use super::error::HuntError;
use super::plan::{self, Parameters, Planned};
use crate::detect::functions::Lookups;
use crate::detect::session;
use crate::event::Table;
use crate::rules::{Catalog, Diagnostic, Queries, Query, closest};

/// Plans every query with a value for each parameter; every problem of every file is reported.
pub fn check(queries: &Queries, catalog: &Catalog) -> Vec<Diagnostic> {
    let mut problems = follow_ups(queries, catalog);
    if let Err(error) = check_all(queries, catalog, &mut problems) {
        let message = format!("cannot open a query session: {}", error.strip_backtrace());
        problems.push(Diagnostic::error("queries", (1, 1), message));
    }
    problems
}

/// Detections that send their reader to a query that is not there. A warning: they fire all the same.
fn follow_ups(queries: &Queries, catalog: &Catalog) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    for rule in &catalog.detections {
        for (at, id) in rule.follow_up.iter().enumerate() {
            if queries.get(id).is_some() {
                continue;
            }
            let hint = match closest(id, queries.all.iter().map(|query| query.id.as_str())) {
                Some(meant) => format!("did you mean \"{meant}\"?"),
                None => "add it or remove the reference".to_string(),
            };
            let place = rule.position(&format!("follow_up.{at}"));
            problems.push(Diagnostic::warning(&rule.path, place, format!("no query \"{id}\"; {hint}")));
        }
    }
    problems
}

fn check_all(
    queries: &Queries,
    catalog: &Catalog,
    problems: &mut Vec<Diagnostic>,
) -> Result<(), DataFusionError> {
    let lists = Arc::new(catalog.all_lists());
    let lookups = Lookups { lists: lists.clone(), geoip: catalog.geoip.clone() };
    let context = session::new(&lookups, Arc::new(AtomicI64::new(0)), 16 << 20)?;
    for table in Table::ALL {
        let empty = MemTable::try_new(table.schema(), vec![Vec::new()])?;
        context.register_table(table.name(), Arc::new(empty))?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let state = context.state();
    for query in &queries.all {
        let planned = plan::plan(&query.sql, Parameters::Samples(&query.params), &state, &lists);
        match runtime.block_on(planned) {
            Ok(planned) => {
                if let Err(error) = runtime.block_on(state.create_physical_plan(&planned.plan)) {
                    let message = error.strip_backtrace();
                    problems.push(Diagnostic::error(&query.path, query.position("sql"), message));
                }
                problems.extend(header(query, &planned));
            }
            Err(found) => problems.extend(found.into_iter().map(|error| told(query, error))),
        }
    }
    Ok(())
}

fn told(query: &Query, error: HuntError) -> Diagnostic {
    match error {
        // Not every statement knows where it stands.
        HuntError::Sql(problem) if problem.at == (1, 1) => {
            Diagnostic::error(&query.path, query.position("sql"), problem.message)
        }
        HuntError::Sql(problem) => Diagnostic::error(&query.path, problem.at, problem.message),
        other => Diagnostic::error(&query.path, query.position("sql"), other.to_string()),
    }
}

/// What the statement and the header owe each other.
fn header(query: &Query, planned: &Planned) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    if !planned.linted.ordered {
        let message = "no ORDER BY; the same rows must come in the same order every time";
        problems.push(Diagnostic::error(&query.path, planned.linted.select, message));
    }
    for parameter in &query.params {
        if !planned.linted.placeholders.iter().any(|(name, _)| *name == parameter.name) {
            let name = &parameter.name;
            let message = format!("parameter \"{name}\" is not used; write ${name} in the SQL or remove it");
            problems.push(Diagnostic::error(&query.path, parameter.place, message));
        }
    }
    problems
}
