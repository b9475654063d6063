//! Durations and times as rules and command lines write them: `90s`, `10m`, `24h`, `30d`; a time is RFC
//! 3339, a date, or a span back from now.

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};

/// Parses a whole number and one of `s`, `m`, `h`, `d`. The error says what was expected.
pub fn parse_duration(text: &str) -> Result<TimeDelta, String> {
    let error =
        || format!("\"{text}\" is no duration; write a whole number and s, m, h or d, such as \"10m\"");
    let (digits, unit) = text.split_at(text.len() - text.chars().next_back().map_or(0, char::len_utf8));
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(error());
    }
    let number: i64 = digits.parse().map_err(|_| error())?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(error()),
    };
    number.checked_mul(seconds).filter(|s| *s > 0).and_then(TimeDelta::try_seconds).ok_or_else(error)
}

/// Microseconds since the epoch of RFC 3339, a date (its midnight, UTC) or a span back from `now`.
pub fn parse_time(text: &str, now: DateTime<Utc>) -> Result<i64, String> {
    if let Some(time) = parse_instant(text) {
        return Ok(time);
    }
    if let Ok(span) = parse_duration(text) {
        let time = now.checked_sub_signed(span).ok_or("this is before any calendar")?;
        return Ok(time.timestamp_micros());
    }
    Err("not a time; write 2026-01-31T08:00:00Z, 2026-01-31, or a span such as 24h or 7d".into())
}

/// Microseconds since the epoch of RFC 3339 or a date (its midnight, UTC).
pub fn parse_instant(text: &str) -> Option<i64> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.timestamp_micros());
    }
    let date = text.parse::<NaiveDate>().ok()?;
    Some(date.and_time(NaiveTime::MIN).and_utc().timestamp_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_their_three_forms() {
        let now = DateTime::parse_from_rfc3339("2026-03-01T12:00:00Z").unwrap().to_utc();
        let time = |text: &str| crate::event::value::rfc3339(parse_time(text, now).unwrap()).unwrap();
        assert_eq!(time("2026-01-31T08:00:00+02:00"), "2026-01-31T06:00:00Z");
        assert_eq!(time("2026-01-31"), "2026-01-31T00:00:00Z");
        assert_eq!(time("24h"), "2026-02-28T12:00:00Z");
        for wrong in ["", "yesterday", "2026-13-01", "24", "999999999999999d", "-1h"] {
            assert!(parse_time(wrong, now).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations() {
        for (text, seconds) in [("1s", 1), ("90s", 90), ("10m", 600), ("24h", 86_400), ("30d", 2_592_000)] {
            assert_eq!(parse_duration(text), Ok(TimeDelta::seconds(seconds)), "{text}");
        }
        for text in [
            "",
            "10",
            "m",
            "0m",
            "-5m",
            "+5m",
            "1.5h",
            "10 m",
            "10M",
            "1w",
            "10min",
            "5é",
            "9999999999999999d",
        ] {
            let message = parse_duration(text).err().unwrap_or_default();
            assert!(message.contains("is no duration; write a whole number"), "{text}: {message}");
        }
    }
}
