//! Delivery from a real outbox to a real server that fails in every way.

mod server;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tempfile::TempDir;
use tokio::time::Instant;

use super::*;
use crate::alert::{Alert, Object, Severity, Status};
use crate::outbox::dead_letters::{DEFAULT_CAP, DeadLetters, Letters};
use crate::outbox::{Config, DEAD_LETTERS, SinkRoute, Which};
use crate::sink::Portion;
use server::{Panics, Post, Reply, Server};

const NOW: i64 = 1_770_000_000_000_000;
const OK: Reply = Reply::Status(204);

/// Waits short enough for a test.
const QUICK: Timing = Timing {
    backoff: Backoff { first: Duration::from_millis(10), longest: Duration::from_millis(40) },
    send: Duration::from_secs(20),
    threshold: 3,
};

fn alert(id: &str) -> Alert {
    Alert {
        id: id.to_owned(),
        rule: "secret-get".into(),
        title: "A secret was read".into(),
        severity: Severity::High,
        status: Status::Stable,
        cluster: None,
        key: Object::new(),
        summary: String::new(),
        count: 1,
        first_seen: None,
        last_seen: None,
        attack: Vec::new(),
        tactic: "credential-access".into(),
        audit_ids: Vec::new(),
        evidence: Object::new(),
        replayed: false,
    }
}

fn alerts(range: std::ops::Range<usize>) -> Vec<Alert> {
    range.map(|i| alert(&format!("{i:03}"))).collect()
}

fn ids(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|i| format!("{i:03}")).collect()
}

fn sorted(mut ids: Vec<String>) -> Vec<String> {
    ids.sort();
    ids
}

struct Place {
    dir: TempDir,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
}

impl Place {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), metrics: Arc::new(Metrics::new()), health: Arc::default() }
    }

    fn outbox(&self, sinks: &[&str]) -> Outbox {
        let state: &Path = self.dir.path();
        let dead = DeadLetters::open(&state.join(DEAD_LETTERS), DEFAULT_CAP, Arc::clone(&self.metrics));
        let route = |name: &&str| SinkRoute { name: (*name).to_owned(), min_severity: Severity::Low };
        let sinks: Vec<SinkRoute> = sinks.iter().map(route).collect();
        Outbox::open(state, Config::default(), &sinks, dead.unwrap(), Arc::clone(&self.metrics)).unwrap()
    }

    fn start(&self, outbox: &Outbox, sinks: Vec<Arc<dyn Sink>>, timing: Timing) -> Delivery {
        let telling = Telling { metrics: Arc::clone(&self.metrics), health: Arc::clone(&self.health) };
        Delivery::start_with(outbox.clone(), sinks, telling, Arc::new(|| NOW), timing)
    }

    #[track_caller]
    fn says(&self, line: &str) {
        let text = self.metrics.render();
        assert!(text.contains(line), "no {line} in\n{text}");
    }
}

/// Enough for whatever is going on to end, in a test that expects it to.
const PLENTY: Duration = Duration::from_secs(30);

#[tokio::test]
async fn alerts_are_delivered_once_in_portions_and_in_order() {
    let place = Place::new();
    let mut server = Server::start(|_| OK).await;
    let outbox = place.outbox(&["post"]);
    outbox.put(&alerts(0..25), NOW).unwrap();
    let delivery = place.start(&outbox, vec![Arc::new(Post::new("post", &server, 10))], QUICK);
    let mut got = Vec::new();
    for size in [10, 10, 5] {
        let (ids, _) = server.next().await;
        assert_eq!(ids.len(), size);
        got.extend(ids);
    }
    outbox.put(&alerts(20..27), NOW).unwrap();
    got.extend(server.accepted(2).await);
    delivery.drain(PLENTY).await;
    assert_eq!(got, ids(0..27));
    assert!(server.rest().is_empty());
    assert_eq!((outbox.depth("post"), outbox.usage().bytes), (0, 0));
    place.says("aksentry_sends_total{sink=\"post\",outcome=\"delivered\"} 27");
    place.says("aksentry_alert_delay_seconds_count{sink=\"post\"} 27");
    place.says("aksentry_outbox_alerts{sink=\"post\"} 0");
}

#[tokio::test]
async fn a_sink_that_fails_hangs_or_panics_delays_only_itself() {
    let place = Place::new();
    let mut good = Server::start(|_| OK).await;
    let mut failing = Server::start(|_| Reply::Status(503)).await;
    let mut hanging = Server::start(|_| Reply::Hang).await;
    let outbox = place.outbox(&["good", "failing", "hanging", "panics"]);
    let sinks: Vec<Arc<dyn Sink>> = vec![
        Arc::new(Panics),
        Arc::new(Post::new("hanging", &hanging, 10)),
        Arc::new(Post::new("failing", &failing, 10)),
        Arc::new(Post::new("good", &good, 10)),
    ];
    let timing = Timing { send: Duration::from_millis(50), ..QUICK };
    let delivery = place.start(&outbox, sinks, timing);
    for i in 0..10 {
        outbox.put(&alerts(i * 5..i * 5 + 5), NOW).unwrap();
        failing.next().await;
        hanging.next().await;
    }
    let got: BTreeSet<String> = good.accepted(50).await.into_iter().collect();
    assert_eq!(got.len(), 50);
    delivery.drain(PLENTY).await;
    for sink in ["failing", "hanging", "panics"] {
        assert_eq!(outbox.depth(sink), 50, "{sink}");
    }
    assert_eq!(outbox.depth("good"), 0);
    let (listed, _) = outbox.list(None, None, 1000).unwrap();
    let last = |sink: &str| listed.iter().find(|l| l.sink == sink).unwrap().last_error.clone().unwrap();
    assert_eq!(last("failing"), "503 Service Unavailable");
    assert_eq!(last("hanging"), "no answer within 50ms");
    assert_eq!(last("panics"), "the sink panicked");
}

#[tokio::test]
async fn the_breaker_leaves_single_alerts_until_one_is_taken() {
    let place = Place::new();
    let mut tries = 0;
    let mut server = Server::start(move |_| {
        tries += 1;
        if tries <= 6 { Reply::Status(503) } else { OK }
    })
    .await;
    let outbox = place.outbox(&["post"]);
    outbox.put(&alerts(0..20), NOW).unwrap();
    let delivery = place.start(&outbox, vec![Arc::new(Post::new("post", &server, 10))], QUICK);
    let mut sizes = Vec::new();
    let mut got = Vec::new();
    while got.len() < 20 {
        let (ids, accepted) = server.next().await;
        sizes.push(ids.len());
        got.extend(ids.into_iter().filter(|_| accepted));
    }
    delivery.drain(PLENTY).await;
    assert_eq!(sizes[..7], [10, 10, 10, 1, 1, 1, 1], "{sizes:?}");
    assert!(sizes[7..].iter().all(|size| *size > 1), "{sizes:?}");
    assert_eq!(sorted(got), ids(0..20));
}

#[tokio::test]
async fn retry_after_is_honoured() {
    let place = Place::new();
    let mut first = true;
    let mut server =
        Server::start(move |_| if std::mem::take(&mut first) { Reply::Slow(1) } else { OK }).await;
    let outbox = place.outbox(&["post"]);
    outbox.put(&alerts(0..1), NOW).unwrap();
    let delivery = place.start(&outbox, vec![Arc::new(Post::new("post", &server, 10))], QUICK);
    assert!(!server.next().await.1);
    let refused = Instant::now();
    // What is new waits with it: it is the sink that wants to be left alone.
    outbox.put(&alerts(1..2), NOW).unwrap();
    assert!(server.next().await.1);
    assert!(refused.elapsed() >= Duration::from_millis(950), "{:?}", refused.elapsed());
    delivery.drain(PLENTY).await;
    assert_eq!(outbox.depth("post"), 0);
}

#[tokio::test]
async fn refused_alerts_go_to_dead_letters_and_the_rest_goes_on() {
    let place = Place::new();
    let refuse = |ids: &[String]| if ids.contains(&"003".to_owned()) { Reply::Status(400) } else { OK };
    let mut server = Server::start(refuse).await;
    let outbox = place.outbox(&["post"]);
    outbox.put(&alerts(0..6), NOW).unwrap();
    let delivery = place.start(&outbox, vec![Arc::new(Post::new("post", &server, 1))], QUICK);
    let got = server.accepted(5).await;
    delivery.drain(PLENTY).await;
    assert_eq!(got, ["000", "001", "002", "004", "005"]);
    let letters: Vec<_> =
        Letters::read(outbox.dead_letters().folder()).unwrap().map(Result::unwrap).collect();
    assert_eq!((letters.len(), letters[0].detail.as_str()), (1, "400: bad alert"));
    assert_eq!(outbox.depth("post"), 0);
    place.says("aksentry_sends_total{sink=\"post\",outcome=\"refused\"} 1");
    place.says("aksentry_dead_letters_total{reason=\"refused\"} 1");
}

#[tokio::test]
async fn an_alert_that_the_sink_fails_at_does_not_hold_up_the_others() {
    let place = Place::new();
    let poisoned = |ids: &[String]| if ids.contains(&"002".to_owned()) { Reply::Status(500) } else { OK };
    let mut server = Server::start(poisoned).await;
    let outbox = place.outbox(&["post"]);
    outbox.put(&alerts(0..12), NOW).unwrap();
    let delivery = place.start(&outbox, vec![Arc::new(Post::new("post", &server, 4))], QUICK);
    let mut got = server.accepted(11).await;
    outbox.put(&alerts(12..20), NOW).unwrap();
    got.extend(server.accepted(8).await);
    delivery.drain(PLENTY).await;
    let expected: Vec<String> = ids(0..20).into_iter().filter(|id| id != "002").collect();
    assert_eq!(sorted(got), expected);
    assert_eq!(outbox.depth("post"), 1);
}

#[tokio::test]
async fn a_digest_waits_for_more_until_it_is_full_or_the_service_stops() {
    let place = Place::new();
    let mut server = Server::start(|_| OK).await;
    let portion = Portion { max_alerts: 3, linger: Duration::from_secs(3600) };
    let sink = Post { portion, ..Post::new("post", &server, 3) };
    let outbox = place.outbox(&["post"]);
    let delivery = place.start(&outbox, vec![Arc::new(sink)], QUICK);
    for i in 0..5 {
        outbox.put(&alerts(i..i + 1), NOW).unwrap();
    }
    assert_eq!(server.next().await.0, ids(0..3));
    delivery.drain(PLENTY).await;
    assert_eq!(server.rest(), [(ids(3..5), true)]);
    assert_eq!(outbox.depth("post"), 0);
}

#[tokio::test]
async fn a_digest_is_sent_when_its_first_alert_has_waited_also_before_a_restart() {
    let place = Place::new();
    let mut server = Server::start(|_| OK).await;
    let portion = Portion { max_alerts: 10, linger: Duration::from_secs(300) };
    let sink = Post { portion, ..Post::new("post", &server, 10) };
    let outbox = place.outbox(&["post"]);
    outbox.put(&alerts(0..2), NOW - 300_000_000).unwrap();
    outbox.put(&alerts(2..3), NOW).unwrap();
    let delivery = place.start(&outbox, vec![Arc::new(sink)], QUICK);
    assert_eq!(server.next().await.0, ids(0..3));
    delivery.drain(PLENTY).await;
}

#[tokio::test]
async fn an_outage_with_a_restart_in_between_loses_nothing() {
    let place = Place::new();
    let down = Server::start(|_| Reply::Status(503)).await;
    let address = down.address.to_string();
    let sink = || -> Vec<Arc<dyn Sink>> { vec![Arc::new(Post::new("post", &down, 7))] };
    // From here on the connection is refused.
    let sinks = [sink(), sink()];
    drop(down);
    for (round, sinks) in sinks.into_iter().enumerate() {
        let outbox = place.outbox(&["post"]);
        outbox.put(&alerts(round * 10..round * 10 + 15), NOW).unwrap();
        let delivery = place.start(&outbox, sinks, QUICK);
        if round == 0 {
            delivery.drain(PLENTY).await;
            assert_eq!(outbox.depth("post"), 15);
            continue;
        }
        let mut server = Server::start_at(&address, |_| OK).await;
        let got = server.accepted(25).await;
        delivery.drain(PLENTY).await;
        assert_eq!(sorted(got), ids(0..25));
        assert_eq!(outbox.depth("post"), 0);
    }
}

#[tokio::test]
async fn draining_ends_in_time_and_what_hangs_stays() {
    let place = Place::new();
    let mut server = Server::start(|_| Reply::Hang).await;
    let outbox = place.outbox(&["post"]);
    outbox.put(&alerts(0..3), NOW).unwrap();
    let delivery = place.start(&outbox, vec![Arc::new(Post::new("post", &server, 10))], QUICK);
    server.next().await;
    let started = Instant::now();
    delivery.drain(Duration::from_millis(100)).await;
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    drop(outbox);
    assert_eq!(place.outbox(&["post"]).depth("post"), 3);
}

#[tokio::test]
async fn the_operator_can_have_a_sink_tried_at_once() {
    let place = Place::new();
    let up = Arc::new(AtomicBool::new(false));
    let tries = Arc::new(AtomicUsize::new(0));
    let (is_up, counted) = (Arc::clone(&up), Arc::clone(&tries));
    let mut server = Server::start(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        if is_up.load(Ordering::SeqCst) { OK } else { Reply::Slow(3600) }
    })
    .await;
    let outbox = place.outbox(&["post"]);
    outbox.put(&alerts(0..4), NOW).unwrap();
    let delivery = place.start(&outbox, vec![Arc::new(Post::new("post", &server, 10))], QUICK);
    assert!(!server.next().await.1);
    up.store(true, Ordering::SeqCst);
    // The failure is noted a moment after the server has answered.
    while outbox.next_due("post").is_none() {
        tokio::task::yield_now().await;
    }
    assert_eq!(outbox.retry(None, &Which::All).unwrap(), 4);
    assert_eq!(server.accepted(4).await, ids(0..4));
    assert_eq!(tries.load(Ordering::SeqCst), 2);
    delivery.drain(PLENTY).await;
}

#[tokio::test]
async fn what_a_sink_fails_at_is_known_until_it_delivers_again() {
    let place = Place::new();
    let up = Arc::new(AtomicBool::new(false));
    let is_up = Arc::clone(&up);
    let answer = move |ids: &[String]| match is_up.load(Ordering::SeqCst) {
        false => Reply::Status(503),
        true if ids[0] == "001" => Reply::Status(400),
        true => OK,
    };
    let mut server = Server::start(answer).await;
    let outbox = place.outbox(&["post"]);
    outbox.put(&alerts(0..1), NOW).unwrap();
    let delivery = place.start(&outbox, vec![Arc::new(Post::new("post", &server, 1))], QUICK);
    let note = async |expected: Option<&str>| {
        while place.health.notes().get("sink post").map(String::as_str) != expected {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let within = |waits| tokio::time::timeout(PLENTY, waits);
    within(note(Some("since 2026-02-02T02:40:00Z: 503 Service Unavailable"))).await.unwrap();
    up.store(true, Ordering::SeqCst);
    server.accepted(1).await;
    within(note(None)).await.unwrap();
    // Refused for good is no way of going well.
    outbox.put(&alerts(1..2), NOW).unwrap();
    let refused = "since 2026-02-02T02:40:00Z: refused for good, see dead letters: 400: bad alert";
    within(note(Some(refused))).await.unwrap();
    outbox.put(&alerts(2..3), NOW).unwrap();
    within(note(None)).await.unwrap();
    assert!(place.health.troubles().is_empty(), "a sink that is away is no reason to restart anything");
    delivery.drain(PLENTY).await;
}
