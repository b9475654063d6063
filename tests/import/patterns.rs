//! Wildcards and escapes against a matcher that knows nothing of SQL, through the engine.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;

use super::{alerts, event, import, rule};

/// What one character of a pattern asks for.
#[derive(Clone, Copy, PartialEq)]
enum Ask {
    Char(char),
    One,
    Any,
}

/// By Sigma's specification, word for word.
fn asked(pattern: &str) -> Vec<Ask> {
    let chars: Vec<char> = pattern.chars().collect();
    let (mut asks, mut at) = (Vec::new(), 0);
    while at < chars.len() {
        let next = chars.get(at + 1);
        let (ask, taken) = match (chars[at], next) {
            ('\\', Some(plain @ ('*' | '?' | '\\'))) => (Ask::Char(*plain), 2),
            ('*', _) => (Ask::Any, 1),
            ('?', _) => (Ask::One, 1),
            (c, _) => (Ask::Char(c), 1),
        };
        asks.push(ask);
        at += taken;
    }
    asks
}

fn matches(asks: &[Ask], text: &[char], cased: bool) -> bool {
    let same = |a: char, b: char| if cased { a == b } else { a.to_lowercase().eq(b.to_lowercase()) };
    match asks.split_first() {
        None => text.is_empty(),
        Some((Ask::Any, rest)) => (0..=text.len()).any(|at| matches(rest, &text[at..], cased)),
        Some((ask, rest)) => text.split_first().is_some_and(|(c, behind)| {
            (*ask == Ask::One || matches!(ask, Ask::Char(wanted) if same(*wanted, *c)))
                && matches(rest, behind, cased)
        }),
    }
}

fn text_of(chars: &'static str, length: std::ops::Range<usize>) -> impl Strategy<Value = String> {
    let chars: Vec<char> = chars.chars().collect();
    vec(prop::sample::select(chars), length).prop_map(|chars| chars.into_iter().collect())
}

#[test]
fn wildcards_mean_what_the_specification_says() {
    let patterns = vec(text_of("aB*?\\%_.'é", 1..7), 24);
    let texts = vec(text_of("aAbB*?\\%_.'éÉ\n", 1..6), 60);
    let mut runner = TestRunner::new(Config {
        cases: 8,
        failure_persistence: None,
        max_shrink_iters: 40,
        ..Config::default()
    });
    let outcome = runner.run(&(patterns, texts), |(patterns, texts)| {
        let mut files = String::new();
        let forms = [
            ("user.username", false),
            ("user.username|cased", true),
            ("user.groups", false),
            ("user.groups|cased", true),
        ];
        for (at, pattern) in patterns.iter().enumerate() {
            for (n, (field, _)) in forms.iter().enumerate() {
                let value = pattern.replace('\'', "''");
                files += &format!(
                    "---\n{}",
                    rule(&format!("P {at} {n}"), &format!("sel:\n  {field}: '{value}'\ncondition: sel"))
                );
            }
        }
        let events: Vec<_> = texts
            .iter()
            .enumerate()
            .map(|(at, text)| event(&at.to_string(), &json!({"user": {"username": text, "groups": [text]}})))
            .collect();
        let outcome = import(&files);
        prop_assert!(outcome.refused.is_empty(), "{:?}", outcome.refused);
        let fired: BTreeSet<(String, String)> = alerts(&outcome, &events)
            .iter()
            .flat_map(|alert| {
                alert.audit_ids.iter().map(|id| (alert.rule.clone(), id.clone())).collect::<Vec<_>>()
            })
            .collect();
        for (at, pattern) in patterns.iter().enumerate() {
            let asks = asked(pattern);
            for (n, (field, cased)) in forms.iter().enumerate() {
                for (row, text) in texts.iter().enumerate() {
                    let chars: Vec<char> = text.chars().collect();
                    let expected = matches(&asks, &chars, *cased);
                    let found = fired.contains(&(format!("sigma-p-{at}-{n}"), row.to_string()));
                    prop_assert_eq!(found, expected, "{}: {:?} on {:?}", field, pattern, text);
                }
            }
        }
        Ok(())
    });
    outcome.unwrap();
}
