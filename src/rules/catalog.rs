//! All detections and lists of a run, from folders or from the pack compiled into the binary.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::{Detection, Diagnostic, List};

/// Where to look. `None` = the folder of that name beside the working directory, else the compiled pack.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    pub detections: Option<PathBuf>,
    pub lists: Option<PathBuf>,
}

/// Everything that was loaded, in order of id.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    pub detections: Vec<Detection>,
    pub lists: BTreeMap<String, Arc<List>>,
}

impl Catalog {
    /// Loads every file; a file with errors is left out and each of its problems reported.
    pub fn load(sources: &Sources) -> (Catalog, Vec<Diagnostic>) {
        let _ = sources;
        (Catalog::default(), Vec::new())
    }
}
