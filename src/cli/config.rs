//! The configuration of a command that wants one, with the environment of this process.
//!
//! Commands that only read want a little of it, whatever else is wrong: who asks at a desk, or in the pod's
//! shell, has none of the service's secrets. For them the file may lie where it usually does.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;

use super::terminal;
use crate::config::{Config, Problem};
use crate::store::Location;

/// Where a configuration is looked for that nobody named: beside the working directory, and where our container
/// image has it.
const USUAL: [&str; 2] = ["aksentry.toml", "/etc/aksentry/aksentry.toml"];

/// The configuration whose archive is meant.
#[derive(Debug, Args)]
pub(super) struct Configured {
    /// Configuration of the service: its [archive] is what is read where nothing is named
    /// [default: ./aksentry.toml, else /etc/aksentry/aksentry.toml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Configured {
    /// The file that was named.
    pub fn named(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    /// The same, or the one in the usual place; `None` where there is neither.
    pub fn file(&self) -> Option<PathBuf> {
        let usual = || USUAL.iter().map(PathBuf::from).find(|path| path.is_file());
        self.config.clone().or_else(usual)
    }

    /// The archive of a configuration for a command that was given no paths, which is said.
    pub fn archive_of(file: &Path, quiet: bool) -> anyhow::Result<String> {
        let path = match archive(file)? {
            Location::Folder(folder) => folder.to_string_lossy().into_owned(),
            azure @ Location::Azure { .. } => azure.to_string(),
        };
        if !quiet {
            let text = format!("reading the archive {path}, as {} says", file.display());
            terminal::say(&terminal::safe(&text));
        }
        Ok(path)
    }
}

/// The tables of a file, unchecked.
pub(super) fn tables(path: &Path) -> anyhow::Result<toml::Table> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    text.parse().with_context(|| format!("reading {}", path.display()))
}

/// `[archive] url` of a file.
pub(super) fn archive(path: &Path) -> anyhow::Result<Location> {
    let tables = tables(path)?;
    let url = tables.get("archive").and_then(|archive| archive.get("url")).and_then(toml::Value::as_str);
    match url.filter(|url| !url.is_empty()) {
        Some(url) => Location::parse(url).with_context(|| format!("{}: [archive] url", path.display())),
        None => bail!("{} has no [archive]; name the archive, or what else is to be read", path.display()),
    }
}

/// Reads the file; every problem of it and of the environment.
pub(super) fn load(path: &Path) -> Result<Config, Vec<Problem>> {
    Config::load(path, &variable)
}

/// [`load`] for a command that goes on with it: problems are printed, all of them, and refused.
pub(super) fn open(path: &Path) -> anyhow::Result<Config> {
    let problems = match load(path) {
        Ok(config) => {
            config.warnings.iter().for_each(|warning| terminal::say(&warning.to_string()));
            return Ok(config);
        }
        Err(problems) => problems,
    };
    problems.iter().for_each(|problem| terminal::say(&problem.to_string()));
    match problems.len() {
        1 => bail!("{} cannot be used; fix the problem above", path.display()),
        n => bail!("{} cannot be used; fix the {n} problems above", path.display()),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the environment for the configuration"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// `[enrich] geoip` of a file.
pub(super) fn geoip(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let tables = tables(path)?;
    let paths = match tables.get("enrich").and_then(|enrich| enrich.get("geoip")) {
        Some(toml::Value::Array(several)) => several.iter().filter_map(toml::Value::as_str).collect(),
        one => one.and_then(toml::Value::as_str).into_iter().collect::<Vec<_>>(),
    };
    Ok(paths.into_iter().map(PathBuf::from).collect())
}
