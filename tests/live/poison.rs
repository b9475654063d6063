//! Messages that are no logs, between good ones.

use bytes::Bytes;

use super::traffic::traffic;
use super::{Scene, get, wait_for, wait_for_ids};

/// What has been seen on hubs, and what never should be.
fn poison() -> Vec<Bytes> {
    let mut poison: Vec<Vec<u8>> = [
        "",
        "null",
        "[]",
        "{}",
        "{\"records\":null}",
        "{\"records\":[]}",
        "{\"records\":[1,null,\"x\"]}",
        "{\"records\":[{\"category\":\"kube-audit\"}]}",
        "{\"records\":[{\"category\":\"kube-audit\",\"properties\":{\"log\":\"{\\\"kind\\\":0}\"}}]}",
        "{\"records\":[{\"category\":\"kube-audit\",\"properties\":{\"log\":\"\"}}]}",
        "{'records': [{'category': 'FunctionAppLogs'}]}",
        "not json at all",
        "{\"records\":[{\"category\":\"guard\",\"properties\":{\"log\":\"I0504 x\"}}",
        "\u{feff}{\"records\":[]}",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into();
    let mut random = fastrand::Rng::with_seed(5);
    for length in [1, 7, 64, 4_096, 200_000] {
        poison.push((0..length).map(|_| random.u8(..)).collect());
    }
    poison.push(b"[".repeat(50_000));
    poison.push(vec![0; 1_000]);
    poison.push([0xff, 0xfe, 0x00, 0xd8].repeat(100));
    poison.into_iter().map(Bytes::from).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn good_alerts_arrive_and_everything_is_counted() {
    let scene = Scene::new().await;
    let traffic = traffic(4_000, 40);
    let expected = scene.replayed(&traffic.messages);
    let service = scene.start("a", &scene.configuration("a", ""));
    let poison = poison();
    for (n, message) in traffic.messages.iter().enumerate() {
        scene.publish(std::slice::from_ref(message));
        scene.publish(std::slice::from_ref(&poison[n % poison.len()]));
    }
    wait_for_ids(&scene, &expected, &[&service]);
    let metrics = || {
        let text = get(&format!("http://{}/metrics", service.telemetry()));
        let all = (traffic.messages.len() * 2) as u64;
        let taken: u64 =
            text.lines().filter(|l| l.starts_with("aksentry_messages_total{")).filter_map(last).sum();
        (taken == all).then_some(text)
    };
    let text = wait_for("all messages in the metrics", metrics, || service.log());
    for outcome in
        ["event", "not_json", "malformed_json", "not_an_object", "not_an_audit_event", "unknown_record"]
    {
        let name = format!("aksentry_records_total{{outcome=\"{outcome}\"}}");
        let count = text.lines().find(|line| line.starts_with(&name)).and_then(last);
        assert!(count.is_some_and(|n| n > 0), "no {name} in\n{text}");
    }
    let events =
        text.lines().find(|l| l.starts_with("aksentry_records_total{outcome=\"event\"}")).and_then(last);
    assert_eq!(events, Some(4_000));
    let letters = scene.folder.path().join("state-a/dead-letters");
    assert!(std::fs::read_dir(letters).unwrap().count() > 0);
    let (code, _, log) = service.stop();
    assert_eq!(code, 0, "{log}");
}

fn last(line: &str) -> Option<u64> {
    line.rsplit(' ').next()?.parse().ok()
}
