//! Functions over addresses and paths of the node.

use arrow::datatypes::DataType;
use ipnet::IpNet;

use super::FunctionDoc;
use super::function::{Definition, Parameter, boolean, unchecked};
use super::workload::normalised;
use crate::event::address;

pub(super) const FUNCTIONS: &[Definition] = &[
    Definition {
        doc: FunctionDoc {
            name: "is_public",
            signature: "is_public(address)",
            returns: "bool",
            doc: "a public internet address (null if it is no address)",
        },
        parameters: &[Parameter::Text],
        returns: boolean as fn() -> DataType,
        expensive: false,
        check: unchecked,
        run: |args| args.bools(|row| address::parse(args.text(0, row)?).map(address::is_public)),
    },
    Definition {
        doc: FunctionDoc {
            name: "cidr_match",
            signature: "cidr_match(address, 'cidr')",
            returns: "bool",
            doc: "the address lies in the range",
        },
        parameters: &[Parameter::Text, Parameter::Text],
        returns: boolean,
        expensive: false,
        check: |constants| match constants.get(1).copied().flatten() {
            Some(text) if text.parse::<IpNet>().is_err() => {
                Err(format!("\"{text}\" is no CIDR; write one such as '10.0.0.0/8'"))
            }
            _ => Ok(()),
        },
        run: |args| {
            let mut last: Option<(&str, Option<IpNet>)> = None;
            args.bools(|row| {
                let (address, text) = (address::parse(args.text(0, row)?)?, args.text(1, row)?);
                let range = match last {
                    Some((earlier, range)) if earlier == text => range,
                    _ => text.parse().ok(),
                };
                last = Some((text, range));
                range.map(|range| range.contains(&address))
            })
        },
    },
    Definition {
        doc: FunctionDoc {
            name: "any_under",
            signature: "any_under(paths, roots)",
            returns: "bool",
            doc: "a path of the first list is equal to or below one of the second; `/` is only equal to itself",
        },
        parameters: &[Parameter::TextList, Parameter::TextList],
        returns: boolean,
        expensive: false,
        check: unchecked,
        run: |args| {
            args.bools(|row| {
                let roots: Vec<String> = args.list(1, row)?.iter().map(|root| normalised(root)).collect();
                let paths = args.list(0, row)?;
                Some(paths.iter().any(|path| {
                    let path = normalised(path);
                    roots.iter().any(|root| is_under(&path, root))
                }))
            })
        },
    },
];

fn is_under(path: &str, root: &str) -> bool {
    path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn under() {
        for (path, root, expected) in [
            ("/var/run", "/var/run", true),
            ("/var/run/docker.sock", "/var/run", true),
            ("/var/running", "/var/run", false),
            ("/", "/", true),
            ("/etc", "/", false),
            ("/etc", "", true),
            ("/", "/etc", false),
        ] {
            assert_eq!(is_under(path, root), expected, "{path} {root}");
        }
    }
}
