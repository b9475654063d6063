//! The text of `/metrics` read back: what a scraper sees, for `/status` and for `aksentry top`.

use std::collections::BTreeMap;

/// One line of the text.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

/// All samples of a text, in its order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Samples(pub Vec<Sample>);

impl Samples {
    /// Reads a text; comments, exemplars and lines that are none are passed over.
    pub fn parse(text: &str) -> Self {
        Self(text.lines().filter(|line| !line.starts_with('#')).filter_map(sample).collect())
    }

    fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Sample> {
        self.0.iter().filter(move |sample| sample.name == name)
    }

    /// The sum over all labels; 0 where there is none.
    pub fn sum(&self, name: &str) -> f64 {
        // Not `sum()`, whose zero is a negative one.
        self.named(name).fold(0.0, |sum, sample| sum + sample.value)
    }

    /// [`Samples::sum`] of what is whole and not negative.
    pub fn count(&self, name: &str) -> u64 {
        // Saturates; counters are far from the end of either type.
        self.sum(name) as u64
    }

    /// [`Samples::by`] of what is whole and not negative.
    pub fn counts(&self, name: &str, label: &str) -> BTreeMap<String, u64> {
        self.by(name, label).into_iter().map(|(label, value)| (label, value as u64)).collect()
    }

    /// Sums by the value of one label.
    pub fn by(&self, name: &str, label: &str) -> BTreeMap<String, f64> {
        let mut sums = BTreeMap::new();
        for sample in self.named(name) {
            let value = sample.labels.get(label).cloned().unwrap_or_default();
            *sums.entry(value).or_insert(0.0) += sample.value;
        }
        sums
    }
}

fn sample(line: &str) -> Option<Sample> {
    let end = line.find(['{', ' '])?;
    let (name, rest) = line.split_at_checked(end)?;
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (BTreeMap::new(), rest),
    };
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some(Sample { name: name.to_owned(), labels, value })
}

/// Labels up to the closing brace, and what follows.
fn labels(mut rest: &str) -> Option<(BTreeMap<String, String>, &str)> {
    let mut labels = BTreeMap::new();
    loop {
        rest = rest.trim_start_matches(',');
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, behind) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut chars = behind.char_indices();
        loop {
            match chars.next()?.1 {
                '"' => break,
                '\\' => value.push(match chars.next()?.1 {
                    'n' => '\n',
                    other => other,
                }),
                other => value.push(other),
            }
        }
        labels.insert(name.to_owned(), value);
        rest = chars.as_str();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Metrics;
    use crate::telemetry::metrics::{Partition, RuleSeverity};

    #[test]
    fn what_was_counted_is_read_back() {
        let metrics = Metrics::new();
        for (partition, count) in [("0", 3), ("1", 4)] {
            metrics.messages.get_or_create(&Partition { partition: partition.into() }).inc_by(count);
        }
        let rule = RuleSeverity { rule: "pod-exec".into(), severity: "high" };
        metrics.alerts.get_or_create(&rule).inc();
        metrics.commit_age_seconds.set(1.5);
        metrics.event_delay.0.observe(2.0);
        let samples = Samples::parse(&metrics.render());
        assert_eq!(samples.sum("aksentry_messages_total"), 7.0);
        assert_eq!(samples.by("aksentry_messages_total", "partition").get("1"), Some(&4.0));
        assert_eq!(samples.count("aksentry_messages_total"), 7);
        assert_eq!(samples.sum("aksentry_commit_age_seconds"), 1.5);
        assert_eq!(samples.by("aksentry_alerts_total", "rule").keys().collect::<Vec<_>>(), ["pod-exec"]);
        assert_eq!(samples.by("aksentry_event_delay_seconds_bucket", "le").get("+Inf"), Some(&1.0));
        assert!(samples.sum("aksentry_nothing").is_sign_positive());
    }

    #[test]
    fn labels_are_unescaped() {
        let samples = Samples::parse("x{a=\"q\\\"b\\\\c\\nd}, \",b=\"2\"} 1.5 # {t=\"9\"} 7\n");
        let labels: Vec<(&str, &str)> =
            samples.0[0].labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(labels, [("a", "q\"b\\c\nd}, "), ("b", "2")]);
        assert_eq!(samples.sum("x"), 1.5);
    }

    #[test]
    fn lines_that_are_none_are_passed_over() {
        let text = "# HELP x\nx{a=\"1\nx{a=1} 2\nx\n\nx nan?\nx{a=\"\\\ny_total{} 3 # {t=\"1\"} 1\n";
        let samples = Samples::parse(text);
        assert_eq!(samples.0.len(), 1, "{samples:?}");
        assert_eq!(samples.sum("y_total"), 3.0);
    }
}
