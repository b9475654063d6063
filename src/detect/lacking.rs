//! Which rules cannot fire because of what is not there: a database of addresses, entries of a list.
//!
//! A call that can only answer NULL (or false) is replaced by that answer and the plan folded once more:
//! if no table is left to read, no row can ever raise an alert. What is not folded away is not known to be
//! silent.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, ScalarValue};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{EmptyRelation, Expr, JoinType, LogicalPlan, lit};

use super::Engine;
use super::engine::CLUSTERS_NAMED;
use super::functions::{LISTED, Lookups, constant_text, fact_of, is_strict, list_arguments};
use crate::event::cluster_name;
use crate::rules::List;

/// What keeps one rule from firing.
#[derive(Debug, Clone, Default)]
pub struct Lacking {
    /// Why it cannot fire at all; empty if it can.
    pub reasons: Vec<String>,
    /// Lists that must have an entry for a cluster if it is to fire there.
    pub by_cluster: Vec<Arc<List>>,
}

/// In every reason that a database would take away.
const DATABASE: &str = "() needs ";

impl Engine {
    /// Plans the rules that ask databases or lists for values: only then is it known what they lack.
    pub fn wake_lookups(&mut self) {
        let calls = ["country(", "asn(", "as_owner(", "distance_km(", "list_value("];
        self.wake_those(&|rule| calls.iter().any(|call| rule.sql.contains(call)));
    }

    /// Rules that cannot fire with the databases and lists there are, and what each lacks.
    pub fn mute(&self) -> impl Iterator<Item = (&str, String)> {
        let mute = self.rules.iter().filter(|rule| !rule.planned.lacking.reasons.is_empty());
        mute.map(|rule| {
            let reasons = &rule.planned.lacking.reasons;
            let database = reasons.iter().any(|reason| reason.contains(DATABASE));
            let advice = if database { " (name it in [enrich] geoip, or with --geoip)" } else { "" };
            (rule.detection.id.as_str(), reasons.join(", ") + advice)
        })
    }

    /// What a reader of the alerts should know of those rules, and of clusters that lists say nothing of.
    pub(super) fn lacking_notes(&self) -> Vec<String> {
        let mut notes: Vec<String> =
            self.mute().map(|(rule, reasons)| format!("{rule}: cannot fire: {reasons}")).collect();
        for rule in &self.rules {
            for list in &rule.planned.lacking.by_cluster {
                let seen = self.begun.keys().filter(|cluster| list.find(cluster, None).is_none());
                let mut unknown: Vec<&str> = seen.map(|cluster| cluster_name(cluster)).collect();
                unknown.sort_unstable();
                let more = unknown.len().saturating_sub(CLUSTERS_NAMED);
                unknown.truncate(CLUSTERS_NAMED);
                let (id, clusters, list) = (&rule.detection.id, unknown.join(", "), &list.name);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                if !unknown.is_empty() {
                    notes.push(format!(
                        "{id}: silent on {clusters}{more}, which lists/{list}.csv has no entry for"
                    ));
                }
            }
        }
        notes
    }
}

/// What the rule of this plan, as written, asks for in vain.
pub fn of(plan: &LogicalPlan, state: &SessionState, lookups: &Lookups) -> Result<Lacking> {
    let mut lacking = Lacking::default();
    let mut by_cluster: Vec<Arc<List>> = Vec::new();
    visit(plan, &mut |call| {
        if let Some((reason, _)) = in_vain(call, lookups) {
            if !lacking.reasons.contains(&reason) {
                lacking.reasons.push(reason);
            }
        } else if let Some(list) = of_cluster(call, lookups)
            && !by_cluster.iter().any(|known| known.name == list.name)
        {
            by_cluster.push(list.clone());
        }
    })?;
    if !lacking.reasons.is_empty() {
        let silenced_by = |wanted: &[String]| {
            let answer = |call: &ScalarFunction| {
                in_vain(call, lookups).filter(|(reason, _)| wanted.contains(reason)).map(|(_, answer)| answer)
            };
            is_silent(plan, state, &answer)
        };
        // Of several things that are missing some may not matter.
        let mut alone = Vec::new();
        for reason in &lacking.reasons {
            if silenced_by(std::slice::from_ref(reason))? {
                alone.push(reason.clone());
            }
        }
        if !alone.is_empty() {
            lacking.reasons = alone;
        } else if !silenced_by(&lacking.reasons)? {
            lacking.reasons.clear();
        }
    }
    if lacking.reasons.is_empty() {
        for list in by_cluster {
            let null = |call: &ScalarFunction| {
                let this = of_cluster(call, lookups).is_some_and(|other| other.name == list.name);
                this.then_some(ScalarValue::Utf8View(None))
            };
            if is_silent(plan, state, &null)? {
                lacking.by_cluster.push(list);
            }
        }
    }
    Ok(lacking)
}

/// Why a call can only give one answer, and that answer.
fn in_vain(call: &ScalarFunction, lookups: &Lookups) -> Option<(String, ScalarValue)> {
    let name = call.func.name();
    if let Some(fact) = fact_of(name) {
        if lookups.geoip.has(fact) {
            return None;
        }
        let reason = format!("{name}{DATABASE}{}", fact.database());
        return Some((reason, ScalarValue::try_from(call.func.return_type(&[]).ok()?).ok()?));
    }
    list_arguments(name)?;
    let list = lookups.lists.get(call.args.first().and_then(constant_text)?)?;
    if name == LISTED.name {
        let reason = format!("lists/{}.csv has no entries", list.name);
        return list.entries().is_empty().then_some((reason, ScalarValue::Boolean(Some(false))));
    }
    let asked = call.args.get(2).and_then(constant_text)?;
    let column = list.column(asked).ok()?;
    let empty = list.entries().iter().all(|entry| column.of(entry).is_none());
    let reason = format!("no entry of lists/{}.csv has {asked}", list.name);
    empty.then_some((reason, ScalarValue::Utf8View(None)))
}

/// The list that a call asks for what it has of the row's cluster.
fn of_cluster<'a>(call: &ScalarFunction, lookups: &'a Lookups) -> Option<&'a Arc<List>> {
    let name = call.func.name();
    list_arguments(name).filter(|_| name != LISTED.name)?;
    let Some(Expr::Column(key)) = call.args.get(1) else { return None };
    (key.name == "cluster").then_some(())?;
    lookups.lists.get(call.args.first().and_then(constant_text)?)
}

fn visit(plan: &LogicalPlan, see: &mut dyn FnMut(&ScalarFunction)) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Expr::ScalarFunction(call) = expr {
                    see(call);
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(())
}

/// Whether nothing is left to read once these calls have their answers.
fn is_silent(
    plan: &LogicalPlan,
    state: &SessionState,
    answer: &dyn Fn(&ScalarFunction) -> Option<ScalarValue>,
) -> Result<bool> {
    let answered = plan.clone().transform_up_with_subqueries(|node| {
        // A column of the result is called after its expression.
        let names = NamePreserver::new(&node);
        let done = node.map_expressions(|expr| {
            let name = names.save(&expr);
            let done = expr.transform_up(|expr| {
                let known = if let Expr::ScalarFunction(call) = &expr {
                    answer(call).or_else(|| of_null(call))
                } else {
                    None
                };
                Ok(known.map_or(Transformed::no(expr), |value| Transformed::yes(lit(value))))
            })?;
            Ok(done.update_data(|expr| name.restore(expr)))
        })?;
        done.transform_data(|node| Ok(Transformed::yes(node.recompute_schema()?)))
    })?;
    let folded = state.optimize(&answered.data)?;
    let pruned = folded.transform_up_with_subqueries(|node| {
        let never = match &node {
            LogicalPlan::Filter(filter) => split_conjunction(&filter.predicate).into_iter().any(is_never),
            LogicalPlan::TableScan(scan) => scan.filters.iter().flat_map(split_conjunction).any(is_never),
            LogicalPlan::Join(join) if join.join_type == JoinType::Inner => {
                join.filter.iter().flat_map(split_conjunction).any(is_never)
            }
            _ => false,
        };
        if !never {
            return Ok(Transformed::no(node));
        }
        let schema = node.schema().clone();
        Ok(Transformed::yes(LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: false, schema })))
    })?;
    let mut reads = false;
    state.optimize(&pruned.data)?.apply_with_subqueries(|node| {
        reads |= matches!(node, LogicalPlan::TableScan(_));
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(!reads)
}

/// What a function of ours gives for NULL, which the planner does not know.
fn of_null(call: &ScalarFunction) -> Option<ScalarValue> {
    let null = |arg: &Expr| matches!(arg, Expr::Literal(value, _) if value.is_null());
    (is_strict(call.func.name()) && call.args.iter().any(null)).then_some(())?;
    ScalarValue::try_from(call.func.return_type(&[]).ok()?).ok()
}

fn is_never(conjunct: &Expr) -> bool {
    matches!(conjunct, Expr::Literal(ScalarValue::Boolean(None | Some(false)) | ScalarValue::Null, _))
}
