//! Microsoft Sentinel: alerts become rows of a custom table through the Logs Ingestion API and a data
//! collection rule (DCR), see deploy/sentinel. Owns requests and what their answers mean; rows and bodies
//! are made by [`rows`], text is shortened by [`cut`]. When to try again is the delivery's.
//!
//! The service has no key that makes a repeated request harmless: a request whose answer got lost may have
//! been stored, and its rows come twice with equal `AlertId`. Queries take one row per `AlertId`.

mod cut;
mod rows;

#[cfg(test)]
mod rows_tests;

use std::collections::VecDeque;
use std::io::Write;
use std::time::Duration;

use async_trait::async_trait;
use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, StatusCode, Url};
use serde::Deserialize;
use tokio::time::{Instant, timeout};

use super::http;
use super::http::{Answer, Timeouts};
use super::{Outcome, Portion, Sink};
use crate::alert::Alert;
use crate::event::Clock;
use crate::event::value::rfc3339;
use crate::identity::Secret;
use crate::identity::TokenSource;

use rows::Row;
pub use rows::{COLUMNS, MAX_BODY};

const API_VERSION: &str = "2023-01-01";

/// Roles take minutes to be in force, and a wrong one stays wrong until somebody changes it.
const WAIT_FOR_ROLE: Duration = Duration::from_secs(300);

/// A token that was refused although it is new: somebody has to change something.
const WAIT_FOR_SIGN_IN: Duration = Duration::from_secs(60);

/// One send begins no more requests than this, and none after this time; what is left waits for the next
/// send. With the time of the last request it ends before the delivery gives it up, which is after a minute.
const MAX_REQUESTS: usize = 64;
const MAX_TIME: Duration = Duration::from_secs(15);

/// How often a row that is refused for its size is made shorter.
const MAX_CUTS: u32 = 3;

/// A table in Sentinel, reached through a data collection rule.
pub struct Sentinel {
    name: String,
    url: Url,
    rule_id: String,
    scope: &'static str,
    tokens: TokenSource,
    client: Client,
    timeouts: Timeouts,
    clock: Clock,
}

/// Where rows go: endpoint, immutable id of the rule, stream.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    pub endpoint: &'a str,
    pub rule_id: &'a str,
    pub stream: &'a str,
}

/// What became of one body.
enum Sent {
    Stored,
    TooLarge {
        reason: String,
    },
    /// Something in it is wrong, or everything.
    Wrong {
        reason: String,
    },
    /// Nothing sent there will ever be taken.
    Refused {
        reason: String,
    },
    Later {
        reason: String,
        after: Option<Duration>,
    },
}

impl Sentinel {
    pub fn new(
        name: impl Into<String>,
        target: Target<'_>,
        tokens: TokenSource,
        timeouts: Timeouts,
        clock: Clock,
    ) -> Result<Self, String> {
        let mut url = http::target(target.endpoint)?;
        url.path_segments_mut()
            .map_err(|()| "the endpoint is not a URL with a host".to_owned())?
            .pop_if_empty()
            .extend(["dataCollectionRules", target.rule_id, "streams", target.stream]);
        url.query_pairs_mut().clear().append_pair("api-version", API_VERSION);
        Ok(Self {
            name: name.into(),
            rule_id: target.rule_id.to_owned(),
            scope: scope(url.host_str().unwrap_or_default()),
            client: http::client(&url, timeouts)?,
            url,
            tokens,
            timeouts,
            clock,
        })
    }

    /// Posts rows. A token that is refused is renewed once.
    async fn post(&self, rows: &[Row]) -> Sent {
        let body = match gzip(&rows::body(rows)) {
            Ok(body) => body,
            Err(error) => {
                return Sent::Later { reason: format!("cannot compress rows: {error}"), after: None };
            }
        };
        match self.exchange(&body, true).await {
            Ok((answer, token)) => self.meaning(&answer, &token),
            Err(reason) => Sent::Later { reason, after: None },
        }
    }

    /// One request, and a second one with a new token if the first was answered with 401; ends in time.
    async fn exchange(&self, body: &[u8], compressed: bool) -> Result<(Answer, Secret), String> {
        let limit = self.timeouts.total + self.patience();
        let late = |_| format!("no answer from {} within {} s", http::host(&self.url), limit.as_secs_f32());
        timeout(limit, self.signed(body, compressed)).await.map_err(late)?
    }

    /// How long to wait for a token.
    fn patience(&self) -> Duration {
        self.timeouts.total / 3
    }

    async fn signed(&self, body: &[u8], compressed: bool) -> Result<(Answer, Secret), String> {
        let mut renewed = false;
        loop {
            let token = self.token().await?;
            let mut bearer = HeaderValue::try_from(format!("Bearer {}", token.expose())).map_err(|_| {
                "the token for Azure Monitor has characters that no header may have".to_owned()
            })?;
            bearer.set_sensitive(true);
            let id = request_id();
            let mut request = self
                .client
                .post(self.url.clone())
                .header(AUTHORIZATION, bearer)
                .header(CONTENT_TYPE, "application/json")
                // Named in DCRLogErrors when rows are stored and a transformation fails.
                .header("x-ms-client-request-id", &id)
                .body(body.to_vec());
            if compressed {
                request = request.header(CONTENT_ENCODING, "gzip");
            }
            let answer = http::exchange(request, &self.url, self.timeouts, (self.clock)()).await?;
            tracing::debug!(sink = self.name, request = id, status = answer.status.as_u16(), "rows posted");
            if answer.status != StatusCode::UNAUTHORIZED || renewed {
                return Ok((answer, token));
            }
            self.tokens.renew();
            renewed = true;
        }
    }

    async fn token(&self) -> Result<Secret, String> {
        match timeout(self.patience(), self.tokens.token(self.scope)).await {
            Ok(Ok(token)) => Ok(token),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!(
                "no token for Azure Monitor within {} s: the identity service does not answer",
                self.patience().as_secs_f32()
            )),
        }
    }

    fn meaning(&self, answer: &Answer, token: &Secret) -> Sent {
        let status = answer.status;
        if status.is_success() {
            return Sent::Stored;
        }
        let said = explanation(&answer.body, token);
        let after = answer.after;
        match status.as_u16() {
            400 => Sent::Wrong { reason: format!("400: {said}") },
            401 => Sent::Later {
                reason: format!(
                    "401: a new token was refused too: the identity must be of the DCR's tenant and cloud: {said}"
                ),
                after: after.or(Some(WAIT_FOR_SIGN_IN)),
            },
            403 => Sent::Later {
                reason: format!(
                    "403: the identity needs the role Monitoring Metrics Publisher on the data collection rule {} \
                     (a new assignment takes up to 30 minutes): {said}",
                    self.rule_id
                ),
                after: after.or(Some(WAIT_FOR_ROLE)),
            },
            404 => Sent::Refused {
                reason: format!("404: check endpoint, rule_id {} and stream: {said}", self.rule_id),
            },
            413 => Sent::TooLarge { reason: format!("413: {said}") },
            408 | 429 | 500..=599 => Sent::Later { reason: format!("{}: {said}", status.as_u16()), after },
            300..=399 => Sent::Later {
                reason: format!("{}: redirects are not followed: check the endpoint", status.as_u16()),
                after: after.or(Some(WAIT_FOR_ROLE)),
            },
            other => Sent::Refused { reason: format!("{other}: {said}") },
        }
    }

    /// Sends bodies until all are done or one has to wait; then the others wait as well, for what is wrong
    /// with the service or the way to it is wrong for all.
    async fn deliver(
        &self,
        bodies: Vec<Vec<Row>>,
        alerts: &[Alert],
        now: &str,
        outcomes: &mut [Option<Outcome>],
    ) {
        let mut queue: VecDeque<(Vec<Row>, u32)> = bodies.into_iter().map(|rows| (rows, 0)).collect();
        let begun = Instant::now();
        let mut requests = 0;
        let mut hold: Option<(String, Option<Duration>)> = None;
        while let Some((mut rows, cuts)) = queue.pop_front() {
            if let Some((reason, after)) = &hold {
                settle(outcomes, &rows, &Outcome::Retry { reason: reason.clone(), after: *after });
                continue;
            }
            if requests == MAX_REQUESTS || begun.elapsed() >= MAX_TIME {
                hold = Some(("the alerts before it took all the time of this send".to_owned(), None));
                queue.push_front((rows, cuts));
                continue;
            }
            requests += 1;
            match self.post(&rows).await {
                Sent::Stored => settle(outcomes, &rows, &Outcome::Delivered),
                Sent::Later { reason, after } => {
                    hold = Some((reason, after));
                    queue.push_front((rows, cuts));
                }
                // One row that is wrong must not take the others along.
                Sent::TooLarge { .. } | Sent::Wrong { .. } if rows.len() > 1 => {
                    let half = rows.split_off(rows.len() / 2);
                    queue.push_front((half, cuts));
                    queue.push_front((rows, cuts));
                }
                Sent::TooLarge { reason } => match shorter(&rows, alerts, now, cuts) {
                    Some(row) => queue.push_front((vec![row], cuts + 1)),
                    None => settle(outcomes, &rows, &Outcome::Refused { reason: too_large(&rows, &reason) }),
                },
                Sent::Wrong { reason } | Sent::Refused { reason } => {
                    settle(outcomes, &rows, &Outcome::Refused { reason });
                }
            }
        }
    }
}

/// A quarter of what the service did not take.
fn shorter(rows: &[Row], alerts: &[Alert], now: &str, cuts: u32) -> Option<Row> {
    let row = rows.first().filter(|_| cuts < MAX_CUTS)?;
    let json = rows::row(alerts.get(row.alert)?, now, row.json.len() / 4)?;
    Some(Row { alert: row.alert, json })
}

fn too_large(rows: &[Row], reason: &str) -> String {
    let len: usize = rows.iter().map(|row| row.json.len()).sum();
    format!("{reason} (the row cut to {len} bytes was still refused)")
}

fn settle(outcomes: &mut [Option<Outcome>], rows: &[Row], outcome: &Outcome) {
    for row in rows {
        if let Some(place) = outcomes.get_mut(row.alert) {
            *place = Some(outcome.clone());
        }
    }
}

/// The audience of tokens is that of the cloud the endpoint is in.
fn scope(host: &str) -> &'static str {
    if host.ends_with(".monitor.azure.us") {
        "https://monitor.azure.us/.default"
    } else if host.ends_with(".monitor.azure.cn") {
        "https://monitor.azure.cn/.default"
    } else {
        "https://monitor.azure.com/.default"
    }
}

fn gzip(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    encoder.write_all(body)?;
    encoder.finish()
}

/// A random GUID.
fn request_id() -> String {
    let id = fastrand::u128(..) & !(0xf << 76) | 4 << 76;
    let id = id & !(0b11 << 62) | 0b10 << 62;
    let text = format!("{id:032x}");
    format!("{}-{}-{}-{}-{}", &text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..])
}

/// What the service says: `{"error":{"code","message"}}`, or whatever a proxy in between says.
fn explanation(body: &str, token: &Secret) -> String {
    #[derive(Deserialize)]
    struct Body {
        error: Fault,
    }
    #[derive(Deserialize)]
    struct Fault {
        code: Option<String>,
        message: Option<String>,
    }
    let text = match serde_json::from_str::<Body>(body) {
        Ok(Body { error: Fault { code: Some(code), message: Some(message) } }) => {
            format!("{code}: {message}")
        }
        Ok(Body { error: Fault { code: Some(text), .. } | Fault { message: Some(text), .. } }) => text,
        _ => body.to_owned(),
    };
    http::quote(&text, &[token.expose().to_owned()])
}

#[async_trait]
impl Sink for Sentinel {
    fn name(&self) -> &str {
        &self.name
    }

    /// A body holds some hundred alerts; waiting a little puts those of one batch into one request.
    fn portion(&self) -> Portion {
        Portion { max_alerts: 500, linger: Duration::from_millis(200) }
    }

    async fn send(&self, alerts: &[Alert]) -> Vec<Outcome> {
        let now = rfc3339((self.clock)()).unwrap_or_default();
        let mut outcomes: Vec<Option<Outcome>> = vec![None; alerts.len()];
        let rows: Vec<Row> = alerts
            .iter()
            .enumerate()
            .filter_map(|(i, alert)| {
                let json = rows::row(alert, &now, rows::MAX_BODY - 2)?;
                Some(Row { alert: i, json })
            })
            .collect();
        self.deliver(rows::pack(rows), alerts, &now, &mut outcomes).await;
        let too_long = || Outcome::Refused { reason: "no form of the alert fits into a request".to_owned() };
        outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(too_long)).collect()
    }

    /// Posts no rows: what is refused before rows are looked at is refused here as well.
    async fn probe(&self) -> Result<String, String> {
        let host = http::host(&self.url);
        let (answer, token) = self.exchange(b"[]", false).await?;
        let said = explanation(&answer.body, &token);
        match self.meaning(&answer, &token) {
            Sent::Stored => Ok(format!("{host} takes rows for {}", self.rule_id)),
            // It did not mind address and identity, only that there is nothing to store.
            Sent::Wrong { .. } if !is_about_the_address(&said) => {
                Ok(format!("{host} knows us and {}; no rows were sent: {said}", self.rule_id))
            }
            Sent::Wrong { reason }
            | Sent::TooLarge { reason }
            | Sent::Refused { reason }
            | Sent::Later { reason, .. } => Err(format!("{host} answered {reason}")),
        }
    }
}

fn is_about_the_address(said: &str) -> bool {
    let said = said.to_lowercase();
    ["stream", "dcr", "data collection", "immutable", "api-version"].iter().any(|word| said.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_audience_is_that_of_the_cloud() {
        for (host, expected) in [
            ("x.westeurope-1.ingest.monitor.azure.com", "https://monitor.azure.com/.default"),
            ("x.usgovvirginia-1.ingest.monitor.azure.us", "https://monitor.azure.us/.default"),
            ("x.chinanorth3-1.ingest.monitor.azure.cn", "https://monitor.azure.cn/.default"),
            ("127.0.0.1", "https://monitor.azure.com/.default"),
        ] {
            assert_eq!(scope(host), expected);
        }
    }

    #[test]
    fn requests_have_random_guids() {
        let (one, other) = (request_id(), request_id());
        assert_ne!(one, other);
        let parts: Vec<usize> = one.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12]);
        assert_eq!(one.as_bytes()[14], b'4');
        assert!(matches!(one.as_bytes()[19], b'8' | b'9' | b'a' | b'b'), "{one}");
    }
}
