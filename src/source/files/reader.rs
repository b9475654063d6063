//! One file after another: opened, recognised, and handed to the reader of its format.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::avro::Capture;
use super::content::{Content, reason};
use super::log_analytics::{Csv, QueryResult};
use super::parquet::Rows;
use super::sniff::{self, Form};
use super::{Chunk, FileProblem, FileStatus, Framer, Inputs, Sizes};
use crate::event::RawBatch;

/// What hands on the bodies of one file, in order and in bounded memory.
pub(super) trait Bodies: Send {
    /// The next bodies, or how the file ended; not called again after that.
    fn next(&mut self) -> Result<RawBatch, FileStatus>;
}

/// One open file. Ends with the status it ends with; a file that is no log yields no batch.
pub struct FileReader {
    bodies: Box<dyn Bodies>,
    read: Arc<AtomicU64>,
}

impl FileReader {
    /// Opens a file and looks at its first bytes. The error is its status; for a Parquet file of our
    /// own archive it is [`FileStatus::Archive`].
    pub fn open(path: &Path, sizes: Sizes) -> Result<Self, FileStatus> {
        let unreadable = |error: io::Error| FileStatus::Unreadable(reason(&error));
        let mut file = File::open(path).map_err(unreadable)?;
        // Parquet is read from its end. What cannot be read in any order (a pipe) goes the other way.
        if file.metadata().is_ok_and(|about| about.is_file()) {
            let mut magic = [0; 4];
            let known = file.read(&mut magic).map_err(unreadable)?;
            file.seek(SeekFrom::Start(0)).map_err(unreadable)?;
            if magic.get(..known) == Some(sniff::PARQUET) {
                let read = Arc::new(AtomicU64::new(0));
                let bodies = Box::new(Rows::open(file, sizes, read.clone())?);
                return Ok(Self { bodies, read });
            }
        }
        Self::over(file, sizes)
    }

    /// Reads what lies in memory as if it were a file.
    pub fn of_bytes(bytes: &'static [u8], sizes: Sizes) -> Result<Self, FileStatus> {
        Self::over(bytes, sizes)
    }

    /// Reads a stream of bytes as if it were a file.
    pub(crate) fn over(file: impl Read + Send + 'static, sizes: Sizes) -> Result<Self, FileStatus> {
        let read = Arc::new(AtomicU64::new(0));
        let content = Content::open(file, read.clone())?;
        let bodies: Box<dyn Bodies> = match sniff::form(content.head()) {
            Form::NotALog(what) => return Err(FileStatus::NotALog(what)),
            Form::Text => Box::new(Text::new(content, sizes)),
            Form::Avro => Box::new(Capture::open(content, sizes)?),
            Form::Csv(delimiter) => Box::new(Csv::open(content, delimiter, sizes)?),
            Form::QueryResult => Box::new(QueryResult::new(content, sizes)),
            // The bytes were counted on their way to the temporary file.
            Form::Parquet => Box::new(Rows::open(content.spooled()?, sizes, Arc::default())?),
        };
        Ok(Self { bodies, read })
    }

    /// The next batch, or how the file ended.
    pub fn next_batch(&mut self) -> Result<RawBatch, FileStatus> {
        self.bodies.next()
    }

    /// Bytes that left the disk since this was last asked.
    pub fn bytes_read(&self) -> u64 {
        self.read.swap(0, Ordering::Relaxed)
    }
}

/// JSON and lines, cut between records.
struct Text {
    content: Content,
    framer: Framer,
    sizes: Sizes,
    /// Set once nothing more can be read; what is buffered is still handed on.
    ended: Option<FileStatus>,
    any: bool,
}

impl Text {
    fn new(content: Content, sizes: Sizes) -> Self {
        let mut text = Self { content, framer: Framer::new(sizes), sizes, ended: None, any: false };
        text.fill(sniff::HEAD);
        text
    }

    fn verdict(&self, status: FileStatus) -> FileStatus {
        match (status, self.framer.oversized) {
            (FileStatus::Ok, 1..) => FileStatus::Incomplete(format!(
                "{} over {} MB cut at that size",
                if self.framer.oversized == 1 {
                    "a record".into()
                } else {
                    format!("{} records", self.framer.oversized)
                },
                self.sizes.record >> 20
            )),
            (FileStatus::Incomplete(reason), _) if !self.any => FileStatus::Unreadable(reason),
            (status, _) => status,
        }
    }

    /// Appends up to `count` bytes to the buffer; at the end or a fault of the file says so in `ended`.
    fn fill(&mut self, count: usize) {
        let buffer = &mut self.framer.buffer;
        buffer.reserve(count);
        match (&mut self.content).take(count as u64).read_to_end(buffer) {
            Ok(read) if read < count => self.ended = Some(FileStatus::Ok),
            Ok(_) => {}
            // What was read before the fault is in the buffer.
            Err(error) => self.ended = Some(FileStatus::Incomplete(reason(&error))),
        }
    }
}

impl Bodies for Text {
    fn next(&mut self) -> Result<RawBatch, FileStatus> {
        loop {
            if let Some(raw) = self.framer.take(self.ended.is_some()) {
                self.any = true;
                return Ok(raw);
            }
            if let Some(status) = &self.ended {
                return Err(self.verdict(status.clone()));
            }
            self.fill(self.sizes.chunk);
        }
    }
}

struct Open {
    file: usize,
    reader: FileReader,
    /// Bytes of the file that no item has told of yet.
    untold: u64,
}

/// Reads all files of a run in order, one at a time; for one thread.
pub struct Reader<'a> {
    inputs: &'a Inputs,
    sizes: Sizes,
    next: usize,
    open: Option<Open>,
}

impl<'a> Reader<'a> {
    pub fn new(inputs: &'a Inputs, sizes: Sizes) -> Self {
        Self { inputs, sizes, next: 0, open: None }
    }
}

impl Iterator for Reader<'_> {
    type Item = Result<Chunk, FileProblem>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(Open { file, reader, untold }) = &mut self.open {
                let file = *file;
                let batch = reader.next_batch();
                let bytes_read = reader.bytes_read();
                *untold = untold.saturating_sub(bytes_read);
                match batch {
                    Ok(raw) => return Some(Ok(Chunk { file, raw, bytes_read })),
                    Err(status) => {
                        let bytes_read = bytes_read + *untold;
                        self.open = None;
                        if status != FileStatus::Ok {
                            return Some(Err(FileProblem { file, status, bytes_read }));
                        }
                    }
                }
            }
            let file = self.next;
            let input = self.inputs.files.get(file)?;
            self.next += 1;
            let opened = match &input.blob {
                None => FileReader::open(&input.path, self.sizes),
                Some(blob) => FileReader::over(blob.stream(input.bytes), self.sizes),
            };
            match opened {
                Ok(reader) => self.open = Some(Open { file, reader, untold: input.bytes }),
                Err(status) => return Some(Err(FileProblem { file, status, bytes_read: input.bytes })),
            }
        }
    }
}
