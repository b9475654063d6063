//! One file after another: opened, recognised, unpacked, framed.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Chunk, FileProblem, FileStatus, Framer, Inputs, Sizes, sniff};
use crate::event::RawBatch;

/// Counts what leaves the disk, below any unpacking.
struct Counted<R> {
    inner: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(into)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// One open file. Ends with the status it ends with; a file that is no log yields no batch.
pub struct FileReader {
    content: Box<dyn Read + Send>,
    framer: Framer,
    sizes: Sizes,
    packing: sniff::Packing,
    read: Arc<AtomicU64>,
    /// Set once nothing more can be read; what is buffered is still handed on.
    ended: Option<FileStatus>,
    any: bool,
}

impl FileReader {
    /// Opens a file and looks at its first bytes. The error is its status.
    pub fn open(path: &Path, sizes: Sizes) -> Result<Self, FileStatus> {
        let unreadable = |error: io::Error| FileStatus::Unreadable(reason(&error));
        Self::over(File::open(path).map_err(unreadable)?, sizes)
    }

    /// Reads what lies in memory as if it were a file.
    pub fn of_bytes(bytes: &'static [u8], sizes: Sizes) -> Result<Self, FileStatus> {
        Self::over(bytes, sizes)
    }

    fn over(file: impl Read + Send + 'static, sizes: Sizes) -> Result<Self, FileStatus> {
        let unreadable = |error: io::Error| FileStatus::Unreadable(reason(&error));
        let read = Arc::new(AtomicU64::new(0));
        let mut file = Counted { inner: file, read: read.clone() };
        let mut magic = Vec::with_capacity(8);
        (&mut file).take(8).read_to_end(&mut magic).map_err(unreadable)?;
        if magic.is_empty() {
            return Err(FileStatus::Empty);
        }
        let packing = sniff::packing(&magic);
        let whole = Cursor::new(magic).chain(file);
        let content: Box<dyn Read + Send> = match packing {
            sniff::Packing::Plain => Box::new(whole),
            sniff::Packing::Gzip => {
                Box::new(flate2::bufread::MultiGzDecoder::new(io::BufReader::with_capacity(256 << 10, whole)))
            }
            sniff::Packing::Zstd => Box::new(
                zstd::Decoder::new(whole).map_err(|e| FileStatus::Unreadable(packed_reason(packing, &e)))?,
            ),
        };
        let mut reader =
            Self { content, framer: Framer::new(sizes), sizes, packing, read, ended: None, any: false };
        reader.fill(sniff::HEAD);
        let head = &mut reader.framer.buffer;
        if head.trim_ascii().is_empty() {
            return Err(match reader.ended.take() {
                Some(FileStatus::Incomplete(reason)) => FileStatus::Unreadable(reason),
                Some(_) => FileStatus::Empty,
                None => FileStatus::NotALog(None),
            });
        }
        // Reading is allowed to go beyond the head; what is judged is the head alone.
        if let Some(what) = sniff::not_a_log(head.get(..sniff::HEAD).unwrap_or(head)) {
            return Err(FileStatus::NotALog(what));
        }
        if head.starts_with(b"\xef\xbb\xbf") {
            head.drain(..3);
        }
        Ok(reader)
    }

    /// The next batch, or how the file ended.
    pub fn next_batch(&mut self) -> Result<RawBatch, FileStatus> {
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

    /// Bytes that left the disk since this was last asked.
    pub fn bytes_read(&self) -> u64 {
        self.read.swap(0, Ordering::Relaxed)
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
            Err(error) => self.ended = Some(FileStatus::Incomplete(packed_reason(self.packing, &error))),
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

/// An I/O error as people say it, without the number.
pub(super) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file".into(),
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        io::ErrorKind::IsADirectory => "a folder".into(),
        _ => error.to_string(),
    }
}

fn packed_reason(packing: sniff::Packing, error: &io::Error) -> String {
    let name = match packing {
        sniff::Packing::Plain => return reason(error),
        sniff::Packing::Gzip => "gzip",
        sniff::Packing::Zstd => "zstd",
    };
    match error.kind() {
        io::ErrorKind::UnexpectedEof => format!("{name} cut short"),
        _ => format!("{name}: {}", reason(error)),
    }
}
