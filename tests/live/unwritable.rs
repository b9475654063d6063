//! Folders that cannot be written: at the start the service refuses and says what to do; while it runs it
//! waits, says so at `/readyz`, and goes on.
//!
//! Permissions stop nobody who is root, so that a read-only volume stands for them (see `volume`), and
//! where tests do run as root, the immutable attribute, which works on files that are open, too. No mount
//! can be made read-only while a file is open on it. A file where a folder belongs stops everybody.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use aksentry::store::{Environment, Location, Store};
use bytes::Bytes;

use super::traffic::traffic;
use super::{Scene, archived, dead_letters, volume, wait_for, wait_for_ids, wait_for_rows};

const REMEDY: &str = "make the state folder writable for the user aksentry runs as";

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_written_at_the_start_is_refused_with_what_to_do() {
    let scene = Scene::new().await;
    let file = scene.folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let state = format!("{}/state-a", scene.folder.path().display());
    let below = format!("{}/state", file.display());
    let mut service = scene.start("a", &scene.configuration("a", "").replace(&state, &below));
    assert_eq!(service.ended(), 2, "{}", service.log());
    let log = service.log();
    assert!(log.contains(&below) && log.contains("[state] dir"), "{log}");

    let archive = format!("[archive]\nurl = \"file://{}\"\n", file.display());
    let mut service = scene.start("b", &scene.configuration("b", &archive));
    assert_eq!(service.ended(), 2, "{}", service.log());
    let log = service.log();
    assert!(log.contains("[archive]") && log.contains("must be writable"), "{log}");

    let Some(volume) = volume::start(&scene, "c", &scene.configuration("c", ""), "ro,size=1m") else {
        return;
    };
    let mut service = volume.service;
    assert_eq!(service.ended(), 2, "{}", service.log());
    let log = service.log();
    assert!(log.contains("Read-only file system") && log.contains(REMEDY), "{log}");
}

/// Files and folders that nobody can change until this is dropped.
struct Immutable(Vec<PathBuf>);

impl Immutable {
    /// `None` where that is not to be had: it takes root and a file system that knows it.
    fn new(paths: Vec<PathBuf>) -> Option<Self> {
        let all = Self(paths);
        let done = all.0.iter().all(|path| attribute("+i", path));
        if !done {
            eprintln!("left out: files cannot be made immutable (chattr +i) for this user, here");
        }
        done.then_some(all)
    }
}

impl Drop for Immutable {
    fn drop(&mut self) {
        for path in &self.0 {
            attribute("-i", path);
        }
    }
}

fn attribute(change: &str, path: &Path) -> bool {
    let mut command = Command::new("chattr");
    command.arg(change).arg(path).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_folder_that_becomes_read_only_is_waited_for() {
    let scene = Scene::new().await;
    let traffic = traffic(2_000, 20);
    let expected = scene.replayed(&traffic.messages);
    let service = scene.start("a", &scene.configuration("a", ""));
    let (some, rest) = traffic.messages.split_at(20);
    scene.publish(some);
    wait_for("a first alert", || (!scene.delivered().is_empty()).then_some(()), || service.log());
    let state = scene.folder.path().join("state-a");
    let paths = ["outbox.redb", "dead-letters", ""].map(|name| state.join(name)).into();
    let Some(immutable) = Immutable::new(paths) else { return };
    scene.publish(rest);
    service.not_ready(&["outbox.redb", REMEDY]);
    assert!(service.get("healthz").starts_with("HTTP/1.0 200"), "no restart helps");
    drop(immutable);
    wait_for_ids(&scene, &expected, &[&service]);
    service.ready();
    let (code, _, log) = service.stop();
    assert_eq!(code, 0, "{log}");
}

/// Works whoever runs the tests: the folder of dead letters is a file for a while.
#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_that_cannot_be_written_hold_up_and_are_not_lost() {
    let scene = Scene::new().await;
    let traffic = traffic(1_000, 10);
    let expected = scene.replayed(&traffic.messages);
    let service = scene.start("a", &scene.configuration("a", ""));
    service.ready();
    let state = scene.folder.path().join("state-a");
    let folder = state.join("dead-letters");
    std::fs::rename(&folder, state.join("away")).unwrap();
    std::fs::write(&folder, "").unwrap();
    scene.publish(&[Bytes::from_static(b"not json at all")]);
    scene.publish(&traffic.messages);
    service.not_ready(&["dead letters in", "give a folder that exists or can be made"]);
    std::fs::remove_file(&folder).unwrap();
    std::fs::rename(state.join("away"), &folder).unwrap();
    wait_for_ids(&scene, &expected, &[&service]);
    service.ready();
    assert_eq!(dead_letters(&state).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_cannot_be_written_holds_positions_back() {
    let scene = Scene::new().await;
    let traffic = traffic(4_000, 40);
    let expected = scene.replayed(&traffic.messages);
    let archive = scene.folder.path().join("archive");
    let more = format!("[archive]\nurl = \"file://{}\"\nroll = \"1s\"\n", archive.display());
    let configuration = scene.configuration("a", &more);
    let service = scene.start("a", &configuration);
    let (some, rest) = traffic.messages.split_at(40);
    scene.publish(some);
    let committed =
        || service.get("metrics").contains("aksentry_commits_total{outcome=\"done\"}").then_some(());
    wait_for("a commit", committed, || service.log());
    let away = scene.folder.path().join("away");
    std::fs::rename(&archive, &away).unwrap();
    std::fs::write(&archive, "").unwrap();
    scene.publish(rest);
    service.not_ready(&["archive"]);
    assert!(service.get("healthz").starts_with("HTTP/1.0 200"));
    // Alerts do not wait for the archive.
    wait_for_ids(&scene, &expected, &[&service]);
    // Had the positions been committed, these rows would be read by nobody.
    service.kill();
    std::fs::remove_file(&archive).unwrap();
    std::fs::rename(&away, &archive).unwrap();
    let store = Store::open(&Location::Folder(archive.clone()), &Environment::default()).unwrap();
    assert!(archived(&store).await.len() < 4_000, "the archive could be written");

    let service = scene.start("a", &configuration);
    wait_for_rows(&store, 4_000, &service);
    service.ready();
    let (code, _, log) = service.stop();
    assert_eq!(code, 0, "{log}");
    assert_eq!(scene.delivered(), expected);
}
