//! A disk that is full: the service stays up, says what is wrong and what to do, and goes on when there is
//! room.
//!
//! Two ways to a full disk without root: a limit on the size of files, set and lifted while the service
//! runs (`prlimit`), fails its writes like one; and a small volume (see `volume`) that is really full.

use std::process::Command;
use std::time::Duration;

use aksentry::store::{Environment, Location, Store};
use bytes::Bytes;

use super::traffic::traffic;
use super::{Scene, Service, archived, dead_letters, volume, wait_for, wait_for_ids, wait_for_rows};
use crate::support::http::Answer;

/// Files of the process may not grow beyond this from now on; what is longer cannot be written there.
fn limit(service: &Service, bytes: &str) {
    let pid = service.pid().to_string();
    let limited = Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={bytes}:")]).status();
    assert!(limited.unwrap().success(), "prlimit (util-linux) is needed");
}

#[tokio::test(flavor = "multi_thread")]
async fn told_to_stop_while_the_disk_is_full_it_leaves_nothing_behind() {
    let scene = Scene::new().await;
    let traffic = traffic(4_000, 40);
    let expected = scene.replayed(&traffic.messages);
    let configuration = scene.configuration("a", "");
    // Without the signal a write over the limit fails as one on a full disk does.
    let mut command = Command::new("sh");
    command
        .args(["-c", "trap '' XFSZ; exec \"$0\" run --config \"$1\""])
        .arg(env!("CARGO_BIN_EXE_aksentry"))
        .arg(scene.write("a", &configuration))
        .current_dir(super::place());
    let service = Service::spawn(&mut command);
    let mut portions = traffic.messages.chunks(27);
    let mut publish = || scene.publish(portions.next().unwrap());
    publish();
    wait_for("a first alert", || (!scene.delivered().is_empty()).then_some(()), || service.log());
    scene.sentinel.outage(Some(Answer::status(503, "busy")));
    limit(&service, "8192");
    publish();
    service.not_ready(&["outbox.redb", "there is no room: free some"]);
    assert!(service.get("healthz").starts_with("HTTP/1.0 200"), "no restart helps");
    // It goes on by itself.
    limit(&service, "unlimited");
    service.ready();
    limit(&service, "8192");
    publish();
    service.not_ready(&["outbox.redb"]);
    // What is delivered now cannot be noted, so it comes again with the same id.
    scene.sentinel.outage(None);
    let (code, took, log) = service.stop();
    assert!(took < Duration::from_secs(10), "{took:?}\n{log}");
    assert!(code == 0 || log.contains("what is missing is read again at the next start"), "{code}\n{log}");
    let service = scene.start("a", &configuration);
    wait_for_ids(&scene, &expected, &[&service]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_volume_holds_everything_up_and_loses_nothing() {
    let scene = Scene::new().await;
    let traffic = traffic(4_000, 40);
    let expected = scene.replayed(&traffic.messages);
    let archive = scene.folder.path().join("archive");
    let more = format!("[archive]\nurl = \"file://{}\"\nroll = \"1s\"\n", archive.display());
    let started = volume::start(&scene, "a", &scene.configuration("a", &more), "size=24m");
    let Some(volume) = started else { return };
    let service = &volume.service;
    // Message 63 raises nothing and holds no row that a window keeps.
    let (before, quiet, behind) =
        (&traffic.messages[..63], &traffic.messages[63..64], &traffic.messages[64..]);
    scene.publish(before);
    let soon = scene.replayed(&before[..60]);
    wait_for("alerts", || soon.is_subset(&scene.delivered()).then_some(()), || service.log());
    service.ready();

    // A record that cannot be put aside is not passed over.
    volume.fill();
    scene.publish(&[Bytes::from_static(b"not json at all")]);
    service.not_ready(&["dead letters in", "there is no room: free some"]);
    assert!(service.get("healthz").starts_with("HTTP/1.0 200"));
    assert!(volume.is_empty("dead-letters"));
    volume.free();
    service.ready();
    wait_for("a dead letter", || (!volume.is_empty("dead-letters")).then_some(()), || service.log());
    let letters = dead_letters(&volume.folder);
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert_eq!(letters[0]["reason"], "not_json");

    // Rows on their way to the archive. Those of before must have left, or a few bytes find room behind them.
    wait_for("an empty spool", || volume.is_empty("spool").then_some(()), || service.log());
    volume.fill();
    scene.publish(quiet);
    service.not_ready(&["pipeline", "spool", "room"]);
    volume.free();
    service.ready();

    // Alerts, which cannot leave either. Whether the outbox or the rows find no room first is chance.
    scene.sentinel.outage(Some(Answer::status(503, "busy")));
    volume.fill();
    scene.publish(behind);
    service.not_ready(&["No space left on device", "room"]);
    volume.free();
    service.ready();
    scene.sentinel.outage(None);
    wait_for_ids(&scene, &expected, &[service]);
    let store = Store::open(&Location::Folder(archive), &Environment::default()).unwrap();
    wait_for_rows(&store, 4_000, service);
    service.signal("-TERM");
    let mut volume = volume;
    assert_eq!(volume.service.ended(), 0, "{}", volume.service.log());
    let rows = archived(&store).await;
    let twice: Vec<_> = rows.iter().filter(|(_, n)| **n > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
}
