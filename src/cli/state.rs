//! Which state folder a command is about.

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Args;

use super::config;

/// Where a service keeps its state if its configuration does not say.
const DEFAULT: &str = "/var/lib/aksentry";

/// The folder that `[state] dir` of the service's configuration names.
#[derive(Debug, Args)]
pub(super) struct StateFolder {
    /// State folder of the service [default: /var/lib/aksentry]
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    state: Option<PathBuf>,
    /// Configuration of the service; its [state] dir is taken
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl StateFolder {
    /// The folder; it must exist.
    pub fn find(&self) -> anyhow::Result<PathBuf> {
        let folder = match (&self.state, &self.config) {
            (Some(folder), _) => folder.clone(),
            (None, Some(path)) => configured(path)?,
            (None, None) => PathBuf::from(DEFAULT),
        };
        if !folder.is_dir() {
            bail!("no state folder {}; name it with --state or --config", folder.display());
        }
        Ok(folder)
    }
}

/// `[state] dir` of a configuration, whatever else is wrong with it: an operator's shell has none of the
/// service's secrets.
fn configured(path: &Path) -> anyhow::Result<PathBuf> {
    let table = config::tables(path)?;
    let named = table.get("state").and_then(|state| state.get("dir")).and_then(toml::Value::as_str);
    Ok(PathBuf::from(named.unwrap_or(DEFAULT)))
}

/// A time as tables show it: seconds are enough to read, the data has the rest.
pub(super) fn seconds(time: &str) -> String {
    time.get(..19).unwrap_or(time).replace('T', " ")
}
