//! Which scans a row may concern, told by those of its columns that have few values.
//!
//! A condition on such columns is evaluated once for each value (or combination of values) that comes,
//! whatever the number of rows, and its outcome kept as a set of scans that the value does not rule out.
//! What a row may concern is the intersection of the sets of its values. So neither rules nor rows make
//! the conditions expensive that most rules consist of: a verb, a resource, an identity. What is known of
//! values is per thread.

use std::collections::{BTreeMap, HashMap};

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, ListArray, StringViewArray, UInt32Array};
use arrow::datatypes::{DataType, Int64Type};
use arrow::record_batch::RecordBatch;
use datafusion::common::exec_err;
use datafusion::error::Result;
use foldhash::fast::RandomState;

use super::condition::Compiled;
use super::rows::INLINE;
use crate::event::Table;

/// Values of a column, or of columns together, that are remembered; when there are more it begins anew.
const VALUES: usize = 32_768;

/// Longer values are not remembered.
const VALUE_BYTES: usize = 1_024;

/// Columns that have few values.
const AUDIT: [&str; 25] = [
    "cluster",
    "category",
    "level",
    "stage",
    "verb",
    "username",
    "groups",
    "user_extra",
    "principal_class",
    "impersonated_username",
    "source_ips",
    "client_ip",
    "user_agent",
    "api_group",
    "api_version",
    "resource",
    "subresource",
    "namespace",
    "status_code",
    "status_reason",
    "body_skipped",
    "annotations",
    "decision",
    "decision_reason",
    "truncated",
];
const CONTROL_PLANE: [&str; 6] = ["cluster", "category", "severity", "component", "source_file", "stream"];

/// Columns that have few values together: who may ask what with which outcome, and where from.
const REQUEST: [&str; 17] = [
    "category",
    "level",
    "stage",
    "verb",
    "username",
    "groups",
    "principal_class",
    "impersonated_username",
    "user_agent",
    "api_group",
    "api_version",
    "resource",
    "subresource",
    "namespace",
    "status_code",
    "decision",
    "decision_reason",
];
const ORIGIN: [&str; 5] = ["username", "groups", "principal_class", "source_ips", "client_ip"];

/// Columns of a table that are remembered together, each alone first.
pub fn groups(table: Table) -> impl Iterator<Item = &'static [&'static str]> {
    let (alone, together): (&[&str], &[&'static [&'static str]]) = match table {
        Table::Audit => (&AUDIT, &[&REQUEST, &ORIGIN]),
        Table::ControlPlane => (&CONTROL_PLANE, &[]),
    };
    alone.iter().map(std::slice::from_ref).chain(together.iter().copied())
}

/// A set of scans, a bit each.
type Set = Vec<u64>;

fn insert(set: &mut Set, scan: usize) {
    let word = scan / 64;
    if set.len() <= word {
        set.resize(word + 1, 0);
    }
    set[word] |= 1 << (scan % 64);
}

fn each(set: &[u64], mut visit: impl FnMut(usize)) {
    for (word, &bits) in set.iter().enumerate() {
        let mut bits = bits;
        while bits != 0 {
            visit(word * 64 + bits.trailing_zeros() as usize);
            bits &= bits - 1;
        }
    }
}

/// What scans ask of one column, or of several together.
#[derive(Debug, Clone)]
pub struct Tests {
    /// The columns that may be asked about.
    pub group: &'static [&'static str],
    pub of: Of,
    tests: Vec<Test>,
    /// Text of a condition, and whether it is a whole one → its index.
    known: HashMap<(String, bool), usize>,
    /// Parts of conditions of which is remembered what they are for a value, by their text.
    facts: Vec<(String, Compiled)>,
}

/// What is numbered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Of {
    /// The values of a column of the table.
    Column(usize),
    /// Combinations of the values of single columns, by the places of these columns' tests: of a group only
    /// what is asked about, because each column more makes more combinations.
    Places(Vec<usize>),
}

#[derive(Debug, Clone)]
struct Test {
    condition: Compiled,
    /// Whether it is asked nowhere else, so that its failure is the scan's.
    whole: bool,
    scans: Set,
}

impl Tests {
    pub fn new(group: &'static [&'static str], of: Of) -> Self {
        Self { group, of, tests: Vec::new(), known: HashMap::new(), facts: Vec::new() }
    }

    /// Notes a condition that a scan needs to be true.
    pub fn add<E>(
        &mut self,
        text: String,
        whole: bool,
        scan: usize,
        compile: impl FnOnce() -> Result<Compiled, E>,
    ) -> Result<(), E> {
        let at = match self.known.get(&(text.clone(), whole)) {
            Some(at) => *at,
            None => {
                self.tests.push(Test { condition: compile()?, whole, scans: Set::new() });
                self.known.insert((text, whole), self.tests.len() - 1);
                self.tests.len() - 1
            }
        };
        insert(&mut self.tests[at].scans, scan);
        Ok(())
    }

    /// The number of a part of conditions, which is true, false or null.
    pub fn fact<E>(&mut self, text: &str, compile: impl FnOnce() -> Result<Compiled, E>) -> Result<usize, E> {
        if let Some(at) = self.facts.iter().position(|(known, _)| known == text) {
            return Ok(at);
        }
        self.facts.push((text.to_string(), compile()?));
        Ok(self.facts.len() - 1)
    }

    /// Forgets the scans from one on.
    pub fn truncate(&mut self, scans: usize) {
        for test in &mut self.tests {
            test.scans.truncate(scans.div_ceil(64));
            if let Some(last) = test.scans.get_mut(scans / 64) {
                *last &= (1 << (scans % 64)) - 1;
            }
        }
    }
}

/// What is known of the values of a table's columns.
#[derive(Debug)]
pub struct Index {
    /// In the order of the tests.
    values: Vec<Values>,
    /// All scans.
    all: Set,
    /// Rows of the last batch by scan; kept for its memory.
    rows: Vec<Vec<u32>>,
}

/// The values that came, numbered, and the scans each leaves.
#[derive(Debug, Default)]
struct Values {
    short: HashMap<u128, u32, RandomState>,
    long: HashMap<Box<[u8]>, u32, RandomState>,
    count: u32,
    /// Sets of scans, one after another in the order of the numbers.
    left: Vec<u64>,
    /// Tests that failed on a value, and why.
    failed: BTreeMap<u32, Vec<(usize, String)>>,
    /// By fact, what it is for each value.
    facts: Vec<Vec<Truth>>,
    /// Numbers of the values of the batch at hand.
    of_rows: Vec<u32>,
}

/// What a fact is for a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Truth {
    No,
    Yes,
    Null,
    Failed,
}

impl Index {
    /// For as many scans as there are, and as many [`Tests`].
    pub fn new(scans: usize, tests: usize) -> Self {
        let mut all = Set::new();
        (0..scans).for_each(|scan| insert(&mut all, scan));
        let values = std::iter::repeat_with(Values::default).take(tests).collect();
        Self { values, all, rows: vec![Vec::new(); scans] }
    }

    /// Finds the rows that each scan must still look at ([`Index::last`]), in order. `failed` gets the scans
    /// that could not be told, with the reason.
    pub fn look_at(&mut self, tests: &[Tests], rows: &RecordBatch, failed: &mut BTreeMap<usize, String>) {
        self.forget(tests);
        let columns = tests.iter().enumerate().filter(|(_, tests)| matches!(tests.of, Of::Column(_)));
        let places = tests.iter().enumerate().filter(|(_, tests)| matches!(tests.of, Of::Places(_)));
        for (at, tests) in columns.chain(places) {
            let mut values = std::mem::take(&mut self.values[at]);
            let fresh = match &tests.of {
                Of::Column(column) => values.number_column(rows.column(*column)),
                Of::Places(places) => values.number_places(rows.num_rows(), places, &self.values),
            };
            if !fresh.is_empty() {
                values.learn(tests, &UInt32Array::from(fresh), rows, &self.all);
            }
            self.values[at] = values;
        }
        let words = self.all.len();
        self.rows.iter_mut().for_each(Vec::clear);
        let mut left = self.all.clone();
        // Where nothing is asked nothing is ruled out.
        let asked: Vec<_> =
            self.values.iter().zip(tests).filter(|(_, tests)| !tests.tests.is_empty()).collect();
        for row in 0..rows.num_rows() {
            left.copy_from_slice(&self.all);
            for (values, _) in &asked {
                let from = values.of_rows[row] as usize * words;
                for (left, still) in left.iter_mut().zip(&values.left[from..from + words]) {
                    *left &= still;
                }
            }
            for (values, tests) in asked.iter().filter(|(values, _)| !values.failed.is_empty()) {
                for (test, reason) in values.failed.get(&values.of_rows[row]).into_iter().flatten() {
                    let both: Set = left.iter().zip(&tests.tests[*test].scans).map(|(a, b)| a & b).collect();
                    each(&both, |scan| {
                        failed.entry(scan).or_insert_with(|| reason.clone());
                    });
                }
            }
            // A batch has fewer rows than that.
            each(&left, |scan| self.rows[scan].push(row as u32));
        }
    }

    /// What a fact is for rows of the last batch; an error where it could not be told for one of them.
    pub fn fact(&self, tests: usize, fact: usize, rows: &UInt32Array) -> Result<BooleanArray> {
        let values = &self.values[tests];
        let truth = |row: &u32| match values.facts[fact][values.of_rows[*row as usize] as usize] {
            Truth::No => Ok(Some(false)),
            Truth::Yes => Ok(Some(true)),
            Truth::Null => Ok(None),
            Truth::Failed => exec_err!("not known"),
        };
        rows.values().iter().map(truth).collect()
    }

    /// The rows of the last batch that each scan must still look at.
    pub fn last(&self) -> &[Vec<u32>] {
        &self.rows
    }

    /// Begins anew where there are too many values, and where their numbers were used.
    fn forget(&mut self, tests: &[Tests]) {
        let mut begun = vec![false; self.values.len()];
        for (at, tests) in tests.iter().enumerate() {
            let Some(values) = self.values.get_mut(at) else { break };
            let used = matches!(&tests.of, Of::Places(places) if places.iter().any(|place| begun[*place]));
            if used || values.count as usize > VALUES {
                *values = Values::default();
                begun[at] = true;
            }
        }
    }
}

/// What tells a value from all others of its column.
enum Key<'a> {
    Short(u128),
    Long(&'a [u8]),
    /// It was written into the bytes that were given.
    Written,
}

/// No text's view looks so: a short one begins with its length.
const NULL: Key = Key::Short(u128::MAX);

impl Values {
    /// Numbers the values of a column; gives a row of each that is new, in the order of their numbers.
    fn number_column(&mut self, column: &ArrayRef) -> Vec<u32> {
        match column.data_type() {
            DataType::Utf8View => {
                let texts: &StringViewArray = column.as_string_view();
                self.number(texts, |row, _| match texts.views()[row] {
                    view if view as u32 as usize <= INLINE => Key::Short(view),
                    _ => Key::Long(texts.value(row).as_bytes()),
                })
            }
            DataType::List(item) if item.data_type() == &DataType::Utf8View => {
                let lists: &ListArray = column.as_list();
                let (offsets, texts) = (lists.value_offsets(), lists.values().as_string_view());
                self.number(lists, |row, bytes| {
                    for at in offsets[row] as usize..offsets[row + 1] as usize {
                        let text = texts.is_valid(at).then(|| texts.value(at));
                        // Each with its length before it: a text may hold any character.
                        let length = text.map_or(u64::MAX, |text| text.len() as u64);
                        bytes.extend_from_slice(&length.to_le_bytes());
                        bytes.extend_from_slice(text.unwrap_or_default().as_bytes());
                    }
                    Key::Written
                })
            }
            DataType::Int64 => {
                let ints = column.as_primitive::<Int64Type>();
                self.number(ints, |row, _| Key::Short(u128::from(ints.value(row) as u64)))
            }
            DataType::Boolean => {
                let bools = column.as_boolean();
                self.number(bools, |row, _| Key::Short(u128::from(bools.value(row))))
            }
            // Of another kind: no two of its values are known to be the same.
            _ => self.number_all(column.len()),
        }
    }

    /// Numbers the combinations of the values of other columns.
    fn number_places(&mut self, rows: usize, places: &[usize], columns: &[Values]) -> Vec<u32> {
        self.number_each(rows, |row, bytes| {
            let numbers = places.iter().map(|place| columns[*place].of_rows[row]);
            numbers.for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
            Key::Written
        })
    }

    fn number_all(&mut self, rows: usize) -> Vec<u32> {
        self.of_rows.clear();
        self.of_rows.extend(self.count..self.count + rows as u32);
        self.count += rows as u32;
        (0..rows as u32).collect()
    }

    fn number<'a>(&mut self, column: &dyn Array, key: impl Fn(usize, &mut Vec<u8>) -> Key<'a>) -> Vec<u32> {
        match column.nulls() {
            Some(nulls) => {
                self.number_each(
                    column.len(),
                    |row, bytes| {
                        if nulls.is_null(row) { NULL } else { key(row, bytes) }
                    },
                )
            }
            None => self.number_each(column.len(), key),
        }
    }

    fn number_each<'a>(&mut self, rows: usize, key: impl Fn(usize, &mut Vec<u8>) -> Key<'a>) -> Vec<u32> {
        let (mut bytes, mut fresh) = (Vec::new(), Vec::new());
        self.of_rows.clear();
        for row in 0..rows {
            bytes.clear();
            let next = self.count;
            let number = match key(row, &mut bytes) {
                Key::Short(key) => *self.short.entry(key).or_insert(next),
                Key::Long(key) => long(&mut self.long, key, next),
                Key::Written => long(&mut self.long, &bytes, next),
            };
            if number == next {
                self.count += 1;
                fresh.push(row as u32);
            }
            self.of_rows.push(number);
        }
        fresh
    }

    /// Asks all tests about values that are new; `fresh` is a row of each, in the order of their numbers.
    fn learn(&mut self, tests: &Tests, fresh: &UInt32Array, rows: &RecordBatch, all: &[u64]) {
        self.facts.resize(tests.facts.len(), Vec::new());
        for (truths, (_, fact)) in self.facts.iter_mut().zip(&tests.facts) {
            truths.extend(truths_of(fact, fresh, rows));
        }
        let first = self.count as usize - fresh.len();
        (0..fresh.len()).for_each(|_| self.left.extend_from_slice(all));
        for (number, test) in tests.tests.iter().enumerate() {
            let rule_out = |left: &mut [u64], value: usize| {
                let from = value * all.len();
                for (left, ruled_out) in left[from..from + all.len()].iter_mut().zip(&test.scans) {
                    *left &= !ruled_out;
                }
            };
            if let Ok(truth) = test.condition.truth(rows, Some(fresh)) {
                let untrue = truth.iter().enumerate().filter(|(_, is_true)| !is_true);
                untrue.for_each(|(at, _)| rule_out(&mut self.left, first + at));
                continue;
            }
            // One of them is to blame, and the others must not suffer.
            for (at, row) in fresh.values().iter().enumerate() {
                match test.condition.truth(rows, Some(&UInt32Array::from(vec![*row]))) {
                    Ok(truth) if truth.value(0) => {}
                    Ok(_) => rule_out(&mut self.left, first + at),
                    Err(error) if test.whole => {
                        let told = self.failed.entry((first + at) as u32).or_default();
                        told.push((number, error.strip_backtrace()));
                    }
                    // Rules out nothing; the condition it is a part of is asked later.
                    Err(_) => {}
                }
            }
        }
    }
}

/// The number of a key, which is the next where it is new or too long to be remembered.
fn long(numbers: &mut HashMap<Box<[u8]>, u32, RandomState>, key: &[u8], next: u32) -> u32 {
    if let Some(number) = numbers.get(key) {
        return *number;
    }
    if key.len() <= VALUE_BYTES {
        numbers.insert(key.into(), next);
    }
    next
}

/// What a fact is for each of these rows.
fn truths_of(fact: &Compiled, rows: &UInt32Array, of: &RecordBatch) -> Vec<Truth> {
    let truths = |rows: &UInt32Array| -> Option<Vec<Truth>> {
        let truth = |value: Option<bool>| match value {
            Some(true) => Truth::Yes,
            Some(false) => Truth::No,
            None => Truth::Null,
        };
        Some(fact.value(of, rows).ok()?.as_boolean_opt()?.iter().map(truth).collect())
    };
    // One of them is to blame, and the others must not suffer.
    let alone = |row: &u32| truths(&UInt32Array::from(vec![*row])).map_or(Truth::Failed, |truths| truths[0]);
    truths(rows).unwrap_or_else(|| rows.values().iter().map(alone).collect())
}
