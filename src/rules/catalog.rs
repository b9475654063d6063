//! All detections and lists of a run, from folders or from the pack compiled into the binary.
//!
//! Owns where files may lie and what they may be called. One bad file costs only itself.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use super::tree::Tree;
use super::{Detection, Diagnostic, Geoip, List, detection};

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
    /// The folder the detections came from; `None` for the compiled pack.
    pub origin: Option<PathBuf>,
    /// The folders the lists came from; none for the compiled ones.
    pub lists_origins: Vec<PathBuf>,
    /// What is known of addresses.
    pub geoip: Arc<Geoip>,
}

/// The folder of lists inside a folder of detections.
const LISTS: &str = "lists";

impl Catalog {
    /// Loads every file; a file with errors is left out and each of its problems reported.
    pub fn load(sources: &Sources) -> (Catalog, Vec<Diagnostic>) {
        Self::load_beside(Path::new(""), sources)
    }

    /// [`Catalog::load`] with the folder in which to look for `detections` and `lists`.
    fn load_beside(folder: &Path, sources: &Sources) -> (Catalog, Vec<Diagnostic>) {
        let beside = |name: &str| Some(folder.join(name)).filter(|path| path.is_dir());
        let detections = match sources.detections.clone().or_else(|| beside("detections")) {
            Some(root) => Tree::Disk(root),
            None => Tree::detections(""),
        };
        let inside = detections.root().map(|root| root.join(LISTS)).filter(|path| path.is_dir());
        let own = sources.lists.clone().or_else(|| beside(LISTS));
        let mut loader = Loader::default();
        // Somebody's own lists lie over those the detections come with: each replaces the one of its name.
        loader.lists(&inside.map_or_else(|| Tree::detections(LISTS), Tree::Disk));
        if let Some(own) = own {
            loader.lists(&Tree::Disk(own));
        }
        loader.detections(&detections);
        loader.catalog.origin = detections.root().map(Path::to_path_buf);
        (loader.catalog, loader.problems)
    }

    /// Takes these databases of addresses in place of those it has; each that cannot be used is reported.
    pub fn open_geoip(&mut self, paths: &[PathBuf]) -> Vec<Diagnostic> {
        let (geoip, problems) = Geoip::open(paths);
        self.geoip = Arc::new(geoip);
        problems
    }

    /// The folders on disk that rules and lists were read from.
    pub fn folders(&self) -> Vec<PathBuf> {
        self.origin.iter().chain(&self.lists_origins).cloned().collect()
    }

    /// The folders that databases of addresses lie in, each once.
    pub fn geoip_folders(&self) -> BTreeSet<PathBuf> {
        let folder = |path: &Path| match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
            _ => PathBuf::from("."),
        };
        self.geoip.paths().map(folder).collect()
    }

    /// Its lists, and beneath them those of the pack that is inside this program: what its saved queries
    /// ask for is there whatever folder the detections come from.
    pub fn all_lists(&self) -> BTreeMap<String, Arc<List>> {
        let mut lists = COMPILED_LISTS.clone();
        lists.extend(self.lists.clone());
        lists
    }

    /// Ids of the rules that are, letter by letter, those of the pack inside this program, with that pack's
    /// lists to name: the tests of this program planned them.
    pub fn compiled_rules(&self) -> BTreeSet<&str> {
        if !self.has_compiled_lists() {
            return BTreeSet::new();
        }
        let pack = Tree::detections("");
        let same = |rule: &&Detection| {
            let text = pack.bytes(&[&rule.tactic, &format!("{}.sql", rule.id)]);
            text.is_ok_and(|text| text == rule.text.as_bytes())
        };
        self.detections.iter().filter(same).map(|rule| rule.id.as_str()).collect()
    }

    /// Whether each list of the pack is there, with the columns it has in the pack at least.
    fn has_compiled_lists(&self) -> bool {
        COMPILED_LISTS.iter().all(|(name, compiled)| {
            let list = self.lists.get(name);
            list.is_some_and(|list| compiled.columns.iter().all(|column| list.columns.contains(column)))
        })
    }

    /// The detections as files.
    pub(super) fn tree(&self) -> Tree {
        self.origin.clone().map_or(Tree::detections(""), Tree::Disk)
    }
}

/// The rule of this id in the pack that is inside this program, as it is there; `None` if it has none.
pub fn compiled(id: &str) -> Option<Result<Detection, Vec<Diagnostic>>> {
    let pack = Tree::detections("");
    let file = format!("{id}.sql");
    let tactics = pack.list(&[]).ok()?.folders;
    let text = |tactic: &String| pack.text(&[tactic, &file]).ok().map(|text| (tactic.clone(), text));
    let (tactic, text) = tactics.iter().find_map(text)?;
    Some(detection::parse(&pack.shown(&[&tactic, &file]), &tactic, id, &text))
}

/// The lists of the pack that is inside this program.
static COMPILED_LISTS: LazyLock<BTreeMap<String, Arc<List>>> = LazyLock::new(|| {
    let mut loader = Loader::default();
    loader.lists(&Tree::detections(LISTS));
    loader.catalog.lists
});

/// Threads that read detections: as many as the smallest machine has cores. Reading is half of start-up.
const READERS: usize = 2;

#[derive(Default)]
struct Loader {
    catalog: Catalog,
    problems: Vec<Diagnostic>,
}

impl Loader {
    /// Takes what could be read and notes why the rest could not.
    fn keep<T>(&mut self, read: Result<T, Diagnostic>) -> Option<T> {
        read.map_err(|problem| self.problems.push(problem)).ok()
    }

    fn lists(&mut self, tree: &Tree) {
        self.catalog.lists_origins.extend(tree.root().map(Path::to_path_buf));
        let Some(listing) = self.keep(tree.list(&[])) else { return };
        for file in &listing.files {
            let Some(name) = file.strip_suffix(".csv") else { continue };
            let Some(text) = self.keep(tree.text(&[file])) else { continue };
            let (list, problems) = List::parse(name, &tree.shown(&[file]), &text);
            self.problems.extend(problems);
            self.catalog.lists.insert(name.to_string(), Arc::new(list));
        }
    }

    fn detections(&mut self, tree: &Tree) {
        let Some(root) = self.keep(tree.list(&[])) else { return };
        for file in root.files.iter().filter(|file| file.ends_with(".sql")) {
            let message = format!(
                "a detection lies in the folder of its tactic; move it to one such as execution/{file}"
            );
            self.problems.push(Diagnostic::error(tree.shown(&[file]), (1, 1), message));
        }
        let tactics: Vec<&String> = root.folders.iter().filter(|name| *name != LISTS).collect();
        let portions = tactics.chunks(tactics.len().div_ceil(READERS).max(1));
        let found: Vec<Found> = std::thread::scope(|scope| {
            let read = |portion: &[&String]| portion.iter().flat_map(|name| tactic(tree, name)).collect();
            let threads: Vec<_> =
                portions.map(|portion| scope.spawn(move || -> Vec<Found> { read(portion) })).collect();
            let joined = threads.into_iter().map(|thread| thread.join());
            joined.flat_map(|found| found.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
        });
        for found in found {
            match found {
                Ok(detection) => self.add(detection),
                Err(problems) => self.problems.extend(problems),
            }
        }
        self.catalog.detections.sort_by(|a, b| a.id.cmp(&b.id));
    }

    /// Adds a detection, unless its id is taken.
    fn add(&mut self, detection: Detection) {
        match self.catalog.detections.iter().find(|earlier| earlier.id == detection.id) {
            None => self.catalog.detections.push(detection),
            Some(earlier) => {
                let message = format!(
                    "id \"{}\" is taken by {}; rename one of the files",
                    detection.id,
                    earlier.path.display()
                );
                self.problems.push(Diagnostic::error(detection.path, (1, 1), message));
            }
        }
    }
}

/// A detection, or what is wrong with a file or folder.
type Found = Result<Detection, Vec<Diagnostic>>;

/// What is in the folder of a tactic, in order of name.
fn tactic(tree: &Tree, tactic: &str) -> Vec<Found> {
    let listing = match tree.list(&[tactic]) {
        Ok(listing) => listing,
        Err(problem) => return vec![Err(vec![problem])],
    };
    let ids: Vec<&str> = listing.files.iter().filter_map(|file| file.strip_suffix(".sql")).collect();
    let mut found: Vec<Found> = ids.iter().map(|id| detection(tree, tactic, id)).collect();
    for folder in &listing.folders {
        let inside = match tree.list(&[tactic, folder]) {
            Ok(inside) => inside,
            Err(problem) => {
                found.push(Err(vec![problem]));
                continue;
            }
        };
        let mut problems = Vec::new();
        for file in inside.files.iter().filter(|file| file.ends_with(".sql")) {
            let path = tree.shown(&[tactic, folder, file]);
            let message = format!("a detection lies in the folder of its tactic; move it to {tactic}/{file}");
            problems.push(Diagnostic::error(path, (1, 1), message));
        }
        if !ids.contains(&folder.as_str()) {
            let path = tree.shown(&[tactic, folder]);
            let message = format!("no detection {folder}.sql beside this folder; add it or remove the cases");
            problems.push(Diagnostic::warning(path, (1, 1), message));
        }
        found.push(Err(problems));
    }
    found
}

fn detection(tree: &Tree, tactic: &str, id: &str) -> Found {
    let file = format!("{id}.sql");
    let text = tree.text(&[tactic, &file]).map_err(|problem| vec![problem])?;
    detection::parse(&tree.shown(&[tactic, &file]), tactic, id, &text)
}

#[cfg(test)]
#[path = "catalog_tests.rs"]
mod tests;
