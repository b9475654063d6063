//! Predicates over the archive: what paths, statistics, Bloom filters, pages and late decoding leave out is
//! nothing that a plain evaluation over the same rows in memory keeps.

use std::sync::Arc;

use aksentry::event::schema::{Kind, TABLES};
use aksentry::event::{Batch, Table};
use aksentry::pipeline::Range;
use aksentry::store::{Environment, Location};
use arrow::array::{Array as _, AsArray as _};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;
use fastrand::Rng;
use proptest::prelude::*;

use super::{archived, ask, options};
use crate::archive::{canonical, random};
use crate::azurite::Place;

/// A condition on one column that a row of the batch meets, if its value can be written down.
fn condition(table: Table, rows: &RecordBatch, rng: &mut Rng) -> Option<String> {
    let (_, columns) = TABLES.iter().find(|(name, _)| *name == table.name())?;
    // Those with Bloom filters, and those that paths are made of, as often as all others.
    let special = ["username", "name", "client_ip", "audit_id", "time", "cluster"];
    let special: Vec<_> = columns.iter().filter(|column| special.contains(&column.name)).collect();
    let column =
        if rng.bool() { special[rng.usize(..special.len())] } else { &columns[rng.usize(..columns.len())] };
    let (name, row) = (format!("\"{}\"", column.name), rng.usize(..rows.num_rows()));
    let values = rows.column_by_name(column.name)?;
    if values.is_null(row) {
        return Some(format!("{name} IS NULL"));
    }
    Some(match column.kind {
        Kind::Text | Kind::Json => {
            let value = values.as_string_view().value(row);
            if value.contains('\0') || value.len() > 100 {
                return None;
            }
            let value = value.replace('\'', "''");
            match rng.u8(..3) {
                0 => format!("{name} LIKE '{}%'", value.chars().take(3).collect::<String>()),
                1 => format!("{name} IN ('{value}', 'nobody')"),
                _ => format!("{name} = '{value}'"),
            }
        }
        Kind::Int => {
            let value = values.as_primitive::<Int64Type>().value(row);
            format!("{name} {} {}", ["=", "<", ">="][rng.usize(..3)], value.max(-i64::MAX))
        }
        Kind::Bool if values.as_boolean().value(row) => name,
        Kind::Bool => format!("NOT {name}"),
        Kind::Time => {
            let value = values.as_primitive::<TimestampMicrosecondType>().value(row);
            let time = chrono::DateTime::from_timestamp_micros(value).filter(|_| value > 0)?;
            let time = (value < 4_000_000_000_000_000).then(|| time.to_rfc3339())?;
            format!("{name} {} TIMESTAMP '{time}'", ["=", "<", ">="][rng.usize(..3)])
        }
        Kind::TextList => format!("{name} IS NOT NULL"),
    })
}

/// Rows that the condition holds for, evaluated in memory.
async fn in_memory(table: Table, batches: &[Batch], sql: &str) -> Vec<Vec<u8>> {
    let context = SessionContext::new();
    let rows = batches.iter().map(|batch| table.rows(batch).0.clone()).collect();
    let rows = MemTable::try_new(table.schema(), vec![rows]).unwrap();
    context.register_table(table.name(), Arc::new(rows)).unwrap();
    let found = context.sql(sql).await.unwrap_or_else(|e| panic!("{sql}: {e}")).collect().await.unwrap();
    canonical(table, found.iter().filter(|rows| rows.num_rows() > 0))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_filter_keeps_the_rows_that_it_keeps_in_memory(
        seed in any::<u64>(),
        // Beyond 512 rows a file has all that can be used to leave something out.
        sizes in proptest::collection::vec(1..800_usize, 1..3),
        hours in 1..3_i64,
    ) {
        let mut rng = Rng::with_seed(seed);
        let batches: Vec<Batch> = sizes.iter().map(|n| random(&mut rng, *n, hours)).collect();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let place = Place::folder();
        runtime.block_on(archived(&place.open(), &batches));
        let Location::Folder(folder) = &place.location else { unreachable!() };
        let path = [folder.to_string_lossy().into_owned()];
        let (mut asked, mut found) = (0, 0);
        while asked < 10 {
            let table = Table::ALL[rng.usize(..2)];
            let rows = table.rows(&batches[rng.usize(..batches.len())]).0;
            if rows.num_rows() == 0 {
                continue;
            }
            let conditions = [condition(table, rows, &mut rng), condition(table, rows, &mut rng)];
            let [Some(one), Some(other)] = conditions else { continue };
            let operator = ["AND", "OR", "AND NOT"][rng.usize(..3)];
            let sql = format!("SELECT * FROM {} WHERE ({one}) {operator} ({other})", table.name());
            let expected = runtime.block_on(in_memory(table, &batches, &sql));
            let (rows, damaged) = ask(&sql, options(&path, Range::default(), &Environment::default()));
            prop_assert_eq!(damaged, Vec::<String>::new());
            let rows = canonical(table, rows.iter().filter(|rows| rows.num_rows() > 0));
            prop_assert!(rows == expected, "{} rows, not {}: {sql}", rows.len(), expected.len());
            (asked, found) = (asked + 1, found + rows.len());
        }
        prop_assert!(found > 0);
    }
}
