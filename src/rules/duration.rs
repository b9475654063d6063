//! Durations as rules and command lines write them: `90s`, `10m`, `24h`, `30d`.

use chrono::TimeDelta;

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

#[cfg(test)]
mod tests {
    use super::*;

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
