//! What a window is found to say is what its rule's statement says of the window's rows, run as it stands.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arrow::array::{Array, AsArray, BooleanArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::TimestampMicrosecondType;
use chrono::TimeDelta;
use datafusion::datasource::MemTable;

use super::*;
use crate::detect::drawn::{drawn, rule};
use crate::detect::engine::{Engine, EngineConfig};
use crate::detect::filters::FilterSet;
use crate::detect::functions::Lookups;
use crate::detect::matcher::Matches;
use crate::detect::plan::Planner;
use crate::detect::session::{self, WindowEnd};
use crate::detect::state::State;
use crate::event::value::to_json;
use crate::event::{Batch, Table};
use crate::rules::{Catalog, Detection, Sources};

/// Rows of a result, as text, in order.
fn texts(output: &RecordBatch) -> Vec<String> {
    let row =
        |row: usize| output.columns().iter().map(|column| format!("{} | ", to_json(column, row))).collect();
    let mut rows: Vec<String> = (0..output.num_rows()).map(row).collect();
    rows.sort();
    rows
}

/// What the statement gives for the rows of a batch after `from` and up to `to`.
fn said(rule: &Detection, catalog: &Catalog, batch: &Batch, (from, to): (i64, i64)) -> Vec<String> {
    let lookups = Lookups { lists: Arc::new(catalog.lists.clone()), geoip: catalog.geoip.clone() };
    let window_end = WindowEnd::new(AtomicI64::new(to));
    let context = session::new(&lookups, window_end, 256 << 20).unwrap();
    for table in Table::ALL {
        let rows = table.rows(batch).0;
        let times = rows.column_by_name("time").unwrap().as_primitive::<TimestampMicrosecondType>();
        let within: BooleanArray =
            times.iter().map(|time| Some(time.is_some_and(|time| time > from && time <= to))).collect();
        let rows = filter_record_batch(rows, &within).unwrap();
        let table_of = MemTable::try_new(rows.schema(), vec![vec![rows]]).unwrap();
        context.register_table(table.name(), Arc::new(table_of)).unwrap();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let frame = runtime.block_on(context.sql(&rule.sql)).unwrap();
    let schema = Arc::new(frame.schema().as_arrow().clone());
    let batches = runtime.block_on(frame.collect()).unwrap();
    texts(&concat_batches(&schema, &batches).unwrap())
}

/// How often the rule said something of the windows of a batch, after comparing; its length and step in
/// microseconds.
fn compare(rule: &Detection, catalog: &Catalog, batch: &Batch, (length, step): (i64, i64)) -> usize {
    let rule = Detection {
        window: Some(TimeDelta::microseconds(length)),
        step: Some(TimeDelta::microseconds(step)),
        thin: None,
        ..rule.clone()
    };
    let window_end = WindowEnd::new(AtomicI64::new(0));
    let planner = Planner::new(catalog, window_end.clone()).unwrap();
    let planned = planner.plan(&rule).unwrap();
    let mut set = FilterSet::default();
    set.add_rule(&rule, &planned, planner.state()).unwrap();
    let mut matches = Matches::default();
    set.evaluate(batch, &mut set.indexes(), &mut matches);
    assert!(matches.failed.is_empty(), "{:?}", matches.failed);
    let config = EngineConfig::default();
    let State::Window(mut window) = State::new(&rule, &planned, &config) else { panic!("no window") };
    let latest = 1_780_272_000_000_000 + batch.audit.num_rows() as i64;
    for (scan, rows) in matches.kept {
        // In portions, the last of them twice.
        let (half, all) = (rows.len() / 2, rows.len());
        for part in [rows.slice(half, all), rows.slice(0, half), rows.slice(half, all)] {
            window.push(scan, part).unwrap();
        }
    }
    let runner = Runner::new(planner.state().task_ctx()).unwrap();
    let steps = window.due(i64::MAX, latest);
    let mut watch = runner.watch(&planned, &mut window, &steps).unwrap();
    let mut found = 0;
    for step in steps {
        window_end.store(step, Ordering::Relaxed);
        if window.places_at(step).unwrap().is_none() {
            continue;
        }
        let output = runner.look(&planned, &mut window, &mut watch, step).unwrap();
        let got = output.map(|(output, _)| texts(&output)).unwrap_or_default();
        let want = said(&rule, catalog, batch, (step - length, step));
        assert_eq!(got, want, "{} at {step}", rule.sql);
        found += usize::from(!got.is_empty());
    }
    found
}

#[test]
fn windows_of_the_pack_say_what_their_statements_say() {
    let (catalog, problems) = Catalog::load(&Sources::default());
    assert!(problems.is_empty());
    let mut found = 0;
    for (seed, rule) in catalog.detections.iter().filter(|rule| rule.window.is_some()).enumerate() {
        found += compare(rule, &catalog, &drawn(9000, seed as u64), (3000, 3000));
    }
    assert!(found > 10, "{found}");
}

#[test]
fn windows_that_overlap_say_what_their_statements_say() {
    let written = "SELECT username, verb, time, array_length(containers(object)) AS now, \
                   lag(array_length(containers(object))) OVER (PARTITION BY username ORDER BY time) AS before \
                   FROM audit WHERE namespace = 'shop'";
    let images = "SELECT username, time, unnest(container_images(object)) AS image FROM audit";
    let step = "SELECT username, CASE WHEN verb = 'create' THEN time END AS made, \
                CASE WHEN verb = 'delete' THEN time END AS gone, \
                object -> 'roleRef' ->> 'name' AS role FROM audit WHERE resource IN ('pods', 'nodes')";
    let joined = "audit AS a JOIN audit AS b ON a.username = b.username AND a.verb = 'create' AND b.verb = 'delete' \
                  AND a.resource = 'secrets' AND b.resource = 'pods'";
    let statements = [
        format!("SELECT username, count(*) AS n FROM ({written}) AS w WHERE now > before OR verb = 'list' GROUP BY username"),
        format!("SELECT username, max(now) AS n FROM ({written}) AS w WHERE verb = 'patch' AND before IS NULL GROUP BY username"),
        format!("SELECT username, verb AS n FROM ({written}) AS w WHERE verb = 'patch' AND now IS NOT NULL"),
        format!("SELECT username, count(*) AS n FROM ({images}) AS i WHERE image LIKE 'evil%' GROUP BY username"),
        format!("SELECT username, count(*) AS n FROM ({images}) AS i GROUP BY username HAVING count(*) > 3"),
        format!("SELECT username, count(DISTINCT role) AS n FROM ({step}) AS s GROUP BY username HAVING min(made) < max(gone)"),
        format!("SELECT username, count(role) AS n FROM ({step}) AS s GROUP BY username HAVING count(role) >= 2 AND bool_or(gone IS NULL)"),
        format!("SELECT username, max(role) AS n FROM ({step}) AS s GROUP BY username HAVING max(role) IS NOT NULL AND max(gone) - min(made) > interval '10 microseconds'"),
        "SELECT username, count(*) AS n FROM audit GROUP BY username HAVING 14 <= count(*)".into(),
        "SELECT username, count(DISTINCT name) AS n FROM audit WHERE verb = 'get' GROUP BY username \
         HAVING count(DISTINCT resource) FILTER (WHERE status_code = 403) >= 3".into(),
        "SELECT username, count(*) AS n FROM audit GROUP BY username HAVING NOT bool_or(verb = 'get')".into(),
        "SELECT username, count(*) AS n FROM audit GROUP BY username HAVING bool_or(verb = 'get') = false".into(),
        "SELECT min(username) AS username, count(*) AS n FROM audit WHERE verb = 'get' HAVING count(*) < 30".into(),
        format!("SELECT min(username) AS username, count(*) AS n FROM ({images}) AS i WHERE image = 'never' \
                 HAVING count(*) = 0"),
        "SELECT username, CAST(object -> 'spec' ->> 'number' AS INT) AS n FROM (SELECT username, object, \
                 lag(verb) OVER (PARTITION BY username ORDER BY time) AS before FROM audit) AS w \
                 WHERE before = 'get' AND object -> 'roleRef' ->> 'kind' = 'ClusterRole'"
            .into(),
        format!("SELECT a.username AS username, count(*) AS n FROM {joined} AND a.time < b.time GROUP BY a.username"),
        "SELECT a.username AS username, a.name AS n FROM audit AS a WHERE a.verb = 'create' AND NOT EXISTS \
         (SELECT 1 FROM audit AS b WHERE b.username = a.username AND b.verb = 'delete' AND \
         b.object -> 'roleRef' ->> 'name' LIKE 'cluster-%')".into(),
        "SELECT DISTINCT username, object ->> 'spec' AS n FROM audit WHERE verb = 'get'".into(),
        "SELECT username, n FROM (SELECT username, count(*) AS n FROM audit WHERE verb = 'get' GROUP BY username) AS i \
         WHERE n >= 4 ORDER BY n LIMIT 3".into(),
    ];
    let catalog = Catalog::default();
    let mut silent = Vec::new();
    for sql in &statements {
        let rule = rule("key = [\"username\"]\nwindow = \"1h\"", sql);
        let found: usize = (1..4).map(|seed| compare(&rule, &catalog, &drawn(600, seed), (200, 50))).sum();
        if found == 0 {
            silent.push(sql);
        }
    }
    assert!(silent.is_empty(), "{silent:#?}");
}

#[test]
fn a_row_that_cannot_be_prepared_costs_no_other() {
    let numbers = "SELECT verb, CAST(object -> 'data' ->> 'password' AS INT) AS number FROM audit";
    let sql = format!("SELECT verb, count(*) AS n, count(number) AS m FROM ({numbers}) AS i GROUP BY verb");
    let rule = rule("key = [\"verb\"]\nwindow = \"1h\"", &sql);
    let catalog = Catalog { detections: vec![rule], ..Catalog::default() };
    let config = EngineConfig { drafts: true, ..EngineConfig::default() };
    let mut engine = Engine::compile(&catalog, &config).unwrap();
    let batch = drawn(200, 5);
    engine.process(&batch);
    let alerts = engine.finish_all().unwrap();
    // The first row ends a window of its own, which says of it what the next says of all.
    let mut verbs: BTreeMap<String, u64> = BTreeMap::new();
    for alert in alerts {
        let most = verbs.entry(alert.key["verb"].to_string()).or_default();
        *most = alert.count.max(*most);
    }
    let (mut sound, mut damaged) = (0, 0);
    let column = |name: &str| batch.audit.column_by_name(name).unwrap();
    for row in (0..batch.audit.num_rows()).filter(|row| column("time").is_valid(*row)) {
        let object = column("object").as_string_view();
        let is_damaged = object.is_valid(row) && object.value(row).contains("password");
        *if is_damaged { &mut damaged } else { &mut sound } += 1;
    }
    assert_eq!(verbs.len(), 6, "{verbs:?}");
    assert_eq!(verbs.values().sum::<u64>(), sound);
    let failure = &engine.failures()["x"];
    assert!(damaged > 10 && failure.reason.contains("Cannot cast string 'x'"), "{failure:?}");
}
