//! Positions, leases and the journal, on a folder and on Azurite, as replicas use them against each other.

use std::sync::Arc;

use aksentry::checkpoint::CheckpointError;
use aksentry::checkpoint::Checkpoints;
use aksentry::checkpoint::LeaseName;
use aksentry::event::Position;
use aksentry::store::Metadata;
use bytes::Bytes;

use crate::azurite::{Place, places};

const BASE: &str = "contoso.servicebus.windows.net/aks-audit/$default";

fn checkpoints(place: &Place) -> Checkpoints {
    Checkpoints::new(place.open(), "Contoso.servicebus.windows.net", "AKS-audit", "$Default")
}

fn at(sequence: i64) -> Position {
    Position { sequence, offset: format!("off-{sequence}"), enqueued: 0 }
}

fn partition(id: &str) -> LeaseName {
    LeaseName::Partition(id.into())
}

#[tokio::test]
async fn positions_are_kept_and_never_go_backwards() {
    for place in places().await {
        let (one, store) = (checkpoints(&place), place.open());
        assert_eq!(one.positions().await.unwrap().len(), 0);
        assert_eq!(one.position("0").await.unwrap(), None);
        for sequence in [5, 7, 6, 7] {
            one.write_position("0", &at(sequence)).await.unwrap();
        }
        one.write_position("11", &at(-1)).await.unwrap();
        assert_eq!(one.position("0").await.unwrap(), Some(at(7)));
        let all = one.positions().await.unwrap();
        assert_eq!(all.into_iter().collect::<Vec<_>>(), [("0".into(), at(7)), ("11".into(), at(-1))]);

        // As other SDKs see it.
        let head = store.head(&format!("{BASE}/checkpoint/0")).await.unwrap().unwrap();
        assert_eq!(head.object.bytes, 0);
        let seen = [("offset", "off-7"), ("sequencenumber", "7")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(head.metadata, Metadata::from(seen));

        one.forget_position("0").await.unwrap();
        one.write_position("0", &at(1)).await.unwrap();
        assert_eq!(one.position("0").await.unwrap(), Some(at(1)));
    }
}

#[tokio::test]
async fn writers_of_one_position_leave_the_highest() {
    for place in places().await {
        let one = checkpoints(&place);
        let writes: Vec<_> = [3, 9, 1, 4]
            .map(|sequence| {
                let one = one.clone();
                tokio::spawn(async move { one.write_position("0", &at(sequence)).await })
            })
            .into();
        for write in writes {
            write.await.unwrap().unwrap();
        }
        assert_eq!(one.position("0").await.unwrap(), Some(at(9)));
    }
}

#[tokio::test]
async fn a_position_that_cannot_be_read_is_no_beginning() {
    for place in places().await {
        let one = checkpoints(&place);
        let bad = Metadata::from([("sequencenumber".to_owned(), "seven".to_owned())]);
        place.open().put(&format!("{BASE}/checkpoint/3"), Bytes::new(), &bad).await.unwrap();
        let error = one.positions().await.unwrap_err();
        assert!(matches!(error, CheckpointError::Unreadable { .. }), "{error}");
        assert!(error.to_string().contains("checkpoint/3"), "{error}");
        assert!(one.write_position("3", &at(1)).await.is_err());
    }
}

#[tokio::test]
async fn leases_are_taken_renewed_given_back() {
    for place in places().await {
        let one = checkpoints(&place);
        assert_eq!(one.leases().await.unwrap(), []);
        let first = one.claim(&partition("0"), "a", None).await.unwrap().unwrap();
        assert_eq!((first.owner.as_str(), &first.name), ("a", &partition("0")));
        assert!(first.modified > 1_700_000_000_000_000);
        assert_eq!(one.claim(&partition("0"), "b", None).await.unwrap(), None);

        let renewed = one.claim(&partition("0"), "a", Some(&first)).await.unwrap().unwrap();
        assert_ne!(renewed.etag, first.etag);
        assert!(renewed.modified >= first.modified);
        assert_eq!(one.claim(&partition("0"), "b", Some(&first)).await.unwrap(), None);

        let stolen = one.claim(&partition("0"), "b", Some(&renewed)).await.unwrap().unwrap();
        assert_eq!(one.claim(&partition("0"), "a", Some(&renewed)).await.unwrap(), None);
        // Too late: it is somebody else's.
        one.release(&renewed).await.unwrap();
        assert_eq!(one.leases().await.unwrap(), std::slice::from_ref(&stolen));
        one.release(&stolen).await.unwrap();
        let free = one.leases().await.unwrap();
        assert_eq!(free.len(), 1);
        assert_eq!(free[0].owner, "");
        one.claim(&partition("0"), "c", Some(&free[0])).await.unwrap().unwrap();

        let head = place.open().head(&format!("{BASE}/ownership/0")).await.unwrap().unwrap();
        assert_eq!(head.metadata, Metadata::from([("ownerid".to_owned(), "c".to_owned())]));
        assert_eq!(head.object.bytes, 0);
    }
}

#[tokio::test]
async fn the_leader_is_none_of_the_partitions() {
    for place in places().await {
        let one = checkpoints(&place);
        one.claim(&LeaseName::Leader, "a", None).await.unwrap().unwrap();
        one.claim(&partition("1"), "b", None).await.unwrap().unwrap();
        one.claim(&partition("0"), "b", None).await.unwrap().unwrap();
        let leases = one.leases().await.unwrap();
        let seen: Vec<_> = leases.iter().map(|l| (l.name.clone(), l.owner.as_str())).collect();
        assert_eq!(seen, [(partition("0"), "b"), (partition("1"), "b"), (LeaseName::Leader, "a")]);
        let others = place.open().list(&format!("{BASE}/ownership")).await.unwrap();
        assert_eq!(others.len(), 2);
        // Another consumer group has nothing to do with it.
        let other = Checkpoints::new(place.open(), "contoso.servicebus.windows.net", "aks-audit", "g2");
        assert_eq!(other.leases().await.unwrap(), []);
    }
}

#[tokio::test]
async fn of_racing_claimers_one_wins() {
    for place in places().await {
        let one = checkpoints(&place);
        let mut seen = None;
        for round in 0..5 {
            let claims: Vec<_> = (0..6)
                .map(|n| {
                    let (one, seen) = (checkpoints(&place), seen.clone());
                    let owner = format!("replica-{round}-{n}");
                    tokio::spawn(async move { one.claim(&partition("0"), &owner, seen.as_ref()).await })
                })
                .collect();
            let mut winners = Vec::new();
            for claim in claims {
                winners.extend(claim.await.unwrap().unwrap());
            }
            assert_eq!(winners.len(), 1, "{winners:?}");
            assert_eq!(one.leases().await.unwrap(), winners);
            seen = winners.pop();
        }
    }
}

#[tokio::test]
async fn the_journal_keeps_order_and_content() {
    for place in places().await {
        let journal = checkpoints(&place).journal();
        assert_eq!(journal.list().await.unwrap(), []);
        for (replica, number) in [("pod/b", 1), ("pod-a", 16), ("pod-a", 2), ("pod-a", u64::MAX)] {
            journal.append(replica, number, format!("{replica} {number}").into()).await.unwrap();
        }
        let all = journal.list().await.unwrap();
        let seen: Vec<_> = all.iter().map(|s| (s.replica.as_str(), s.number)).collect();
        assert_eq!(seen, [("pod-a", 2), ("pod-a", 16), ("pod-a", u64::MAX), ("pod/b", 1)]);
        for segment in &all {
            let content = journal.read(segment).await.unwrap();
            assert_eq!(content, format!("{} {}", segment.replica, segment.number));
            assert_eq!(segment.bytes, content.len() as u64);
        }
        // The same again is the same; something else is not.
        journal.append("pod-a", 2, "pod-a 2".into()).await.unwrap();
        let error = journal.append("pod-a", 2, "other".into()).await.unwrap_err();
        assert!(matches!(error, CheckpointError::SegmentExists { .. }), "{error}");

        journal.delete(&all[..2]).await.unwrap();
        journal.delete(&all[..3]).await.unwrap();
        assert_eq!(journal.list().await.unwrap(), [all[3].clone()]);
        assert!(matches!(journal.read(&all[0]).await, Err(CheckpointError::SegmentGone { .. })));
    }
}

#[tokio::test]
async fn a_snapshot_is_written_over_the_one_that_was_read() {
    for place in places().await {
        let journal = Arc::new(checkpoints(&place).journal());
        assert_eq!(journal.read_snapshot().await.unwrap(), None);
        let first = journal.write_snapshot("1".into(), None).await.unwrap().unwrap();
        assert_eq!(journal.write_snapshot("2".into(), None).await.unwrap(), None);
        // A request of ours that was sent twice.
        assert_eq!(journal.write_snapshot("1".into(), None).await.unwrap(), Some(first.clone()));
        let second = journal.write_snapshot("2".into(), Some(&first)).await.unwrap().unwrap();
        assert_eq!(journal.write_snapshot("3".into(), Some(&first)).await.unwrap(), None);
        assert_eq!(journal.read_snapshot().await.unwrap(), Some(("2".into(), second)));
        assert_eq!(journal.list().await.unwrap(), []);
    }
}
