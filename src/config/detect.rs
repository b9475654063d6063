//! `[detect]`: how rules run, and what is changed of single rules. Whether the rules exist is known
//! when the catalogue is loaded.

use chrono::TimeDelta;

use super::reader::{Place, Table};
use crate::alert::Severity;
use crate::alert::Status;
use crate::rules::Catalog;
use crate::rules::closest;

/// How rules run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detect {
    pub allowed_lateness: TimeDelta,
    /// Bytes of rows that windows and baselines hold in memory.
    pub memory: usize,
    pub rules: Rules,
}

/// Changes to single rules.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules {
    pub disable: Vec<Named<()>>,
    pub shadow: Vec<Named<()>>,
    pub severity: Vec<Named<Severity>>,
}

/// A change to the rule of this id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named<T> {
    pub id: String,
    pub value: T,
    /// Line and column in the configuration.
    pub place: (usize, usize),
}

impl Detect {
    /// Changes the rules as configured. Ids that no rule has are left to [`Rules::unknown`].
    pub fn apply(&self, catalog: &mut Catalog) {
        let named = |list: &[Named<()>], id: &str| list.iter().any(|rule| rule.id == id);
        catalog.detections.retain(|rule| !named(&self.rules.disable, &rule.id));
        for rule in &mut catalog.detections {
            // A draft does not run, so there is nothing to watch.
            if rule.status == Status::Stable && named(&self.rules.shadow, &rule.id) {
                rule.status = Status::Shadow;
            }
            if let Some(change) = self.rules.severity.iter().find(|change| change.id == rule.id) {
                rule.severity = change.value;
            }
        }
    }
}

impl Rules {
    /// What is wrong with each id that no rule has; `ids` are those of every rule that exists.
    pub(super) fn unknown(&self, ids: &[&str]) -> Vec<(Place, String)> {
        let names = self.disable.iter().chain(&self.shadow).map(|rule| (&rule.id, rule.place));
        let names = names.chain(self.severity.iter().map(|rule| (&rule.id, rule.place)));
        names
            .filter(|(id, _)| !ids.contains(&id.as_str()))
            .map(|(id, place)| {
                let advice = match closest(id, ids.iter().copied()) {
                    Some(meant) => format!("did you mean \"{meant}\"?"),
                    None => "`aksentry rules list` shows all".to_owned(),
                };
                (place, format!("no rule \"{id}\"; {advice}"))
            })
            .collect()
    }
}

/// `[detect]`; a placeholder beside a problem.
pub(super) fn read(root: &Table) -> Detect {
    let mut detect =
        Detect { allowed_lateness: TimeDelta::minutes(10), memory: 64 << 20, rules: Rules::default() };
    let Some(table) = root.table("detect", &["detect"], "[detect]") else { return detect };
    if let Some(lateness) = table.duration("allowed_lateness", "0s", "30d") {
        detect.allowed_lateness = TimeDelta::from_std(lateness).unwrap_or(detect.allowed_lateness);
    }
    if let Some(memory) = table.size("memory", "1MB", "64GB").and_then(|bytes| usize::try_from(bytes).ok()) {
        detect.memory = memory;
    }
    if let Some(rules) = table.table("rules", &["detect.rules"], "rules of [detect]") {
        detect.rules = rules_of(&rules);
    }
    detect
}

fn rules_of(table: &Table) -> Rules {
    let names = |key: &str| -> Vec<Named<()>> {
        let mut names: Vec<Named<()>> = Vec::new();
        for text in table.texts(key) {
            if names.iter().any(|earlier| earlier.id == text.text) {
                table.doc.problem(text.place, format!("\"{}\" stands twice in {key}; remove one", text.text));
                continue;
            }
            names.push(Named { id: text.text.to_owned(), value: (), place: text.place });
        }
        names
    };
    let rules = Rules { disable: names("disable"), shadow: names("shadow"), severity: severities(table) };
    let changed =
        rules.shadow.iter().map(|r| (&r.id, r.place)).chain(rules.severity.iter().map(|r| (&r.id, r.place)));
    for (id, place) in changed {
        if rules.disable.iter().any(|rule| rule.id == *id) {
            let message = format!("\"{id}\" is disabled, so this is without effect; remove one of the two");
            table.doc.problem(place, message);
        }
    }
    rules
}

fn severities(table: &Table) -> Vec<Named<Severity>> {
    let Some(value) = table.get("severity") else { return Vec::new() };
    let Some(changes) = value.get_ref().as_table() else {
        table.wrong("severity", table.place_of("severity"), "a table of rules and their severities");
        return Vec::new();
    };
    let changes = Table::new(table.doc, changes, &["detect.rules"], "severity", table.place_of("severity"));
    let mut found = Vec::new();
    for (id, place, value) in changes.entries() {
        let severity = value.get_ref().as_str().map_or_else(
            || {
                Err("a severity is text in quotes; use critical, high, medium, low or informational"
                    .to_owned())
            },
            |text| text.parse(),
        );
        match severity {
            Ok(severity) => found.push(Named { id: id.to_owned(), value: severity, place }),
            Err(message) => table.doc.problem(table.doc.place(value.span().start), message),
        }
    }
    found
}
