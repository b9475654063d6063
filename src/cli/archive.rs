//! `aksentry archive info|compact`: what the archive holds and lacks, and few files out of many.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::config::Configured;
use super::output::{Cell, Column, Printer, Table, stdout};
use super::terminal::{Tint, safe, say};
use super::{Context, Exit, config, engine};
use crate::alert::Object;
use crate::archive;
use crate::archive::compact::{Merged, Plan};
use crate::archive::info::{Account, Ledger};
use crate::event::figures::{bytes, number};
use crate::event::value::rfc3339;
use crate::event::{DAY, cluster_name};
use crate::rules::parse_duration;
use crate::source::files::Inputs;
use crate::store::{Environment, Location, Store, wait};

#[derive(Debug, Args)]
#[command(disable_help_subcommand = true)]
pub(super) struct Archive {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What the archive holds and what is missing from it, by hour
    Info(Info),
    /// Make few files of many small ones, and delete days past their retention
    Compact(Compact),
}

/// Which archive.
#[derive(Debug, Args)]
struct Which {
    /// The archive: az://CONTAINER/PREFIX, file:///FOLDER or a folder
    #[arg(value_name = "URL", conflicts_with = "config")]
    url: Option<String>,
    #[command(flatten)]
    configured: Configured,
}

#[derive(Debug, Args)]
struct Info {
    #[command(flatten)]
    which: Which,
    /// One line for each of these
    #[arg(long, value_enum, default_value_t = By::Hour)]
    by: By,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    Hour,
    Day,
    Cluster,
}

#[derive(Debug, Args)]
struct Compact {
    #[command(flatten)]
    which: Which,
    /// Delete days that ended longer ago, such as 400d [default: as configured, else none]
    #[arg(long, value_name = "SPAN")]
    retention: Option<String>,
    /// Say what would be done and do nothing
    #[arg(long)]
    dry_run: bool,
}

impl Archive {
    pub fn run(self, context: &Context) -> anyhow::Result<Exit> {
        match self.command {
            Command::Info(command) => command.run(context),
            Command::Compact(command) => command.run(context),
        }
    }
}

impl Which {
    /// The location, which must be there; the configuration it is of, where that was asked.
    fn find(&self) -> anyhow::Result<(Location, Option<PathBuf>)> {
        let (location, file) = match &self.url {
            Some(url) if url.contains("://") => (Location::parse(url)?, None),
            Some(folder) => {
                let path = std::path::absolute(folder).with_context(|| format!("cannot use {folder}"))?;
                (Location::Folder(path), None)
            }
            None => match self.configured.file() {
                Some(file) => (config::archive(&file)?, Some(file)),
                None => bail!("name the archive, or a configuration with --config"),
            },
        };
        if let Location::Folder(folder) = &location
            && !folder.is_dir()
        {
            bail!("cannot read {}: no such folder; check the path", folder.display());
        }
        Ok((location, file))
    }
}

impl Info {
    fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let format = context.format()?;
        let (location, _) = self.which.find()?;
        let path = match &location {
            Location::Folder(folder) => folder.to_string_lossy().into_owned(),
            azure @ Location::Azure { .. } => azure.to_string(),
        };
        let inputs = Inputs::resolve_anywhere(&[path], &Environment::read())?;
        let (ledger, others) = engine::ledger(&inputs);
        let mut titles = match self.by {
            By::Hour => vec![Column::text("hour"), Column::text("cluster")],
            By::Day => vec![Column::text("day"), Column::text("cluster")],
            By::Cluster => vec![Column::text("cluster")],
        };
        let numbers = ["events", "control plane", "cut", "rejected", "gap hours", "files", "bytes"];
        titles.extend(numbers.map(Column::number));
        titles.extend([Column::text("first"), Column::text("last")]);
        let fields = [
            "cluster",
            "hour",
            "day",
            "events",
            "control_plane",
            "cut",
            "rejected",
            "hours",
            "gap_hours",
            "files",
            "bytes",
            "first",
            "last",
        ];
        let fields = fields.into_iter().filter(|name| match self.by {
            By::Hour => *name != "day",
            By::Day => *name != "hour",
            By::Cluster => !matches!(*name, "hour" | "day"),
        });
        let table = Table::new(titles, context.terminal.stdout);
        let mut printer = Printer::new(stdout(), format, table, fields.map(str::to_owned).collect());
        let step = if self.by == By::Day { DAY } else { 1 };
        let key = |(cluster, hour): &(Option<String>, Option<i64>)| {
            let time = hour.filter(|_| self.by != By::Cluster).map(|hour| hour.div_euclid(step) * step);
            (time, cluster.clone())
        };
        for ((time, cluster), account) in ledger.sums(key) {
            let item = item(self.by, time, cluster.as_deref(), &account);
            printer
                .item(&item, || cells(self.by, time, cluster.as_deref(), &account))
                .context("writing to standard output")?;
        }
        printer.finish().context("writing to standard output")?;
        ledger.damaged.iter().for_each(|file| say(&safe(&format!("warning: not counted: {file}"))));
        if !context.terminal.quiet {
            summary(&ledger, others);
        }
        Ok(Exit::Done)
    }
}

fn item(by: By, time: Option<i64>, cluster: Option<&str>, account: &Account) -> Object {
    let text = time.and_then(rfc3339);
    let (name, time) = match by {
        By::Hour => ("hour", json!(text)),
        By::Day => ("day", json!(text.and_then(|text| text.get(..10).map(str::to_owned)))),
        By::Cluster => ("", Value::Null),
    };
    let pairs = [
        ("cluster", json!(cluster)),
        (name, time),
        ("events", json!(account.events)),
        ("control_plane", json!(account.control_plane)),
        ("cut", json!(account.cut)),
        ("rejected", json!(account.rejected)),
        ("hours", json!(account.hours)),
        ("gap_hours", json!(account.gaps)),
        ("files", json!(account.files)),
        ("bytes", json!(account.bytes)),
        ("first", json!(account.first.and_then(rfc3339))),
        ("last", json!(account.last.and_then(rfc3339))),
    ];
    let pairs = pairs.into_iter().filter(|(name, _)| !name.is_empty());
    pairs.map(|(name, value)| (name.to_owned(), value)).collect()
}

fn cells(by: By, time: Option<i64>, cluster: Option<&str>, account: &Account) -> Vec<Cell> {
    let text = |time: Option<i64>, length: usize| {
        let text = time.and_then(rfc3339).unwrap_or_default();
        Cell::new(text.get(..length).unwrap_or(&text).replace('T', " "))
    };
    let none = |n: u64| if n == 0 { String::new() } else { number(n) };
    let odd = |n: u64, tint: Tint| if n == 0 { Cell::new("") } else { Cell::tinted(number(n), tint) };
    let mut cells = match by {
        By::Hour => vec![text(time, 16)],
        By::Day => vec![text(time, 10)],
        By::Cluster => Vec::new(),
    };
    cells.extend([
        Cell::new(cluster.map(cluster_name).unwrap_or("(none)")),
        Cell::new(none(account.events)),
        Cell::new(none(account.control_plane)),
        odd(account.cut, Tint::Medium),
        odd(account.rejected.values().sum(), Tint::Medium),
        odd(account.gaps, Tint::High),
        Cell::new(number(account.files)),
        Cell::new(bytes(account.bytes)),
        text(account.first, 19),
        text(account.last, 19),
    ]);
    cells
}

fn summary(ledger: &Ledger, others: u64) {
    let mut all = Account::default();
    for (cluster, account) in ledger.clusters() {
        all.add(&account);
        let Some(cluster) = cluster else { continue };
        let time = |time: Option<i64>| time.and_then(rfc3339).unwrap_or_else(|| "?".to_owned());
        let gaps = if account.gaps > 0 {
            format!(", {} without events", number(account.gaps))
        } else {
            String::new()
        };
        let (first, last) = (time(account.first), time(account.last));
        say(&safe(&format!(
            "{}  {first} to {last}, {} hours{gaps}",
            cluster_name(cluster),
            number(account.hours)
        )));
    }
    if all.files == 0 {
        say("nothing of an archive was found here; is this the right place?");
    } else {
        let rejected: u64 = all.rejected.values().sum();
        say(&format!(
            "{} files, {}: {} events ({} cut), {} of the control plane; {} records were rejected",
            number(all.files),
            bytes(all.bytes),
            number(all.events),
            number(all.cut),
            number(all.control_plane),
            number(rejected)
        ));
    }
    if others > 0 {
        say(&format!("{} other files here are not the archive's", number(others)));
    }
}

impl Compact {
    fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let format = context.format()?;
        let (location, file) = self.which.find()?;
        // Before anything is deleted the whole configuration must be right.
        let configured = file.map(|file| config::open(&file)).transpose()?.and_then(|config| config.archive);
        let retention = match &self.retention {
            Some(text) => {
                let span = parse_duration(text).map_err(|e| anyhow!("--retention {text}: {e}"))?;
                Some(span.to_std().with_context(|| format!("--retention {text}"))?)
            }
            None => configured.and_then(|archive| archive.retention),
        };
        let store = Store::open(&location, &Environment::read())?;
        let spool = tempfile::Builder::new().prefix("aksentry-compact-").tempdir();
        let spool =
            spool.context("making a folder for merged files; set TMPDIR to one that can be written")?;
        let gone = retention.map(|retention| self.expire(&store, retention, context)).transpose()?;

        let mut columns = vec![Column::text("folder")];
        columns.extend(["files", "into", "rows", "copies", "bytes", "bytes after"].map(Column::number));
        let fields =
            ["folder", "files", "into", "rows", "copies", "bytes", "bytes_after", "leftovers", "dry_run"];
        let table = Table::new(columns, context.terminal.stdout);
        let mut printer = Printer::new(stdout(), format, table, fields.map(str::to_owned).to_vec());
        let mut all = Merged::default();
        let mut written = Ok(());
        let mut each = |merged: Merged| {
            all.files += merged.files;
            all.into += merged.into;
            all.bytes += merged.bytes;
            all.leftovers += merged.leftovers;
            *all.bytes_after.get_or_insert_default() += merged.bytes_after.unwrap_or_default();
            merged.damaged.iter().for_each(|file| say(&safe(&format!("warning: left alone: {file}"))));
            if written.is_ok() && (merged.files > 0 || merged.leftovers > 0) {
                written = printer.item(&self.item(&merged), || row(&merged));
            }
            Ok(())
        };
        let plan = Plan {
            now: context.now.timestamp_micros(),
            settle: archive::compact::SETTLE,
            dry_run: self.dry_run,
        };
        archive::compact::compact(&store, spool.path(), plan, &mut each)?;
        written.context("writing to standard output")?;
        printer.finish().context("writing to standard output")?;
        if !context.terminal.quiet {
            self.summary(&all, gone);
        }
        Ok(Exit::Done)
    }

    fn expire(
        &self,
        store: &Store,
        retention: Duration,
        context: &Context,
    ) -> anyhow::Result<archive::Expired> {
        let retention = i64::try_from(retention.as_micros()).unwrap_or(i64::MAX);
        let before = context.now.timestamp_micros().saturating_sub(retention);
        let swept = async {
            Ok(match self.dry_run {
                true => archive::expiring(store, before).await,
                false => archive::expire(store, before).await,
            })
        };
        Ok(wait(swept)??)
    }

    fn item(&self, merged: &Merged) -> Object {
        let pairs = [
            ("folder", json!(merged.folder)),
            ("files", json!(merged.files)),
            ("into", json!(merged.into)),
            ("rows", json!(merged.rows)),
            ("copies", json!(merged.copies)),
            ("bytes", json!(merged.bytes)),
            ("bytes_after", json!(merged.bytes_after)),
            ("leftovers", json!(merged.leftovers)),
            ("dry_run", json!(self.dry_run)),
        ];
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    fn summary(&self, all: &Merged, gone: Option<archive::Expired>) {
        let would = if self.dry_run { "would be " } else { "" };
        match all.bytes_after.filter(|_| !self.dry_run) {
            _ if all.files == 0 => say("no hour has several small files"),
            Some(after) => say(&format!(
                "{} files ({}) merged into {} ({})",
                number(all.files),
                bytes(all.bytes),
                number(all.into),
                bytes(after)
            )),
            None => say(&format!(
                "{} files ({}) would be merged into {}",
                number(all.files),
                bytes(all.bytes),
                number(all.into)
            )),
        }
        if all.leftovers > 0 {
            say(&format!("{} files that an earlier merge replaced {would}taken away", number(all.leftovers)));
        }
        if let Some(gone) = gone {
            say(&format!(
                "{} files ({}) past their retention {would}deleted",
                number(gone.files),
                bytes(gone.bytes)
            ));
        }
    }
}

fn row(merged: &Merged) -> Vec<Cell> {
    let known = |n: Option<u64>| n.map(number).unwrap_or_default();
    vec![
        Cell::new(&merged.folder),
        Cell::new(number(merged.files)),
        Cell::new(number(merged.into)),
        Cell::new(known(merged.rows)),
        Cell::new(known(merged.copies)),
        Cell::new(bytes(merged.bytes)),
        Cell::new(merged.bytes_after.map(bytes).unwrap_or_default()),
    ]
}
