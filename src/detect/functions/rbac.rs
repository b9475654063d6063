//! Functions over roles and bindings.
//!
//! What an object does not say is an empty list; an object that is neither role nor binding is null.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{ArrayRef, ListBuilder, StringViewBuilder};
use arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::Result;

use super::FunctionDoc;
use super::function::{
    Args, Definition, Parameter, boolean, struct_list, struct_lists, text, text_list, unchecked,
};
use super::workload::append_all;
use crate::event::json::Node;
use crate::event::schema::list_item;

/// Keys of a rule with the names `role_rules()` gives them.
const RULE_KEYS: [(&str, &str); 5] = [
    ("verbs", "verbs"),
    ("apiGroups", "api_groups"),
    ("resources", "resources"),
    ("resourceNames", "resource_names"),
    ("nonResourceURLs", "non_resource_urls"),
];

/// The rules of a role; a role without any (an aggregated one) has none.
fn rules(body: &str) -> Option<impl Iterator<Item = Node<'_>>> {
    let body = Node::new(body);
    let rules = body.get("rules");
    let is_role =
        || body.get("kind").and_then(Node::text).is_some_and(|kind| kind == "Role" || kind == "ClusterRole");
    let list = rules.filter(|rules| rules.raw().starts_with('[') || rules.is_null());
    (list.is_some() || is_role()).then(|| list.into_iter().flat_map(Node::items))
}

fn members<'a>(node: Node<'a>, key: &str) -> impl Iterator<Item = Cow<'a, str>> {
    node.get(key).into_iter().flat_map(Node::items).filter_map(Node::text)
}

/// The members of one key over all rules, each once.
fn together<'a>(body: &'a str, key: &str) -> Option<Vec<Cow<'a, str>>> {
    let mut all: Vec<Cow<str>> = Vec::new();
    for member in rules(body)?.flat_map(|rule| members(rule, key)) {
        if !all.contains(&member) {
            all.push(member);
        }
    }
    Some(all)
}

/// Whether a rule's entry covers a resource, as the API server's authorizer reads it.
fn covers(entry: &str, resource: &str) -> bool {
    let subresource = || resource.split_once('/').map(|(_, subresource)| subresource);
    entry == "*"
        || entry == resource
        || entry.strip_prefix("*/").is_some_and(|sub| subresource() == Some(sub))
}

fn grants(body: &str, verb: &str, resource: &str) -> Option<bool> {
    Some(rules(body)?.any(|rule| {
        members(rule, "verbs").any(|entry| entry == "*" || entry == verb)
            && members(rule, "resources").any(|entry| covers(&entry, resource))
    }))
}

/// The subjects of a binding; a binding without any has none.
fn subjects(body: &str) -> Option<impl Iterator<Item = Node<'_>>> {
    let body = Node::new(body);
    let list = body.get("subjects").filter(|list| list.raw().starts_with('[') || list.is_null());
    (list.is_some() || body.get("roleRef").is_some()).then(|| list.into_iter().flat_map(Node::items))
}

fn subject_name(subject: Node<'_>) -> Option<Cow<'_, str>> {
    let get = |key| subject.get(key).and_then(Node::text);
    let name = get("name")?;
    if get("kind").is_some_and(|kind| kind == "ServiceAccount") {
        let namespace = get("namespace").unwrap_or_default();
        return Some(Cow::Owned(format!("system:serviceaccount:{namespace}:{name}")));
    }
    Some(name)
}

fn rule_fields() -> Fields {
    RULE_KEYS.iter().map(|(_, name)| Field::new(*name, text_list(), true)).collect()
}

fn rules_type() -> DataType {
    struct_list(rule_fields())
}

fn role_rules(args: &Args) -> Result<ArrayRef> {
    let mut columns = RULE_KEYS.map(|_| ListBuilder::new(StringViewBuilder::new()).with_field(list_item()));
    let mut push = |rule: Node| {
        columns
            .iter_mut()
            .zip(RULE_KEYS)
            .for_each(|(column, (key, _))| append_all(column, members(rule, key)));
    };
    let count = |row| Some(rules(args.text(0, row)?)?.map(&mut push).count());
    let lengths: Vec<_> = (0..args.rows()).map(count).collect();
    let columns = columns.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef).collect();
    struct_lists(rule_fields(), &lengths, columns)
}

const SUBJECT_KEYS: [&str; 3] = ["kind", "name", "namespace"];

fn subject_fields() -> Fields {
    SUBJECT_KEYS.iter().map(|name| Field::new(*name, DataType::Utf8View, true)).collect()
}

fn subjects_type() -> DataType {
    struct_list(subject_fields())
}

fn subject_rows(args: &Args) -> Result<ArrayRef> {
    let mut columns = SUBJECT_KEYS.map(|_| StringViewBuilder::new());
    let mut push = |subject: Node| {
        let values = SUBJECT_KEYS.map(|key| subject.get(key).and_then(Node::text));
        columns.iter_mut().zip(values).for_each(|(column, value)| column.append_option(value));
    };
    let count = |row| Some(subjects(args.text(0, row)?)?.map(&mut push).count());
    let lengths: Vec<_> = (0..args.rows()).map(count).collect();
    let columns = columns.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef).collect();
    struct_lists(subject_fields(), &lengths, columns)
}

fn role_ref<'a>(args: &'a Args, row: usize, key: &str) -> Option<Cow<'a, str>> {
    Node::new(args.text(0, row)?).path(&["roleRef", key])?.text()
}

pub(super) const FUNCTIONS: &[Definition] = &[
    Definition {
        doc: FunctionDoc {
            name: "role_rules",
            signature: "role_rules(object)",
            returns: "list of struct",
            doc: "rules of a Role or ClusterRole: `verbs`, `api_groups`, `resources`, `resource_names`, `non_resource_urls`. Use with `unnest`",
        },
        parameters: &[Parameter::Text],
        returns: rules_type,
        expensive: true,
        check: unchecked,
        run: role_rules,
    },
    Definition {
        doc: FunctionDoc {
            name: "role_verbs",
            signature: "role_verbs(object)",
            returns: "text[]",
            doc: "verbs of all rules of a role together",
        },
        parameters: &[Parameter::Text],
        returns: text_list,
        expensive: true,
        check: unchecked,
        run: |args| args.text_lists(|row| together(args.text(0, row)?, "verbs")),
    },
    Definition {
        doc: FunctionDoc {
            name: "role_resources",
            signature: "role_resources(object)",
            returns: "text[]",
            doc: "resources of all rules of a role together",
        },
        parameters: &[Parameter::Text],
        returns: text_list,
        expensive: true,
        check: unchecked,
        run: |args| args.text_lists(|row| together(args.text(0, row)?, "resources")),
    },
    Definition {
        doc: FunctionDoc {
            name: "role_api_groups",
            signature: "role_api_groups(object)",
            returns: "text[]",
            doc: "API groups of all rules of a role together; the core group is an empty text",
        },
        parameters: &[Parameter::Text],
        returns: text_list,
        expensive: true,
        check: unchecked,
        run: |args| args.text_lists(|row| together(args.text(0, row)?, "apiGroups")),
    },
    Definition {
        doc: FunctionDoc {
            name: "role_grants",
            signature: "role_grants(object, verb, resource)",
            returns: "bool",
            doc: "one rule allows the verb on the resource (`pods/exec` for a subresource), wildcards included; rules for named objects count too",
        },
        parameters: &[Parameter::Text, Parameter::Text, Parameter::Text],
        returns: boolean,
        expensive: true,
        check: unchecked,
        run: |args| args.bools(|row| grants(args.text(0, row)?, args.text(1, row)?, args.text(2, row)?)),
    },
    Definition {
        doc: FunctionDoc {
            name: "role_ref_kind",
            signature: "role_ref_kind(object)",
            returns: "text",
            doc: "kind of the role a binding refers to",
        },
        parameters: &[Parameter::Text],
        returns: text,
        expensive: true,
        check: unchecked,
        run: |args| args.texts(|row| role_ref(args, row, "kind")),
    },
    Definition {
        doc: FunctionDoc {
            name: "role_ref_name",
            signature: "role_ref_name(object)",
            returns: "text",
            doc: "name of the role a binding refers to",
        },
        parameters: &[Parameter::Text],
        returns: text,
        expensive: true,
        check: unchecked,
        run: |args| args.texts(|row| role_ref(args, row, "name")),
    },
    Definition {
        doc: FunctionDoc {
            name: "subjects",
            signature: "subjects(object)",
            returns: "list of struct",
            doc: "`kind`, `name`, `namespace` of a binding's subjects. Use with `unnest`",
        },
        parameters: &[Parameter::Text],
        returns: subjects_type,
        expensive: true,
        check: unchecked,
        run: subject_rows,
    },
    Definition {
        doc: FunctionDoc {
            name: "subject_names",
            signature: "subject_names(object)",
            returns: "text[]",
            doc: "a binding's subjects as names; a service account as `system:serviceaccount:<namespace>:<name>`",
        },
        parameters: &[Parameter::Text],
        returns: text_list,
        expensive: true,
        check: unchecked,
        run: |args| {
            args.text_lists(|row| Some(subjects(args.text(0, row)?)?.filter_map(subject_name).collect()))
        },
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_are_covered_as_the_api_server_does() {
        for (entry, resource, expected) in [
            ("*", "secrets", true),
            ("*", "pods/exec", true),
            ("pods/exec", "pods/exec", true),
            ("*/exec", "pods/exec", true),
            ("pods", "pods/exec", false),
            ("pods/*", "pods/exec", false),
            ("*/exec", "exec", false),
            ("secrets", "*", false),
        ] {
            assert_eq!(covers(entry, resource), expected, "{entry} {resource}");
        }
    }

    #[test]
    fn verb_and_resource_must_be_in_one_rule() {
        let body = r#"{"rules":[{"verbs":["get"],"resources":["pods"]},{"verbs":["*"],"resources":["configmaps"]}]}"#;
        assert_eq!(grants(body, "get", "pods"), Some(true));
        assert_eq!(grants(body, "delete", "pods"), Some(false));
        assert_eq!(grants(body, "delete", "configmaps"), Some(true));
        assert_eq!(grants(r#"{"kind":"ClusterRole","rules":null}"#, "get", "pods"), Some(false));
        assert_eq!(grants(r#"{"kind":"ClusterRole","aggregationRule":{}}"#, "get", "pods"), Some(false));
        assert_eq!(grants(r#"{"kind":"Pod"}"#, "get", "pods"), None);
        assert_eq!(grants(r#"{"rules":"x"}"#, "get", "pods"), None);
    }
}
