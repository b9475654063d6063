//! `aksentry test`: the cases of the detections, each run three ways.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;

use super::args::Selection;
use super::output::stdout;
use super::{Context, Exit, backtest, engine, terminal};
use crate::alert::Status;
use crate::pipeline::cases::{CaseResult, CaseRunner};
use crate::rules::{Case, Catalog, Detection, Diagnostic, Level};

#[derive(Debug, Args)]
pub(super) struct Test {
    /// Only these rules: ids, detection files, or folders of them; with --backtest the archives
    #[arg(value_name = "PATH")]
    only: Vec<String>,
    /// Run this rule (id or file) over the archives PATH, beside its committed version; of a query say
    /// what it needs to become a rule
    #[arg(long, value_name = "RULE|FILE")]
    backtest: Option<String>,
    #[command(flatten)]
    selection: Selection,
    /// Write the alerts of each case as those it expects
    #[arg(long)]
    bless: bool,
    /// Write the results as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

impl Test {
    pub fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let others = self.bless || self.junit.is_some();
        backtest::check_flags(self.backtest.is_some(), &self.selection, others, &self.only)?;
        if let Some(rule) = &self.backtest {
            return backtest::run(context, rule, &self.selection.options(&self.only, context.now)?);
        }
        let (catalog, problems) = engine::load(context)?;
        if self.bless && catalog.origin.is_none() {
            bail!(
                "--bless writes beside the detections, and those in this program are not files; give --detections DIR"
            );
        }
        let mut results = Vec::new();
        // Of a rule that did not load there are no cases to run; that must not pass unseen.
        for problem in problems.iter().filter(|p| p.level == Level::Error) {
            if self.only.is_empty() || self.only.iter().any(|only| concerns(only, &problem.path)) {
                results.push(failed(&stem(&problem.path), "(rule)", problem.to_string()));
            }
        }
        for rule in self.rules(&catalog)? {
            results.extend(run_rule(rule, &catalog, self.bless, context.terminal.quiet)?);
        }
        report(&results).context("writing results to standard output")?;
        if let Some(path) = &self.junit {
            fs::write(path, junit(&results))
                .with_context(|| format!("writing --junit {}", path.display()))?;
        }
        let failures = results.iter().filter(|r| r.failure.is_some()).count();
        if !context.terminal.quiet {
            let took: Duration = results.iter().map(|r| r.elapsed).sum();
            terminal::say(&format!(
                "{} cases, {failures} failed, {:.1} s",
                results.len(),
                took.as_secs_f64()
            ));
        }
        Ok(if failures > 0 { Exit::Failed } else { Exit::Done })
    }

    /// The rules that were asked for; every argument must ask for one.
    fn rules<'a>(&self, catalog: &'a Catalog) -> anyhow::Result<Vec<&'a Detection>> {
        for only in &self.only {
            if !catalog.detections.iter().any(|rule| is_meant(only, rule)) {
                if Path::new(only).exists() {
                    bail!("no detection in {only} can be tested; `aksentry check` shows what is wrong there");
                }
                engine::detection(catalog, only)?;
            }
        }
        let meant =
            |rule: &&Detection| self.only.is_empty() || self.only.iter().any(|only| is_meant(only, rule));
        Ok(catalog.detections.iter().filter(meant).collect())
    }
}

fn is_meant(only: &str, rule: &Detection) -> bool {
    rule.id == only || concerns(only, &rule.path)
}

/// Whether the argument is this file, or a folder it lies in, however either is written.
fn concerns(only: &str, path: &Path) -> bool {
    match (fs::canonicalize(only), fs::canonicalize(path)) {
        (Ok(only), Ok(path)) => path.starts_with(&only) || path.with_extension("") == only,
        _ => stem(path) == only || path.starts_with(only),
    }
}

fn stem(path: &Path) -> String {
    path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default()
}

fn failed(rule: &str, case: &str, failure: String) -> CaseResult {
    CaseResult {
        rule: rule.to_owned(),
        case: case.to_owned(),
        elapsed: Duration::ZERO,
        alerts: String::new(),
        failure: Some(failure),
    }
}

fn run_rule(
    rule: &Detection,
    catalog: &Catalog,
    bless: bool,
    quiet: bool,
) -> anyhow::Result<Vec<CaseResult>> {
    let lines = |found: Vec<Diagnostic>| found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let mut runner = match CaseRunner::new(rule, catalog) {
        Ok(runner) => runner,
        Err(found) => return Ok(vec![failed(&rule.id, "(rule)", lines(found))]),
    };
    let (cases, problems) = catalog.cases(rule);
    let mut results = Vec::new();
    let (errors, warnings): (Vec<_>, Vec<_>) = problems.into_iter().partition(|p| p.level == Level::Error);
    if !errors.is_empty() {
        results.push(failed(&rule.id, "(cases)", lines(errors)));
    }
    // What a draft does is not settled yet, so it may be without cases.
    if rule.status != Status::Draft && !quiet {
        warnings.iter().for_each(|warning| terminal::say(&warning.to_string()));
    }
    for mut case in cases {
        if bless {
            case.expected = None;
        }
        let result = runner.run(&case);
        // A silent case's name says all there is to expect.
        if bless && result.failure.is_none() && case.expects_alerts {
            write_expected(&case, &result)?;
        }
        results.push(result);
    }
    Ok(results)
}

fn write_expected(case: &Case, result: &CaseResult) -> anyhow::Result<()> {
    let path = case.expected_path();
    if fs::read_to_string(&path).is_ok_and(|text| text == result.alerts) {
        return Ok(());
    }
    fs::write(&path, &result.alerts).with_context(|| format!("writing {}", path.display()))?;
    terminal::say(&format!("wrote {}", path.display()));
    Ok(())
}

fn report(results: &[CaseResult]) -> std::io::Result<()> {
    let mut out = stdout();
    for result in results {
        let Some(failure) = &result.failure else { continue };
        let mut lines = failure.lines();
        writeln!(out, "FAIL {}/{}: {}", result.rule, result.case, lines.next().unwrap_or_default())?;
        for line in lines {
            writeln!(out, "    {line}")?;
        }
    }
    out.flush()
}

/// JUnit XML, a suite a rule.
fn junit(results: &[CaseResult]) -> String {
    let failures = |results: &[CaseResult]| results.iter().filter(|r| r.failure.is_some()).count();
    let seconds = |results: &[CaseResult]| results.iter().map(|r| r.elapsed.as_secs_f64()).sum::<f64>();
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let counts = |results: &[CaseResult]| {
        let (all, failed, time) = (results.len(), failures(results), seconds(results));
        format!("tests=\"{all}\" failures=\"{failed}\" time=\"{time:.3}\"")
    };
    text += &format!("<testsuites {}>\n", counts(results));
    for suite in results.chunk_by(|a, b| a.rule == b.rule) {
        let rule = suite.first().map_or("", |r| r.rule.as_str());
        text += &format!("  <testsuite name=\"{}\" {}>\n", xml(rule), counts(suite));
        for result in suite {
            let (case, time) = (xml(&result.case), result.elapsed.as_secs_f64());
            text += &format!("    <testcase classname=\"{}\" name=\"{case}\" time=\"{time:.3}\"", xml(rule));
            match &result.failure {
                None => text += "/>\n",
                Some(failure) => {
                    let first = xml(failure.lines().next().unwrap_or_default());
                    text += &format!(">\n      <failure message=\"{first}\">{}</failure>\n", xml(failure));
                    text += "    </testcase>\n";
                }
            }
        }
        text += "  </testsuite>\n";
    }
    text + "</testsuites>\n"
}

/// Text inside XML; characters XML does not have at all become question marks.
fn xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            c if c.is_control() && !matches!(c, '\n' | '\t') => escaped.push('?'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn junit_names_each_failure() {
        let passed = CaseResult { failure: None, ..failed("a", "fires-x", String::new()) };
        let results = [
            passed,
            failed("a", "silent-y", "one <alert>\n+ \"x\"\u{1b}".into()),
            failed("b", "c", "z".into()),
        ];
        let text = junit(&results);
        assert!(text.contains("<testsuites tests=\"3\" failures=\"2\""), "{text}");
        assert!(text.contains("<testsuite name=\"a\" tests=\"2\" failures=\"1\""), "{text}");
        assert!(text.contains("name=\"fires-x\" time=\"0.000\"/>"), "{text}");
        let failure = "<failure message=\"one &lt;alert&gt;\">one &lt;alert&gt;\n+ &quot;x&quot;?</failure>";
        assert!(text.contains(failure), "{text}");
    }

    #[test]
    fn a_rule_is_meant_by_id_file_folder_or_its_cases() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("execution/pod-exec.sql");
        fs::create_dir_all(path.with_extension("")).unwrap();
        fs::write(&path, "").unwrap();
        for meant in
            [dir.path().to_path_buf(), path.clone(), path.with_extension(""), path.parent().unwrap().into()]
        {
            assert!(concerns(&meant.to_string_lossy(), &path), "{meant:?}");
        }
        assert!(concerns("pod-exec", &path));
        assert!(!concerns("pod", &path));
    }
}
