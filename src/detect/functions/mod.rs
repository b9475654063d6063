//! SQL functions over audit bodies, identities, addresses and images.
//!
//! One file per family; [`all`] makes them for a session, [`catalogue`] describes them to people.
//! Every function gives null for null (but `listed`), and for text that is not what it expects.

mod address;
mod diff;
mod function;
mod image;
mod list;
mod rbac;
mod request;
mod texts;
mod window;
mod workload;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, LazyLock};

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, ScalarUDF};

use crate::rules::List;
use function::{Definition, Function, constant};

/// The lists that `listed` looks values up in, by name.
pub type Lists = BTreeMap<String, Arc<List>>;

/// A function as described to analysts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FunctionDoc {
    pub name: &'static str,
    /// How it is called: `cidr_match(address, 'cidr')`.
    pub signature: &'static str,
    /// Type of the result in the words of `docs/columns.md`.
    pub returns: &'static str,
    pub doc: &'static str,
}

fn families() -> impl Iterator<Item = &'static Definition> {
    let families = [
        workload::FUNCTIONS,
        rbac::FUNCTIONS,
        request::FUNCTIONS,
        image::FUNCTIONS,
        address::FUNCTIONS,
        diff::FUNCTIONS,
        texts::FUNCTIONS,
    ];
    families.into_iter().flatten()
}

/// All functions for one session. `window_end` is what `window_end()` returns: microseconds since the
/// epoch, set by whoever evaluates a window before evaluating it.
pub fn all(lists: Arc<Lists>, window_end: Arc<AtomicI64>) -> Vec<ScalarUDF> {
    let mut functions = vec![list::listed(lists), window::window_end(window_end)];
    functions.extend(families().map(|definition| ScalarUDF::new_from_impl(Function::new(definition))));
    functions
}

/// Every function of ours in the order of the documentation.
pub fn catalogue() -> &'static [FunctionDoc] {
    static CATALOGUE: LazyLock<Vec<FunctionDoc>> = LazyLock::new(|| {
        let mut docs = vec![list::DOC];
        docs.extend(families().map(|definition| definition.doc));
        docs.push(window::DOC);
        docs
    });
    &CATALOGUE
}

/// Whether a function reads a JSON body, so that it should run only for rows that passed everything
/// else. Knows ours and those behind the JSON operators.
pub fn is_expensive(name: &str) -> bool {
    name.starts_with("json_")
        || families().any(|definition| definition.doc.name == name && definition.expensive)
}

/// Names of the lists that an expression looks values up in, each once.
pub fn list_names(expression: &Expr) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let visited = expression.apply(|node| {
        if let Expr::ScalarFunction(call) = node
            && call.func.name() == list::DOC.name
            && let Some(Expr::Literal(scalar, _)) = call.args.first()
            && let Some(name) = constant(Some(scalar))
            && !names.iter().any(|earlier| earlier == name)
        {
            names.push(name.to_string());
        }
        Ok(TreeNodeRecursion::Continue)
    });
    debug_assert!(visited.is_ok(), "the closure never fails");
    names
}
