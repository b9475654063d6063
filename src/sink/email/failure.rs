//! What went wrong with a mail, and what that means for its alerts. A server's refusal of a mail or a
//! recipient is for ever; a refusal of *us* (sign-in, permission to send) is not: somebody will correct it,
//! and an expired secret must not throw alerts away. Reasons say what to do; the server's own words are
//! kept, shortened.

use std::error::Error as _;
use std::time::Duration;

use lettre::transport::smtp::Error;

use super::facts::clean;
use crate::sink::Outcome;

/// How long to wait where only a person can help.
pub const SLOW: Duration = Duration::from_secs(600);

/// What to make of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The connection is gone or was never there; a new one may do.
    Broken,
    /// The server says: not now.
    Later,
    /// Something must be changed first, here or at the server.
    Slow,
    /// The token was not taken; a new one may do.
    Token,
    /// Never.
    Never,
}

/// One failure, in words for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub kind: Kind,
    pub reason: String,
}

/// What was being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Connect,
    /// With a password.
    SignIn,
    /// With a token.
    Token,
    Sender,
    Recipient,
    Mail,
}

impl Failure {
    pub fn new(kind: Kind, reason: impl Into<String>) -> Self {
        Self { kind, reason: reason.into() }
    }

    /// What an error of lettre means at a stage, with `server` as people know it (`host:port`).
    pub fn of(error: &Error, stage: Stage, server: &str) -> Self {
        let words = words(error);
        let Some(code) = error.status() else {
            return Self::without_answer(error, &words, stage, server);
        };
        let answer = format!("{code} {words}");
        let code = u16::from(code);
        if let Some(hint) = refusal_of_us(code, &words, stage) {
            // An expired token is refused like any other: worth a new one.
            let kind = if stage == Stage::Token { Kind::Token } else { Kind::Slow };
            return Self::new(kind, format!("{server} refused us ({answer}): {hint}"));
        }
        let what = match stage {
            Stage::Connect => "the connection",
            Stage::SignIn | Stage::Token => "the sign-in",
            Stage::Sender => "the sender",
            Stage::Recipient => "the recipient",
            Stage::Mail => "the mail",
        };
        match code {
            // It closes the connection.
            421 => Self::new(Kind::Broken, format!("{server} is going away: {answer}")),
            // It does not know yet which mail we have.
            500..=599 if stage == Stage::Connect => Self::new(
                Kind::Slow,
                format!(
                    "{server} refused the connection ({answer}); ask its administrator to allow this machine"
                ),
            ),
            400..=499 => Self::new(Kind::Later, format!("{server} did not take {what} yet: {answer}")),
            _ => Self::new(Kind::Never, format!("{server} refused {what}: {answer}")),
        }
    }

    fn without_answer(error: &Error, words: &str, stage: Stage, server: &str) -> Self {
        // Exchange tells of a token that is not good (any more) by a challenge, which lettre does not expect.
        if stage == Stage::Token && error.is_client() && words.contains("does not expect a challenge") {
            return Self::new(Kind::Token, format!("{server} did not take the token: {TOKEN}"));
        }
        if words.contains("certificate") {
            return Self::new(
                Kind::Slow,
                format!("the certificate of {server} is not to be trusted ({words}): {}", certificate(words)),
            );
        }
        if stage == Stage::Connect && words.contains("InvalidContentType") {
            let hint = "it does not speak TLS at once; write smtp:// for STARTTLS";
            return Self::new(Kind::Broken, format!("no TLS with {server} ({words}): {hint}"));
        }
        let reason = match stage {
            Stage::Connect => {
                format!("cannot connect to {server}: {words}; check server, and the firewall on the way")
            }
            _ => format!("lost the connection to {server}: {words}"),
        };
        Self::new(Kind::Broken, reason)
    }

    /// What becomes of an alert whose mail failed like this.
    pub fn outcome(&self) -> Outcome {
        let reason = self.reason.clone();
        match self.kind {
            Kind::Never => Outcome::Refused { reason },
            Kind::Slow | Kind::Token => Outcome::Retry { reason, after: Some(SLOW) },
            Kind::Broken | Kind::Later => Outcome::Retry { reason, after: None },
        }
    }
}

const TOKEN: &str = "the application needs the permission SMTP.SendAsApp (with an administrator's consent), and its \
                     service principal in Exchange full access to the mailbox named as user";

/// What is to be done where it is not the mail that is refused but who sends it.
fn refusal_of_us(code: u16, words: &str, stage: Stage) -> Option<&'static str> {
    let has = |part: &str| words.to_ascii_lowercase().contains(part);
    if has("5.7.30") || has("5.7.139") || has("basic authentication is") {
        return Some(
            "it takes no passwords (basic authentication) for this mailbox: use auth kind \"xoauth2\", or have it \
             allowed by the tenant's administrator",
        );
    }
    if has("sendasdenied") || has("5.7.60") {
        return Some(
            "the user we sign in as may not send as \"from\": use its own address, or grant it Send As",
        );
    }
    if has("5.7.57") {
        return Some("it wants a sign-in: set auth to \"login\" or \"xoauth2\"");
    }
    match (code, stage) {
        (530, Stage::Sender | Stage::Recipient | Stage::Mail) => {
            Some("it wants a sign-in (or TLS) first: check auth and the scheme of server (smtp://, smtps://)")
        }
        (432 | 500..=599, Stage::Token) => Some(TOKEN),
        (432 | 500..=599, Stage::SignIn) | (534 | 535 | 538, _) => Some(
            "check user and password: an expired secret (of Azure Communication Services: the client secret of the \
             Entra application) is to be replaced, a user name to be exactly the service's",
        ),
        _ => None,
    }
}

fn certificate(words: &str) -> &'static str {
    // The other: an authority of the same name and another key, as after it was set up anew.
    if words.contains("UnknownIssuer") || words.contains("BadSignature") {
        "its authority is not known here; for a private one let SSL_CERT_FILE name a file that has it"
    } else if words.contains("not valid for name") || words.contains("NotValidForName") {
        "it is for another name; write in server the name that is in it"
    } else if words.to_ascii_lowercase().contains("expired") {
        "it has expired; have it renewed, and check the clock of this machine"
    } else if words.contains("No CA certificates") {
        "this system has no bundle of certificates; install ca-certificates or set SSL_CERT_FILE"
    } else {
        "have it corrected at the server"
    }
}

/// The innermost cause, where the words of the server or of the system are.
fn words(error: &Error) -> String {
    let mut cause = error.source();
    let mut text = cause.map_or_else(|| error.to_string(), ToString::to_string);
    while let Some(inner) = cause.and_then(std::error::Error::source) {
        text = inner.to_string();
        cause = Some(inner);
    }
    clean(text.trim(), 300)
}
