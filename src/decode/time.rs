//! Timestamps as Azure and Kubernetes write them, to microseconds since the epoch, UTC.
//!
//! Owns the two families: RFC 3339 with any number of fraction digits, with or without an offset, and
//! the US style `1/9/2007 9:41:00 AM +01:00` (month first, a comma behind the date or not). A time without an offset is UTC.

const MICROS: i64 = 1_000_000;

/// Days since the epoch of a date of the Gregorian calendar.
pub fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The year in which a time since the epoch falls.
pub fn year_of(micros: i64) -> i64 {
    let days = micros.div_euclid(86_400 * MICROS) + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_based = (5 * day_of_year + 2) / 153;
    era * 400 + year_of_era + i64::from(march_based >= 10)
}

/// Microseconds since the epoch; `None` for a date or time of day that does not exist.
pub fn micros(date: (i64, i64, i64), time: (i64, i64, i64), fraction: i64) -> Option<i64> {
    let (year, month, day) = date;
    let (hour, minute, second) = time;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    let valid = (1..=last).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    valid.then(|| {
        let seconds = days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
        seconds * MICROS + fraction
    })
}

/// Reads digits and separators from the left.
pub struct Digits<'a> {
    pub rest: &'a [u8],
}

impl Digits<'_> {
    /// A number of `least` to `most` digits.
    pub fn number(&mut self, least: usize, most: usize) -> Option<i64> {
        let count = self.rest.iter().take(most).take_while(|b| b.is_ascii_digit()).count();
        if count < least {
            return None;
        }
        let (digits, rest) = self.rest.split_at(count);
        self.rest = rest;
        Some(digits.iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0')))
    }

    /// Consumes `byte` if it comes next.
    pub fn skip(&mut self, byte: u8) -> Option<()> {
        self.rest = self.rest.strip_prefix(&[byte])?;
        Some(())
    }

    /// `.` or `,` and any number of digits as microseconds, finer digits dropped; 0 without.
    pub fn fraction(&mut self) -> Option<i64> {
        if self.skip(b'.').is_none() && self.skip(b',').is_none() {
            return Some(0);
        }
        let count = self.rest.iter().take_while(|b| b.is_ascii_digit()).count();
        let (digits, rest) = self.rest.split_at(count);
        self.rest = rest;
        let mut value = 0;
        for place in 0..6 {
            value = value * 10 + digits.get(place).map_or(0, |d| i64::from(d - b'0'));
        }
        (count > 0).then_some(value)
    }

    /// `hh:mm:ss`
    pub fn clock(&mut self, least: usize) -> Option<(i64, i64, i64)> {
        let hour = self.number(least, 2)?;
        self.skip(b':')?;
        let minute = self.number(2, 2)?;
        self.skip(b':')?;
        Some((hour, minute, self.number(2, 2)?))
    }

    /// What stands behind the time: nothing, `Z` or an offset; the offset in seconds.
    fn offset(&mut self) -> Option<i64> {
        self.rest = self.rest.trim_ascii();
        let sign = match self.rest.first() {
            None => return Some(0),
            Some(b'Z' | b'z') => {
                self.rest = self.rest.get(1..)?;
                return self.rest.is_empty().then_some(0);
            }
            Some(b'+') => 1,
            Some(b'-') => -1,
            Some(_) => return None,
        };
        self.rest = self.rest.get(1..)?;
        let hours = self.number(2, 2)?;
        let colon = self.skip(b':').is_some();
        let minutes = if colon || !self.rest.is_empty() { self.number(2, 2)? } else { 0 };
        (self.rest.is_empty() && hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
    }
}

/// Reads a timestamp of either family. `None` for anything else, and for the zero time of Go, which
/// stands for "not set".
pub fn parse(text: &[u8]) -> Option<i64> {
    let text = text.trim_ascii();
    let mut digits = Digits { rest: text };
    let first = digits.number(1, 4)?;
    let time = match digits.rest.first()? {
        b'-' => iso(first, digits),
        b'/' => american(first, digits),
        _ => None,
    }?;
    (!text.starts_with(b"0001-01-01")).then_some(time)
}

fn iso(year: i64, mut digits: Digits<'_>) -> Option<i64> {
    digits.skip(b'-')?;
    let month = digits.number(2, 2)?;
    digits.skip(b'-')?;
    let day = digits.number(2, 2)?;
    if digits.rest.is_empty() {
        return micros((year, month, day), (0, 0, 0), 0);
    }
    if digits.skip(b'T').is_none() && digits.skip(b't').is_none() {
        digits.skip(b' ')?;
    }
    let clock = digits.clock(2)?;
    let fraction = digits.fraction()?;
    let offset = digits.offset()?;
    micros((year, month, day), clock, fraction).map(|time| time - offset * MICROS)
}

fn american(month: i64, mut digits: Digits<'_>) -> Option<i64> {
    digits.skip(b'/')?;
    let day = digits.number(1, 2)?;
    digits.skip(b'/')?;
    let year = digits.number(4, 4)?;
    // The Azure portal puts a comma between date and time.
    let _ = digits.skip(b',');
    digits.skip(b' ')?;
    let (mut hour, minute, second) = digits.clock(1)?;
    let fraction = digits.fraction()?;
    digits.rest = digits.rest.trim_ascii();
    let half = digits.rest.get(..2).map(|h| h.to_ascii_uppercase());
    if let Some(half @ (b"AM" | b"PM")) = half.as_deref() {
        if !(1..=12).contains(&hour) {
            return None;
        }
        hour = hour % 12 + if half == b"PM" { 12 } else { 0 };
        digits.rest = digits.rest.get(2..)?;
    }
    let offset = digits.offset()?;
    micros((year, month, day), (hour, minute, second), fraction).map(|time| time - offset * MICROS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_families_and_refuses_the_rest() {
        let base = 1_168_335_660_000_000; // 2007-01-09T09:41:00Z
        let cases: &[(&str, Option<i64>)] = &[
            ("2007-01-09T09:41:00Z", Some(base)),
            ("2007-01-09T09:41:00", Some(base)),
            ("2007-01-09 09:41:00.5", Some(base + 500_000)),
            ("2007-01-09T09:41:00.123Z", Some(base + 123_000)),
            ("2007-01-09T09:41:00.6816663Z", Some(base + 681_666)),
            ("2007-01-09T09:41:00.681666399Z", Some(base + 681_666)),
            ("2007-01-09T10:41:00+01:00", Some(base)),
            ("2007-01-09T03:11:00.0-0630", Some(base)),
            ("01/09/2007 09:41:00", Some(base)),
            ("1/9/2007 9:41:00 AM", Some(base)),
            ("1/9/2007, 9:41:00.123 AM", Some(base + 123_000)),
            ("1/9/2007, 10:41:00.000 AM +01:00", Some(base)),
            ("1/9/2007 10:41:00 AM +01:00", Some(base)),
            ("1/9/2007 9:41:00 PM +12:00", Some(base)),
            ("1/9/2007 12:41:00 AM -09:00", Some(base)),
            ("2007-01-09", Some(base - (9 * 60 + 41) * 60_000_000)),
            ("0001-01-01T00:00:00Z", None),
            ("2007-02-29T00:00:00Z", None),
            ("2007-01-09T24:00:00Z", None),
            ("13/9/2007 09:41:00", None),
            ("2007-01-09T09:41:00.Z", None),
            ("2007-01-09T09:41:00Zulu", None),
            ("yesterday", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text.as_bytes()), *expected, "{text}");
        }
    }

    #[test]
    fn year_of_is_the_inverse_of_days_from_civil() {
        for year in 1960..2110 {
            for (month, day) in [(1, 1), (2, 28), (3, 1), (12, 31)] {
                let time = micros((year, month, day), (23, 59, 59), 999_999).expect("a date that exists");
                assert_eq!(year_of(time), year, "{year}-{month}-{day}");
            }
        }
    }
}
