//! Alerts by mail, for people: one a mail, or those of a few minutes together (`digest`).
//!
//! A portion is sent over one connection that is closed afterwards: nothing stale is kept, and a renewed
//! token, certificate or address counts at once. Who has got which alert is remembered while only some of
//! the recipients took it, so that the others are tried again without sending it twice to these; a restart
//! forgets that, and a repeated mail has the same `Message-ID`.

mod facts;
mod failure;
mod html;
mod message;
mod smtp;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use async_trait::async_trait;
use lettre::message::Mailbox;
use lettre::transport::smtp::extension::ClientId;
use tokio::time::Instant;
use tokio::time::timeout;
use tokio::time::timeout_at;

use crate::alert::Alert;
use crate::identity::IdentityError;
use crate::identity::Secret;
use crate::identity::TokenSource;

use super::MailAuth;
use super::MailServer;
use super::Outcome;
use super::Portion;
use super::Sink;
use crate::event::Clock;

use failure::Failure;
use failure::Kind;
use smtp::Session;
use smtp::SignIn;

/// Alerts of one mail at most.
const DIGEST: usize = 100;
/// Mails over one connection at most, where each alert has its own.
const MAILS: usize = 20;
/// The longest wait for one answer of the server.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest that one portion may take, in such waits.
const WAITS: u32 = 2;
/// For Exchange Online.
const SCOPE: &str = "https://outlook.office365.com/.default";
/// Alerts that only some recipients have got; beyond this they are forgotten and may come twice.
const MOST_PARTIAL: usize = 10_000;

/// What `[[sink]] type = "email"` says.
#[derive(Debug, Clone)]
pub struct Settings {
    pub server: MailServer,
    pub auth: MailAuth,
    pub from: String,
    pub to: Vec<String>,
    pub digest: Duration,
}

/// Why there is no such sink.
#[derive(Debug, thiserror::Error)]
pub enum EmailError {
    #[error("{field} has \"{text}\", which is no address ({detail}); write name@example.com")]
    Address { field: &'static str, text: String, detail: String },
    #[error("\"to\" is empty; name at least one recipient")]
    NoRecipient,
    #[error(transparent)]
    Identity(IdentityError),
}

enum Login {
    Nobody,
    Password { user: String, password: Secret },
    Token { user: String, tokens: TokenSource, scope: String },
}

/// The sink.
pub struct Email {
    name: String,
    server: MailServer,
    hello: ClientId,
    login: Login,
    from: Mailbox,
    to: Vec<Mailbox>,
    digest: Duration,
    clock: Clock,
    patience: Duration,
    /// By alert: the recipients (by their place in `to`) that need no further mail.
    partial: Mutex<HashMap<String, BTreeSet<usize>>>,
}

/// One mail to be: places of its alerts in the portion, and of its recipients in `to`.
struct Plan {
    alerts: Vec<usize>,
    to: Vec<usize>,
}

impl Email {
    /// Reads the addresses and opens what gives tokens; the server is not asked for anything yet.
    ///
    /// # Errors
    ///
    /// For what is no address, and where a credential cannot be had.
    pub async fn open(name: impl Into<String>, settings: Settings, clock: Clock) -> Result<Self, EmailError> {
        let name = name.into();
        let from = mailbox("from", &settings.from)?;
        let to = settings.to.iter().map(|text| mailbox("to", text)).collect::<Result<Vec<_>, _>>()?;
        if to.is_empty() {
            return Err(EmailError::NoRecipient);
        }
        let login = match settings.auth {
            MailAuth::None => Login::Nobody,
            MailAuth::Login { user, password } => Login::Password { user, password },
            MailAuth::XOAuth2 { user, auth, scope } => {
                let tokens = TokenSource::open(&auth).await.map_err(EmailError::Identity)?;
                tracing::info!(sink = name, "signs in with {}", tokens.chosen());
                Login::Token { user, tokens, scope: scope.unwrap_or_else(|| SCOPE.to_owned()) }
            }
        };
        Ok(Self {
            name,
            server: settings.server,
            // The name of this machine says nothing outside a cluster, and some servers want a dot in it.
            hello: ClientId::Domain(from.email.domain().to_owned()),
            login,
            from,
            to,
            digest: settings.digest,
            clock,
            patience: PATIENCE,
            partial: Mutex::default(),
        })
    }

    /// Waits so long for each answer, and twice as long for a portion.
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Opens a connection; a token that is not taken is renewed once.
    async fn connect(&self) -> Result<Session, Failure> {
        let first = Session::open(&self.server, &self.hello, &self.sign_in().await?, self.patience).await;
        match (first, &self.login) {
            (Err(failure), Login::Token { tokens, .. }) if failure.kind == Kind::Token => {
                tracing::info!(sink = self.name, reason = failure.reason, "getting a new token");
                tokens.renew();
                Session::open(&self.server, &self.hello, &self.sign_in().await?, self.patience).await
            }
            (first, _) => first,
        }
    }

    async fn sign_in(&self) -> Result<SignIn, Failure> {
        Ok(match &self.login {
            Login::Nobody => SignIn::Nobody,
            Login::Password { user, password } => {
                SignIn::Password { user: user.clone(), password: password.clone() }
            }
            Login::Token { user, tokens, scope } => {
                let token = tokens.token(scope).await.map_err(|error| {
                    let kind = if error.is_transient() { Kind::Later } else { Kind::Slow };
                    Failure::new(kind, format!("no token for {user}: {error}"))
                })?;
                SignIn::Token { user: user.clone(), token }
            }
        })
    }

    /// Which mails these alerts make: by who still wants them, then one each or all together.
    fn plan(&self, alerts: &[Alert]) -> Vec<Plan> {
        let partial = self.partial.lock().unwrap_or_else(PoisonError::into_inner);
        let mut by_recipients: BTreeMap<Vec<usize>, Vec<usize>> = BTreeMap::new();
        for (at, alert) in alerts.iter().enumerate() {
            let done = partial.get(&alert.id);
            let to = (0..self.to.len()).filter(|n| !done.is_some_and(|done| done.contains(n))).collect();
            by_recipients.entry(to).or_default().push(at);
        }
        let size = if self.digest.is_zero() { 1 } else { DIGEST };
        let plans = by_recipients.into_iter().flat_map(|(to, alerts)| {
            let chunks: Vec<Vec<usize>> = alerts.chunks(size).map(<[usize]>::to_vec).collect();
            chunks.into_iter().map(move |alerts| Plan { alerts, to: to.clone() })
        });
        plans.collect()
    }

    /// Sends one mail over `session`, which is opened where there is none. Where one that had served before
    /// is lost, a new one is tried: servers limit the mails of a connection.
    async fn deliver(
        &self,
        session: &mut Option<Session>,
        plan: &Plan,
        alerts: &[&Alert],
    ) -> Result<Vec<Result<(), Failure>>, Failure> {
        let to: Vec<Mailbox> = plan.to.iter().filter_map(|n| self.to.get(*n)).cloned().collect();
        let mail = message::build(alerts, &self.from, &self.to, (self.clock)())
            .map_err(|reason| Failure::new(Kind::Never, reason))?
            .formatted();
        let addresses: Vec<_> = to.into_iter().map(|mailbox| mailbox.email).collect();
        loop {
            let mut open = match session.take() {
                Some(open) => open,
                None => self.connect().await?,
            };
            match open.send(&self.from.email, &addresses, &mail).await {
                Err(failure) if failure.kind == Kind::Broken => {
                    if open.sent == 0 {
                        return Err(failure);
                    }
                    tracing::debug!(sink = self.name, reason = failure.reason, "connecting again");
                }
                result => {
                    *session = Some(open);
                    return result;
                }
            }
        }
    }

    /// What the recipients' results mean for the alerts of a mail. It is delivered when nobody is left who
    /// may take it later and somebody took it.
    fn settle(&self, plan: &Plan, alerts: &[&Alert], results: Vec<Result<(), Failure>>) -> Outcome {
        let mut done = BTreeSet::new();
        let (mut later, mut never) = (None, None);
        let mut taken = plan.to.len() < self.to.len();
        for (n, result) in plan.to.iter().zip(results) {
            match result {
                Ok(()) => {
                    taken = true;
                    done.insert(*n);
                }
                Err(failure) if failure.kind == Kind::Never => {
                    done.insert(*n);
                    never = Some(failure);
                }
                Err(failure) => later = Some(failure),
            }
        }
        let mut partial = self.partial.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(failure) = later {
            if taken {
                if partial.len() >= MOST_PARTIAL {
                    partial.clear();
                }
                for alert in alerts {
                    partial.entry(alert.id.clone()).or_default().extend(&done);
                }
            }
            return failure.outcome();
        }
        for alert in alerts {
            partial.remove(&alert.id);
        }
        match never {
            Some(failure) if !taken => failure.outcome(),
            Some(failure) => {
                tracing::warn!(
                    sink = self.name,
                    reason = failure.reason,
                    "a recipient does not get the alerts"
                );
                Outcome::Delivered
            }
            None => Outcome::Delivered,
        }
    }
}

fn mailbox(field: &'static str, text: &str) -> Result<Mailbox, EmailError> {
    let wrong = |detail: String| EmailError::Address { field, text: text.to_owned(), detail };
    let mailbox: Mailbox =
        text.parse().map_err(|error: lettre::address::AddressError| wrong(error.to_string()))?;
    if !mailbox.email.to_string().is_ascii() {
        return Err(wrong("few servers take other than ASCII characters".to_owned()));
    }
    Ok(mailbox)
}

#[async_trait]
impl Sink for Email {
    fn name(&self) -> &str {
        &self.name
    }

    fn portion(&self) -> Portion {
        let max_alerts = if self.digest.is_zero() { MAILS } else { DIGEST };
        Portion { max_alerts, linger: self.digest }
    }

    async fn send(&self, alerts: &[Alert]) -> Vec<Outcome> {
        let deadline = Instant::now() + self.patience * WAITS;
        let mut outcomes = vec![None; alerts.len()];
        let mut session = None;
        // What ended the connection would end the next one too.
        let mut lost: Option<Failure> = None;
        for plan in self.plan(alerts) {
            let members: Vec<&Alert> = plan.alerts.iter().filter_map(|at| alerts.get(*at)).collect();
            let outcome = if let Some(failure) = &lost {
                failure.outcome()
            } else {
                let sent = timeout_at(deadline, self.deliver(&mut session, &plan, &members)).await;
                let sent = sent.unwrap_or_else(|_| {
                    let reason = format!("not sent within {:?}", self.patience * WAITS);
                    Err(Failure::new(Kind::Broken, reason))
                });
                match sent {
                    Ok(results) => self.settle(&plan, &members, results),
                    Err(failure) => {
                        let outcome = failure.outcome();
                        if session.is_none() && failure.kind != Kind::Never {
                            lost = Some(failure);
                        }
                        outcome
                    }
                }
            };
            for at in plan.alerts {
                if let Some(place) = outcomes.get_mut(at) {
                    *place = Some(outcome.clone());
                }
            }
        }
        if let Some(session) = session {
            session.close().await;
        }
        let missing = || Outcome::Retry { reason: "not sent".to_owned(), after: None };
        outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(missing)).collect()
    }

    async fn probe(&self) -> Result<String, String> {
        let tried = async {
            let mut session = self.connect().await?;
            session.check().await?;
            let manner = session.manner.clone();
            session.close().await;
            Ok::<_, Failure>(manner)
        };
        let server = format!("{}:{}", self.server.host, self.server.port);
        let limit = self.patience * WAITS;
        match timeout(limit, tried).await {
            Ok(Ok(manner)) => Ok(format!("{server} answers: {manner}")),
            Ok(Err(failure)) => Err(failure.reason),
            Err(_) => Err(format!("{server} did not answer in {limit:?}")),
        }
    }
}
