//! Which row groups may hold rows with certain values, told by statistics and Bloom filters before a query
//! engine opens any file: most files of a month know nothing of one secret, and opening one for a query
//! costs ten times what asking its filters does.
//!
//! What cannot be told, for any reason, is "may hold": whoever reads the file meets the reason again.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parquet::bloom_filter::Sbbf;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};
use tokio::task::JoinError;

use super::files::BLOOM;
use super::stored::{Stored, Unusable, read_at};

/// Objects of a store that are asked at once: each answer is a round trip.
const AT_ONCE: usize = 16;
/// A filter that claims to be larger is not read.
const MAX_FILTER: u64 = 16 << 20;

/// What a row must be like, as far as files know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    Anything,
    /// The column has one of these values.
    OneOf(String, Vec<String>),
    All(Vec<Wanted>),
    Any(Vec<Wanted>),
}

impl Wanted {
    /// Rows with one of these values; anything where no filter knows the column.
    pub fn one_of(column: &str, values: Vec<String>) -> Self {
        match BLOOM.contains(&column) {
            true => Wanted::OneOf(column.to_owned(), values),
            false => Wanted::Anything,
        }
    }

    pub fn all(parts: Vec<Wanted>) -> Self {
        let mut parts: Vec<Wanted> = parts.into_iter().filter(|part| *part != Wanted::Anything).collect();
        match parts.len() {
            0 => Wanted::Anything,
            1 => parts.swap_remove(0),
            _ => Wanted::All(parts),
        }
    }

    pub fn any(parts: Vec<Wanted>) -> Self {
        if parts.contains(&Wanted::Anything) { Wanted::Anything } else { Wanted::Any(parts) }
    }

    fn may_be_in(&self, group: &RowGroupMetaData, file: &mut Asked<'_>) -> bool {
        match self {
            Wanted::Anything => true,
            Wanted::OneOf(column, values) => {
                let chunk = group.columns().iter().find(|c| c.column_path().string() == *column);
                chunk.is_none_or(|chunk| file.may_hold(chunk, values))
            }
            Wanted::All(parts) => parts.iter().all(|part| part.may_be_in(group, file)),
            Wanted::Any(parts) => parts.iter().any(|part| part.may_be_in(group, file)),
        }
    }
}

/// A file that is asked for its filters.
struct Asked<'a> {
    stored: &'a Stored,
    /// Of a local file, once something was read.
    open: Option<File>,
}

impl Asked<'_> {
    fn may_hold(&mut self, chunk: &ColumnChunkMetaData, values: &[String]) -> bool {
        let bounds = chunk.statistics().and_then(|s| Some((s.min_bytes_opt()?, s.max_bytes_opt()?)));
        let between = |value: &&String| {
            bounds.is_none_or(|(min, max)| min <= value.as_bytes() && value.as_bytes() <= max)
        };
        let values: Vec<&String> = values.iter().filter(between).collect();
        if values.is_empty() {
            return false;
        }
        match self.filter(chunk) {
            Some(filter) => values.iter().any(|value| filter.check(value.as_str())),
            None => true,
        }
    }

    fn filter(&mut self, chunk: &ColumnChunkMetaData) -> Option<Sbbf> {
        let start = u64::try_from(chunk.bloom_filter_offset()?).ok()?;
        let length = u64::try_from(chunk.bloom_filter_length()?).ok()?;
        let range = start..start.checked_add(length)?;
        if length > MAX_FILTER || range.end > self.stored.bytes {
            return None;
        }
        let bytes = if self.stored.blob.is_some() {
            self.stored.read(range).ok()?
        } else {
            if self.open.is_none() {
                self.open = Some(File::open(&self.stored.path).ok()?);
            }
            read_at(self.open.as_ref()?, range).ok()?
        };
        Sbbf::from_bytes(&bytes).ok()
    }
}

/// A file by its index, and which of its row groups may hold what is wanted: not known where the file could
/// not be read.
pub(super) type Sifted = (usize, Option<Vec<bool>>);

/// Sifts files. `footer` knows footers; they are asked for on so many threads, or on more for objects of a
/// store.
pub(super) async fn sift<F>(
    files: Arc<Vec<Stored>>,
    places: Vec<usize>,
    wanted: Wanted,
    threads: usize,
    footer: F,
) -> Result<Vec<Sifted>, JoinError>
where
    F: Fn(&Stored) -> Result<Arc<ParquetMetaData>, Unusable> + Clone + Send + Sync + 'static,
{
    let remote = places.iter().any(|at| files.get(*at).is_some_and(|file| file.blob.is_some()));
    let threads = if remote { AT_ONCE } else { threads }.clamp(1, places.len().max(1));
    let work = Arc::new((places, wanted, AtomicUsize::new(0)));
    let tasks = (0..threads).map(|_| {
        let (work, files, footer) = (work.clone(), files.clone(), footer.clone());
        tokio::task::spawn_blocking(move || {
            let (places, wanted, next) = &*work;
            let mut sifted: Vec<Sifted> = Vec::new();
            while let Some(at) = places.get(next.fetch_add(1, Ordering::Relaxed)) {
                let Some(stored) = files.get(*at) else { continue };
                let mut file = Asked { stored, open: None };
                let groups = footer(stored).ok().map(|metadata| {
                    metadata.row_groups().iter().map(|group| wanted.may_be_in(group, &mut file)).collect()
                });
                sifted.push((*at, groups));
            }
            sifted
        })
    });
    let tasks: Vec<_> = tasks.collect();
    let mut sifted = Vec::new();
    for task in tasks {
        sifted.extend(task.await?);
    }
    Ok(sifted)
}
