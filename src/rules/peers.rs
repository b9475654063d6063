//! `peers.csv` beside the detections: what the rules of other products on Kubernetes audit logs alert
//! on, and which detections of ours do the same.
//!
//! Owns the file's form. Whether a detection it names is there is said by whoever prints coverage: the
//! table may name what is yet to be written.

use std::collections::{BTreeMap, BTreeSet};

use super::tree::Tree;
use super::{Catalog, Diagnostic};

const FILE: &str = "peers.csv";
const COLUMNS: [&str; 4] = ["peer", "rule", "detections", "note"];

/// One rule of another product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The product.
    pub peer: String,
    /// What the product calls the rule.
    pub rule: String,
    /// Ids of detections that together alert on the same; none = out of reach, and `note` says why.
    pub detections: Vec<String>,
    pub note: String,
    /// 1-based line in the file.
    pub line: usize,
}

/// The table, in order of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Peers {
    pub rules: Vec<Peer>,
}

impl Peers {
    /// The table beside the catalog's detections, else the one in this program; a row with an error is
    /// left out and each problem reported.
    pub fn load(catalog: &Catalog) -> (Peers, Vec<Diagnostic>) {
        let own = catalog.tree();
        let tree = match own.list(&[]) {
            Ok(listing) if listing.files.iter().any(|file| file == FILE) => own,
            _ => Tree::detections(""),
        };
        match tree.text(&[FILE]) {
            Ok(text) => Self::parse(&tree, &text),
            Err(problem) => (Self::default(), vec![problem]),
        }
    }

    fn parse(tree: &Tree, text: &str) -> (Peers, Vec<Diagnostic>) {
        let mut peers = Peers::default();
        let mut problems = Vec::new();
        let mut seen: BTreeMap<(String, String), usize> = BTreeMap::new();
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .trim(csv::Trim::All)
            .from_reader(text.as_bytes());
        let mut error = |line: usize, message: String| {
            problems.push(Diagnostic::error(tree.shown(&[FILE]), (line, 1), message));
        };
        let mut header = false;
        for record in reader.records() {
            let record = match record {
                Ok(record) => record,
                Err(failure) => {
                    let line = failure.position().map_or(1, csv::Position::line);
                    error(line_of(line), format!("not readable as CSV: {failure}"));
                    continue;
                }
            };
            let line = record.position().map_or(1, |at| line_of(at.line()));
            if !header {
                header = true;
                if !record.iter().eq(COLUMNS) {
                    error(line, format!("the table begins with the line {}", COLUMNS.join(",")));
                }
                continue;
            }
            let field = |at: usize| record.get(at).unwrap_or_default().to_owned();
            let (peer, rule, note) = (field(0), field(1), field(3));
            let detections: Vec<String> = field(2).split_whitespace().map(str::to_owned).collect();
            if record.len() != COLUMNS.len() {
                error(line, format!("{} columns where {} belong", record.len(), COLUMNS.join(",")));
            } else if peer.is_empty() || rule.is_empty() {
                error(line, "no peer or no rule; fill them in or remove the row".into());
            } else if detections.is_empty() && note.is_empty() {
                error(line, format!("no detections for \"{rule}\" and no note; say why it is out of reach"));
            } else if let Some(earlier) = seen.insert((peer.clone(), rule.clone()), line) {
                error(line, format!("\"{rule}\" of {peer} is already in line {earlier}; remove one"));
            } else {
                peers.rules.push(Peer { peer, rule, detections, note, line });
            }
        }
        (peers, problems)
    }

    /// The products, in order of the file.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for rule in &self.rules {
            if !names.contains(&rule.peer.as_str()) {
                names.push(&rule.peer);
            }
        }
        names
    }

    /// Every detection that some peer's rule asks for.
    pub fn detections(&self) -> BTreeSet<&str> {
        self.rules.iter().flat_map(|rule| &rule.detections).map(String::as_str).collect()
    }
}

fn line_of(line: u64) -> usize {
    usize::try_from(line).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> (Peers, Vec<String>) {
        let (peers, problems) = Peers::parse(&Tree::detections(""), text);
        (peers, problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_row_names_detections_or_says_why_not() {
        let (peers, problems) =
            parse("peer,rule,detections,note\nA,one,x y,\nB,\"two, too\",,\"no such log\"\nA,three,x,\n");
        assert_eq!(problems, [""; 0]);
        assert_eq!(peers.names(), ["A", "B"]);
        assert_eq!(peers.detections().into_iter().collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!((peers.rules[1].rule.as_str(), peers.rules[1].line), ("two, too", 3));
    }

    #[test]
    fn bad_rows_are_reported_and_the_others_kept() {
        let (peers, problems) = parse("peer,rule\nA,one,,\nA,two\n,x,y,\nA,three,x,\nA,three,y,\n");
        assert_eq!(
            problems,
            [
                "detections/peers.csv:1:1: the table begins with the line peer,rule,detections,note",
                "detections/peers.csv:2:1: no detections for \"one\" and no note; say why it is out of reach",
                "detections/peers.csv:3:1: 2 columns where peer,rule,detections,note belong",
                "detections/peers.csv:4:1: no peer or no rule; fill them in or remove the row",
                "detections/peers.csv:6:1: \"three\" of A is already in line 5; remove one",
            ]
        );
        assert_eq!(peers.rules.len(), 1);
    }

    #[test]
    fn the_table_of_the_pack_is_whole() {
        let (peers, problems) = Peers::load(&Catalog::default());
        assert_eq!(problems, []);
        assert_eq!(peers.detections().len(), 134);
        assert_eq!(
            peers.names(),
            [
                "Falco",
                "Sigma",
                "Elastic",
                "Panther",
                "Microsoft Defender",
                "Microsoft Sentinel",
                "Splunk",
                "Datadog"
            ]
        );
    }
}
