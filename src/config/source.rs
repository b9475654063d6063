//! `[source]`: exactly one of `[source.eventhubs]` and `[source.files]`.

use chrono::DateTime;
use chrono::NaiveDate;
use chrono::NaiveTime;
use std::time::Duration;

use super::Source;
use super::address::{self, Wanted};
use super::auth::{self, For};
use super::reader::Table;
use crate::identity::Auth;
use crate::source::eventhubs::Config;
use crate::source::eventhubs::Start;
use crate::source::eventhubs::Timing;
use crate::source::eventhubs::Transport;

const NOWHERE: Source = Source::Files { paths: Vec::new(), follow: false };

/// The source; a placeholder beside a problem.
pub(super) fn read(root: &Table) -> Source {
    let advice = "add [source.eventhubs] with namespace and hub, or [source.files] with paths";
    if !root.has("source") {
        root.doc.problem((1, 1), format!("no source to read from; {advice}"));
        return NOWHERE;
    }
    let Some(source) = root.table("source", &["source"], "[source]") else { return NOWHERE };
    let hub = source.table("eventhubs", &["source.eventhubs"], "[source.eventhubs]");
    let files = source.table("files", &["source.files"], "[source.files]");
    match (&hub, &files) {
        (Some(hub), Some(files)) => {
            let later = hub.place.max(files.place);
            source.doc.problem(later, "two sources; keep one of [source.eventhubs] and [source.files]");
        }
        (None, None) if source.entries().next().is_none() => {
            source.doc.problem(source.place, format!("[source] is empty; {advice}"));
        }
        _ => {}
    }
    let files = files.map(|table| files_of(&table));
    hub.map(|table| Source::EventHubs(Box::new(hub_of(&table)))).or(files).unwrap_or(NOWHERE)
}

fn files_of(table: &Table) -> Source {
    let paths = table.required_texts("paths", "a list of files, folders or globs");
    Source::Files {
        paths: paths.iter().map(|path| path.text.to_owned()).collect(),
        follow: table.flag("follow").unwrap_or(false),
    }
}

fn hub_of(table: &Table) -> Config {
    let transport = table
        .one_of("transport", &[("tcp", Transport::Tcp), ("websocket", Transport::WebSocket)])
        .unwrap_or_default();
    let auth = auth::read(table, For::EventHubs);
    let endpoint = endpoint(table, transport);
    let namespace = namespace(table, &auth, endpoint.is_some());
    let group = table.text("consumer_group").map_or("$Default", |group| group.text);
    Config {
        hub: hub(table, &auth),
        namespace,
        consumer_group: group.to_owned(),
        start: start(table),
        endpoint,
        transport,
        auth,
        replica: replica(table),
        prefetch_bytes: table
            .size("prefetch", "1MB", "4GB")
            .and_then(|bytes| usize::try_from(bytes).ok())
            .unwrap_or(32 << 20),
        lease: table.duration("lease", "2s", "10m").unwrap_or(Duration::from_secs(30)),
        timing: Timing::default(),
    }
}

/// A value such as `EntityPath` of a connection string.
fn part<'a>(auth: &'a Auth, name: &str) -> Option<&'a str> {
    let Auth::ConnectionString(secret) = auth else { return None };
    let parts = secret.expose().split(';').filter_map(|part| part.split_once('='));
    parts.filter(|(key, _)| key.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
}

/// The host of a connection string's `Endpoint=sb://HOST/`.
fn host(auth: &Auth) -> Option<&str> {
    let address = part(auth, "Endpoint")?;
    let host = address.split_once("://").map_or(address, |(_, host)| host);
    host.split(['/', ':']).next().filter(|host| !host.is_empty())
}

fn namespace(table: &Table, auth: &Auth, has_endpoint: bool) -> String {
    let from_string = host(auth);
    if let Auth::ConnectionString(secret) = auth
        && !secret.expose().is_empty()
        && (from_string.is_none()
            || part(auth, "SharedAccessKey").or_else(|| part(auth, "SharedAccessSignature")).is_none())
    {
        table.doc.problem(
            table.place_of("auth"),
            "the variable that auth names holds no connection string of Event Hubs; those look like Endpoint=sb://NAMESPACE/;SharedAccessKeyName=…;SharedAccessKey=…",
        );
    }
    if !table.has("namespace")
        && let Some(host) = from_string
    {
        return host.to_owned();
    }
    if !table.has("namespace") && matches!(auth, Auth::ConnectionString(_)) {
        return String::new();
    }
    let namespace = table.required("namespace");
    let text = namespace.text;
    let bare = text.split_once("://").map_or(text, |(_, rest)| rest).trim_end_matches('/');
    let bare = bare.split([':', '/']).next().unwrap_or_default();
    if text.is_empty() {
    } else if bare != text {
        table.doc.problem(
            namespace.place,
            format!("namespace must be a host name alone; write namespace = \"{bare}\""),
        );
    } else if !text.contains('.') && !has_endpoint && !address::is_loopback(text) {
        table.doc.problem(
            namespace.place,
            format!("namespace \"{text}\" is no full host name; write namespace = \"{text}.servicebus.windows.net\""),
        );
    } else if text.contains(|c: char| !(c.is_ascii_alphanumeric() || ".-".contains(c))) {
        table.wrong("namespace", namespace.place, "a host name");
    } else if let Some(host) = from_string
        && !has_endpoint
        && !host.eq_ignore_ascii_case(text)
    {
        table.doc.problem(
            namespace.place,
            format!("namespace is \"{text}\", the connection string is for \"{host}\"; correct one, or leave namespace out"),
        );
    }
    text.to_owned()
}

fn hub(table: &Table, auth: &Auth) -> String {
    let entity = part(auth, "EntityPath");
    if let (false, Some(entity)) = (table.has("hub"), entity) {
        return entity.to_owned();
    }
    let hub = table.required("hub");
    if let Some(entity) = entity
        && !hub.text.is_empty()
        && entity != hub.text
    {
        table.doc.problem(
            hub.place,
            format!("hub is \"{}\", the connection string is for \"{entity}\"; use a connection string of this hub or of its namespace", hub.text),
        );
    }
    hub.text.to_owned()
}

fn endpoint(table: &Table, transport: Transport) -> Option<String> {
    let text = table.text("endpoint")?;
    let wanted = match transport {
        Transport::Tcp => {
            Wanted { name: "endpoint", secure: &["amqps"], plain: &["amqp"], shown: true, path: false }
        }
        Transport::WebSocket => {
            Wanted { name: "endpoint", secure: &["wss"], plain: &["ws"], shown: true, path: true }
        }
    };
    address::parse(table.doc, text.text, text.place, &wanted)?;
    Some(text.text.to_owned())
}

fn start(table: &Table) -> Start {
    // TOML has times of its own, without quotes.
    let unquoted =
        table.get("start").and_then(|value| value.get_ref().as_datetime()).map(ToString::to_string);
    let (text, place) = match unquoted {
        Some(text) => (text, table.place_of("start")),
        None => match table.text("start") {
            Some(text) => (text.text.to_owned(), text.place),
            None => return Start::Earliest,
        },
    };
    match text.as_str() {
        "earliest" => return Start::Earliest,
        "latest" => return Start::Latest,
        _ => {}
    }
    let day = |text: &str| Some(text.parse::<NaiveDate>().ok()?.and_time(NaiveTime::MIN).and_utc());
    let time = DateTime::parse_from_rfc3339(&text).ok().map(|time| time.to_utc()).or_else(|| day(&text));
    match time {
        Some(time) => Start::Time(time.timestamp_micros()),
        None => {
            table.doc.problem(
                place,
                format!(
                    "start \"{text}\" is none of earliest, latest, or a time such as 2026-01-31T08:00:00Z"
                ),
            );
            Start::Earliest
        }
    }
}

/// The name under which partitions are owned. A pod's host name is its own; on a machine without the
/// variable a made-up name is safe and costs a lease's time after each restart.
fn replica(table: &Table) -> String {
    let Some(text) = table.text("replica") else {
        return table
            .doc
            .variable("HOSTNAME")
            .unwrap_or_else(|| format!("aksentry-{:08x}", fastrand::u32(..)));
    };
    let sound =
        text.text.len() <= 64 && text.text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    if !sound {
        table.wrong("replica", text.place, "at most 64 letters, digits, dots, dashes and underscores");
    }
    text.text.to_owned()
}
