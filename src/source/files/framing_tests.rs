//! Framing held against generated input: whatever the form and the chunk size, no value is lost or split.

use std::ops::Range;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Framer, Sizes};

/// Feeds `text` in pieces of `chunk` bytes; the bodies and the most the buffer ever held.
fn frame(text: &[u8], sizes: Sizes) -> (Vec<String>, usize, u64) {
    let mut framer = Framer::new(sizes);
    let mut bodies = Vec::new();
    let mut most = 0;
    let mut take = |framer: &mut Framer, end| {
        while let Some(raw) = framer.take(end) {
            bodies.extend(raw.bodies.iter().map(|b| String::from_utf8_lossy(b).into_owned()));
        }
    };
    for piece in text.chunks(sizes.chunk) {
        framer.buffer.extend_from_slice(piece);
        most = most.max(framer.buffer.len());
        take(&mut framer, false);
    }
    take(&mut framer, true);
    let oversized = framer.oversized;
    (bodies, most, oversized)
}

fn sizes(chunk: usize, value: usize) -> Sizes {
    Sizes { chunk, value, record: 1 << 20 }
}

/// The records in bodies, lists of records opened.
fn records(bodies: &[String]) -> Vec<Value> {
    fn open(value: Value, into: &mut Vec<Value>) {
        match value {
            Value::Array(values) => values.into_iter().for_each(|v| open(v, into)),
            Value::Object(mut object) => match object.remove("records") {
                Some(records) => open(records, into),
                None => into.push(Value::Object(object)),
            },
            other => into.push(other),
        }
    }
    let mut all = Vec::new();
    for body in bodies {
        for value in serde_json::Deserializer::from_str(body).into_iter::<Value>() {
            open(value.unwrap_or_else(|e| panic!("split value: {e}: {body}")), &mut all);
        }
    }
    all
}

fn record() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i32>().prop_map(Value::from),
        "[a-z\\[\\]{}\",:\\\\\n é]{0,12}".prop_map(Value::from),
    ];
    let nested = leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z{\\[\"]{1,4}", inner, 0..4).prop_map(|m| json!(m)),
        ]
    });
    nested.prop_map(|v| json!({ "log": v }))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_value_is_lost_or_split(
        values in prop::collection::vec(record(), 1..12),
        form in 0..9,
        chunk in 1_usize..200,
        value in 1_usize..400,
    ) {
        let lines = |sep: &str, pretty: bool| {
            let text = |v| if pretty { serde_json::to_string_pretty(v) } else { serde_json::to_string(v) };
            values.iter().map(|v| text(v).unwrap()).collect::<Vec<_>>().join(sep)
        };
        let document = json!({ "time": "}{[\"", "records": values, "more": { "a": [1] } });
        let text = match form {
            0 => lines("\n", false),
            1 => lines("\r\n", false) + "\n",
            2 => lines("\n", true),
            3 => lines("", false),
            4 => serde_json::to_string(&document).unwrap(),
            5 => serde_json::to_string_pretty(&document).unwrap(),
            6 => format!("[\n{}\n]\n", lines(",\n", false)),
            7 => format!("{document}\n{document}\n"),
            _ => serde_json::to_string(&json!([document])).unwrap() + "\n\n",
        };
        let mut expected = values.clone();
        if form == 7 {
            expected.extend(values.clone());
        }
        let (bodies, _, oversized) = frame(text.as_bytes(), sizes(chunk, value));
        prop_assert_eq!(oversized, 0);
        prop_assert_eq!(records(&bodies), expected, "{}", text);
    }

    #[test]
    fn any_bytes_are_handed_on_whole(text in "[\\[\\]{}\"\\\\a\n, ]{0,80}", chunk in 1_usize..50) {
        let (bodies, ..) = frame(text.as_bytes(), sizes(chunk, 1 << 20));
        let content = |s: &str| s.chars().filter(|c| !" ,\n".contains(*c)).collect::<String>();
        let handed_on: String = bodies.iter().map(|b| content(b)).collect();
        prop_assert_eq!(handed_on, content(&text));
    }
}

#[test]
fn lines_are_cut_behind_a_line_without_looking_inside() {
    let line = "{\"a\":\"}{\"}\n";
    let (bodies, ..) = frame(line.repeat(10).as_bytes(), sizes(35, 1000));
    assert_eq!(bodies.concat(), line.repeat(10));
    assert!(bodies.len() > 1 && bodies.iter().all(|b| b.ends_with('\n')), "{bodies:?}");
}

#[test]
fn klog_lines_and_json_lines_may_be_mixed() {
    let text = "I0109 21:24:54.475590       1 a.go:1] {[\"\ngoroutine 1 [running]:\n{\"a\":1}\nTrace[1]: x\n";
    for chunk in [7, 30, 1000] {
        let (bodies, ..) = frame(text.as_bytes(), sizes(chunk, 1000));
        assert_eq!(bodies.concat(), text);
        assert!(bodies.iter().all(|b| b.ends_with('\n')), "{bodies:?}");
    }
}

#[test]
fn a_line_that_was_cut_costs_only_itself() {
    for cut in ["{\"a\":\"tex", "{\"a\":1,\"b\":[1,", "{\"a\":tr", "{\"a\":1,"] {
        for chunk in [5, 1000] {
            let text = format!("{cut}\n{{\"b\":2}}\n{{ \"c\":3}}\n");
            let (bodies, ..) = frame(text.as_bytes(), sizes(chunk, 1000));
            let lines: Vec<&str> = bodies.iter().flat_map(|b| b.lines()).filter(|l| !l.is_empty()).collect();
            let rest = &lines[lines.len() - 2..];
            assert_eq!(rest, ["{\"b\":2}", "{ \"c\":3}"], "{cut} {chunk}");
        }
    }
}

#[test]
fn a_file_cut_in_the_middle_hands_on_its_rest() {
    let (bodies, ..) = frame(b"{\n \"a\": 1\n}\n{\n \"b\": [1, ", sizes(4, 1000));
    assert_eq!(bodies, ["{\n \"a\": 1\n}", "{\n \"b\": [1, "]);
}

#[test]
fn brackets_that_do_not_match_cost_only_their_record() {
    let text = "{\"records\":[{\"a\":[1},{\"b\":2},{\"c\":3]},{\"d\":4}]}";
    let (bodies, ..) = frame(text.as_bytes(), sizes(10, 20));
    // The stray "]" ends the list, and what follows it is still handed on.
    assert_eq!(bodies, ["{\"a\":[1}", "{\"b\":2}", "{\"c\":3", "{\"d\":4}", "]}"]);
}

#[test]
fn elements_that_are_no_objects_are_handed_on_too() {
    let (bodies, ..) = frame(b"{\"records\": [1, null, \"x,]\", {\"a\":1}, [2] ], \"z\": [9]}", sizes(8, 12));
    assert_eq!(bodies, ["1", "null", "\"x,]\"", "{\"a\":1}", "[2] "].map(str::trim));
}

#[test]
fn a_list_inside_an_event_is_not_mistaken_for_its_records() {
    let event =
        json!({ "kind": "Event", "responseObject": { "items": [{ "a": "x".repeat(50) }] } }).to_string();
    let (bodies, ..) = frame(event.as_bytes(), sizes(10, 20));
    assert_eq!(bodies, [event]);
}

#[test]
fn a_huge_document_is_taken_apart_in_bounded_memory() {
    let record = json!({ "category": "kube-audit", "log": "x".repeat(500) }).to_string();
    for (open, close) in [("[", "]"), ("{\"records\":[", "]}"), ("[{\"records\": [", "]}]")] {
        let text = format!("{open}{}{close}", vec![record.as_str(); 4000].join(","));
        let (bodies, most, oversized) = frame(text.as_bytes(), sizes(4096, 16_384));
        assert_eq!((bodies.len(), oversized), (4000, 0));
        assert!(bodies.iter().all(|b| *b == record));
        assert!(most < 16_384 + 2 * 4096, "{most}");
    }
}

#[test]
fn a_record_over_the_limit_is_cut_and_the_next_one_whole() {
    let huge = format!("{{\"a\":\"{}\"}}", "y".repeat(3 << 20));
    let klog = format!("I0109 21:24:54.475590 {}", "z".repeat(3 << 20));
    for (text, next) in [
        (format!("{huge}\n{{\"b\":1}}\n"), "{\"b\":1}"),
        (format!("{{\"b\":0}}\n{huge}\n{{\"b\":1}}\n"), "{\"b\":1}"),
        (format!("[{huge},{{\"b\":1}}]"), "{\"b\":1}"),
        (format!("{klog}\n{{\"b\":1}}\n"), "{\"b\":1}"),
    ] {
        let (bodies, most, oversized) = frame(text.as_bytes(), sizes(64 << 10, 256 << 10));
        assert_eq!(oversized, 1);
        assert_eq!(bodies.iter().filter(|b| b.len() == 1 << 20).count(), 1, "cut at the limit");
        assert_eq!(bodies.last().map(|b| b.trim()), Some(next));
        let limit: Range<usize> = 0..(1 << 20) + (512 << 10);
        assert!(limit.contains(&most), "{most}");
    }
}

#[test]
fn pretty_printed_values_among_lines_stay_whole() {
    let pretty = serde_json::to_string_pretty(&json!({ "a": { "b": [1, 2, 3] }, "c": "d" })).unwrap();
    let text = format!("{{\"x\":1}}\n{pretty}\n{{\"y\":1}}\n{pretty}\n");
    for chunk in [3, 9, 40] {
        let (bodies, ..) = frame(text.as_bytes(), sizes(chunk, 1000));
        assert_eq!(records(&bodies).len(), 4);
    }
}
