//! Signing in: `auth = { kind = … }`, the same wherever Azure wants to know who we are.

use super::keys;
use super::reader::{Table, Text, unknown_word};
use crate::identity::Auth;
use crate::identity::Secret;

/// Who signs in; not every kind fits everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum For {
    EventHubs,
    Tokens,
}

/// Every kind with the keys it has beside `kind`.
const KINDS: [(&str, &[&str]); 7] = [
    ("auto", &[]),
    ("workload", &[]),
    ("managed", &["client_id"]),
    ("client-secret", &["tenant_id", "client_id", "env"]),
    ("cli", &[]),
    ("connection-string", &["env"]),
    ("token", &["env"]),
];

/// The `auth` of a table; `auto` where there is none.
pub(super) fn read(table: &Table, who: For) -> Auth {
    let Some(auth) = table.table("auth", &["auth"], "auth") else { return Auth::Auto };
    let kind = auth.required("kind");
    let fits = |name: &str| match who {
        For::EventHubs => name != "token",
        For::Tokens => name != "connection-string",
    };
    let Some((_, own)) = KINDS.iter().find(|(name, _)| *name == kind.text && fits(name)) else {
        let words: Vec<&str> = KINDS.iter().map(|(name, _)| *name).filter(|name| fits(name)).collect();
        if !kind.text.is_empty() {
            auth.doc.problem(kind.place, unknown_word("kind of auth", kind.text, &words));
        }
        return Auth::Auto;
    };
    foreign_keys(&auth, "auth", kind, own);
    match kind.text {
        "workload" => Auth::Workload,
        "managed" => Auth::Managed { client_id: auth.text("client_id").map(|id| id.text.to_owned()) },
        "client-secret" => client_secret(&auth),
        "cli" => Auth::Cli,
        "connection-string" => Auth::ConnectionString(secret(&auth, "env", "the connection string")),
        "token" => Auth::Token(secret(&auth, "env", "the token")),
        _ => Auth::Auto,
    }
}

/// Refuses keys that another kind has: they would be without effect.
pub(super) fn foreign_keys(auth: &Table, table: &str, kind: Text, own: &[&str]) {
    for key in keys::of(table).map(|key| key.name) {
        if key != "kind" && !own.contains(&key) && auth.has(key) {
            let message =
                format!("auth of kind \"{}\" does not use {key}; remove it, or use another kind", kind.text);
            auth.doc.problem(auth.place_of(key), message);
        }
    }
}

/// The secret in the variable that a required key names; an empty one beside a problem.
pub(super) fn secret(table: &Table, key: &'static str, what: &str) -> Secret {
    secret_of(table, table.required(key), what).unwrap_or_else(|| Secret::new(""))
}

/// [`secret`] of a key that was read already.
pub(super) fn secret_of(table: &Table, name: Text, what: &str) -> Option<Secret> {
    if name.text.is_empty() { None } else { table.doc.secret(name, what) }
}

fn client_secret(auth: &Table) -> Auth {
    let doc = auth.doc;
    let id = |key: &str, variable: &str| {
        let found = auth.text(key).map(|id| id.text.to_owned()).or_else(|| doc.variable(variable));
        found.unwrap_or_else(|| {
            if !auth.has(key) {
                doc.problem(auth.place, format!("auth of kind \"client-secret\" needs {key}; add it, or set the environment variable {variable}"));
            }
            String::new()
        })
    };
    let secret = match auth.text("env") {
        Some(name) => doc.secret(name, "the client secret"),
        None => {
            let found = doc.variable("AZURE_CLIENT_SECRET");
            if found.is_none() && !auth.has("env") {
                doc.problem(auth.place, "auth of kind \"client-secret\" needs the secret; set the environment variable AZURE_CLIENT_SECRET, or name another one with env");
            }
            found.map(Secret::new)
        }
    };
    Auth::ClientSecret {
        tenant_id: id("tenant_id", "AZURE_TENANT_ID"),
        client_id: id("client_id", "AZURE_CLIENT_ID"),
        secret: secret.unwrap_or_else(|| Secret::new("")),
    }
}
