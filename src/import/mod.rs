//! Sigma rules about the audit log of Kubernetes, turned into detections of ours.
//!
//! Text in, text out: [`Import::add`] reads files, [`Import::finish`] gives the detections and says why
//! each of the other rules is none. A rule means here what it means by Sigma's specification, or it is
//! refused; `docs/sigma.md` tells both. Files, and whether the engine takes the SQL, are left to the
//! command.

mod compare;
mod condition;
mod correlation;
mod detection;
mod expr;
mod field;
mod meta;
mod modifier;
mod pattern;
mod problem;
mod rule;
mod write;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

pub use pattern::Pattern;
pub use problem::{Problem, Reason};
pub use yaml::Place;

use crate::alert::Status;
use meta::Meta;
use rule::Rule;
use yaml::{Node, Value};

/// A detection made from a rule.
#[derive(Debug, Clone)]
pub struct Detection {
    pub id: String,
    pub tactic: &'static str,
    /// The whole file.
    pub text: String,
    /// The rule's file, where it begins there, and its title.
    pub source: PathBuf,
    pub place: Place,
    pub title: String,
    /// The id the rule has in Sigma.
    pub sigma: Option<String>,
    /// What is likely not what its author meant.
    pub warnings: Vec<(Place, String)>,
}

/// A rule that is none of ours, with every reason.
#[derive(Debug, Clone)]
pub struct Refused {
    pub source: PathBuf,
    /// Never empty.
    pub problems: Vec<Problem>,
}

/// What became of the rules, in the order they were read.
#[derive(Debug, Default)]
pub struct Outcome {
    pub detections: Vec<Detection>,
    pub refused: Vec<Refused>,
    /// Rules that only took part in a correlation.
    pub parts: usize,
}

/// Rules being read.
#[derive(Debug)]
pub struct Import {
    lists: BTreeSet<String>,
    status: Status,
    found: Vec<Found>,
    refused: Vec<(usize, Refused)>,
    documents: usize,
}

/// A document understood so far.
#[derive(Debug)]
struct Found {
    /// Which of all documents it is.
    at: usize,
    source: PathBuf,
    what: What,
}

#[derive(Debug)]
enum What {
    Rule(Box<Rule>),
    Correlation(Box<Meta>, Node),
}

impl Import {
    /// `lists` are the names that the placeholders of `expand` may mean, `status` that of each detection.
    pub fn new(lists: impl IntoIterator<Item = String>, status: Status) -> Import {
        Import {
            lists: lists.into_iter().collect(),
            status,
            found: Vec::new(),
            refused: Vec::new(),
            documents: 0,
        }
    }

    /// Reads a file of one or more rules; `source` is what messages show.
    pub fn add(&mut self, source: &Path, text: &str) {
        for document in yaml::documents(text) {
            let read = match document {
                Ok(node) => self.read(node),
                Err((place, message)) => Err(vec![Problem::new(Reason::Yaml, place, message)]),
            };
            match read {
                Ok(what) => self.found.push(Found { at: self.documents, source: source.to_owned(), what }),
                Err(problems) => self.refuse(source, problems),
            }
            self.documents += 1;
        }
    }

    /// Notes a file that could not be read at all.
    pub fn refuse_file(&mut self, source: &Path, message: impl Into<String>) {
        self.refuse(source, vec![Problem::new(Reason::Yaml, (1, 1), message)]);
        self.documents += 1;
    }

    fn refuse(&mut self, source: &Path, problems: Vec<Problem>) {
        self.refused.push((self.documents, Refused { source: source.to_owned(), problems }));
    }

    fn read(&self, node: Node) -> Result<What, Vec<Problem>> {
        let refused =
            |place: Place, message: &str| Err(vec![Problem::new(Reason::Structure, place, message)]);
        if !matches!(node.value, Value::Map(_)) {
            return refused(node.place, "no map of keys; is this a Sigma rule?");
        }
        if let Some(action) = node.get("action") {
            return refused(
                action.place,
                "action: global and its like are of the first Sigma; write each rule out",
            );
        }
        if let Some(filter) = node.get("filter") {
            return refused(
                filter.place,
                "a Sigma filter; put what it excludes into a list, or into the rule",
            );
        }
        match node.get("correlation") {
            None => rule::read(&node, &self.lists).map(|rule| What::Rule(Box::new(rule))),
            Some(correlation) => {
                let meta = meta::read(&node).map_err(|problem| vec![problem])?;
                Ok(What::Correlation(Box::new(meta), correlation.clone()))
            }
        }
    }

    /// The detections, and why there are no others.
    pub fn finish(mut self) -> Outcome {
        let mut outcome = Outcome::default();
        let (mut ids, mut parts) = (BTreeMap::new(), BTreeSet::new());
        let mut windows = BTreeMap::new();
        for found in &self.found {
            let What::Correlation(_, node) = &found.what else { continue };
            let refers = correlation::referred(node);
            let rules = self.rules(node, &refers);
            if !correlation::generates(node) {
                parts.extend(refers.iter().filter_map(|(name, _)| Some(self.rule(name)?.0)));
            }
            let window = rules.and_then(|rules| correlation::window(node, &rules));
            match window {
                Ok(window) => {
                    windows.insert(found.at, window);
                }
                Err(problem) => {
                    self.refused
                        .push((found.at, Refused { source: found.source.clone(), problems: vec![problem] }));
                }
            }
        }
        for Found { at, source, what } in &self.found {
            let (meta, header, sql, warnings) = match what {
                What::Rule(_) if parts.contains(at) => {
                    outcome.parts += 1;
                    continue;
                }
                What::Rule(rule) => (&rule.meta, rule.header(), rule.sql(), rule.warnings()),
                What::Correlation(meta, _) => match windows.remove(at) {
                    Some(window) => (&**meta, window.header, window.sql, meta.warnings.clone()),
                    None => continue,
                },
            };
            let file = source.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
            outcome.detections.push(Detection {
                id: unique(&mut ids, meta),
                tactic: meta.tactic,
                text: write::file(meta, &header, self.status.as_str(), &file, &sql),
                source: source.clone(),
                place: meta.place,
                title: meta.title.clone(),
                sigma: meta.id.clone(),
                warnings,
            });
        }
        self.refused.sort_by_key(|(at, _)| *at);
        outcome.refused = self.refused.into_iter().map(|(_, refused)| refused).collect();
        outcome
    }

    /// The rule of this id or name, with the number of its document.
    fn rule(&self, name: &str) -> Option<(usize, &Rule)> {
        self.found.iter().find_map(|found| match &found.what {
            What::Rule(rule) => {
                let called =
                    [&rule.meta.id, &rule.meta.name].into_iter().flatten().any(|known| known == name);
                called.then_some((found.at, &**rule))
            }
            What::Correlation(..) => None,
        })
    }

    /// The rules a correlation refers to.
    fn rules(&self, node: &Node, refers: &[(String, Place)]) -> Result<Vec<(String, &Rule)>, Problem> {
        if refers.is_empty() {
            return Err(Problem::new(Reason::Correlation, node.place, "the correlation names no rules"));
        }
        let chained = |name: &str| {
            self.found.iter().any(|found| match &found.what {
                What::Correlation(meta, _) => {
                    [&meta.id, &meta.name].into_iter().flatten().any(|known| known == name)
                }
                What::Rule(_) => false,
            })
        };
        let find = |(name, place): &(String, Place)| match self.rule(name) {
            Some((_, rule)) => Ok((name.clone(), rule)),
            None if chained(name) => {
                let message =
                    format!("\"{name}\" is a correlation itself, and chains of them are not supported");
                Err(Problem::new(Reason::Correlation, *place, message))
            }
            None => {
                let message = format!(
                    "no rule \"{name}\" was imported: name its file too, and see whether it is refused"
                );
                Err(Problem::new(Reason::Correlation, *place, message))
            }
        };
        refers.iter().map(find).collect()
    }
}

/// An id nobody else has: from the title, with something of the rule's own id where titles are equal.
fn unique(taken: &mut BTreeMap<String, usize>, meta: &Meta) -> String {
    let base = write::id_of(&meta.title);
    let own: String =
        meta.id.iter().flat_map(|id| id.chars()).filter(char::is_ascii_hexdigit).take(8).collect();
    let own = own.to_lowercase();
    let count = taken.entry(base.clone()).or_insert(0);
    *count += 1;
    if *count == 1 {
        return base;
    }
    let number = *count;
    let id = if own.is_empty() { format!("{base}-{number}") } else { format!("{base}-{own}") };
    match taken.contains_key(&id) {
        true => format!("{id}-{number}"),
        false => {
            taken.insert(id.clone(), 1);
            id
        }
    }
}
