//! The configuration: one TOML file and the environment, checked as a whole.
//!
//! Composes what each component wants to know into that component's own type. Every problem is found
//! in one go and says where it is and what to do. Secrets come from the environment only and are
//! shown by nothing. Reads the file and nothing else: whether a hub or a store answers is for
//! `aksentry check --online`. The keys are listed in [`keys`].

mod address;
mod auth;
mod detect;
pub mod keys;
mod reader;
mod sinks;
mod source;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use toml::de::DeTable;

pub use address::{ACCOUNT as STORAGE_ACCOUNT, ENDPOINT as STORAGE_ENDPOINT};
pub use detect::{Detect, Named, Rules};

use crate::alert::Severity;
use crate::rules::Catalog;
use crate::rules::Diagnostic;
use crate::sink;
use crate::source::eventhubs;
use crate::store::Location;
use crate::telemetry::log;
use reader::{Document, Table};

/// One thing that is wrong with the configuration, at its place in the file.
pub type Problem = Diagnostic;

/// Everything the service is told.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file, as messages show it.
    pub path: PathBuf,
    pub source: Source,
    pub checkpoint: Location,
    pub archive: Option<Archive>,
    /// Folder for what must outlive a restart.
    pub state: PathBuf,
    pub outbox: Outbox,
    pub detect: Detect,
    /// Databases of addresses, in the order they are asked.
    pub geoip: Vec<PathBuf>,
    pub sinks: Vec<SinkConfig>,
    pub telemetry: Telemetry,
    /// What is allowed and probably not meant.
    pub warnings: Vec<Problem>,
}

/// Where messages come from.
#[derive(Debug, Clone)]
pub enum Source {
    EventHubs(Box<eventhubs::Config>),
    Files { paths: Vec<String>, follow: bool },
}

/// Where rows are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    pub location: Location,
    /// Days older than this are removed; `None` keeps everything.
    pub retention: Option<Duration>,
    /// How long rows are collected before a file is finished.
    pub roll: Duration,
}

/// Alerts on disk until they are delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outbox {
    /// Bytes on disk.
    pub max: u64,
}

/// One sink.
#[derive(Debug, Clone)]
pub struct SinkConfig {
    /// Unique.
    pub name: String,
    /// Alerts below it are not sent here.
    pub min_severity: Severity,
    pub kind: sink::Config,
}

/// Metrics, health and logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Telemetry {
    pub listen: SocketAddr,
    /// A filter as [`log::init`] takes it.
    pub log: String,
}

const STATE: &str = "/var/lib/aksentry";
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9464);

impl Config {
    /// Reads a file; `environment` gives the value of a variable.
    pub fn load(path: &Path, environment: &dyn Fn(&str) -> Option<String>) -> Result<Config, Vec<Problem>> {
        let bytes = std::fs::read(path).map_err(|error| {
            let message =
                format!("cannot read the configuration: {error}; check the path and who may read it");
            vec![Problem::error(path, (1, 1), message)]
        })?;
        let text = String::from_utf8(bytes).map_err(|_| {
            vec![Problem::error(path, (1, 1), "the configuration is not UTF-8 text; save it as such")]
        })?;
        Self::parse(path, &text, environment)
    }

    /// [`Config::load`] of a text; `path` is what messages show.
    pub fn parse(
        path: &Path,
        text: &str,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Config, Vec<Problem>> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let (table, syntax) = DeTable::parse_recoverable(text);
        let doc = Document::new(path, text, environment);
        let root = Table::new(&doc, table.get_ref(), &[""], "the configuration", (1, 1)).known();
        let state = state(&root);
        let mut config = Config {
            path: path.to_path_buf(),
            source: source::read(&root),
            checkpoint: checkpoint(&root).unwrap_or_else(|| Location::Folder(state.join("checkpoints"))),
            archive: archive(&root),
            state,
            outbox: outbox(&root),
            detect: detect::read(&root),
            geoip: geoip(&root),
            sinks: sinks::read(&root),
            telemetry: telemetry(&root),
            warnings: Vec::new(),
        };
        if !root.has("sink") {
            let message = "no [[sink]]: alerts are counted and go nowhere; add one, such as [[sink]] with type = \"file\" and path = \"-\"";
            config.warnings.push(Problem::warning(path, (1, 1), message));
        }
        let problems = doc.finish(syntax);
        if problems.is_empty() { Ok(config) } else { Err(problems) }
    }

    /// Problems of the ids under `[detect] rules`: those that no rule of the catalogue has.
    pub fn check_rules(&self, catalog: &Catalog) -> Vec<Problem> {
        let ids: Vec<&str> = catalog.detections.iter().map(|rule| rule.id.as_str()).collect();
        let unknown = self.detect.rules.unknown(&ids);
        unknown.into_iter().map(|(place, message)| Problem::error(&self.path, place, message)).collect()
    }
}

fn state(root: &Table) -> PathBuf {
    let table = root.table("state", &["state"], "[state]");
    let dir = table.and_then(|table| table.text("dir"));
    dir.map_or(STATE, |dir| dir.text).into()
}

/// `None` is the folder inside the state folder.
fn checkpoint(root: &Table) -> Option<Location> {
    let table = root.table("checkpoint", &["checkpoint"], "[checkpoint]")?;
    address::location(table.doc, table.text("url")?)
}

fn archive(root: &Table) -> Option<Archive> {
    let table = root.table("archive", &["archive"], "[archive]")?;
    let retention = table.duration("retention", "1d", "36500d");
    let roll = table.duration("roll", "1s", "1h").unwrap_or(Duration::from_secs(60));
    let url = table.required("url");
    if url.text.is_empty() {
        return None;
    }
    Some(Archive { location: address::location(table.doc, url)?, retention, roll })
}

fn outbox(root: &Table) -> Outbox {
    let table = root.table("outbox", &["outbox"], "[outbox]");
    Outbox { max: table.and_then(|table| table.size("max", "1MB", "1024GB")).unwrap_or(1 << 30) }
}

fn geoip(root: &Table) -> Vec<PathBuf> {
    let Some(table) = root.table("enrich", &["enrich"], "[enrich]") else { return Vec::new() };
    let mut paths: Vec<PathBuf> = Vec::new();
    for path in table.one_or_more("geoip", "the path of a MaxMind database, or a list of them") {
        if paths.iter().any(|earlier| earlier == Path::new(path.text)) {
            table.doc.problem(path.place, format!("\"{}\" stands twice in geoip; remove one", path.text));
        } else {
            paths.push(path.text.into());
        }
    }
    paths
}

fn telemetry(root: &Table) -> Telemetry {
    let mut telemetry = Telemetry { listen: LISTEN, log: "info".to_owned() };
    let Some(table) = root.table("telemetry", &["telemetry"], "[telemetry]") else { return telemetry };
    if let Some(text) = table.text("listen") {
        match text.text.parse() {
            Ok(address) => telemetry.listen = address,
            Err(_) => table.wrong("listen", text.place, "an IP address and a port"),
        }
    }
    if let Some(text) = table.text("log") {
        match log::check(text.text) {
            Ok(()) => telemetry.log = text.text.to_owned(),
            Err(message) => table.doc.problem(text.place, format!("log: {message}")),
        }
    }
    telemetry
}
