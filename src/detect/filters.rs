//! The row filters of all scans, evaluated together.
//!
//! Filters are split at their ANDs. What asks one column of few values goes into the [`Index`], which
//! names the rows a scan must still look at; the rest is evaluated on those rows only, conditions that
//! read a JSON body last. A condition that several scans share is evaluated once a row, and so is a call
//! that reads a body ([`Calls`]), whatever the conditions around it.

use std::collections::{BTreeMap, HashMap};

use arrow::array::UInt32Array;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::error::Result;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::utils::split_conjunction;

use super::calls::{Called, Calls};
use super::condition::{Compiled, column_names, part_of, reads_a_body, unqualified};
use super::index::{Index, Of, Tests, groups};
use super::matcher::{Matches, ScanId};
use super::rows::{self, Rows};
use super::table::PlannedScan;
use super::thin::Thinner;
use crate::event::{Batch, Table};

/// The filters of the scans of rules that are planned.
#[derive(Debug, Clone, Default)]
pub struct FilterSet {
    tables: [Filters; 2],
    scans: usize,
}

/// The filters of one table's scans.
#[derive(Debug, Clone, Default)]
struct Filters {
    /// What is asked of columns of few values.
    tests: Vec<Tests>,
    /// All other conditions, each once.
    conditions: Vec<Compiled>,
    /// What these call on a body.
    calls: Calls,
    /// Text of one of these → its index.
    known: HashMap<String, usize>,
    scans: Vec<Scan>,
}

#[derive(Debug, Clone)]
struct Scan {
    id: ScanId,
    /// The conditions that are left to ask, in order.
    conditions: Vec<usize>,
    projection: Vec<usize>,
    schema: SchemaRef,
    thinner: Option<Thinner>,
}

impl FilterSet {
    /// Compiles the row filters of a rule's scans, which get the next ids in order; `thin` is in
    /// microseconds. Where one of them fails none of them is added.
    pub fn add_rule(&mut self, scans: &[PlannedScan], thin: Option<i64>, state: &SessionState) -> Result<()> {
        let before = [0, 1].map(|table: usize| self.tables[table].scans.len());
        for (scan, id) in scans.iter().zip(self.scans..) {
            if let Err(error) = self.tables[scan.table as usize].add(id, scan, thin, state) {
                self.tables.iter_mut().zip(before).for_each(|(table, scans)| table.truncate(scans));
                return Err(error);
            }
        }
        self.scans += scans.len();
        Ok(())
    }

    /// What threads need beside the filters, one each.
    pub fn indexes(&self) -> [Index; 2] {
        self.tables.each_ref().map(|filters| Index::new(filters.scans.len(), filters.tests.len()))
    }

    /// Evaluates all filters on the rows of a batch.
    pub fn evaluate(&self, batch: &Batch, indexes: &mut [Index; 2], matches: &mut Matches) {
        for table in Table::ALL {
            let (rows, ids) = table.rows(batch);
            if rows.num_rows() > 0 {
                self.tables[table as usize].evaluate(rows, ids, &mut indexes[table as usize], matches);
            }
        }
    }
}

impl Filters {
    fn add(&mut self, id: ScanId, scan: &PlannedScan, thin: Option<i64>, state: &SessionState) -> Result<()> {
        let (table, number) = (scan.table.schema(), self.scans.len());
        let (mut cheap, mut expensive) = (Vec::new(), Vec::new());
        for filter in &scan.filters {
            for conjunct in split_conjunction(filter) {
                let condition = unqualified(conjunct.clone())?;
                let mut told = false;
                for group in groups(scan.table) {
                    let Some(part) = part_of(&condition, group).filter(|_| !told) else { continue };
                    let read = column_names(&part);
                    // What asks one of them alone was asked already.
                    if group.len() > 1 && read.len() == 1 {
                        continue;
                    }
                    told = part == condition;
                    let compile = || Compiled::new(part.clone(), &table, state);
                    self.tests(group, &read, &table)?.add(part.to_string(), told, number, compile)?;
                }
                if told {
                    continue;
                }
                let text = condition.to_string();
                let kind = if reads_a_body(&condition)? { &mut expensive } else { &mut cheap };
                kind.push(match self.known.get(&text) {
                    Some(at) => *at,
                    None => {
                        let condition = self.calls.take_out(condition, &table, state)?;
                        self.conditions.push(Compiled::new(condition, &self.calls.schema(&table), state)?);
                        self.known.insert(text, self.conditions.len() - 1);
                        self.conditions.len() - 1
                    }
                });
            }
        }
        let conditions = [cheap, expensive].concat();
        let thinner = thin.map(|interval| Thinner::new(interval, scan.slot.schema()));
        let schema = rows::schema(scan.slot.schema());
        self.scans.push(Scan { id, conditions, projection: scan.projection.clone(), schema, thinner });
        Ok(())
    }

    /// The tests of a group, of which these columns are read.
    fn tests(
        &mut self,
        group: &'static [&'static str],
        read: &[String],
        table: &Schema,
    ) -> Result<&mut Tests> {
        let [column] = group else {
            let alone = groups_alone(group, read);
            let places =
                alone.map(|column| self.place(column, || Ok(Of::Column(table.index_of(column[0])?))));
            let places = places.collect::<Result<Vec<_>>>()?;
            let at = self.place(group, || Ok(Of::Places(Vec::new())))?;
            if let Of::Places(known) = &mut self.tests[at].of {
                known.extend(places);
                known.sort_unstable();
                known.dedup();
            }
            return Ok(&mut self.tests[at]);
        };
        let at = self.place(group, || Ok(Of::Column(table.index_of(column)?)))?;
        Ok(&mut self.tests[at])
    }

    fn place(&mut self, group: &'static [&'static str], of: impl FnOnce() -> Result<Of>) -> Result<usize> {
        if let Some(at) = self.tests.iter().position(|tests| tests.group == group) {
            return Ok(at);
        }
        self.tests.push(Tests::new(group, of()?));
        Ok(self.tests.len() - 1)
    }

    fn truncate(&mut self, scans: usize) {
        self.scans.truncate(scans);
        self.tests.iter_mut().for_each(|tests| tests.truncate(scans));
    }

    fn evaluate(&self, rows: &RecordBatch, ids: &[u64], index: &mut Index, matches: &mut Matches) {
        let mut failed = BTreeMap::new();
        let candidates = index.rows(&self.tests, rows, &mut failed);
        let mut asked =
            Asked { conditions: &self.conditions, rows, known: HashMap::new(), called: self.calls.on(rows) };
        for (number, (scan, chosen)) in self.scans.iter().zip(candidates).enumerate() {
            if let Some(reason) = failed.remove(&number) {
                matches.failed.push((scan.id, reason));
                continue;
            }
            match scan.keep(chosen, ids, &mut asked) {
                Ok(Some(kept)) => matches.kept.push((scan.id, kept)),
                Ok(None) => {}
                Err(error) => matches.failed.push((scan.id, error.strip_backtrace())),
            }
        }
    }
}

/// The columns of a group that are read, each as a group of its own.
fn groups_alone(
    group: &'static [&'static str],
    read: &[String],
) -> impl Iterator<Item = &'static [&'static str]> {
    group.iter().filter(|column| read.iter().any(|name| name == *column)).map(std::slice::from_ref)
}

impl Scan {
    /// What the scan keeps of the rows it must look at.
    fn keep(&self, chosen: &[u32], ids: &[u64], asked: &mut Asked) -> Result<Option<Rows>> {
        if chosen.is_empty() {
            return Ok(None);
        }
        let mut narrowed;
        let mut chosen = chosen;
        for condition in &self.conditions {
            narrowed = asked.narrow(*condition, chosen)?;
            chosen = &narrowed;
            if chosen.is_empty() {
                return Ok(None);
            }
        }
        if let Some(thinner) = &self.thinner {
            narrowed = thinner.choose(asked.rows, ids, chosen, &self.projection)?;
            chosen = &narrowed;
        }
        Ok(Some(Rows::keep(asked.rows, ids, chosen, &self.projection, &self.schema)?))
    }
}

/// What is known of the conditions on the rows of a batch.
struct Asked<'a> {
    conditions: &'a [Compiled],
    rows: &'a RecordBatch,
    /// By condition, for each row whether it is true; `None` where it was not asked.
    known: HashMap<usize, Vec<Option<bool>>>,
    called: Called<'a>,
}

impl Asked<'_> {
    /// The rows of those chosen for which the condition is true.
    fn narrow(&mut self, condition: usize, chosen: &[u32]) -> Result<Vec<u32>> {
        let all = self.rows.num_rows();
        let known = self.known.entry(condition).or_insert_with(|| vec![None; all]);
        let unknown: Vec<u32> = chosen.iter().copied().filter(|&row| known[row as usize].is_none()).collect();
        if !unknown.is_empty() {
            let condition = &self.conditions[condition];
            let these = UInt32Array::from(unknown.clone());
            let columns = condition.columns.iter().map(|at| self.called.column(*at, &these));
            let columns = columns.collect::<Result<_>>()?;
            let truth = condition.truth_of(columns, these.len())?;
            for (row, is_true) in unknown.iter().zip(&truth) {
                known[*row as usize] = Some(is_true);
            }
        }
        Ok(chosen.iter().copied().filter(|&row| known[row as usize] == Some(true)).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicI64;

    use arrow::array::{ArrayRef, AsArray, ListBuilder, StringViewBuilder};
    use arrow::buffer::BooleanBuffer;
    use arrow::datatypes::{DataType, Field};
    use datafusion::common::DFSchema;

    use super::*;
    use crate::detect::plan::Planner;
    use crate::detect::session::WindowEnd;
    use crate::rules::{Catalog, Sources};

    /// What values of a column are drawn from, null among them: those that rules ask for, and others.
    fn pool(column: &str) -> &'static [Option<&'static str>] {
        const VERBS: &[Option<&str>] =
            &[Some("get"), Some("list"), Some("create"), Some("patch"), Some("delete"), None];
        const RESOURCES: &[Option<&str>] = &[
            Some("secrets"),
            Some("pods"),
            Some("clusterrolebindings"),
            Some("configmaps"),
            Some("nodes"),
            Some("networkpolicies"),
            None,
        ];
        const PARTS: &[Option<&str>] = &[None, None, Some("exec"), Some("token"), Some("status")];
        const PEOPLE: &[Option<&str>] = &[
            Some("alice@contoso.com"),
            Some("system:anonymous"),
            Some("masterclient"),
            Some("system:serviceaccount:shop:web"),
            Some("system:node:aks-1"),
            None,
        ];
        const CLASSES: &[Option<&str>] = &[
            Some("entra-user"),
            Some("anonymous"),
            Some("local-admin"),
            Some("service-account"),
            Some("node"),
        ];
        const PLACES: &[Option<&str>] =
            &[Some("203.0.113.9"), Some("10.0.0.4"), Some("2001:db8::1"), Some("?"), None];
        const SPACES: &[Option<&str>] = &[Some("kube-system"), Some("shop"), Some("default"), None];
        const BODIES: &[Option<&str>] = &[
            None,
            Some(
                r#"{"roleRef":{"kind":"ClusterRole","name":"cluster-admin"},"subjects":[{"kind":"User","name":"x"}]}"#,
            ),
            Some(
                r#"{"spec":{"hostNetwork":true,"containers":[{"name":"c","image":"evil.io/xmrig","securityContext":{"privileged":true}}]}}"#,
            ),
            Some(r#"{"data":{"password":"x"}}"#),
            Some("{cut"),
        ];
        const LINES: &[Option<&str>] = &[
            Some("Unable to authenticate the request"),
            Some("scale-up: node group is not ready"),
            Some("TLS handshake error from 203.0.113.9:1: EOF"),
            None,
        ];
        match column {
            "verb" => VERBS,
            "resource" => RESOURCES,
            "subresource" => PARTS,
            "username" | "impersonated_username" => PEOPLE,
            "principal_class" => CLASSES,
            "client_ip" => PLACES,
            "namespace" => SPACES,
            "stage" => &[Some("ResponseComplete"), Some("ResponseStarted"), Some("RequestReceived"), None],
            "level" => &[Some("Metadata"), Some("Request"), Some("RequestResponse")],
            "user_agent" => &[Some("kubectl/v1.30"), Some("curl/8"), Some("Go-http-client/2.0"), None],
            "object" | "request_object" | "response_object" => BODIES,
            "decision" => &[Some("allow"), Some("forbid"), None],
            "category" => {
                &[Some("kube-audit"), Some("guard"), Some("kube-apiserver"), Some("cluster-autoscaler")]
            }
            "message" | "raw" => LINES,
            "request_uri" => &[Some("/api/v1/secrets?watch=true"), Some("/healthz"), Some("/api"), None],
            _ => &[Some("x"), Some("aks-managed"), Some("a text that is longer than a view holds"), None],
        }
    }

    /// Rows of both tables, drawn at random.
    fn drawn(rows: usize, seed: u64) -> Batch {
        let mut state = seed;
        let mut draw = move |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below
        };
        let mut table = |table: Table| {
            let column = |field: &Arc<Field>| -> ArrayRef {
                let pool = pool(field.name());

                match field.data_type() {
                    DataType::Utf8View => Arc::new(
                        (0..rows).map(|_| pool[draw(pool.len())]).collect::<arrow::array::StringViewArray>(),
                    ),
                    DataType::Int64 => Arc::new(
                        (0..rows)
                            .map(|_| [Some(200), Some(201), Some(403), Some(401), None][draw(5)])
                            .collect::<arrow::array::Int64Array>(),
                    ),
                    DataType::Boolean => Arc::new(
                        (0..rows).map(|_| Some(draw(8) == 0)).collect::<arrow::array::BooleanArray>(),
                    ),
                    DataType::Timestamp(..) => Arc::new(
                        (0..rows)
                            .map(|row| (draw(20) > 0).then_some(1_780_272_000_000_000 + row as i64))
                            .collect::<arrow::array::TimestampMicrosecondArray>()
                            .with_timezone("+00:00"),
                    ),
                    _ => {
                        let mut lists = ListBuilder::new(StringViewBuilder::new());
                        for _ in 0..rows {
                            for _ in 0..draw(3) {
                                lists.values().append_option(pool[draw(pool.len())]);
                            }
                            lists.append(draw(4) > 0);
                        }
                        Arc::new(lists.finish())
                    }
                }
            };
            let schema = table.schema();
            let columns = schema.fields().iter().map(column).collect();
            RecordBatch::try_new(schema.clone(), columns).unwrap()
        };
        let (audit, control_plane) = (table(Table::Audit), table(Table::ControlPlane));
        let ids: Vec<u64> = (0..rows as u64).collect();
        let block = arrow::buffer::Buffer::from_vec(Vec::<u8>::new());
        Batch { audit, audit_ids: ids.clone(), control_plane, control_plane_ids: ids, block }
    }

    /// Ids of the rows for which all filters are true, evaluated one by one on everything.
    fn kept_by(scan: &PlannedScan, batch: &Batch, state: &SessionState) -> Vec<u64> {
        let (rows, ids) = scan.table.rows(batch);
        let schema = DFSchema::try_from(scan.table.schema().as_ref().clone()).unwrap();
        let mut left = BooleanBuffer::new_set(rows.num_rows());
        for filter in &scan.filters {
            let expr = state.create_physical_expr(unqualified(filter.clone()).unwrap(), &schema).unwrap();
            let value = expr.evaluate(rows).unwrap().into_array(rows.num_rows()).unwrap();
            let is_true = value.as_boolean().iter().map(|value| value == Some(true));
            left = &left & &is_true.collect::<BooleanBuffer>();
        }
        left.set_indices().map(|row| ids[row]).collect()
    }

    #[test]
    fn each_scan_of_the_pack_keeps_what_its_filter_keeps_alone() {
        let (catalog, problems) = Catalog::load(&Sources::default());
        assert!(problems.is_empty());
        let planner = Planner::new(&catalog, WindowEnd::new(AtomicI64::new(0))).unwrap();
        let (mut set, mut scans) = (FilterSet::default(), Vec::new());
        for rule in &catalog.detections {
            let planned = planner.plan(rule).unwrap();
            set.add_rule(&planned.scans, None, planner.state()).unwrap();
            scans.extend(planned.scans);
        }
        let (mut indexes, mut any) = (set.indexes(), 0);
        for batch in (1..20).map(|seed| drawn(400, seed)) {
            let mut matches = Matches::default();
            set.evaluate(&batch, &mut indexes, &mut matches);
            assert!(matches.failed.is_empty(), "{:?}", matches.failed);
            let mut kept: HashMap<ScanId, Rows> = matches.kept.into_iter().collect();
            for (id, scan) in scans.iter().enumerate() {
                let rows = kept.remove(&id);
                let ids: Vec<u64> =
                    rows.iter().flat_map(|rows| (0..rows.len()).map(|row| rows.id(row))).collect();
                assert_eq!(ids, kept_by(scan, &batch, planner.state()), "{:?}", scan.filters);
                any += ids.len();
            }
        }
        assert!(any > 1000, "{any}");
    }

    #[test]
    fn a_condition_that_fails_on_a_value_costs_its_own_scan_alone() {
        let batch = drawn(100, 1);
        let planner = Planner::new(&Catalog::default(), WindowEnd::new(AtomicI64::new(0))).unwrap();
        let rule = |sql: &str| {
            let header = [
                "/// detection",
                "title = \"x\"",
                "severity = \"low\"",
                "status = \"draft\"",
                "key = [\"verb\"]",
                "summary = \"{verb}\"",
                "description = \"x\"",
                "///",
            ];
            let text = header.map(|line| format!("-- {line}\n")).concat() + sql;
            let path = std::path::Path::new("detections/execution/x.sql");
            planner.plan(&crate::rules::parse_detection(path, "execution", "x", &text).unwrap()).unwrap()
        };
        let number = rule("SELECT verb FROM audit WHERE CAST(verb AS INT) + 1 > 1").scans;
        let sound = rule("SELECT verb FROM audit WHERE verb = 'get'").scans;
        let mut set = FilterSet::default();
        set.add_rule(&number, None, planner.state()).unwrap();
        set.add_rule(&sound, None, planner.state()).unwrap();
        let mut matches = Matches::default();
        set.evaluate(&batch, &mut set.indexes(), &mut matches);
        let failed: Vec<ScanId> = matches.failed.iter().map(|(scan, _)| *scan).collect();
        let kept: Vec<ScanId> = matches.kept.iter().map(|(scan, _)| *scan).collect();
        assert_eq!((failed, kept), (vec![0], vec![1]));
    }
}
