//! What a statement makes of each row alone, cut off from what relates rows to each other.
//!
//! A windowed rule looks at the same rows again at every step. What stands between a scan and the first
//! aggregate, join or window function (projections, filters, `unnest`) gives the same for a row each time,
//! and mostly reads a body: it becomes a [`Preparation`], made once a row, whose result is kept in place of
//! the body. The rest of the plan reads that as if it were a table.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, JoinType};
use datafusion::datasource::provider_as_source;
use datafusion::error::Result;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::logical_plan::Projection;
use datafusion::logical_expr::{
    BinaryExpr, Cast, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Operator, TableScan,
};

use super::condition::reads_a_body;
use super::functions;
use super::needs;
use super::pattern;
use super::table::{PreparedTable, RawTable, ScanLog, Slot};

/// The column that says from which kept row a prepared one was made.
pub const ORIGIN: &str = "__origin";

/// Columns that may be long.
pub const BODIES: [&str; 5] = ["request_object", "response_object", "object", "annotations", "user_extra"];

/// A plan whose rows are prepared.
pub struct Cut {
    /// What is left, over [`PreparedTable`]s where a part was cut off.
    pub plan: LogicalPlan,
    pub parts: Vec<Part>,
}

/// A part that was cut off.
pub struct Part {
    /// Reads `raw`; its last column is [`ORIGIN`].
    pub plan: LogicalPlan,
    pub raw: Arc<Slot>,
    pub table: Arc<PreparedTable>,
}

/// Makes what is done with bodies above a part that is of single rows columns of that part, also where
/// window functions stand between: the bodies themselves are then read no more.
pub fn pull_calls(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    plan.transform_up(|node| {
        let may_call = matches!(
            node,
            LogicalPlan::Projection(_)
                | LogicalPlan::Filter(_)
                | LogicalPlan::Aggregate(_)
                | LogicalPlan::Window(_)
        );
        let [input] = node.inputs()[..] else { return Ok(Transformed::no(node)) };
        if !may_call || !is_windowed(input) || is_of_single_rows(&node) {
            return Ok(Transformed::no(node));
        }
        pull(node)
    })
}

/// Whether a node's rows are single rows of a table, with window functions beside them at most.
fn is_windowed(plan: &LogicalPlan) -> bool {
    is_of_single_rows(plan)
        || matches!(
            plan,
            LogicalPlan::Projection(_)
                | LogicalPlan::Filter(_)
                | LogicalPlan::SubqueryAlias(_)
                | LogicalPlan::Window(_)
        ) && plan.inputs().into_iter().all(is_windowed)
}

fn pull(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let Some(input) = node.inputs().first().map(|input| (*input).clone()) else {
        return Ok(Transformed::no(node));
    };
    let known = input.schema().clone();
    let names = NamePreserver::new(&node);
    let mut calls: Vec<Expr> = Vec::new();
    // Calls in place of which a column stands, by its name.
    let mut taken: Vec<String> = Vec::new();
    let mut take_out = |expr: Expr| {
        let several = |expr: &Expr| matches!(expr, Expr::AggregateFunction(_) | Expr::WindowFunction(_));
        let whole = !matches!(expr, Expr::Alias(_) | Expr::Column(_))
            && is_of_bodies(&expr)?
            && never_fails(&expr)?
            && !expr.is_volatile()
            && !expr.exists(|expr| Ok(several(expr)))?
            && stored(&expr.get_type(&known)?).is_some();
        let below = if whole { needs::resolve_to(expr.clone(), &input, &is_of_single_rows)? } else { None };
        let Some(call) = below else { return Ok(Transformed::no(expr)) };
        let name = format!("of the row: {call}");
        if !taken.contains(&name) {
            calls.push(call.alias(&name));
            taken.push(name.clone());
        }
        Ok(Transformed::new(Expr::Column(Column::new_unqualified(name)), true, TreeNodeRecursion::Jump))
    };
    let mut exprs = Vec::new();
    for expr in node.expressions() {
        let name = names.save(&expr);
        exprs.push((name, expr.transform_down(&mut take_out).data()?));
    }
    if calls.is_empty() {
        return Ok(Transformed::no(node));
    }
    let input = with_calls(input, &calls, &taken)?;
    let schema = input.schema();
    let qualified = |expr: Expr| match &expr {
        Expr::Column(column) if column.relation.is_none() && taken.contains(&column.name) => {
            let found = schema.qualified_field_with_unqualified_name(&column.name)?;
            Ok(Transformed::yes(Expr::from(found)))
        }
        _ => Ok(Transformed::no(expr)),
    };
    let exprs = exprs.into_iter().map(|(name, expr)| Ok(name.restore(expr.transform_up(qualified).data()?)));
    let exprs = exprs.collect::<Result<Vec<_>>>()?;
    Ok(Transformed::yes(node.with_new_exprs(exprs, vec![input])?))
}

/// A node with more columns made by the part of it that is of single rows; those that are there already
/// stay.
fn with_calls(plan: LogicalPlan, calls: &[Expr], names: &[String]) -> Result<LogicalPlan> {
    let named = |plan: &LogicalPlan, name: &str| {
        let field = plan.schema().qualified_field_with_unqualified_name(name);
        field.ok().map(Expr::from)
    };
    let missing: Vec<&String> = names.iter().filter(|name| named(&plan, name).is_none()).collect();
    if missing.is_empty() {
        return Ok(plan);
    }
    if is_of_single_rows(&plan) {
        let calls = calls.iter().zip(names).filter(|(_, name)| missing.contains(name));
        let calls = calls.map(|(call, _)| call.clone()).collect::<Vec<_>>();
        let columns = plan.schema().iter().map(Expr::from).chain(calls).collect::<Vec<_>>();
        return LogicalPlanBuilder::from(plan).project(columns)?.build();
    }
    let Some(input) = plan.inputs().first().map(|input| (*input).clone()) else { return Ok(plan) };
    let input = with_calls(input, calls, names)?;
    let mut exprs = plan.expressions();
    if matches!(plan, LogicalPlan::Projection(_)) {
        exprs.extend(missing.into_iter().filter_map(|name| named(&input, name)));
    }
    plan.with_new_exprs(exprs, vec![input])
}

/// Whether an expression has a value for every row, also for those that conditions above would keep from it.
fn never_fails(expr: &Expr) -> Result<bool> {
    const TOTAL: [&str; 11] = [
        "array_has",
        "array_length",
        "array_to_string",
        "btrim",
        "concat",
        "lower",
        "make_array",
        "replace",
        "starts_with",
        "string_to_array",
        "upper",
    ];
    let may_fail = expr.exists(|node| {
        Ok(match node {
            // A pattern may be none; a constant one was looked at when the rule was planned.
            Expr::ScalarFunction(call) if call.name() == "regexp_replace" => {
                call.args.get(1).and_then(functions::constant_text).is_none()
            }
            Expr::ScalarFunction(call) => {
                !functions::is_expensive(call.name()) && !TOTAL.contains(&call.name())
            }
            Expr::Cast(cast) => stored(cast.field.data_type()) != Some(DataType::Utf8View),
            Expr::BinaryExpr(BinaryExpr { op, right, .. }) => match op {
                Operator::RegexMatch
                | Operator::RegexIMatch
                | Operator::RegexNotMatch
                | Operator::RegexNotIMatch => functions::constant_text(right).is_none(),
                // Comparisons are what bounds can be told of.
                op => !op.supports_propagation() && !op.is_logic_operator() && *op != Operator::StringConcat,
            },
            Expr::Column(_)
            | Expr::Literal(..)
            | Expr::Case(_)
            | Expr::Not(_)
            | Expr::IsNull(_)
            | Expr::IsNotNull(_)
            | Expr::IsTrue(_)
            | Expr::IsNotTrue(_)
            | Expr::InList(_)
            | Expr::Like(_) => false,
            _ => true,
        })
    })?;
    Ok(!may_fail)
}

/// Whether an expression does something with a body, or matches a pattern.
fn is_of_bodies(expr: &Expr) -> Result<bool> {
    let reads = expr.column_refs().into_iter().any(|column| BODIES.contains(&column.name.as_str()));
    Ok(reads || reads_a_body(expr)? || pattern::is_matched(expr)?)
}

/// Cuts a plan whose columns are those that are read.
pub fn cut(plan: LogicalPlan, log: &ScanLog) -> Result<Cut> {
    let mut parts = Vec::new();
    let all_rows_count = !may_lose_rows(&plan)?;
    let plan = plan.transform_down(|node| {
        if !is_of_single_rows(&node) {
            return Ok(Transformed::no(node));
        }
        let done = if is_worth_it(&node)? && !(all_rows_count && loses_rows(&node)?) {
            cut_off(&node, log)?
        } else {
            None
        };
        let Some((part, left)) = done else {
            return Ok(Transformed::new(node, false, TreeNodeRecursion::Jump));
        };
        parts.push(part);
        Ok(Transformed::new(left, true, TreeNodeRecursion::Jump))
    })?;
    // What reads a column called by the table it came from still finds it: names are the same.
    Ok(Cut { plan: plan.data, parts })
}

/// Whether each row of a node is made of one row of a table, and always the same.
fn is_of_single_rows(plan: &LogicalPlan) -> bool {
    let steady = match plan {
        LogicalPlan::TableScan(scan) => return scan.fetch.is_none(),
        LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Unnest(_) => plan.expressions().iter().all(|expr| {
            let other = |expr: &Expr| {
                matches!(
                    expr,
                    Expr::ScalarSubquery(_)
                        | Expr::Exists(_)
                        | Expr::InSubquery(_)
                        | Expr::OuterReferenceColumn(..)
                )
            };
            !expr.is_volatile() && !expr.exists(|expr| Ok(other(expr))).unwrap_or(true)
        }),
        _ => false,
    };
    steady && plan.inputs().into_iter().all(is_of_single_rows)
}

/// Whether the part costs more than it takes to read its columns.
fn is_worth_it(plan: &LogicalPlan) -> Result<bool> {
    plan.exists(|node| {
        if matches!(node, LogicalPlan::Unnest(_)) {
            return Ok(true);
        }
        let own = !matches!(node, LogicalPlan::TableScan(_));
        let reads = |expr: &Expr| Ok(!matches!(expr, Expr::Column(_)) && is_of_bodies(expr)?);
        Ok(own && node.expressions().iter().map(reads).collect::<Result<Vec<_>>>()?.contains(&true))
    })
}

/// Whether nothing comes of a row in some cases.
fn loses_rows(plan: &LogicalPlan) -> Result<bool> {
    plan.exists(|node| Ok(matches!(node, LogicalPlan::Filter(_) | LogicalPlan::Unnest(_))))
}

/// Whether a plan says of a row of which nothing comes what it says where there is no row: no aggregate of
/// nothing, no join that keeps what finds no partner.
fn may_lose_rows(plan: &LogicalPlan) -> Result<bool> {
    let sees_absence = plan.exists(|node| {
        Ok(match node {
            LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
            LogicalPlan::Join(join) => !matches!(join.join_type, JoinType::Inner | JoinType::LeftSemi),
            _ => false,
        })
    })?;
    Ok(!sees_absence)
}

/// The part and what stands in its place; `None` where its columns cannot be kept.
fn cut_off(node: &LogicalPlan, log: &ScanLog) -> Result<Option<(Part, LogicalPlan)>> {
    let mut raw = None;
    let plan = node.clone().transform_up(|node| {
        Ok(Transformed::yes(match node {
            LogicalPlan::TableScan(scan) => {
                let slot = Slot::new(with_origin(scan.projected_schema.as_arrow()));
                let source = provider_as_source(Arc::new(RawTable { slot: slot.clone() }));
                let scanned = LogicalPlanBuilder::scan(scan.table_name.clone(), source, None)?.build()?;
                raw = Some((scan, slot));
                scanned
            }
            LogicalPlan::Projection(projection) => {
                let columns = projection.input.schema().columns();
                let origin = columns.into_iter().filter(|column| column.name == ORIGIN).map(Expr::Column);
                let exprs = projection.expr.into_iter().chain(origin).collect();
                LogicalPlan::Projection(Projection::try_new(exprs, projection.input)?)
            }
            other => {
                let inputs = other.inputs().into_iter().cloned().collect();
                other.with_new_exprs(other.expressions(), inputs)?
            }
        }))
    })?;
    let plan = compile_patterns(plan.data)?;
    let Some((scan, slot)) = raw else { return Ok(None) };
    let Some(columns) = kept_columns(node.schema()) else { return Ok(None) };
    let (table, left) = stand_in(&scan, node.schema(), columns, log)?;
    Ok(Some((Part { plan, raw: slot, table }, left)))
}

fn with_origin(columns: &Schema) -> SchemaRef {
    let origin = Arc::new(Field::new(ORIGIN, DataType::UInt64, false));
    Arc::new(Schema::new(columns.fields().iter().cloned().chain([origin]).collect::<Vec<_>>()))
}

/// The columns as they are kept: as rows can be written down, each with a name of its own.
fn kept_columns(schema: &DFSchema) -> Option<SchemaRef> {
    let mut fields: Vec<Field> = Vec::new();
    for field in schema.fields() {
        let mut name = field.name().clone();
        while fields.iter().any(|field| *field.name() == name) {
            name.push('\'');
        }
        fields.push(Field::new(name, stored(field.data_type())?, true));
    }
    Some(Arc::new(Schema::new(fields)))
}

/// A scan of prepared rows under the names that the part gave its columns.
fn stand_in(
    scan: &TableScan,
    schema: &Arc<DFSchema>,
    columns: SchemaRef,
    log: &ScanLog,
) -> Result<(Arc<PreparedTable>, LogicalPlan)> {
    let table = Arc::new(PreparedTable::new(scan, columns, log)?);
    let source = provider_as_source(table.clone());
    let rows = LogicalPlanBuilder::scan(scan.table_name.clone(), source, None)?.build()?;
    let exprs = rows.schema().columns().into_iter().zip(schema.iter()).map(|(column, (qualifier, field))| {
        let mut expr = Expr::Column(column.clone());
        if stored(field.data_type()).as_ref() != Some(field.data_type()) {
            expr = Expr::Cast(Cast::new(Box::new(expr), field.data_type().clone()));
        } else if qualifier == column.relation.as_ref() && *field.name() == column.name {
            return expr;
        }
        expr.alias_qualified(qualifier.cloned(), field.name())
    });
    let exprs: Vec<Expr> = exprs.collect();
    let names = Projection::try_new(exprs, Arc::new(rows))?;
    Ok((table, LogicalPlan::Projection(names)))
}

/// Whether a cast to that type makes a kept column what it was before.
pub fn restores(data_type: &DataType, column: &Column, kept: &SchemaRef) -> bool {
    let field = kept.field_with_name(&column.name);
    field.is_ok_and(|field| stored(data_type).as_ref() == Some(field.data_type()))
}

/// The type in which a column is kept; `None` where there is none.
fn stored(data_type: &DataType) -> Option<DataType> {
    Some(match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8View,
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => DataType::Int64,
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 => DataType::UInt64,
        DataType::Boolean => DataType::Boolean,
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            DataType::Timestamp(TimeUnit::Microsecond, zone.clone())
        }
        DataType::List(item) if stored(item.data_type()).as_ref() == Some(item.data_type()) => {
            data_type.clone()
        }
        _ => return None,
    })
}

/// The plan with constant patterns compiled, whoever looks at the rows.
pub fn compile_patterns(plan: LogicalPlan) -> Result<LogicalPlan> {
    plan.transform_up(|node| {
        let names = NamePreserver::new(&node);
        let done = node.map_expressions(|expr| {
            let name = names.save(&expr);
            let compiled = pattern::compiled(expr)?;
            Ok(Transformed::yes(name.restore(compiled)))
        })?;
        Ok(Transformed::yes(done.data))
    })
    .data()
}
