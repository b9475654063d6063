//! The seam to the engine: every call of the commands into `rules`, `detect` and `pipeline` that does
//! work. Here wrong rules become one readable error.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::bail;

use super::{Context, terminal};
use crate::alert::{Alert, Severity};
use crate::archive::info::Ledger;
use crate::config::Config;
use crate::detect::{Engine, EngineConfig};
use crate::pipeline::replay::{self, Options, Outcome};
use crate::pipeline::{self, Progress};
use crate::rules::{Catalog, Detection, Diagnostic, Kind, Level, Queries, Sources, closest};
use crate::source::files::Inputs;

/// The catalogue with all its problems.
pub(super) fn load(context: &Context) -> anyhow::Result<(Catalog, Vec<Diagnostic>)> {
    let (mut catalog, problems) = Catalog::load(&sources(context)?);
    if let Some(problem) = catalog.open_geoip(&context.global.geoip).first() {
        bail!("--geoip {}: {}", problem.path.display(), problem.message);
    }
    Ok((catalog, problems))
}

/// The databases of addresses a command uses: those of its flags, else those of its configuration.
pub(super) fn geoip<'a>(context: &'a Context, config: &'a Config) -> &'a [PathBuf] {
    if context.global.geoip.is_empty() { &config.geoip } else { &context.global.geoip }
}

/// Where rules and lists are, as the flags say; a folder that is not there is an error.
pub(super) fn sources(context: &Context) -> anyhow::Result<Sources> {
    let global = &context.global;
    let folders =
        [("detections", &global.detections), ("queries", &global.queries), ("lists", &global.lists)];
    for (flag, folder) in folders {
        if let Some(folder) = folder
            && !folder.is_dir()
        {
            bail!("--{flag} {}: no such folder; check the path", folder.display());
        }
    }
    Ok(Sources { detections: global.detections.clone(), lists: global.lists.clone() })
}

/// The saved queries with all their problems.
pub(super) fn queries(context: &Context) -> anyhow::Result<(Queries, Vec<Diagnostic>)> {
    sources(context)?;
    Ok(Queries::load(context.global.queries.as_deref()))
}

/// The catalogue for a command that uses it; with `only`, those rules alone, and problems of others are
/// none of ours. What is wrong is printed, all of it at once, and refused.
pub(super) fn catalog(context: &Context, only: &[String]) -> anyhow::Result<Catalog> {
    let (mut catalog, mut problems) = load(context)?;
    let concerns = |problem: &Diagnostic| {
        let stem = problem.path.file_stem().map(|s| s.to_string_lossy());
        only.is_empty()
            || problem.path.extension().is_none_or(|e| e != "sql")
            || stem.is_some_and(|stem| only.iter().any(|id| *id == stem))
    };
    problems.retain(concerns);
    if problems.iter().any(|p| p.level == Level::Error) {
        if let Err(found) = planned(&catalog) {
            problems.extend(found.into_iter().filter(concerns));
        }
        problems.sort_by(|a, b| (&a.path, a.line, a.column).cmp(&(&b.path, b.line, b.column)));
    }
    refuse(&problems)?;
    for id in only {
        detection(&catalog, id)?;
    }
    if !only.is_empty() {
        catalog.detections.retain(|rule| only.contains(&rule.id));
    }
    Ok(catalog)
}

/// The rule of this id, or an error with the id that may have been meant.
pub(super) fn detection<'a>(catalog: &'a Catalog, id: &str) -> anyhow::Result<&'a Detection> {
    if let Some(found) = catalog.detections.iter().find(|d| d.id == id) {
        return Ok(found);
    }
    match closest(id, catalog.detections.iter().map(|d| d.id.as_str())) {
        Some(meant) => bail!("no rule \"{id}\"; did you mean \"{meant}\"?"),
        None => bail!("no rule \"{id}\"; `aksentry rules list` shows all"),
    }
}

/// Compiles the rules; what is wrong with them is printed and refused.
pub(super) fn compile(catalog: &Catalog, only: &[String], min: Severity) -> anyhow::Result<Engine> {
    let config =
        EngineConfig { only: only.to_vec(), min_severity: min, lazy: true, ..EngineConfig::default() };
    compile_with(catalog, &config)
}

/// Compiles all rules of a catalogue, drafts too.
pub(super) fn compile_drafts(catalog: &Catalog) -> anyhow::Result<Engine> {
    compile_with(catalog, &EngineConfig { drafts: true, ..EngineConfig::default() })
}

fn compile_with(catalog: &Catalog, config: &EngineConfig) -> anyhow::Result<Engine> {
    match Engine::compile(catalog, config) {
        Ok(engine) => Ok(engine),
        Err(diagnostics) => {
            refuse(&diagnostics)?;
            bail!("the rules cannot be used; `aksentry check` shows what is wrong with them")
        }
    }
}

/// All rules of a catalogue, drafts too, or everything that is wrong with them. Rules of the pack inside this
/// program are planned only if they may lack something: its tests planned the others.
pub(super) fn planned(catalog: &Catalog) -> Result<Engine, Vec<Diagnostic>> {
    let config = EngineConfig { drafts: true, lazy: true, ..EngineConfig::default() };
    let mut engine = Engine::compile(catalog, &config)?;
    engine.wake_lookups();
    Ok(engine)
}

/// The kind of every rule, for commands that show rules.
pub(super) fn kinds(catalog: &Catalog) -> anyhow::Result<BTreeMap<String, Kind>> {
    let config = EngineConfig { drafts: true, lazy: true, ..EngineConfig::default() };
    compile_with(catalog, &config).map(|mut engine| engine.kinds())
}

/// Prints every problem; an error if one of them is an error.
pub(super) fn refuse<'a>(diagnostics: impl IntoIterator<Item = &'a Diagnostic>) -> anyhow::Result<()> {
    let mut errors = 0;
    for diagnostic in diagnostics {
        terminal::say(&diagnostic.to_string());
        errors += usize::from(diagnostic.level == Level::Error);
    }
    match errors {
        0 => Ok(()),
        1 => bail!("a rule or list cannot be used; fix the problem above"),
        n => bail!("rules or lists cannot be used; fix the {n} problems above"),
    }
}

pub(super) fn replay(
    engine: Engine,
    options: &Options,
    progress: &dyn Progress,
    emit: &mut dyn FnMut(Alert) -> anyhow::Result<()>,
) -> anyhow::Result<Outcome> {
    replay::run(engine, options, progress, emit)
}

/// Decodes everything and runs no rule: the account alone.
pub(super) fn account(options: &Options, progress: &dyn Progress) -> anyhow::Result<Outcome> {
    let engine = compile(&Catalog::default(), &[], Severity::Informational)?;
    replay::run(engine, options, progress, &mut |_| Ok(()))
}

/// The ledger of an archive, and how many files of the inputs are none of it.
pub(super) fn ledger(inputs: &Inputs) -> (Ledger, u64) {
    pipeline::ledger(inputs)
}
