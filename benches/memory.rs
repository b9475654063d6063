//! Peak memory of a whole replay with the pack, two threads, beside the size of its input: 100 MB and, unless
//! `--gigabytes N` says otherwise, 1 GB of distinct events, which the generator writes into a pipe as the
//! program reads them. Time is not what is measured: the generator works on the same cores.
//!
//! Run with `cargo bench --bench memory`.

mod input;

use std::fs::File;
use std::io::{BufWriter, Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// Bytes of an event in its message, about.
const EVENT: usize = 2_600;

fn main() {
    // `cargo test --all-targets` runs benches too; then there is nothing to measure.
    let arguments: Vec<String> = std::env::args().collect();
    if !arguments.iter().any(|argument| argument == "--bench") {
        return;
    }
    let gigabytes = arguments.iter().position(|a| a == "--gigabytes").and_then(|at| arguments.get(at + 1));
    let gigabytes: usize = gigabytes.and_then(|text| text.parse().ok()).unwrap_or(1);
    let folder = tempfile::tempdir().expect("a temporary folder");
    println!("| input | events | time | peak memory |\n|---|---|---|---|");
    for bytes in [100_000_000, gigabytes * 1_000_000_000] {
        let pipe = folder.path().join(format!("{bytes}.ndjson"));
        let made = Command::new("mkfifo").arg(&pipe).status().expect("mkfifo is there");
        assert!(made.success(), "a pipe");
        let begun = Instant::now();
        let (events, written, memory) = replay(&pipe, bytes / EVENT);
        let (seconds, megabytes) = (begun.elapsed().as_secs_f64(), written / 1_000_000);
        println!("| {megabytes} MB | {events} | {seconds:.1} s | {memory} |");
    }
}

/// Events, bytes written, and the peak memory as the program says it.
fn replay(pipe: &Path, events: usize) -> (usize, u64, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_aksentry"))
        .args(["replay", "--format", "none", "--threads", "2"])
        .arg(pipe)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut to = BufWriter::new(File::create(pipe).expect("the program reads"));
    let mut written = 0;
    for message in input::stream(events) {
        to.write_all(&message).and_then(|()| to.write_all(b"\n")).expect("the program reads on");
        written += message.len() as u64 + 1;
    }
    drop(to);
    let mut summary = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut summary).expect("a summary");
    assert!(child.wait().expect("an end").success(), "{summary}");
    let counted = summary.lines().find_map(|line| line.trim().strip_prefix("events"));
    let counted: String = counted.unwrap_or_default().chars().filter(char::is_ascii_digit).collect();
    assert_eq!(counted, events.to_string(), "{summary}");
    let memory = summary.split("peak memory ").nth(1).and_then(|rest| rest.lines().next());
    (events, written, memory.unwrap_or("not said").trim().to_string())
}
