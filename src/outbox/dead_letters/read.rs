//! Reading dead letters: files in order of age, lines one by one, a torn one counted and passed.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::Origin;

/// A letter as it was kept.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Stored {
    /// RFC 3339.
    pub time: Option<String>,
    pub reason: String,
    pub source: Origin,
    pub detail: String,
    body_base64: String,
}

impl Stored {
    /// The record's or alert's bytes; `None` where the line was tampered with.
    pub fn body(&self) -> Option<Vec<u8>> {
        STANDARD.decode(&self.body_base64).ok()
    }

    /// The body as it stands in the file.
    pub fn body_base64(&self) -> &str {
        &self.body_base64
    }

    /// Bytes of the body, without decoding it.
    pub fn size(&self) -> usize {
        let text = self.body_base64.as_bytes();
        let padding = text.iter().rev().take_while(|b| **b == b'=').count();
        (text.len() / 4 * 3).saturating_sub(padding)
    }
}

/// All letters of a folder, oldest file first.
#[derive(Debug)]
pub struct Letters {
    files: std::vec::IntoIter<PathBuf>,
    current: Option<BufReader<File>>,
    line: Vec<u8>,
    damaged: u64,
}

impl Letters {
    /// A folder that does not exist holds none.
    pub fn read(folder: &Path) -> io::Result<Self> {
        let files = files(folder)?.into_iter();
        Ok(Self { files, current: None, line: Vec::new(), damaged: 0 })
    }

    /// Lines that are no letter: those a crash has torn.
    pub fn damaged(&self) -> u64 {
        self.damaged
    }

    /// The next line with its newline, `false` at the end of all files.
    fn next_line(&mut self) -> io::Result<bool> {
        loop {
            let Some(reader) = &mut self.current else {
                let Some(path) = self.files.next() else { return Ok(false) };
                match File::open(&path) {
                    Ok(file) => self.current = Some(BufReader::with_capacity(256 << 10, file)),
                    // The oldest file may be deleted for want of room at any time.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
                continue;
            };
            self.line.clear();
            if reader.read_until(b'\n', &mut self.line)? > 0 {
                return Ok(true);
            }
            self.current = None;
        }
    }
}

impl Iterator for Letters {
    type Item = io::Result<Stored>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.next_line() {
                Ok(false) => return None,
                Err(error) => {
                    self.current = None;
                    return Some(Err(error));
                }
                Ok(true) => match serde_json::from_slice(&self.line) {
                    Ok(letter) => return Some(Ok(letter)),
                    Err(_) if self.line.trim_ascii().is_empty() => {}
                    Err(_) => self.damaged += 1,
                },
            }
        }
    }
}

/// The files of a folder, oldest first: `2026-03-01-000001.ndjson`.
pub(super) fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if number(&path).is_some() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The file to go on with on a day: its last, or the one behind that.
pub(super) fn follow(folder: &Path, date: &str, next: bool) -> io::Result<PathBuf> {
    let of_day = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(date)).then(|| number(path))
    };
    let last = files(folder)?.iter().filter_map(of_day).flatten().max().unwrap_or(1);
    Ok(folder.join(format!("{date}-{:06}.ndjson", last + u32::from(next))))
}

fn number(path: &Path) -> Option<u32> {
    let name = path.file_name()?.to_str()?.strip_suffix(".ndjson")?;
    name.rsplit_once('-')?.1.parse().ok()
}
