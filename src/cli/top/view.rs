//! What `top` shows: a snapshot as lines, most important first, so that a low terminal shows most of it.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::poll::{Quantiles, Snapshot};
use crate::cli::terminal::{Style, Tint, safe};
use crate::telemetry::status::Partition;

/// Rules shown at most.
const RULES: usize = 10;
/// Lines that one trouble takes at most.
const TROUBLE_LINES: usize = 4;
const INDENT: &str = "  ";
/// Characters of the bar of the longest lag.
const BAR: usize = 24;

/// One line: pieces of text, each with its colour.
#[derive(Debug, Clone, Default)]
pub(super) struct Line(Vec<(Option<Tint>, String)>);

impl Line {
    fn new(text: impl Into<String>) -> Self {
        Self::default().then(text)
    }

    fn head(text: impl Into<String>) -> Self {
        Self::default().tinted(Tint::Dim, text)
    }

    fn then(mut self, text: impl Into<String>) -> Self {
        self.0.push((None, text.into()));
        self
    }

    fn tinted(mut self, tint: Tint, text: impl Into<String>) -> Self {
        self.0.push((Some(tint), text.into()));
        self
    }

    /// The line cut to `width` columns; `None` = whole.
    pub fn render(&self, style: Style, width: Option<usize>) -> String {
        let mut left = width.unwrap_or(usize::MAX);
        let mut line = String::new();
        for (tint, text) in &self.0 {
            let mut piece = String::new();
            for c in safe(text).chars() {
                let columns = c.width().unwrap_or(0);
                if columns > left {
                    left = 0;
                    break;
                }
                left -= columns;
                piece.push(c);
            }
            line.push_str(&tint.map_or_else(|| piece.clone(), |tint| style.paint(tint, &piece)));
        }
        line.truncate(line.trim_end_matches(' ').len());
        line
    }
}

/// Columns and rows there are; `None`: any number.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Room {
    pub width: Option<usize>,
    pub height: Option<usize>,
}

/// The whole view; `lost` is why the service could not be asked any more.
pub(super) fn frame(snapshot: &Snapshot, address: &str, lost: Option<&str>, room: Room) -> Vec<Line> {
    let Room { width, height } = room;
    let mut lines = state(snapshot, address, lost, width);
    lines.push(Line::default());
    lines.extend(numbers(snapshot));
    for block in [partitions(snapshot, height), sinks(snapshot, width), rules(snapshot), given_up(snapshot)] {
        if !block.is_empty() {
            lines.push(Line::default());
            lines.extend(block);
        }
    }
    if let Some(height) = height.filter(|height| lines.len() > *height) {
        lines.truncate(height.saturating_sub(1));
        lines.push(Line::head("… the terminal is too low for the rest"));
    }
    lines
}

fn state(snapshot: &Snapshot, address: &str, lost: Option<&str>, width: Option<usize>) -> Vec<Line> {
    let status = &snapshot.status;
    let mut head = Line::default().tinted(Tint::Bold, format!("aksentry {}", status.version));
    if !status.replica.is_empty() {
        head = head.then(format!("  {}", status.replica));
    }
    head = head.then(format!("  up {}  ", span(status.uptime_seconds)));
    let head = match (lost, status.ready) {
        (Some(_), _) => head.tinted(Tint::Critical, " LOST "),
        (None, true) => head.tinted(Tint::Low, "ready"),
        (None, false) => head.tinted(Tint::High, "NOT READY"),
    };
    let head = head.then(format!("  {address}"));
    let mut lines = vec![head];
    if let Some(lost) = lost {
        lines.extend(trouble(lost, width));
        lines.push(Line::head("  asking again every second; below is what was known last, q leaves"));
    }
    lines.extend(status.troubles.iter().flat_map(|text| trouble(text, width)));
    lines
}

/// What somebody should read to its end: on as many lines as it takes, within reason.
fn trouble(text: &str, width: Option<usize>) -> Vec<Line> {
    let room = width.unwrap_or(usize::MAX).saturating_sub(INDENT.len()).max(1);
    let mut lines: Vec<String> = Vec::new();
    for word in safe(text).split(' ') {
        match lines.last_mut() {
            Some(line) if line.width() + 1 + word.width() <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    if lines.len() > TROUBLE_LINES {
        lines.truncate(TROUBLE_LINES);
        if let Some(last) = lines.last_mut() {
            *last = fit(&format!("{last} …"), room).trim_end().to_owned();
        }
    }
    lines.into_iter().map(|line| Line::default().tinted(Tint::High, format!("{INDENT}{line}"))).collect()
}

fn numbers(snapshot: &Snapshot) -> Vec<Line> {
    let (status, rates) = (&snapshot.status, &snapshot.per_second);
    let rate = |value: f64| {
        if value < 10.0 { format!("{value:.1}/s") } else { format!("{}/s", count(value.round() as u64)) }
    };
    let cell = |name: &str, value: String| format!("{name:<12}{value:>12}   ");
    let delay = |quantiles: &Quantiles| match (quantiles.p50, quantiles.p99, quantiles.longest) {
        (Some(p50), Some(p99), _) => format!("half within {}, 99 % within {}", span(p50), span(p99)),
        (Some(p50), None, Some(longest)) => {
            format!("half within {}, the slowest above {}", span(p50), span(longest))
        }
        (None, _, Some(longest)) => format!("half above {}", span(longest)),
        _ => "not measured yet".to_owned(),
    };
    let age = |seconds: f64| if seconds > 0.0 { span(seconds) } else { "0 s".to_owned() };
    let mut lines = vec![
        Line::new(cell("messages", rate(rates.messages)))
            .then(cell("records", rate(rates.records)))
            .then(cell("events", rate(rates.events))),
        Line::new(cell("bytes", format!("{}/s", bytes(rates.bytes))))
            .then(cell("alerts", rate(rates.alerts)))
            .then(cell("since start", count(status.alerts))),
        Line::new(cell("commit age", age(status.commit_age_seconds)))
            .then(cell("window rows", count(status.window_rows)))
            .then(cell("outbox", bytes(status.outbox_bytes as f64))),
    ];
    if !snapshot.queue_bytes.is_empty() {
        let queues: Vec<String> = snapshot
            .queue_bytes
            .iter()
            .map(|(queue, size)| format!("{queue} {}", bytes(*size as f64)))
            .collect();
        lines.push(Line::new(format!("queues      {}", queues.join(", "))));
    }
    lines.push(Line::new(format!("event delay {}", delay(&snapshot.event_delay_seconds))));
    lines.push(Line::new(format!("alert delay {}", delay(&snapshot.alert_delay_seconds))));
    lines
}

/// Where there is not room for all, those that need looking at come first.
fn partitions(snapshot: &Snapshot, height: Option<usize>) -> Vec<Line> {
    let mut partitions: Vec<&Partition> = snapshot.status.partitions.iter().collect();
    let longest = partitions.iter().map(|partition| partition.lag).max().unwrap_or(0);
    // A quarter of the rows: sinks and rules want to be seen as well.
    let most = height.map_or(usize::MAX, |height| (height / 4).max(2));
    let mut rest = Vec::new();
    if partitions.len() > most {
        partitions.sort_by_key(|partition| (!partition.stalled, std::cmp::Reverse(partition.lag)));
        rest = partitions.split_off(most.saturating_sub(1));
    }
    let mut lines = Vec::new();
    for partition in partitions {
        let share = if longest > 0 { partition.lag as f64 / longest as f64 } else { 0.0 };
        let full = ((share * BAR as f64).ceil() as usize).min(BAR);
        let name = fit(&partition.partition, 12);
        let line =
            Line::new(format!("{name}{:>14}{:>12}  ", count(partition.messages), count(partition.lag)))
                .tinted(Tint::Low, "█".repeat(full))
                .tinted(Tint::Dim, "·".repeat(BAR - full));
        lines.push(if partition.stalled { line.tinted(Tint::High, "  STALLED") } else { line });
    }
    if !rest.is_empty() {
        let messages = count(rest.iter().map(|partition| partition.messages).sum());
        let lag = count(rest.iter().map(|partition| partition.lag).sum());
        let others = format!("{} others", rest.len());
        lines.push(Line::head(format!("{others:<12}{messages:>14}{lag:>12}")));
    }
    if !lines.is_empty() {
        lines.insert(0, Line::head(format!("{:<12}{:>14}{:>12}", "PARTITION", "MESSAGES", "LAG")));
    }
    lines
}

fn sinks(snapshot: &Snapshot, width: Option<usize>) -> Vec<Line> {
    let mut lines = Vec::new();
    for sink in &snapshot.status.sinks {
        let oldest = if sink.waiting > 0 { span(sink.oldest_seconds) } else { "-".to_owned() };
        lines.push(Line::new(format!(
            "{}{:>9}{:>12}{:>11}{:>9}{:>9}",
            fit(&sink.sink, 16),
            count(sink.waiting),
            oldest,
            count(sink.delivered),
            count(sink.retries),
            count(sink.refused)
        )));
        lines.extend(sink.error.iter().flat_map(|error| trouble(error, width)));
    }
    if !lines.is_empty() {
        let head = format!(
            "{:<16}{:>9}{:>12}{:>11}{:>9}{:>9}",
            "SINK", "WAITING", "OLDEST", "DELIVERED", "RETRIES", "REFUSED"
        );
        lines.insert(0, Line::head(head));
    }
    lines
}

fn rules(snapshot: &Snapshot) -> Vec<Line> {
    let seconds = |rule: &str| snapshot.rule_seconds.get(rule).copied().unwrap_or(0.0);
    let rules = &snapshot.status.rules;
    let mut lines: Vec<Line> = rules
        .iter()
        .take(RULES)
        .map(|rule| {
            let busy = span(seconds(&rule.rule));
            Line::new(format!("{}{:>10}{busy:>12}", fit(&rule.rule, 40), count(rule.alerts)))
        })
        .collect();
    if rules.len() > RULES {
        lines.push(Line::head(format!("and {} more", rules.len() - RULES)));
    }
    if !lines.is_empty() {
        lines.insert(0, Line::head(format!("{:<40}{:>10}{:>12}", "RULE", "ALERTS", "BUSY")));
    }
    lines
}

/// What could not be used: rejects, dead letters, drops.
fn given_up(snapshot: &Snapshot) -> Vec<Line> {
    let status = &snapshot.status;
    let good = ["event", "control_plane", "duplicate"];
    let rejects = status.records.iter().filter(|(name, _)| !good.contains(&name.as_str()));
    let block = |title: &str, tint: Tint, items: Vec<(&String, &u64)>| {
        let items: Vec<String> = items
            .into_iter()
            .filter(|(_, number)| **number > 0)
            .map(|(reason, number)| format!("{reason} {}", count(*number)))
            .collect();
        let line = Line::head(format!("{title:<14}")).tinted(tint, items.join(", "));
        (!items.is_empty()).then_some(line)
    };
    [
        block("REJECTS", Tint::Medium, rejects.collect()),
        block("DEAD LETTERS", Tint::Medium, status.dead_letters.iter().collect()),
        block("DROPPED", Tint::High, status.dropped.iter().collect()),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Text cut or filled to so many columns.
fn fit(text: &str, width: usize) -> String {
    let text = safe(text);
    let mut fitted = String::new();
    for c in text.chars() {
        // One column stays empty, so that neighbours do not touch.
        if fitted.width() + c.width().unwrap_or(0) >= width {
            fitted.pop();
            fitted.push('…');
            break;
        }
        fitted.push(c);
    }
    let missing = width.saturating_sub(fitted.width());
    fitted.push_str(&" ".repeat(missing));
    fitted
}

/// A whole number with its thousands apart.
fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (at, c) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(c);
    }
    text
}

fn bytes(value: f64) -> String {
    let units = ["B", "KB", "MB", "GB", "TB"];
    let mut value = value;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = usize::from(unit > 0 && value < 100.0);
    format!("{value:.digits$} {}", units.get(unit).copied().unwrap_or_default())
}

fn span(seconds: f64) -> String {
    let whole = seconds as u64;
    match whole {
        0 if seconds <= 0.0 => "0 s".to_owned(),
        0 if seconds < 0.001 => "< 1 ms".to_owned(),
        0 => format!("{:.0} ms", seconds * 1000.0),
        1..=9 => format!("{seconds:.1} s"),
        10..=119 => format!("{whole} s"),
        120..=7199 => format!("{} min", whole / 60),
        7200..=172_799 => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
        _ => format!("{} d {} h", whole / 86_400, whole % 86_400 / 3600),
    }
}

#[cfg(test)]
#[path = "view_tests.rs"]
mod tests;
