//! Shortens text and JSON to a number of bytes, with a marker where something was left out. What was JSON
//! stays JSON of the same kind: an object stays an object with its first and small members whole, and long
//! ones cut to equal shares. Who asks decides the number of bytes.

use std::borrow::Cow;
use std::io;

use serde::Serialize;
use serde_json::{Map, Value};

/// Room for any marker as JSON text; nothing is cut to less.
pub const LEAST: usize = 48;

/// Bytes of `value` as JSON text.
pub fn json_len(value: &impl Serialize) -> usize {
    struct Count(usize);
    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // Counting does not fail, and alerts hold nothing that JSON cannot say.
    let _ = serde_json::to_writer(&mut count, value);
    count.0
}

/// Bytes of a character inside a JSON text, as serde_json escapes it.
fn escaped(c: char) -> usize {
    match c {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        '\0'..='\u{1f}' => 6,
        other => other.len_utf8(),
    }
}

/// At most `limit` bytes of UTF-8.
pub fn text(text: &str, limit: usize) -> Cow<'_, str> {
    if text.len() <= limit { Cow::Borrowed(text) } else { Cow::Owned(shorten(text, limit, char::len_utf8)) }
}

/// At most `limit` bytes as a JSON string, its quotes among them.
pub fn json_text(text: &str, limit: usize) -> Cow<'_, str> {
    let room = limit.saturating_sub(2);
    // A text that is short even if each byte is escaped needs no counting.
    if text.len() * 6 <= room || text.chars().map(escaped).sum::<usize>() <= room {
        return Cow::Borrowed(text);
    }
    Cow::Owned(shorten(text, room, escaped))
}

fn shorten(text: &str, room: usize, cost: fn(char) -> usize) -> String {
    let marker = format!("…[cut, {} bytes]", text.len());
    let mut left = room.saturating_sub(marker.len());
    let end = text.char_indices().find(|(_, c)| match left.checked_sub(cost(*c)) {
        Some(rest) => {
            left = rest;
            false
        }
        None => true,
    });
    let kept = end.map_or(text, |(at, _)| &text[..at]);
    format!("{kept}{marker}")
}

/// At most `limit` bytes of JSON text, but never less than [`LEAST`].
pub fn value(value: &Value, limit: usize) -> Value {
    let limit = limit.max(LEAST);
    if json_len(value) <= limit {
        return value.clone();
    }
    match value {
        Value::String(text) => Value::String(json_text(text, limit).into_owned()),
        Value::Array(items) => Value::Array(array(items, limit)),
        Value::Object(members) => Value::Object(object(members, limit)),
        // A number of more than LEAST digits.
        other => Value::String(json_text(&other.to_string(), limit).into_owned()),
    }
}

/// The elements that have room; the last says how many have none.
pub fn array(items: &[Value], limit: usize) -> Vec<Value> {
    let sizes: Vec<(usize, usize)> = items.iter().map(|item| (0, json_len(item))).collect();
    let rooms = rooms(&sizes, limit);
    let mut kept: Vec<Value> = items
        .iter()
        .zip(&rooms)
        .filter_map(|(item, room)| room.map(|room| self::value(item, room)))
        .collect();
    let left_out = items.len() - kept.len();
    if left_out > 0 {
        kept.push(Value::String(format!("…[cut, {left_out} more]")));
    }
    kept
}

/// The members that have room; one named `…` says how many have none.
pub fn object(members: &Map<String, Value>, limit: usize) -> Map<String, Value> {
    let sizes: Vec<(usize, usize)> =
        members.iter().map(|(name, value)| (json_len(name) + 1, json_len(value))).collect();
    let rooms = rooms(&sizes, limit);
    let mut kept: Map<String, Value> = members
        .iter()
        .zip(&rooms)
        .filter_map(|((name, value), room)| room.map(|room| (name.clone(), self::value(value, room))))
        .collect();
    let left_out = members.len() - kept.len();
    if left_out > 0 {
        kept.insert("…".to_owned(), Value::String(format!("[cut, {left_out} more]")));
    }
    kept
}

/// The room of each part (what comes before its value, its value) so that brackets, commas, parts and the
/// marker fit into `limit`; `None` for parts left out. Small parts are kept whole, the others get equal
/// shares of what remains.
fn rooms(parts: &[(usize, usize)], limit: usize) -> Vec<Option<usize>> {
    // Each part with the comma behind it. The marker of an object has a name of 6 bytes and a colon more.
    let least = |(before, len): (usize, usize)| before + 1 + len.min(LEAST);
    let fits_all = parts.iter().map(|part| least(*part)).sum::<usize>() + 2 <= limit;
    let mut left = limit.saturating_sub(if fits_all { 2 } else { 2 + LEAST });
    let kept: Vec<bool> = parts
        .iter()
        .map(|part| match left.checked_sub(least(*part)) {
            Some(rest) => {
                left = rest;
                true
            }
            None => false,
        })
        .collect();
    // What is left goes to those that were given less than they need, the smallest first.
    let mut wanting: Vec<usize> = (0..parts.len()).filter(|i| kept[*i] && parts[*i].1 > LEAST).collect();
    wanting.sort_by_key(|i| parts[*i].1);
    let mut rooms: Vec<Option<usize>> =
        parts.iter().zip(&kept).map(|((_, len), kept)| kept.then_some((*len).min(LEAST))).collect();
    let mut waiting = wanting.len();
    for i in wanting {
        let more = (left / waiting).min(parts[i].1 - LEAST);
        rooms[i] = Some(LEAST + more);
        left -= more;
        waiting -= 1;
    }
    rooms
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<f64>().prop_filter("JSON has no such number", |n| n.is_finite()).prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            // Controls are six times as long as JSON.
            "[a-z\\x00-\\x1f\"é…😀]{0,400}".prop_map(Value::String),
        ];
        leaf.prop_recursive(4, 64, 12, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..12).prop_map(Value::Array),
                prop::collection::vec(("[a-z\\x01é]{0,60}", inner), 0..12)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn whatever_is_cut_fits_and_stays_of_its_kind(any in any_json(), limit in LEAST..3000usize) {
            let cut = value(&any, limit);
            prop_assert!(json_len(&cut) <= limit, "{} > {limit}: {cut}", json_len(&cut));
            prop_assert_eq!(any.is_object(), cut.is_object());
            prop_assert_eq!(any.is_array(), cut.is_array());
            if json_len(&any) <= limit {
                prop_assert_eq!(any, cut);
            } else {
                prop_assert!(cut.to_string().contains("[cut, "), "{}", cut);
            }
        }

        #[test]
        fn lengths_are_those_of_the_serializer(any in "\\PC*|[\\x00-\\x7f]*", limit in LEAST..200usize) {
            prop_assert_eq!(any.chars().map(escaped).sum::<usize>() + 2, json_len(&any));
            prop_assert!(json_len(&json_text(&any, limit)) <= limit);
            prop_assert!(text(&any, limit).len() <= limit);
        }
    }

    #[test]
    fn the_marker_says_how_long_it_was() {
        assert_eq!(text("short", 100), "short");
        let cut = text(&"x".repeat(81_234), 100).into_owned();
        assert!(cut.starts_with("xxx") && cut.ends_with("x…[cut, 81234 bytes]"), "{cut}");
        assert_eq!(cut.len(), 100);
    }

    #[test]
    fn small_members_stay_and_long_ones_share() {
        let evidence =
            json!({"n": 7, "a": "a".repeat(5000), "who": "alice@contoso.com", "b": "b".repeat(9000)});
        let cut = value(&evidence, 1000);
        assert_eq!((&cut["n"], &cut["who"]), (&json!(7), &json!("alice@contoso.com")));
        let len = |name: &str| cut[name].as_str().unwrap().len();
        assert!(len("a") > 400 && len("b") > 400, "{cut}");
        let ids: Vec<String> = (0..90).map(|i| format!("id-{i:010}")).collect();
        let cut = value(&json!(ids), 300);
        assert_eq!(cut[0], "id-0000000000");
        assert!(cut.as_array().unwrap().last().unwrap().as_str().unwrap().ends_with(" more]"), "{cut}");
    }
}
