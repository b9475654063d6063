//! Dead letters on real files.

use super::*;

const DAY: i64 = 86_400_000_000;
const NOW: i64 = 1_770_000_000_000_000;

fn letter(time: i64, body: &[u8]) -> DeadLetter {
    DeadLetter {
        time,
        reason: "not_json".into(),
        source: Origin::Message { partition: "3".into(), sequence: 17 },
        detail: "a byte that begins nothing at byte 0".into(),
        body: Bytes::copy_from_slice(body),
    }
}

fn open(folder: &Path, cap: u64) -> (DeadLetters, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::new());
    (DeadLetters::open(folder, cap, Arc::clone(&metrics)).unwrap(), metrics)
}

fn bodies(folder: &Path) -> Vec<Vec<u8>> {
    Letters::read(folder).unwrap().map(|letter| letter.unwrap().body().unwrap()).collect()
}

#[test]
fn a_letter_is_a_line_with_the_names_of_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    let (dead, metrics) = open(dir.path(), DEFAULT_CAP);
    let refused = DeadLetter {
        reason: "refused".into(),
        source: Origin::Sink { sink: "email".into(), alert: "ab".into() },
        ..letter(NOW, b"{}")
    };
    dead.append(&[letter(NOW, b"\xffbinary\n"), refused]).unwrap();
    dead.sync().unwrap();
    let text = fs::read_to_string(dir.path().join("2026-02-02-000001.ndjson")).unwrap();
    let detail = "a byte that begins nothing at byte 0";
    assert_eq!(
        text,
        format!(
            "{{\"time\":\"2026-02-02T02:40:00Z\",\"reason\":\"not_json\",\"source\":{{\"partition\":\"3\",\"sequence\":17}},\"detail\":\"{detail}\",\"body_base64\":\"/2JpbmFyeQo=\"}}\n\
             {{\"time\":\"2026-02-02T02:40:00Z\",\"reason\":\"refused\",\"source\":{{\"sink\":\"email\",\"alert\":\"ab\"}},\"detail\":\"{detail}\",\"body_base64\":\"e30=\"}}\n"
        )
    );
    assert!(metrics.render().contains("aksentry_dead_letters_total{reason=\"refused\"} 1"));
    let letters: Vec<Stored> = Letters::read(dir.path()).unwrap().map(Result::unwrap).collect();
    assert_eq!(letters.iter().map(Stored::size).collect::<Vec<_>>(), [8, 2]);
    assert_eq!(letters[0].body().unwrap(), b"\xffbinary\n");
}

#[test]
fn files_are_by_day_and_a_day_is_gone_on_with_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (dead, _) = open(dir.path(), DEFAULT_CAP);
    dead.append(&[letter(NOW, b"1")]).unwrap();
    dead.append(&[letter(NOW + DAY, b"3")]).unwrap();
    // The clock jumps back.
    dead.append(&[letter(NOW, b"2")]).unwrap();
    drop(dead);
    let (dead, _) = open(dir.path(), DEFAULT_CAP);
    dead.append(&[letter(NOW + DAY, b"4")]).unwrap();
    assert_eq!(bodies(dir.path()), [b"1", b"2", b"3", b"4"]);
    assert_eq!(read::files(dir.path()).unwrap().len(), 2);
}

#[test]
fn a_torn_line_is_ended_and_passed_by() {
    let dir = tempfile::tempdir().unwrap();
    let (dead, _) = open(dir.path(), DEFAULT_CAP);
    dead.append(&[letter(NOW, b"1")]).unwrap();
    drop(dead);
    let path = dir.path().join("2026-02-02-000001.ndjson");
    let text = fs::read(&path).unwrap();
    fs::write(&path, [&text[..], &text[..40]].concat()).unwrap();
    let mut letters = Letters::read(dir.path()).unwrap();
    assert_eq!(letters.by_ref().count(), 1);
    assert_eq!(letters.damaged(), 1);
    let (dead, _) = open(dir.path(), DEFAULT_CAP);
    dead.append(&[letter(NOW, b"2")]).unwrap();
    assert_eq!(bodies(dir.path()), [b"1", b"2"]);
}

#[test]
fn over_the_cap_the_oldest_file_goes_and_its_letters_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let (dead, metrics) = open(dir.path(), 8_000);
    for i in 0..100u8 {
        dead.append(&[letter(NOW, &[i; 300])]).unwrap();
    }
    let left = bodies(dir.path());
    let total: u64 = read::files(dir.path()).unwrap().iter().map(|f| fs::metadata(f).unwrap().len()).sum();
    assert!(total <= 8_000 && total > 4_000, "{total}");
    assert_eq!(left.last().unwrap()[0], 99);
    let first = left[0][0];
    assert_eq!(left.len(), usize::from(100 - first));
    assert!(metrics.render().contains(&format!("aksentry_dropped_total{{reason=\"dead_letters\"}} {first}")));
}

#[test]
fn a_file_that_was_taken_away_is_begun_again() {
    let dir = tempfile::tempdir().unwrap();
    let (dead, _) = open(dir.path(), DEFAULT_CAP);
    dead.append(&[letter(NOW, b"1")]).unwrap();
    fs::remove_file(dir.path().join("2026-02-02-000001.ndjson")).unwrap();
    dead.append(&[letter(NOW, b"2")]).unwrap();
    assert_eq!(bodies(dir.path()), [b"2"]);
}

#[test]
fn a_folder_that_does_not_exist_holds_none() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(Letters::read(&dir.path().join("none")).unwrap().count(), 0);
}
