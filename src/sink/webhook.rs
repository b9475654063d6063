//! A webhook: one POST for each alert, as our own JSON or in the shapes Teams and Slack show to people.
//! Owns requests, the signature and what answers mean; [`shapes`] makes the messages. The URL is a secret:
//! whoever has it can post, so that nothing but its host is ever shown.

mod shapes;

use std::time::Duration;

use async_trait::async_trait;
use hmac::{Hmac, Mac};
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Client, StatusCode, Url};
use sha2::Sha256;
use tokio::time::Instant;

use super::http;
use super::http::{Answer, Timeouts};
use super::{Outcome, Portion, Sink, WebhookShape};
use crate::alert::Alert;
use crate::event::Clock;
use crate::identity::Secret;

/// `sha256=` and the hex HMAC of the body, with the key both sides know.
const SIGNATURE: HeaderName = HeaderName::from_static("x-aksentry-signature");
/// The alert's id, for a receiver that keeps repeats apart without reading the body.
const ALERT_ID: HeaderName = HeaderName::from_static("x-aksentry-alert-id");

/// No request begins after this time; the alerts left wait for the next send. With the time of the last one
/// a send ends before the delivery gives it up, which is after a minute.
const MAX_TIME: Duration = Duration::from_secs(25);

/// A wrong address answers the same until somebody corrects it.
const WAIT_FOR_ADDRESS: Duration = Duration::from_secs(300);

/// A URL that takes alerts by POST.
pub struct Webhook {
    name: String,
    url: Url,
    host: String,
    secrets: Vec<String>,
    shape: WebhookShape,
    hmac: Option<Secret>,
    client: Client,
    timeouts: Timeouts,
    clock: Clock,
}

impl Webhook {
    pub fn new(
        name: impl Into<String>,
        url: &Secret,
        shape: WebhookShape,
        hmac: Option<Secret>,
        timeouts: Timeouts,
        clock: Clock,
    ) -> Result<Self, String> {
        let url = http::target(url.expose().trim())?;
        let mut secrets = http::secrets_of(&url);
        secrets.extend(hmac.iter().map(|key| key.expose().to_owned()));
        Ok(Self {
            name: name.into(),
            host: http::host(&url),
            secrets,
            shape,
            hmac,
            client: http::client(&url, timeouts)?,
            url,
            timeouts,
            clock,
        })
    }

    fn body(&self, alert: &Alert) -> Result<Vec<u8>, serde_json::Error> {
        match self.shape {
            WebhookShape::Generic => serde_json::to_vec(alert),
            WebhookShape::Teams => serde_json::to_vec(&shapes::teams(alert)),
            WebhookShape::Slack => serde_json::to_vec(&shapes::slack(alert)),
        }
    }

    async fn post(&self, alert: &Alert) -> Outcome {
        let body = match self.body(alert) {
            Ok(body) => body,
            Err(error) => return Outcome::Refused { reason: format!("cannot write it as JSON: {error}") },
        };
        let mut request = self.client.post(self.url.clone()).header(CONTENT_TYPE, "application/json");
        if let Ok(id) = HeaderValue::from_str(&alert.id) {
            request = request.header(ALERT_ID, id);
        }
        if let Some(key) = &self.hmac {
            request = request.header(SIGNATURE, signature(key, &body));
        }
        match http::exchange(request.body(body), &self.url, self.timeouts, (self.clock)()).await {
            Ok(answer) => self.meaning(&answer),
            Err(reason) => Outcome::Retry { reason, after: None },
        }
    }

    fn meaning(&self, answer: &Answer) -> Outcome {
        let status = answer.status;
        if status.is_success() {
            return Outcome::Delivered;
        }
        let reason = format!(
            "{} answered {}: {}",
            self.host,
            status.as_u16(),
            http::quote(&answer.body, &self.secrets)
        );
        if status.is_redirection() {
            let reason = format!(
                "{} answered {}: redirects are not followed, give the final URL",
                self.host,
                status.as_u16()
            );
            return Outcome::Retry { reason, after: answer.after.or(Some(WAIT_FOR_ADDRESS)) };
        }
        let passes = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
        if status.is_server_error() || passes.contains(&status) {
            return Outcome::Retry { reason, after: answer.after };
        }
        Outcome::Refused { reason }
    }
}

fn signature(key: &Secret, body: &[u8]) -> String {
    // A key of any length will do.
    let mac = Hmac::<Sha256>::new_from_slice(key.expose().as_bytes());
    let digest = mac.map(|mac| mac.chain_update(body).finalize().into_bytes()).unwrap_or_default();
    digest.iter().fold("sha256=".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

#[async_trait]
impl Sink for Webhook {
    fn name(&self) -> &str {
        &self.name
    }

    fn portion(&self) -> Portion {
        Portion { max_alerts: 50, linger: Duration::ZERO }
    }

    /// One after another, so that they are shown in order. Once one has to wait the others wait as well.
    async fn send(&self, alerts: &[Alert]) -> Vec<Outcome> {
        let begun = Instant::now();
        let mut outcomes = Vec::with_capacity(alerts.len());
        let mut hold: Option<Outcome> = None;
        for alert in alerts {
            if let Some(wait) = &hold {
                outcomes.push(wait.clone());
                continue;
            }
            let outcome = if begun.elapsed() < MAX_TIME {
                self.post(alert).await
            } else {
                let reason = "the alerts before it took all the time of this send".to_owned();
                Outcome::Retry { reason, after: None }
            };
            hold = matches!(outcome, Outcome::Retry { .. }).then(|| outcome.clone());
            outcomes.push(outcome);
        }
        outcomes
    }

    /// A webhook has nothing but POST, and each makes a message: only connection and TLS are tried.
    async fn probe(&self) -> Result<String, String> {
        let request = self.client.head(self.url.origin().ascii_serialization());
        http::exchange(request, &self.url, self.timeouts, (self.clock)()).await?;
        Ok(format!("{} answers; no alert was sent to see whether it takes one", self.host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_rfc_4231() {
        // Test case 2.
        let text = signature(&Secret::new("Jefe"), b"what do ya want for nothing?");
        assert_eq!(text, "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }
}
