//! Several replicas on one checkpoint store: partitions shared, one taken over, windows not missed.

use std::time::Duration;

use super::traffic::traffic;
use super::{Scene, Service, wait_for, wait_for_ids};

fn owned(service: &Service) -> Option<u64> {
    let metrics = super::get(&format!("http://{}/metrics", service.telemetry()));
    let line = metrics.lines().find_map(|line| line.strip_prefix("aksentry_partitions_owned "))?;
    line.trim().parse::<f64>().ok().map(|n| n as u64)
}

/// Bulk readers' secrets are spread over all partitions, so their windows are complete only if the
/// replicas bring their rows together.
#[tokio::test(flavor = "multi_thread")]
async fn two_share_and_one_that_dies_is_taken_over() {
    let scene = Scene::new().await;
    let traffic = traffic(20_000, 200);
    let expected = scene.replayed(&traffic.messages);
    let (a, b) = (scene.configuration("a", ""), scene.configuration("b", ""));
    let (a, b) = (scene.start("a", &a), scene.start("b", &b));
    let shared = || (owned(&a) == Some(2) && owned(&b) == Some(2)).then_some(());
    wait_for("two partitions each", shared, || format!("{}\n---\n{}", a.log(), b.log()));
    let (first, second) = traffic.messages.split_at(200);
    scene.publish(first);
    wait_for("some alerts", || (scene.delivered().len() > 20).then_some(()), || a.log());
    a.kill();
    scene.publish(second);
    wait_for("all partitions", || (owned(&b) == Some(4)).then_some(()), || b.log());
    // What the dead one had not delivered waits in its outbox, as it would on its volume.
    let a = scene.start("a", &scene.configuration("a", ""));
    wait_for_ids(&scene, &expected, &[&a, &b]);
}

#[tokio::test(flavor = "multi_thread")]
async fn three_share_and_hand_back() {
    let scene = Scene::new().await;
    let traffic = traffic(20_000, 200);
    let expected = scene.replayed(&traffic.messages);
    let mut services: Vec<Service> =
        ["a", "b", "c"].map(|name| scene.start(name, &scene.configuration(name, ""))).into();
    let shared = || {
        let each: Vec<_> = services.iter().filter_map(owned).collect();
        (each.iter().sum::<u64>() == 4 && each.iter().all(|n| (1..=2).contains(n))).then_some(())
    };
    wait_for("partitions for each", shared, || services[0].log());
    let (first, second) = traffic.messages.split_at(200);
    scene.publish(first);
    let (code, took, log) = services.remove(0).stop();
    assert_eq!(code, 0, "{log}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    scene.publish(second);
    wait_for_ids(&scene, &expected, &services.iter().collect::<Vec<_>>());
}
