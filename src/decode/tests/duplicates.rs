//! Removing duplicates: item 7 of what the decoder must survive, and the account afterwards.

use super::*;
use crate::decode::Dedup;

fn numbered(number: usize, time: &str, category: &str) -> Value {
    let mut event = event();
    event["auditID"] = json!(format!("id-{number}"));
    event["stageTimestamp"] = json!(time);
    record(category, &event.to_string())
}

fn retain(dedup: &mut Dedup, body: &Value) -> Decoded {
    let decoded = dedup.retain(decode_text(&body.to_string())).expect("no files are needed or they work");
    check(&decoded);
    decoded
}

#[test]
fn item_07_one_event_under_two_categories_and_twice() {
    let mut dedup = Dedup::new(1000);
    let time = "2025-05-15T16:59:59.999999Z";
    let first = numbered(1, time, "kube-audit");
    let other = numbered(1, time, "kube-audit-admin");
    let late = numbered(2, "2025-05-15T17:00:00Z", "kube-audit");
    let body = json!({"records": [first, other, late, klog_record("x"), klog_record("x")]});
    let decoded = retain(&mut dedup, &body);
    let counts = &decoded.counts;
    assert_eq!((counts.records, counts.events, counts.duplicates, counts.control_plane), (5, 2, 1, 2));
    assert_eq!(counts.categories.get("kube-audit-admin"), Some(&1));
    assert_eq!(text(&decoded.batch.audit, 0, "category").as_deref(), Some("kube-audit"));
    assert_eq!(counts.hours.values().sum::<u64>(), 4);
    assert_eq!(counts.last_event, at("2025-05-15T17:00:00Z"));

    let again = retain(&mut dedup, &body);
    let counts = &again.counts;
    assert_eq!((counts.events, counts.duplicates, counts.control_plane), (0, 3, 2));
    assert_eq!(again.batch.audit.num_rows(), 0);
    assert_eq!(counts.last_event, at("2025-05-15T16:14:40.5Z"), "only the log lines are left");
    assert_eq!(counts.hours.len(), 1);
}

#[test]
fn a_cut_copy_is_found_beyond_the_hour_it_fell_back_to() {
    let whole = numbered(1, "2025-05-15T16:59:58Z", "kube-audit");
    let mut cut = whole.clone();
    let log = whole["properties"]["log"].as_str().unwrap_or_default();
    cut["properties"]["log"] = json!(log[..log.len() / 2]);
    cut["time"] = json!("2025-05-15T17:00:01Z");
    for order in [[&whole, &cut], [&cut, &whole]] {
        let mut dedup = Dedup::new(1000);
        let decoded = retain(&mut dedup, &json!({"records": order}));
        assert_eq!((decoded.counts.events, decoded.counts.duplicates), (1, 1));
        assert_eq!(decoded.counts.truncated, u64::from(flag(&decoded.batch.audit, 0, "truncated")));
    }
}

#[test]
fn hours_moved_to_files_are_read_again() {
    let body = |offset: usize| {
        let records: Vec<_> = (0..60)
            .map(|n| {
                numbered(n + offset, &format!("2025-05-{:02}T{:02}:30:00Z", 1 + n % 3, n % 4), "kube-audit")
            })
            .collect();
        json!({"records": records})
    };
    for limit in [0, 1, 7, 1000] {
        let mut dedup = Dedup::new(limit);
        assert_eq!(retain(&mut dedup, &body(0)).counts.events, 60, "limit {limit}");
        assert_eq!(retain(&mut dedup, &body(0)).counts.duplicates, 60, "limit {limit}");
        let half = retain(&mut dedup, &body(36)).counts;
        assert_eq!((half.events, half.duplicates), (36, 24), "limit {limit}");
    }
}

#[test]
fn events_without_a_time_share_one_place() {
    let mut event = event();
    event["stageTimestamp"] = json!(null);
    event["requestReceivedTimestamp"] = json!(null);
    let body = json!({"records": [event, event]});
    let decoded = retain(&mut Dedup::new(10), &body);
    assert_eq!((decoded.counts.events, decoded.counts.duplicates), (1, 1));
    assert!(decoded.counts.hours.is_empty() && decoded.counts.first_event.is_none());
}

#[test]
fn events_without_an_id_are_compared_by_their_text() {
    let mut event = event();
    event["auditID"] = json!(null);
    let mut other = event.clone();
    other["verb"] = json!("update");
    let decoded = retain(&mut Dedup::new(10), &json!({"records": [event, event, other]}));
    assert_eq!((decoded.counts.events, decoded.counts.duplicates), (2, 1));
}

#[test]
fn recycled_buffers_hold_the_next_batch() {
    let mut decoder = Decoder::default();
    let mut dedup = Dedup::new(10);
    let mut seen = Vec::new();
    for number in 0..4 {
        let body =
            json!({"records": [numbered(number, "2025-05-15T17:00:00Z", "kube-audit"), klog_record("x")]});
        let raw = RawBatch { bodies: vec![body.to_string().into()] };
        let decoded = dedup.retain(decoder.decode(&raw)).expect("no files are needed");
        check(&decoded);
        assert_eq!(audit(&decoded, "audit_id"), Some(format!("id-{number}")));
        seen.push(decoded.batch.block.as_ptr());
        decoder.recycle(decoded.batch);
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "the block's pages are used again");
    let _kept = decoder.decode(&RawBatch { bodies: vec![audit_record().to_string().into()] }).batch;
    decoder.recycle(_kept.clone());
    assert_eq!(text(&_kept.audit, 0, "verb").as_deref(), Some("create"), "rows somebody holds stay");
}

#[test]
fn old_hours_are_let_go_also_from_disk() {
    // Two ids in memory, so most hours are in files.
    for limit in [2, 1000] {
        let mut dedup = Dedup::new(limit);
        let hours = ["15", "16", "17", "18"].map(|hour| format!("2025-05-15T{hour}:30:00Z"));
        let records: Vec<Value> = (0..12).map(|n| numbered(n, &hours[n / 3], "kube-audit")).collect();
        let body = json!({ "records": records });
        assert_eq!(retain(&mut dedup, &body).counts.events, 12);
        assert_eq!(retain(&mut dedup, &body).counts.duplicates, 12);
        let begin = at("2025-05-15T17:00:00Z").expect("a time").div_euclid(crate::event::HOUR);
        dedup.forget(begin).expect("files can be removed");
        let decoded = retain(&mut dedup, &body);
        assert_eq!((decoded.counts.events, decoded.counts.duplicates), (6, 6), "limit {limit}");
    }
}
