//! A stream from one end to the other: every alert once, the same as replay gives.

use super::traffic::traffic;
use super::{Scene, wait_for_ids};

#[tokio::test(flavor = "multi_thread")]
async fn every_alert_arrives_once_and_is_the_one_replay_gives() {
    let scene = Scene::new().await;
    let traffic = traffic(20_000, 200);
    assert_eq!((traffic.messages.len(), traffic.positives.len()), (400, 200));
    scene.publish(&traffic.messages);
    let expected = scene.replayed(&traffic.messages);
    let service = scene.start("a", &scene.configuration("a", ""));
    wait_for_ids(&scene, &expected, &[&service]);

    let rows = scene.sentinel.rows();
    for identity in &traffic.positives {
        let of = |row: &serde_json::Value| row["Summary"].as_str().is_some_and(|s| s.contains(identity));
        assert!(rows.values().flatten().any(of), "no alert on {identity}");
    }
    let repeated: Vec<_> = rows.iter().filter(|(_, rows)| rows.len() > 1).collect();
    assert!(repeated.is_empty(), "delivered more than once: {repeated:?}");
    let (code, took, log) = service.stop();
    assert_eq!(code, 0, "after {took:?}:\n{log}");
}
