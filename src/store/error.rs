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
    let line: String = plain(&line).unwrap_or(line).chars().take(400).collect();
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

/// `http://host:1: Connection refused` of `… Error performing GET http://host:1/a/b?c in 1s, after 4 retries,
/// … - HTTP error: error sending request: client error (Connect): Connection refused`.
fn plain(line: &str) -> Option<String> {
    let (_, request) = line.rsplit_once("Error performing ")?;
    let (request, what) = request.split_once(" - ")?;
    let url = reqwest::Url::parse(request.split(' ').nth(1)?).ok()?;
    let what = ["HTTP error: ", "error sending request: ", "client error (Connect): "]
        .iter()
        .fold(what, |what, prefix| what.strip_prefix(prefix).unwrap_or(what));
    Some(format!("{}: {what}", url.origin().ascii_serialization()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str) -> Answer {
        Answer::read(&object_store::Error::Generic { store: "MicrosoftAzure", source: text.into() })
    }

    #[test]
    fn a_failed_connection_is_one_short_line() {
        let refused = answer(
            "Error performing list request: Error performing GET http://127.0.0.1:1/acct/c?comp=list in 1.5s, \
             after 4 retries, max_retries: 4, retry_timeout: 60s - HTTP error: error sending request: client \
             error (Connect): tcp connect error: Connection refused (os error 111)",
        );
        assert_eq!(
            refused.reason,
            "http://127.0.0.1:1: tcp connect error: Connection refused (os error 111); nothing listens there: \
             check AZURE_STORAGE_ENDPOINT"
        );
        assert_eq!((refused.code, refused.status, refused.token), (None, None, false));
        let unknown = answer("invalid peer certificate: UnknownIssuer");
        assert!(unknown.reason.contains("SSL_CERT_FILE"), "{}", unknown.reason);
    }

    #[test]
    fn of_an_answer_only_code_and_message_are_shown() {
        let refused = answer(
            "Error performing PUT http://x/c/k in 1s - Server returned non-2xx status code: 403 Forbidden: \
             <?xml version=\"1.0\"?><Error><Code>AuthenticationFailed</Code><Message>Server failed to \
             authenticate the request.\nRequestId:1</Message><AuthenticationErrorDetail>The MAC signature \
             SIGNATURE is wrong</AuthenticationErrorDetail></Error>",
        );
        assert_eq!(refused.reason, "403 AuthenticationFailed: Server failed to authenticate the request.");
        assert_eq!((refused.code.as_deref(), refused.status), (Some("AuthenticationFailed"), Some(403)));
    }

    #[test]
    fn a_token_that_was_not_got_is_told_apart() {
        let none = answer(
            "Error performing token request: Error performing GET http://169.254.169.254/metadata?x in 8ms - \
             Server returned non-2xx status code: 400 Bad Request: Identity not found",
        );
        assert!(none.token);
        assert!(none.reason.starts_with("http://169.254.169.254: Server"), "{}", none.reason);
    }
}
