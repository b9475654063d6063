//! A mail made of alerts: subject, headers, the two parts. The same alerts give the same `Message-ID`, so
//! that a mail which is sent again after a lost answer can be recognised; its date is all that differs.

use std::time::Duration;
use std::time::SystemTime;

use lettre::Message;
use lettre::message::Mailbox;
use lettre::message::MultiPart;
use lettre::message::header::HeaderName;
use lettre::message::header::HeaderValue;

use crate::alert::Alert;
use crate::alert::Severity;
use crate::alert::alert_id;

use super::facts;
use super::facts::Facts;
use super::facts::Limits;
use super::html;
use super::text;

/// Alerts of a digest that are told in full; mail programs cut what is much longer.
const DETAILED: usize = 10;

/// What both parts show.
pub struct Content<'a> {
    pub digest: Option<Digest>,
    /// With the name of the severity, most urgent first.
    pub details: Vec<(&'a str, Facts)>,
}

/// The table at the head of a mail of several alerts.
pub struct Digest {
    pub headline: String,
    pub lines: Vec<Line>,
    /// How many are in the table only.
    pub without_details: usize,
}

/// One alert of a digest.
pub struct Line {
    pub severity: String,
    pub title: String,
    pub cluster: String,
    pub time: String,
    pub summary: String,
}

/// The parts' text for these alerts, most urgent and then earliest first.
pub fn content<'a>(alerts: &[&'a Alert]) -> Content<'a> {
    let mut alerts = alerts.to_vec();
    alerts.sort_by(|a, b| {
        let time = || (&a.first_seen, &a.id).cmp(&(&b.first_seen, &b.id));
        b.severity.cmp(&a.severity).then_with(time)
    });
    let one = alerts.len() == 1;
    let limits = if one { Limits::ONE } else { Limits::MANY };
    let detail = |alert: &&'a Alert| (alert.severity.as_str(), Facts::of(alert, limits));
    let digest = (!one).then(|| Digest {
        headline: headline(&alerts),
        lines: alerts.iter().map(|alert| line(alert, all_replayed(&alerts))).collect(),
        without_details: alerts.len().saturating_sub(DETAILED),
    });
    Content { digest, details: alerts.iter().take(DETAILED).map(detail).collect() }
}

fn all_replayed(alerts: &[&Alert]) -> bool {
    alerts.iter().all(|alert| alert.replayed)
}

fn line(alert: &Alert, all_replayed: bool) -> Line {
    let marks = facts::marks(alert).into_iter().filter(|mark| *mark != facts::REPLAYED || !all_replayed);
    let marks: String = marks.map(|mark| format!(" [{mark}]")).collect();
    Line {
        severity: alert.severity.to_string(),
        title: facts::clean(&alert.title, 200) + &marks,
        cluster: facts::cluster(alert).unwrap_or_default(),
        time: facts::start(alert),
        summary: facts::clean(&alert.summary, 300),
    }
}

/// `7 alerts (2 critical, 5 high)`.
fn headline(alerts: &[&Alert]) -> String {
    let by_severity: Vec<String> = Severity::ALL
        .into_iter()
        .map(|severity| (severity, alerts.iter().filter(|alert| alert.severity == severity).count()))
        .filter(|(_, count)| *count > 0)
        .map(|(severity, count)| format!("{count} {severity}"))
        .collect();
    let replayed = if all_replayed(alerts) { " replayed" } else { "" };
    format!("{}{replayed} alerts ({})", alerts.len(), by_severity.join(", "))
}

fn subject(alerts: &[&Alert]) -> String {
    let severity = alerts.iter().map(|alert| alert.severity).max().unwrap_or(Severity::Informational);
    let mut label = severity.as_str().to_uppercase();
    if let [alert] = alerts
        && alert.replayed
    {
        label.push_str(", replayed");
    }
    let about = match alerts {
        [alert] => facts::clean(&alert.title, 120),
        alerts => headline(alerts),
    };
    let mut clusters: Vec<String> = alerts.iter().filter_map(|alert| facts::cluster(alert)).collect();
    clusters.sort();
    clusters.dedup();
    match clusters.as_slice() {
        [] => format!("[{label}] {about}"),
        [cluster] => format!("[{label}] {about} – {cluster}"),
        clusters => format!("[{label}] {about} – {} clusters", clusters.len()),
    }
}

/// Ids of alerts are made here and are hex; what is not made here is hashed, so that nothing else gets
/// between the brackets.
fn message_id(alerts: &[&Alert], domain: &str) -> String {
    let plain = |id: &str| !id.is_empty() && id.len() <= 64 && id.bytes().all(|b| b.is_ascii_alphanumeric());
    let local = match alerts {
        [alert] if plain(&alert.id) => alert.id.clone(),
        alerts => {
            let mut ids: Vec<&str> = alerts.iter().map(|alert| alert.id.as_str()).collect();
            ids.sort_unstable();
            format!("digest-{}", alert_id(ids))
        }
    };
    format!("<{local}@{domain}>")
}

/// Builds the mail; `now` is in microseconds since the epoch.
///
/// # Errors
///
/// What lettre says; nothing known leads there once the addresses are read.
pub fn build(alerts: &[&Alert], from: &Mailbox, to: &[Mailbox], now: i64) -> Result<Message, String> {
    let content = content(alerts);
    let ids: Vec<&str> = alerts.iter().map(|alert| alert.id.as_str()).collect();
    let date = SystemTime::UNIX_EPOCH + Duration::from_micros(u64::try_from(now).unwrap_or_default());
    let mut mail = Message::builder()
        .from(from.clone())
        .date(date)
        .subject(subject(alerts))
        .message_id(Some(message_id(alerts, from.email.domain())))
        // No holiday notes in return.
        .raw_header(header("Auto-Submitted", "auto-generated"))
        .raw_header(header("X-Auto-Response-Suppress", "All"))
        // Long lists are folded at the spaces.
        .raw_header(header("X-Aksentry-Alert-Id", &ids.join(", ")));
    if alerts.iter().any(|alert| alert.severity == Severity::Critical) {
        mail = mail.raw_header(header("Importance", "high"));
    }
    for mailbox in to {
        mail = mail.to(mailbox.clone());
    }
    mail.multipart(MultiPart::alternative_plain_html(text::render(&content), html::render(&content)))
        .map_err(|error| format!("the mail cannot be made: {error}"))
}

/// The value is encoded where it must be: a line end in it ends no header.
fn header(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}
