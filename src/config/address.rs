//! Addresses: which protocol, which host, and the rule that plaintext stays on this machine.

use std::net::IpAddr;
use std::path::PathBuf;

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
    let location = parse_location(text.text);
    match &location {
        Err(message) => doc.problem(text.place, format!("{}: {message}", text.key)),
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

fn parse_location(text: &str) -> Result<Location, String> {
    if let Some(path) = text.strip_prefix("file://") {
        if !path.starts_with('/') {
            return Err(format!("\"{text}\" has no whole path; write file:///FOLDER with three slashes"));
        }
        return Ok(Location::Folder(PathBuf::from(path)));
    }
    let Some(rest) = text.strip_prefix("az://") else {
        if text.starts_with('/') {
            return Err(format!("\"{text}\" has no protocol; write file://{text}"));
        }
        return Err(format!(
            "\"{text}\" is no place to store; write az://CONTAINER/PREFIX, the account named by {ACCOUNT}, or file:///FOLDER"
        ));
    };
    let (container, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let sound = (3..=63).contains(&container.len())
        && container.bytes().all(plain)
        && !container.starts_with('-')
        && !container.ends_with('-')
        && !container.contains("--");
    if !sound {
        return Err(format!(
            "\"{container}\" is no name of a container; those have 3 to 63 lower case letters, digits and single dashes"
        ));
    }
    if prefix.contains(['?', '#']) || prefix.split('/').any(|part| part == "..") {
        return Err(format!("\"{prefix}\" is no prefix; write names divided by slashes"));
    }
    Ok(Location::Azure { container: container.to_owned(), prefix: prefix.trim_matches('/').to_owned() })
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

    #[test]
    fn locations() {
        let azure = |container: &str, prefix: &str| Location::Azure {
            container: container.into(),
            prefix: prefix.into(),
        };
        assert_eq!(parse_location("az://audit/v1/x/"), Ok(azure("audit", "v1/x")));
        assert_eq!(parse_location("az://audit"), Ok(azure("audit", "")));
        assert_eq!(parse_location("file:///var/x"), Ok(Location::Folder("/var/x".into())));
        for wrong in
            ["az://", "az://A/x", "az://a-/x", "az://abc/../x", "file://x", "/var", "https://x/y", ""]
        {
            assert!(parse_location(wrong).is_err(), "{wrong}");
        }
    }
}
