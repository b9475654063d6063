//! The cases of a detection: events beside the rule and the alerts they must give.
//!
//! Finds and reads them; running and comparing is left to the command.

use std::path::PathBuf;

use super::{Catalog, Detection, Diagnostic, Geoip};

/// One case: `detections/<tactic>/<id>/<name>.ndjson`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// Id of the rule.
    pub rule: String,
    /// The file's stem: `fires-<why>` or `silent-<why>`.
    pub name: String,
    /// The file, as shown in messages; on disk if the catalog has an origin.
    pub path: PathBuf,
    /// Whether the name says that it fires.
    pub expects_alerts: bool,
    /// The file's bytes.
    pub input: Vec<u8>,
    /// Text of `<name>.alerts.json`, if there is one.
    pub expected: Option<String>,
}

impl Case {
    /// The file with the expected alerts, whether it exists or not.
    pub fn expected_path(&self) -> PathBuf {
        self.path.with_file_name(format!("{}.alerts.json", self.name))
    }
}

impl Catalog {
    /// The cases of a detection in order of name, and what is wrong with its folder.
    pub fn cases(&self, detection: &Detection) -> (Vec<Case>, Vec<Diagnostic>) {
        let tree = self.tree();
        let (tactic, id) = (detection.tactic.as_str(), detection.id.as_str());
        let mut cases = Vec::new();
        let mut problems = Vec::new();
        let has_folder =
            tree.list(&[tactic]).is_ok_and(|listing| listing.folders.iter().any(|name| name == id));
        let files = match if has_folder { tree.list(&[tactic, id]) } else { Ok(Default::default()) } {
            Ok(listing) => listing.files,
            Err(problem) => {
                problems.push(problem);
                Vec::new()
            }
        };
        for file in files.iter().filter(|file| *file != NETWORKS) {
            let path = tree.shown(&[tactic, id, file]);
            if let Some(name) = file.strip_suffix(".alerts.json") {
                if !files.contains(&format!("{name}.ndjson")) {
                    let message = format!("no case {name}.ndjson for these alerts; add it or remove them");
                    problems.push(Diagnostic::warning(path, (1, 1), message));
                }
                continue;
            }
            let case = file.strip_suffix(".ndjson").and_then(|name| Some((name, fires(name)?)));
            let Some((name, expects_alerts)) = case else {
                let message =
                    "neither a case nor its alerts; name it fires-<why>.ndjson or silent-<why>.ndjson";
                problems.push(Diagnostic::warning(path, (1, 1), message));
                continue;
            };
            let expected_file = format!("{name}.alerts.json");
            let expected = if files.contains(&expected_file) {
                tree.text(&[tactic, id, &expected_file]).map(Some)
            } else {
                Ok(None)
            };
            match (tree.bytes(&[tactic, id, file]), expected) {
                (Ok(input), Ok(expected)) => {
                    cases.push(Case {
                        rule: id.into(),
                        name: name.into(),
                        path,
                        expects_alerts,
                        input,
                        expected,
                    });
                }
                (input, expected) => problems.extend(input.err().into_iter().chain(expected.err())),
            }
        }
        for (wanted, kind) in [(true, "fires"), (false, "silent")] {
            if !cases.iter().any(|case| case.expects_alerts == wanted) {
                let message = format!("no {kind} case; add {id}/{kind}-<why>.ndjson beside the rule");
                problems.push(Diagnostic::warning(&detection.path, (1, 1), message));
            }
        }
        (cases, problems)
    }

    /// What the cases of a detection know of addresses: its folder's `geoip.csv`, else nothing.
    pub fn case_networks(&self, detection: &Detection) -> Result<Geoip, Vec<Diagnostic>> {
        let (tree, parts) = (self.tree(), [detection.tactic.as_str(), detection.id.as_str(), NETWORKS]);
        let folder = tree.list(&parts[..2]).unwrap_or_default();
        if !folder.files.iter().any(|file| file == NETWORKS) {
            return Ok(Geoip::default());
        }
        let text = tree.text(&parts).map_err(|problem| vec![problem])?;
        Geoip::networks(&tree.shown(&parts), &text)
    }
}

/// A list of networks beside the cases of a rule.
const NETWORKS: &str = "geoip.csv";

/// Whether a case of this name expects alerts; `None` if it is no name of a case.
fn fires(name: &str) -> Option<bool> {
    let why = |prefix: &str| name.strip_prefix(prefix).is_some_and(|why| !why.is_empty());
    if why("fires-") { Some(true) } else { why("silent-").then_some(false) }
}
