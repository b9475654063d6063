//! The file sink: rotation, torn lines, full disks, pipes.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use aksentry::alert::Alert;
use aksentry::sink::file::AlertFile;
use aksentry::sink::{Outcome, Sink};

use super::{alert, retry};

fn ids(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.ends_with('\n'));
    text.lines().map(|line| serde_json::from_str::<Alert>(line).unwrap().id).collect()
}

async fn deliver(sink: &AlertFile, id: &str) {
    assert_eq!(sink.send(&[alert(id)]).await, [Outcome::Delivered]);
}

#[tokio::test]
async fn one_line_for_each_alert_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("not/there/yet/alerts.ndjson");
    let sink = AlertFile::new("file", &path);
    assert!(sink.probe().await.unwrap().contains("alerts.ndjson"));
    assert_eq!(fs::read(&path).unwrap(), b"");
    assert_eq!(sink.send(&[]).await, []);
    assert_eq!(sink.send(&[alert("a1"), alert("a2")]).await, [Outcome::Delivered, Outcome::Delivered]);
    deliver(&sink, "a3").await;
    assert_eq!(ids(&path), ["a1", "a2", "a3"]);
    let first = fs::read_to_string(&path).unwrap().lines().next().unwrap().to_owned();
    assert_eq!(first, serde_json::to_string(&alert("a1")).unwrap());
}

#[tokio::test]
async fn a_file_may_be_moved_away_deleted_or_truncated() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("alerts.ndjson");
    let old = folder.path().join("alerts.ndjson.1");
    let sink = AlertFile::new("file", &path);
    deliver(&sink, "a1").await;
    fs::rename(&path, &old).unwrap();
    deliver(&sink, "a2").await;
    assert_eq!((ids(&old), ids(&path)), (vec!["a1".to_owned()], vec!["a2".to_owned()]));
    // As logrotate's copytruncate does.
    fs::copy(&path, &old).unwrap();
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(0).unwrap();
    deliver(&sink, "a3").await;
    assert_eq!((ids(&old), ids(&path)), (vec!["a2".to_owned()], vec!["a3".to_owned()]));
    fs::remove_file(&path).unwrap();
    deliver(&sink, "a4").await;
    assert_eq!(ids(&path), ["a4"]);
}

#[tokio::test]
async fn a_torn_line_is_ended_before_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("alerts.ndjson");
    fs::write(&path, "{\"id\":\"a0\",\"ru").unwrap();
    let sink = AlertFile::new("file", &path);
    deliver(&sink, "a1").await;
    deliver(&sink, "a2").await;
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines.len(), lines[0]), (3, "{\"id\":\"a0\",\"ru"));
    assert_eq!(lines[1], serde_json::to_string(&alert("a1")).unwrap());
}

#[tokio::test]
async fn a_full_disk_and_a_folder_are_reasons_to_try_again() {
    let sink = AlertFile::new("file", Path::new("/dev/full"));
    let outcomes = sink.send(&[alert("a1"), alert("a2")]).await;
    assert_eq!(outcomes.len(), 2);
    assert!(retry(&outcomes[1]).0.contains("make room on the disk"), "{outcomes:?}");
    let folder = tempfile::tempdir().unwrap();
    let sink = AlertFile::new("file", folder.path());
    let outcomes = sink.send(&[alert("a1")]).await;
    assert!(retry(&outcomes[0]).0.contains("cannot write to"), "{outcomes:?}");
    assert!(sink.probe().await.is_err());
}

#[tokio::test]
async fn half_a_line_on_a_full_disk_is_taken_back() {
    // A limit on the size of files ends a write in its middle as a full disk does, for a whole process.
    let folder = tempfile::tempdir().unwrap();
    let limited = "trap '' XFSZ; ulimit -f 4; exec \"$0\" --exact sinks::file::write_past_a_limit --ignored";
    let done = Command::new("sh")
        .args(["-c", limited])
        .arg(std::env::current_exe().unwrap())
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
    assert_eq!(ids(&folder.path().join("alerts.ndjson")), ["a1"]);
}

#[tokio::test]
#[ignore = "run by half_a_line_on_a_full_disk_is_taken_back, with a limit on the size of files"]
async fn write_past_a_limit() {
    let sink = AlertFile::new("file", Path::new("alerts.ndjson"));
    deliver(&sink, "a1").await;
    let many: Vec<Alert> = (2..9).map(|i| alert(&format!("a{i}"))).collect();
    for outcome in sink.send(&many).await {
        assert!(retry(&outcome).0.contains("cannot write to alerts.ndjson"), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_pipe_that_nobody_reads_is_left_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let sink = AlertFile::new("file", &path).with_longest_write(Duration::from_millis(200));
    let outcomes = sink.send(&[alert("a1")]).await;
    assert!(retry(&outcomes[0]).0.contains("did not end within"), "{outcomes:?}");
    // The first one still waits for a reader; nobody waits behind it for ever.
    assert!(retry(&sink.send(&[alert("a2")]).await[0]).0.contains("did not end within"));
    // With a reader it ends, and the next alert goes through.
    let read = path.clone();
    let reader = tokio::task::spawn_blocking(move || {
        let mut lines = BufReader::new(fs::File::open(read).unwrap()).lines();
        lines.next().unwrap().unwrap()
    });
    let line = reader.await.unwrap();
    assert_eq!(serde_json::from_str::<Alert>(&line).unwrap().id, "a1");
}

#[test]
fn standard_output_has_the_lines_until_nobody_reads_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "sinks::file::print_until_the_pipe_is_closed", "--ignored", "--nocapture"])
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // The test runner of the child talks as well.
    let first = lines.by_ref().map(Result::unwrap).find(|line| line.starts_with('{')).unwrap();
    assert_eq!(first, serde_json::to_string(&alert("a1")).unwrap());
    drop(lines);
    drop(child.stdin.take());
    child.wait().unwrap();
    let reason = fs::read_to_string(folder.path().join("reason")).unwrap();
    assert!(reason.contains("standard output") && reason.contains("nobody reads the alerts"), "{reason}");
}

#[tokio::test]
#[ignore = "run by standard_output_has_the_lines_until_nobody_reads_them, in a process of its own"]
async fn print_until_the_pipe_is_closed() {
    let sink = AlertFile::new("stdout", Path::new("-"));
    assert!(sink.probe().await.unwrap().contains("standard output"));
    deliver(&sink, "a1").await;
    // Ends when the other side has closed the pipe.
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    let outcomes = sink.send(&[alert("a2")]).await;
    fs::write("reason", retry(&outcomes[0]).0).unwrap();
}
