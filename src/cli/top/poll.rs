//! Asking the service: two pages become one [`Snapshot`], with rates from the one before.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde::Serialize;

use crate::telemetry::samples::Samples;
use crate::telemetry::status::Status;

/// A service that has not answered by then is stuck.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Everything shown, at one moment.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Snapshot {
    #[serde(skip)]
    at: Instant,
    #[serde(flatten)]
    pub status: Status,
    pub per_second: Rates,
    pub event_delay_seconds: Quantiles,
    /// From the arrival of an alert's message to its acknowledgement by a sink.
    pub alert_delay_seconds: Quantiles,
    pub queue_bytes: BTreeMap<String, u64>,
    pub rule_seconds: BTreeMap<String, f64>,
}

/// Since the snapshot before; zero in the first.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Rates {
    pub messages: f64,
    pub bytes: f64,
    pub records: f64,
    pub events: f64,
    pub alerts: f64,
}

/// Upper bounds, since the start of the service; `None` where nothing was measured, or where there is no
/// bound because it took longer than the longest that is told apart.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Quantiles {
    pub p50: Option<f64>,
    pub p99: Option<f64>,
    /// The longest that is told apart; `None` where nothing was measured.
    pub longest: Option<f64>,
}

pub(super) struct Client {
    address: String,
    http: reqwest::Client,
}

impl Client {
    /// `9464`, `host:9464` and `http://host:9464` all mean the same.
    pub fn new(address: &str) -> anyhow::Result<Self> {
        let bare = address.trim_end_matches('/');
        let whole = if address.contains("://") {
            address.to_owned()
        } else if !bare.is_empty() && bare.bytes().all(|b| b.is_ascii_digit()) {
            format!("http://127.0.0.1:{bare}")
        } else {
            format!("http://{bare}")
        };
        let sound = reqwest::Url::parse(&whole)
            .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if !sound {
            bail!("\"{address}\" is no address; write one such as http://127.0.0.1:9464");
        }
        // The service is next door or behind a tunnel: a proxy for the web knows neither.
        let http = reqwest::Client::builder().timeout(TIMEOUT).no_proxy().build();
        let whole = whole.trim_end_matches('/').to_owned();
        Ok(Self { address: whole, http: http.context("preparing to ask the service")? })
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    async fn page(&self, path: &str) -> anyhow::Result<String> {
        let address = &self.address;
        let answer = self.http.get(format!("{address}{path}")).send().await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) if error.is_timeout() => {
                bail!("{address} does not answer within {} s; the service may be stuck", TIMEOUT.as_secs())
            }
            Err(error) => bail!(
                "nothing answers at {address} ({}); start `aksentry run`, or give the address that listen of [telemetry] says; for a pod: kubectl port-forward POD 9464",
                root_cause(&error)
            ),
        };
        if !answer.status().is_success() {
            bail!("{address}{path} answers {}; is this the address of aksentry?", answer.status());
        }
        answer.text().await.with_context(|| format!("reading {address}{path}"))
    }

    /// The state now; rates are since `before`.
    pub async fn snapshot(&self, before: Option<&Snapshot>) -> anyhow::Result<Snapshot> {
        let (status, metrics) = (self.page("/status").await?, self.page("/metrics").await?);
        let status: Status = serde_json::from_str(&status).with_context(|| {
            format!("{}/status is none of this version's; use the aksentry that runs there", self.address)
        })?;
        Ok(snapshot(status, &Samples::parse(&metrics), Instant::now(), before))
    }
}

/// The innermost reason: `Connection refused (os error 111)`.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

fn snapshot(status: Status, samples: &Samples, at: Instant, before: Option<&Snapshot>) -> Snapshot {
    let rate = |now: u64, then: fn(&Status) -> u64| {
        let Some(before) = before else { return 0.0 };
        let seconds = at.saturating_duration_since(before.at).as_secs_f64();
        // Counters that went back belong to a service that was started again.
        let more = now.saturating_sub(then(&before.status));
        if seconds > 0.0 { more as f64 / seconds } else { 0.0 }
    };
    let records = |status: &Status| status.records.values().sum();
    let events = |status: &Status| status.records.get("event").copied().unwrap_or(0);
    let per_second = Rates {
        messages: rate(status.messages, |s| s.messages),
        bytes: rate(status.bytes, |s| s.bytes),
        records: rate(records(&status), records),
        events: rate(events(&status), events),
        alerts: rate(status.alerts, |s| s.alerts),
    };
    Snapshot {
        at,
        per_second,
        event_delay_seconds: quantiles(samples, "aksentry_event_delay_seconds_bucket"),
        alert_delay_seconds: quantiles(samples, "aksentry_alert_delay_seconds_bucket"),
        queue_bytes: samples.counts("aksentry_queue_bytes", "queue"),
        rule_seconds: samples.by("aksentry_rule_seconds_total", "rule"),
        status,
    }
}

fn quantiles(samples: &Samples, name: &str) -> Quantiles {
    let mut buckets: Vec<(f64, f64)> = samples
        .by(name, "le")
        .into_iter()
        .filter_map(|(bound, count)| Some((bound.parse().ok()?, count)))
        .collect();
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    let total = buckets.last().map_or(0.0, |(_, count)| *count);
    let bound = |share: f64| {
        let bucket = buckets.iter().find(|(_, count)| total > 0.0 && *count >= share * total);
        bucket.map(|(bound, _)| *bound).filter(|bound| bound.is_finite())
    };
    let mut told_apart =
        buckets.iter().map(|(bound, _)| *bound).filter(|bound| total > 0.0 && bound.is_finite());
    Quantiles { p50: bound(0.5), p99: bound(0.99), longest: told_apart.next_back() }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;

    use super::*;
    use crate::telemetry::metrics::{Outcome, Partition};
    use crate::telemetry::status::About;
    use crate::telemetry::{Health, Metrics, http};

    #[tokio::test]
    async fn a_service_is_asked_twice_for_its_rates() {
        let (metrics, health) = (Arc::new(Metrics::new()), Arc::new(Health::default()));
        let about = About { version: "1".into(), replica: "r".into() };
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = http::serve(any, about, metrics.clone(), health).await.unwrap();
        let client = Client::new(&server.address().to_string()).unwrap();
        let first = client.snapshot(None).await.unwrap();
        assert_eq!(first.per_second, Rates::default());
        metrics.messages.get_or_create(&Partition { partition: "0".into() }).inc_by(10);
        metrics.records.get_or_create(&Outcome { outcome: "event".into() }).inc_by(20);
        metrics.records.get_or_create(&Outcome { outcome: "not_json".into() }).inc_by(20);
        metrics.event_delay.0.observe(3.0);
        let second = client.snapshot(Some(&first)).await.unwrap();
        let rates = &second.per_second;
        assert!(rates.messages > 0.0 && rates.alerts == 0.0);
        assert!((rates.records / rates.messages - 4.0).abs() < 0.01, "{rates:?}");
        assert!((rates.events / rates.messages - 2.0).abs() < 0.01, "{rates:?}");
        let delay = &second.event_delay_seconds;
        assert_eq!((delay.p50, delay.p99), (Some(4.096), Some(4.096)));
        assert_eq!(second.alert_delay_seconds, Quantiles::default());
        // A service that was started again counts from zero.
        let again = snapshot(Status::default(), &Samples::default(), Instant::now(), Some(&second));
        assert_eq!(again.per_second, Rates::default());
        server.close().await;
        let error = client.snapshot(None).await.unwrap_err().to_string();
        let start = format!("nothing answers at {} (", client.address());
        assert!(error.starts_with(&start) && error.contains("start `aksentry run`"), "{error}");
    }

    #[test]
    fn addresses_in_their_forms() {
        let address = |text: &str| Client::new(text).map(|client| client.address);
        for text in ["9464", "127.0.0.1:9464", "http://127.0.0.1:9464", "http://127.0.0.1:9464/"] {
            assert_eq!(address(text).unwrap(), "http://127.0.0.1:9464", "{text}");
        }
        for text in ["", "ftp://x", "http://", "a b"] {
            assert!(address(text).is_err(), "{text}");
        }
    }

    #[test]
    fn quantiles_are_upper_bounds() {
        let text = "d_bucket{le=\"1.0\"} 50\nd_bucket{le=\"2.0\"} 98\nd_bucket{le=\"+Inf\"} 100\n";
        let found = quantiles(&Samples::parse(text), "d_bucket");
        assert_eq!(found, Quantiles { p50: Some(1.0), p99: None, longest: Some(2.0) });
        assert_eq!(quantiles(&Samples::parse("d_bucket{le=\"+Inf\"} 0\n"), "d_bucket"), Quantiles::default());
    }
}
