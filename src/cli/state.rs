//! Which state folder a command is about.

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Args;

/// The folder that `[state] dir` of the service's configuration names.
#[derive(Debug, Args)]
pub(super) struct StateFolder {
    /// State folder of the service, as [state] dir in its configuration
    #[arg(long, value_name = "DIR", required = true)]
    state: PathBuf,
}

impl StateFolder {
    /// The folder; it must exist.
    pub fn find(&self) -> anyhow::Result<&Path> {
        let folder = self.state.as_path();
        if !folder.is_dir() {
            bail!("no state folder {}; give the one that [state] dir names", folder.display());
        }
        Ok(folder)
    }
}

/// A time as tables show it: seconds are enough to read, the data has the rest.
pub(super) fn seconds(time: &str) -> String {
    time.get(..19).unwrap_or(time).replace('T', " ")
}
