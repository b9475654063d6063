//! What can go wrong with a store, in words that say what to do. Bodies of HTTP answers are not shown:
//! only their code and the first line of their message.

use std::error::Error;
use std::fmt::Display;

/// An operation that did not take place, or (after a timeout) of which that is not known.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(
        "cannot {operation} {object}: the container \"{container}\" of storage account \"{account}\" does not exist; create it: az storage container create --name {container} --account-name {account} --auth-mode login"
    )]
    NoContainer { operation: &'static str, object: String, container: String, account: String },
    #[error(
        "cannot {operation} {object}: storage account \"{account}\" refuses it ({reason}); give the identity the role Storage Blob Data Contributor on the container \"{container}\" (a new assignment takes some minutes to work)"
    )]
    Forbidden { operation: &'static str, object: String, container: String, account: String, reason: String },
    #[error(
        "cannot {operation} {object}: storage account \"{account}\" does not accept the sign-in ({reason}); check AZURE_STORAGE_ACCOUNT_KEY and the clock of this machine, or remove the key to use a workload or managed identity"
    )]
    SignIn { operation: &'static str, object: String, account: String, reason: String },
    #[error(
        "cannot {operation} {object}: got no token for storage account \"{account}\" ({reason}); set AZURE_STORAGE_ACCOUNT_KEY, or run with a workload or managed identity (AZURE_CLIENT_ID, AZURE_TENANT_ID, AZURE_FEDERATED_TOKEN_FILE)"
    )]
    Token { operation: &'static str, object: String, account: String, reason: String },
    #[error(
        "cannot {operation} {object}: storage account \"{account}\" does not let this address in ({reason}); allow it in the account's network rules, or use a private endpoint"
    )]
    Network { operation: &'static str, object: String, account: String, reason: String },
    #[error("cannot {operation} {object}: {reason}")]
    Failed { operation: &'static str, object: String, reason: String },
}

impl StoreError {
    /// An error without advice of its own.
    pub(super) fn failed(operation: &'static str, object: impl Display, reason: impl Display) -> Self {
        Self::Failed { operation, object: object.to_string(), reason: reason.to_string() }
    }
}

/// What an answer of the blob service says.
pub(super) struct Answer {
    /// `AuthorizationPermissionMismatch`, where the answer has a code.
    pub code: Option<String>,
    /// 403
    pub status: Option<u16>,
    /// One line for people.
    pub reason: String,
    /// No answer of the blob service at all: the token could not be got.
    pub token: bool,
}

impl Answer {
    pub fn read(error: &object_store::Error) -> Self {
        let text = chain(error);
        let code = between(&text, "<Code>", "</Code>").map(str::to_owned);
        let message = between(&text, "<Message>", "</Message>").and_then(|m| m.lines().next());
        let status = text.split_once("status code: ").and_then(|(_, rest)| rest.get(..3)?.parse().ok());
        let token = text.contains("token request")
            || text.contains("token response")
            || text.contains("federated token file")
            || text.contains("az account get-access-token");
        let reason = match (&code, message, status) {
            (Some(code), Some(message), Some(status)) => format!("{status} {code}: {message}"),
            (Some(code), _, _) => code.clone(),
            (None, _, Some(status)) if !token => format!("status {status}"),
            _ => readable(&text),
        };
        Self { code, status, reason, token }
    }
}

/// An error and what is behind it, each said once.
fn chain(error: &object_store::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let part = error.to_string();
        if !text.contains(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        source = error.source();
    }
    text
}

fn between<'a>(text: &'a str, begin: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(begin)?;
    rest.split_once(end).map(|(inside, _)| inside.trim())
}

/// A connection that failed, in one line and with the advice its kind has.
fn readable(text: &str) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let line: String = line.chars().take(400).collect();
    let lower = line.to_ascii_lowercase();
    let advice = if lower.contains("unknownissuer") || lower.contains("certificate") {
        "; if a private authority signs here, name its certificate in SSL_CERT_FILE, and see that the CA bundle is installed"
    } else if lower.contains("dns error") || lower.contains("failed to lookup") {
        "; check AZURE_STORAGE_ACCOUNT_NAME, AZURE_STORAGE_ENDPOINT and the name server"
    } else if lower.contains("connection refused") {
        "; nothing listens there: check AZURE_STORAGE_ENDPOINT"
    } else {
        ""
    };
    format!("{line}{advice}")
}
