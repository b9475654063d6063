//! Which rules of other products the detections do the work of.

use std::collections::BTreeSet;

use anyhow::Context as _;
use serde_json::json;

use super::super::output::{Cell, Column, Printer, Table, stdout};
use super::super::{Context, Exit};
use super::Facts;
use crate::alert::Object;
use crate::rules::{Peer, Peers};

/// What became of a peer's rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Covered,
    /// Some of its detections are missing.
    Partly,
    Missing,
    /// Nothing in these logs could show it.
    OutOfReach,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            State::Covered => "covered",
            State::Partly => "partly covered",
            State::Missing => "not covered",
            State::OutOfReach => "out of reach",
        }
    }
}

/// The table of peers beside the rules that there are.
pub(super) struct Compared<'a> {
    pub peers: &'a Peers,
    held: BTreeSet<&'a str>,
}

/// A product's rules by what became of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub covered: usize,
    pub partly: usize,
    pub missing: usize,
    pub out_of_reach: usize,
}

impl Count {
    /// Rules that these logs could show.
    pub fn reachable(&self) -> usize {
        self.covered + self.partly + self.missing
    }
}

impl<'a> Compared<'a> {
    pub fn new(peers: &'a Peers, rules: &'a [Facts]) -> Self {
        Self { peers, held: rules.iter().map(|rule| rule.id.as_str()).collect() }
    }

    pub fn holds(&self, id: &str) -> bool {
        self.held.contains(id)
    }

    pub fn state(&self, rule: &Peer) -> State {
        match rule.detections.iter().filter(|id| self.holds(id)).count() {
            _ if rule.detections.is_empty() => State::OutOfReach,
            0 => State::Missing,
            n if n == rule.detections.len() => State::Covered,
            _ => State::Partly,
        }
    }

    pub fn of<'b>(&'b self, peer: &'b str) -> impl Iterator<Item = &'b Peer> {
        self.peers.rules.iter().filter(move |rule| rule.peer == peer)
    }

    pub fn count(&self, peer: &str) -> Count {
        let mut count = Count::default();
        for rule in self.of(peer) {
            *match self.state(rule) {
                State::Covered => &mut count.covered,
                State::Partly => &mut count.partly,
                State::Missing => &mut count.missing,
                State::OutOfReach => &mut count.out_of_reach,
            } += 1;
        }
        count
    }

    /// Detections that peers' rules ask for: those that are there, and all.
    pub fn detections(&self) -> (Vec<&str>, usize) {
        let all = self.peers.detections();
        let held: Vec<&str> = all.iter().copied().filter(|id| self.holds(id)).collect();
        (held, all.len())
    }

    /// Prints every rule of every peer.
    pub fn print(&self, context: &Context) -> anyhow::Result<Exit> {
        let columns = vec![
            Column::text("peer"),
            Column::prose("rule"),
            Column::text("state"),
            Column::prose("detections"),
            Column::prose("note"),
        ];
        let fields = ["peer", "rule", "state", "detections", "missing", "note"].map(str::to_owned).to_vec();
        let table = Table::new(columns, context.terminal.stdout);
        let mut printer = Printer::new(stdout(), context.format()?, table, fields);
        for rule in &self.peers.rules {
            let state = self.state(rule).name();
            let missing: Vec<&String> = rule.detections.iter().filter(|id| !self.holds(id)).collect();
            let item: Object = [
                ("peer", json!(rule.peer)),
                ("rule", json!(rule.rule)),
                ("state", json!(state)),
                ("detections", json!(rule.detections)),
                ("missing", json!(missing)),
                ("note", json!(rule.note)),
            ]
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
            let row = || {
                vec![
                    Cell::new(&rule.peer),
                    Cell::new(&rule.rule),
                    Cell::new(state),
                    Cell::new(rule.detections.join(" ")),
                    Cell::new(&rule.note),
                ]
            };
            printer.item(&item, row).context("writing the peers' rules to standard output")?;
        }
        printer.finish().context("writing the peers' rules to standard output")?;
        Ok(Exit::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::facts;
    use super::*;

    #[test]
    fn a_peers_rule_is_covered_when_all_its_detections_are_there() {
        let rule = |rule: &str, detections: &[&str]| Peer {
            peer: "P".into(),
            rule: rule.into(),
            detections: detections.iter().map(|id| (*id).to_owned()).collect(),
            note: String::new(),
            line: 1,
        };
        let peers = Peers {
            rules: vec![rule("1", &["a", "b"]), rule("2", &["a", "c"]), rule("3", &["c"]), rule("4", &[])],
        };
        let rules = [facts("a", &[]), facts("b", &[])];
        let compared = Compared::new(&peers, &rules);
        let states: Vec<&str> = compared.of("P").map(|rule| compared.state(rule).name()).collect();
        assert_eq!(states, ["covered", "partly covered", "not covered", "out of reach"]);
        assert_eq!(compared.count("P"), Count { covered: 1, partly: 1, missing: 1, out_of_reach: 1 });
        assert_eq!(compared.detections(), (vec!["a", "b"], 3));
    }
}
