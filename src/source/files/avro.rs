//! Event Hubs Capture: Avro object containers whose `Body` fields are the hub's messages.
//!
//! `arrow-avro` reads the records. Blocks are found here, because its own reader takes a file that ends
//! inside a block for one that ends, looks at no sync marker, fails an index on a short snappy block and
//! unpacks whatever a block claims to hold. Here a block that is broken is passed over with its number
//! and place, and reading goes on behind the next sync marker.

use std::collections::VecDeque;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow::array::{Array, AsArray};
use arrow::datatypes::DataType;
use arrow_avro::reader::ReaderBuilder;
use bytes::Bytes;
use serde_json::Value;

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
    /// A header for `arrow-avro`, which unpacks snappy alone.
    header: Vec<u8>,
    codec: Codec,
    sync: [u8; SYNC],
    /// Index of the field that holds a message.
    body: usize,
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
            header: Vec::new(),
            codec: Codec::Null,
            sync: [0; SYNC],
            body: 0,
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
        let schema = entry(b"avro.schema").unwrap_or_default();
        let (names, body) = fields(schema).ok_or_else(|| unreadable("no schema of a record"))?;
        let other = || FileStatus::NotALog(Some(format!("Avro, {}", log_analytics::unknown(&names))));
        capture.body = body.ok_or_else(other)?;
        let (codec, name): (_, &[u8]) = match entry(b"avro.codec").unwrap_or(b"null") {
            b"null" => (Codec::Null, b"null"),
            b"deflate" => (Codec::Deflate, b"null"),
            b"snappy" => (Codec::Snappy, b"snappy"),
            other => {
                let name = String::from_utf8_lossy(other.get(..32).unwrap_or(other));
                return Err(FileStatus::Unreadable(format!(
                    "Avro packed with {name}; Capture packs with deflate or snappy or not at all"
                )));
            }
        };
        capture.codec = codec;
        let header = &mut capture.header;
        header.extend_from_slice(MAGIC);
        put(2, header);
        for text in [b"avro.codec", name, b"avro.schema", schema] {
            put(text.len() as i64, header);
            header.extend_from_slice(text);
        }
        put(0, header);
        header.extend_from_slice(&capture.sync);
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
        match self.records(&place) {
            Ok(found) => self.messages.extend(found),
            Err(reason) => self.broke(&reason),
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

    /// Unpacks a block and takes out its messages.
    fn records(&self, place: &Place) -> Result<Vec<Bytes>, String> {
        let packed = self.rest().get(place.data..place.end - SYNC).unwrap_or_default();
        let inflated = match self.codec {
            Codec::Null => None,
            Codec::Deflate => Some(inflate(packed)?),
            Codec::Snappy => {
                // Its last four bytes are a checksum.
                let size = packed.len().checked_sub(4).and_then(|_| snappy_size(packed));
                let size = size.ok_or("too short for snappy")?;
                if size > MAX_BLOCK as u64 {
                    return Err(TOO_LARGE.into());
                }
                None
            }
        };
        let data = inflated.as_deref().unwrap_or(packed);
        let rows = usize::try_from(place.count).unwrap_or(usize::MAX);
        let mut file = self.header.clone();
        put(place.count, &mut file);
        put(i64::try_from(data.len()).unwrap_or(0), &mut file);
        file.extend_from_slice(data);
        file.extend_from_slice(&self.sync);
        let (found, read) = bodies(&file, self.body, rows)?;
        if read != rows { Err(format!("{read} of its {rows} records are there")) } else { Ok(found) }
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

/// Writes a number as Avro does.
fn put(value: i64, out: &mut Vec<u8>) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
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

/// The names of a record's fields, and which one holds a message.
fn fields(schema: &[u8]) -> Option<(Vec<String>, Option<usize>)> {
    let schema: Value = serde_json::from_slice(schema).ok()?;
    let fields = schema.get("fields")?.as_array()?;
    let name = |field: &Value| field.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let names: Vec<String> = fields.iter().map(name).collect();
    let bytes = |field: &Value| match field.get("type") {
        Some(Value::Array(of)) => of.iter().any(|of| of == "bytes"),
        Some(of) => of == "bytes" || of.get("type").is_some_and(|of| of == "bytes"),
        None => false,
    };
    let body = fields.iter().position(|field| name(field) == BODY && bytes(field));
    Some((names, body))
}

/// Unpacks deflate, no more than fits.
fn inflate(packed: &[u8]) -> Result<Vec<u8>, String> {
    let mut data = Vec::new();
    let mut inflater = flate2::read::DeflateDecoder::new(packed).take(MAX_BLOCK as u64 + 1);
    inflater.read_to_end(&mut data).map_err(|e| format!("deflate: {e}"))?;
    if data.len() > MAX_BLOCK { Err(TOO_LARGE.into()) } else { Ok(data) }
}

const TOO_LARGE: &str = "it unpacks to more than 256 MB";

/// What snappy says it unpacks to: the number its data begin with.
fn snappy_size(packed: &[u8]) -> Option<u64> {
    let mut size = 0;
    for (i, byte) in packed.iter().take(5).enumerate() {
        size |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Some(size);
        }
    }
    None
}

/// The messages of one block, read by `arrow-avro` as a file of that block alone.
/// With them how many records there were: a message may be null.
fn bodies(file: &[u8], field: usize, rows: usize) -> Result<(Vec<Bytes>, usize), String> {
    let read = || -> Result<(Vec<Bytes>, usize), arrow::error::ArrowError> {
        let builder = ReaderBuilder::new().with_batch_size(rows.clamp(1, 1024)).with_projection(vec![field]);
        let (mut found, mut records) = (Vec::new(), 0);
        for batch in builder.build(file)? {
            let batch = batch?;
            records += batch.num_rows();
            let column = batch.column(0);
            if column.data_type() != &DataType::Binary {
                continue;
            }
            let values = column.as_binary::<i32>();
            // One copy for them all; each message is a piece of it.
            let all = Bytes::copy_from_slice(values.value_data());
            for row in (0..values.len()).filter(|row| values.is_valid(*row)) {
                let ends = values.value_offsets().get(row..row + 2).unwrap_or(&[0, 0]);
                let (start, end) = (ends.first().copied(), ends.last().copied());
                let place = |at: Option<i32>| usize::try_from(at.unwrap_or(0)).unwrap_or(0);
                found.push(all.slice(place(start)..place(end)));
            }
        }
        Ok((found, records))
    };
    // Damaged data get the library to places its authors did not foresee.
    let outcome = catch_unwind(AssertUnwindSafe(read));
    let outcome = outcome.map_err(|_| "damaged in a way its reader did not expect".to_owned())?;
    outcome.map_err(|error| error.to_string())
}
