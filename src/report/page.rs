//! The page from top to bottom: head, account, timeline, and then what the other files write.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::html::{self, shell, text, time};
use super::{Report, completeness, people, rules};
use crate::alert::Severity;
use crate::event::figures::{bytes, number, plural, span};
use crate::event::value::rfc3339;
use crate::event::{HOUR, cluster_name};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Writes the whole page.
pub fn write(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    head(report, out)?;
    writeln!(out, "<main id=\"main\">")?;
    account(report, out)?;
    timeline(report, out)?;
    rules::write(report, out)?;
    people::write(report, out)?;
    rules::techniques(report, out)?;
    completeness::write(report, out)?;
    inputs(report, out)?;
    writeln!(out, "</main>")?;
    writeln!(
        out,
        "<footer><p>Made by aksentry {} at {}. Times are UTC. This file fetches nothing and sends nothing; \
         names are shown as they were logged, with characters that do not show written as their number.</p></footer>",
        env!("CARGO_PKG_VERSION"),
        text(&html::short(&report.made))
    )?;
    writeln!(out, "<script>{SCRIPT}</script>\n</body>\n</html>")
}

/// The title names the clusters the alerts are about.
fn title(report: &Report<'_>) -> String {
    let mut clusters: Vec<&str> =
        report.alerts.kept().filter_map(|a| a.cluster.as_deref()).map(cluster_name).collect();
    clusters.sort_unstable();
    clusters.dedup();
    match clusters.as_slice() {
        [] => "Audit log report".into(),
        [one] => format!("Audit log report: {one}"),
        [one, rest @ ..] => format!("Audit log report: {one} and {}", plural(rest.len(), "more cluster")),
    }
}

fn head(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    let title = title(report);
    let (style, script) = (html::policy_hash(STYLE), html::policy_hash(SCRIPT));
    write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src {style}; \
         script-src {script}; img-src data:; base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <link rel=\"icon\" href=\"data:,\">\n\
         <title>{}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#main\">Skip to the content</a>\n<header>\n<h1>{}</h1>\n",
        text(&title),
        text(&title)
    )?;
    writeln!(out, "<p class=\"counts\">{}</p>", severities(report))?;
    writeln!(
        out,
        "<nav aria-label=\"Contents\"><a href=\"#timeline\">Timeline</a> <a href=\"#alerts\">Alerts</a> \
         <a href=\"#identities\">Identities</a> <a href=\"#addresses\">Addresses</a> \
         <a href=\"#techniques\">ATT&amp;CK</a> <a href=\"#completeness\">Completeness</a> \
         <a href=\"#inputs\">Inputs</a></nav>\n</header>"
    )
}

/// How many alerts of each severity, as badges.
fn severities(report: &Report<'_>) -> String {
    let mut parts = vec![format!("<strong>{}</strong>", plural_u64(report.alerts.total(), "alert"))];
    for severity in Severity::ALL {
        let n: u64 = report.alerts.totals().filter(|(s, ..)| *s == severity).map(|(.., n)| n).sum();
        if n > 0 {
            parts.push(format!("<span class=\"badge {severity}\">{} {severity}</span>", number(n)));
        }
    }
    parts.join(" ")
}

/// [`plural`] of a count that is a `u64`.
pub fn plural_u64(count: u64, noun: &str) -> String {
    plural(usize::try_from(count).unwrap_or(usize::MAX), noun)
}

/// A row of a list of terms; `value` is HTML.
fn term(out: &mut dyn Write, name: &str, value: &str) -> io::Result<()> {
    writeln!(out, "<div><dt>{name}</dt><dd>{value}</dd></div>")
}

fn account(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    let (outcome, counts) = (report.outcome, &report.outcome.counts);
    writeln!(
        out,
        "<section id=\"run\" aria-labelledby=\"run-h\"><h2 id=\"run-h\">The run</h2><dl class=\"facts\">"
    )?;
    let command: Vec<String> = report.command.iter().map(|word| shell(word)).collect();
    term(out, "Command", &format!("<code class=\"command\">{}</code>", text(&command.join(" "))))?;
    let rules = plural(report.rules, "rule");
    let made = format!(
        "{} UTC with aksentry {}, {rules}, in {:.1} s",
        text(&html::short(&report.made)),
        env!("CARGO_PKG_VERSION"),
        outcome.elapsed.as_secs_f64()
    );
    term(out, "Made", &made)?;
    let range = &report.options.range;
    let mut limits = Vec::new();
    limits.extend(range.since.map(|t| format!("from {}", time(t))));
    limits.extend(range.until.map(|t| format!("before {}", time(t))));
    limits.extend(range.cluster.as_ref().map(|c| format!("cluster {}", text(c))));
    if !limits.is_empty() {
        term(
            out,
            "Limited to",
            &format!("{}; the account below is of everything that was read", limits.join(", ")),
        )?;
    }
    if let (Some(first), Some(last)) = (counts.first_event, counts.last_event) {
        let long = span(last.saturating_sub(first) / 1_000_000);
        term(out, "Logged from", &format!("{} to {} ({long})", time(first), time(last)))?;
    }
    let files = plural(outcome.files.len(), "file");
    term(out, "Input", &format!("{files}, {} (<a href=\"#inputs\">with SHA-256</a>)", bytes(outcome.bytes)))?;
    let cut = match counts.truncated {
        0 => String::new(),
        n => format!(" ({} of them cut)", number(n)),
    };
    let rejected: u64 = counts.rejects.values().sum();
    term(
        out,
        "Records",
        &format!(
            "{} = {} events{cut} + {} of the control plane + {} duplicates + {} rejected",
            number(counts.records),
            number(counts.events),
            number(counts.control_plane),
            number(counts.duplicates),
            number(rejected)
        ),
    )?;
    let warnings = completeness::warnings(report);
    let judged = match warnings.as_slice() {
        [] => "nothing is known to be missing".to_owned(),
        all => format!("{} (<a href=\"#completeness\">see below</a>)", all.join("; ")),
    };
    term(out, "Completeness", &judged)?;
    writeln!(out, "</dl></section>")
}

fn timeline(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    let events = &report.survey.events;
    let width = events.width();
    // Milliseconds are what a browser counts in.
    let intervals: Vec<Value> =
        events.intervals().iter().map(|(at, n)| json!([at.saturating_mul(width) / 1000, n])).collect();
    let data = json!({ "width": width / 1000, "events": intervals });
    let timeless = report.alerts.kept().filter(|alert| alert.first_seen.is_none()).count();
    write!(
        out,
        "<section id=\"timeline\" aria-labelledby=\"timeline-h\"><h2 id=\"timeline-h\">Timeline</h2>\n\
         <p class=\"note\">Alerts by severity above all events, {} wide bars. \
         Drag over a stretch to look closer, or use the buttons; with the picture in focus (click it or tab to it) the wheel \
         and <kbd>+</kbd> <kbd>−</kbd> zoom, <kbd>←</kbd> <kbd>→</kbd> move, <kbd>0</kbd> shows all, <kbd>n</kbd> \
         <kbd>p</kbd> go from alert to alert and <kbd>Enter</kbd> opens one.{}</p>\n",
        span(width / 1_000_000),
        match timeless {
            0 => String::new(),
            n => format!(" {} without a time not shown here.", plural(n, "alert")),
        }
    )?;
    write!(
        out,
        "<div class=\"tools\" id=\"tools\" hidden role=\"group\" aria-label=\"Zoom\">\
         <button type=\"button\" data-do=\"in\" aria-label=\"Zoom in\">+</button>\
         <button type=\"button\" data-do=\"out\" aria-label=\"Zoom out\">−</button>\
         <button type=\"button\" data-do=\"left\" aria-label=\"Earlier\">←</button>\
         <button type=\"button\" data-do=\"right\" aria-label=\"Later\">→</button>\
         <button type=\"button\" data-do=\"alerts\">Alerts</button>\
         <button type=\"button\" data-do=\"all\">All</button>\
         <span id=\"shown\" role=\"status\" aria-live=\"polite\"></span></div>\n\
         <div id=\"picture\"><noscript><p>The picture needs scripts; all alerts are listed below.</p></noscript></div>\n\
         <div id=\"tip\" role=\"tooltip\" hidden></div>\n\
         <script type=\"application/json\" id=\"timeline-data\">{}</script></section>\n",
        html::json(&data)
    )
}

fn inputs(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    const LISTED: usize = 5_000;
    write!(
        out,
        "<section id=\"inputs\" aria-labelledby=\"inputs-h\"><h2 id=\"inputs-h\">Inputs</h2>\n\
         <p class=\"note\">SHA-256 of each file as it is stored (compressed ones as they are), taken when the run was over. \
         Check with <code>sha256sum</code>.</p>\n\
         <div class=\"wide\"><table><thead><tr><th scope=\"col\">file</th><th scope=\"col\" class=\"n\">bytes</th>\
         <th scope=\"col\" class=\"n\">records</th><th scope=\"col\">status</th><th scope=\"col\">SHA-256</th></tr></thead><tbody>\n"
    )?;
    for (index, file) in report.outcome.files.iter().enumerate().take(LISTED) {
        let digest = match report.digests.get(index) {
            Some(Ok((hex, size))) if *size == file.bytes => format!("<code>{hex}</code>"),
            Some(Ok((hex, size))) => {
                format!(
                    "<code>{hex}</code> <strong>of {} bytes: it changed meanwhile</strong>",
                    number(*size)
                )
            }
            Some(Err(reason)) => format!("none: {}", text(reason)),
            None => "none".into(),
        };
        writeln!(
            out,
            "<tr><td class=\"path\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td>{}</td><td class=\"hash\">{digest}</td></tr>",
            text(&file.path.to_string_lossy()),
            number(file.bytes),
            number(file.records),
            text(&file.status.to_string()),
        )?;
    }
    writeln!(out, "</tbody></table></div>")?;
    let rest = report.outcome.files.len().saturating_sub(LISTED);
    if rest > 0 {
        writeln!(out, "<p>{} not listed.</p>", plural(rest, "more file"))?;
    }
    writeln!(out, "</section>")
}

/// An RFC 3339 time moved by hours, for the range of a command.
pub fn moved(time: &str, hours: i64) -> Option<String> {
    let micros = chrono::DateTime::parse_from_rfc3339(time).ok()?.timestamp_micros();
    let moved = micros.saturating_add(hours.saturating_mul(HOUR)).div_euclid(1_000_000);
    rfc3339(moved.saturating_mul(1_000_000))
}
