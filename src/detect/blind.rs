//! Which rules cannot fire when columns stay empty: the row filter decides, with NULL in their place.
//!
//! A conjunct that folds to NULL or false lets no row through, whatever else the row holds. Where the
//! column is only one of several ways through, or is compared with nothing (`IS NULL`), the rule still
//! fires, only on fewer rows or on more than it should: it is called weaker.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, DFSchemaRef, ScalarValue};
use datafusion::error::Result;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, lit};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;

use super::Engine;
use super::table::PlannedScan;
use crate::event::Table;

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
        self.wake_all();
        let (mut blind, mut weaker) = (Vec::new(), Vec::new());
        for rule in &self.rules {
            let sights: Vec<Sight> = rule.planned.scans.iter().map(|scan| sight(scan, columns)).collect();
            let id = rule.detection.id.clone();
            if !sights.is_empty() && sights.iter().all(|sight| *sight == Sight::Blind) {
                blind.push(id);
            } else if sights.iter().any(|sight| *sight != Sight::Full) {
                // Of two things that a rule puts together it sees one: what that means depends on the rule.
                weaker.push(id);
            }
        }
        blind.sort_unstable();
        weaker.sort_unstable();
        (blind, weaker)
    }
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
