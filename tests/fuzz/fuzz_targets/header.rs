//! Any text as a detection and as a list: it is read or refused with positions inside the text.
#![no_main]

use std::path::Path;

use aksentry::rules::{List, parse_detection, parse_duration};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let lines = text.lines().count().max(1) + 1;
    let path = Path::new("impact/rule.sql");
    match parse_detection(path, "impact", "rule", text) {
        Ok(rule) => {
            assert!(!rule.title.is_empty() && !rule.sql.trim().is_empty());
            rule.render_summary(|column| column.to_owned());
        }
        Err(problems) => {
            assert!(!problems.is_empty(), "refused without a reason");
            for problem in problems {
                assert!(problem.line >= 1 && problem.line <= lines && problem.column >= 1, "{problem}");
            }
        }
    }
    let (list, problems) = List::parse("list", Path::new("lists/list.csv"), text);
    assert!(problems.iter().all(|p| p.line >= 1 && p.column >= 1), "{problems:?}");
    for entry in list.entries() {
        list.contains(&format!("{entry:?}"));
    }
    let _ = parse_duration(text);
});
