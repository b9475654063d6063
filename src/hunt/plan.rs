//! SQL to a plan: looked at, refused where it would do more than read, parameters in their places.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::DataType;
use chrono::{DateTime, Utc};
use datafusion::common::{ParamValues, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder, Statement as PlanStatement};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{self, Expr, Ident, Value, ValueWithSpan, visit_expressions_mut};

use super::bind::{self, Given, Values};
use super::error::HuntError;
use crate::detect::{self, Linted, Problem, Purpose};
use crate::rules::{List, Parameter};

/// A plan that reads, and what was asked of it.
pub(super) struct Planned {
    pub plan: LogicalPlan,
    pub linted: Linted,
}

/// What a statement is given, and by whom its parameters are declared.
pub(super) enum Parameters<'a> {
    /// By the header of a saved query.
    Declared(&'a [Parameter], &'a Given, DateTime<Utc>),
    /// By nobody.
    Free(&'a Given, DateTime<Utc>),
    /// To see whether a saved query can be planned.
    Samples(&'a [Parameter]),
}

/// Plans one statement.
pub(super) async fn plan(
    sql: &str,
    parameters: Parameters<'_>,
    state: &SessionState,
    lists: &BTreeMap<String, Arc<List>>,
) -> Result<Planned, Vec<HuntError>> {
    let purpose = match parameters {
        Parameters::Samples(declared) => Purpose::Saved(declared),
        _ => Purpose::Hunt,
    };
    let linted = detect::lint(sql, purpose, state, lists).map_err(|problem| vec![HuntError::Sql(problem)])?;
    if !linted.problems.is_empty() {
        let mut problems = linted.problems;
        problems.sort_by_key(|problem| problem.at);
        return Err(problems.into_iter().map(HuntError::Sql).collect());
    }
    let wrong = |error: DataFusionError| vec![HuntError::Sql(explained(&error, sql, &linted))];
    let parameter = |message: String| vec![HuntError::Parameters(message)];
    let values = match parameters {
        Parameters::Declared(declared, given, now) => {
            bind::values(declared, given, now).map_err(parameter)?
        }
        Parameters::Samples(declared) => {
            declared.iter().map(|p| (p.name.clone(), bind::sample(p.kind))).collect()
        }
        Parameters::Free(given, now) => {
            let wanted = wanted(&linted, state).await;
            bind::inferred(&wanted, given, now).map_err(parameter)?
        }
    };
    let mut plan = bound(&linted, &values, state).await.map_err(wrong)?;
    let only_reads =
        SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    if only_reads.verify_plan(&plan).is_err() {
        let message = "nothing is changed here; write a SELECT without INTO".to_string();
        return Err(vec![HuntError::Sql(Problem { at: linted.select, message })]);
    }
    // Types are settled here, so that what does not fit is told with its place and not by the run.
    state.optimize(&plan).map_err(wrong)?;
    if let Some(explain) = linted.explain {
        let explained = LogicalPlanBuilder::from(plan)
            .explain(explain.verbose, explain.analyze)
            .and_then(LogicalPlanBuilder::build);
        plan = explained.map_err(wrong)?;
    }
    Ok(Planned { plan, linted })
}

/// What the planner says, in the words of the tables.
fn explained(error: &DataFusionError, sql: &str, linted: &Linted) -> Problem {
    detect::problem(error, sql, linted.select, &linted.relations)
}

/// The parameters of the SQL with the types its comparisons ask for.
async fn wanted(linted: &Linted, state: &SessionState) -> BTreeMap<String, Option<DataType>> {
    let names = linted.placeholders.iter().map(|(name, _)| (name.clone(), None));
    let mut wanted: BTreeMap<String, Option<DataType>> = names.collect();
    if wanted.is_empty() {
        return wanted;
    }
    let statement = Statement::Statement(Box::new(linted.statement.clone()));
    // Without types it may not plan at all; with texts for parameters it is tried again.
    if let Ok(plan) = state.statement_to_plan(statement).await
        && let Ok(types) = plan.get_parameter_types()
    {
        for (id, data_type) in types {
            wanted.insert(id.trim_start_matches('$').to_string(), data_type);
        }
    }
    wanted
}

/// The plan of the statement with its values in place.
async fn bound(
    linted: &Linted,
    values: &Values,
    state: &SessionState,
) -> Result<LogicalPlan, DataFusionError> {
    let mut statement = linted.statement.clone();
    let used: Vec<_> = values
        .iter()
        .filter(|(name, _)| linted.placeholders.iter().any(|(placeholder, _)| placeholder == *name))
        .collect();
    if used.is_empty() {
        return state.statement_to_plan(Statement::Statement(Box::new(statement))).await;
    }
    // The planner takes types for numbered parameters only.
    let _ = visit_expressions_mut(&mut statement, |expr: &mut Expr| {
        if let Expr::Value(ValueWithSpan { value: Value::Placeholder(text), .. }) = expr {
            let name = text.trim_start_matches('$');
            if let Some(at) = used.iter().position(|(known, _)| known.as_str() == name) {
                *text = format!("${}", at + 1);
            }
        }
        ControlFlow::<()>::Continue(())
    });
    let prepare = ast::Statement::Prepare {
        name: Ident::new("hunt"),
        data_types: used.iter().map(|(_, value)| bind::sql_type(value.kind())).collect(),
        statement: Box::new(statement),
    };
    let plan = state.statement_to_plan(Statement::Statement(Box::new(prepare))).await?;
    let LogicalPlan::Statement(PlanStatement::Prepare(prepared)) = &plan else {
        return Err(DataFusionError::Internal("a prepared statement has another plan".into()));
    };
    let typed = used.iter().zip(&prepared.fields);
    let scalars: Vec<ScalarValue> =
        typed.map(|((_, value), field)| bind::scalar(value, field.data_type())).collect::<Result<_, _>>()?;
    plan.with_param_values(ParamValues::from(scalars))
}
