//! `aksentry import sigma`: rules of others become files of ours, or are refused with their reasons.
//!
//! Finds the files, asks the engine whether it takes what was made of them, and writes; what a rule means
//! is `import`'s affair.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand, ValueEnum};

use super::output::{Format, Printer, Table, stdout};
use super::{Context, Exit, engine, terminal};
use crate::alert::{Object, Status};
use crate::import::{self, Detection, Problem, Reason, Refused};
use crate::rules::{Catalog, Diagnostic, parse_detection};

/// No rule is longer than this.
const MAX_BYTES: u64 = 1 << 20;
/// Folders inside each other.
const MAX_DEPTH: usize = 32;

#[derive(Debug, Args)]
pub(super) struct Import {
    #[command(subcommand)]
    from: From,
}

#[derive(Debug, Subcommand)]
enum From {
    /// Sigma rules about the audit log of Kubernetes: printed as detections, or written with --out
    Sigma(Sigma),
}

#[derive(Debug, Args)]
struct Sigma {
    /// Rules, or folders of them (*.yml and *.yaml, however deep)
    #[arg(required = true, value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
    /// Write each detection as DIR/<tactic>/<id>.sql
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Write over files that are there and differ
    #[arg(long, requires = "out")]
    force: bool,
    /// Status of the detections: a draft is checked and tested, but not run
    #[arg(long, value_enum, default_value = "draft")]
    status: Wanted,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Wanted {
    Draft,
    Shadow,
    Stable,
}

impl Import {
    pub fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let From::Sigma(sigma) = self.from;
        sigma.run(context)
    }
}

impl Sigma {
    fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let (catalog, _) = engine::load(context)?;
        let status = match self.status {
            Wanted::Draft => Status::Draft,
            Wanted::Shadow => Status::Shadow,
            Wanted::Stable => Status::Stable,
        };
        let files = files(&self.paths)?;
        let mut reading = import::Import::new(catalog.lists.keys().cloned(), status);
        for file in &files {
            match text(file) {
                Ok(text) => reading.add(file, &text),
                Err(message) => reading.refuse_file(file, message),
            }
        }
        let mut outcome = reading.finish();
        let refused = check(&mut outcome.detections, &catalog);
        outcome.refused.extend(refused);
        if let Some(folder) = &self.out {
            let refused = self.write(folder, &mut outcome.detections)?;
            outcome.refused.extend(refused);
        }

        for detection in &outcome.detections {
            for (place, message) in &detection.warnings {
                say(&Diagnostic::warning(&detection.source, *place, message));
            }
        }
        for refused in &outcome.refused {
            for problem in &refused.problems {
                say(&Diagnostic::error(&refused.source, problem.place, &problem.message));
            }
        }
        self.print(context, &outcome.detections)?;
        if !context.terminal.quiet {
            terminal::say(&summary(files.len(), &outcome, self.out.as_deref()));
        }
        Ok(if outcome.refused.is_empty() { Exit::Done } else { Exit::Failed })
    }

    /// Writes the files; those that must not be written over come back as refused.
    fn write(&self, folder: &Path, detections: &mut Vec<Detection>) -> anyhow::Result<Vec<Refused>> {
        let mut refused = Vec::new();
        let mut failed = None;
        detections.retain(|detection| {
            let path = path_in(folder, detection);
            match self.write_one(&path, detection) {
                Ok(true) => true,
                Ok(false) => {
                    let message =
                        format!("{} is there already and differs; --force writes over it", path.display());
                    refused.push(refuse(detection, Reason::Exists, message));
                    false
                }
                Err(error) => {
                    failed.get_or_insert(
                        anyhow::Error::from(error).context(format!("writing {}", path.display())),
                    );
                    false
                }
            }
        });
        failed.map_or(Ok(refused), Err)
    }

    /// Whether the file holds the detection now.
    fn write_one(&self, path: &Path, detection: &Detection) -> io::Result<bool> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        if self.force {
            return fs::write(path, &detection.text).map(|()| true);
        }
        match fs::File::create_new(path) {
            Ok(mut file) => file.write_all(detection.text.as_bytes()).map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Ok(fs::read(path).is_ok_and(|there| there == detection.text.as_bytes()))
            }
            Err(error) => Err(error),
        }
    }

    /// Without `--format` the files themselves, or the paths of those written; for programs an item each.
    fn print(&self, context: &Context, detections: &[Detection]) -> anyhow::Result<()> {
        let lines = matches!(context.global.format, None | Some(Format::Table));
        let path = |detection: &Detection| match &self.out {
            Some(folder) => path_in(folder, detection),
            None => path_in(Path::new(""), detection),
        };
        if !lines {
            let fields = ["path", "id", "tactic", "title", "sigma", "source", "line", "text"]
                .map(str::to_owned)
                .to_vec();
            let table = Table::new(Vec::new(), Default::default());
            let mut printer = Printer::new(stdout(), context.format()?, table, fields);
            for detection in detections {
                let item: Object = [
                    ("path", path(detection).to_string_lossy().into()),
                    ("id", detection.id.clone().into()),
                    ("tactic", detection.tactic.into()),
                    ("title", detection.title.clone().into()),
                    ("sigma", detection.sigma.clone().into()),
                    ("source", detection.source.to_string_lossy().into()),
                    ("line", detection.place.0.into()),
                    ("text", detection.text.clone().into()),
                ]
                .into_iter()
                .map(|(name, value): (&str, serde_json::Value)| (name.to_owned(), value))
                .collect();
                printer.item(&item, Vec::new).context("writing to standard output")?;
            }
            return printer.finish().context("writing to standard output");
        }
        let mut page = String::new();
        for detection in detections {
            let path = path(detection);
            match self.out {
                Some(_) => page += &format!("{}\n", terminal::safe(&path.to_string_lossy())),
                // A single one can be put into a file as it is.
                None if detections.len() == 1 => page += &detection.text,
                None => page += &format!("-- file: {}\n{}\n", path.display(), detection.text),
            }
        }
        if context.terminal.stdout_is_terminal {
            page = page.lines().map(|line| terminal::safe(line) + "\n").collect();
        }
        let mut out = stdout();
        out.write_all(page.as_bytes()).and_then(|()| out.flush()).context("writing to standard output")
    }
}

fn say(problem: &Diagnostic) {
    terminal::say(&terminal::safe(&problem.to_string()));
}

fn path_in(folder: &Path, detection: &Detection) -> PathBuf {
    folder.join(detection.tactic).join(format!("{}.sql", detection.id))
}

fn refuse(detection: &Detection, reason: Reason, message: String) -> Refused {
    let problem = Problem { reason, place: detection.place, message };
    Refused { source: detection.source.clone(), problems: vec![problem] }
}

/// Takes out what the loader or the engine refuses.
fn check(detections: &mut Vec<Detection>, catalog: &Catalog) -> Vec<Refused> {
    let mut wrong: BTreeMap<PathBuf, String> = BTreeMap::new();
    let mut loaded = Vec::new();
    for detection in detections.iter() {
        let path = path_in(Path::new(""), detection);
        match parse_detection(&path, detection.tactic, &detection.id, &detection.text) {
            Ok(rule) => loaded.push(rule),
            Err(problems) => wrong.extend(problems.into_iter().take(1).map(|p| (p.path, p.message))),
        }
    }
    let together = Catalog { detections: loaded, ..catalog.clone() };
    if let Err(problems) = engine::planned(&together) {
        for problem in problems {
            wrong.entry(problem.path).or_insert(problem.message);
        }
    }
    let mut refused = Vec::new();
    detections.retain(|detection| match wrong.get(&path_in(Path::new(""), detection)) {
        None => true,
        Some(message) => {
            let message = format!("what was made of it cannot be used: {message}");
            refused.push(refuse(detection, Reason::Engine, message));
            false
        }
    });
    refused
}

/// The files that were named, and those in the folders that were, in order.
fn files(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        let what = fs::metadata(path).with_context(|| format!("looking for rules at {}", path.display()))?;
        match what.is_dir() {
            true => walk(path, 0, &mut files)?,
            false => files.push(path.clone()),
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    files.retain(|file| seen.insert(file.clone()));
    Ok(files)
}

fn walk(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    if depth > MAX_DEPTH {
        bail!(
            "{}: folders inside each other more than {MAX_DEPTH} times; name one further down",
            folder.display()
        );
    }
    let list = || -> io::Result<Vec<_>> { fs::read_dir(folder)?.collect() };
    let mut entries = list().with_context(|| format!("reading the folder {}", folder.display()))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        // Links are not followed: they may lead back.
        let kind = entry.file_type().with_context(|| format!("looking at {}", path.display()))?;
        let yaml =
            path.extension().is_some_and(|e| e.eq_ignore_ascii_case("yml") || e.eq_ignore_ascii_case("yaml"));
        if kind.is_dir() {
            walk(&path, depth + 1, files)?;
        } else if kind.is_file() && yaml {
            files.push(path);
        }
    }
    Ok(())
}

/// The text of a file, or why it has none.
fn text(path: &Path) -> Result<String, String> {
    let read = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        fs::File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err("longer than 1 MiB; no rule is".into());
    }
    String::from_utf8(bytes).map_err(|error| {
        format!("no UTF-8 text (byte {}); save it as UTF-8", error.utf8_error().valid_up_to() + 1)
    })
}

fn summary(files: usize, outcome: &import::Outcome, out: Option<&Path>) -> String {
    let mut reasons: BTreeMap<Reason, usize> = BTreeMap::new();
    for refused in &outcome.refused {
        if let Some(first) = refused.problems.first() {
            *reasons.entry(first.reason).or_default() += 1;
        }
    }
    let mut counted: Vec<_> = reasons.into_iter().collect();
    counted.sort_by_key(|(reason, count)| (std::cmp::Reverse(*count), *reason));
    let counted: Vec<String> =
        counted.iter().map(|(reason, count)| format!("{count} {}", reason.as_str())).collect();
    let files = if files == 1 { "1 file".to_owned() } else { format!("{files} files") };
    let place = out.map(|folder| format!(" into {}", folder.display())).unwrap_or_default();
    let mut text =
        format!("{files}: imported {}{place}, refused {}", outcome.detections.len(), outcome.refused.len());
    if !counted.is_empty() {
        text += &format!(" ({})", counted.join(", "));
    }
    if outcome.parts > 0 {
        text += &format!("; {} only inside a correlation", outcome.parts);
    }
    terminal::safe(&text)
}
