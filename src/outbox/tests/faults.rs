//! A process killed while it writes, a disk that is full, a folder that cannot be written. The test
//! program runs itself as the process that suffers.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write as _};
use std::process::{Child, Command, Stdio};

use super::*;

/// Where the suffering process works; nothing is done without it.
const FOLDER: &str = "AKSENTRY_TEST_OUTBOX";

fn child(state: &Path, limit: Option<&str>) -> Child {
    let program = std::env::current_exe().unwrap();
    let name = "outbox::tests::faults::puts_alerts_for_ever";
    let mut command = Command::new("sh");
    // Without the signal a write over the limit fails as one on a full disk does.
    let script = match limit {
        Some(blocks) => format!("trap '' XFSZ; ulimit -S -f {blocks}; exec \"$0\" \"$@\""),
        None => "exec \"$0\" \"$@\"".to_owned(),
    };
    command.arg("-c").arg(script).arg(program).args(["--exact", name, "--ignored", "--nocapture"]);
    command.env(FOLDER, state).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    command.spawn().unwrap()
}

/// What the process says: `put ID` for each that is acknowledged, `error TEXT` for each that is not.
#[test]
#[ignore = "the process that the other tests here kill"]
fn puts_alerts_for_ever() {
    #[expect(clippy::disallowed_methods, reason = "said by the test that started this process")]
    let Some(state) = std::env::var_os(FOLDER) else { return };
    let sinks = [route("all", Severity::Informational)];
    let outbox = open_with(Path::new(&state), Config::default(), &sinks).unwrap();
    // Another who writes, as the worker of a sink does: a fault of the disk meets two at once.
    let worker = outbox.clone();
    std::thread::spawn(move || {
        let keys = loop {
            let keys: Vec<_> = worker.due("all", 1).unwrap().iter().map(|entry| entry.key).collect();
            if !keys.is_empty() {
                break keys;
            }
            std::thread::yield_now();
        };
        loop {
            let again = || Settled::Retry { reason: "later".into(), after: Duration::ZERO };
            let results: Vec<_> = keys.iter().map(|key| (*key, again())).collect();
            if worker.settle("all", &results, NOW).is_err() {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    });
    let mut out = std::io::stdout().lock();
    let mut said = String::new();
    for i in 0u64.. {
        let batch = [high(&format!("{i}-0")), high(&format!("{i}-1"))];
        let padding = "x".repeat(20_000);
        let batch = batch.map(|alert| Alert { title: padding.clone(), ..alert });
        loop {
            match outbox.put(&batch, NOW) {
                Ok(_) => break,
                Err(error) => {
                    writeln!(out, "error {error}").unwrap();
                    // Until the other side has done something about it.
                    std::io::stdin().read_line(&mut said).unwrap();
                }
            }
        }
        writeln!(out, "put {i}-0\nput {i}-1").unwrap();
        out.flush().unwrap();
    }
}

fn words(child: &mut Child) -> impl Iterator<Item = (String, String)> + use<> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    lines.filter_map(|line| {
        // The test harness says something of its own before the first.
        let line = line.find("put ").or_else(|| line.find("error ")).map(|at| line[at..].to_owned())?;
        line.split_once(' ').map(|(word, rest)| (word.to_owned(), rest.to_owned()))
    })
}

#[test]
fn what_was_acknowledged_survives_a_kill_at_any_moment() {
    let place = Place::new();
    let mut acknowledged = BTreeSet::new();
    for round in 0..5 {
        let mut child = child(place.dir.path(), None);
        let mut words = words(&mut child);
        // A different number of them each time, so that the moment differs too.
        for (word, id) in words.by_ref().take(4 + 7 * round) {
            assert_eq!(word, "put", "{id}");
            acknowledged.insert(id);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged.extend(words.map(|(_, id)| id));
    }
    let outbox = place.open();
    let there: BTreeSet<String> = due(&outbox, "all").into_iter().collect();
    assert!(acknowledged.len() > 30, "{}", acknowledged.len());
    assert_eq!(acknowledged.difference(&there).collect::<Vec<_>>(), Vec::<&String>::new());
    // Both alerts of a batch or none.
    assert_eq!(there.len() % 2, 0);
}

#[test]
fn a_full_disk_is_an_error_that_says_so_and_passes() {
    let place = Place::new();
    // 8 MiB: blocks are of 512 bytes, or of 1024 in some shells.
    let mut child = child(place.dir.path(), Some("8192"));
    let mut words = words(&mut child);
    let mut acknowledged = BTreeSet::new();
    let error = loop {
        match words.next().unwrap() {
            (word, id) if word == "put" => acknowledged.insert(id),
            (_, error) => break error,
        };
    };
    assert!(error.contains("outbox.redb") && error.contains("there is no room: free some"), "{error}");
    let mut stdin = child.stdin.take().unwrap();
    // A batch that was refused may fit when it is tried again, in pages that its first try gave back: the
    // disk is full when it refuses again and again.
    let mut refused = 1;
    while refused < 4 {
        if refused > 0 {
            stdin.write_all(b"again\n").unwrap();
        }
        let (word, said) = words.next().unwrap();
        if word == "put" {
            acknowledged.insert(said);
            refused = 0;
        } else {
            assert!(said.contains("there is no room: free some"), "{said}");
            refused += 1;
        }
    }
    let freed = Command::new("prlimit")
        .args(["--pid", &child.id().to_string(), "--fsize=unlimited:unlimited"])
        .status();
    if !freed.is_ok_and(|status| status.success()) {
        // No such program here: the disk stays full, and what is there is checked below.
        child.kill().unwrap();
    } else {
        stdin.write_all(b"now\n").unwrap();
        for (word, id) in words.by_ref().take(6) {
            assert_eq!(word, "put", "{id}");
            acknowledged.insert(id);
        }
        child.kill().unwrap();
    }
    child.wait().unwrap();
    acknowledged.extend(words.filter(|(word, _)| word == "put").map(|(_, id)| id));
    let there: BTreeSet<String> = due(&place.open(), "all").into_iter().collect();
    assert!(!acknowledged.is_empty() && acknowledged.is_subset(&there));
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let place = Place::new();
    let file = place.dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = open_with(&file, Config::default(), &[]).unwrap_err().to_string();
    assert!(error.contains(&file.display().to_string()) && error.contains("give a folder"), "{error}");
    std::fs::write(place.dir.path().join("outbox.redb"), "this is no database, by its first bytes").unwrap();
    let error = open_with(place.dir.path(), Config::default(), &[]).unwrap_err().to_string();
    assert!(error.contains("opening the outbox") && error.contains("outbox.redb"), "{error}");
}
