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
            doc: "the address lies in the range, or in one of several with blanks between them, such as `list_value('clusters', cluster, 'authorized_ranges')`",
        },
        parameters: &[Parameter::Text, Parameter::Text],
        returns: boolean,
        expensive: false,
        check: |constants| match constants.get(1).copied().flatten() {
            Some(text) => match address::ranges(text).find_map(Result::err) {
                Some(wrong) => Err(format!("\"{wrong}\" is no CIDR; write one such as '10.0.0.0/8'")),
                None if text.trim().is_empty() => {
                    Err("\"\" is no CIDR; write one such as '10.0.0.0/8'".into())
                }
                None => Ok(()),
            },
            None => Ok(()),
        },
        run: |args| {
            let mut last: Option<(&str, Option<Vec<IpNet>>)> = None;
            args.bools(|row| {
                let (address, text) = (address::parse(args.text(0, row)?)?, args.text(1, row)?);
                if !matches!(&last, Some((earlier, _)) if *earlier == text) {
                    let ranges: Option<Vec<IpNet>> = address::ranges(text).map(Result::ok).collect();
                    last = Some((text, ranges.filter(|ranges| !ranges.is_empty())));
                }
                let (_, ranges) = last.as_ref()?;
                Some(ranges.as_ref()?.iter().any(|range| range.contains(&address)))
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
