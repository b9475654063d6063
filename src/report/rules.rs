//! Alerts by severity and rule, what each rule says of itself, and the ATT&CK techniques touched.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use serde_json::Value;

use super::Report;
use super::alerts::{self, MAX_ALERTS};
use super::html::{self, shell, text};
use super::page::{moved, plural_u64};
use crate::alert::{Alert, Severity};
use crate::event::cluster_name;
use crate::event::figures::number;
use crate::rules::Detection;

/// Which column of an alert a parameter of a query takes its value from.
const PARAMETERS: [(&str, &str); 5] = [
    ("identity", "username"),
    ("address", "client_ip"),
    ("resource", "resource"),
    ("namespace", "namespace"),
    ("name", "name"),
];

/// Writes the section of alerts.
pub fn write(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "<section id=\"alerts\" aria-labelledby=\"alerts-h\"><h2 id=\"alerts-h\">Alerts</h2>")?;
    if report.alerts.total() == 0 {
        return writeln!(out, "<p>No rule raised an alert.</p></section>");
    }
    filter(report, out)?;
    if report.alerts.left_out() > 0 {
        writeln!(
            out,
            "<p class=\"warn\">Only the {} most urgent are shown; {} left out. All of them are on the standard output of the \
             command; <code>--rule</code>, <code>--min-severity</code>, <code>--since</code> and <code>--until</code> choose fewer.</p>",
            number(MAX_ALERTS as u64),
            plural_u64(report.alerts.left_out(), "alert"),
        )?;
    }
    let mut shown: BTreeMap<(&str, Severity), Vec<&Alert>> = BTreeMap::new();
    for alert in report.alerts.kept() {
        shown.entry((alert.rule.as_str(), alert.severity)).or_default().push(alert);
    }
    for severity in Severity::ALL {
        let rules: Vec<_> = report.alerts.totals().filter(|(s, ..)| *s == severity).collect();
        if rules.is_empty() {
            continue;
        }
        let total: u64 = rules.iter().map(|(.., n)| n).sum();
        writeln!(
            out,
            "<section class=\"severity\" aria-label=\"{severity}\"><h3><span class=\"badge {severity}\">{severity}</span> {}</h3>",
            plural_u64(total, "alert")
        )?;
        for (_, rule, n) in rules {
            let alerts = shown.get(&(rule, severity)).map(Vec::as_slice).unwrap_or_default();
            self::rule(report, rule, n, alerts, out)?;
        }
        writeln!(out, "</section>")?;
    }
    writeln!(out, "<p id=\"none\" hidden>No alert matches the filter.</p></section>")
}

fn filter(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    write!(
        out,
        "<div class=\"tools filter\" id=\"filter\" hidden><label>Find <input type=\"search\" id=\"find\" autocomplete=\"off\" \
         placeholder=\"name, address, rule, audit id\"></label><span role=\"group\" aria-label=\"Severities\">"
    )?;
    for severity in Severity::ALL {
        if report.alerts.totals().any(|(s, ..)| s == severity) {
            write!(
                out,
                "<label class=\"check\"><input type=\"checkbox\" name=\"severity\" value=\"{severity}\" checked> {severity}</label>"
            )?;
        }
    }
    writeln!(
        out,
        "</span><button type=\"button\" id=\"open\">Open all</button><button type=\"button\" id=\"close\">Close all</button>\
         <span id=\"matching\" role=\"status\" aria-live=\"polite\"></span></div>"
    )
}

fn rule(report: &Report<'_>, id: &str, count: u64, shown: &[&Alert], out: &mut dyn Write) -> io::Result<()> {
    let detection = report.catalog.detections.iter().find(|rule| rule.id == id);
    let title =
        detection.map_or_else(|| shown.first().map_or(id, |a| a.title.as_str()), |d| d.title.as_str());
    writeln!(
        out,
        "<article class=\"rule\" data-rule=\"{}\"><h4>{} <code>{}</code> <span class=\"count\">{}</span></h4>",
        text(id),
        text(title),
        text(id),
        plural_u64(count, "alert")
    )?;
    if let Some(detection) = detection {
        about(detection, out)?;
    }
    for alert in shown {
        self::alert(report, detection, alert, out)?;
    }
    let rest = count.saturating_sub(shown.len() as u64);
    if rest > 0 {
        writeln!(out, "<p class=\"note\">{} left out here.</p>", plural_u64(rest, "more alert"))?;
    }
    writeln!(out, "</article>")
}

/// What the rule's header says.
fn about(rule: &Detection, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "<p class=\"about\">{}</p>", text(&rule.description.replace('\n', " ")))?;
    let list = |items: &[String], link: bool| -> String {
        let item = |item: &String| match link {
            true => format!("<li><a rel=\"noopener noreferrer\" href=\"{0}\">{0}</a></li>", text(item)),
            false => format!("<li>{}</li>", text(item)),
        };
        items.iter().map(item).collect()
    };
    if !rule.false_positives.is_empty() {
        let items = list(&rule.false_positives, false);
        writeln!(out, "<div class=\"about\"><b>Harmless if</b><ul>{items}</ul></div>")?;
    }
    if !rule.references.is_empty() {
        let items = list(&rule.references, true);
        writeln!(out, "<div class=\"about\"><b>To read</b><ul>{items}</ul></div>")?;
    }
    Ok(())
}

fn alert(
    report: &Report<'_>,
    rule: Option<&Detection>,
    alert: &Alert,
    out: &mut dyn Write,
) -> io::Result<()> {
    let first = alert.first_seen.as_deref().unwrap_or("");
    let cluster = alert.cluster.as_deref().unwrap_or("");
    writeln!(
        out,
        "<details class=\"alert {0}\" id=\"alert-{1}\" data-severity=\"{0}\" data-first=\"{2}\"><summary><time>{3}</time> \
         <span class=\"says\">{4}</span>{5}</summary>",
        alert.severity,
        html::id(&alert.id),
        text(first),
        text(&html::short(first)),
        text(&alert.summary),
        match alert.count {
            0 | 1 => String::new(),
            n => format!(" <span class=\"count\">×{}</span>", number(n)),
        }
    )?;
    writeln!(out, "<div class=\"wide\"><table class=\"pairs\"><tbody>")?;
    let mut pair = |name: &str, value: &str| -> io::Result<()> {
        writeln!(out, "<tr><th scope=\"row\">{}</th><td>{}</td></tr>", text(name), text(value))
    };
    pair("cluster", &format!("{} ({cluster})", cluster_name(cluster)))?;
    let last = alert.last_seen.as_deref().unwrap_or(first);
    pair("seen", &if last == first { first.to_owned() } else { format!("{first} to {last}") })?;
    pair("events", &number(alert.count))?;
    if alert.status != crate::alert::Status::Stable {
        pair("status", alert.status.as_str())?;
    }
    for (name, value) in alert.key.iter().chain(&alert.evidence).filter(|(name, _)| *name != "cluster") {
        match value {
            Value::Null => {}
            Value::String(value) => pair(name, value)?,
            other => pair(name, &other.to_string())?,
        }
    }
    let techniques = alert.attack.join(", ");
    pair("ATT&CK", if techniques.is_empty() { &alert.tactic } else { &techniques })?;
    pair("alert id", &alert.id)?;
    let unnamed = alert.count.saturating_sub(alert.audit_ids.len() as u64);
    let mut ids = alert.audit_ids.join("\n");
    if unnamed > 0 && !ids.is_empty() {
        ids += &format!("\nand {} more events", number(unnamed));
    }
    if !ids.is_empty() {
        writeln!(
            out,
            "<tr class=\"all\"><th scope=\"row\">audit ids</th><td class=\"ids\">{}</td></tr>",
            text(&ids)
        )?;
    }
    writeln!(out, "</tbody></table></div>")?;
    let commands: Vec<String> = rule
        .into_iter()
        .flat_map(|rule| &rule.follow_up)
        .filter_map(|query| follow_up(report, query, alert))
        .collect();
    if !commands.is_empty() {
        writeln!(out, "<div class=\"next\"><b>Look next</b>")?;
        for command in commands {
            writeln!(out, "<code class=\"command\">{}</code>", text(&command))?;
        }
        writeln!(out, "</div>")?;
    }
    writeln!(out, "</details>")
}

/// The command that asks a saved query about this alert, an hour to each side of it. What the query must
/// be told and the alert does not have stands in capitals.
fn follow_up(report: &Report<'_>, query: &str, alert: &Alert) -> Option<String> {
    let mut words = vec!["aksentry".to_owned(), "hunt".into(), query.to_owned()];
    for (parameter, required) in (report.parameters)(query)? {
        let column = PARAMETERS.iter().find(|(name, _)| *name == parameter).map(|(_, column)| *column);
        match column.and_then(|column| alerts::field(alert, column)) {
            Some(value) => words.extend(["-p".to_owned(), format!("{parameter}={value}")]),
            None if required => {
                words.extend(["-p".to_owned(), format!("{parameter}={}", parameter.to_uppercase())])
            }
            None => {}
        }
    }
    for (flag, time, hours) in [
        ("--since", alert.first_seen.as_deref(), -1),
        ("--until", alert.last_seen.as_deref().or(alert.first_seen.as_deref()), 1),
    ] {
        words.extend(time.and_then(|time| moved(time, hours)).into_iter().flat_map(|t| [flag.to_owned(), t]));
    }
    words.extend(report.paths.iter().cloned());
    Some(words.iter().map(|word| shell(word)).collect::<Vec<_>>().join(" "))
}

/// Writes the section of techniques.
pub fn techniques(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    struct Touched<'a> {
        tactics: BTreeSet<&'a str>,
        rules: BTreeSet<&'a str>,
        alerts: u64,
    }
    writeln!(
        out,
        "<section id=\"techniques\" aria-labelledby=\"techniques-h\"><h2 id=\"techniques-h\">ATT&amp;CK techniques touched</h2>"
    )?;
    let mut touched: BTreeMap<&str, Touched<'_>> = BTreeMap::new();
    for (_, rule, n) in report.alerts.totals() {
        let Some(rule) = report.catalog.detections.iter().find(|d| d.id == rule) else { continue };
        for technique in &rule.attack {
            let entry = touched.entry(technique).or_insert_with(|| Touched {
                tactics: BTreeSet::new(),
                rules: BTreeSet::new(),
                alerts: 0,
            });
            entry.tactics.insert(&rule.tactic);
            entry.rules.insert(&rule.id);
            entry.alerts += n;
        }
    }
    if touched.is_empty() {
        return writeln!(out, "<p>None.</p></section>");
    }
    writeln!(
        out,
        "<div class=\"wide\"><table><thead><tr><th scope=\"col\">technique</th><th scope=\"col\">tactic</th>\
         <th scope=\"col\" class=\"n\">alerts</th><th scope=\"col\">rules</th></tr></thead><tbody>"
    )?;
    for (technique, found) in touched {
        let join = |names: BTreeSet<&str>| names.into_iter().collect::<Vec<_>>().join(", ");
        writeln!(
            out,
            "<tr><td class=\"t\"><code>{}</code></td><td>{}</td><td class=\"n\">{}</td><td>{}</td></tr>",
            text(technique),
            text(&join(found.tactics)),
            number(found.alerts),
            text(&join(found.rules)),
        )?;
    }
    writeln!(out, "</tbody></table></div></section>")
}
