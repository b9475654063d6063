//! What went wrong while signing in and what to do about it. Entra ID answers with a code and a paragraph;
//! the code is what tells a newcomer what to change. Secrets and tokens never get in: only the first line
//! of the service's own text is kept, with the secret we sent blotted out.

use std::error::Error as _;

use azure_core::error::ErrorKind;

use super::Secret;

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    #[error("sign-in by {kind}: the environment has no {variable}; {hint}")]
    Missing { kind: &'static str, variable: &'static str, hint: &'static str },
    #[error("sign-in: {0}")]
    Nothing(String),
    #[error("sign-in by {kind}: {detail}")]
    Configuration { kind: &'static str, detail: String },
    /// The service said no; asking again changes nothing until somebody changes something.
    #[error("sign-in by {kind} was refused: {hint} ({detail})")]
    Refused { kind: &'static str, hint: &'static str, detail: String },
    /// No answer, or not now.
    #[error("sign-in by {kind}: the identity service cannot be used just now: {detail}")]
    Unavailable { kind: &'static str, detail: String },
}

impl IdentityError {
    /// Whether asking again can help without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

/// Code of Entra ID and what to do about it.
const CODES: &[(&str, &str)] = &[
    ("AADSTS7000222", "the client secret has expired: create a new one and give that to aksentry"),
    (
        "AADSTS7000215",
        "the client secret is wrong: give its value, not its id, and make sure that it belongs to this client id",
    ),
    ("AADSTS700016", "no application has this client id in this tenant: check client id and tenant id"),
    ("AADSTS90002", "there is no such tenant: check the tenant id and AZURE_AUTHORITY_HOST"),
    ("AADSTS900023", "the tenant id is not one: check it"),
    (
        "AADSTS700212",
        "the token's audience does not fit the federated credential: it must be api://AzureADTokenExchange",
    ),
    (
        "AADSTS700213",
        "no federated credential of the identity has this pod's subject: it must read \
         system:serviceaccount:NAMESPACE:SERVICE-ACCOUNT",
    ),
    (
        "AADSTS70021",
        "no federated credential of the identity fits this pod: check its issuer (of the cluster) and its \
         subject (system:serviceaccount:NAMESPACE:SERVICE-ACCOUNT)",
    ),
    (
        "AADSTS700211",
        "no federated credential of the identity has this issuer: it must be the cluster's OIDC issuer",
    ),
    ("AADSTS700024", "the token is not valid at this time: check the clock of the node"),
    ("AADSTS50034", "there is no such account in this tenant"),
    ("AADSTS53003", "a Conditional Access policy forbids this sign-in: ask its owner for an exception"),
    ("AADSTS500011", "the service to sign in to is not known in this tenant: check tenant and cloud"),
    ("az login", "the Azure command line is not signed in: run `az login`"),
    ("Identity not found", "this machine has no such managed identity: assign one, or correct its client id"),
];

/// Codes by which Entra ID asks to be asked again.
const BUSY: [&str; 3] = ["AADSTS90033", "AADSTS90024", "AADSTS90025"];

const LONGEST_DETAIL: usize = 300;

/// The error of a credential of the SDK in our words.
pub fn explain(kind: &'static str, error: &azure_core::Error, sent: Option<&Secret>) -> IdentityError {
    let text = chain(error);
    let detail = short(&text, sent);
    // The longest code that fits: AADSTS700212 also begins like AADSTS70021.
    let known = CODES.iter().filter(|(code, _)| text.contains(code)).max_by_key(|(code, _)| code.len());
    if let Some((_, hint)) = known {
        return IdentityError::Refused { kind, hint, detail };
    }
    if BUSY.iter().any(|code| text.contains(code)) {
        return IdentityError::Unavailable { kind, detail };
    }
    if text.contains("AADSTS") || matches!(status(error), Some(400..=403)) {
        let hint = "look the code up at https://login.microsoftonline.com/error";
        return IdentityError::Refused { kind, hint, detail };
    }
    if kind == super::credential::CLI && (text.contains("not found") || text.contains("No such file")) {
        let hint =
            "the Azure command line is not installed here: install it, or choose another kind of sign-in";
        return IdentityError::Refused { kind, hint, detail };
    }
    IdentityError::Unavailable { kind, detail }
}

/// The messages of an error and of what caused it, one after another, without repeats.
fn chain(error: &azure_core::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}

fn status(error: &azure_core::Error) -> Option<u16> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<azure_core::Error>()
            && let ErrorKind::HttpResponse { status, .. } = error.kind()
        {
            return Some((*status).into());
        }
        cause = error.source();
    }
    None
}

fn short(text: &str, sent: Option<&Secret>) -> String {
    let text = match sent {
        Some(secret) if !secret.expose().is_empty() => text.replace(secret.expose(), "***"),
        _ => text.to_owned(),
    };
    // The code and its sentence, without what Entra ID adds for its own support. The SDK cannot read an
    // answer with escapes in it and quotes it instead, so the end of the line may be an escape.
    let text = text.find("AADSTS").map_or(text.as_str(), |at| &text[at..]);
    let end = ["\n", "\r", "\\n", "\\r"].iter().filter_map(|end| text.find(end)).min();
    let line = text[..end.unwrap_or(text.len())].trim();
    match line.char_indices().nth(LONGEST_DETAIL) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}
