//! Asking a query: what `hunt` and `shell` share, from the question to the rows and what is said of them.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use arrow::record_batch::RecordBatch;
use clap::Args;

use super::args::{parse_size, parse_span};
use super::output::RowSink;
use super::progress::Bar;
use super::terminal::{safe, say};
use super::{Context, config, engine};
use crate::event::value::rfc3339;
use crate::hunt::{Account, Given, HuntError, Limits, Session};
use crate::pipeline::replay::Options;
use crate::rules::{Catalog, Diagnostic, Parameter, Queries, Query, closest};

/// What a query may use, as flags.
#[derive(Debug, Args)]
pub(super) struct Bounds {
    /// Memory a query may use, such as 512MB; sorting and grouping go to disk beyond it
    #[arg(long, value_name = "SIZE", default_value = "1GB", value_parser = parse_size)]
    memory: usize,
    /// End a query that runs longer, such as 60s or 10m
    #[arg(long, value_name = "SPAN", value_parser = parse_span)]
    timeout: Option<std::time::Duration>,
}

/// Less than this no query can do anything with.
const LEAST_MEMORY: usize = 16 << 20;

impl Bounds {
    /// `keep` bytes of decoded rows stay from one query to the next.
    pub fn limits(&self, keep: usize) -> anyhow::Result<Limits> {
        if self.memory < LEAST_MEMORY {
            bail!("--memory: a query needs at least {} MB", LEAST_MEMORY >> 20);
        }
        Ok(Limits { memory: self.memory, timeout: self.timeout, keep })
    }
}

/// `name=value` of `-p`.
pub(super) fn parse_parameter(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().trim_start_matches('$').to_string(), value.to_string()))
        }
        _ => Err(format!("\"{text}\" is no parameter; write name=value")),
    }
}

/// SQL that somebody wants to run.
#[derive(Debug)]
pub(super) struct Question {
    pub sql: String,
    /// What stands before line and column in a message about the SQL.
    pub shown: String,
    /// What a saved query declares; `None` for SQL as it is.
    pub params: Option<Vec<Parameter>>,
}

impl Question {
    /// SQL as it was typed.
    pub fn typed(sql: String) -> Self {
        Self { sql, shown: "SQL".into(), params: None }
    }

    fn saved(query: &Query) -> Self {
        let shown = query.path.display().to_string();
        Self { sql: query.sql.clone(), shown, params: Some(query.params.clone()) }
    }
}

/// What there is to ask with.
pub(super) struct Desk {
    pub catalog: Catalog,
    pub queries: Queries,
    problems: Vec<Diagnostic>,
}

impl Desk {
    /// Loads lists and queries. A detection or query that is wrong is no concern of another query.
    pub fn load(context: &Context) -> anyhow::Result<Self> {
        let (catalog, found) = engine::load(context)?;
        for problem in found.iter().filter(|p| p.path.extension().is_none_or(|e| e != "sql")) {
            say(&problem.to_string());
        }
        let (queries, problems) = engine::queries(context)?;
        Ok(Self { catalog, queries, problems })
    }

    /// Opens the databases of addresses that a configuration names, unless flags name others. One that cannot
    /// be read here is told of: its functions give nothing.
    pub fn enrich(&mut self, file: Option<&Path>, context: &Context) -> anyhow::Result<()> {
        if let Some(file) = file.filter(|_| context.global.geoip.is_empty()) {
            let problems = self.catalog.open_geoip(&config::geoip(file)?);
            problems.iter().for_each(|problem| say(&safe(&problem.to_string())));
        }
        Ok(())
    }

    /// The saved query or detection of this name, or the file.
    pub fn question(&self, name: &str) -> anyhow::Result<Question> {
        if let Some(query) = self.queries.get(name) {
            return Ok(Question::saved(query));
        }
        let broken = |p: &&Diagnostic| p.path.file_stem().is_some_and(|stem| stem == name);
        let broken: Vec<&Diagnostic> = self.problems.iter().filter(broken).collect();
        if !broken.is_empty() {
            engine::refuse(broken)?;
        }
        if let Some(rule) = self.catalog.detections.iter().find(|rule| rule.id == name) {
            let shown = rule.path.display().to_string();
            return Ok(Question { sql: rule.sql.clone(), shown, params: None });
        }
        let path = Path::new(name);
        let is_sql = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("sql"));
        if is_sql && path.is_file() {
            return file(path);
        }
        if path.exists() {
            bail!(
                "{name} is no query: a file of SQL ends with .sql; name a saved query (`aksentry hunt --list`) before it, or write SQL with -e"
            );
        }
        if is_sql || name.contains(std::path::MAIN_SEPARATOR) {
            bail!("cannot read {name}: no such file; check the path");
        }
        let rules = self.catalog.detections.iter().map(|rule| rule.id.as_str());
        let known = self.queries.all.iter().map(|query| query.id.as_str());
        match closest(name, known.chain(rules)) {
            Some(meant) => bail!("no query \"{name}\"; did you mean \"{meant}\"?"),
            None => bail!("no query \"{name}\"; `aksentry hunt --list` shows all, -e takes SQL"),
        }
    }
}

/// A file of SQL, with or without the header of a query.
fn file(path: &Path) -> anyhow::Result<Question> {
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(|| format!("reading the query {shown}"))?;
    let first = text.trim_start_matches('\u{feff}').lines().find(|line| !line.trim().is_empty());
    if first.is_none_or(|line| !line.split_whitespace().eq(["--", "///", "query"])) {
        return Ok(Question { sql: text, shown, params: None });
    }
    let id = path.file_stem().unwrap_or_default().to_string_lossy();
    let query = Query::parse(path, &id, &text).map_err(|problems| match engine::refuse(&problems) {
        Err(error) => error,
        Ok(()) => anyhow::anyhow!("{shown} cannot be used"),
    })?;
    Ok(Question::saved(&query))
}

/// How a question ended, if not with an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Rows(u64),
    Stopped,
}

/// A session with its bar.
pub(super) struct Asking {
    pub session: Session,
    bar: Arc<Bar>,
    told: Account,
}

impl Asking {
    pub fn open(desk: &Desk, options: Options, limits: Limits, context: &Context) -> anyhow::Result<Self> {
        let bar = Arc::new(Bar::new(0, context.terminal.progress));
        let session = Session::open(&desk.catalog, options, limits, bar.clone())?;
        Ok(Self { session, bar, told: Account::default() })
    }

    /// Asks and writes the rows to `sink`; Ctrl-C stops the query.
    pub fn ask(
        &mut self,
        question: &Question,
        given: &Given,
        sink: &mut dyn RowSink,
        context: &Context,
    ) -> anyhow::Result<Answer> {
        let prepared = self
            .session
            .prepare(&question.sql, question.params.as_deref(), given, super::now())
            .map_err(|errors| refused(question, errors))?;
        sink.begin(prepared.explain);
        self.bar.begin(prepared.to_read);
        let stop = async {
            // Where the signal cannot be heard the query goes on.
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let covers = context.terminal.stdout_is_terminal;
        let outcome = self.session.run(prepared, stop, &mut |batch: &RecordBatch| {
            if covers && batch.num_rows() > 0 {
                self.bar.clear();
            }
            sink.write(batch)
        });
        self.bar.clear();
        let answer = match outcome {
            Ok(()) => Answer::Rows(sink.finish()?),
            Err(HuntError::Stopped) => {
                sink.stop()?;
                Answer::Stopped
            }
            Err(HuntError::Rows(error)) => return Err(error),
            Err(error) => {
                // What was already shown stays readable.
                sink.stop()?;
                return Err(error.into());
            }
        };
        Ok(answer)
    }

    /// Tells of files that could not be read, once each, and whether the rows may be incomplete.
    /// Those that are not wholly read are told even to those who want no summary: the answer lacks their rows.
    pub fn tell(&mut self, quiet: bool) -> Option<String> {
        let account = self.session.account();
        for (path, status) in &account.files {
            if self.told.files.get(path) != Some(status) && (!quiet || status.is_lost()) {
                say(&safe(&format!("{}: {status}", path.display())));
            }
        }
        if quiet {
            self.told = account;
            return None;
        }
        if let (0, Some((first, last))) = (account.in_range, account.times)
            && self.told.times != account.times
        {
            let time = |micros| rfc3339(micros).unwrap_or_default();
            let range = &self.session.options().range;
            let cluster =
                range.cluster.as_ref().map(|name| format!(" of cluster {name}")).unwrap_or_default();
            say(&safe(&format!(
                "no row{cluster} is in range: the files hold {} to {}; see --since, --until and --cluster",
                time(first),
                time(last)
            )));
        }
        let incomplete = (!account.is_complete()).then(|| incomplete(&account));
        self.told = account;
        incomplete
    }
}

/// Why the account is incomplete.
fn incomplete(account: &Account) -> String {
    let count = account.files.values().filter(|status| status.is_lost()).count();
    let mut reasons = Vec::new();
    if count > 0 {
        reasons.push(format!("{count} file{} not fully read", if count == 1 { "" } else { "s" }));
    }
    if account.rejected > 0 {
        let s = if account.rejected == 1 { "" } else { "s" };
        reasons.push(format!("{} record{s} that cannot be decoded", account.rejected));
    }
    format!("the account is incomplete: {}", reasons.join(", "))
}

/// All that is wrong with a statement as one error; several are printed line by line.
fn refused(question: &Question, errors: Vec<HuntError>) -> anyhow::Error {
    let line = |error: &HuntError| match error {
        HuntError::Sql(_) => safe(&format!("{}:{error}", question.shown)),
        other => safe(&other.to_string()),
    };
    match errors.as_slice() {
        [only] => anyhow::anyhow!("{}", line(only)),
        several => {
            several.iter().for_each(|error| say(&line(error)));
            anyhow::anyhow!("the query cannot run; fix the {} problems above", several.len())
        }
    }
}
