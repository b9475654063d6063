//! A detection's cases: example events that must raise the alerts written beside them, or none.
//!
//! Each case runs three ways: all rows in one batch; one row a batch with windows evaluated as the
//! watermark moves; and live, cut in the middle with the engine rebuilt from its snapshot, as after a
//! restart, where windows that more rows can only add to are evaluated at once. All three must raise
//! the same alerts.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use serde_json::{Map, Value, json};

use crate::alert::Alert;
use crate::decode::{Decoder, Dedup};
use crate::detect::{Emission, Engine, EngineConfig, Watermarks};
use crate::event::{Batch, Counts, RawBatch, Table};
use crate::rules::{Case, Catalog, Detection, Diagnostic, Kind};

/// How late a row of a case may come and still be counted: cases are written in order.
const LATENESS: TimeDelta = TimeDelta::minutes(10);

/// What became of one case.
#[derive(Debug)]
pub struct CaseResult {
    pub rule: String,
    pub case: String,
    pub elapsed: Duration,
    /// The alerts it raised, as they stand in `<case>.alerts.json`.
    pub alerts: String,
    /// Why it failed; several lines, the first says it in short.
    pub failure: Option<String>,
}

/// Runs the cases of one rule; the rule is planned once.
pub struct CaseRunner {
    engine: Engine,
}

impl CaseRunner {
    /// Plans `rule` with the lists of `catalog`. Of addresses it knows what lies beside the cases and
    /// nothing else, so that they give the same alerts everywhere.
    pub fn new(rule: &Detection, catalog: &Catalog) -> Result<Self, Vec<Diagnostic>> {
        let geoip = catalog.case_networks(rule)?.into();
        let alone = Catalog { detections: vec![rule.clone()], geoip, ..catalog.clone() };
        let config = EngineConfig { replayed: false, drafts: true, ..EngineConfig::default() };
        Ok(Self { engine: Engine::compile(&alone, &config)? })
    }

    /// Runs one case all three ways.
    pub fn run(&mut self, case: &Case) -> CaseResult {
        let begun = Instant::now();
        let mut alerts = String::new();
        let failure = self.compare(case, &mut alerts).err();
        let (rule, name) = (case.rule.clone(), case.name.clone());
        CaseResult { rule, case: name, elapsed: begun.elapsed(), alerts, failure }
    }

    fn compare(&mut self, case: &Case, text: &mut String) -> Result<(), String> {
        let (batch, counts) = decode(&case.input)?;
        if let Some((reason, n)) = counts.rejects.iter().next() {
            return Err(format!("{n} of its records cannot be read: {}", reason.as_str()));
        }
        let rows = counts.events + counts.control_plane;
        if rows == 0 {
            return Err("it holds no events".into());
        }
        let whole = self.at_once(&batch)?;
        *text = expected_form(&whole);
        match (case.expects_alerts, whole.len()) {
            (true, 0) => return Err("it raised no alert and should (its name begins with \"fires-\")".into()),
            (false, n) if n > 0 => {
                return Err(format!("it raised {n} alerts and should raise none:\n{text}"));
            }
            _ => {}
        }
        let singly = self.one_by_one(&batch)?;
        if singly != whole {
            let other = expected_form(&singly);
            return Err(format!("one row a batch raises other alerts:\n{}", difference(text, &other)));
        }
        let all: BTreeSet<String> = whole.iter().map(|a| a.id.clone()).collect();
        let restarted = self.restarted(&batch)?;
        // Of rules over single rows nothing is kept across a restart: an alert of theirs may come again.
        let again =
            restarted.len() > all.len() && self.engine.rules().all(|(_, kind)| kind != Kind::Stateless);
        if restarted.iter().cloned().collect::<BTreeSet<_>>() != all || again {
            return Err(format!(
                "cut in the middle it raises other alerts: {} instead of {}",
                restarted.join(" "),
                all.into_iter().collect::<Vec<_>>().join(" ")
            ));
        }
        match &case.expected {
            Some(expected) if expected.trim() != text.trim() => Err(format!(
                "its alerts differ from {} (`--bless` rewrites it):\n{}",
                case.expected_path().display(),
                difference(expected, text)
            )),
            _ => Ok(()),
        }
    }

    fn begin(&mut self, emission: Emission) {
        self.engine.set_emission(emission);
        self.engine.reset();
    }

    fn checked(&self) -> Result<(), String> {
        match self.engine.failures().iter().next() {
            Some((_, failure)) => Err(format!("the rule failed: {}", failure.reason)),
            None => Ok(()),
        }
    }

    fn at_once(&mut self, batch: &Batch) -> Result<Vec<Alert>, String> {
        self.begin(Emission::Complete);
        self.engine.process(batch);
        let alerts = self.engine.finish_all().map_err(|e| e.to_string())?;
        self.checked()?;
        Ok(alerts)
    }

    fn one_by_one(&mut self, batch: &Batch) -> Result<Vec<Alert>, String> {
        self.begin(Emission::Complete);
        for single in singles(batch) {
            self.engine.process(&single);
            let complete = Watermarks::behind(self.engine.latest(), LATENESS).complete;
            self.engine.advance(Watermarks::at(complete));
        }
        let alerts = self.engine.finish_all().map_err(|e| e.to_string())?;
        self.checked()?;
        Ok(alerts)
    }

    /// Ids of the alerts that left before the cut and after it.
    fn restarted(&mut self, batch: &Batch) -> Result<Vec<String>, String> {
        let rows = singles(batch);
        let (before, after) = rows.split_at(rows.len() / 2);
        self.begin(Emission::First);
        let mut ids: Vec<String> = self.feed(before).into_iter().map(|a| a.id).collect();
        let snapshot = self.engine.snapshot().map_err(|e| e.to_string())?;
        self.begin(Emission::First);
        self.engine.restore(&snapshot).map_err(|e| e.to_string())?;
        ids.extend(self.feed(after).into_iter().map(|a| a.id));
        let last = self.engine.finish_all().map_err(|e| e.to_string())?;
        ids.extend(last.into_iter().map(|a| a.id));
        self.checked()?;
        Ok(ids)
    }

    fn feed(&mut self, batches: &[Batch]) -> Vec<Alert> {
        let mut alerts = Vec::new();
        for batch in batches {
            alerts.extend(self.engine.process(batch));
            alerts.extend(self.engine.advance(Watermarks::behind(self.engine.latest(), LATENESS)));
        }
        alerts
    }
}

/// Rules whose alerts depend on a body, and no case of theirs shows what they do without one.
pub fn without_a_bodiless_case(engine: &Engine, cases: &BTreeMap<String, Vec<Case>>) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    for rule in engine.body_rules() {
        let cases = cases.get(&rule.detection.id).map(Vec::as_slice).unwrap_or_default();
        let shown = |case: &Case| decode(&case.input).is_ok_and(|(batch, _)| rule.is_shown_without(&batch));
        if cases.is_empty() || cases.iter().any(shown) {
            continue;
        }
        let message = format!(
            "the rule decides by {}, and no case shows what it does without: add silent-no-body.ndjson with an event \
             it would look at, at level Metadata or cut",
            rule.columns.join(" and ")
        );
        problems.push(Diagnostic::warning(&rule.detection.path, rule.detection.position("sql"), message));
    }
    problems
}

/// Decodes a case's text and takes out duplicates.
fn decode(input: &[u8]) -> Result<(Batch, Counts), String> {
    let raw = RawBatch { bodies: vec![bytes::Bytes::copy_from_slice(input)] };
    let decoded = Decoder::default().decode(&raw);
    let kept = Dedup::new(usize::MAX).retain(decoded).map_err(|e| e.to_string())?;
    Ok((kept.batch, kept.counts))
}

/// The batch as batches of one row, in order.
fn singles(batch: &Batch) -> Vec<Batch> {
    let mut singles = Vec::new();
    for table in Table::ALL {
        for row in 0..table.rows(batch).0.num_rows() {
            let pick = |wanted: Table| {
                let (rows, ids) = wanted.rows(batch);
                match wanted == table {
                    true => (rows.slice(row, 1), vec![ids[row]]),
                    false => (rows.slice(0, 0), Vec::new()),
                }
            };
            let (audit, audit_ids) = pick(Table::Audit);
            let (control_plane, control_plane_ids) = pick(Table::ControlPlane);
            let block = batch.block.clone();
            singles.push(Batch { audit, audit_ids, control_plane, control_plane_ids, block });
        }
    }
    singles
}

/// What `<case>.alerts.json` holds of each alert: all but what the rule's header says already.
fn expected_form(alerts: &[Alert]) -> String {
    let trimmed: Vec<Value> = alerts
        .iter()
        .map(|alert| {
            let mut object = match serde_json::to_value(alert) {
                Ok(Value::Object(object)) => object,
                _ => Map::new(),
            };
            for constant in ["rule", "title", "severity", "status", "attack", "tactic", "replayed"] {
                object.shift_remove(constant);
            }
            Value::Object(object)
        })
        .collect();
    let mut text = serde_json::to_string_pretty(&json!(trimmed)).unwrap_or_default();
    text.push('\n');
    text
}

/// Lines that only one of two texts has, as `-` and `+`.
fn difference(expected: &str, actual: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), actual.lines().collect());
    let gone = old.iter().filter(|l| !new.contains(l)).map(|l| format!("- {l}"));
    let come = new.iter().filter(|l| !old.contains(l)).map(|l| format!("+ {l}"));
    gone.chain(come).collect::<Vec<_>>().join("\n")
}
