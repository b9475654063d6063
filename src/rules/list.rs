//! A list: values with reasons, looked up by equality, pattern or CIDR.

use std::path::Path;

use super::Diagnostic;

/// `lists/<name>.csv`.
#[derive(Debug, Clone, Default)]
pub struct List {
    pub name: String,
}

impl List {
    /// Reads a list; problems are reported by line and the good entries are kept.
    pub fn parse(name: &str, path: &Path, text: &str) -> (List, Vec<Diagnostic>) {
        let _ = (path, text);
        (List { name: name.into() }, Vec::new())
    }

    /// Whether an entry equals, matches or contains `value`.
    pub fn contains(&self, value: &str) -> bool {
        let _ = value;
        false
    }
}
