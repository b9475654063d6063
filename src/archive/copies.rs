//! Rows that are in an archive more than once, and how readers see them once.
//!
//! Two ways lead there. A merged file and the files it was merged from exist side by side until those are
//! deleted: the merged one names them, and they are left out. And messages that were archived but not
//! committed when a process died come again and are archived again: files of another run in the same
//! folder, whose rows have ids that were there before.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use hashbrown::HashSet as Ids;
use parquet::arrow::arrow_reader::{RowSelection, RowSelector};
use parquet::file::metadata::ParquetMetaData;

use super::about::About;
use super::layout::{parent, run_of};
use super::read::Opened;
use super::stored::{Stored, Unusable, times};

/// Footers that were read once.
pub(super) type Footer<'a> = dyn Fn(&Stored) -> Result<Arc<ParquetMetaData>, Unusable> + Sync + 'a;

/// Indexes of files by folder, in order of names.
pub fn by_folder(files: &[Stored]) -> BTreeMap<&str, Vec<usize>> {
    let mut folders: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, file) in files.iter().enumerate() {
        folders.entry(parent(&file.path)).or_default().push(at);
    }
    for members in folders.values_mut() {
        members.sort_by_key(|at| files.get(*at).map(|file| file.path.as_str()));
    }
    folders
}

/// The name of a file that was merged begins its run so.
pub(super) const MERGED: &str = "merged";

/// Which files of a folder another one replaces, by name.
pub fn replaced<'a>(
    members: impl Iterator<Item = &'a Stored>,
    footer: &Footer<'_>,
) -> Result<HashSet<String>, Unusable> {
    let mut names = HashSet::new();
    for file in members.filter(|file| run_of(&file.path).starts_with(MERGED)) {
        names.extend(About::of(&*footer(file)?).replaces);
    }
    Ok(names)
}

/// The last part of a path.
pub fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// For files of one folder and one table, which rows are copies of rows in an earlier one: `None` where all
/// rows of a file count. Files of one run hold no copies of each other, and runs whose times do not meet
/// hold none either, so mostly nothing is read.
pub fn repeated(files: &[&Stored], footer: &Footer<'_>) -> Result<Vec<Option<RowSelection>>, Unusable> {
    let nothing = vec![None; files.len()];
    let mut runs: HashMap<&str, (i64, i64)> = HashMap::new();
    if files.iter().all(|file| files.first().is_some_and(|f| run_of(&f.path) == run_of(&file.path))) {
        return Ok(nothing);
    }
    for file in files {
        let metadata = footer(file)?;
        let span = runs.entry(run_of(&file.path)).or_insert((i64::MAX, i64::MIN));
        for group in 0..metadata.num_row_groups() {
            // Without statistics it may be any time.
            let (first, last) = times(&metadata, group).unwrap_or((i64::MIN, i64::MAX));
            *span = (span.0.min(first), span.1.max(last));
        }
    }
    let mut spans: Vec<(i64, i64)> = runs.into_values().filter(|(first, last)| first <= last).collect();
    spans.sort_unstable();
    if spans.windows(2).all(|pair| matches!(pair, [a, b] if a.1 < b.0)) {
        return Ok(nothing);
    }

    // By run, so that two equal rows of one run (two equal log lines) both count.
    let mut order: Vec<usize> = (0..files.len()).collect();
    order.sort_by_key(|at| files.get(*at).map(|file| (run_of(&file.path), file.path.as_str())));
    let mut selections = nothing;
    let (mut seen, mut current) = (Ids::<u64>::new(), Vec::new());
    let mut run = "";
    for at in order {
        let Some(file) = files.get(at) else { continue };
        if run_of(&file.path) != run {
            run = run_of(&file.path);
            seen.extend(current.drain(..));
        }
        let opened = Opened::with_footer(Arc::new((*file).clone()), footer(file)?)?;
        let ids = opened.ids()?;
        let keep: Vec<bool> = ids.iter().map(|id| !seen.contains(id)).collect();
        current.extend(ids);
        if keep.iter().all(|keep| *keep) {
            continue;
        }
        if let Some(slot) = selections.get_mut(at) {
            *slot = Some(selection(&keep));
        }
    }
    Ok(selections)
}

fn selection(keep: &[bool]) -> RowSelection {
    let runs = keep.chunk_by(|a, b| a == b).map(|run| match run.first() {
        Some(true) => RowSelector::select(run.len()),
        _ => RowSelector::skip(run.len()),
    });
    runs.collect::<Vec<_>>().into()
}
