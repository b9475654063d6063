//! What changed between two versions of an object: for people who read an object's history.
//!
//! Bounded whatever the bodies hold: so many differences, each value shortened.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::FunctionDoc;
use super::function::{Definition, Parameter, text_list, unchecked};
use crate::event::json::Node;

/// Differences beyond this are not told one by one.
const MOST: usize = 100;
/// Characters of a value that are shown.
const LONGEST: usize = 200;
/// What the API server changes at each write, so that it says nothing.
const BOOKKEEPING: [&str; 4] =
    ["metadata.managedFields", "metadata.resourceVersion", "metadata.generation", "metadata.uid"];

struct Differences {
    found: Vec<String>,
    more: usize,
}

impl Differences {
    fn push(&mut self, difference: impl FnOnce() -> String) {
        if self.found.len() < MOST {
            self.found.push(difference());
        } else {
            self.more += 1;
        }
    }

    fn node(&mut self, path: &str, old: Option<Node>, new: Option<Node>) {
        if BOOKKEEPING.contains(&path) {
            return;
        }
        match (old.filter(|node| !node.is_null()), new.filter(|node| !node.is_null())) {
            (None, None) => {}
            (None, Some(new)) => self.push(|| format!("+ {path} = {}", short(new))),
            (Some(old), None) => self.push(|| format!("- {path} = {}", short(old))),
            (Some(old), Some(new)) if old.raw() == new.raw() => {}
            (Some(old), Some(new)) => self.values(path, old, new),
        }
    }

    fn values(&mut self, path: &str, old: Node, new: Node) {
        let both = |opening| old.raw().starts_with(opening) && new.raw().starts_with(opening);
        if both('{') {
            let (old, new): (BTreeMap<_, _>, BTreeMap<_, _>) =
                (old.entries().collect(), new.entries().collect());
            self.keyed(&old, &new, |key| match path {
                "" => key.to_string(),
                _ => format!("{path}.{key}"),
            });
        } else if both('[') {
            match (named(old), named(new)) {
                (Some(old), Some(new)) => self.keyed(&old, &new, |name| format!("{path}[{name}]")),
                _ => self.items(path, old, new),
            }
        } else if old.text().is_none() || old.text() != new.text() {
            self.push(|| format!("{path} = {} -> {}", short(old), short(new)));
        }
    }

    fn keyed(
        &mut self,
        old: &BTreeMap<Cow<str>, Node>,
        new: &BTreeMap<Cow<str>, Node>,
        path: impl Fn(&str) -> String,
    ) {
        for (key, value) in old {
            self.node(&path(key), Some(*value), new.get(key).copied());
        }
        for (key, value) in new.iter().filter(|(key, _)| !old.contains_key(*key)) {
            self.node(&path(key), None, Some(*value));
        }
    }

    /// Arrays whose items have no names: plain values as a set, all else by place.
    fn items(&mut self, path: &str, old: Node, new: Node) {
        let nested = |node: Node| node.items().any(|item| item.raw().starts_with(['{', '[']));
        if nested(old) || nested(new) {
            let (old, new): (Vec<_>, Vec<_>) = (old.items().collect(), new.items().collect());
            for at in 0..old.len().max(new.len()) {
                self.node(&format!("{path}[{at}]"), old.get(at).copied(), new.get(at).copied());
            }
            return;
        }
        let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
        old.items().for_each(|item| *counts.entry(item.raw()).or_default() -= 1);
        new.items().for_each(|item| *counts.entry(item.raw()).or_default() += 1);
        counts.retain(|_, count| *count != 0);
        if counts.is_empty() && !old.items().eq(new.items()) {
            // The same in another order: it matters to a command.
            self.push(|| format!("{path} = {} -> {}", short(old), short(new)));
        }
        for (raw, count) in counts {
            let sign = if count > 0 { '+' } else { '-' };
            self.push(|| format!("{sign} {path}[] = {}", short(Node::new(raw))));
        }
    }
}

/// Items of an array by their `name`, where each has one of its own.
fn named(array: Node<'_>) -> Option<BTreeMap<Cow<'_, str>, Node<'_>>> {
    let mut items = BTreeMap::new();
    for item in array.items() {
        if items.insert(item.get("name")?.text()?, item).is_some() {
            return None;
        }
    }
    Some(items)
}

fn short(node: Node) -> String {
    let raw = node.raw();
    match raw.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", raw.get(..end).unwrap_or_default()),
        None => raw.to_string(),
    }
}

/// Differences of two JSON objects; `None` where one of them is none.
fn differences(old: &str, new: &str) -> Option<Vec<String>> {
    let (old, new) = (Node::new(old), Node::new(new));
    if !old.raw().starts_with('{') || !new.raw().starts_with('{') {
        return None;
    }
    let mut differences = Differences { found: Vec::new(), more: 0 };
    differences.node("", Some(old), Some(new));
    let Differences { mut found, more } = differences;
    if more > 0 {
        found.push(format!("… and {more} more"));
    }
    Some(found)
}

pub(super) const FUNCTIONS: &[Definition] = &[Definition {
    doc: FunctionDoc {
        name: "json_diff",
        signature: "json_diff(old, new)",
        returns: "text[]",
        doc: "what differs between two JSON objects, a line each: `+ path = new`, `- path = old`, `path = old -> new`; items of an array are told apart by their `name` where they have one. `metadata.managedFields`, `resourceVersion`, `generation` and `uid` are left out, null counts as absent, values are shortened to 200 characters, 100 differences are told",
    },
    parameters: &[Parameter::Text, Parameter::Text],
    returns: text_list,
    expensive: true,
    check: unchecked,
    run: |args| {
        args.text_lists(|row| {
            let found = differences(args.text(0, row)?, args.text(1, row)?)?;
            Some(found.into_iter().map(Cow::Owned).collect())
        })
    },
}];

#[cfg(test)]
mod tests {
    use super::*;

    fn diff(old: &str, new: &str) -> Vec<String> {
        differences(old, new).expect("two objects")
    }

    #[test]
    fn values_keys_and_items_that_differ_are_told() {
        let old = r#"{"spec":{"replicas":1,"paused":true,"containers":[{"name":"a","image":"x:1"},{"name":"b","image":"y"}]}}"#;
        let new = r#"{"spec":{"replicas":2,"type":"X","containers":[{"name":"c","image":"z"},{"image":"x:2","name":"a"}]}}"#;
        assert_eq!(
            diff(old, new),
            [
                r#"spec.containers[a].image = "x:1" -> "x:2""#,
                r#"- spec.containers[b] = {"name":"b","image":"y"}"#,
                r#"+ spec.containers[c] = {"name":"c","image":"z"}"#,
                "- spec.paused = true",
                "spec.replicas = 1 -> 2",
                r#"+ spec.type = "X""#,
            ]
        );
    }

    #[test]
    fn plain_items_are_a_set_but_for_their_order() {
        assert_eq!(diff(r#"{"v":["get","list"]}"#, r#"{"v":["list","*","get"]}"#), [r#"+ v[] = "*""#]);
        assert_eq!(diff(r#"{"v":[1,2,2]}"#, r#"{"v":[2,1]}"#), ["- v[] = 2"]);
        assert_eq!(diff(r#"{"v":["a","b"]}"#, r#"{"v":["b","a"]}"#), [r#"v = ["a","b"] -> ["b","a"]"#]);
        assert_eq!(diff(r#"{"r":[{"v":[1]},{"v":[2]}]}"#, r#"{"r":[{"v":[1]}]}"#), [r#"- r[1] = {"v":[2]}"#]);
        // Two of one name cannot be told apart by it.
        assert_eq!(
            diff(
                r#"{"p":[{"name":"a","x":1},{"name":"a","x":2}]}"#,
                r#"{"p":[{"name":"a","x":1},{"name":"a","x":3}]}"#
            ),
            ["p[1].x = 2 -> 3"]
        );
    }

    #[test]
    fn what_says_nothing_is_left_out() {
        let old = r#"{"metadata":{"name":"n","uid":"a","resourceVersion":"1","generation":1,"managedFields":[1],"x":null}}"#;
        let new = r#"{ "metadata": {"resourceVersion":"2","name":"\u006e","generation":2} }"#;
        assert_eq!(diff(old, new), [""; 0]);
    }

    #[test]
    fn much_is_bounded_and_no_object_is_null() {
        let many: Vec<String> = (0..150).map(|n| format!("\"k{n}\":{n}")).collect();
        let found = diff("{}", &format!("{{{}}}", many.join(",")));
        assert_eq!((found.len(), found[MOST].as_str()), (MOST + 1, "… and 50 more"));
        let found = diff("{}", &format!("{{\"a\":\"{}\"}}", "é".repeat(500)));
        assert_eq!(found[0].chars().count(), LONGEST + "+ a = …".chars().count());
        for (old, new) in [("", "{}"), ("{}", "[]"), ("null", "{}"), ("{\"cut", "x")] {
            assert_eq!(differences(old, new), None);
        }
        // A cut body gives what can be read of it.
        assert_eq!(diff("{\"a\":1,\"b", "{\"a\":2}"), ["a = 1 -> 2"]);
    }
}
