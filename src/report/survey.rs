//! What the second pass over the inputs counts: rows by time, by cluster and category, and everything
//! that the identities and addresses of the alerts did.
//!
//! Each chunk is surveyed by itself, on any thread, and merged in input order, so the outcome does not
//! depend on the number of threads. Whatever the input: at most [`MAX_STRIPS`] strips, a few thousand
//! intervals each, and [`MAX_VALUES`] values per count; what is beyond is counted together.

use std::collections::{BTreeMap, HashMap};

use arrow::array::{Array, AsArray, BooleanArray, Int64Array, StringViewArray, TimestampMicrosecondArray};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;

use super::alerts::Subjects;
use super::histogram::Histogram;
use crate::event::Batch;

const MINUTE: i64 = 60_000_000;
const HOUR: i64 = 60 * MINUTE;
/// Intervals of the picture of all events: two days by the minute.
const MAX_MINUTES: usize = 4_096;
/// Intervals of a strip: a hundred days by the hour.
const MAX_HOURS: usize = 2_400;
/// Pairs of cluster and category told apart.
pub const MAX_STRIPS: usize = 256;
/// Distinct values a count tells apart.
pub const MAX_VALUES: usize = 300;
/// Characters of a value that are kept.
const MAX_VALUE: usize = 300;

/// Rows of one category of one cluster.
#[derive(Debug, Clone)]
pub struct Strip {
    pub rows: u64,
    /// Rows whose text was cut.
    pub cut: u64,
    pub hours: Histogram,
}

impl Default for Strip {
    fn default() -> Self {
        Self { rows: 0, cut: 0, hours: Histogram::new(HOUR, MAX_HOURS) }
    }
}

/// How often each value came.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    counts: HashMap<String, u64>,
    /// Rows with values that found no more room.
    beyond: u64,
}

impl Tally {
    fn add(&mut self, value: &str, rows: u64) {
        let value = clip(value);
        let room = self.counts.len() < MAX_VALUES;
        match self.counts.get_mut(value) {
            Some(count) => *count += rows,
            None if room => {
                self.counts.insert(value.to_owned(), rows);
            }
            None => self.beyond += rows,
        }
    }

    fn merge(&mut self, other: Tally) {
        self.beyond += other.beyond;
        let mut values: Vec<_> = other.counts.into_iter().collect();
        // Which values find room must not depend on the order of a hash table.
        values.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        values.into_iter().for_each(|(value, rows)| self.add(&value, rows));
    }

    /// The most frequent values with their rows, and of the others: how many there are, their rows
    /// together, and whether there may be more of them.
    pub fn top(&self, count: usize) -> (Vec<(&str, u64)>, usize, u64, bool) {
        let mut values: Vec<(&str, u64)> = self.counts.iter().map(|(v, n)| (v.as_str(), *n)).collect();
        values.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        let rest = values.split_off(count.min(values.len()));
        let rows = rest.iter().map(|(_, n)| n).sum::<u64>() + self.beyond;
        (values, rest.len() + usize::from(self.beyond > 0), rows, self.beyond > 0)
    }
}

/// Everything one identity or address did.
#[derive(Debug, Clone)]
pub struct Profile {
    pub requests: u64,
    /// Requests answered 401 or 403.
    pub refused: u64,
    /// Requests under this name that somebody else made by impersonation.
    pub impersonated: u64,
    pub first: Option<i64>,
    pub last: Option<i64>,
    pub hours: Histogram,
    /// Verb and resource.
    pub actions: Tally,
    pub namespaces: Tally,
    pub agents: Tally,
    pub clusters: Tally,
    /// Addresses of an identity, identities of an address.
    pub others: Tally,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            requests: 0,
            refused: 0,
            impersonated: 0,
            first: None,
            last: None,
            hours: Histogram::new(HOUR, MAX_HOURS / 10),
            actions: Tally::default(),
            namespaces: Tally::default(),
            agents: Tally::default(),
            clusters: Tally::default(),
            others: Tally::default(),
        }
    }
}

impl Profile {
    fn add(&mut self, row: &Row<'_>, other: Option<&str>) {
        self.requests += 1;
        self.refused += u64::from(matches!(row.status, Some(401 | 403)));
        if let Some(time) = row.time {
            self.first = Some(self.first.map_or(time, |first| first.min(time)));
            self.last = self.last.max(Some(time));
            self.hours.add(time);
        }
        self.actions.add(&row.action(), 1);
        self.namespaces.add(row.namespace.unwrap_or("(none)"), 1);
        self.agents.add(row.agent.unwrap_or("(none)"), 1);
        self.clusters.add(row.cluster, 1);
        self.others.add(other.unwrap_or("(none)"), 1);
    }

    fn merge(&mut self, other: Profile) {
        self.requests += other.requests;
        self.refused += other.refused;
        self.impersonated += other.impersonated;
        self.first = match (self.first, other.first) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.last = self.last.max(other.last);
        self.hours.merge(&other.hours);
        self.actions.merge(other.actions);
        self.namespaces.merge(other.namespaces);
        self.agents.merge(other.agents);
        self.clusters.merge(other.clusters);
        self.others.merge(other.others);
    }
}

/// What one chunk, or all of the input, holds.
#[derive(Debug, Clone)]
pub struct Survey {
    pub events: Histogram,
    /// Rows without a time, which no picture can show.
    pub timeless: u64,
    /// Cluster (`""` = none), then category (`""` = none).
    pub strips: BTreeMap<String, BTreeMap<String, Strip>>,
    /// Rows of pairs of cluster and category beyond [`MAX_STRIPS`].
    pub unstripped: u64,
    /// By index into [`Subjects`].
    pub identities: BTreeMap<usize, Profile>,
    pub addresses: BTreeMap<usize, Profile>,
}

impl Default for Survey {
    fn default() -> Self {
        Self {
            events: Histogram::new(MINUTE, MAX_MINUTES),
            timeless: 0,
            strips: BTreeMap::new(),
            unstripped: 0,
            identities: BTreeMap::new(),
            addresses: BTreeMap::new(),
        }
    }
}

impl Survey {
    /// Counts a batch.
    pub fn of(batch: &Batch, subjects: &Subjects) -> Survey {
        let mut survey = Survey::default();
        for table in [&batch.audit, &batch.control_plane] {
            let columns = Columns::of(table);
            for row in 0..table.num_rows() {
                survey.count(&columns.row(row), subjects);
            }
        }
        survey
    }

    fn count(&mut self, row: &Row<'_>, subjects: &Subjects) {
        match row.time {
            Some(time) => self.events.add(time),
            None => self.timeless += 1,
        }
        match self.strip(row.cluster, row.category) {
            Some(strip) => {
                strip.rows += 1;
                strip.cut += u64::from(row.cut);
                if let Some(time) = row.time {
                    strip.hours.add(time);
                }
            }
            None => self.unstripped += 1,
        }
        if let Some(index) = row.username.and_then(|name| subjects.identities.index(name)) {
            self.identities.entry(index).or_default().add(row, row.address);
        }
        if let Some(name) = row.impersonated.filter(|name| Some(*name) != row.username)
            && let Some(index) = subjects.identities.index(name)
        {
            let profile = self.identities.entry(index).or_default();
            profile.add(row, row.address);
            profile.impersonated += 1;
        }
        if let Some(index) = row.address.and_then(|address| subjects.addresses.index(address)) {
            self.addresses.entry(index).or_default().add(row, row.username);
        }
    }

    /// The strip of a pair; `None` where there is no room for another.
    fn strip(&mut self, cluster: &str, category: &str) -> Option<&mut Strip> {
        let (cluster, category) = (clip(cluster), clip(category));
        if !self.strips.get(cluster).is_some_and(|strips| strips.contains_key(category)) {
            if self.strips.values().map(BTreeMap::len).sum::<usize>() >= MAX_STRIPS {
                return None;
            }
            self.strips.entry(cluster.to_owned()).or_default().entry(category.to_owned()).or_default();
        }
        self.strips.get_mut(cluster)?.get_mut(category)
    }

    /// Adds what a later chunk holds.
    pub fn merge(&mut self, other: Survey) {
        self.events.merge(&other.events);
        self.timeless += other.timeless;
        self.unstripped += other.unstripped;
        for (cluster, strips) in other.strips {
            for (category, theirs) in strips {
                match self.strip(&cluster, &category) {
                    Some(strip) => {
                        strip.rows += theirs.rows;
                        strip.cut += theirs.cut;
                        strip.hours.merge(&theirs.hours);
                    }
                    None => self.unstripped += theirs.rows,
                }
            }
        }
        for (mine, theirs) in
            [(&mut self.identities, other.identities), (&mut self.addresses, other.addresses)]
        {
            for (index, profile) in theirs {
                mine.entry(index).or_default().merge(profile);
            }
        }
    }
}

/// A value as it is kept: its beginning, if it is very long.
fn clip(text: &str) -> &str {
    text.char_indices().nth(MAX_VALUE).map_or(text, |(at, _)| text.get(..at).unwrap_or(text))
}

struct Row<'a> {
    time: Option<i64>,
    cluster: &'a str,
    category: &'a str,
    cut: bool,
    status: Option<i64>,
    username: Option<&'a str>,
    impersonated: Option<&'a str>,
    address: Option<&'a str>,
    agent: Option<&'a str>,
    namespace: Option<&'a str>,
    verb: Option<&'a str>,
    resource: Option<&'a str>,
    subresource: Option<&'a str>,
    uri: Option<&'a str>,
}

impl Row<'_> {
    /// `create pods/exec`; of a request for no resource its path.
    fn action(&self) -> String {
        let verb = self.verb.unwrap_or("(no verb)");
        match (self.resource, self.subresource) {
            (Some(resource), Some(sub)) => format!("{verb} {resource}/{sub}"),
            (Some(resource), None) => format!("{verb} {resource}"),
            _ => {
                let path = self.uri.and_then(|uri| uri.split('?').next());
                format!("{verb} {}", path.unwrap_or("(no resource)"))
            }
        }
    }
}

/// The columns a survey reads; those a table does not have are empty.
struct Columns<'a> {
    time: Option<&'a TimestampMicrosecondArray>,
    status: Option<&'a Int64Array>,
    cut: Option<&'a BooleanArray>,
    texts: [Option<&'a StringViewArray>; TEXTS.len()],
}

const TEXTS: [&str; 11] = [
    "cluster",
    "category",
    "username",
    "impersonated_username",
    "client_ip",
    "user_agent",
    "namespace",
    "verb",
    "resource",
    "subresource",
    "request_uri",
];

impl<'a> Columns<'a> {
    fn of(rows: &'a RecordBatch) -> Self {
        Self {
            time: rows.column_by_name("time").and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>()),
            status: rows.column_by_name("status_code").and_then(|c| c.as_primitive_opt::<Int64Type>()),
            cut: rows.column_by_name("truncated").and_then(|c| c.as_boolean_opt()),
            texts: TEXTS.map(|name| rows.column_by_name(name).and_then(|c| c.as_string_view_opt())),
        }
    }

    fn row(&self, at: usize) -> Row<'a> {
        let [
            cluster,
            category,
            username,
            impersonated,
            address,
            agent,
            namespace,
            verb,
            resource,
            subresource,
            uri,
        ] = self.texts.map(|column| column.filter(|c| c.is_valid(at)).map(|c| c.value(at)));
        Row {
            time: self.time.filter(|c| c.is_valid(at)).map(|c| c.value(at)),
            status: self.status.filter(|c| c.is_valid(at)).map(|c| c.value(at)),
            cut: self.cut.is_some_and(|c| c.is_valid(at) && c.value(at)),
            cluster: cluster.unwrap_or(""),
            category: category.unwrap_or(""),
            username,
            impersonated,
            address,
            agent,
            namespace,
            verb,
            resource,
            subresource,
            uri,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_says_what_it_left_out() {
        let mut tally = Tally::default();
        for value in 0..MAX_VALUES + 10 {
            tally.add(&format!("v{value:04}"), 1);
        }
        tally.add("v0007", 4);
        let mut other = Tally::default();
        other.add("v0007", 1);
        other.add("new", 5);
        tally.merge(other);
        let (top, others, rows, more) = tally.top(2);
        assert_eq!(top, [("v0007", 6), ("v0000", 1)]);
        assert_eq!((others, rows), (MAX_VALUES - 2 + 1, 298 + 15));
        assert!(more);
        assert_eq!(clip(&"é".repeat(400)).chars().count(), MAX_VALUE);
    }
}
