//! `aksentry archive info`: the account of what is there and what is missing.

use aksentry::archive::{Writer, publish};
use aksentry::event::Table;
use aksentry::store::Location;
use assert_cmd::Command;
use serde_json::Value;

use super::{archived, sample_batches, written};
use crate::archive::config;
use crate::azurite::Place;
use crate::support::azurite::Azurite;

fn info(arguments: &[&str]) -> (Vec<Value>, String) {
    let azurite = Azurite::shared();
    let output = Command::cargo_bin("aksentry")
        .unwrap()
        .args(["archive", "info", "--format", "ndjson"])
        .args(arguments)
        .env("AZURE_STORAGE_ACCOUNT_NAME", azurite.account)
        .env("AZURE_STORAGE_ACCOUNT_KEY", azurite.key)
        .env("AZURE_STORAGE_ENDPOINT", &azurite.endpoint)
        .assert()
        .success();
    let output = output.get_output();
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let rows = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (rows, String::from_utf8(output.stderr.clone()).unwrap())
}

fn sum(rows: &[Value], name: &str) -> u64 {
    rows.iter().map(|row| row[name].as_u64().unwrap()).sum()
}

#[test]
fn every_hour_is_accounted_for() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let batches = sample_batches(97);
    let rows = |table: Table| batches.iter().map(|b| table.rows(b).0.num_rows() as u64).sum::<u64>();
    for place in [Place::folder(), Place::container()] {
        let store = place.open();
        runtime.block_on(archived(&store, &batches));
        // Records that became no row, received in one hour, with nothing beside them.
        let spool = tempfile::tempdir().unwrap();
        let mut writer = Writer::open(spool.path(), config(1 << 20)).unwrap();
        writer.reject(1_773_135_000_000_000, "not_json");
        writer.reject(1_773_135_000_000_001, "not_json");
        for file in writer.close_files().unwrap() {
            runtime.block_on(publish(&file, &store)).unwrap();
        }
        let location = match &place.location {
            Location::Folder(folder) => folder.to_string_lossy().into_owned(),
            azure @ Location::Azure { .. } => azure.to_string(),
        };
        let (hours, said) = info(&[&location]);
        assert_eq!(sum(&hours, "events"), rows(Table::Audit));
        assert_eq!(sum(&hours, "control_plane"), rows(Table::ControlPlane));
        assert_eq!(sum(&hours, "cut"), 6);
        let rejected: Vec<&Value> = hours.iter().filter(|row| row["rejected"]["not_json"] == 2).collect();
        assert_eq!(rejected.len(), 1);
        assert_eq!(rejected[0]["hour"], "2026-03-10T09:00:00Z");
        assert_eq!(rejected[0]["cluster"], Value::Null);
        assert!(said.contains("2 records were rejected"), "{said}");
        // One hour each, in order, and none between the first and the last is left out.
        let of = |cluster: &str| -> Vec<&Value> {
            hours
                .iter()
                .filter(|row| row["cluster"].as_str().is_some_and(|id| id.ends_with(cluster)))
                .collect()
        };
        let shop = of("/aks-shop-prod-neu");
        let times: Vec<&str> = shop.iter().map(|row| row["hour"].as_str().unwrap()).collect();
        assert!(times.is_sorted() && times.len() > 40, "{times:?}");
        // After the last event there may be lines of the control plane; that is no gap.
        let last = shop.iter().rposition(|row| row["events"] != 0).unwrap();
        for (at, row) in shop.iter().enumerate() {
            assert_eq!(row["gap_hours"] == 1, row["events"] == 0 && at < last, "{row}");
        }
        let (clusters, _) = info(&[&location, "--by", "cluster"]);
        for name in ["events", "control_plane", "cut", "files", "bytes", "gap_hours"] {
            assert_eq!(sum(&clusters, name), sum(&hours, name), "{name}");
        }
        let (days, _) = info(&[&location, "--by", "day", "--quiet"]);
        assert_eq!(sum(&days, "events"), rows(Table::Audit));
        assert!(days.iter().all(|row| row["day"].as_str().is_none_or(|day| day.len() == 10)));
    }
}

#[test]
fn a_missing_hour_is_a_gap() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let place = Place::folder();
    let store = place.open();
    let spool = tempfile::tempdir().unwrap();
    let missing = "/date=2026-03-10/hour=12/";
    for file in written(spool.path(), &sample_batches(97)) {
        if !file.key.contains(missing) {
            runtime.block_on(publish(&file, &store)).unwrap();
        }
    }
    let Location::Folder(folder) = &place.location else { unreachable!() };
    let (hours, said) = info(&[&folder.to_string_lossy()]);
    let gap = hours.iter().filter(|row| row["hour"] == "2026-03-10T12:00:00Z");
    assert!(gap.clone().count() > 0);
    assert!(gap.clone().all(|row| row["gap_hours"] == 1 && row["events"] == 0 && row["files"] == 0));
    assert!(said.contains("without events"), "{said}");
}

#[test]
fn wrong_places_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let (rows, said) = info(&[&folder.path().to_string_lossy()]);
    assert_eq!(rows, [] as [Value; 0]);
    assert!(said.contains("nothing of an archive was found"), "{said}");
    let here = folder.path().to_string_lossy().into_owned();
    for (arguments, says) in [
        (vec!["archive", "info"], "name the archive"),
        (vec!["archive", "info", "/nowhere/at/all"], "no such folder"),
        (vec!["archive", "info", "s3://x/y"], "only Azure storage"),
        (vec!["archive", "compact", "/nowhere/at/all"], "no such folder"),
        (vec!["archive", "compact", &here, "--retention", "soon"], "--retention soon"),
        (vec!["archive", "info", "--config", "/nowhere.toml"], "/nowhere.toml"),
    ] {
        let output = Command::cargo_bin("aksentry").unwrap().args(&arguments).assert().code(2);
        let said = String::from_utf8_lossy(&output.get_output().stderr).into_owned();
        assert!(said.contains(says), "{arguments:?}: {said}");
    }
}
