//! Durations as rules and command lines write them: `90s`, `10m`, `24h`, `30d`.

use chrono::TimeDelta;

/// Parses a whole number and one of `s`, `m`, `h`, `d`. The error says what was expected.
pub fn parse_duration(text: &str) -> Result<TimeDelta, String> {
    let error =
        || format!("\"{text}\" is no duration; write a whole number and s, m, h or d, such as \"10m\"");
    let (digits, unit) = text.split_at(text.len() - text.chars().next_back().map_or(0, char::len_utf8));
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
