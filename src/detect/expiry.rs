//! Gives the functions of lists the time of the row they stand for, where a list has entries that expire.
//!
//! A rule names no clock and its text no time: an entry that ends on a day ends for the events from that
//! day on, live and in a replay years later. Where no row's time is at hand (behind a `GROUP BY` that does
//! not keep it) the query is refused, because an entry that never ends there would be a hole.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, Result, plan_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::analyzer::AnalyzerRule;

use super::functions::{self, Lists};

/// The pass over a plan.
#[derive(Debug)]
pub struct Expiry {
    pub lists: Arc<Lists>,
}

impl AnalyzerRule for Expiry {
    fn name(&self) -> &str {
        "expiry_of_list_entries"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        if !self.lists.values().any(|list| list.expires()) {
            return Ok(plan);
        }
        plan.transform_up_with_subqueries(|node| self.node(node)).map(|done| done.data)
    }
}

impl Expiry {
    fn node(&self, node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
        let times: Vec<Column> = node.inputs().into_iter().flat_map(times).collect();
        // A column of the result is called after its expression.
        let names = NamePreserver::new(&node);
        let done = node.map_expressions(|expr| {
            let name = names.save(&expr);
            let done = expr.transform_up(|expr| self.call(expr, &times))?;
            Ok(done.update_data(|expr| name.restore(expr)))
        })?;
        if !done.transformed {
            return Ok(done);
        }
        Ok(Transformed::yes(done.data.recompute_schema()?))
    }

    fn call(&self, expr: Expr, times: &[Column]) -> Result<Transformed<Expr>> {
        let Expr::ScalarFunction(ScalarFunction { func, mut args }) = expr else {
            return Ok(Transformed::no(expr));
        };
        let untimed = functions::list_arguments(func.name()) == Some(args.len());
        let list = args.first().and_then(functions::constant_text).and_then(|name| self.lists.get(name));
        let Some(list) = list.filter(|list| untimed && list.expires()) else {
            return Ok(Transformed::no(Expr::ScalarFunction(ScalarFunction { func, args })));
        };
        let beside = |time: &&Column| {
            args.iter().any(|arg| arg.column_refs().iter().any(|column| column.relation == time.relation))
        };
        let near: Vec<&Column> = times.iter().filter(beside).collect();
        let time = match (times, near.as_slice()) {
            ([time], _) => time.clone(),
            (_, [time]) => (*time).clone(),
            _ => {
                return plan_err!(
                    "list \"{}\" has entries that expire, and no time of a row is at hand where {} stands; move it into the \
                     WHERE over the table, or give the time as its last argument",
                    list.name,
                    func.name()
                );
            }
        };
        args.push(Expr::Column(time));
        Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction { func, args })))
    }
}

/// The columns `time` that a node's rows have.
fn times(input: &LogicalPlan) -> Vec<Column> {
    let fields = input.schema().iter();
    let times = fields
        .filter(|(_, field)| field.name() == "time" && matches!(field.data_type(), DataType::Timestamp(..)));
    times.map(|(relation, field)| Column::new(relation.cloned(), field.name())).collect()
}
