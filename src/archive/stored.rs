//! A Parquet file of an archive where it lies: on this disk, or an object of a store.
//!
//! Gives bytes and the footer, and says whether the file has our columns. What its rows mean is left to
//! `read` and `table`.

use std::fs::File;
use std::io::{Cursor, Read, Seek as _, SeekFrom};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::statistics::Statistics;

use super::layout::Placed;
use crate::event::Table;
use crate::store::{Blob, StoreError, open_file};

/// What is read of a file's end before its footer's size is known.
const TAIL: u64 = 64 << 10;
/// The last bytes of a file: its footer's size and the magic number.
const FOOTER_END: u64 = 8;
/// Memory that is taken before it is known that a file has so much.
const AT_ONCE: u64 = 1 << 20;
/// A footer that claims more is damaged or not meant for us.
const MAX_FOOTER: usize = 256 << 20;

/// One file.
#[derive(Debug, Clone)]
pub struct Stored {
    /// As people name it: a path, or `az://…`.
    pub path: String,
    pub bytes: u64,
    /// Where it is an object of a store.
    pub blob: Option<Blob>,
    /// Whose rows it holds.
    pub table: Table,
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error("{0}")]
    Disk(#[from] std::io::Error),
    #[error("damaged Parquet: {0}")]
    Damaged(#[from] ParquetError),
    #[error("damaged Parquet: {0}")]
    Rows(#[from] arrow::error::ArrowError),
}

impl Stored {
    /// A file of our own Parquet; `None` for anything else. What lies in a folder of an archive and is named
    /// so is taken for it unseen. For threads that may wait.
    pub fn recognise(path: String, bytes: u64, blob: Option<Blob>) -> Result<Option<Self>, Unusable> {
        // Magic number, footer's size and magic number again.
        if bytes < 12 || blob.is_some() && !is_named_parquet(&path) {
            return Ok(None);
        }
        let placed = Placed::parse(&path).map(|placed| placed.table);
        // A year of an archive is many thousands of files: those that lie where ours do are not opened to
        // see whether they are.
        let trusted = placed.is_some() && is_named_parquet(&path);
        let file = Self { path, bytes, blob, table: placed.unwrap_or(Table::Audit) };
        if trusted {
            return Ok(Some(file));
        }
        if file.blob.is_none() && file.read(0..4)?.as_ref() != b"PAR1" {
            return Ok(None);
        }
        if placed.is_some() {
            return Ok(Some(file));
        }
        let footer = match file.footer() {
            // Not ours to judge.
            Err(Unusable::Damaged(_)) => return Ok(None),
            footer => footer?,
        };
        Ok(table_of(&footer).map(|table| Self { table, ..file }))
    }

    /// Bytes of the file; for threads that may wait.
    pub fn read(&self, range: Range<u64>) -> Result<Bytes, Unusable> {
        match &self.blob {
            Some(blob) => Ok(blob.read(range)?),
            None => Ok(read_at(&open_file(&self.path)?, range)?),
        }
    }

    /// The same for a task.
    pub async fn fetch(&self, range: Range<u64>) -> Result<Bytes, Unusable> {
        match &self.blob {
            Some(blob) => Ok(blob.fetch(range).await?),
            // A local disk answers sooner than another thread would take over.
            None => self.read(range),
        }
    }

    /// The footer, without the pages' index; for threads that may wait.
    pub fn footer(&self) -> Result<Arc<ParquetMetaData>, Unusable> {
        // A disk answers at once, so nothing is read that is not needed.
        let open = if self.blob.is_none() { Some(open_file(&self.path)?) } else { None };
        let mut want = if open.is_some() { FOOTER_END } else { TAIL };
        loop {
            let range = self.tail(want);
            let tail = match &open {
                Some(open) => read_at(open, range)?,
                None => self.read(range)?,
            };
            match parse_footer(tail, self.bytes)? {
                Ok(metadata) => return Ok(metadata),
                Err(more) => want = more,
            }
        }
    }

    /// The same for a task.
    pub async fn fetch_footer(&self) -> Result<Arc<ParquetMetaData>, Unusable> {
        if self.blob.is_none() {
            // A local disk answers sooner than another thread would take over.
            return self.footer();
        }
        let mut want = TAIL;
        loop {
            let tail = self.fetch(self.tail(want)).await?;
            match parse_footer(tail, self.bytes)? {
                Ok(metadata) => return Ok(metadata),
                Err(more) => want = more,
            }
        }
    }

    /// The footer, of a file whose bytes are all there.
    pub(super) fn footer_in(&self, bytes: &Bytes) -> Result<Arc<ParquetMetaData>, Unusable> {
        let found = parse_footer(bytes.clone(), self.bytes)?;
        Ok(found.map_err(|needed| ParquetError::EOF(format!("its footer claims {needed} bytes")))?)
    }

    fn tail(&self, want: u64) -> Range<u64> {
        self.bytes.saturating_sub(want)..self.bytes
    }
}

/// The footer, or how many bytes of the end it needs.
fn parse_footer(tail: Bytes, bytes: u64) -> Result<Result<Arc<ParquetMetaData>, u64>, ParquetError> {
    let mut reader = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Skip);
    let had = tail.len();
    match reader.try_parse_sized(&tail, bytes) {
        Ok(()) => Ok(Ok(Arc::new(reader.finish()?))),
        Err(ParquetError::NeedMoreData(needed))
            if needed > had && needed <= MAX_FOOTER && had as u64 != bytes =>
        {
            Ok(Err(needed as u64))
        }
        Err(error) => Err(error),
    }
}

pub(super) fn read_at(file: &File, range: Range<u64>) -> std::io::Result<Bytes> {
    let wanted = range.end.saturating_sub(range.start);
    let mut file = file;
    file.seek(SeekFrom::Start(range.start))?;
    if wanted <= AT_ONCE {
        let mut content = vec![0; usize::try_from(wanted).unwrap_or_default()];
        file.read_exact(&mut content)?;
        return Ok(content.into());
    }
    // A damaged footer may claim anything: memory is taken for what is there.
    let mut content = Vec::new();
    file.take(wanted).read_to_end(&mut content)?;
    if content.len() as u64 != wanted {
        return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "the file ends early"));
    }
    Ok(content.into())
}

/// The table whose rows a file holds, told by its columns.
pub fn table_of(metadata: &ParquetMetaData) -> Option<Table> {
    let columns = metadata.file_metadata().schema().get_fields();
    let has = |names: &[&str]| names.iter().all(|name| columns.iter().any(|c| c.name() == *name));
    if !has(&["time", "cluster", "category", "record_time"]) {
        None
    } else if has(&["audit_id", "stage", "verb", "username", "principal_class"]) {
        Some(Table::Audit)
    } else {
        has(&["component", "message", "raw"]).then_some(Table::ControlPlane)
    }
}

/// First and last time of a row group as its statistics say, microseconds since the epoch.
pub fn times(metadata: &ParquetMetaData, group: usize) -> Option<(i64, i64)> {
    let group = metadata.row_groups().get(group)?;
    let column = group.columns().iter().find(|c| c.column_path().string() == "time")?;
    match column.statistics()? {
        Statistics::Int64(times) => Some((*times.min_opt()?, *times.max_opt()?)),
        _ => None,
    }
}

/// A file as the Parquet reader wants it, with pieces that were read before.
pub(super) struct Pieces {
    file: Arc<Stored>,
    held: Option<(u64, Bytes)>,
}

impl Pieces {
    pub fn new(file: Arc<Stored>) -> Self {
        Self { file, held: None }
    }

    /// Reads a range at once; what lies in it is not read again.
    pub fn hold(&mut self, range: Range<u64>) -> Result<(), Unusable> {
        self.held = Some((range.start, self.file.read(range)?));
        Ok(())
    }

    fn bytes(&self, range: Range<u64>) -> Result<Bytes, ParquetError> {
        if let Some((at, held)) = &self.held
            && range.start >= *at
            && range.end <= at + held.len() as u64
        {
            let from = usize::try_from(range.start - at).unwrap_or_default();
            let to = usize::try_from(range.end - at).unwrap_or_default();
            return Ok(held.slice(from..to));
        }
        self.file.read(range).map_err(|e| ParquetError::External(Box::new(e)))
    }
}

impl Length for Pieces {
    fn len(&self) -> u64 {
        self.file.bytes
    }
}

impl ChunkReader for Pieces {
    type T = Cursor<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        let end = match &self.held {
            Some((at, held)) if start >= *at && start < at + held.len() as u64 => at + held.len() as u64,
            _ => start.saturating_add(TAIL).min(self.file.bytes),
        };
        Ok(Cursor::new(self.bytes(start..end.max(start))?))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        self.bytes(start..start.saturating_add(length as u64).min(self.file.bytes))
    }
}

fn is_named_parquet(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("parquet"))
}
