//! What is missing from the log, as far as the log can tell: stretches without a record, cut and rejected
//! records, files that could not be read, and rules that could not speak.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::Report;
use super::html::{text, time};
use super::page::plural_u64;
use super::survey::{MAX_STRIPS, Strip};
use crate::event::figures::{number, plural, span};
use crate::event::{HOUR, cluster_name};
use crate::pipeline::lacks::Lack;
use crate::source::files::FileStatus;

/// Fields a strip is drawn in at most.
const FIELDS: i64 = 240;
/// Gaps listed one by one.
const LISTED: usize = 100;
/// A category that is silent in no more than this share of the time is expected to be there: percent.
const STEADY: u64 = 25;

/// A stretch without a record between the first and the last record of its cluster, in intervals.
struct Gap<'a> {
    cluster: &'a str,
    category: &'a str,
    from: i64,
    length: u64,
    steady: bool,
}

/// All strips on one scale.
struct Strips<'a> {
    /// Microseconds of an interval.
    width: i64,
    list: Vec<Drawn<'a>>,
}

struct Drawn<'a> {
    cluster: &'a str,
    category: &'a str,
    strip: Strip,
    /// Intervals between the first and the last of the cluster, both included.
    span: Option<(i64, i64)>,
}

impl<'a> Strips<'a> {
    fn of(report: &'a Report<'_>) -> Strips<'a> {
        let strips = &report.survey.strips;
        let joined = strips.values().flat_map(BTreeMap::values).map(|s| s.hours.joined()).max().unwrap_or(0);
        let (mut list, mut width) = (Vec::new(), HOUR);
        for (cluster, strips) in strips {
            let strips: Vec<(&String, Strip)> = strips
                .iter()
                .map(|(category, strip)| {
                    let mut strip = strip.clone();
                    strip.hours.join(joined);
                    (category, strip)
                })
                .collect();
            let first = strips.iter().filter_map(|(_, s)| s.hours.intervals().keys().next()).min();
            let last = strips.iter().filter_map(|(_, s)| s.hours.intervals().keys().next_back()).max();
            let span = first.copied().zip(last.copied());
            for (category, strip) in strips {
                width = strip.hours.width();
                list.push(Drawn { cluster, category, strip, span });
            }
        }
        Strips { width, list }
    }

    /// The first and the last interval of all clusters.
    fn ends(&self) -> Option<(i64, i64)> {
        let spans = self.list.iter().filter_map(|drawn| drawn.span);
        spans.reduce(|all, one| (all.0.min(one.0), all.1.max(one.1)))
    }

    /// Clusters that begin or end more than an interval after the first or before the last of all: cluster,
    /// whether it is the end, and from when.
    fn edges(&self) -> Vec<(&'a str, bool, i64)> {
        let Some((first, last)) = self.ends() else { return Vec::new() };
        let mut clusters: Vec<(&str, (i64, i64))> =
            self.list.iter().filter_map(|drawn| Some((drawn.cluster, drawn.span?))).collect();
        clusters.dedup();
        let late = clusters
            .iter()
            .filter(|(_, span)| span.0 > first.saturating_add(1))
            .map(|(name, span)| (*name, false, span.0));
        let early = clusters
            .iter()
            .filter(|(_, span)| span.1.saturating_add(1) < last)
            .map(|(name, span)| (*name, true, span.1.saturating_add(1)));
        early.chain(late).collect()
    }

    /// Stretches without records, the longest first.
    fn gaps(&self) -> Vec<Gap<'a>> {
        let mut gaps = Vec::new();
        for drawn in &self.list {
            let Some((first, last)) = drawn.span else { continue };
            let steady = drawn.is_steady();
            let mut expected = first;
            let after = last.saturating_add(1);
            for at in drawn.strip.hours.intervals().keys().copied().chain([after]) {
                // An interval at either end is covered in part, so one without a record says nothing.
                let partial = at == expected.saturating_add(1) && (expected == first || at == after);
                if at > expected && !partial {
                    let (cluster, category) = (drawn.cluster, drawn.category);
                    gaps.push(Gap {
                        cluster,
                        category,
                        from: expected,
                        length: at.abs_diff(expected),
                        steady,
                    });
                }
                expected = at.saturating_add(1);
            }
        }
        gaps.sort_by_key(|gap| (std::cmp::Reverse(gap.length), gap.from));
        gaps
    }
}

impl Drawn<'_> {
    /// Intervals its cluster logged over.
    fn length(&self) -> u64 {
        self.span.map_or(0, |(first, last)| last.abs_diff(first).saturating_add(1))
    }

    /// Whether it logs most of the time, so that silence says something.
    fn is_steady(&self) -> bool {
        self.missing().saturating_mul(100) <= self.length().saturating_mul(STEADY)
    }

    /// Those of them without a record.
    fn missing(&self) -> u64 {
        self.length().saturating_sub(self.strip.hours.intervals().len() as u64)
    }
}

/// What a reader must know before trusting silence, in short.
pub fn warnings(report: &Report<'_>) -> Vec<String> {
    let mut warnings = Vec::new();
    let odd = odd_files(report).len();
    if odd > 0 {
        warnings.push(format!("{} not fully read: the account is incomplete", plural(odd, "file")));
    }
    let rejected: u64 = report.outcome.counts.rejects.values().sum();
    if rejected > 0 {
        warnings.push(format!("{} rejected", plural_u64(rejected, "record")));
    }
    if report.outcome.counts.truncated > 0 {
        warnings.push(format!("{} cut", plural_u64(report.outcome.counts.truncated, "record")));
    }
    let strips = Strips::of(report);
    for (cluster, _, at) in strips.edges().into_iter().filter(|(_, ended, _)| *ended).take(5) {
        let when = time(at.saturating_mul(strips.width));
        warnings.push(format!("{} has no record after {when}, others have", text(shown_cluster(cluster))));
    }
    let gaps = strips.gaps().iter().filter(|gap| gap.steady).count();
    if gaps > 0 {
        warnings.push(format!("{} in categories that are otherwise steady", plural(gaps, "gap")));
    }
    if !report.blind.is_empty() {
        warnings.push(format!("{} blind on this input", plural(report.blind.len(), "rule")));
    }
    let lacking = report.outcome.lacks.iter().filter(|lack| !lack.blind.is_empty()).count();
    if lacking > 0 {
        warnings.push("the input does not carry what some rules read".into());
    }
    if !report.outcome.rule_failures.is_empty() {
        warnings.push(format!("{} failed", plural(report.outcome.rule_failures.len(), "rule")));
    }
    warnings
}

fn odd_files<'a>(report: &'a Report<'_>) -> Vec<&'a crate::source::files::FileReport> {
    let odd =
        |status: &FileStatus| !matches!(status, FileStatus::Ok | FileStatus::Empty | FileStatus::Lacking(_));
    report.outcome.files.iter().filter(|file| odd(&file.status)).collect()
}

/// Writes the section.
pub fn write(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "<section id=\"completeness\" aria-labelledby=\"completeness-h\"><h2 id=\"completeness-h\">Completeness</h2>"
    )?;
    let strips = Strips::of(report);
    pictures(report, &strips, out)?;
    gaps(&strips, out)?;
    let counts = &report.outcome.counts;
    list(out, "Cut records", &cut(report), "None: every record ended where its text did.")?;
    let rejects: Vec<String> = counts
        .rejects
        .iter()
        .filter(|(_, n)| **n > 0)
        .map(|(reason, n)| format!("{} <code>{}</code>", number(*n), reason.as_str()))
        .chain(report.outcome.rejected.iter().map(|reject| format!("for example {}", text(reject))))
        .collect();
    list(out, "Rejected records", &rejects, "None.")?;
    let duplicates = match counts.duplicates {
        0 => Vec::new(),
        n => vec![format!("{} came again and count once", plural_u64(n, "record"))],
    };
    list(out, "Duplicates", &duplicates, "None.")?;
    let files: Vec<String> = odd_files(report)
        .iter()
        .map(|file| format!("{}: {}", text(&file.path.to_string_lossy()), text(&file.status.to_string())))
        .collect();
    list(out, "Files not fully read", &files, "None: every file was read to its end.")?;
    list(out, "Not carried by the input", &lacks(report), "Nothing is known to be.")?;
    let blind: Vec<String> = report
        .blind
        .iter()
        .map(|(rule, needs)| format!("<code>{}</code> needs {}", text(rule), text(needs)))
        .collect();
    list(out, "Rules blind on this input", &blind, "None: the input has a category each rule can read.")?;
    let failures = report.outcome.rule_failures.iter().map(|(rule, failure)| {
        format!(
            "<code>{}</code> failed {}: {}",
            text(rule),
            plural_u64(failure.times, "time"),
            text(&failure.reason)
        )
    });
    let notes = report.outcome.notes.iter().map(|note| text(note).to_string());
    let limited: Vec<String> = failures.chain(notes).collect();
    list(out, "Rules that could not speak, and other notes", &limited, "None.")?;
    writeln!(out, "</section>")
}

/// Columns that the formats of the input have no place for, and what that does to the rules.
fn lacks(report: &Report<'_>) -> Vec<String> {
    let all = report.outcome.counts.events + report.outcome.counts.duplicates;
    let codes = |rules: &[String]| {
        rules.iter().map(|rule| format!("<code>{}</code>", text(rule))).collect::<Vec<_>>().join(", ")
    };
    let lack = |lack: &Lack| {
        let (events, all) = (number(lack.events.min(all)), number(all));
        let mut line = format!("{}: {events} of {all} events", text(&lack.what));
        if !lack.blind.is_empty() {
            line += &format!("; blind on those: {}", codes(&lack.blind));
        }
        if !lack.weaker.is_empty() {
            line += &format!("; weaker: {}", codes(&lack.weaker));
        }
        line
    };
    let files = report.outcome.files.iter().filter(|file| matches!(file.status, FileStatus::Lacking(_)));
    let file = |file: &crate::source::files::FileReport| {
        format!("{}: {}", text(&file.path.to_string_lossy()), text(&file.status.to_string()))
    };
    report.outcome.lacks.iter().map(lack).chain(files.map(file)).collect()
}

fn cut(report: &Report<'_>) -> Vec<String> {
    let strips = report.survey.strips.iter();
    let mut cut: Vec<String> = strips
        .flat_map(|(cluster, strips)| strips.iter().map(move |(category, strip)| (cluster, category, strip)))
        .filter(|(.., strip)| strip.cut > 0)
        .map(|(cluster, category, strip)| {
            format!("{} of {} {}", number(strip.cut), text(shown_cluster(cluster)), text(shown(category)))
        })
        .collect();
    if !cut.is_empty() {
        cut.push(
            "a cut record keeps what came before the cut; annotations and the response are what is lost"
                .into(),
        );
    }
    cut
}

fn shown(category: &str) -> &str {
    if category.is_empty() { "(no category)" } else { category }
}

fn shown_cluster(cluster: &str) -> &str {
    if cluster.is_empty() { "(no cluster)" } else { cluster_name(cluster) }
}

/// A heading with a list of HTML items, or what it means that there are none.
fn list(out: &mut dyn Write, title: &str, items: &[String], none: &str) -> io::Result<()> {
    writeln!(out, "<h3>{title}</h3>")?;
    if items.is_empty() {
        return writeln!(out, "<p>{none}</p>");
    }
    let shown: String = items.iter().take(500).map(|item| format!("<li>{item}</li>")).collect();
    let rest = match items.len().saturating_sub(500) {
        0 => String::new(),
        n => format!("<li>and {} more</li>", number(n as u64)),
    };
    writeln!(out, "<ul>{shown}{rest}</ul>")
}

fn pictures(report: &Report<'_>, strips: &Strips<'_>, out: &mut dyn Write) -> io::Result<()> {
    let Some((first, last)) = strips.ends() else {
        return writeln!(out, "<p>No record in range has a time.</p>");
    };
    let length = i64::try_from(last.abs_diff(first)).unwrap_or(i64::MAX).saturating_add(1);
    let share = length / FIELDS + i64::from(length % FIELDS != 0);
    let each = span(strips.width.saturating_mul(share) / 1_000_000);
    writeln!(
        out,
        "<p class=\"note\">Records by cluster and category from {} to {}, {each} a field, the stronger the colour the more. \
         <span class=\"key gap\"></span> marks silence of a category that is otherwise steady, <span class=\"key quiet\"></span> that of one \
         that logs now and then; both only where the cluster logged something else. What comes before a cluster's first record, or \
         after its last, the log cannot tell.</p>\
         <div class=\"wide\"><table class=\"strips\"><thead><tr><th scope=\"col\">cluster</th><th scope=\"col\">category</th>\
         <th scope=\"col\" class=\"n\">records</th><th scope=\"col\" class=\"n\">silent</th><th scope=\"col\">when</th></tr></thead><tbody>",
        time(first.saturating_mul(strips.width)),
        time(last.saturating_add(1).saturating_mul(strips.width)),
    )?;
    for drawn in &strips.list {
        let silent = drawn.missing().saturating_mul(100) / drawn.length().max(1);
        writeln!(
            out,
            "<tr><td title=\"{}\">{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{silent} %</td><td class=\"picture\">{}</td></tr>",
            text(drawn.cluster),
            text(shown_cluster(drawn.cluster)),
            text(shown(drawn.category)),
            number(drawn.strip.rows),
            draw(drawn, first, share, length),
        )?;
    }
    writeln!(out, "</tbody></table></div>")?;
    if report.survey.unstripped > 0 {
        writeln!(
            out,
            "<p class=\"warn\">{} of other clusters and categories: only {MAX_STRIPS} pairs are told apart.</p>",
            plural_u64(report.survey.unstripped, "record")
        )?;
    }
    if report.survey.timeless > 0 {
        writeln!(out, "<p>{} without a time.</p>", plural_u64(report.survey.timeless, "record"))?;
    }
    Ok(())
}

/// One strip as a picture.
fn draw(drawn: &Drawn<'_>, first: i64, share: i64, length: i64) -> String {
    let fields = length / share + i64::from(length % share != 0);
    let field = |at: i64| at.saturating_sub(first) / share;
    let mut filled: BTreeMap<i64, (u64, i64)> = BTreeMap::new();
    for (at, rows) in drawn.strip.hours.intervals() {
        let (all, intervals) = filled.entry(field(*at)).or_default();
        *all = all.saturating_add(*rows);
        *intervals += 1;
    }
    let most = filled.values().map(|(rows, _)| *rows).max().unwrap_or(1).max(1);
    let Some((from, to)) = drawn.span else { return String::new() };
    let steady = drawn.is_steady();
    let class = |at: i64| {
        // How many intervals of the field lie in the time its cluster logged over.
        let begin = first.saturating_add(at.saturating_mul(share)).max(from);
        let end = first.saturating_add(at.saturating_add(1).saturating_mul(share)).min(to.saturating_add(1));
        match filled.get(&at) {
            None if steady && at != field(from) && at != field(to) => "gap",
            None => "quiet",
            Some((_, intervals)) if steady && *intervals < end.saturating_sub(begin) => "some",
            // By the logarithm, as the busiest category has thousands of times the rows of the quietest.
            Some((rows, _)) => {
                let level = (*rows as f64).ln_1p() / (most as f64).ln_1p();
                if level > 0.75 {
                    "l4"
                } else if level > 0.5 {
                    "l3"
                } else if level > 0.25 {
                    "l2"
                } else {
                    "l1"
                }
            }
        }
    };
    let mut svg = format!(
        "<svg viewBox=\"0 0 {fields} 10\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{} of {} intervals without records\">",
        number(drawn.missing()),
        number(drawn.length())
    );
    let (mut at, end) = (field(from), field(to));
    while at <= end {
        let (begin, kind) = (at, class(at));
        while at <= end && class(at) == kind {
            at += 1;
        }
        svg += &format!("<rect class=\"{kind}\" x=\"{begin}\" width=\"{}\" height=\"10\"/>", at - begin);
    }
    svg + "</svg>"
}

fn gaps(strips: &Strips<'_>, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "<h3>Gaps</h3>")?;
    let edges = strips.edges();
    if !edges.is_empty() {
        let edge = |(cluster, ended, at): &(&str, bool, i64)| {
            let (when, cluster) = (time(at.saturating_mul(strips.width)), text(shown_cluster(cluster)));
            if *ended {
                format!("<li><strong>{cluster} has no record after {when}</strong>, other clusters have</li>")
            } else {
                format!("<li>{cluster} has no record before {when}, other clusters have</li>")
            }
        };
        writeln!(out, "<ul>{}</ul>", edges.iter().take(LISTED).map(edge).collect::<String>())?;
    }
    let (steady, others): (Vec<_>, Vec<_>) = strips.gaps().into_iter().partition(|gap| gap.steady);
    writeln!(
        out,
        "<p class=\"note\">Stretches of {} or more without a record of a category while its cluster logged others. A category is \
         steady if it is silent for at most {STEADY} % of the time.</p>",
        span(strips.width / 1_000_000)
    )?;
    stretches("of steady categories", &steady, strips.width, true, out)?;
    stretches("of categories that log now and then", &others, strips.width, false, out)
}

fn stretches(of: &str, gaps: &[Gap<'_>], width: i64, open: bool, out: &mut dyn Write) -> io::Result<()> {
    if gaps.is_empty() {
        return writeln!(out, "<p>No gap {of}.</p>");
    }
    writeln!(
        out,
        "<details class=\"in{}\"><summary>{} {of}</summary>\
         <div class=\"wide\"><table><thead><tr><th scope=\"col\">cluster</th><th scope=\"col\">category</th><th scope=\"col\">from</th>\
         <th scope=\"col\">to</th><th scope=\"col\">for</th></tr></thead><tbody>",
        if open { "\" open=\"" } else { " paperless" },
        plural(gaps.len(), "gap"),
    )?;
    for gap in gaps.iter().take(LISTED) {
        let length = i64::try_from(gap.length).unwrap_or(i64::MAX);
        writeln!(
            out,
            "<tr><td title=\"{}\">{}</td><td>{}</td><td class=\"t\">{}</td><td class=\"t\">{}</td><td class=\"t\">{}</td></tr>",
            text(gap.cluster),
            text(shown_cluster(gap.cluster)),
            text(shown(gap.category)),
            time(gap.from.saturating_mul(width)),
            time(gap.from.saturating_add(length).saturating_mul(width)),
            span(length.saturating_mul(width / 1_000_000)),
        )?;
    }
    writeln!(out, "</tbody></table></div>")?;
    let rest = gaps.len().saturating_sub(LISTED);
    if rest > 0 {
        writeln!(out, "<p>{} not listed.</p>", plural(rest, "shorter gap"))?;
    }
    writeln!(out, "</details>")
}
