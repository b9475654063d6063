//! Where alerts go: Sentinel, email, webhooks, files. A [`Sink`] sends what it is given and says what
//! became of each alert; when to send, how often to try and what to do with refusals is the delivery's.

mod backoff;
mod breaker;
pub mod delivery;
pub mod email;
pub mod file;
pub mod http;
pub mod sentinel;
pub mod webhook;

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;

use crate::alert::Alert;
use crate::identity::{Auth, Secret};

pub use backoff::Backoff;
pub use delivery::{Delivery, Timing};

/// What became of one alert that was to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The other side acknowledged it.
    Delivered,
    /// Not now. `after` is what the other side asked for, if it did.
    Retry { reason: String, after: Option<Duration> },
    /// Never: the other side will refuse it again.
    Refused { reason: String },
}

/// How many alerts a sink takes at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Portion {
    pub max_alerts: usize,
    /// How long to wait for more after the first; zero = send at once.
    pub linger: Duration,
}

/// A place alerts are sent to.
#[async_trait]
pub trait Sink: Send + Sync {
    /// Unique among the configured sinks, as in metrics and in the outbox: `sentinel`, `email-2`.
    fn name(&self) -> &str;

    fn portion(&self) -> Portion;

    /// Sends; the answer has one outcome for each alert, in order. Never hangs: every wait has an end.
    async fn send(&self, alerts: &[Alert]) -> Vec<Outcome>;

    /// Tries whether alerts could be sent, without sending one; what was found, or what to do about it.
    async fn probe(&self) -> Result<String, String>;
}

/// What `[[sink]]` says, one variant a type. Secrets named by the environment are resolved.
#[derive(Debug, Clone)]
pub enum Config {
    Sentinel {
        /// Of the DCR (kind Direct) or of a data collection endpoint, without a slash at its end.
        endpoint: String,
        /// Immutable id of the DCR: `dcr-` and 32 hex digits.
        rule_id: String,
        /// `Custom-AksentryAlerts`.
        stream: String,
        auth: Auth,
    },
    Email {
        server: MailServer,
        auth: MailAuth,
        from: String,
        to: Vec<String>,
        /// Alerts of so long go into one mail; zero = one mail each.
        digest: Duration,
    },
    Webhook {
        url: Secret,
        shape: WebhookShape,
        /// Key of the signature `X-Aksentry-Signature: sha256=<hex hmac of the body>`.
        hmac: Option<Secret>,
    },
    /// `-` = standard output.
    File { path: PathBuf },
}

/// `smtp://` is STARTTLS (required, but for a loopback address that has none), `smtps://` implicit TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailServer {
    pub host: String,
    pub port: u16,
    pub implicit_tls: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MailAuth {
    None,
    Login {
        user: String,
        password: Secret,
    },
    /// A token for `scope` (default `https://outlook.office365.com/.default`) is got with `auth`.
    XOAuth2 {
        user: String,
        auth: Auth,
        scope: Option<String>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WebhookShape {
    #[default]
    Generic,
    Teams,
    Slack,
}
