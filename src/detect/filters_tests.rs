//! All filters together keep what each keeps alone.

use std::sync::atomic::AtomicI64;

use arrow::array::AsArray;
use arrow::buffer::BooleanBuffer;
use datafusion::common::DFSchema;

use super::*;
use crate::detect::drawn::{drawn, rule};
use crate::detect::plan::Planner;
use crate::detect::session::WindowEnd;
use crate::rules::{Catalog, Sources};

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
        let whole = Detection { thin: None, baseline: None, ..rule.clone() };
        set.add_rule(&whole, &planned, planner.state()).unwrap();
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
        let rule = rule("key = [\"verb\"]", sql);
        let planned = planner.plan(&rule).unwrap();
        (rule, planned)
    };
    let number = rule("SELECT verb FROM audit WHERE CAST(verb AS INT) + 1 > 1");
    let mixed = rule("SELECT verb FROM audit WHERE name = 'no' OR CAST(lower(verb) AS INT) > 1");
    let sound = rule("SELECT verb FROM audit WHERE verb = 'get'");
    let mut set = FilterSet::default();
    set.add_rule(&number.0, &number.1, planner.state()).unwrap();
    set.add_rule(&sound.0, &sound.1, planner.state()).unwrap();
    set.add_rule(&mixed.0, &mixed.1, planner.state()).unwrap();
    let mut matches = Matches::default();
    set.evaluate(&batch, &mut set.indexes(), &mut matches);
    let failed: Vec<ScanId> = matches.failed.iter().map(|(scan, _)| *scan).collect();
    let kept: Vec<ScanId> = matches.kept.iter().map(|(scan, _)| *scan).collect();
    assert_eq!((failed, kept), (vec![0, 2], vec![1]));
}
