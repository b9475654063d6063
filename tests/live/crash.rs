//! Crashes at any moment, and the ordinary end.

use std::time::Duration;

use super::traffic::traffic;
use super::{Scene, wait_for, wait_for_ids};

/// Kills at moments spread over a stream; every round begins with what the last one left.
#[tokio::test(flavor = "multi_thread")]
async fn twenty_kills_lose_no_alert() {
    let scene = Scene::new().await;
    let traffic = traffic(20_000, 200);
    let expected = scene.replayed(&traffic.messages);
    let configuration = scene.configuration("a", "");
    let mut left = traffic.messages.chunks(traffic.messages.len() / 20);
    // The same moments in every run; what they hit differs by itself.
    let mut random = fastrand::Rng::with_seed(20);
    for _ in 0..20 {
        scene.publish(left.next().unwrap_or_default());
        let service = scene.start("a", &configuration);
        tokio::time::sleep(Duration::from_millis(random.u64(50..1500))).await;
        service.kill();
    }
    let service = scene.start("a", &configuration);
    wait_for_ids(&scene, &expected, &[&service]);
    // What was delivered twice had the same id, or it would be a surplus; its contents are the same too.
    for rows in scene.sentinel.rows().values() {
        let rule = &rows[0]["Rule"];
        assert!(rows.iter().all(|row| row["Rule"] == *rule && row["Key"] == rows[0]["Key"]), "{rows:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn told_to_stop_under_load_it_commits_and_ends() {
    let scene = Scene::new().await;
    let traffic = traffic(20_000, 200);
    let expected = scene.replayed(&traffic.messages);
    let archive = scene.folder.path().join("archive");
    let more = format!("[archive]\nurl = \"file://{}\"\n", archive.display());
    let configuration = scene.configuration("a", &more);
    let service = scene.start("a", &configuration);
    let (some, rest) = traffic.messages.split_at(100);
    scene.publish(some);
    wait_for("a first alert", || (!scene.delivered().is_empty()).then_some(()), || service.log());
    scene.publish(rest);
    let (code, took, log) = service.stop();
    assert_eq!(code, 0, "{log}");
    assert!(took < Duration::from_secs(10), "{took:?}\n{log}");
    let unfinished = scene.folder.path().join("state-a/spool");
    let is_file = |file: &std::fs::DirEntry| file.path().extension().is_some_and(|e| e == "parquet");
    let left = std::fs::read_dir(&unfinished).map_or(0, |files| files.flatten().filter(is_file).count());
    assert_eq!(left, 0, "files left in {}", unfinished.display());
    // What was taken is committed: the next one goes on behind it and nothing comes twice.
    let before = scene.sentinel.rows().values().map(Vec::len).sum::<usize>();
    assert!(before > 0);
    let service = scene.start("a", &configuration);
    wait_for_ids(&scene, &expected, &[&service]);
    let rows = scene.sentinel.rows();
    let twice: Vec<_> = rows.iter().filter(|(_, rows)| rows.len() > 1).map(|(id, _)| id).collect();
    assert!(twice.is_empty(), "delivered again after an orderly end: {twice:?}");
}
