//! The alerts of a run as the report keeps them: the most urgent ones whole, the others as numbers, and
//! whom they name.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use crate::alert::{Alert, Severity};

/// Alerts a report shows; of more, the most urgent.
pub const MAX_ALERTS: usize = 5_000;
/// Identities and addresses that are followed, of each.
pub const MAX_SUBJECTS: usize = 100;
/// Alerts a subject refers to.
const MAX_REFERRED: usize = 20;
/// Characters of one value of the evidence that are shown.
const MAX_EVIDENCE: usize = 4_000;

/// Fields of an alert's key and evidence that name an identity.
const IDENTITIES: [&str; 2] = ["username", "impersonated_username"];
const ADDRESSES: [&str; 1] = ["client_ip"];

/// Gathers alerts as they come.
#[derive(Debug, Default)]
pub struct Alerts {
    /// In order of severity, rule and time of arrival.
    kept: BTreeMap<(Reverse<Severity>, String, u64), Alert>,
    arrived: u64,
    /// By rule and severity, left-out ones too.
    totals: BTreeMap<(Reverse<Severity>, String), u64>,
}

impl Alerts {
    /// Takes an alert. One that is less urgent, or later, gives way to it if there is no room.
    pub fn add(&mut self, alert: &Alert) {
        let severity = Reverse(alert.severity);
        *self.totals.entry((severity, alert.rule.clone())).or_default() += 1;
        self.kept.insert((severity, alert.rule.clone(), self.arrived), slim(alert));
        self.arrived += 1;
        if self.kept.len() > MAX_ALERTS {
            self.kept.pop_last();
        }
    }

    /// The alerts that are shown, rule by rule, the most urgent first.
    pub fn kept(&self) -> impl Iterator<Item = &Alert> {
        self.kept.values()
    }

    /// How many there were of each rule and severity.
    pub fn totals(&self) -> impl Iterator<Item = (Severity, &str, u64)> {
        self.totals.iter().map(|((severity, rule), n)| (severity.0, rule.as_str(), *n))
    }

    /// All there were.
    pub fn total(&self) -> u64 {
        self.arrived
    }

    /// How many are not shown.
    pub fn left_out(&self) -> u64 {
        self.arrived.saturating_sub(self.kept.len() as u64)
    }

    /// Whom the alerts that are shown name.
    pub fn subjects(&self) -> Subjects {
        let named = |fields: &[&str]| Named::of(self.kept(), fields);
        Subjects { identities: named(&IDENTITIES), addresses: named(&ADDRESSES) }
    }
}

/// The alert with values of its evidence cut to what a reader takes in.
fn slim(alert: &Alert) -> Alert {
    let mut alert = alert.clone();
    for value in alert.evidence.values_mut() {
        let text = match &*value {
            Value::String(text) => text.clone(),
            Value::Array(_) | Value::Object(_) => value.to_string(),
            _ => continue,
        };
        if let Some((at, _)) = text.char_indices().nth(MAX_EVIDENCE) {
            let (head, tail) = text.split_at(at);
            *value = Value::String(format!("{head} … and {} more characters", tail.chars().count()));
        }
    }
    alert
}

/// The value of a column that the alert's rule selected, from its key or its evidence.
pub fn field<'a>(alert: &'a Alert, name: &str) -> Option<&'a str> {
    alert.key.get(name).or_else(|| alert.evidence.get(name)).and_then(Value::as_str).filter(|v| !v.is_empty())
}

/// Identities and addresses in alerts.
#[derive(Debug, Default)]
pub struct Subjects {
    pub identities: Named,
    pub addresses: Named,
}

impl Subjects {
    /// Whether nobody is named.
    pub fn is_empty(&self) -> bool {
        self.identities.list.is_empty() && self.addresses.list.is_empty()
    }
}

/// One of them with the alerts that name it.
#[derive(Debug)]
pub struct Subject {
    pub name: String,
    pub worst: Severity,
    pub alerts: u64,
    /// Ids and titles of the first of those alerts.
    pub referred: Vec<(String, String)>,
}

/// Those of one kind, those with the most urgent alerts first.
#[derive(Debug, Default)]
pub struct Named {
    pub list: Vec<Subject>,
    /// How many more are named than are followed.
    pub left_out: usize,
    index: HashMap<String, usize>,
}

impl Named {
    fn of<'a>(alerts: impl Iterator<Item = &'a Alert>, fields: &[&str]) -> Named {
        let mut named = Named::default();
        for alert in alerts {
            let mut seen = Vec::new();
            for name in fields.iter().filter_map(|name| field(alert, name)) {
                if !seen.contains(&name) {
                    seen.push(name);
                    named.note(name, alert);
                }
            }
        }
        named.list.sort_by(|a, b| {
            (Reverse(a.worst), Reverse(a.alerts), &a.name).cmp(&(
                Reverse(b.worst),
                Reverse(b.alerts),
                &b.name,
            ))
        });
        named.left_out = named.list.len().saturating_sub(MAX_SUBJECTS);
        named.list.truncate(MAX_SUBJECTS);
        named.index = named.list.iter().enumerate().map(|(i, s)| (s.name.clone(), i)).collect();
        named
    }

    fn note(&mut self, name: &str, alert: &Alert) {
        let index = *self.index.entry(name.to_owned()).or_insert(self.list.len());
        if index == self.list.len() {
            let (worst, referred) = (alert.severity, Vec::new());
            self.list.push(Subject { name: name.to_owned(), worst, alerts: 0, referred });
        }
        let Some(subject) = self.list.get_mut(index) else { return };
        subject.alerts += 1;
        subject.worst = subject.worst.max(alert.severity);
        if subject.referred.len() < MAX_REFERRED {
            subject.referred.push((alert.id.clone(), alert.title.clone()));
        }
    }

    /// The place of a name in the list.
    pub fn index(&self, name: &str) -> Option<usize> {
        self.index.get(name).copied()
    }
}
