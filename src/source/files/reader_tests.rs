//! Reading real files: packing, faults, what is not a log.

use std::fs;
use std::io::Write;
use std::path::Path;

use super::{FileReader, FileStatus, Inputs, Reader, Sizes};

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zstd(text: &[u8]) -> Vec<u8> {
    zstd::encode_all(text, 3).unwrap()
}

/// Everything the reader hands on of one file with this content, and how it ended.
fn read(content: &[u8]) -> (String, FileStatus) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    fs::write(&path, content).unwrap();
    let mut reader = match FileReader::open(&path, Sizes { chunk: 100, ..Sizes::default() }) {
        Ok(reader) => reader,
        Err(status) => return (String::new(), status),
    };
    let mut text = String::new();
    loop {
        match reader.next_batch() {
            Ok(raw) => raw.bodies.iter().for_each(|b| text.push_str(&String::from_utf8_lossy(b))),
            Err(status) => return (text, status),
        }
    }
}

fn lines(count: usize) -> String {
    (0..count).map(|i| format!("{{\"number\":{i},\"hash\":\"{:x}\"}}\n", i * 7_919_317)).collect()
}

#[test]
fn plain_gzip_and_zstd_are_told_by_content() {
    let text = lines(1000);
    let (first, second) = text.split_at(text.len() / 2 + 3);
    for content in [
        text.as_bytes().to_vec(),
        gzip(text.as_bytes()),
        [gzip(first.as_bytes()), gzip(second.as_bytes())].concat(),
        zstd(text.as_bytes()),
        [zstd(first.as_bytes()), zstd(second.as_bytes())].concat(),
        [b"\xef\xbb\xbf", text.as_bytes()].concat(),
    ] {
        assert_eq!(read(&content), (text.clone(), FileStatus::Ok));
    }
}

#[test]
fn what_came_before_the_fault_counts() {
    let text = lines(20_000);
    for (content, name) in [(gzip(text.as_bytes()), "gzip"), (zstd(text.as_bytes()), "zstd")] {
        let (read_text, status) = read(&content[..content.len() * 2 / 3]);
        assert_eq!(status, FileStatus::Incomplete(format!("{name} cut short")));
        assert!(read_text.len() > text.len() / 3, "{} of {}", read_text.len(), text.len());
        assert!(text.starts_with(&read_text));
    }
    let (read_text, status) = read(&[gzip(text.as_bytes()), b"garbage behind it".to_vec()].concat());
    assert_eq!(read_text, text);
    assert!(matches!(status, FileStatus::Incomplete(reason) if reason.starts_with("gzip: ")));
}

#[test]
fn a_packed_file_without_content_to_read_is_unreadable() {
    let (text, status) = read(&gzip(lines(10).as_bytes())[..11]);
    assert_eq!((text.as_str(), status.to_string().as_str()), ("", "unreadable: gzip cut short"));
}

#[test]
fn what_is_no_log_yields_nothing() {
    for (content, status) in [
        (&b""[..], "empty"),
        (b" \n\n", "empty"),
        (&gzip(b""), "empty"),
        (b"# Title\n\nprose\n", "not a log"),
        (b"a,b\n1,2\n", "not a log: a table without the columns of an audit log; it has a, b"),
        (b"{\0}", "not a log: binary"),
    ] {
        let (text, found) = read(content);
        assert_eq!((text.as_str(), found.to_string().as_str()), ("", status));
    }
}

#[test]
fn every_file_is_told_of_and_its_bytes_add_up() {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, content: &[u8]| fs::write(dir.path().join(name), content).unwrap();
    put("1.json", lines(50).as_bytes());
    put("2.md", b"prose");
    put("3.gz", &gzip(lines(5000).as_bytes())[..9000]);
    put("4.json", b"");
    put("5.json", b"{\"last\":1}");
    let mut inputs = Inputs::resolve(&[dir.path().to_string_lossy().into_owned()]).unwrap();
    inputs.files.push(super::InputFile { path: Path::new("/nowhere/x").into(), bytes: 7, blob: None });
    let mut bytes = 0;
    let mut problems = Vec::new();
    let mut with_chunks = Vec::new();
    for item in Reader::new(&inputs, Sizes { chunk: 1000, ..Sizes::default() }) {
        match item {
            Ok(chunk) => {
                bytes += chunk.bytes_read;
                with_chunks.push(chunk.file);
            }
            Err(problem) => {
                bytes += problem.bytes_read;
                problems.push((problem.file, problem.status.to_string()));
            }
        }
    }
    with_chunks.dedup();
    assert_eq!(with_chunks, [0, 2, 4]);
    let expected =
        [(1, "not a log"), (2, "incomplete: gzip cut short"), (3, "empty"), (5, "unreadable: no such file")];
    assert_eq!(problems, expected.map(|(file, status)| (file, status.to_owned())));
    assert_eq!(bytes, inputs.bytes());
}
