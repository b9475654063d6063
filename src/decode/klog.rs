//! The header of a klog line: `I0109 21:24:54.475590       1 file.go:548] message`.
//!
//! Owns reading it, with the year taken from the record's time. Lines without a header (stack traces,
//! `Trace[…]`, JSON of other components) are not its business.

use std::ops::Range;

use super::time::{Digits, micros, year_of};

/// What the header says; ranges are places in the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Klog {
    pub severity: &'static str,
    /// Microseconds since the epoch; `None` where no record time gives a year.
    pub time: Option<i64>,
    pub thread: Option<i64>,
    pub file: Option<Range<usize>>,
    pub line: Option<i64>,
    /// Where the message starts.
    pub message: usize,
}

/// Half a year: a header further away than that from the record's time belongs to the year beside it.
const HALF_YEAR: i64 = 183 * 86_400 * 1_000_000;

/// A header's file name is not longer than that.
const MAX_PLACE: usize = 256;

/// Reads the header of `line`; `None` if it has none. `record_time` gives the year, in microseconds.
pub fn parse(line: &[u8], record_time: Option<i64>) -> Option<Klog> {
    let severity = match line.first()? {
        b'I' => "info",
        b'W' => "warning",
        b'E' => "error",
        b'F' => "fatal",
        _ => return None,
    };
    let mut digits = Digits { rest: line.get(1..)? };
    let month = digits.number(2, 2)?;
    let day = digits.number(2, 2)?;
    digits.skip(b' ')?;
    let clock = digits.clock(2)?;
    let fraction = digits.fraction()?;
    digits.skip(b' ')?;
    // 2000 is a leap year: it refuses what no year has.
    micros((2000, month, day), clock, fraction)?;
    digits.rest = digits.rest.trim_ascii_start();

    // The thread id is a number of its own, not the start of a file name.
    let before = digits.rest;
    let thread = digits.number(1, 18).filter(|_| digits.skip(b' ').is_some());
    digits.rest = if thread.is_some() { digits.rest.trim_ascii_start() } else { before };

    let at = line.len() - digits.rest.len();
    let (file, number, message) = match place(digits.rest) {
        Some((name, number, length)) => (Some(at..at + name), Some(number), at + length),
        None => (None, None, at),
    };
    let time = record_time.and_then(|near| {
        let year = year_of(near);
        [year, year - 1, year + 1]
            .into_iter()
            .filter_map(|y| micros((y, month, day), clock, fraction))
            .find(|time| (time - near).abs() <= HALF_YEAR)
    });
    Some(Klog { severity, time, thread, file, line: number, message })
}

/// `file.go:548] `: the length of the name, the line, and the length of it all.
fn place(text: &[u8]) -> Option<(usize, i64, usize)> {
    let window = text.get(..MAX_PLACE.min(text.len()))?;
    let close = memchr::memchr(b']', window)?;
    let colon = memchr::memrchr(b':', window.get(..close)?)?;
    let name = window.get(..colon)?;
    if name.is_empty() || name.iter().any(u8::is_ascii_whitespace) {
        return None;
    }
    let mut digits = Digits { rest: window.get(colon + 1..close)? };
    let number = digits.number(1, 9)?;
    if !digits.rest.is_empty() {
        return None;
    }
    Some((colon, number, close + 1 + usize::from(text.get(close + 1) == Some(&b' '))))
}

/// Whether a line outside JSON is a log line of a control-plane component.
pub fn is_line(line: &[u8]) -> bool {
    line.starts_with(b"Trace[") || parse(line, None).is_some()
}

/// The component that a pod belongs to: its name without a replica set's hash and five letters, a
/// daemon set's five letters, or a stateful set's number. Gives the length to keep.
pub fn component(pod: &[u8]) -> usize {
    let Some(dash) = memchr::memrchr(b'-', pod) else { return pod.len() };
    let (stem, last) = (pod.get(..dash).unwrap_or_default(), pod.get(dash + 1..).unwrap_or_default());
    if stem.is_empty() || last.is_empty() {
        return pod.len();
    }
    let lower = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    // Kubernetes draws generated names from letters that make no words.
    let generated = |b: &u8| lower(b) && !b"aeiou013".contains(b);
    if last.len() == 5 && last.iter().all(lower) {
        if let Some(at) = memchr::memrchr(b'-', stem)
            && let Some(hash) = stem.get(at + 1..)
            && at > 0
            && (6..=10).contains(&hash.len())
            && hash.iter().all(lower)
            && hash.iter().any(u8::is_ascii_digit)
        {
            return at;
        }
        if last.iter().all(generated) {
            return dash;
        }
    }
    if last.iter().all(u8::is_ascii_digit) { dash } else { pod.len() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::time;

    fn at(text: &str) -> Option<i64> {
        time::parse(text.as_bytes())
    }

    #[test]
    fn reads_the_header() {
        let line = b"W0109 21:24:54.475590       17 static_autoscaler.go:548] No pods";
        let klog = parse(line, at("2025-01-09T21:25:00Z")).expect("a header");
        assert_eq!(klog.severity, "warning");
        assert_eq!(klog.time, at("2025-01-09T21:24:54.475590Z"));
        assert_eq!(klog.thread, Some(17));
        assert_eq!(klog.file.and_then(|f| line.get(f)), Some(&b"static_autoscaler.go"[..]));
        assert_eq!(klog.line, Some(548));
        assert_eq!(line.get(klog.message..), Some(&b"No pods"[..]));
    }

    #[test]
    fn survives_a_missing_thread_a_missing_place_and_no_year() {
        let line = b"I0624 07:27:25.9763861 event.go:221] Event(v1.X{})";
        let klog = parse(line, at("2019-06-24T07:27:30Z")).expect("a header");
        assert_eq!((klog.thread, klog.line), (None, Some(221)));
        assert_eq!(klog.time, at("2019-06-24T07:27:25.976386Z"));

        let line = b"E0109 21:24:54.475590       1 scal...679993-vmss, returning [2]";
        let klog = parse(line, None).expect("a header");
        assert_eq!((klog.time, klog.thread, klog.file.clone()), (None, Some(1), None));
        assert_eq!(line.get(klog.message..), Some(&b"scal...679993-vmss, returning [2]"[..]));
        assert_eq!(parse(b"I1309 21:24:54.475590       1 a.go:1] x", None), None);
        assert_eq!(parse(b"Info: something", None), None);
        assert!(is_line(b"Trace[77]: ---\"read\" 11ms"));
    }

    #[test]
    fn the_year_is_the_one_nearest_to_the_record() {
        let line = |day: &str| format!("I{day} 23:59:59.000000       1 a.go:1] x");
        let time = |day: &str, near: &str| parse(line(day).as_bytes(), at(near)).and_then(|k| k.time);
        assert_eq!(time("1231", "2025-01-01T00:00:03Z"), at("2024-12-31T23:59:59Z"));
        assert_eq!(time("0101", "2024-12-31T23:59:58Z"), at("2025-01-01T23:59:59Z"));
        assert_eq!(time("0229", "2024-03-01T00:00:00Z"), at("2024-02-29T23:59:59Z"));
        assert_eq!(time("0229", "2023-03-01T00:00:00Z"), None);
    }

    #[test]
    fn components_lose_generated_suffixes_only() {
        let cases = [
            ("kube-apiserver-7785d59f4f-scqmp", "kube-apiserver"),
            ("cluster-autoscaler-d8b5f9b95-cp67l", "cluster-autoscaler"),
            ("csi-azuredisk-node-x7k2m", "csi-azuredisk-node"),
            ("etcd-0", "etcd"),
            ("kube-proxy", "kube-proxy"),
            ("kube-scheduler", "kube-scheduler"),
            ("guard", "guard"),
        ];
        for (pod, expected) in cases {
            assert_eq!(pod.get(..component(pod.as_bytes())), Some(expected));
        }
    }
}
