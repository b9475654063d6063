//! Addresses: which protocol, which host, and the rule that plaintext stays on this machine.

use std::net::IpAddr;

use reqwest::Url;

use super::reader::{Document, Place, Text};
use crate::store::Location;

/// Whether what is sent to a host stays on this machine: 127.0.0.0/8, `::1` or `localhost`.
pub(super) fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// What an address must be.
pub(super) struct Wanted<'a> {
    /// `endpoint`, or what the variable that holds the address is for.
    pub name: &'a str,
    pub secure: &'a [&'a str],
    pub plain: &'a [&'a str],
    /// Whether the address itself may be shown.
    pub shown: bool,
    /// Whether a path may follow the host.
    pub path: bool,
}

/// An address that was checked.
pub(super) struct Address {
    pub url: Url,
    pub scheme: String,
    pub host: String,
}

/// Reads an address; what is wrong with it is a problem at `place`.
pub(super) fn parse(doc: &Document, text: &str, place: Place, wanted: &Wanted) -> Option<Address> {
    let name = wanted.name;
    let shown = if wanted.shown { format!("{name} \"{text}\"") } else { name.to_owned() };
    let first = wanted.secure.first().copied().unwrap_or_default();
    let refuse = |message: String| {
        doc.problem(place, message);
        None
    };
    let Ok(url) = Url::parse(text) else {
        return refuse(format!("{shown} is no address; write {first}://HOST"));
    };
    let scheme = url.scheme().to_owned();
    let known = |list: &[&str]| list.contains(&scheme.as_str());
    let (secure, plain) = (known(wanted.secure), known(wanted.plain));
    // `contoso.com:5671` is an address of the protocol "contoso.com" to the parser.
    if !secure && !plain {
        let all: Vec<String> =
            wanted.secure.iter().chain(wanted.plain).map(|scheme| format!("{scheme}://")).collect();
        return refuse(format!("{shown} must begin with {}", all.join(" or ")));
    }
    let Some(host) = url.host_str().filter(|host| !host.is_empty()).map(str::to_owned) else {
        return refuse(format!("{shown} names no host; write {first}://HOST"));
    };
    if !url.username().is_empty() || url.password().is_some() {
        return refuse(format!(
            "{name} holds a user or password; take them out of the address and sign in with auth"
        ));
    }
    if plain && !secure && !is_loopback(&host) {
        return refuse(format!(
            "{shown} is plaintext and {} is not this machine, so anybody on the way could read and change what is sent; use {first}://, or a loopback address such as 127.0.0.1 for development",
            if wanted.shown { host.as_str() } else { "its host" },
        ));
    }
    let bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
    if !wanted.path && !bare {
        return refuse(format!("{name} must end behind its host and port; write {scheme}://{host}"));
    }
    Some(Address { url, scheme, host })
}

/// The variables that name the storage account.
pub const ACCOUNT: &str = "AZURE_STORAGE_ACCOUNT_NAME";
pub const ENDPOINT: &str = "AZURE_STORAGE_ENDPOINT";

/// Reads `az://CONTAINER/PREFIX` or `file:///FOLDER`.
pub(super) fn location(doc: &Document, text: Text) -> Option<Location> {
    let location = Location::parse(text.text);
    match &location {
        Err(error) => doc.problem(text.place, format!("{}: {error}", text.key)),
        Ok(Location::Folder(_)) => {}
        Ok(Location::Azure { .. }) => account(doc, text.place),
    }
    location.ok()
}

/// What `az://` needs of the environment.
fn account(doc: &Document, place: Place) {
    if doc.variable(ACCOUNT).is_none() {
        doc.problem(place, format!("environment variable {ACCOUNT} is not set; az:// needs it to hold the name of the storage account"));
    }
    if let Some(endpoint) = doc.variable(ENDPOINT) {
        let wanted = Wanted { name: ENDPOINT, secure: &["https"], plain: &["http"], shown: true, path: true };
        parse(doc, &endpoint, place, &wanted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_this_machine_only() {
        for host in ["127.0.0.1", "127.8.9.1", "::1", "[::1]", "localhost", "LOCALHOST"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["10.0.0.1", "0.0.0.0", "localhost.contoso.com", "127.0.0.1.nip.io", "[::2]", "", "127"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
