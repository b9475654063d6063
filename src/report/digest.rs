//! SHA-256 of the inputs as they are stored, so that whoever gets the report can tell whether they have
//! the same files.

use std::fs::File;
use std::io::{self, Read};

use sha2::{Digest, Sha256};

use crate::pipeline::Progress;
use crate::source::files::InputFile;

/// Bytes read at a time.
const PORTION: usize = 1 << 20;

/// Hashes one input, a file or an object of a store, and returns the digest in hex with the bytes that
/// went into it.
pub fn sha256(input: &InputFile, progress: &dyn Progress) -> io::Result<(String, u64)> {
    let mut file: Box<dyn Read> = match &input.blob {
        None => Box::new(File::open(&input.path)?),
        Some(blob) => Box::new(blob.stream(input.bytes)),
    };
    let (mut hash, mut bytes) = (Sha256::new(), 0);
    let mut portion = vec![0; PORTION];
    loop {
        let read = match file.read(&mut portion) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hash.update(portion.get(..read).unwrap_or_default());
        bytes += read as u64;
        progress.advance(read as u64);
    }
    Ok((hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect(), bytes))
}
