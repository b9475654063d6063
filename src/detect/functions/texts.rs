//! Functions over lists of texts, and over values anywhere inside a body: what is asked of any of them.

use std::borrow::Cow;

use ipnet::IpNet;
use regex_automata::meta::Regex;

use super::FunctionDoc;
use super::function::{Definition, Parameter, boolean, text_list, unchecked};
use crate::event::address;
use crate::event::json::Node;

/// Puts the values at `path` into `out`; whether there is anything, be it null. A name may hold dots
/// itself, as annotations and labels do, so each way to divide the path is tried.
fn collect<'a>(node: Node<'a>, path: &str, out: &mut Vec<Cow<'a, str>>) -> bool {
    let is_list = node.raw().starts_with('[');
    if path.is_empty() {
        if is_list {
            node.items().for_each(|item| {
                collect(item, "", out);
            });
        } else if !node.is_null() {
            out.push(node.text().unwrap_or(Cow::Borrowed(node.raw())));
        }
        return true;
    }
    if is_list {
        let (first, rest) = path.split_once('.').unwrap_or((path, ""));
        return match first.parse::<usize>() {
            Ok(at) => node.items().nth(at).is_some_and(|item| collect(item, rest, out)),
            // Every item is looked at, whatever was found before.
            Err(_) => node.items().filter(|item| collect(*item, path, out)).count() > 0,
        };
    }
    let ends = path.match_indices('.').map(|(at, _)| at).chain([path.len()]);
    ends.fold(false, |found, end| {
        let (name, rest) = path.split_at(end);
        let rest = rest.strip_prefix('.').unwrap_or(rest);
        node.get(name).is_some_and(|value| collect(value, rest, out)) || found
    })
}

/// The values at a dotted path of a body; `None` where the path leads nowhere.
fn values<'a>(body: &'a str, path: &str) -> Option<Vec<Cow<'a, str>>> {
    let mut out = Vec::new();
    collect(Node::new(body), path, &mut out).then_some(out)
}

pub(super) const FUNCTIONS: &[Definition] = &[
    Definition {
        doc: FunctionDoc {
            name: "json_values",
            signature: "json_values(body, 'path')",
            returns: "text[]",
            doc: "values at a dotted path of a body, through every item of the lists on the way (a number takes one item): `'spec.containers.image'`; null where the path leads nowhere, empty where it holds nothing but null",
        },
        parameters: &[Parameter::Text, Parameter::Text],
        returns: text_list,
        expensive: true,
        check: unchecked,
        run: |args| args.text_lists(|row| values(args.text(0, row)?, args.text(1, row)?)),
    },
    Definition {
        doc: FunctionDoc {
            name: "any_match",
            signature: "any_match(texts, 'expression')",
            returns: "bool",
            doc: "one of the texts has a match of the regular expression; `(?i)` before it ignores case",
        },
        parameters: &[Parameter::TextList, Parameter::Text],
        returns: boolean,
        expensive: false,
        check: |constants| match constants.get(1).copied().flatten().map(|text| (text, Regex::new(text))) {
            Some((text, Err(_))) => Err(format!("\"{text}\" is no regular expression; look at its brackets")),
            _ => Ok(()),
        },
        run: |args| {
            let mut last: Option<(&str, Option<Regex>)> = None;
            args.bools(|row| {
                let (texts, text) = (args.list(0, row)?, args.text(1, row)?);
                if last.as_ref().is_none_or(|(earlier, _)| *earlier != text) {
                    last = Some((text, Regex::new(text).ok()));
                }
                let expression = last.as_ref()?.1.as_ref()?;
                Some(texts.iter().any(|text| expression.is_match(text)))
            })
        },
    },
    Definition {
        doc: FunctionDoc {
            name: "any_cidr",
            signature: "any_cidr(addresses, 'cidr')",
            returns: "bool",
            doc: "one of the addresses lies in the range",
        },
        parameters: &[Parameter::TextList, Parameter::Text],
        returns: boolean,
        expensive: false,
        check: |constants| match constants.get(1).copied().flatten() {
            Some(text) if text.parse::<IpNet>().is_err() => {
                Err(format!("\"{text}\" is no CIDR; write one such as '10.0.0.0/8'"))
            }
            _ => Ok(()),
        },
        run: |args| {
            args.bools(|row| {
                let addresses = args.list(0, row)?;
                let range: IpNet = args.text(1, row)?.parse().ok()?;
                Some(addresses.iter().filter_map(|text| address::parse(text)).any(|a| range.contains(&a)))
            })
        },
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_at_a_path() {
        let body = r#"{"spec":{"containers":[{"image":"a","n":1},{"image":"b","n":null}],"hostPID":true,"none":null,"list":["x",["y"]]},
            "metadata":{"labels":{"app.kubernetes.io/name":"web","app":{"kubernetes":"odd"}}}}"#;
        let at = |path| values(body, path).map(|values| values.join("|"));
        for (path, expected) in [
            ("spec.containers.image", Some("a|b")),
            ("spec.containers.1.image", Some("b")),
            ("spec.containers.7.image", None),
            ("spec.containers.n", Some("1")),
            ("spec.hostPID", Some("true")),
            ("spec.none", Some("")),
            ("spec.none.deeper", None),
            ("spec.list", Some("x|y")),
            ("spec.nothing", None),
            ("metadata.labels.app.kubernetes.io/name", Some("web")),
            ("metadata.labels.app.kubernetes", Some("odd")),
            ("metadata.labels.app", Some("{\"kubernetes\":\"odd\"}")),
            ("", Some(body)),
        ] {
            assert_eq!(at(path).as_deref(), expected, "{path}");
        }
        for text in ["", "no json", "[", "null", "7"] {
            assert_eq!(values(text, "a.b"), None, "{text}");
        }
    }
}
