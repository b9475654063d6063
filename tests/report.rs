//! `replay --report`: the page in a real browser, what hostile names do in it, and when it is refused.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::cli::{Place, ROOT, Run, record, run_at_root};
use crate::support::browser::Page;

/// A report of the samples, and the run that wrote it.
struct Made {
    folder: TempDir,
    run: Run,
}

static MADE: LazyLock<Made> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.html");
    let run =
        run_at_root(["replay", "samples/hub", "--format", "ndjson", "--report", file.to_str().unwrap()]);
    Made { folder, run: run.code(0) }
});

impl Made {
    fn file(&self) -> PathBuf {
        self.folder.path().join("report.html")
    }

    fn page(&self) -> Page {
        Page::open(&self.file(), self.folder.path())
    }

    fn alerts(&self) -> u64 {
        self.run.out.lines().count() as u64
    }
}

#[test]
fn the_page_says_everything_and_fetches_nothing() {
    let page = MADE.page();
    for id in ["run", "timeline", "alerts", "identities", "addresses", "techniques", "completeness", "inputs"]
    {
        assert_eq!(page.count(&format!("section#{id}")), 1, "{id}");
    }
    assert_eq!(MADE.alerts(), 117);
    assert_eq!(page.count(".alert"), MADE.alerts());
    assert_eq!(page.count("#picture svg .mark"), MADE.alerts());
    let command = page.text("#run .command");
    assert!(command.starts_with("aksentry replay samples/hub --format ndjson --report "), "{command}");
    // The account is that of the summary.
    let records = page.text("#run dl");
    assert!(records.contains("2,893 = 1,981 events (6 of them cut) + 333 of the control plane"), "{records}");
    // Every file with its hash.
    let inputs = page.text("#inputs table");
    for file in glob::glob(&format!("{ROOT}/samples/hub/*")).unwrap().map(Result::unwrap) {
        let hash = Sha256::digest(fs::read(&file).unwrap());
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(
            inputs.contains(&hex) && inputs.contains(file.file_name().unwrap().to_str().unwrap()),
            "{inputs}"
        );
    }
    // Who did what else, and what is missing.
    let identities = page.text("#identities");
    for said in ["masterclient", "73 requests", "delete pods", "185.220.101.34", "kubectl/v1.34.1"] {
        assert!(identities.contains(said), "no {said} in {identities}");
    }
    let completeness = page.text("#completeness");
    for said in
        ["aks-payments-prod-weu has no record after", "entra-user-first-seen: silent on", "kube-audit-admin"]
    {
        assert!(completeness.contains(said), "no {said} in {completeness}");
    }
    assert!(page.text("#techniques").contains("T1552.007"));
    // An alert has its evidence, its ids and a command that is ready to run.
    page.evaluate("document.querySelectorAll('.alert').forEach((alert) => { alert.open = true; })");
    let all = page.text("#alerts");
    for line in MADE.run.out.lines() {
        let alert: Value = serde_json::from_str(line).unwrap();
        for id in alert["audit_ids"].as_array().unwrap() {
            assert!(all.contains(id.as_str().unwrap()), "{alert}");
        }
        assert!(all.contains(alert["summary"].as_str().unwrap()), "{alert}");
    }
    assert!(
        all.contains("aksentry hunt identity-timeline -p identity=masterclient --since 2026-03-11T"),
        "{all}"
    );
    page.is_quiet();
}

#[test]
fn the_timeline_zooms_and_the_list_filters() {
    let page = MADE.page();
    let shown = || page.text("#shown");
    let marks = || page.count("#picture svg .mark");
    let whole = shown();
    assert!(whole.contains("117 alerts, 2,314 events"), "{whole}");
    // A quiet stretch at the left, by drag; then all of it again by key.
    page.act(json!({ "do": "drag", "selector": "#picture svg", "from": 0.15, "to": 0.4 }));
    assert_eq!(marks(), 0, "{}", shown());
    page.act(json!({ "do": "press", "key": "0" }));
    assert_eq!((marks(), shown()), (MADE.alerts(), whole.clone()));
    page.click("[data-do=alerts]");
    let near = shown();
    assert!(marks() == MADE.alerts() && near != whole, "{near}");
    page.click("[data-do=in]");
    let closer = marks();
    assert!(closer < MADE.alerts() && shown() != near, "{}", shown());
    page.click("[data-do=out]");
    page.click("[data-do=all]");
    assert_eq!(shown(), whole);
    // The wheel is the page's until the picture has the focus.
    page.act(json!({ "do": "wheel", "selector": "#picture svg", "by": -200 }));
    assert_eq!(shown(), whole);
    page.evaluate("document.querySelector('#picture svg').focus()");
    page.act(json!({ "do": "wheel", "selector": "#picture svg", "by": -200 }));
    assert_ne!(shown(), whole);
    page.act(json!({ "do": "press", "key": "Home" }));
    assert_eq!(shown(), whole);
    // From alert to alert by keyboard, and into the list.
    page.act(json!({ "do": "press", "key": "n" }));
    let first: Value = serde_json::from_str(MADE.run.out.lines().next().unwrap()).unwrap();
    let second = &first["first_seen"].as_str().unwrap()[11..19];
    assert!(shown().contains(second), "{}", shown());
    assert_eq!(page.evaluate("document.querySelector('#tip').hidden"), json!(false));
    page.act(json!({ "do": "press", "key": "Enter" }));
    assert_eq!(page.count(".alert.found[open]"), 1);
    assert!(page.text(".alert.found summary").contains(second));
    // A mark shows its alert and leads to it.
    page.evaluate("scrollTo(0, 0)");
    page.act(json!({ "do": "hover", "selector": "#picture .mark.low" }));
    assert!(page.text("#tip").starts_with("low: "), "{}", page.text("#tip"));
    page.click("#picture .mark.low");
    assert_eq!(page.evaluate("document.querySelectorAll('.alert.low[open]').length"), json!(1));

    let listed = || page.count(".alert:not([hidden])");
    page.act(json!({ "do": "type", "selector": "#find", "text": "secret-list-cluster-wide" }));
    assert_eq!(listed(), 1);
    assert_eq!(page.count("#picture .mark:not(.off)"), 1);
    page.act(json!({ "do": "type", "selector": "#find", "text": "" }));
    assert_eq!(listed(), MADE.alerts());
    page.click("[name=severity][value=critical]");
    assert_eq!(listed(), MADE.alerts() - 7);
    page.act(json!({ "do": "type", "selector": "#find", "text": "no such thing" }));
    assert_eq!((listed(), page.evaluate("document.querySelector('#none').hidden")), (0, json!(false)));
    // A link to an alert opens it even if the filter hides it.
    page.evaluate("document.querySelector('#identities .in a').click()");
    page.evaluate("new Promise((done) => setTimeout(done))");
    assert!(page.count(".alert.found[open]:not([hidden])") == 1 && listed() == MADE.alerts());
    page.is_quiet();
}

#[test]
fn it_can_be_looked_at_in_the_dark_and_on_paper() {
    let page = MADE.page();
    let background = "getComputedStyle(document.body).backgroundColor";
    page.act(json!({ "do": "media", "scheme": "light" }));
    assert_eq!(page.evaluate(background), "rgb(255, 255, 255)");
    page.act(json!({ "do": "media", "scheme": "dark" }));
    assert_ne!(page.evaluate(background), "rgb(255, 255, 255)");
    page.act(json!({ "do": "pdf", "name": "print.pdf" }));
    let print = fs::metadata(MADE.folder.path().join("print.pdf")).unwrap();
    assert!(print.len() > 100_000, "everything is printed: {}", print.len());
    assert_eq!(
        page.count("details[open]"),
        page.evaluate(
            "[...document.querySelectorAll('details')].filter((d) => d.hasAttribute('open')).length"
        )
        .as_u64()
        .unwrap()
    );
    // Nothing runs out of the page to the side, on a small screen either.
    let wide = "document.documentElement.scrollWidth <= document.documentElement.clientWidth";
    assert_eq!(page.evaluate(wide), json!(true));
    page.is_quiet();
}

const HOSTILE: [&str; 6] = [
    "</script><script>alert(1)</script>",
    "\"><img src=x onerror=alert(2)>",
    "' onmouseover='alert(3)' x='",
    "<!--<script>alert(4)//",
    "\u{202e}nimda\u{200b}\u{0}",
    "${alert(5)} {{7*7}} \u{1f980} 漢字 `x`",
];

#[test]
fn hostile_names_are_only_names() {
    let place = Place::new();
    let lines: Vec<String> = HOSTILE
        .iter()
        .zip(1..)
        .map(|(name, second)| record(name, &format!("{name}-secret"), second))
        .collect();
    place.put("in/<b>'x'.json", lines.join("\n"));
    place.run_args(["replay", "in", "--report", "r.html", "--cluster", "PROD"]).code(0);
    let page = Page::open(&place.path("r.html"), &place.path(""));
    assert_eq!(page.count(".alert"), HOSTILE.len() as u64);
    assert_eq!(page.count("#picture .mark"), HOSTILE.len() as u64);
    assert_eq!((page.count("img"), page.count("script")), (0, 2));
    let alerts = page.text("#alerts");
    let people = page.text("#identities");
    for name in HOSTILE {
        let name: String = name
            .chars()
            .map(|c| match c {
                '\u{202e}' | '\u{200b}' | '\u{0}' => c.escape_unicode().to_string(),
                c => c.to_string(),
            })
            .collect();
        assert!(alerts.contains(&name) && people.contains(&name), "{name} in {people}");
    }
    assert!(page.text("#inputs").contains("<b>'x'.json"));
    // What a name of theirs does when it is searched for or pointed at.
    page.evaluate("document.querySelectorAll('.only').forEach((button) => button.click())");
    page.act(json!({ "do": "hover", "selector": "#picture .mark" }));
    assert_eq!(page.count("#tip img, #tip script"), 0);
    page.is_quiet();
    // Even a name that escaped could not run: nothing but the page's own script may.
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=\"data:,\" onerror=\"document.title = 1\">')");
    page.evaluate("new Promise((done) => setTimeout(done, 0))");
    assert_ne!(page.evaluate("document.title"), json!("1"));
}

#[test]
fn where_it_cannot_be_written_nothing_is_begun() {
    let place = Place::new();
    place.put("in/1.json", record("alice", "db", 1));
    let refused = |args: &str, says: &str| {
        let run = place.run(args).code(2).says(says);
        assert!(run.out.is_empty(), "it ran: {}", run.out);
    };
    refused("replay in --report none/r.html", "writing --report none/r.html: no folder none; make it first");
    refused("replay in --report in", "writing --report in: it is a folder");
    refused("replay in --report in/1.json/r.html", "no folder in/1.json");
    let left: Vec<_> = fs::read_dir(place.path("")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().contains("report")), "{left:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn what_can_be_read_only_once_is_refused() {
    let place = Place::new();
    let pipe = place.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    place
        .run("replay pipe --report r.html")
        .code(2)
        .says("pipe is no ordinary file; write it into one first");
    assert!(!place.path("r.html").exists());
}

#[test]
fn an_old_report_stands_until_the_new_one_is_whole() {
    let place = Place::new();
    place.put("in/1.json", record("alice", "db", 1));
    place.put("r.html", "old");
    place.run("replay in --report r.html --rule nope").code(2).says("no rule \"nope\"");
    assert_eq!(place.read("r.html"), "old");
    place.run("replay in --report r.html").code(0);
    assert!(
        place.read("r.html").starts_with("<!doctype html>") && place.read("r.html").ends_with("</html>\n")
    );
    let others = fs::read_dir(place.path(""))
        .unwrap()
        .filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().starts_with(".aksentry-report"));
    assert_eq!(others.count(), 0);
}

#[test]
fn who_reads_no_further_gets_the_page_all_the_same() {
    let place = Place::new();
    let many: Vec<String> = (0..3000).map(|i| record(&format!("user-{i}"), "db", i)).collect();
    place.put("in/1.json", many.join("\n"));
    let mut command = Command::new(assert_cmd::cargo::cargo_bin("aksentry"));
    command.args(["replay", "in", "--report", "r.html", "--quiet"]).current_dir(place.path(""));
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("{\"id\""), "{line}");
    assert!(child.wait().unwrap().success());
    assert!(place.read("r.html").contains("<strong>3,000 alerts</strong>"));
}

#[test]
fn nothing_usable_makes_a_page_too() {
    let place = Place::new();
    place.put("in/1.json", "");
    place.put("in/2.json", "\u{1}\u{2}{{{");
    place.run("replay in --report r.html").code(0);
    let page = Page::open(&place.path("r.html"), Path::new("."));
    assert!(page.text("#alerts").contains("No rule raised an alert."));
    assert_eq!(page.count("#picture svg"), 1);
    assert!(page.text("#completeness").contains("secret-get needs kube-audit or kube-audit-admin"));
    page.is_quiet();
}

#[test]
fn threads_change_nothing_but_the_time_it_took() {
    let place = Place::new();
    let text: Vec<String> =
        (0..3000).map(|i| record(&format!("user-{}", i % 500), &format!("s{}", i % 700), i % 3600)).collect();
    place.put("in/1.json", text.join("\n"));
    let page = |threads: &str| {
        place.run_args(["replay", "in", "--quiet", "--threads", threads, "--report", "r.html"]).code(0);
        let page = place.read("r.html");
        let (_, page) = page.split_once("<section id=\"timeline\"").unwrap();
        let (page, _) = page.split_once("<footer>").unwrap();
        page.replace("--threads 1", "").replace("--threads 3", "")
    };
    let one = page("1");
    assert!(one.contains("400 more are named in alerts and not shown"), "the limit of identities is said");
    assert!(one == page("3"));
}
