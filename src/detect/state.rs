//! What one rule remembers: nothing, rows of windows, or a baseline; and by what it is known again.

use std::borrow::Cow;
use std::sync::LazyLock;

use arrow::error::ArrowError;
use chrono::TimeDelta;
use regex::{Captures, Regex};
use xxhash_rust::xxh3::xxh3_64;

use super::baseline::Baseline;
use super::buffer::Buffer;
use super::codec::{Reader, SavedError, Writer};
use super::engine::EngineConfig;
use super::plan::Planned;
use super::prepare::Unprepared;
use super::rows::Rows;
use super::table::PlannedScan;
use super::thin::Thinner;
use super::window::Window;
use crate::rules::Detection;

/// State of one rule.
#[derive(Debug)]
pub enum State {
    Stateless,
    Window(Window),
    Baseline(Box<Baseline>),
}

pub fn micros(span: TimeDelta) -> i64 {
    span.num_microseconds().unwrap_or(i64::MAX)
}

/// A window is looked at sixty times in its length unless its rule says otherwise, at most every second.
fn step_of(rule: &Detection, window: TimeDelta) -> i64 {
    micros(rule.step.unwrap_or_else(|| TimeDelta::seconds((window.num_seconds() / 60).max(1))))
}

impl State {
    /// The empty state of a rule.
    pub fn new(rule: &Detection, planned: &Planned, config: &EngineConfig) -> State {
        let buffer = |scan: &PlannedScan| Buffer::new(scan, Thinner::of_kept(rule, planned, scan));
        let mut buffers: Vec<Buffer> = planned.scans.iter().map(buffer).collect();
        match (rule.baseline, rule.window) {
            (Some(span), _) if buffers.len() == 1 => {
                let buffer = buffers.remove(0);
                State::Baseline(Box::new(Baseline::new(buffer, micros(span), micros(rule.learn))))
            }
            (_, Some(window)) => {
                let (step, lateness) = (step_of(rule, window), micros(config.lateness));
                State::Window(Window::new(buffers, micros(window), step, lateness, planned.uses_window_end))
            }
            _ => State::Stateless,
        }
    }

    /// Adds kept rows of one of the rule's scans.
    pub fn push(&mut self, part: usize, rows: Rows) -> Result<(), ArrowError> {
        match self {
            State::Stateless => Ok(()),
            State::Window(window) => window.push(part, rows),
            State::Baseline(baseline) => baseline.push(rows),
        }
    }

    /// Rows that could not be prepared, since this was asked last.
    pub fn take_unprepared(&mut self) -> impl Iterator<Item = Unprepared> {
        self.buffers().iter_mut().map(Buffer::take_unprepared).filter(|failed| failed.rows > 0)
    }

    pub fn is_kept(&self) -> bool {
        !matches!(self, State::Stateless)
    }

    /// Where its rows are held.
    pub fn buffers(&mut self) -> &mut [Buffer] {
        match self {
            State::Stateless => &mut [],
            State::Window(window) => &mut window.buffers,
            State::Baseline(baseline) => std::slice::from_mut(&mut baseline.buffer),
        }
    }

    fn held(&self) -> &[Buffer] {
        match self {
            State::Stateless => &[],
            State::Window(window) => &window.buffers,
            State::Baseline(baseline) => std::slice::from_ref(&baseline.buffer),
        }
    }

    /// Bytes of rows in memory.
    pub fn bytes(&self) -> usize {
        self.held().iter().map(Buffer::bytes).sum()
    }

    /// Bytes that its rows would take if all were in memory.
    pub fn whole(&self) -> usize {
        self.held().iter().map(Buffer::whole).sum()
    }

    /// Rows held, in memory and on disk.
    pub fn rows(&self) -> usize {
        self.held().iter().map(Buffer::len).sum()
    }

    /// Rows that came when their time was forgotten already.
    pub fn too_late(&self) -> u64 {
        match self {
            State::Stateless => 0,
            State::Window(window) => window.too_late,
            State::Baseline(baseline) => baseline.too_late,
        }
    }

    /// Writes everything it remembers.
    pub fn save(&mut self, to: &mut Writer) -> Result<(), ArrowError> {
        match self {
            State::Stateless => Ok(()),
            State::Window(window) => window.save(to),
            State::Baseline(baseline) => baseline.save(to),
        }
    }

    /// Takes over, empty, what [`State::save`] of the same rule wrote.
    pub fn load(&mut self, from: &mut Reader) -> Result<(), SavedError> {
        match self {
            State::Stateless => Ok(()),
            State::Window(window) => window.load(from),
            State::Baseline(baseline) => baseline.load(from),
        }
    }
}

/// Equal for rules that keep the same rows for the same windows, whatever they then conclude from them:
/// one takes over the state of the other.
pub fn fingerprint(rule: &Detection, planned: &Planned) -> u64 {
    let mut text = String::new();
    let mut add = |part: &str| {
        text.push_str(part);
        text.push('\0');
    };
    for scan in &planned.scans {
        add(scan.table.name());
        for field in scan.slot.schema().fields() {
            add(&format!("{} {}", field.name(), field.data_type()));
        }
        if let Some(preparation) = &scan.preparation {
            add(&preparation.text);
        }
        add("where");
        scan.filters.iter().for_each(|filter| add(&filter.to_string()));
    }
    let window = rule.window.map(|window| (micros(window), step_of(rule, window)));
    add(&format!("{window:?} {:?} {:?}", rule.thin.map(micros), rule.baseline.map(micros)));
    if rule.baseline.is_some() {
        // What is known is the keys, and those the statement makes.
        rule.key.iter().for_each(|column| add(column));
        add(&rule.sql);
    }
    xxh3_64(numbered_anew(&text).as_bytes())
}

/// The planner numbers the columns it makes up through all rules of a session; what a rule keeps does not
/// depend on which were planned before it.
fn numbered_anew(text: &str) -> Cow<'_, str> {
    static MADE_UP: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"__[a-z_]+_[0-9]+").ok());
    let Some(made_up) = MADE_UP.as_ref() else { return text.into() };
    let mut known: Vec<String> = Vec::new();
    made_up.replace_all(text, |found: &Captures| {
        let name = &found[0];
        let number = known.iter().position(|earlier| earlier == name).unwrap_or_else(|| {
            known.push(name.to_string());
            known.len() - 1
        });
        format!("__{number}")
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicI64;

    use super::*;
    use crate::detect::plan::Planner;
    use crate::detect::session::WindowEnd;
    use crate::rules::{Catalog, Sources};

    #[test]
    fn a_rule_is_known_again_whatever_was_planned_before_it() {
        let (catalog, problems) = Catalog::load(&Sources::default());
        assert!(problems.is_empty());
        let planner = Planner::new(&catalog, WindowEnd::new(AtomicI64::new(0))).unwrap();
        let kept =
            || catalog.detections.iter().filter(|rule| rule.window.is_some() || rule.baseline.is_some());
        let known = |rule: &Detection| fingerprint(rule, &planner.plan(rule).unwrap());
        let first: Vec<u64> = kept().map(known).collect();
        let mut again: Vec<u64> = kept().rev().map(known).collect();
        again.reverse();
        assert_eq!(first, again);
    }
}
