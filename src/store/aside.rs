//! What was put aside: an object that others replace, and that those may still read who listed it before.
//!
//! It lies in the same folder under a name that other programs pass over: Hive and Spark skip what begins with
//! the mark in front, and a pattern for `*.parquet` (DuckDB) does not match what ends with the one behind.

use std::fs::File;
use std::io;
use std::path::Path;

const FRONT: &str = "_";
const BEHIND: &str = ".aside";

/// Why something cannot be read that was listed.
pub(super) const GONE: &str = "it is gone since the files were listed (its archive was compacted, or its day expired); run the command again";

/// The key of an object once it was put aside.
pub(super) fn key(key: &str) -> String {
    match key.rsplit_once('/') {
        Some((folder, name)) => format!("{folder}/{FRONT}{name}{BEHIND}"),
        None => format!("{FRONT}{key}{BEHIND}"),
    }
}

/// Whether a path is of something that was put aside.
pub fn is_aside(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.starts_with(FRONT) && name.ends_with(BEHIND)
}

/// Opens a file of a folder that was listed, also if it was put aside since.
pub fn open_file(path: &str) -> io::Result<File> {
    let absent = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    match File::open(Path::new(path)) {
        Err(error) if absent(&error) => File::open(Path::new(&key(path))).map_err(|error| match error {
            error if absent(&error) => io::Error::new(io::ErrorKind::NotFound, GONE),
            error => error,
        }),
        opened => opened,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_put_aside_are_known_again() {
        for (before, after) in [("a/b.parquet", "a/_b.parquet.aside"), ("b", "_b.aside")] {
            assert_eq!(key(before), after);
            assert!(is_aside(after) && !is_aside(before));
        }
        assert!(!is_aside("_x.aside/b.parquet") && !is_aside("a/_SUCCESS"));
    }
}
