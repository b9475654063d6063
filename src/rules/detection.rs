//! A detection as loaded: its header's values and its SQL, and what its header may hold.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use chrono::TimeDelta;
use serde::Serialize;

use super::diagnostic::closest;
use super::header::{self, Form, Header, is_address, is_filled, is_id};
use super::{Diagnostic, Summary};
use crate::alert::{Severity, Status};

/// What kind of rule it is. `Sequence` is a window whose query joins rows with each other; the loader
/// says `Window` and the planner, which sees the joins, refines it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Stateless,
    Window,
    Sequence,
    Baseline,
}

/// One rule. Everything here passed the header's checks; the SQL is not planned yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detection {
    /// File stem.
    pub id: String,
    /// Folder: ATT&CK tactic.
    pub tactic: String,
    /// As shown in messages: `detections/<tactic>/<id>.sql`.
    pub path: PathBuf,
    pub title: String,
    pub severity: Severity,
    pub status: Status,
    pub attack: Vec<String>,
    /// Sections 1 to 9 of the AKS security guide.
    pub section: Vec<u8>,
    /// Log categories of which any one carries what the rule reads; empty = by table.
    pub categories: Vec<String>,
    pub key: Vec<String>,
    pub summary: String,
    pub description: String,
    pub false_positives: Vec<String>,
    pub follow_up: Vec<String>,
    pub references: Vec<String>,
    pub window: Option<TimeDelta>,
    pub step: Option<TimeDelta>,
    pub thin: Option<TimeDelta>,
    pub baseline: Option<TimeDelta>,
    pub learn: TimeDelta,
    pub suppress: Option<TimeDelta>,
    /// The whole file with every header line blanked, so that SQL positions are file positions.
    pub sql: String,
    /// The whole file, for `rules show`.
    pub text: String,
    /// 1-based line and column in the file, for messages: of each header key's value under the key's
    /// name (`key`, `severity`, …), of each item of a list under `key.0`, `key.1`, …, of each column
    /// in the summary under `summary.<column>`, of the opening fence under `detection`, and of the
    /// first word of the statement under `sql`.
    pub positions: HashMap<String, (usize, usize)>,
}

impl Detection {
    /// The kind its header asks for; never `Sequence`.
    pub fn kind(&self) -> Kind {
        match (self.window, self.baseline) {
            (Some(_), _) => Kind::Window,
            (None, Some(_)) => Kind::Baseline,
            (None, None) => Kind::Stateless,
        }
    }

    /// Where `name` of [`Detection::positions`] stands; the opening fence if the file has no such thing.
    pub fn position(&self, name: &str) -> (usize, usize) {
        let find = |name: &str| self.positions.get(name).copied();
        find(name).or_else(|| find("detection")).unwrap_or((1, 1))
    }

    /// Columns named in the summary.
    pub fn summary_columns(&self) -> Vec<&str> {
        self.template().columns().collect()
    }

    /// The summary with each `{column}` replaced by its value.
    pub fn render_summary(&self, value: impl Fn(&str) -> String) -> String {
        self.template().render(|column, out| out.push_str(&value(column)))
    }

    /// The header's checks made sure that the summary parses.
    fn template(&self) -> Summary<'_> {
        Summary::parse(&self.summary).unwrap_or_default()
    }
}

/// The ATT&CK tactics a folder of `detections` may be named after.
pub const TACTICS: [&str; 12] = [
    "initial-access",
    "execution",
    "persistence",
    "privilege-escalation",
    "defense-evasion",
    "credential-access",
    "discovery",
    "lateral-movement",
    "collection",
    "command-and-control",
    "exfiltration",
    "impact",
];

const FORM: Form = Form { kind: "detection", docs: "docs/rules.md", keys: &KEYS, required: 6 };

const KEYS: [(&str, &str); 18] = [
    ("title", "\"One identity read many secrets\""),
    ("severity", "\"high\""),
    ("status", "\"stable\""),
    ("key", "[\"cluster\", \"username\"]"),
    ("summary", "\"{username} read {secrets} secrets\""),
    ("description", "\"why it matters and what to do\""),
    ("attack", "[\"T1552.007\"]"),
    ("section", "[4]"),
    ("categories", "[\"kube-audit\"]"),
    ("window", "\"10m\""),
    ("step", "\"30s\""),
    ("thin", "\"1m\""),
    ("baseline", "\"30d\""),
    ("learn", "\"7d\""),
    ("suppress", "\"1h\""),
    ("false_positives", "[\"backup tools: add them to lists/secret_readers.csv\"]"),
    ("follow_up", "[\"identity-timeline\"]"),
    ("references", "[\"https://attack.mitre.org/techniques/T1552/007/\"]"),
];

/// Reads a detection. `path` is what messages show, `tactic` the folder, `id` the file's stem.
pub fn parse(path: &Path, tactic: &str, id: &str, text: &str) -> Result<Detection, Vec<Diagnostic>> {
    header::read(path, &FORM, id, text, |header| header.detection(tactic, id, text))
}

impl Header<'_> {
    fn detection(&mut self, tactic: &str, id: &str, text: &str) -> Detection {
        self.folder(tactic);
        let severity = self.severity();
        let status = self.status();
        let detection = Detection {
            id: id.to_string(),
            tactic: tactic.to_string(),
            path: self.path.to_path_buf(),
            title: self.line("title"),
            severity,
            status,
            attack: self.checked_texts(
                "attack",
                is_technique,
                "is no ATT&CK technique; write it as \"T1552\" or \"T1552.007\"",
            ),
            section: self.section(),
            categories: self.checked_texts(
                "categories",
                is_filled,
                "is no log category; write one such as \"kube-audit\"",
            ),
            key: self.checked_texts(
                "key",
                is_filled,
                "is no column; write a column of the SELECT, such as \"username\"",
            ),
            summary: self.summary(),
            description: self.filled("description"),
            false_positives: self.checked_texts(
                "false_positives",
                is_filled,
                "says nothing; describe the activity or remove it",
            ),
            follow_up: self.checked_texts(
                "follow_up",
                is_id,
                "is no id of a query; ids have lower case letters, digits and dashes",
            ),
            references: self.checked_texts(
                "references",
                is_address,
                "is no address; write one that begins with https://",
            ),
            window: self.duration("window"),
            step: self.duration("step"),
            thin: self.duration("thin"),
            baseline: self.duration("baseline"),
            learn: self.duration("learn").unwrap_or(TimeDelta::days(7)),
            suppress: self.duration("suppress"),
            sql: self.fence.sql.clone(),
            text: text.to_string(),
            positions: HashMap::new(),
        };
        self.together(&detection);
        Detection { positions: std::mem::take(&mut self.positions), ..detection }
    }

    fn folder(&mut self, tactic: &str) {
        if !TACTICS.contains(&tactic) {
            let advice = match closest(tactic, TACTICS) {
                Some(meant) => format!("did you mean \"{meant}\"?"),
                None => format!("use one of {}", TACTICS.join(", ")),
            };
            self.problem(self.fence.opening, format!("folder \"{tactic}\" is no ATT&CK tactic; {advice}"));
        }
    }

    fn severity(&mut self) -> Severity {
        let Some((text, place)) = self.text("severity", "a text in quotes") else { return Severity::Medium };
        text.parse().unwrap_or_else(|error| {
            let message = match closest(text, Severity::ALL.map(Severity::as_str)) {
                Some(meant) => format!("unknown severity \"{text}\"; did you mean \"{meant}\"?"),
                None => error,
            };
            self.problem(place, message);
            Severity::Medium
        })
    }

    fn status(&mut self) -> Status {
        const ALL: [Status; 3] = [Status::Stable, Status::Shadow, Status::Draft];
        let Some((text, place)) = self.text("status", "a text in quotes") else { return Status::Draft };
        ALL.into_iter().find(|status| status.as_str() == text).unwrap_or_else(|| {
            let advice = match closest(text, ALL.map(Status::as_str)) {
                Some(meant) => format!("did you mean \"{meant}\"?"),
                None => "use stable, shadow or draft".to_string(),
            };
            self.problem(place, format!("unknown status \"{text}\"; {advice}"));
            Status::Draft
        })
    }

    fn summary(&mut self) -> String {
        let text = self.line("summary");
        let Some(value) = self.table.get("summary") else { return text };
        let start = value.span().start;
        let source = self.fence.toml.get(value.span()).unwrap_or_default();
        match Summary::parse(&text) {
            Ok(summary) => {
                for column in summary.columns() {
                    let inside = source.find(&format!("{{{column}}}")).map_or(0, |at| at + 1);
                    let place = self.fence.position(start + inside);
                    self.positions.insert(format!("summary.{column}"), place);
                }
            }
            Err(message) => self.problem(self.fence.position(start), message),
        }
        text
    }

    /// What keys demand of each other.
    fn together(&mut self, detection: &Detection) {
        let has = |header: &Self, name: &str| header.table.contains_key(name);
        let windowed = has(self, "window");
        let baseline = has(self, "baseline");
        let place =
            |header: &Self, name: &str| header.get(name).map_or(header.fence.opening, |(_, place)| place);
        if windowed && baseline {
            self.problem(place(self, "baseline"), "window and baseline exclude each other; keep one");
        }
        for name in ["step", "thin"] {
            if has(self, name) && !windowed {
                self.problem(
                    place(self, name),
                    format!("{name} means nothing without window; add window or remove {name}"),
                );
            }
        }
        if has(self, "learn") && !baseline {
            self.problem(
                place(self, "learn"),
                "learn means nothing without baseline; add baseline or remove learn",
            );
        }
        if let (Some(step), Some(window)) = (detection.step, detection.window)
            && step > window
        {
            self.problem(
                place(self, "step"),
                "step is longer than window; events between two windows would be seen by none",
            );
        }
    }
}

/// `T1552` or `T1552.007`.
fn is_technique(text: &str) -> bool {
    let digits = |text: &str, count: usize| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    let Some(number) = text.strip_prefix('T') else { return false };
    match number.split_once('.') {
        Some((main, sub)) => digits(main, 4) && digits(sub, 3),
        None => digits(number, 4),
    }
}

#[cfg(test)]
#[path = "detection_tests.rs"]
mod tests;
