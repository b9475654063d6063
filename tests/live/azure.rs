//! Checkpoints, leases, the windows' journal and the archive in Azure storage (Azurite), and a process
//! that is killed: no alert and no row is missing.

use std::time::Duration;

use aksentry::store::{Location, Store};

use super::traffic::traffic;
use super::{Scene, Service, archived, program, wait_for, wait_for_ids, wait_for_rows};
use crate::support::azurite::Azurite;

const EVENTS: usize = 3_000;
const KILLS: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn kills_lose_no_alert_and_no_row() {
    let azurite = Azurite::shared();
    azurite.create_container("live-checkpoints");
    azurite.create_container("live-archive");
    let scene = Scene::new().await;
    let traffic = traffic(EVENTS, 30);
    let expected = scene.replayed(&traffic.messages);
    let archive = "[archive]\nurl = \"az://live-archive/v1\"\nroll = \"1s\"\n";
    let folder = format!("file://{}/checkpoints", scene.folder.path().display());
    let configuration = scene.configuration("a", archive).replace(&folder, "az://live-checkpoints/aksentry");
    let path = scene.write("a", &configuration);
    let start = || {
        let mut command = program();
        command
            .args(["run", "--config"])
            .arg(&path)
            .env("AZURE_STORAGE_ACCOUNT_NAME", azurite.account)
            .env("AZURE_STORAGE_ACCOUNT_KEY", azurite.key)
            .env("AZURE_STORAGE_ENDPOINT", &azurite.endpoint);
        Service::spawn(&mut command)
    };
    let portion = traffic.messages.len() / KILLS + 1;
    // The same moments in every run; what they hit differs by itself.
    let mut random = fastrand::Rng::with_seed(11);
    for messages in traffic.messages.chunks(portion) {
        scene.publish(messages);
        let service = start();
        let reading = || service.get("metrics").contains("aksentry_records_total{").then_some(());
        wait_for("the first records", reading, || service.log());
        tokio::time::sleep(Duration::from_millis(random.u64(200..1500))).await;
        service.kill();
    }
    let service = start();
    wait_for_ids(&scene, &expected, &[&service]);
    let location = Location::parse("az://live-archive/v1").unwrap();
    let store = Store::open(&location, &crate::azurite::environment()).unwrap();
    wait_for_rows(&store, EVENTS, &service);
    // The end commits what is left, and gives leases back.
    let (code, _, log) = service.stop();
    assert_eq!(code, 0, "{log}");
    let rows = archived(&store).await;
    // A kill between the archive and the positions brings the rows of one commit again; readers know a
    // row by its identity.
    let twice = rows.values().filter(|n| **n > 1).count();
    eprintln!("{twice} of {EVENTS} rows are in the archive more than once after {KILLS} kills");
    assert!(rows.values().all(|n| *n <= KILLS + 1), "{twice} rows");

    // Positions are where the messages end: another start reads nothing again.
    let before = scene.sentinel.rows().values().map(Vec::len).sum::<usize>();
    let service = start();
    service.ready();
    let owned = || service.get("metrics").contains("aksentry_partitions_owned 4").then_some(());
    wait_for("all partitions", owned, || service.log());
    assert!(!service.get("metrics").contains("aksentry_records_total{"), "{}", service.get("metrics"));
    assert_eq!(scene.sentinel.rows().values().map(Vec::len).sum::<usize>(), before);
    let (code, _, log) = service.stop();
    assert_eq!(code, 0, "{log}");
    assert_eq!(archived(&store).await, rows);
}
