//! Which rules cannot fire when columns stay empty: the row filter decides, with NULL in their place.
//!
//! A conjunct that folds to NULL or false lets no row through, whatever else the row holds. Where the
//! column is only one of several ways through, or is compared with nothing (`IS NULL`), the rule still
//! fires, only on fewer rows or on more than it should: it is called weaker.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, DFSchemaRef, ScalarValue};
use datafusion::error::Result;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, lit};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::sql::sqlparser::ast::ExprWithAlias as SQLExprWithAlias;

use super::table::PlannedScan;
use super::{Engine, gate};
use crate::event::Table;
use crate::rules::Detection;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Sight {
    Blind,
    Weaker,
    Full,
}

impl Engine {
    /// Ids of the rules that no row of `audit` can raise while these columns are empty, and of those
    /// that read them and may be raised all the same.
    pub fn without(&mut self, columns: &[&str]) -> (Vec<String>, Vec<String>) {
        // Who does not name a column does not miss it. Of rules that were not planned yet, the text tells
        // as much where they read one table.
        let names = |rule: &Detection| columns.iter().any(|column| rule.sql.contains(column));
        let (mut judged, mut unclear) = (Vec::new(), BTreeSet::new());
        self.matcher.each_asleep(&mut |rule, state| {
            if names(rule) {
                match text_sight(rule, state, columns) {
                    Some(sight) => judged.push((rule.id.clone(), vec![sight])),
                    None => drop(unclear.insert(rule.id.clone())),
                }
            }
        });
        self.wake_those(&|rule| unclear.contains(&rule.id));
        let planned = self.rules.iter().filter(|rule| names(&rule.detection)).map(|rule| {
            let sights = rule.planned.scans.iter().map(|scan| sight(scan, columns)).collect();
            (rule.detection.id.clone(), sights)
        });
        judged.extend(planned);
        judged.sort_unstable();
        let (mut blind, mut weaker) = (Vec::new(), Vec::new());
        for (id, sights) in judged {
            if !sights.is_empty() && sights.iter().all(|sight| *sight == Sight::Blind) {
                blind.push(id);
            } else if sights.iter().any(|sight| *sight != Sight::Full) {
                // Of two things that a rule puts together it sees one: what that means depends on the rule.
                weaker.push(id);
            }
        }
        blind.dedup();
        weaker.dedup();
        (blind, weaker)
    }
}

/// What a rule over one table sees, by its `WHERE`; `None` where that does not show it.
fn text_sight(rule: &Detection, state: &SessionState, columns: &[&str]) -> Option<Sight> {
    let (table, called, condition) = gate::condition(&rule.sql)?;
    if table != Table::Audit {
        return Some(Sight::Full);
    }
    let Some(condition) = condition else { return Some(Sight::Full) };
    let sight = || -> Result<Sight> {
        let schema = Arc::new(DFSchema::try_from_qualified_schema(called, table.schema().as_ref())?);
        let condition = SQLExprWithAlias { expr: condition, alias: None };
        let condition = state.create_logical_expr_from_sql_expr(condition, &schema)?;
        let context = SimplifyContext::builder().with_schema(schema.clone()).build();
        let simplifier = ExprSimplifier::new(context);
        let condition = simplifier.simplify(simplifier.coerce(condition, &schema)?)?;
        let sights = split_conjunction(&condition).into_iter();
        let sights = sights.map(|c| conjunct_sight(c, columns, &schema).unwrap_or(Sight::Weaker));
        Ok(sights.min().unwrap_or(Sight::Full))
    };
    sight().ok()
}

fn sight(scan: &PlannedScan, columns: &[&str]) -> Sight {
    if scan.table != Table::Audit {
        return Sight::Full;
    }
    let Ok(schema) = DFSchema::try_from(scan.table.schema().as_ref().clone()) else { return Sight::Full };
    let schema = Arc::new(schema);
    let conjuncts = scan.filters.iter().flat_map(split_conjunction);
    // What cannot be folded is not known to be blind.
    conjuncts
        .map(|conjunct| conjunct_sight(conjunct, columns, &schema).unwrap_or(Sight::Weaker))
        .min()
        .unwrap_or(Sight::Full)
}

fn conjunct_sight(conjunct: &Expr, columns: &[&str], schema: &DFSchemaRef) -> Result<Sight> {
    let mut reads = false;
    let emptied = conjunct.clone().transform(|expr| {
        let Expr::Column(column) = expr else { return Ok(Transformed::no(expr)) };
        if !columns.contains(&column.name.as_str()) {
            return Ok(Transformed::yes(Expr::Column(Column::new_unqualified(column.name))));
        }
        reads = true;
        let field = schema.field_with_unqualified_name(&column.name)?;
        Ok(Transformed::yes(lit(ScalarValue::try_from(field.data_type())?)))
    })?;
    if !reads {
        return Ok(Sight::Full);
    }
    let context = SimplifyContext::builder().with_schema(schema.clone()).build();
    let folded = ExprSimplifier::new(context).simplify(emptied.data)?;
    let never =
        matches!(folded, Expr::Literal(ScalarValue::Boolean(None | Some(false)) | ScalarValue::Null, _));
    Ok(if never { Sight::Blind } else { Sight::Weaker })
}
