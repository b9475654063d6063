//! Words that logs have: literals which no value of their column ever equals, usually for their
//! spelling.

use std::collections::BTreeSet;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, ObjectName,
};

use super::domain::constant;
use crate::detect::functions;
use crate::detect::lint::{column_of, suggestion};
use crate::event::schema::values;

/// Resources of Kubernetes itself and of what AKS brings. Others exist; these tell misspelled ones.
const RESOURCES: &[&str] = &[
    "apiservices",
    "bindings",
    "certificatesigningrequests",
    "clusterrolebindings",
    "clusterroles",
    "componentstatuses",
    "configmaps",
    "controllerrevisions",
    "cronjobs",
    "csidrivers",
    "csinodes",
    "customresourcedefinitions",
    "daemonsets",
    "deployments",
    "endpoints",
    "endpointslices",
    "events",
    "flowschemas",
    "horizontalpodautoscalers",
    "ingressclasses",
    "ingresses",
    "jobs",
    "leases",
    "limitranges",
    "localsubjectaccessreviews",
    "mutatingwebhookconfigurations",
    "namespaces",
    "networkpolicies",
    "nodes",
    "persistentvolumeclaims",
    "persistentvolumes",
    "poddisruptionbudgets",
    "pods",
    "podsecuritypolicies",
    "podtemplates",
    "priorityclasses",
    "prioritylevelconfigurations",
    "replicasets",
    "replicationcontrollers",
    "resourcequotas",
    "rolebindings",
    "roles",
    "runtimeclasses",
    "secretproviderclasses",
    "secrets",
    "selfsubjectaccessreviews",
    "selfsubjectreviews",
    "selfsubjectrulesreviews",
    "serviceaccounts",
    "services",
    "statefulsets",
    "storageclasses",
    "subjectaccessreviews",
    "tokenreviews",
    "validatingadmissionpolicies",
    "validatingadmissionpolicybindings",
    "validatingwebhookconfigurations",
    "volumeattachments",
];

/// Those without a namespace. `namespaces` is none of them: a request for one carries its name as
/// namespace.
pub(super) const CLUSTER_SCOPED: &[&str] = &[
    "apiservices",
    "certificatesigningrequests",
    "clusterrolebindings",
    "clusterroles",
    "componentstatuses",
    "csidrivers",
    "csinodes",
    "customresourcedefinitions",
    "flowschemas",
    "ingressclasses",
    "mutatingwebhookconfigurations",
    "nodes",
    "persistentvolumes",
    "podsecuritypolicies",
    "priorityclasses",
    "prioritylevelconfigurations",
    "runtimeclasses",
    "selfsubjectaccessreviews",
    "selfsubjectreviews",
    "selfsubjectrulesreviews",
    "storageclasses",
    "subjectaccessreviews",
    "tokenreviews",
    "validatingadmissionpolicies",
    "validatingadmissionpolicybindings",
    "validatingwebhookconfigurations",
    "volumeattachments",
];

const SUBRESOURCES: &[&str] = &[
    "approval",
    "attach",
    "binding",
    "ephemeralcontainers",
    "eviction",
    "exec",
    "finalize",
    "log",
    "portforward",
    "proxy",
    "resize",
    "scale",
    "status",
    "token",
];

/// Categories that AKS is known to send.
const CATEGORIES: &[&str] = &[
    "cloud-controller-manager",
    "cluster-autoscaler",
    "csi-azuredisk-controller",
    "csi-azurefile-controller",
    "csi-snapshot-controller",
    "guard",
    "kube-apiserver",
    "kube-audit",
    "kube-audit-admin",
    "kube-controller-manager",
    "kube-scheduler",
];

/// A column as a query names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Read {
    /// The alias in front of it, if there is one.
    pub of: String,
    pub name: &'static str,
}

/// The column whose absence makes the whole expression null, and whether it stands there by itself.
pub(super) fn read(expr: &Expr) -> Option<(Read, bool)> {
    match expr {
        Expr::Identifier(_) => Some((Read { of: String::new(), name: column_of(expr)?.name }, true)),
        Expr::CompoundIdentifier(parts) => {
            let of = parts.iter().rev().nth(1).map(|part| part.value.clone()).unwrap_or_default();
            Some((Read { of, name: column_of(expr)?.name }, true))
        }
        Expr::Nested(inner) => read(inner),
        Expr::BinaryOp { left, op: BinaryOperator::Arrow | BinaryOperator::LongArrow, .. } => {
            read(left).map(|(column, _)| (column, false))
        }
        Expr::Function(function) => {
            let name = word(&function.name)?;
            let strict = functions::catalogue().iter().any(|known| known.name == name)
                && !matches!(name.as_str(), "listed" | "exec_command" | "window_end");
            let known = ["array_length", "lower", "upper", "array_has", "array_has_any", "starts_with"];
            let first = arguments(&function.args).next()?;
            (strict || known.contains(&name.as_str()))
                .then(|| read(first))
                .flatten()
                .map(|(column, _)| (column, false))
        }
        _ => None,
    }
}

/// The name of a function, in lower case.
pub(super) fn word(name: &ObjectName) -> Option<String> {
    name.0.last().and_then(|part| part.as_ident()).map(|ident| ident.value.to_lowercase())
}

/// What a function is called with.
pub(super) fn arguments(arguments: &FunctionArguments) -> impl Iterator<Item = &Expr> {
    let list = match arguments {
        FunctionArguments::List(list) => list.args.as_slice(),
        _ => &[],
    };
    list.iter().filter_map(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
        _ => None,
    })
}

/// A column as it is compared: behind `coalesce` with its other values, behind `lower`.
struct Compared {
    name: &'static str,
    defaults: BTreeSet<String>,
}

fn compared(expr: &Expr) -> Option<Compared> {
    if let Some(column) = column_of(expr) {
        return Some(Compared { name: column.name, defaults: BTreeSet::new() });
    }
    match expr {
        Expr::Nested(inner) => compared(inner),
        Expr::Function(function) if word(&function.name)? == "coalesce" => {
            let mut arguments = arguments(&function.args);
            let mut column = compared(arguments.next()?)?;
            column.defaults = arguments.map(constant).collect::<Option<_>>()?;
            Some(column)
        }
        _ => None,
    }
}

/// Why the expression never equals the literal, if it is known; `own` are names that are no columns here.
pub(super) fn misspelled(expr: &Expr, literal: &str, own: &BTreeSet<String>) -> Option<String> {
    if let Expr::Function(function) = expr
        && matches!(word(&function.name)?.as_str(), "lower" | "image_registry")
        && has_upper(literal)
    {
        let name = word(&function.name)?;
        return Some(format!("never equal: {name}() gives lower case, and '{literal}' is not"));
    }
    let Compared { name, defaults } = compared(expr)?;
    if defaults.contains(literal) || own.contains(name) {
        return None;
    }
    if let Some(known) = values(name) {
        if known.contains(&literal) {
            return None;
        }
        let hint = suggestion(literal, known);
        let hint = if hint.is_empty() { format!("; there are {}", known.join(", ")) } else { hint };
        return Some(format!("no log has {name} '{literal}'{hint}"));
    }
    match name {
        "resource" => match literal.split_once('/') {
            Some((resource, rest)) => Some(format!(
                "no log has {name} '{literal}'; write resource = '{resource}' AND subresource = '{rest}'"
            )),
            None => unlike(name, literal, RESOURCES),
        },
        "subresource" => unlike(name, literal, SUBRESOURCES),
        "category" => category(literal),
        "api_group" if matches!(literal, "" | "core" | "v1") => {
            Some(format!("no log has {name} '{literal}'; the core group is null: write {name} IS NULL"))
        }
        "api_group" => literal.split_once('/').map(|(group, _)| {
            format!("no log has {name} '{literal}'; the version stands in api_version: write '{group}'")
        }),
        "cluster" | "namespace" if has_upper(literal) => {
            Some(format!("no log has {name} '{literal}'; it is lower case"))
        }
        _ => None,
    }
}

/// Why no log has this category: it is another one in capitals or with a slip of the finger.
pub(super) fn category(literal: &str) -> Option<String> {
    let near = |known: &&&str| strsim::damerau_levenshtein(&literal.to_lowercase(), known) <= 1;
    match CATEGORIES.iter().find(near) {
        Some(known) if *known != literal => {
            Some(format!("no log has category '{literal}'; did you mean \"{known}\"?"))
        }
        _ => None,
    }
}

/// A word in capitals, in the singular, or one slip away from one that there is.
fn unlike(name: &str, literal: &str, known: &[&str]) -> Option<String> {
    if known.contains(&literal) {
        return None;
    }
    let lower = literal.to_lowercase();
    let stem = lower.strip_suffix('y').unwrap_or("\0");
    let inflected = |known: &&&str| {
        **known == lower
            || **known == format!("{lower}s")
            || **known == format!("{lower}es")
            || **known == format!("{stem}ies")
            || lower == format!("{known}s")
            || lower.len() >= 6 && strsim::damerau_levenshtein(&lower, known) == 1
    };
    match known.iter().find(inflected) {
        Some(meant) => Some(format!("no log has {name} '{literal}'; did you mean \"{meant}\"?")),
        None if has_upper(literal) => Some(format!("no log has {name} '{literal}'; it is lower case")),
        None => None,
    }
}

fn has_upper(text: &str) -> bool {
    text.chars().any(char::is_uppercase)
}
