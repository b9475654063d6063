//! Writes `samples/`: a quiet day and a break-in on three AKS clusters, always the same bytes.
//!
//! With `--check` nothing is written; what differs from the folder is named and the exit code is 1.
//! Compressed parts are compared by what is in them, because another version of the compressor may
//! write other bytes. With `--events N` normal traffic of that size goes to standard output instead, as
//! message bodies, one a line: for measuring with more input than a repository should hold.

mod foothold;
mod intrusion;
mod model;
mod near_miss;
mod output;
mod readme;
mod scenario;
mod tale;
#[cfg(test)]
mod tests;

use std::fs;
use std::io::{BufWriter, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use output::Files;

/// Makes the sample logs of this repository, or as much normal traffic as is asked for.
#[derive(Parser)]
#[command(name = "generate-samples")]
struct Options {
    /// Compare the folder with what would be written, and write nothing.
    #[arg(long)]
    check: bool,
    /// Write this many audit events of normal traffic to standard output instead.
    #[arg(long, value_name = "N", conflicts_with = "check")]
    events: Option<usize>,
    /// Seed of that traffic.
    #[arg(long, default_value_t = 1, requires = "events")]
    seed: u64,
    /// Folder to write to or compare with; the repository's `samples` if not given.
    folder: Option<PathBuf>,
}

fn main() -> anyhow::Result<ExitCode> {
    let options = Options::parse();
    if let Some(events) = options.events {
        return stream(options.seed, events).map(|()| ExitCode::SUCCESS);
    }
    let folder = options.folder.unwrap_or_else(default_folder);
    let files = everything()?;
    if options.check {
        let differences = differences(&folder, &files)?;
        for difference in &differences {
            eprintln!("{difference}");
        }
        return Ok(if differences.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    write(&folder, &files)?;
    let bytes: usize = files.values().map(Vec::len).sum();
    eprintln!("{} files, {bytes} bytes in {}", files.len(), folder.display());
    if let Some(expected) = files.get("expected.json") {
        let expected: serde_json::Value = serde_json::from_slice(expected)?;
        for part in ["hub", "storage", "hub_and_storage"] {
            println!("{part}: {}", expected[part]);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A reader that has had enough closes the pipe; that is no failure.
fn stream(seed: u64, events: usize) -> anyhow::Result<()> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    let written = model::messages(seed, events)
        .try_for_each(|body| out.write_all(&body).and_then(|()| out.write_all(b"\n")))
        .and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other.context("cannot write to standard output"),
    }
}

/// `samples/` of this repository.
fn default_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("samples")
}

fn everything() -> anyhow::Result<Files> {
    let scenario = scenario::scenario();
    let mut files = output::files(&scenario)?;
    files.insert("README.md".into(), readme::readme(&scenario).into_bytes());
    Ok(files)
}

fn write(folder: &Path, files: &Files) -> anyhow::Result<()> {
    for stale in ["hub", "storage"] {
        let stale = folder.join(stale);
        if stale.exists() {
            fs::remove_dir_all(&stale).with_context(|| format!("cannot remove {}", stale.display()))?;
        }
    }
    for (name, bytes) in files {
        let path = folder.join(name);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// What is in the folder and should not be, is not and should be, or is other than it should be.
fn differences(folder: &Path, files: &Files) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    for (name, bytes) in files {
        match fs::read(folder.join(name)) {
            Err(error) => found.push(format!("{name}: {error}")),
            Ok(there) if plain(name, &there)? != plain(name, bytes)? => {
                found.push(format!("{name}: differs from what the generator makes"));
            }
            Ok(_) => {}
        }
    }
    for top in ["hub", "storage"] {
        let pattern = folder.join(top).join("**/*");
        for path in glob::glob(&pattern.to_string_lossy())?.flatten().filter(|p| p.is_file()) {
            let name = path.strip_prefix(folder)?.to_string_lossy().into_owned();
            if !files.contains_key(&name) {
                found.push(format!("{name}: the generator does not make it"));
            }
        }
    }
    Ok(found)
}

fn plain(name: &str, bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut text = Vec::new();
    if name.ends_with(".gz") {
        flate2::read::GzDecoder::new(bytes)
            .read_to_end(&mut text)
            .with_context(|| format!("cannot decompress {name}"))?;
    } else {
        text.extend_from_slice(bytes);
    }
    Ok(text)
}
