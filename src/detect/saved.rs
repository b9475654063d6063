//! The engine's state outside the process: a snapshot of everything windows and baselines remember, and
//! a journal of the rows that came since.
//!
//! A rule takes over what a rule of the same id and [`fingerprint`](super::state::fingerprint) left;
//! others start anew. Rows may be absorbed twice, from a journal and from the source: they count once.
//! A snapshot says that what it concluded was heard, so it may take the place of an older one only when
//! every alert returned before it is durable.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::error::DataFusionError;

use super::codec::{Frame, Reader, SavedError, Writer};
use super::emitted::Emitted;
use super::engine::{Engine, Rule};
use super::matcher::Matches;
use super::rows::Rows;
use super::state::State;

/// What became of journaled rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Absorbed {
    /// Rows that rules of this engine took.
    pub rows: u64,
    /// Rows of rules that this engine does not have, or has in another form.
    pub left_out: u64,
}

/// What became of a snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Restored {
    /// Rules with a window or baseline that took over what they knew.
    pub rules: Vec<String>,
    /// Those that start anew: new to the snapshot, or changed in which rows they keep. A rule that is not
    /// planned yet has kept nothing and is not among them.
    pub anew: Vec<String>,
    /// Those in the snapshot that this engine does not have.
    pub gone: Vec<String>,
}

impl Engine {
    /// The rows of a batch that windows and baselines keep, for the journal; `None` where there is nothing
    /// to keep. What several calls gave may stand one behind the other.
    pub fn encode(&mut self, matches: &Matches) -> Result<Option<Vec<u8>>, SavedError> {
        self.take_woken();
        if !self.rules.iter().any(|rule| rule.state.is_kept()) {
            return Ok(None);
        }
        let place = |scan: usize| {
            let (index, part) = *self.scans.get(scan)?;
            let rule = self.rules.get(index).filter(|rule| rule.state.is_kept())?;
            Some((rule, part))
        };
        let kept: Vec<_> =
            matches.kept.iter().filter_map(|(scan, rows)| Some((place(*scan)?, rows))).collect();
        if kept.is_empty() && matches.clusters.is_empty() && matches.latest.is_none() {
            return Ok(None);
        }
        let mut to = Writer::default();
        to.i64(matches.latest.unwrap_or(i64::MIN));
        to.count(matches.clusters.len());
        for (cluster, first) in &matches.clusters {
            to.text(cluster);
            to.i64(*first);
        }
        to.count(kept.len());
        for ((rule, part), rows) in kept {
            to.text(&rule.detection.id);
            to.u64(rule.fingerprint);
            to.count(part);
            let written = rows.clone().timed().and_then(|rows| to.part(|to| to.rows(&rows)));
            written.map_err(|source| writing(rule, source))?;
        }
        Ok(Some(to.frame(Frame::Journal)))
    }

    /// Takes what [`Engine::encode`] gave, here or on another replica. Where the bytes are damaged nothing
    /// of them is taken.
    pub fn absorb_encoded(&mut self, journal: &[u8]) -> Result<Absorbed, SavedError> {
        let mut absorbed = Absorbed::default();
        let (mut clusters, mut kept, mut latest) = (Vec::new(), Vec::new(), self.latest);
        let mut journal = Reader::new(journal);
        while !journal.is_empty() {
            let mut from = journal.frame(Frame::Journal)?;
            latest = latest.max(from.time()?);
            for _ in 0..from.count(16)? {
                clusters.push((from.text()?.to_string(), from.time()?));
            }
            for _ in 0..from.count(32)? {
                let (id, fingerprint) = (from.text()?, from.u64()?);
                let (part, mut rows) = (from.u64()?, from.part()?);
                self.wake_named(id);
                match self.place(id, fingerprint, part) {
                    Some((index, part)) => {
                        let buffer = self.rules[index].state.buffers().get(part);
                        let schema = buffer.map(|buffer| buffer.raw_schema().clone());
                        let Some(schema) = schema else { continue };
                        let rows: Rows = rows.rows(&schema)?;
                        absorbed.rows += rows.len() as u64;
                        kept.push((index, part, rows));
                    }
                    None => absorbed.left_out += rows.u64()?,
                }
            }
        }
        self.latest = latest;
        clusters.into_iter().for_each(|(cluster, first)| self.note_begun(cluster, first));
        for (index, part, rows) in kept {
            let outcome = self.rules[index].state.push(part, rows).map_err(DataFusionError::from);
            if let Err(error) = outcome {
                self.fail(index, error.strip_backtrace());
            }
            self.keep_to_budget();
        }
        Ok(absorbed)
    }

    /// Plans the rule of that id if it sleeps: something is kept for it.
    fn wake_named(&mut self, id: &str) {
        if !self.rules.iter().any(|rule| rule.detection.id == id) {
            self.wake_those(&|rule| rule.id == id);
        }
    }

    /// The rule of that id and fingerprint and which of its scans.
    fn place(&self, id: &str, fingerprint: u64, part: u64) -> Option<(usize, usize)> {
        let same = |rule: &Rule| rule.detection.id == id && rule.fingerprint == fingerprint;
        let index = self.rules.iter().position(|rule| rule.state.is_kept() && same(rule))?;
        let part = usize::try_from(part).ok()?;
        (part < self.rules[index].planned.scans.len()).then_some((index, part))
    }

    /// Everything windows and baselines remember. Alerts that are being gathered
    /// ([`Emission::Complete`](super::Emission)) are not in it.
    pub fn snapshot(&mut self) -> Result<Vec<u8>, SavedError> {
        let mut to = Writer::default();
        to.i64(self.latest);
        let begun: BTreeMap<&String, &i64> = self.begun.iter().collect();
        to.count(begun.len());
        for (cluster, first) in begun {
            to.text(cluster);
            to.i64(*first);
        }
        self.collector.emitted.save(&mut to);
        to.count(self.rules.iter().filter(|rule| rule.state.is_kept()).count());
        for rule in self.rules.iter_mut().filter(|rule| rule.state.is_kept()) {
            to.text(&rule.detection.id);
            to.u64(rule.fingerprint);
            let saved = to.part(|to| rule.state.save(to));
            saved.map_err(|source| writing(rule, source))?;
        }
        Ok(to.frame(Frame::Snapshot))
    }

    /// Takes over what [`Engine::snapshot`] gave, of these rules or of others; what windows and baselines
    /// of this engine knew before is dropped. Where the bytes are damaged nothing changes.
    pub fn restore(&mut self, snapshot: &[u8]) -> Result<Restored, SavedError> {
        let mut whole = Reader::new(snapshot);
        let mut from = whole.frame(Frame::Snapshot)?;
        if !whole.is_empty() {
            return Err(SavedError::Damaged("something stands behind the end"));
        }
        let latest = from.time()?;
        let mut begun = Vec::new();
        for _ in 0..from.count(16)? {
            begun.push((from.text()?.to_string(), from.time()?));
        }
        let emitted = Emitted::read(&mut from)?;
        let mut restored = Restored::default();
        let mut states = BTreeMap::new();
        for _ in 0..from.count(24)? {
            let (id, fingerprint, mut part) = (from.text()?, from.u64()?, from.part()?);
            self.wake_named(id);
            let Some(index) = self.rules.iter().position(|r| r.state.is_kept() && r.detection.id == id)
            else {
                restored.gone.push(id.to_string());
                continue;
            };
            let rule = &self.rules[index];
            if rule.fingerprint == fingerprint {
                let mut state = State::new(&rule.detection, &rule.planned, &self.config);
                state.load(&mut part)?;
                states.insert(index, state);
            }
        }
        self.collector.emitted.extend(emitted);
        self.latest = self.latest.max(latest);
        begun.into_iter().for_each(|(cluster, first)| self.note_begun(cluster, first));
        let known: BTreeSet<usize> = states.keys().copied().collect();
        for (index, rule) in self.rules.iter_mut().enumerate().filter(|(_, rule)| rule.state.is_kept()) {
            let anew = || State::new(&rule.detection, &rule.planned, &self.config);
            rule.state = states.remove(&index).unwrap_or_else(anew);
            let named = if known.contains(&index) { &mut restored.rules } else { &mut restored.anew };
            named.push(rule.detection.id.clone());
        }
        self.keep_to_budget();
        Ok(restored)
    }
}

fn writing(rule: &Rule, source: arrow::error::ArrowError) -> SavedError {
    SavedError::Write { rule: rule.detection.id.clone(), source }
}
