//! Which files a run reads: paths, folders and globs resolved to a list in natural order.
//!
//! A path that names nothing is the caller's mistake and an [`InputError`]. What is merely odd inside a
//! folder (a loop of links, a folder without permission) is kept as a warning or a report, and the rest
//! is read.

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use super::{FileReport, FileStatus, order};
use crate::store::{Blob, Environment, Location, LocationError, Store, StoreError, is_aside, wait};

/// A path that cannot be used at all; the command line is wrong.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    #[error("cannot read {0}: no such file or folder; check the path")]
    Missing(String),
    #[error(
        "cannot read {0}: no file matches this pattern; check it, and quote it so that the shell leaves it alone"
    )]
    NoMatch(String),
    #[error("cannot read {pattern}: not a valid pattern ({reason})")]
    Pattern { pattern: String, reason: String },
    #[error("cannot read {0}: it is no local file, and objects of a store are not read here; give a path")]
    Remote(String),
    #[error("cannot read {0}: {1}")]
    Location(String, #[source] LocationError),
    #[error("cannot read {path}: {error}")]
    Store { path: String, error: Box<StoreError> },
    #[error("cannot read {0}: no blob lies there; check the container and the prefix")]
    NoBlob(String),
}

/// One file to read.
#[derive(Debug, Clone)]
pub struct InputFile {
    /// As given or as found below a given folder; `az://…` for an object of a store.
    pub path: PathBuf,
    /// Size when it was listed.
    pub bytes: u64,
    /// Where it is an object of a store.
    pub blob: Option<Blob>,
}

/// The files of a run, in the order they are read.
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    pub files: Vec<InputFile>,
    /// What could not be looked at: folders without permission, links that lead nowhere.
    pub skipped: Vec<FileReport>,
    /// For the reader of the summary: loops of links and the like.
    pub warnings: Vec<String>,
}

impl Inputs {
    /// Resolves files, folders (recursive, hidden entries skipped) and globs. Each file is listed once,
    /// however often it was named. Errors name the path that leads nowhere.
    pub fn resolve(paths: &[String]) -> Result<Inputs, InputError> {
        Self::find(paths, None, None)
    }

    /// The same, with `az://CONTAINER/PREFIX` for the blobs below a prefix, or one blob. For threads that
    /// may wait.
    pub fn resolve_anywhere(paths: &[String], environment: &Environment) -> Result<Inputs, InputError> {
        Self::find(paths, Some(environment), None)
    }

    /// The same; folders on a disk that are not `wanted` are not looked into.
    pub fn resolve_wanted(
        paths: &[String],
        environment: &Environment,
        wanted: &dyn Fn(&str) -> bool,
    ) -> Result<Inputs, InputError> {
        Self::find(paths, Some(environment), Some(wanted))
    }

    fn find(
        paths: &[String],
        environment: Option<&Environment>,
        wanted: Option<&dyn Fn(&str) -> bool>,
    ) -> Result<Inputs, InputError> {
        let mut walk = Walk { wanted, ..Walk::default() };
        for given in paths {
            let path = Path::new(given);
            match fs::metadata(path) {
                Ok(metadata) => walk.add(path.to_path_buf(), &metadata, true, &mut Vec::new()),
                Err(error) if error.kind() != io::ErrorKind::NotFound => walk.unreadable(path, &error),
                Err(_) if given.contains("://") => match environment {
                    Some(environment) => walk.remote(given, environment)?,
                    None => return Err(InputError::Remote(given.clone())),
                },
                Err(_) if given.contains(['*', '?', '[']) => walk.glob(given)?,
                Err(_) => return Err(InputError::Missing(given.clone())),
            }
        }
        let mut inputs = walk.inputs;
        inputs.files.sort_by(|a, b| order::compare(&a.path, &b.path));
        inputs.skipped.sort_by(|a, b| order::compare(&a.path, &b.path));
        inputs.skipped.dedup();
        Ok(inputs)
    }

    /// Bytes on disk of all files together.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|f| f.bytes).sum()
    }

    /// A report per file (index for index, status ok, no records yet), then one per skipped path.
    pub fn reports(&self) -> Vec<FileReport> {
        let files = self.files.iter().map(|file| FileReport {
            path: file.path.clone(),
            bytes: file.bytes,
            records: 0,
            status: FileStatus::Ok,
        });
        files.chain(self.skipped.iter().cloned()).collect()
    }
}

/// What a file or folder is, whatever path led to it.
type Identity = (u64, u64, PathBuf);

#[cfg(unix)]
fn identity(_: &Path, metadata: &Metadata) -> Identity {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino(), PathBuf::new())
}

#[cfg(not(unix))]
fn identity(path: &Path, _: &Metadata) -> Identity {
    (0, 0, fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf()))
}

#[derive(Default)]
struct Walk<'a> {
    inputs: Inputs,
    /// Which folders below a given one are looked into; all without it.
    wanted: Option<&'a dyn Fn(&str) -> bool>,
    seen: HashSet<Identity>,
    loops: BTreeSet<Identity>,
}

impl Walk<'_> {
    fn unreadable(&mut self, path: &Path, error: &io::Error) {
        self.inputs.skipped.push(FileReport {
            path: path.to_path_buf(),
            bytes: 0,
            records: 0,
            status: FileStatus::Unreadable(super::content::reason(error)),
        });
    }

    /// `above` are the folders this path lies in: meeting one of them again is a loop.
    fn add(&mut self, path: PathBuf, metadata: &Metadata, named: bool, above: &mut Vec<Identity>) {
        let id = identity(&path, metadata);
        if metadata.is_dir() {
            if above.contains(&id) {
                if self.loops.insert(id) {
                    self.inputs.warnings.push(format!(
                        "{} leads back to a folder it lies in; it was not followed",
                        path.display()
                    ));
                }
            } else if self.seen.insert(id.clone()) {
                above.push(id);
                self.folder(&path, above);
                above.pop();
            }
        // Opening a pipe found in a folder would wait for ever; one that was named is meant.
        } else if (metadata.is_file() || named) && self.seen.insert(id) {
            self.inputs.files.push(InputFile { path, bytes: metadata.len(), blob: None });
        }
    }

    fn folder(&mut self, path: &Path, above: &mut Vec<Identity>) {
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) => return self.unreadable(path, &error),
        };
        let mut names = Vec::new();
        for entry in entries {
            match entry {
                Ok(entry) if entry.file_name().as_encoded_bytes().starts_with(b".") => {}
                Ok(entry) if is_aside(&entry.file_name().to_string_lossy()) => {}
                Ok(entry) => names.push(entry.path()),
                Err(error) => self.unreadable(path, &error),
            }
        }
        // Of two links to one file the first in natural order stands, whatever order the disk has.
        names.sort_by(|a, b| order::compare(a, b));
        if let Some(wanted) = self.wanted {
            names.retain(|name| wanted(&name.to_string_lossy()));
        }
        for name in names {
            match fs::metadata(&name) {
                Ok(metadata) => self.add(name, &metadata, false, above),
                Err(error) => self.unreadable(&name, &error),
            }
        }
    }

    /// Blobs below a prefix or, where none lie below it, the blob of that name.
    fn remote(&mut self, given: &str, environment: &Environment) -> Result<(), InputError> {
        let bad = |error| InputError::Location(given.to_owned(), error);
        let (container, prefix) = match Location::parse(given).map_err(bad)? {
            Location::Folder(path) => {
                let metadata = fs::metadata(&path);
                let metadata = metadata.map_err(|_| InputError::Missing(path.display().to_string()))?;
                self.add(path, &metadata, true, &mut Vec::new());
                return Ok(());
            }
            Location::Azure { container, prefix } => (container, prefix),
        };
        // Keys are those of the container, so that two prefixes of it show which blob is which.
        let whole = Location::Azure { container, prefix: String::new() };
        let unread = |error| InputError::Store { path: given.to_owned(), error: Box::new(error) };
        let store = Store::open(&whole, environment).map_err(unread)?;
        let mut found = wait(store.list(&prefix)).map_err(unread)?;
        if found.is_empty() && !prefix.is_empty() {
            let head = wait(store.head(&prefix)).map_err(unread)?;
            found.extend(head.map(|head| head.object));
        }
        if found.is_empty() {
            return Err(InputError::NoBlob(given.to_owned()));
        }
        for object in found {
            let path = PathBuf::from(format!("{whole}/{}", object.key));
            let hidden = object.key.strip_prefix(&prefix).unwrap_or(&object.key);
            if hidden.split('/').any(|part| part.starts_with('.')) || object.key.ends_with('/') {
                continue;
            }
            if self.seen.insert((0, 0, path.clone())) {
                let blob = Some(Blob { store: store.clone(), key: object.key });
                self.inputs.files.push(InputFile { path, bytes: object.bytes, blob });
            }
        }
        Ok(())
    }

    fn glob(&mut self, pattern: &str) -> Result<(), InputError> {
        let options = glob::MatchOptions {
            case_sensitive: true,
            require_literal_separator: true,
            require_literal_leading_dot: true,
        };
        let matches = glob::glob_with(pattern, options).map_err(|error| InputError::Pattern {
            pattern: pattern.to_owned(),
            reason: error.msg.to_owned(),
        })?;
        let mut any = false;
        for path in matches {
            any = true;
            match path {
                Ok(path) => match fs::metadata(&path) {
                    Ok(metadata) => self.add(path, &metadata, false, &mut Vec::new()),
                    Err(error) => self.unreadable(&path, &error),
                },
                Err(error) => self.unreadable(error.path(), error.error()),
            }
        }
        if any { Ok(()) } else { Err(InputError::NoMatch(pattern.to_owned())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(names: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for name in names {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "{}").unwrap();
        }
        dir
    }

    fn text(dir: &tempfile::TempDir, name: &str) -> String {
        dir.path().join(name).to_string_lossy().into_owned()
    }

    fn names(dir: &tempfile::TempDir, inputs: &Inputs) -> Vec<String> {
        let below = |f: &InputFile| f.path.strip_prefix(dir.path()).unwrap().display().to_string();
        inputs.files.iter().map(below).collect()
    }

    #[test]
    fn folders_are_read_in_natural_order_without_hidden_entries() {
        let dir = tree(&["h=10/PT1H.json", "h=9/PT1H.json", "h=9/.hidden", ".git/config", "z"]);
        let inputs = Inputs::resolve(&[text(&dir, "")]).unwrap();
        assert_eq!(names(&dir, &inputs), ["h=9/PT1H.json", "h=10/PT1H.json", "z"]);
        assert_eq!(inputs.bytes(), 6);
        assert_eq!(inputs.reports().len(), 3);
    }

    #[test]
    fn a_file_named_three_ways_is_read_once() {
        let dir = tree(&["a/x.json", "a/y.json"]);
        let paths = [text(&dir, "a/x.json"), text(&dir, "a"), text(&dir, "a/*.json")];
        let inputs = Inputs::resolve(&paths).unwrap();
        assert_eq!(names(&dir, &inputs), ["a/x.json", "a/y.json"]);
    }

    #[test]
    fn globs_match_folders_too_and_a_name_with_brackets_is_a_name() {
        let dir = tree(&["m=1/a", "m=2/b", "n/c", "x[1].json"]);
        let inputs = Inputs::resolve(&[text(&dir, "m=*")]).unwrap();
        assert_eq!(names(&dir, &inputs), ["m=1/a", "m=2/b"]);
        let inputs = Inputs::resolve(&[text(&dir, "x[1].json")]).unwrap();
        assert_eq!(names(&dir, &inputs), ["x[1].json"]);
    }

    #[test]
    fn what_names_nothing_is_an_error_that_says_so() {
        let dir = tree(&["a"]);
        let error = |path: String| Inputs::resolve(std::slice::from_ref(&path)).unwrap_err().to_string();
        assert!(error(text(&dir, "nope")).contains("nope: no such file or folder"));
        assert!(error(text(&dir, "*.nope")).contains("no file matches"));
        assert!(error(text(&dir, "a[")).contains("not a valid pattern"));
        assert!(error("az://audit/2026".into()).contains("az://audit/2026"));
    }

    #[test]
    fn an_empty_folder_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        let inputs = Inputs::resolve(&[text(&dir, "")]).unwrap();
        assert!(inputs.files.is_empty() && inputs.skipped.is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn loops_are_reported_once_and_dead_links_as_unreadable() {
        use std::os::unix::fs::symlink;
        let dir = tree(&["a/b/x"]);
        symlink(dir.path().join("a"), dir.path().join("a/b/up")).unwrap();
        symlink(dir.path().join("a"), dir.path().join("a/b/up2")).unwrap();
        symlink(dir.path().join("gone"), dir.path().join("a/dead")).unwrap();
        let inputs = Inputs::resolve(&[text(&dir, "")]).unwrap();
        assert_eq!(names(&dir, &inputs), ["a/b/x"]);
        assert_eq!(inputs.warnings.len(), 1);
        assert!(inputs.warnings[0].contains("a/b/up "), "{:?}", inputs.warnings);
        assert_eq!(inputs.skipped.len(), 1);
        assert_eq!(inputs.skipped[0].status.to_string(), "unreadable: no such file");
    }
}
