//! SQL functions over audit bodies, identities, addresses and images.
//!
//! One file per family; [`all`] makes them for a session, [`catalogue`] describes them to people.
//! Every function gives null for null (but `listed`), and for text that is not what it expects.

mod address;
mod diff;
mod function;
mod geoip;
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
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, ScalarUDF};

use crate::rules::{Fact, Geoip, List};
use function::{Definition, Function, constant};
pub use list::{LISTED, arguments as list_arguments};

/// Lists by name.
pub type Lists = BTreeMap<String, Arc<List>>;

/// What functions look values up in.
#[derive(Debug, Clone, Default)]
pub struct Lookups {
    pub lists: Arc<Lists>,
    pub geoip: Arc<Geoip>,
}

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
pub fn all(lookups: &Lookups, window_end: Arc<AtomicI64>) -> Vec<ScalarUDF> {
    let mut functions = vec![window::window_end(window_end)];
    functions.extend(list::all(&lookups.lists));
    functions.extend(geoip::all(&lookups.geoip));
    functions.extend(families().map(|definition| ScalarUDF::new_from_impl(Function::new(definition))));
    functions
}

/// Every function of ours in the order of the documentation.
pub fn catalogue() -> &'static [FunctionDoc] {
    static CATALOGUE: LazyLock<Vec<FunctionDoc>> = LazyLock::new(|| {
        let mut docs = vec![list::LISTED, list::LIST_VALUE];
        docs.extend(families().map(|definition| definition.doc));
        docs.extend(geoip::FUNCTIONS.iter().map(|definition| definition.doc));
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

/// A call over the pod in a body, in two: the call that finds the pod's specification, and what makes
/// the rest of it a call on that. `None` for every other call.
pub fn in_two(call: &ScalarFunction) -> Option<(Expr, impl FnOnce(Expr) -> Expr + use<>)> {
    let named = |name: &str| workload::FUNCTIONS.iter().find(|definition| definition.doc.name == name);
    let definition = named(call.name()).filter(|definition| definition.doc.name != workload::POD_SPEC)?;
    let [body] = call.args.as_slice() else { return None };
    let find = ScalarUDF::new_from_impl(Function::new(named(workload::POD_SPEC)?));
    let rest = ScalarUDF::new_from_impl(Function::specified(definition));
    Some((find.call(vec![body.clone()]), move |specification| rest.call(vec![specification])))
}

/// What a database of addresses must hold for this function to say anything; `None` for every other one.
pub fn fact_of(name: &str) -> Option<Fact> {
    geoip::FUNCTIONS.iter().find(|function| function.doc.name == name).map(|function| function.fact)
}

/// Whether it is a function of ours that gives NULL where any argument is.
pub fn is_strict(name: &str) -> bool {
    let of_bodies = families().any(|definition| definition.doc.name == name && name != "exec_command");
    of_bodies || fact_of(name).is_some()
}

/// The text of an expression that is one.
pub fn constant_text(expression: &Expr) -> Option<&str> {
    let Expr::Literal(scalar, _) = expression else { return None };
    constant(Some(scalar))
}

/// Names of the lists that an expression looks values up in, each once.
pub fn list_names(expression: &Expr) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let visited = expression.apply(|node| {
        if let Expr::ScalarFunction(call) = node
            && list_arguments(call.func.name()).is_some()
            && let Some(name) = call.args.first().and_then(constant_text)
            && !names.iter().any(|earlier| earlier == name)
        {
            names.push(name.to_string());
        }
        Ok(TreeNodeRecursion::Continue)
    });
    debug_assert!(visited.is_ok(), "the closure never fails");
    names
}
