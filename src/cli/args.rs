//! Arguments that several commands share: which files, which time, which cluster.

use std::num::NonZero;

use anyhow::bail;
use chrono::{DateTime, Utc};
use clap::Args;

use crate::pipeline::Range;
use crate::pipeline::replay::Options;
use crate::rules::{parse_duration, parse_time};
use crate::source::files::Inputs;
use crate::store::Environment;

/// More threads than this is a slip of the finger.
const MAX_THREADS: usize = 256;

/// What part of which input is read.
#[derive(Debug, Args)]
pub(super) struct Selection {
    /// Only rows from this time on: RFC 3339, a date, or a span back from now such as 24h
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Only rows before this time: RFC 3339, a date, or a span back from now such as 1h
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Only rows of this cluster: its name, or its whole resource id
    #[arg(long, value_name = "NAME")]
    pub cluster: Option<String>,
    /// Threads to use [default: one per core]
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
}

impl Selection {
    /// Finds the files and checks the rest.
    pub fn options(&self, paths: &[String], now: DateTime<Utc>) -> anyhow::Result<Options> {
        let time = |flag: &str, text: &Option<String>| {
            let parse = |text: &String| {
                parse_time(text, now).map_err(|error| anyhow::anyhow!("{flag} {text}: {error}"))
            };
            text.as_ref().map(parse).transpose()
        };
        let (since, until) = (time("--since", &self.since)?, time("--until", &self.until)?);
        if let (Some(from), Some(to)) = (since, until)
            && from >= to
        {
            bail!("--since must be before --until; as given no time is between them");
        }
        let threads = match self.threads {
            Some(n) if (1..=MAX_THREADS).contains(&n) => n,
            Some(n) => bail!("--threads {n}: give a number from 1 to {MAX_THREADS}"),
            None => std::thread::available_parallelism().map_or(1, NonZero::get).min(MAX_THREADS),
        };
        let range = Range { since, until, cluster: self.cluster.clone() };
        let selection = range.selection();
        let wanted = |path: &str| selection.may_hold_below(path);
        let mut inputs = Inputs::resolve_wanted(paths, &Environment::read(), &wanted)?;
        range.prune(&mut inputs);
        Ok(Options { inputs, range, threads })
    }
}

/// Bytes as people write them: `512MB`, `2GB`, `64K`, a plain number. Units are powers of 1024.
pub(super) fn parse_size(text: &str) -> Result<usize, String> {
    let error = || format!("\"{text}\" is no size; write one such as 512MB or 2GB");
    let upper = text.trim().to_uppercase();
    let digits = upper.trim_end_matches(|c: char| c.is_ascii_alphabetic()).trim_end();
    let shift = match upper.get(digits.len()..).unwrap_or_default().trim() {
        "" | "B" => 0,
        "K" | "KB" | "KIB" => 10,
        "M" | "MB" | "MIB" => 20,
        "G" | "GB" | "GIB" => 30,
        _ => return Err(error()),
    };
    let number: usize = digits.parse().map_err(|_| error())?;
    number.checked_mul(1 << shift).ok_or_else(error)
}

/// A span of time as a flag.
pub(super) fn parse_span(text: &str) -> Result<std::time::Duration, String> {
    parse_duration(text)?.to_std().map_err(|_| format!("\"{text}\" is no span of time"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [("512MB", 512 << 20), ("2 gib", 2 << 30), ("64k", 64 << 10), ("7", 7)] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "MB", "1.5GB", "-1", "1TB5", "99999999999999GB"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }
}
