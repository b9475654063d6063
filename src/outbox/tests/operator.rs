//! What the operator can do, directly and through the socket of a running service.

use super::*;
use crate::outbox::control::{self, ControlError, Request};
use crate::outbox::{Listed, Waiting, Which};

fn all(outbox: &Outbox) -> Vec<Listed> {
    let mut listed = Vec::new();
    let mut from = None;
    loop {
        let (page, next) = outbox.list(None, from.as_ref(), 2).unwrap();
        assert!(page.len() <= 2);
        listed.extend(page);
        match next {
            Some(next) => from = Some(next),
            None => return listed,
        }
    }
}

fn brief(listed: &[Listed]) -> Vec<(&str, &str, Waiting)> {
    listed.iter().map(|l| (l.sink.as_str(), l.id.as_str(), l.state)).collect()
}

#[test]
fn alerts_of_a_sink_that_is_gone_are_orphaned_until_it_comes_back_or_they_are_dropped() {
    let place = Place::new();
    let outbox = place.open();
    outbox.put(&[high("a"), high("b")], NOW).unwrap();
    settle(&outbox, "urgent", "a", later());
    drop(outbox);
    let only_all = [route("all", Severity::Informational), route("new", Severity::Informational)];
    let outbox = open_with(place.dir.path(), Config::default(), &only_all).unwrap();
    let listed = all(&outbox);
    use Waiting::{Orphaned, Waiting as New};
    let expected =
        [("all", "a", New), ("all", "b", New), ("urgent", "a", Orphaned), ("urgent", "b", Orphaned)];
    assert_eq!(brief(&listed), expected);
    assert_eq!((listed[2].attempts, listed[2].last_error.as_deref()), (1, Some("503")));
    assert!(due(&outbox, "new").is_empty(), "a new sink starts from now");
    assert_eq!(outbox.drop(Some("urgent"), &Which::Ids(vec!["b".into()]), NOW).unwrap(), 1);
    drop(outbox);
    let outbox = place.open();
    assert_eq!((due(&outbox, "urgent"), due(&outbox, "all").len()), (vec!["a".into()], 2));
    assert_eq!(place.refused(), [("urgent".into(), "b".into(), "dropped_by_operator".into())]);
}

#[test]
fn retrying_makes_due_and_dropping_empties() {
    let place = Place::new();
    let outbox = place.open();
    outbox.put(&[high("a"), high("b")], NOW).unwrap();
    settle(&outbox, "all", "a", later());
    settle(&outbox, "all", "b", later());
    let listed = all(&outbox);
    assert_eq!(listed[0].next_try, Some(NOW + HOUR));
    assert_eq!((listed[0].state, listed[2].state), (Waiting::Retrying, Waiting::Waiting));
    assert_eq!(outbox.retry(Some("nobody"), &Which::All).unwrap(), 0);
    let one = Which::Ids(vec!["b".into(), "unknown".into()]);
    assert_eq!(outbox.retry(Some("all"), &one).unwrap(), 1);
    assert_eq!(due(&outbox, "all"), ["b"]);
    assert!(outbox.take_hurry("all") && !outbox.take_hurry("all") && !outbox.take_hurry("urgent"));
    assert_eq!(outbox.retry(None, &Which::All).unwrap(), 4);
    assert_eq!(due(&outbox, "all"), ["a", "b"]);
    assert_eq!(outbox.drop(None, &Which::All, NOW).unwrap(), 4);
    assert!(all(&outbox).is_empty());
    assert_eq!((place.letters().len(), outbox.usage().bytes, outbox.depth("all")), (4, 0, 0));
}

#[test]
fn the_file_is_opened_as_the_service_left_it() {
    let place = Place::new();
    let metrics = Arc::new(Metrics::new());
    let dead = DeadLetters::open(&place.dir.path().join(DEAD_LETTERS), DEFAULT_CAP, Arc::clone(&metrics));
    let dead = dead.unwrap();
    let left = || Outbox::open_left(place.dir.path(), dead.clone(), Arc::clone(&metrics));
    let error = left().unwrap_err().to_string();
    assert!(error.contains("no outbox at"), "{error}");
    let outbox = place.open();
    outbox.put(&[high("a")], NOW).unwrap();
    drop(outbox);
    let outbox = left().unwrap();
    assert_eq!(brief(&all(&outbox)), [("all", "a", Waiting::Waiting), ("urgent", "a", Waiting::Waiting)]);
}

/// Asks from a thread that may wait.
async fn ask(state: &Path, request: Request) -> Result<(u64, Vec<Listed>), ControlError> {
    let state = state.to_owned();
    let work = tokio::task::spawn_blocking(move || {
        let mut listed = Vec::new();
        let mut each = |alert| {
            listed.push(alert);
            Ok(())
        };
        let count = control::ask(&state, &request, &mut each)?;
        Ok((count, listed))
    });
    work.await.unwrap()
}

#[tokio::test]
async fn a_running_service_answers_at_its_socket() {
    let place = Place::new();
    let outbox = place.open();
    let alerts: Vec<Alert> = (0..1200).map(|i| alert(&format!("{i:04}"), Severity::Low)).collect();
    outbox.put(&alerts, NOW).unwrap();
    let request = Request::List { sink: None };
    let error = ask(place.dir.path(), request.clone()).await.unwrap_err();
    assert!(matches!(error, ControlError::NotRunning { .. }), "{error}");
    // What a crash leaves.
    std::fs::write(place.dir.path().join(control::SOCKET), "").unwrap();
    let state = place.dir.path().to_owned();
    let served = outbox.clone();
    let service = tokio::spawn(async move { control::serve(served, &state, Arc::new(|| NOW)).await });
    let first = loop {
        match ask(place.dir.path(), request.clone()).await {
            Err(ControlError::NotRunning { .. }) => tokio::task::yield_now().await,
            answer => break answer.unwrap(),
        }
    };
    assert_eq!((first.0, first.1.len()), (1200, 1200));
    assert_eq!(first.1[7].id, "0007");
    let drop = Request::Drop { sink: Some("all".into()), which: Which::Ids(vec!["0007".into()]) };
    assert_eq!(ask(place.dir.path(), drop).await.unwrap().0, 1);
    let retry = Request::Retry { sink: None, which: Which::All };
    assert_eq!(ask(place.dir.path(), retry).await.unwrap().0, 1199);
    assert_eq!(place.refused(), [("all".into(), "0007".into(), "dropped_by_operator".into())]);
    service.abort();
    assert!(service.await.unwrap_err().is_cancelled());
    assert!(!place.dir.path().join(control::SOCKET).exists());
}
