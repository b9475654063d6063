//! A folder of rules, queries or lists, on disk or compiled into the binary, read the same way.
//!
//! Names are given by their parts below the root; nothing here follows them deeper than asked, so a
//! loop of links ends where the caller stops.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use include_dir::{Dir, include_dir};

use super::Diagnostic;

static DETECTIONS: LazyLock<Pack> = LazyLock::new(|| {
    static FILES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/detections");
    Pack::of(&FILES)
});
static QUERIES: LazyLock<Pack> = LazyLock::new(|| {
    static FILES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/queries");
    Pack::of(&FILES)
});

/// What is compiled in, by path below its root: the macro's own look-up compares every path there is.
#[derive(Debug, Default)]
struct Pack {
    files: HashMap<&'static str, &'static [u8]>,
    folders: HashMap<&'static str, &'static Dir<'static>>,
}

impl Pack {
    fn of(root: &'static Dir<'static>) -> Self {
        let mut pack = Self::default();
        let mut waiting = vec![root];
        while let Some(folder) = waiting.pop() {
            let files = folder.files().filter_map(|file| Some((file.path().to_str()?, file.contents())));
            pack.files.extend(files);
            pack.folders.extend(folder.path().to_str().map(|path| (path, folder)));
            waiting.extend(folder.dirs());
        }
        pack
    }

    fn folder(&self, path: &Path) -> Option<&'static Dir<'static>> {
        self.folders.get(path.to_str()?).copied()
    }

    fn file(&self, path: &Path) -> Option<&'static [u8]> {
        self.files.get(path.to_str()?).copied()
    }
}

/// Where the files are.
#[derive(Debug, Clone)]
pub(super) enum Tree {
    Disk(PathBuf),
    Compiled(Compiled),
}

/// Files of the pack.
#[derive(Debug, Clone)]
pub(super) struct Compiled {
    pack: &'static Pack,
    /// What the pack's folder is called.
    name: &'static str,
    /// The folder in it that is meant (`""` = all of it).
    below: &'static str,
}

/// What a folder holds, each kind in order of name.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub files: Vec<String>,
    pub folders: Vec<String>,
}

impl Tree {
    /// The compiled detections, below the folder of this name (`""` = all of them).
    pub fn detections(below: &'static str) -> Self {
        Tree::Compiled(Compiled { pack: &DETECTIONS, name: "detections", below })
    }

    /// The compiled queries.
    pub fn queries() -> Self {
        Tree::Compiled(Compiled { pack: &QUERIES, name: "queries", below: "" })
    }

    /// The path messages show.
    pub fn shown(&self, parts: &[&str]) -> PathBuf {
        let mut path = match self {
            Tree::Disk(root) => root.clone(),
            Tree::Compiled(Compiled { name, below, .. }) => {
                [name, below].iter().filter(|part| !part.is_empty()).collect()
            }
        };
        path.extend(parts);
        path
    }

    /// The folder on disk, if it is one.
    pub fn root(&self) -> Option<&Path> {
        match self {
            Tree::Disk(root) => Some(root),
            Tree::Compiled(_) => None,
        }
    }

    /// Files and folders in a folder; hidden ones are left out. A folder that cannot be read is a
    /// diagnostic.
    pub fn list(&self, parts: &[&str]) -> Result<Listing, Diagnostic> {
        let mut listing = match self {
            Tree::Disk(_) => {
                let path = self.shown(parts);
                list_disk(&path).map_err(|error| {
                    Diagnostic::error(path, (1, 1), format!("cannot read the folder: {error}"))
                })?
            }
            Tree::Compiled(compiled) => list_compiled(compiled.pack, &compiled.path(parts)),
        };
        listing.files.sort_unstable();
        listing.folders.sort_unstable();
        Ok(listing)
    }

    /// A file's bytes; what cannot be read is a diagnostic.
    pub fn bytes(&self, parts: &[&str]) -> Result<Vec<u8>, Diagnostic> {
        let path = self.shown(parts);
        match self {
            Tree::Disk(_) => fs::read(&path)
                .map_err(|error| Diagnostic::error(&path, (1, 1), format!("cannot read the file: {error}"))),
            Tree::Compiled(compiled) => compiled
                .pack
                .file(&compiled.path(parts))
                .map(<[u8]>::to_vec)
                .ok_or_else(|| Diagnostic::error(&path, (1, 1), "no such file in the compiled pack")),
        }
    }

    /// A file's text; what is not UTF-8 is a diagnostic at the first bad byte.
    pub fn text(&self, parts: &[&str]) -> Result<String, Diagnostic> {
        String::from_utf8(self.bytes(parts)?).map_err(|error| {
            let good = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
            let text = String::from_utf8_lossy(good);
            let line = text.matches('\n').count() + 1;
            let column = text.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            Diagnostic::error(self.shown(parts), (line, column), "not UTF-8; save the file as UTF-8")
        })
    }
}

impl Compiled {
    fn path(&self, parts: &[&str]) -> PathBuf {
        // An empty part would leave a slash at the end, and these paths are compared letter by letter.
        [&self.below].into_iter().chain(parts).filter(|part| !part.is_empty()).collect()
    }
}

fn list_disk(path: &Path) -> std::io::Result<Listing> {
    let mut listing = Listing::default();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        // Follows links, as a mounted ConfigMap consists of them; a dangling one is left to the reader.
        let folder = fs::metadata(entry.path()).is_ok_and(|metadata| metadata.is_dir());
        if folder { &mut listing.folders } else { &mut listing.files }.push(name);
    }
    Ok(listing)
}

fn list_compiled(pack: &Pack, path: &Path) -> Listing {
    let mut listing = Listing::default();
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let visible = |name: &String| !name.starts_with('.');
    if let Some(folder) = pack.folder(path) {
        listing.files.extend(folder.files().filter_map(|file| name(file.path())).filter(visible));
        listing.folders.extend(folder.dirs().filter_map(|dir| name(dir.path())).filter(visible));
    }
    listing
}
