//! Event Hubs Capture: Avro object containers whose `Body` fields are the hub's messages.
//!
//! A block that is broken is passed over with its number and place, and reading goes on behind the next
//! sync marker. What a block's records are is [`record`]'s affair.

mod record;

use std::collections::VecDeque;
use std::io::Read;

use bytes::Bytes;

use self::record::Schema;
use super::content::Content;
use super::reader::Bodies;
use super::{FileStatus, Sizes, log_analytics};
use crate::event::RawBatch;

/// The field that holds a message.
const BODY: &str = "Body";
const MAGIC: &[u8] = b"Obj\x01";
const SYNC: usize = 16;
/// The header holds a schema of a kilobyte.
const MAX_HEADER: usize = 1 << 20;
/// A block above this size, packed or unpacked, is passed over. Capture's are of some megabytes.
const MAX_BLOCK: usize = 256 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Codec {
    Null,
    Deflate,
    Snappy,
}

/// Reads the messages of one file.
pub(super) struct Capture {
    content: Content,
    buffer: Vec<u8>,
    used: usize,
    /// Bytes of the file before the buffer.
    before: u64,
    end: bool,
    fault: Option<String>,
    codec: Codec,
    sync: [u8; SYNC],
    schema: Schema,
    block: u64,
    /// How many blocks were not read, and what was wrong with the first.
    broken: u64,
    first: Option<String>,
    messages: VecDeque<Bytes>,
    any: bool,
    sizes: Sizes,
}

impl Capture {
    /// Reads the header.
    pub fn open(content: Content, sizes: Sizes) -> Result<Self, FileStatus> {
        let mut capture = Self {
            content,
            buffer: Vec::new(),
            used: 0,
            before: 0,
            end: false,
            fault: None,
            codec: Codec::Null,
            sync: [0; SYNC],
            schema: Schema::default(),
            block: 0,
            broken: 0,
            first: None,
            messages: VecDeque::new(),
            any: false,
            sizes,
        };
        let unreadable = |reason: &str| FileStatus::Unreadable(format!("Avro, its header: {reason}"));
        let entries = loop {
            let mut rest = capture.rest().get(MAGIC.len()..).unwrap_or_default();
            let before = rest.len();
            match metadata(&mut rest) {
                Ok(entries) if rest.len() >= SYNC => {
                    let used = MAGIC.len() + before - rest.len() + SYNC;
                    let mut sync = [0; SYNC];
                    sync.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
                    capture.sync = sync;
                    capture.used += used;
                    break entries;
                }
                Err(Trouble::Bad(reason)) => return Err(unreadable(reason)),
                _ if capture.rest().len() > MAX_HEADER => return Err(unreadable("it is over 1 MB")),
                _ if capture.fill() => {}
                _ => return Err(unreadable(capture.fault.as_deref().unwrap_or("cut short"))),
            }
        };
        let entry =
            |name: &[u8]| entries.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_slice());
        let schema = Schema::parse(entry(b"avro.schema").unwrap_or_default(), BODY);
        capture.schema = schema.ok_or_else(|| unreadable("no schema of a record"))?;
        if capture.schema.body.is_none() {
            let unknown = log_analytics::unknown(&capture.schema.names);
            return Err(FileStatus::NotALog(Some(format!("Avro, {unknown}"))));
        }
        capture.codec = match entry(b"avro.codec").unwrap_or(b"null") {
            b"null" => Codec::Null,
            b"deflate" => Codec::Deflate,
            b"snappy" => Codec::Snappy,
            other => {
                let name = String::from_utf8_lossy(other.get(..32).unwrap_or(other));
                return Err(FileStatus::Unreadable(format!(
                    "Avro packed with {name}; Capture packs with deflate or snappy or not at all"
                )));
            }
        };
        Ok(capture)
    }

    fn rest(&self) -> &[u8] {
        self.buffer.get(self.used..).unwrap_or_default()
    }

    /// Takes more bytes; false at the end or at a fault, which is then in `fault`.
    fn fill(&mut self) -> bool {
        if self.end {
            return false;
        }
        self.before += self.used as u64;
        self.buffer.drain(..self.used);
        self.used = 0;
        let count = self.sizes.chunk.max(self.buffer.len());
        match (&mut self.content).take(count as u64).read_to_end(&mut self.buffer) {
            Ok(read) => self.end = read < count,
            Err(error) => {
                self.end = true;
                self.fault = Some(error.to_string());
            }
        }
        true
    }

    /// The next block's messages; `None` behind the last.
    fn next_block(&mut self) -> Option<()> {
        let place = loop {
            if self.rest().is_empty() && !self.fill() {
                if let Some(fault) = self.fault.take() {
                    self.broke(&fault);
                }
                return None;
            }
            match frame(self.rest(), &self.sync) {
                Ok(place) => break place,
                Err(Trouble::More) if self.fill() => {}
                Err(Trouble::More) => {
                    let reason = self.fault.take();
                    self.broke(reason.as_deref().unwrap_or("cut short"));
                    return None;
                }
                Err(Trouble::Bad(reason)) => {
                    self.broke(reason);
                    self.block += 1;
                    self.skip_to_next_block()?;
                }
            }
        };
        let records = match self.unpack(&place) {
            Ok(data) => self.records(data),
            Err(reason) => (0, Some(reason)),
        };
        match records {
            (_, Some(reason)) => self.broke(&reason),
            (read, None) if u64::try_from(place.count) != Ok(read) => {
                self.broke(&format!("{read} records, and it claims to hold {}", place.count));
            }
            _ => {}
        }
        self.used += place.end;
        self.block += 1;
        Some(())
    }

    /// Goes behind the next sync marker.
    fn skip_to_next_block(&mut self) -> Option<()> {
        loop {
            if let Some(at) = memchr::memmem::find(self.rest(), &self.sync) {
                self.used += at + SYNC;
                return Some(());
            }
            // The marker may begin at the end of what is there.
            self.used = self.used.max(self.buffer.len().saturating_sub(SYNC - 1));
            if !self.fill() {
                self.used = self.buffer.len();
                return None;
            }
        }
    }

    /// The data of a block.
    fn unpack(&self, place: &Place) -> Result<Bytes, String> {
        let packed = self.rest().get(place.data..place.end - SYNC).unwrap_or_default();
        Ok(match self.codec {
            Codec::Null => Bytes::copy_from_slice(packed),
            Codec::Deflate => inflate(packed)?.into(),
            Codec::Snappy => {
                // Its last four bytes are a checksum.
                let (packed, checksum) = packed.split_last_chunk().ok_or("too short for snappy")?;
                let size = snap::raw::decompress_len(packed).map_err(|e| e.to_string())?;
                if size > MAX_BLOCK {
                    return Err(TOO_LARGE.into());
                }
                let data = snap::raw::Decoder::new().decompress_vec(packed).map_err(|e| e.to_string())?;
                if crc32fast::hash(&data) != u32::from_be_bytes(*checksum) {
                    return Err("snappy: its checksum is another one".into());
                }
                data.into()
            }
        })
    }

    /// Takes the messages out of a block's data; gives how many records were read, and what is wrong with
    /// the next. Each message is a piece of the data.
    fn records(&mut self, data: Bytes) -> (u64, Option<String>) {
        let (mut rest, mut read) = (&data[..], 0);
        while !rest.is_empty() {
            match self.schema.next(&mut rest) {
                Ok(message) => self.messages.extend(message.map(|message| data.slice_ref(message))),
                Err(reason) => return (read, Some(format!("its record {}: {reason}", read + 1))),
            }
            read += 1;
        }
        (read, None)
    }

    fn broke(&mut self, reason: &str) {
        self.broken += 1;
        let at = self.before + self.used as u64;
        let block = self.block + 1;
        self.first.get_or_insert_with(|| format!("Avro block {block} at byte {at}: {reason}"));
    }

    fn status(&self) -> FileStatus {
        let Some(first) = &self.first else { return FileStatus::Ok };
        let reason = match self.broken {
            1 => first.clone(),
            n => format!("{first} (and {} more)", n - 1),
        };
        if self.any { FileStatus::Incomplete(reason) } else { FileStatus::Unreadable(reason) }
    }
}

impl Bodies for Capture {
    fn next(&mut self) -> Result<RawBatch, FileStatus> {
        while self.messages.is_empty() {
            if self.next_block().is_none() && self.messages.is_empty() {
                return Err(self.status());
            }
        }
        let (mut bodies, mut bytes) = (Vec::new(), 0);
        while let Some(body) = self.messages.pop_front() {
            bytes += body.len();
            bodies.push(body);
            if bytes >= self.sizes.chunk {
                break;
            }
        }
        self.any = true;
        Ok(RawBatch { bodies })
    }
}

enum Trouble {
    /// There are too few bytes to say.
    More,
    Bad(&'static str),
}

/// A block: how many records, and where its data begin and its marker ends.
struct Place {
    count: i64,
    data: usize,
    end: usize,
}

/// Reads the frame of the block that `bytes` begin with.
fn frame(bytes: &[u8], sync: &[u8; SYNC]) -> Result<Place, Trouble> {
    let mut rest = bytes;
    let count = long(&mut rest)?;
    let size = long(&mut rest)?;
    let size = usize::try_from(size).ok().filter(|size| *size <= MAX_BLOCK);
    let size = size.ok_or(Trouble::Bad("its size cannot be right"))?;
    if count < 0 {
        return Err(Trouble::Bad("its number of records cannot be right"));
    }
    let data = bytes.len() - rest.len();
    let end = data + size + SYNC;
    match bytes.get(data + size..end) {
        None => Err(Trouble::More),
        Some(marker) if marker == sync => Ok(Place { count, data, end }),
        Some(_) => Err(Trouble::Bad("its sync marker is another one")),
    }
}

/// A number as Avro writes it, seven bits a byte, the sign in the lowest.
fn long(bytes: &mut &[u8]) -> Result<i64, Trouble> {
    let mut value = 0_u64;
    for (i, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            *bytes = bytes.get(i + 1..).unwrap_or_default();
            return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    if bytes.len() < 10 { Err(Trouble::More) } else { Err(Trouble::Bad("a number of over ten bytes")) }
}

fn text<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], Trouble> {
    let length = long(bytes)?;
    let length = usize::try_from(length).map_err(|_| Trouble::Bad("a text of less than no bytes"))?;
    if length > MAX_HEADER {
        return Err(Trouble::Bad("a text of over 1 MB"));
    }
    let all = *bytes;
    let found = all.get(..length).ok_or(Trouble::More)?;
    *bytes = all.get(length..).unwrap_or_default();
    Ok(found)
}

type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// The map in a header.
fn metadata(bytes: &mut &[u8]) -> Result<Entries, Trouble> {
    let mut entries = Entries::new();
    loop {
        let count = long(bytes)?;
        if count == 0 {
            return Ok(entries);
        }
        // A negative count comes with the size of what follows.
        if count < 0 {
            long(bytes)?;
        }
        for _ in 0..count.unsigned_abs() {
            let key = text(bytes)?.to_vec();
            entries.push((key, text(bytes)?.to_vec()));
        }
    }
}

/// Unpacks deflate, no more than fits.
fn inflate(packed: &[u8]) -> Result<Vec<u8>, String> {
    let mut data = Vec::new();
    let mut inflater = flate2::read::DeflateDecoder::new(packed).take(MAX_BLOCK as u64 + 1);
    inflater.read_to_end(&mut data).map_err(|e| format!("deflate: {e}"))?;
    if data.len() > MAX_BLOCK { Err(TOO_LARGE.into()) } else { Ok(data) }
}

const TOO_LARGE: &str = "it unpacks to more than 256 MB";
