//! Every number a windowed rule of the pack counts to is held by its cases: one more or one less, and a
//! case fails.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::cli::{ROOT, run_at_root};

/// The rules with a `window`, as files.
fn windowed() -> Vec<PathBuf> {
    let files = glob::glob(&format!("{ROOT}/detections/*/*.sql")).unwrap().map(Result::unwrap);
    files.filter(|file| fs::read_to_string(file).unwrap().contains("\n-- window = ")).collect()
}

/// Where the statement compares with a number or an interval: range of the digits.
fn thresholds(text: &str) -> Vec<std::ops::Range<usize>> {
    let statement = text.find("\n-- ///\n").unwrap();
    let mut found = Vec::new();
    for before in [">= ", "INTERVAL '"] {
        for (at, _) in text[statement..].match_indices(before) {
            let start = statement + at + before.len();
            let digits = text[start..].bytes().take_while(u8::is_ascii_digit).count();
            if digits > 0 {
                found.push(start..start + digits);
            }
        }
    }
    found
}

/// A pack of this one rule with its cases; the lists are those of the repository.
struct Pack(TempDir);

impl Pack {
    fn new(rule: &Path) -> Self {
        let pack = Self(tempfile::tempdir().unwrap());
        let cases = pack.file(rule).with_extension("");
        fs::create_dir_all(&cases).unwrap();
        for case in fs::read_dir(rule.with_extension("")).unwrap().map(Result::unwrap) {
            fs::copy(case.path(), cases.join(case.file_name())).unwrap();
        }
        pack
    }

    fn file(&self, rule: &Path) -> PathBuf {
        self.0.path().join(rule.strip_prefix(Path::new(ROOT).join("detections")).unwrap())
    }

    /// Exit code and output of the cases with this text as the rule.
    fn test(&self, rule: &Path, text: &str) -> (i32, String) {
        fs::write(self.file(rule), text).unwrap();
        let folder = self.0.path().to_str().unwrap();
        let run = run_at_root(["test", "--detections", folder, "--lists", "detections/lists"]);
        (run.code, run.out + &run.err)
    }
}

#[test]
fn a_threshold_off_by_one_fails_a_case() {
    let mut changed = Vec::new();
    for rule in windowed() {
        let text = fs::read_to_string(&rule).unwrap();
        let places = thresholds(&text);
        if places.is_empty() {
            continue;
        }
        let (pack, id) = (Pack::new(&rule), rule.file_stem().unwrap().to_str().unwrap().to_owned());
        let (code, said) = pack.test(&rule, &text);
        assert_eq!(code, 0, "{id} as it is:\n{said}");
        for place in places {
            let number: i64 = text[place.clone()].parse().unwrap();
            for other in [number + 1, number - 1] {
                let mut wrong = text.clone();
                wrong.replace_range(place.clone(), &other.to_string());
                let (code, said) = pack.test(&rule, &wrong);
                assert!(
                    code == 1 && said.contains(&format!("FAIL {id}/")),
                    "{id} with {other} instead of {number} passes its cases:\n{said}"
                );
            }
        }
        changed.push(id);
    }
    let known = [
        "api-denied-distinct-resources",
        "cluster-silent",
        "pods-mass-deleted",
        "secret-access-bulk",
        "secret-cross-namespace-sweep",
        "seq-recon-then-secret",
    ];
    for id in known {
        assert!(changed.iter().any(|c| c == id), "no threshold was found in {id}: {changed:?}");
    }
}
