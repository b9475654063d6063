//! Arguments that several commands share: which files, which time, which cluster.

use std::num::NonZero;

use anyhow::{Context as _, bail};
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use clap::Args;

use crate::pipeline::Range;
use crate::pipeline::replay::Options;
use crate::rules::parse_duration;
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
            let parse = |text: &String| parse_time(text, now).with_context(|| format!("{flag} {text}"));
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
        let mut inputs = Inputs::resolve_anywhere(paths, &Environment::read())?;
        range.prune(&mut inputs);
        Ok(Options { inputs, range, threads })
    }
}

/// Microseconds since the epoch of RFC 3339, a date (its midnight, UTC) or a span back from `now`.
pub(super) fn parse_time(text: &str, now: DateTime<Utc>) -> anyhow::Result<i64> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.timestamp_micros());
    }
    if let Ok(date) = text.parse::<NaiveDate>() {
        return Ok(date.and_time(NaiveTime::MIN).and_utc().timestamp_micros());
    }
    if let Ok(span) = parse_duration(text) {
        let time = now.checked_sub_signed(span).context("this is before any calendar")?;
        return Ok(time.timestamp_micros());
    }
    bail!("not a time; write 2026-01-31T08:00:00Z, 2026-01-31, or a span such as 24h or 7d")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_their_three_forms() {
        let now = DateTime::parse_from_rfc3339("2026-03-01T12:00:00Z").unwrap().to_utc();
        let time = |text: &str| crate::event::value::rfc3339(parse_time(text, now).unwrap()).unwrap();
        assert_eq!(time("2026-01-31T08:00:00+02:00"), "2026-01-31T06:00:00Z");
        assert_eq!(time("2026-01-31"), "2026-01-31T00:00:00Z");
        assert_eq!(time("24h"), "2026-02-28T12:00:00Z");
        for wrong in ["", "yesterday", "2026-13-01", "24", "999999999999999d", "-1h"] {
            assert!(parse_time(wrong, now).is_err(), "{wrong}");
        }
    }
}
