//! The configuration of a command that wants one, with the environment of this process.

use std::path::Path;

use anyhow::bail;

use super::terminal;
use crate::config::{Config, Problem};

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
