//! A detection as loaded: its header's values and its SQL, with the line the SQL begins on.

use std::collections::HashMap;
use std::path::PathBuf;

use chrono::TimeDelta;
use serde::Serialize;

use super::Summary;
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
