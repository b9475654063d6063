//! The plain-text part of a mail: lines a terminal or a pager shows as they are.

use std::fmt::Write as _;

use super::facts::Facts;
use super::facts::Row;
use super::message::Content;

/// Writes the whole part. Writing to a string does not fail, so results are not looked at.
pub fn render(content: &Content<'_>) -> String {
    let mut out = String::new();
    if let Some(digest) = &content.digest {
        let _ = writeln!(out, "{}\n", digest.headline);
        for (n, line) in digest.lines.iter().enumerate() {
            let _ = writeln!(out, "{:>3}. {:<13} {}", n + 1, line.severity.to_uppercase(), line.title);
            let _ = writeln!(out, "     {}  {}\n     {}", line.time, line.cluster, line.summary);
        }
        if digest.without_details > 0 {
            let _ = writeln!(out, "\nDetails of the first {}:", content.details.len());
        }
        out.push('\n');
    }
    for (n, (severity, facts)) in content.details.iter().enumerate() {
        if content.digest.is_some() {
            let _ = writeln!(out, "{}\n{}.", "-".repeat(72), n + 1);
        }
        alert(&mut out, severity, facts);
    }
    let _ = writeln!(out, "-- \naksentry; the times are UTC.");
    out
}

fn alert(out: &mut String, severity: &str, facts: &Facts) {
    let marks: String = facts.marks.iter().map(|mark| format!(" [{mark}]")).collect();
    let _ = writeln!(out, "{}{marks}  {}\n", severity.to_uppercase(), facts.title);
    let _ = writeln!(out, "{}\n", facts.summary);
    rows(out, &facts.rows);
    if !facts.evidence.is_empty() {
        let _ = writeln!(out, "\nEVIDENCE");
        rows(out, &facts.evidence);
    }
    if !facts.steps.is_empty() {
        let _ = writeln!(out, "\nWHAT TO DO (PATH: where your logs are archived)");
        for step in &facts.steps {
            let _ = writeln!(out, "{}:\n    {}", step.shows, step.command);
        }
    }
    out.push('\n');
}

fn rows(out: &mut String, rows: &[Row]) {
    let width = rows.iter().map(|(label, _)| label.chars().count()).max().unwrap_or(0).min(24);
    for (label, value) in rows {
        let _ = writeln!(out, "  {label:<width$}  {value}");
    }
}
