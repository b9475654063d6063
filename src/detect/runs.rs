//! Gathered alerts put aside on disk: sorted runs in temporary files, merged when they are wanted.
//!
//! A run holds [`Entry`]s in some order; [`Runs::merge`] gives those of all runs in that order. Many runs
//! become one before there are more than a process may hold open. The files are gone with the value.

use std::cmp::Ordering;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::PathBuf;

use tempfile::TempDir;

use super::codec::{Reader, Writer};
use super::gathered::Entry;

/// Runs that are merged into one.
const RUNS: usize = 64;

/// The order of a run.
pub type Order<'a> = &'a dyn Fn(&Entry, &Entry) -> Ordering;

/// Sorted runs, all in the same order.
#[derive(Debug, Default)]
pub struct Runs {
    folder: Option<TempDir>,
    files: Vec<PathBuf>,
    written: usize,
}

impl Runs {
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Writes a run of entries that are in order; where that fails nothing is left of it.
    pub fn put<'e>(
        &mut self,
        entries: impl IntoIterator<Item = &'e Entry>,
        order: Order<'_>,
    ) -> io::Result<()> {
        let (path, mut run) = self.create()?;
        let written = entries.into_iter().try_for_each(|entry| write(&mut run, entry));
        if let Err(error) = written.and_then(|()| run.flush()) {
            let _ = std::fs::remove_file(&path);
            return Err(error);
        }
        self.files.push(path);
        if self.files.len() >= RUNS { self.join(order) } else { Ok(()) }
    }

    fn create(&mut self) -> io::Result<(PathBuf, BufWriter<File>)> {
        let folder = match &mut self.folder {
            Some(folder) => folder,
            none => none.insert(tempfile::Builder::new().prefix("aksentry-alerts-").tempdir()?),
        };
        let path = folder.path().join(format!("{}.run", self.written));
        self.written += 1;
        let file = File::create(&path)?;
        Ok((path, BufWriter::new(file)))
    }

    /// Makes one run of all; where that fails they stay as they are.
    fn join(&mut self, order: Order<'_>) -> io::Result<()> {
        let (path, mut run) = self.create()?;
        let written = self.merge(order, &mut |entry| write(&mut run, &entry)).and_then(|()| run.flush());
        if let Err(error) = written {
            let _ = std::fs::remove_file(&path);
            return Err(error);
        }
        for old in std::mem::replace(&mut self.files, vec![path]) {
            let _ = std::fs::remove_file(old);
        }
        Ok(())
    }

    /// Gives the entries of all runs in their common order; of equal ones, those of older runs first.
    pub fn merge<E: From<io::Error>>(
        &self,
        order: Order<'_>,
        each: &mut dyn FnMut(Entry) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut heads = Vec::with_capacity(self.files.len());
        for path in &self.files {
            let mut file = BufReader::new(File::open(path)?);
            if let Some(entry) = read(&mut file)? {
                heads.push((entry, file));
            }
        }
        loop {
            let first = (0..heads.len()).reduce(|a, b| match order(&heads[b].0, &heads[a].0) {
                Ordering::Less => b,
                _ => a,
            });
            let Some(first) = first else { return Ok(()) };
            let entry = match read(&mut heads[first].1)? {
                Some(next) => std::mem::replace(&mut heads[first].0, next),
                None => heads.remove(first).0,
            };
            each(entry)?;
        }
    }
}

fn write(run: &mut impl Write, entry: &Entry) -> io::Result<()> {
    let mut to = Writer::default();
    entry.save(&mut to);
    let bytes = to.into_bytes();
    run.write_all(&(bytes.len() as u64).to_le_bytes())?;
    run.write_all(&bytes)
}

/// The next entry of a run; `None` at its end.
fn read(run: &mut BufReader<File>) -> io::Result<Option<Entry>> {
    if io::BufRead::fill_buf(run)?.is_empty() {
        return Ok(None);
    }
    let mut length = [0; 8];
    run.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    let mut bytes = Vec::new();
    let got = run.by_ref().take(length).read_to_end(&mut bytes)?;
    let entry = Entry::load(&mut Reader::new(&bytes));
    match entry {
        Ok(entry) if got as u64 == length => Ok(Some(entry)),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "alerts put aside are damaged")),
    }
}
