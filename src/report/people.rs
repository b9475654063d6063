//! Identities and addresses that alerts name, and everything else they did.

use std::io::{self, Write};

use super::Report;
use super::alerts::{Named, Subject};
use super::html::{self, text, time};
use super::page::plural_u64;
use super::survey::{Profile, Tally};
use crate::event::cluster_name;
use crate::event::figures::number;

/// Values shown of each count.
const TOP: usize = 12;

/// Writes both sections.
pub fn write(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    let subjects = report.subjects;
    let profile = |index: usize| report.survey.identities.get(&index);
    section(report, "identities", "Identities in alerts", "Addresses", &subjects.identities, &profile, out)?;
    let profile = |index: usize| report.survey.addresses.get(&index);
    section(report, "addresses", "Addresses in alerts", "Identities", &subjects.addresses, &profile, out)
}

fn section<'a>(
    report: &Report<'_>,
    id: &str,
    title: &str,
    others: &str,
    named: &Named,
    profile: &dyn Fn(usize) -> Option<&'a Profile>,
    out: &mut dyn Write,
) -> io::Result<()> {
    writeln!(out, "<section id=\"{id}\" aria-labelledby=\"{id}-h\"><h2 id=\"{id}-h\">{title}</h2>")?;
    if named.list.is_empty() {
        return writeln!(out, "<p>No alert names any.</p></section>");
    }
    writeln!(
        out,
        "<p class=\"note\">Everything each of them did in the input, what raised the alerts included{}.</p>",
        if report.options.range.is_all() { "" } else { ", within the range of the run" }
    )?;
    for (index, subject) in named.list.iter().enumerate() {
        self::subject(subject, others, profile(index), out)?;
    }
    if named.left_out > 0 {
        writeln!(
            out,
            "<p class=\"warn\">{} more are named in alerts and not shown; those shown have the most urgent alerts.</p>",
            number(named.left_out as u64)
        )?;
    }
    writeln!(out, "</section>")
}

fn subject(
    subject: &Subject,
    others: &str,
    profile: Option<&Profile>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let name = text(&subject.name);
    writeln!(
        out,
        "<article class=\"subject\"><h3><span class=\"badge {0}\">{0}</span> <span class=\"name\">{name}</span> \
         <button type=\"button\" class=\"only\" hidden data-find=\"{name}\">show its alerts</button></h3>",
        subject.worst,
    )?;
    let Some(profile) = profile else {
        return writeln!(out, "<p>No event of the input carries it.</p></article>");
    };
    let mut facts = vec![format!("<b>{}</b>", plural_u64(profile.requests, "request"))];
    if profile.refused > 0 {
        facts.push(format!("{} refused", number(profile.refused)));
    }
    if profile.impersonated > 0 {
        facts.push(format!("{} by impersonation", number(profile.impersonated)));
    }
    if let (Some(first), Some(last)) = (profile.first, profile.last) {
        facts.push(format!("first {}, last {}", time(first), time(last)));
    }
    writeln!(out, "<p>{}</p>", facts.join(", "))?;
    let referred: Vec<String> = subject
        .referred
        .iter()
        .map(|(id, title)| format!("<a href=\"#alert-{}\">{}</a>", html::id(id), text(title)))
        .collect();
    let more = match subject.alerts.saturating_sub(subject.referred.len() as u64) {
        0 => String::new(),
        n => format!(", and {} more", number(n)),
    };
    writeln!(
        out,
        "<details class=\"in\"><summary>{}</summary><p>{}{more}</p></details>",
        plural_u64(subject.alerts, "alert"),
        referred.join(", ")
    )?;
    writeln!(out, "<div class=\"tallies\">")?;
    tally(out, "Did", &profile.actions, &|v| v.to_owned())?;
    tally(out, "Namespaces", &profile.namespaces, &|v| v.to_owned())?;
    tally(out, others, &profile.others, &|v| v.to_owned())?;
    tally(out, "User agents", &profile.agents, &|v| v.to_owned())?;
    tally(out, "Clusters", &profile.clusters, &|v| match cluster_name(v) {
        "" => "(none)".into(),
        name => name.to_owned(),
    })?;
    writeln!(out, "</div></article>")
}

fn tally(out: &mut dyn Write, title: &str, tally: &Tally, shown: &dyn Fn(&str) -> String) -> io::Result<()> {
    let (top, others, rows, more) = tally.top(TOP);
    writeln!(out, "<table class=\"tally\"><caption>{title}</caption><tbody>")?;
    for (value, n) in top {
        writeln!(out, "<tr><td>{}</td><td class=\"n\">{}</td></tr>", text(&shown(value)), number(n))?;
    }
    if others > 0 {
        writeln!(
            out,
            "<tr class=\"rest\"><td>{}{} others</td><td class=\"n\">{}</td></tr>",
            if more { "at least " } else { "" },
            number(others as u64),
            number(rows)
        )?;
    }
    writeln!(out, "</tbody></table>")
}
