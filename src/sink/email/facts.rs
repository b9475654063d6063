//! What a person wants to know of an alert, in the order they ask: who, what, to which object, from where,
//! when; then the rest as evidence, and commands to go on with. Both forms of a mail are made of this.
//!
//! Most of it was text of a log, that is of whoever made the requests: control characters and those that
//! turn the reading direction are made visible, long values are cut, and nothing that a shell or SQL could
//! take for its own gets into a command.

use chrono::DateTime;
use chrono::TimeDelta;
use chrono::Utc;
use serde_json::Value;

use crate::alert::Alert;
use crate::alert::Status;
use crate::event::cluster_name;

/// How much of each thing is shown.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub value: usize,
    pub evidence: usize,
    pub audit_ids: usize,
}

impl Limits {
    /// For a mail about one alert.
    pub const ONE: Self = Self { value: 1000, evidence: 30, audit_ids: 50 };
    /// For one of several in a mail.
    pub const MANY: Self = Self { value: 300, evidence: 12, audit_ids: 10 };
}

/// A label and what belongs to it.
pub type Row = (String, String);

/// A command to paste, and what it shows.
#[derive(Debug, PartialEq, Eq)]
pub struct Step {
    pub shows: String,
    pub command: String,
}

/// One alert, ready to be laid out.
#[derive(Debug)]
pub struct Facts {
    pub title: String,
    pub summary: String,
    /// `replayed`, `on trial`: what changes how it is to be taken.
    pub marks: Vec<&'static str>,
    pub rows: Vec<Row>,
    pub evidence: Vec<Row>,
    /// Techniques of ATT&CK; together they are the row [`ATTACK`].
    pub attack: Vec<String>,
    pub steps: Vec<Step>,
}

/// The label of the row of techniques, which has links in HTML.
pub const ATTACK: &str = "ATT&CK";

/// Columns that say who, what, where: shown as such and not again as evidence.
const WHO: &str = "username";
const AS_WHOM: &str = "impersonated_username";
const VERB: &str = "verb";
const RESOURCE: &str = "resource";
const SUBRESOURCE: &str = "subresource";
const NAMESPACE: &str = "namespace";
const NAME: &str = "name";
const ADDRESS: &str = "client_ip";
const AGENT: &str = "user_agent";
const SHOWN: &[&str] =
    &[WHO, AS_WHOM, VERB, RESOURCE, SUBRESOURCE, NAMESPACE, NAME, ADDRESS, AGENT, "cluster"];

impl Facts {
    pub fn of(alert: &Alert, limits: Limits) -> Self {
        let mut rows = Vec::new();
        let mut row = |label: &str, value: Option<String>| {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                rows.push((label.to_owned(), value));
            }
        };
        let get = |name| lookup(alert, name).map(|value| clean(&value, limits.value));
        let attack: Vec<String> = alert.attack.iter().map(|id| clean(id, 40)).collect();
        row(
            "Who",
            get(WHO).map(|who| match get(AS_WHOM) {
                Some(whom) => format!("{who} as {whom}"),
                None => who,
            }),
        );
        row("Did", get(VERB));
        row("To", object(alert, limits.value));
        row("Cluster", alert.cluster.as_deref().map(|id| clean(cluster_name(id), limits.value)));
        row(
            "From",
            match (get(ADDRESS), get(AGENT)) {
                (Some(address), Some(agent)) => Some(format!("{address} with {agent}")),
                (address, agent) => address.or(agent),
            },
        );
        row("When", when(alert));
        row("Events", Some(alert.count.to_string()));
        row("Rule", Some(rule(alert)));
        row(ATTACK, Some(attack.join(", ")));
        row("Audit ids", audit_ids(&alert.audit_ids));
        row("Alert id", Some(clean(&alert.id, limits.value)));
        let id = alert.cluster.as_deref().filter(|id| cluster_name(id) != *id);
        row("Cluster id", id.map(|id| clean(id, limits.value)));

        Self {
            title: clean(&alert.title, 200),
            summary: clean(&alert.summary, limits.value.max(500)),
            marks: marks(alert),
            rows,
            evidence: evidence(alert, limits),
            attack,
            steps: steps(alert, limits),
        }
    }
}

/// The cluster's name, for subjects and tables.
pub fn cluster(alert: &Alert) -> Option<String> {
    alert.cluster.as_deref().map(|id| clean(cluster_name(id), 80))
}

pub const REPLAYED: &str = "replayed";

/// What changes how an alert is to be taken.
pub fn marks(alert: &Alert) -> Vec<&'static str> {
    let trial = (alert.status == Status::Shadow).then_some("rule on trial");
    alert.replayed.then_some(REPLAYED).into_iter().chain(trial).collect()
}

/// A column of the key, else of the evidence.
fn lookup(alert: &Alert, name: &str) -> Option<String> {
    let value = alert.key.get(name).filter(|value| !value.is_null());
    value.or_else(|| alert.evidence.get(name)).and_then(plain)
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Bool(yes) => Some(if *yes { "yes" } else { "no" }.to_owned()),
        other => Some(other.to_string()),
    }
}

/// `secrets payments/api-db`, with what is known of it.
fn object(alert: &Alert, max: usize) -> Option<String> {
    let part = |name| lookup(alert, name).filter(|value| !value.is_empty());
    let kind = match (part(RESOURCE), part(SUBRESOURCE)) {
        (Some(resource), Some(sub)) => Some(format!("{resource}/{sub}")),
        (resource, sub) => resource.or(sub),
    };
    let name = match (part(NAMESPACE), part(NAME)) {
        (Some(namespace), Some(name)) => Some(format!("{namespace}/{name}")),
        (Some(namespace), None) => Some(format!("namespace {namespace}")),
        (None, name) => name,
    };
    let text: Vec<String> = kind.into_iter().chain(name).collect();
    (!text.is_empty()).then(|| clean(&text.join(" "), max))
}

fn rule(alert: &Alert) -> String {
    let rule = clean(&alert.rule, 100);
    match clean(&alert.tactic, 60) {
        tactic if tactic.is_empty() => rule,
        tactic => format!("{rule} ({tactic})"),
    }
}

fn evidence(alert: &Alert, limits: Limits) -> Vec<Row> {
    let key = alert.key.iter();
    let columns = key.chain(alert.evidence.iter().filter(|(name, _)| !alert.key.contains_key(*name)));
    let mut rows: Vec<Row> = columns
        .filter(|(name, _)| !SHOWN.contains(&name.as_str()))
        .filter_map(|(name, value)| Some((clean(name, 60), clean(&plain(value)?, limits.value))))
        .collect();
    let more = rows.len().saturating_sub(limits.evidence);
    if more > 0 {
        rows.truncate(limits.evidence);
        rows.push(("…".to_owned(), format!("{more} more; the alert in the archive or in Sentinel has all")));
    }
    rows
}

/// The first few; the command below the evidence has the rest.
fn audit_ids(ids: &[String]) -> Option<String> {
    const SHOWN: usize = 3;
    let first: Vec<String> = ids.iter().take(SHOWN).map(|id| clean(id, 64)).collect();
    match ids.len().saturating_sub(SHOWN) {
        0 => (!first.is_empty()).then(|| first.join(", ")),
        more => Some(format!("{} and {more} more", first.join(", "))),
    }
}

/// `2026-03-11 19:10:05 – 19:16:09 UTC`; the day again if it is another.
fn when(alert: &Alert) -> Option<String> {
    let first = alert.first_seen.as_deref()?;
    let (Some(from), to) = (time(first), alert.last_seen.as_deref().and_then(time)) else {
        return Some(clean(first, 40));
    };
    let start = from.format("%Y-%m-%d %H:%M:%S");
    Some(match to.filter(|to| to.timestamp() != from.timestamp()) {
        None => format!("{start} UTC"),
        Some(to) if to.date_naive() == from.date_naive() => {
            format!("{start} – {} UTC", to.format("%H:%M:%S"))
        }
        Some(to) => format!("{start} – {} UTC", to.format("%Y-%m-%d %H:%M:%S")),
    })
}

/// When it began: `2026-03-11 19:10:05 UTC`.
pub fn start(alert: &Alert) -> String {
    let first = alert.first_seen.as_deref();
    first.and_then(time).map(|time| time.format("%Y-%m-%d %H:%M:%S UTC").to_string()).unwrap_or_default()
}

fn time(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|time| time.with_timezone(&Utc))
}

/// What to look at next. A value that could end a quotation is left out rather than quoted: an alert's
/// text is not to be trusted, least of all pasted into a shell.
fn steps(alert: &Alert, limits: Limits) -> Vec<Step> {
    const COLUMNS: &str = "time, username, verb, resource, namespace, name, status_code, client_ip";
    let ids: Vec<String> = alert
        .audit_ids
        .iter()
        .filter(|id| is_harmless(id))
        .take(limits.audit_ids)
        .map(|id| format!("'{id}'"))
        .collect();
    let mut steps = Vec::new();
    if !ids.is_empty() {
        let all = ids.len() == alert.audit_ids.len();
        let shows = if all { "The events behind it" } else { "Events behind it" };
        let command = format!(
            "aksentry hunt -e \"SELECT {COLUMNS} FROM audit WHERE audit_id IN ({}) ORDER BY time\" PATH",
            ids.join(", ")
        );
        steps.push(Step { shows: shows.to_owned(), command });
    }
    let around = around(alert);
    match lookup(alert, WHO).filter(|who| is_harmless(who)) {
        Some(who) => steps.push(Step {
            shows: "What this identity did in the hour before and after".to_owned(),
            command: format!(
                "aksentry hunt{around} -e \"SELECT {COLUMNS} FROM audit WHERE username = '{who}' ORDER BY time\" PATH"
            ),
        }),
        None if ids.is_empty() => steps.push(Step {
            shows: "What the cluster did in the hour before and after".to_owned(),
            command: format!("aksentry hunt{around} -e \"SELECT {COLUMNS} FROM audit ORDER BY time\" PATH"),
        }),
        None => {}
    }
    steps
}

/// Flags for an hour on both sides, and the cluster.
fn around(alert: &Alert) -> String {
    let mut flags = String::new();
    let from = alert.first_seen.as_deref().and_then(time);
    let to = alert.last_seen.as_deref().and_then(time).or(from);
    let hour = TimeDelta::hours(1);
    if let (Some(from), Some(to)) = (from, to)
        && let (Some(from), Some(to)) = (from.checked_sub_signed(hour), to.checked_add_signed(hour))
    {
        let format = "%Y-%m-%dT%H:%M:%SZ";
        flags.push_str(&format!(" --since {} --until {}", from.format(format), to.format(format)));
    }
    if let Some(cluster) = alert.cluster.as_deref().map(cluster_name).filter(|name| is_harmless(name)) {
        flags.push_str(&format!(" --cluster {cluster}"));
    }
    flags
}

/// Whether a text means nothing but itself to a shell and in an SQL string.
fn is_harmless(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "@._:/+=-".contains(c);
    (1..=256).contains(&text.len()) && text.chars().all(plain) && !text.starts_with('-')
}

/// `T1552`, `T1552.007`.
pub fn is_technique(id: &str) -> bool {
    let digits = |text: &str, n| text.len() == n && text.bytes().all(|b| b.is_ascii_digit());
    id.strip_prefix('T').is_some_and(|rest| match rest.split_once('.') {
        Some((technique, sub)) => digits(technique, 4) && digits(sub, 3),
        None => digits(rest, 4),
    })
}

/// One line of text that shows what is in it, cut after `max` characters.
pub fn clean(text: &str, max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(max * 4));
    for (shown, c) in text.chars().enumerate() {
        if shown >= max {
            let all = text.chars().count();
            out.push_str(&format!("… (cut; {all} characters)"));
            break;
        }
        match c {
            '\t' | '\n' | '\r' => out.push(' '),
            c if c.is_control() || is_invisible(c) => out.push_str(&format!("\\u{{{:x}}}", c as u32)),
            c => out.push(c),
        }
    }
    out
}

/// Characters that hide, or turn the direction of, what stands beside them.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}
