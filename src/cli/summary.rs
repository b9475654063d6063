//! The end of a run on standard error, as responders like it: what came in, what it was, what it says,
//! and what could not be read.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::stats::category;
use super::terminal::{Style, Tint, safe, say};
use crate::alert::Severity;
use crate::event::HOUR;
pub(super) use crate::event::figures::number;
use crate::event::figures::{bytes, plural, span};
use crate::event::value::rfc3339;
use crate::pipeline::replay::Outcome;
use crate::source::files::{FileReport, FileStatus};

/// Rules, files and categories beyond this many are counted, not listed.
const LISTED: usize = 20;
const LABEL: usize = 16;
const WIDTH: usize = 100;

/// Writes the summary.
pub(super) fn print(outcome: &Outcome, style: Style) {
    say(render(outcome, style).trim_end());
}

struct Lines {
    text: String,
    style: Style,
}

impl Lines {
    fn line(&mut self, label: &str, value: impl AsRef<str>) {
        let padded = format!("{label:<LABEL$}");
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "{}{}", self.style.paint(Tint::Bold, &padded), value.as_ref());
    }

    fn more(&mut self, value: impl AsRef<str>) {
        let _ = writeln!(self.text, "{:LABEL$}{}", "", value.as_ref());
    }

    /// At most [`LISTED`] lines under one label, and how many more there are.
    fn list(&mut self, label: &str, items: Vec<String>) {
        let rest = items.len().saturating_sub(LISTED);
        for (i, item) in items.into_iter().take(LISTED).enumerate() {
            if i == 0 { self.line(label, item) } else { self.more(item) }
        }
        if rest > 0 {
            self.more(format!("and {rest} more"));
        }
    }
}

fn render(outcome: &Outcome, style: Style) -> String {
    let mut lines = Lines { text: String::new(), style };
    input(outcome, &mut lines);
    account(outcome, &mut lines);
    when(outcome, &mut lines);
    alerts(outcome, &mut lines);
    let failures = outcome.rule_failures.iter();
    let failures = failures.map(|(rule, f)| safe(&format!("{rule} ({}): {}", times(f.times), f.reason)));
    lines.list("rules failed", failures.collect());
    lines.list("rejects", outcome.rejected.iter().map(|reject| safe(reject)).collect());
    blind(outcome, &mut lines);
    lines.list("notes", outcome.notes.iter().map(|note| safe(note)).collect());
    effort(outcome, &mut lines);
    lines.text
}

fn input(outcome: &Outcome, lines: &mut Lines) {
    let some = |f: &&FileReport| {
        matches!(f.status, FileStatus::Ok | FileStatus::Lacking(_) | FileStatus::Incomplete(_))
    };
    let read = outcome.files.iter().filter(some);
    let (read, all) = (read.count(), outcome.files.len());
    let files = if read == all { plural(all, "file") } else { format!("{read} of {}", plural(all, "file")) };
    lines.line("input", format!("{files}, {}", bytes(outcome.bytes)));
    let list = |holds: &dyn Fn(&FileStatus) -> bool| {
        let odd = outcome.files.iter().filter(|f| holds(&f.status));
        odd.map(|f| safe(&format!("{}: {}", f.path.display(), f.status))).collect::<Vec<_>>()
    };
    lines.list("not fully read", list(&|s| !matches!(s, FileStatus::Ok | FileStatus::Lacking(_))));
    lines.list("lacks columns", list(&|s| matches!(s, FileStatus::Lacking(_))));
    let broken = outcome.files.iter().filter(|f| f.status.is_lost()).count();
    if broken > 0 {
        let files = plural(broken, "file");
        lines.line(
            "incomplete",
            format!("{files} could not be read to the end: what was not read is missing below"),
        );
    }
    if outcome.counts.records == 0 {
        let found = if all == 0 { "no files were found" } else { "no records were found in them" };
        lines.line("nothing usable", format!("{found}; is this the right folder?"));
    }
}

fn account(outcome: &Outcome, lines: &mut Lines) {
    let counts = &outcome.counts;
    if counts.records == 0 {
        return;
    }
    lines.line("messages", number(counts.messages));
    lines.line("records", number(counts.records));
    let cut = match counts.truncated {
        0 => String::new(),
        n => format!(", {} of them cut", number(n)),
    };
    lines.line("  events", format!("{}{cut}", number(counts.events)));
    lines.line("  control plane", number(counts.control_plane));
    lines.line("  duplicates", number(counts.duplicates));
    let reasons = counts.rejects.iter().filter(|(_, n)| **n > 0);
    let reasons: Vec<String> =
        reasons.map(|(reason, n)| format!("{} {}", reason.as_str(), number(*n))).collect();
    let rejects = number(counts.rejects.values().sum());
    lines.line(
        "  rejected",
        if reasons.is_empty() { rejects } else { format!("{rejects}: {}", reasons.join(", ")) },
    );
    let mut categories: Vec<(&String, &u64)> = counts.categories.iter().collect();
    categories.sort_by_key(|(name, n)| (std::cmp::Reverse(**n), *name));
    let categories =
        categories.into_iter().map(|(name, n)| safe(&format!("{} {}", category(name), number(*n))));
    let categories: Vec<String> = categories.collect();
    let rest = categories.len().saturating_sub(LISTED);
    let mut text = categories.into_iter().take(LISTED).collect::<Vec<_>>().join(", ");
    if rest > 0 {
        text += &format!(", and {rest} more");
    }
    lines.line("categories", text);
}

fn when(outcome: &Outcome, lines: &mut Lines) {
    let counts = &outcome.counts;
    if let (Some(first), Some(last)) = (counts.first_event, counts.last_event) {
        let span = span(last.saturating_sub(first) / 1_000_000);
        let text = |micros| rfc3339(micros).unwrap_or_default();
        lines.line("time", format!("{} to {} ({span})", text(first), text(last)));
    }
    if let Some((hour, rows)) =
        counts.hours.iter().max_by_key(|(hour, rows)| (**rows, std::cmp::Reverse(**hour)))
        && counts.hours.len() > 1
    {
        let width = lines.style.width.unwrap_or(WIDTH).saturating_sub(LABEL).max(10);
        lines.line("by hour", sparkline(&counts.hours, width));
        let hour = rfc3339(hour.saturating_mul(HOUR)).unwrap_or_default();
        lines.line("busiest hour", format!("{hour} with {} rows", number(*rows)));
    }
}

/// What the input had no place for, and which rules that leaves blind.
fn blind(outcome: &Outcome, lines: &mut Lines) {
    let all = outcome.counts.events + outcome.counts.duplicates;
    for lack in &outcome.lacks {
        let of = format!("{} of {} events", number(lack.events.min(all)), number(all));
        lines.line("not carried", safe(&format!("{}: {of}", lack.what)));
        let rules = |rules: &[String]| {
            let rest = rules.len().saturating_sub(LISTED);
            let mut text = rules.iter().take(LISTED).map(|id| safe(id)).collect::<Vec<_>>().join(", ");
            if rest > 0 {
                text += &format!(", and {rest} more");
            }
            text
        };
        if !lack.blind.is_empty() {
            lines.line("  blind rules", rules(&lack.blind));
        }
        if !lack.weaker.is_empty() {
            lines.line("  weaker rules", rules(&lack.weaker));
        }
    }
}

fn alerts(outcome: &Outcome, lines: &mut Lines) {
    if outcome.counts.records == 0 {
        return;
    }
    let total: u64 = outcome.alerts_by_rule.values().sum();
    let severities: Vec<String> = Severity::ALL
        .into_iter()
        .filter_map(|severity| {
            let n = outcome.alerts_by_severity.get(&severity).filter(|n| **n > 0)?;
            Some(lines.style.paint(severity.into(), &format!("{severity} {}", number(*n))))
        })
        .collect();
    let total = number(total);
    lines.line(
        "alerts",
        if severities.is_empty() { total } else { format!("{total}: {}", severities.join(", ")) },
    );
    let mut rules: Vec<(&String, &u64)> = outcome.alerts_by_rule.iter().filter(|(_, n)| **n > 0).collect();
    rules.sort_by_key(|(rule, n)| (std::cmp::Reverse(**n), *rule));
    lines
        .list("  by rule", rules.into_iter().map(|(rule, n)| format!("{:>9}  {rule}", number(*n))).collect());
}

fn effort(outcome: &Outcome, lines: &mut Lines) {
    let seconds = outcome.elapsed.as_secs_f64();
    let mut text = format!("{seconds:.2} s");
    if seconds > 0.0 && outcome.counts.records > 0 {
        let rows = outcome.counts.events + outcome.counts.control_plane;
        // Rates are for reading; the fraction is of no use.
        let rate = |amount: u64| (amount as f64 / seconds) as u64;
        text += &format!(", {}/s, {} events/s", bytes(rate(outcome.bytes)), number(rate(rows)));
    }
    if outcome.peak_rss_bytes > 0 {
        text += &format!(", peak memory {}", bytes(outcome.peak_rss_bytes));
    }
    lines.line("elapsed", text);
}

/// Rows by hour between the first and the last, as bars; several hours share one where there are more
/// hours than room.
fn sparkline(hours: &BTreeMap<i64, u64>, width: usize) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let (Some((first, _)), Some((last, _))) = (hours.first_key_value(), hours.last_key_value()) else {
        return String::new();
    };
    let count = last.abs_diff(*first).saturating_add(1);
    let room = u64::try_from(width.max(1)).unwrap_or(1);
    let share = count.div_ceil(room);
    let mut buckets = vec![0_u64; usize::try_from(count.div_ceil(share)).unwrap_or(width)];
    for (hour, rows) in hours {
        let index = usize::try_from(hour.abs_diff(*first) / share).unwrap_or(usize::MAX);
        if let Some(bucket) = buckets.get_mut(index) {
            *bucket = bucket.saturating_add(*rows);
        }
    }
    let most = buckets.iter().copied().max().unwrap_or(0).max(1);
    let bar = |rows: u64| match rows {
        0 => ' ',
        rows => {
            let level = (u128::from(rows) * BARS.len() as u128).div_ceil(u128::from(most));
            usize::try_from(level)
                .ok()
                .and_then(|level| BARS.get(level.saturating_sub(1)))
                .copied()
                .unwrap_or('█')
        }
    };
    buckets.into_iter().map(bar).collect()
}

fn times(count: u64) -> String {
    if count == 1 { "once".into() } else { format!("{} times", number(count)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::Failure;
    use crate::event::{Counts, RejectReason};
    use crate::pipeline::lacks::Lack;
    use crate::source::files::Lacking;
    use std::time::Duration;

    fn report(path: &str, status: FileStatus) -> FileReport {
        FileReport { path: path.into(), bytes: 10, records: 0, status }
    }

    #[test]
    fn everything_is_said() {
        let counts = Counts {
            messages: 12,
            records: 12_345,
            events: 10_000,
            control_plane: 2_000,
            duplicates: 300,
            truncated: 7,
            composed: 9_000,
            metadata: 8_000,
            unnamed: 0,
            rejects: [(RejectReason::NotJson, 45)].into(),
            categories: [(String::new(), 5), ("kube-audit".to_owned(), 12_340)].into(),
            first_event: Some(0),
            last_event: Some(7_200_000_000),
            hours: [(0, 1), (2, 11_999)].into(),
        };
        let outcome = Outcome {
            counts,
            files: vec![
                report("a", FileStatus::Ok),
                report("b\u{1b}", FileStatus::NotALog(None)),
                report("c", FileStatus::Incomplete("gzip cut short".into())),
                report("d", FileStatus::Lacking(Lacking { columns: vec!["User"], zone: false })),
            ],
            bytes: 34_500_000,
            alerts_by_rule: [("few".to_owned(), 1), ("many".to_owned(), 1200)].into(),
            alerts_by_severity: [(Severity::Low, 1200), (Severity::Critical, 1)].into(),
            rejected: vec!["a: not_json: at byte 0".into()],
            rule_failures: [("bad".to_owned(), Failure { times: 2, reason: "overflow".into() })].into(),
            lacks: vec![Lack {
                what: "rows of AKSAudit have no impersonated user".into(),
                columns: vec!["impersonated_username"],
                events: 9_000,
                blind: vec!["one".into(), "two".into()],
                weaker: vec!["three".into()],
            }],
            notes: vec!["still learning".into()],
            elapsed: Duration::from_secs(2),
            peak_rss_bytes: 120_000_000,
        };
        let text = render(&outcome, Style::default());
        let expected = "\
input           3 of 4 files, 34.5 MB
not fully read  b\\u{1b}: not a log
                c: incomplete: gzip cut short
lacks columns   d: ok, without the column User
incomplete      1 file could not be read to the end: what was not read is missing below
messages        12
records         12,345
  events        10,000, 7 of them cut
  control plane 2,000
  duplicates    300
  rejected      45: not_json 45
categories      kube-audit 12,340, (none) 5
time            1970-01-01T00:00:00Z to 1970-01-01T02:00:00Z (2 h 0 min)
by hour         ▁ █
busiest hour    1970-01-01T02:00:00Z with 11,999 rows
alerts          1,201: critical 1, low 1,200
  by rule           1,200  many
                        1  few
rules failed    bad (2 times): overflow
rejects         a: not_json: at byte 0
not carried     rows of AKSAudit have no impersonated user: 9,000 of 10,300 events
  blind rules   one, two
  weaker rules  three
notes           still learning
elapsed         2.00 s, 17.2 MB/s, 6,000 events/s, peak memory 120.0 MB
";
        assert_eq!(text, expected);
    }

    #[test]
    fn nothing_usable_is_said() {
        let text = render(&Outcome::default(), Style::default());
        assert!(text.contains("nothing usable"), "{text}");
        assert!(text.contains("no files were found"), "{text}");
        assert!(!text.contains("alerts"), "{text}");
    }

    #[test]
    fn the_sparkline_never_exceeds_its_room() {
        let hours = |last: i64| BTreeMap::from([(0, 5), (last / 2, 1), (last, 10)]);
        for last in [1, 9, 10, 11, 1000, i64::MAX] {
            let line = sparkline(&hours(last), 10);
            assert!(line.chars().count() <= 10 && line.ends_with('█'), "{last}: {line}");
        }
        assert_eq!(sparkline(&BTreeMap::from([(i64::MIN, 1), (i64::MAX, 1)]), 4), "█  █");
    }
}
