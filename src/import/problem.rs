//! Why a rule cannot be imported.

use super::yaml::Place;

/// Kinds of reasons, as the summary counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    Yaml,
    Structure,
    LogSource,
    Field,
    Type,
    Modifier,
    Value,
    Condition,
    Correlation,
    Status,
    Engine,
    Exists,
}

impl Reason {
    /// The reason in the summary.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Yaml => "broken YAML",
            Reason::Structure => "no Sigma rule",
            Reason::LogSource => "another log source",
            Reason::Field => "a field that does not exist",
            Reason::Type => "a value that does not fit its field",
            Reason::Modifier => "a modifier that cannot be used",
            Reason::Value => "a value that cannot be read",
            Reason::Condition => "a condition that cannot be read",
            Reason::Correlation => "a correlation that maps to no window",
            Reason::Status => "not to be used any more",
            Reason::Engine => "SQL the engine refuses",
            Reason::Exists => "the file is there already",
        }
    }
}

/// One reason at its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub reason: Reason,
    pub place: Place,
    /// Lower case, no full stop, says what to do.
    pub message: String,
}

impl Problem {
    pub(super) fn new(reason: Reason, place: Place, message: impl Into<String>) -> Problem {
        Problem { reason, place, message: message.into() }
    }
}
