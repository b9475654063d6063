//! Which scans a row may concern, told by those of its columns that have few values.
//!
//! A condition on one such column is evaluated once for each value that comes, whatever the number of
//! rows, and its outcome kept as a set of scans that the value does not rule out. What a row may concern
//! is the intersection of the sets of its values. So neither rules nor rows make the conditions that most
//! rules consist of (a verb, a resource, an identity) expensive. What is known of values is per thread.

use std::collections::{BTreeMap, HashMap};

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, StringViewArray, UInt32Array};
use arrow::datatypes::{DataType, Int64Type};
use arrow::record_batch::RecordBatch;
use xxhash_rust::xxh3::Xxh3DefaultBuilder;

use super::condition::Condition;
use crate::event::Table;

/// Values of a column that are remembered; when there are more it begins anew.
const VALUES: usize = 8_192;

/// Whether a column has few values, so that they are worth remembering.
pub fn is_indexed(table: Table, column: &str) -> bool {
    match table {
        Table::Audit => matches!(
            column,
            "cluster"
                | "category"
                | "level"
                | "stage"
                | "verb"
                | "username"
                | "principal_class"
                | "impersonated_username"
                | "client_ip"
                | "user_agent"
                | "api_group"
                | "api_version"
                | "resource"
                | "subresource"
                | "namespace"
                | "status_code"
                | "status_reason"
                | "body_skipped"
                | "decision"
                | "truncated"
        ),
        Table::ControlPlane => {
            matches!(column, "cluster" | "category" | "severity" | "component" | "source_file" | "stream")
        }
    }
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

/// What scans ask of one column.
#[derive(Debug, Clone)]
pub struct Tests {
    /// Index of the column in the table.
    column: usize,
    tests: Vec<Test>,
    /// Text of a condition, and whether it is a whole one → its index.
    known: HashMap<(String, bool), usize>,
}

#[derive(Debug, Clone)]
struct Test {
    condition: Condition,
    /// Whether it is asked nowhere else, so that its failure is the scan's.
    whole: bool,
    scans: Set,
}

impl Tests {
    pub fn new(column: usize) -> Self {
        Self { column, tests: Vec::new(), known: HashMap::new() }
    }

    pub fn column(&self) -> usize {
        self.column
    }

    /// Notes a condition that a scan needs to be true.
    pub fn add<E>(
        &mut self,
        text: String,
        whole: bool,
        scan: usize,
        compile: impl FnOnce() -> Result<Condition, E>,
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
    columns: Vec<Values>,
    /// All scans.
    all: Set,
    /// Rows of the last batch by scan; kept for its memory.
    rows: Vec<Vec<u32>>,
}

/// The values of a column that came, numbered, and the scans each leaves.
#[derive(Debug, Default)]
struct Values {
    numbers: HashMap<Box<[u8]>, u32, Xxh3DefaultBuilder>,
    null: Option<u32>,
    count: u32,
    /// Sets of scans, one after another in the order of the numbers.
    left: Vec<u64>,
    /// Tests that failed on a value, and why.
    failed: BTreeMap<u32, Vec<(usize, String)>>,
    /// Numbers of the values of the batch at hand.
    of_rows: Vec<u32>,
}

impl Index {
    /// For as many scans as there are, whose tests are asked of that many columns.
    pub fn new(scans: usize, columns: usize) -> Self {
        let mut all = Set::new();
        (0..scans).for_each(|scan| insert(&mut all, scan));
        let columns = std::iter::repeat_with(Values::default).take(columns).collect();
        Self { columns, all, rows: vec![Vec::new(); scans] }
    }

    /// The rows that each scan must still look at, in order. `failed` gets the scans that could not be told,
    /// with the reason.
    pub fn rows(
        &mut self,
        tests: &[Tests],
        rows: &RecordBatch,
        failed: &mut BTreeMap<usize, String>,
    ) -> &[Vec<u32>] {
        let words = self.all.len();
        for (values, tests) in self.columns.iter_mut().zip(tests) {
            values.look(tests, rows.column(tests.column), rows, &self.all);
        }
        self.rows.iter_mut().for_each(Vec::clear);
        let mut left = self.all.clone();
        for row in 0..rows.num_rows() {
            left.copy_from_slice(&self.all);
            for values in &self.columns {
                let from = values.of_rows[row] as usize * words;
                for (left, still) in left.iter_mut().zip(&values.left[from..from + words]) {
                    *left &= still;
                }
            }
            for (values, tests) in self.columns.iter().zip(tests).filter(|(v, _)| !v.failed.is_empty()) {
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
        &self.rows
    }
}

/// A column whose values are numbered.
enum Column<'a> {
    Text(&'a StringViewArray),
    Int(&'a Int64Array),
    Bool(&'a BooleanArray),
    /// Of another kind: all its values count as null.
    Other,
}

impl<'a> Column<'a> {
    fn new(column: &'a ArrayRef) -> Self {
        match column.data_type() {
            DataType::Utf8View => Column::Text(column.as_string_view()),
            DataType::Int64 => Column::Int(column.as_primitive::<Int64Type>()),
            DataType::Boolean => Column::Bool(column.as_boolean()),
            _ => Column::Other,
        }
    }

    /// Bytes that tell the value of a row from others; `None` for null.
    fn key<'b>(&'b self, row: usize, number: &'b mut [u8; 8]) -> Option<&'b [u8]> {
        match self {
            Column::Text(texts) => texts.is_valid(row).then(|| texts.value(row).as_bytes()),
            Column::Int(ints) => ints.is_valid(row).then(|| {
                *number = ints.value(row).to_le_bytes();
                &number[..]
            }),
            Column::Bool(bools) => bools.is_valid(row).then(|| {
                number[0] = u8::from(bools.value(row));
                &number[..1]
            }),
            Column::Other => None,
        }
    }
}

impl Values {
    /// Numbers the values of a batch, and finds for those that are new which scans they leave.
    fn look(&mut self, tests: &Tests, column: &ArrayRef, rows: &RecordBatch, all: &[u64]) {
        if self.numbers.len() > VALUES {
            *self = Self::default();
        }
        let (column, mut number) = (Column::new(column), [0; 8]);
        let mut fresh: Vec<u32> = Vec::new();
        self.of_rows.clear();
        for row in 0..rows.num_rows() {
            let key = column.key(row, &mut number);
            let known = match key {
                Some(key) => self.numbers.get(key).copied(),
                None => self.null,
            };
            self.of_rows.push(known.unwrap_or_else(|| {
                let next = self.count;
                match key {
                    Some(key) => _ = self.numbers.insert(key.into(), next),
                    None => self.null = Some(next),
                }
                self.count += 1;
                fresh.push(row as u32);
                next
            }));
        }
        if !fresh.is_empty() {
            self.learn(tests, &UInt32Array::from(fresh), rows, all);
        }
    }

    /// Asks all tests about values that are new; `fresh` is a row of each, in the order of their numbers.
    fn learn(&mut self, tests: &Tests, fresh: &UInt32Array, rows: &RecordBatch, all: &[u64]) {
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
