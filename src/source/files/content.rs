//! The unpacked bytes of one file, whatever it is packed with.
//!
//! [`Content`] knows the first bytes before anybody reads, so that they can be judged, and hands them
//! on first. A fault of the disk or of the packing comes as an error that already says what it is.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{FileStatus, sniff};

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

/// Unpacked content with a head that is known.
pub(super) struct Content {
    head: Cursor<Vec<u8>>,
    rest: Box<dyn Read + Send>,
    packing: sniff::Packing,
    /// What was wrong when the head was read; told when the head is used up.
    fault: Option<String>,
}

impl Content {
    /// Unpacks `file` and reads its head; `read` counts the bytes that leave it.
    pub fn open(file: impl Read + Send + 'static, read: Arc<AtomicU64>) -> Result<Self, FileStatus> {
        let unreadable = |error: io::Error| FileStatus::Unreadable(reason(&error));
        let mut file = Counted { inner: file, read };
        let mut magic = Vec::with_capacity(8);
        (&mut file).take(8).read_to_end(&mut magic).map_err(unreadable)?;
        if magic.is_empty() {
            return Err(FileStatus::Empty);
        }
        let packing = sniff::packing(&magic);
        let whole = Cursor::new(magic).chain(file);
        let mut rest: Box<dyn Read + Send> = match packing {
            sniff::Packing::Plain => Box::new(whole),
            sniff::Packing::Gzip => {
                Box::new(flate2::bufread::MultiGzDecoder::new(io::BufReader::with_capacity(256 << 10, whole)))
            }
            sniff::Packing::Zstd => Box::new(
                zstd::Decoder::new(whole).map_err(|e| FileStatus::Unreadable(packed_reason(packing, &e)))?,
            ),
        };
        let mut head = Vec::new();
        let fault = (&mut rest).take(sniff::HEAD as u64).read_to_end(&mut head).err();
        let fault = fault.map(|error| packed_reason(packing, &error));
        if head.starts_with(b"\xef\xbb\xbf") {
            head.drain(..3);
        }
        if head.trim_ascii().is_empty() && (fault.is_some() || head.len() < sniff::HEAD - 3) {
            return Err(fault.map_or(FileStatus::Empty, FileStatus::Unreadable));
        }
        Ok(Self { head: Cursor::new(head), rest, packing, fault })
    }

    /// The first bytes, without a byte-order mark.
    pub fn head(&self) -> &[u8] {
        self.head.get_ref()
    }

    /// Everything in a temporary file, for formats that are read from their end.
    pub fn spooled(mut self) -> Result<File, FileStatus> {
        let mut spool = || -> io::Result<File> {
            let mut file = tempfile::tempfile()?;
            io::copy(&mut self, &mut file)?;
            file.seek(SeekFrom::Start(0))?;
            Ok(file)
        };
        spool().map_err(|error| FileStatus::Unreadable(reason(&error)))
    }
}

impl Read for Content {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.head.read(into)?;
        if count > 0 || into.is_empty() {
            return Ok(count);
        }
        if let Some(fault) = &self.fault {
            return Err(io::Error::other(fault.clone()));
        }
        match self.rest.read(into) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                let fault = packed_reason(self.packing, &error);
                self.fault = Some(fault.clone());
                Err(io::Error::other(fault))
            }
            other => other,
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
