//! `--stats`: the account of a run as one JSON object, its names fixed by contract.

use std::io::Write;

use serde_json::{Value, json};

use crate::event::value::rfc3339;
use crate::pipeline::replay::Outcome;

/// What stands for the category of records that carry none.
pub(super) const NO_CATEGORY: &str = "(none)";

/// Writes the object and a newline.
pub(super) fn write(outcome: &Outcome, mut to: impl Write) -> std::io::Result<()> {
    serde_json::to_writer(&mut to, &object(outcome))?;
    to.write_all(b"\n")?;
    to.flush()
}

fn object(outcome: &Outcome) -> Value {
    let counts = &outcome.counts;
    let rejects: crate::alert::Object =
        counts.rejects.iter().map(|(reason, n)| (reason.as_str().to_owned(), json!(n))).collect();
    let categories: crate::alert::Object =
        counts.categories.iter().map(|(name, n)| (category(name).to_owned(), json!(n))).collect();
    json!({
        "bytes": outcome.bytes,
        "messages": counts.messages,
        "records": counts.records,
        "events": counts.events,
        "control_plane": counts.control_plane,
        "duplicates": counts.duplicates,
        "truncated": counts.truncated,
        "rejects": rejects,
        "categories": categories,
        "alerts": outcome.alerts_by_rule,
        "first_event": counts.first_event.and_then(rfc3339),
        "last_event": counts.last_event.and_then(rfc3339),
        "files": outcome.files,
        "elapsed_seconds": outcome.elapsed.as_secs_f64(),
        "peak_rss_bytes": outcome.peak_rss_bytes,
    })
}

/// A category as people and `--stats` call it.
pub(super) fn category(name: &str) -> &str {
    if name.is_empty() { NO_CATEGORY } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Counts, RejectReason};

    #[test]
    fn names_and_order_are_those_of_the_contract() {
        let counts = Counts {
            records: 3,
            rejects: [(RejectReason::NotJson, 1)].into(),
            categories: [(String::new(), 1), ("guard".to_owned(), 2)].into(),
            first_event: Some(0),
            ..Counts::default()
        };
        let outcome = Outcome { counts, ..Outcome::default() };
        let mut text = Vec::new();
        write(&outcome, &mut text).unwrap();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "{\"bytes\":0,\"messages\":0,\"records\":3,\"events\":0,\"control_plane\":0,\"duplicates\":0,\
             \"truncated\":0,\"rejects\":{\"not_json\":1},\"categories\":{\"(none)\":1,\"guard\":2},\"alerts\":{},\
             \"first_event\":\"1970-01-01T00:00:00Z\",\"last_event\":null,\"files\":[],\"elapsed_seconds\":0.0,\
             \"peak_rss_bytes\":0}\n"
        );
    }
}
