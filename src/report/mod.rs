//! `replay --report`: one HTML file that a responder can send.
//!
//! The page is complete without scripts (lists, counts, commands); its script draws the timeline and
//! filters. Nothing is ever fetched: style and script are inside, and a content security policy allows
//! nothing else, so that even a name that escaped its place could not run. [`Draft`] finds out before
//! the run whether the file can be written and puts it in place at once, whole. [`Alerts`] keeps what
//! the run raises, [`Survey`] what a second pass over the inputs counts, both bounded.

mod alerts;
mod completeness;
mod digest;
mod histogram;
mod html;
mod page;
mod people;
mod rules;
mod survey;

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use tempfile::NamedTempFile;

use crate::pipeline::replay::{Options, Outcome};
use crate::pipeline::{Progress, scan};
use crate::rules::Catalog;

pub use alerts::{Alerts, Subjects};
pub use html::shell;
pub use survey::Survey;

/// Gives the parameters of a saved query.
pub type Parameters<'a> = &'a dyn Fn(&str) -> Option<Vec<(String, bool)>>;

/// Everything the page says.
pub struct Report<'a> {
    /// The command line, word by word.
    pub command: Vec<String>,
    /// The paths among them, for the commands the page proposes.
    pub paths: &'a [String],
    /// When the run began, RFC 3339.
    pub made: String,
    pub options: &'a Options,
    pub outcome: &'a Outcome,
    pub alerts: &'a Alerts,
    pub subjects: &'a Subjects,
    pub survey: &'a Survey,
    /// Of each input file, in order: its digest in hex and its size then, or why there is none.
    pub digests: &'a [Result<(String, u64), String>],
    pub catalog: &'a Catalog,
    /// How many rules ran.
    pub rules: usize,
    /// Rules that no record of the input could feed, and what each needs.
    pub blind: &'a [(String, String)],
    /// The parameters of a saved query, by its id, each with whether it must be given; `None` for a query
    /// that is not known.
    pub parameters: Parameters<'a>,
}

/// A report that is not in place yet.
#[derive(Debug)]
pub struct Draft {
    file: NamedTempFile,
    path: PathBuf,
}

impl Draft {
    /// Makes the file beside the place it will have. An error says why that cannot be.
    pub fn open(path: &Path) -> anyhow::Result<Draft> {
        if path.is_dir() {
            bail!("writing --report {}: it is a folder; give the name of a file in it", path.display());
        }
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        if !folder.is_dir() {
            bail!("writing --report {}: no folder {}; make it first", path.display(), folder.display());
        }
        let mut builder = tempfile::Builder::new();
        builder.prefix(".aksentry-report-").suffix(".html");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            // As any file a command writes: less what the user's mask takes away.
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        let file = builder.tempfile_in(folder).with_context(|| {
            format!("writing --report {}; check the folder's permissions", path.display())
        })?;
        Ok(Draft { file, path: path.to_path_buf() })
    }

    /// Writes the page and puts it in place.
    pub fn finish(self, report: &Report<'_>) -> anyhow::Result<()> {
        let path = self.path;
        let written = || -> io::Result<()> {
            let mut out = BufWriter::with_capacity(64 << 10, self.file.as_file());
            page::write(report, &mut out)?;
            out.flush()?;
            self.file.as_file().sync_all()
        };
        written().with_context(|| format!("writing --report {}", path.display()))?;
        self.file.persist(&path).with_context(|| format!("writing --report {}", path.display()))?;
        Ok(())
    }
}

/// Refuses inputs that can be read only once: a report reads them again.
pub fn check_inputs(options: &Options) -> anyhow::Result<()> {
    for input in &options.inputs.files {
        if input.blob.is_none() && fs::metadata(&input.path).is_ok_and(|metadata| !metadata.is_file()) {
            bail!(
                "--report reads its input twice, and {} is no ordinary file; write it into one first",
                input.path.display()
            );
        }
    }
    Ok(())
}

/// Reads the inputs again and counts what the page tells beside the alerts.
pub fn survey(options: &Options, subjects: &Subjects, progress: &dyn Progress) -> anyhow::Result<Survey> {
    let mut survey = Survey::default();
    scan(
        &options.inputs,
        options.threads,
        progress,
        &|batch| Survey::of(batch, subjects),
        &options.range,
        &mut |piece| {
            if let Some(part) = piece.outcome {
                survey.merge(part);
            }
            Ok(())
        },
    )?;
    Ok(survey)
}

/// Hashes every input as it is stored.
pub fn digests(options: &Options, progress: &dyn Progress) -> Vec<Result<(String, u64), String>> {
    let files = options.inputs.files.iter();
    files.map(|file| digest::sha256(file, progress).map_err(|error| error.to_string())).collect()
}
