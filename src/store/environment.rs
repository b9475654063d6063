//! What the environment says about the storage account.

use std::fmt;
use std::net::IpAddr;

use crate::identity::Secret;

/// Account, key and endpoint; all three may be missing where only folders are used.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// `AZURE_STORAGE_ACCOUNT_NAME`
    pub account: Option<String>,
    /// `AZURE_STORAGE_ACCOUNT_KEY`; without it the identity of the pod or the machine is used.
    pub key: Option<Secret>,
    /// `AZURE_STORAGE_ENDPOINT`, where it is not the public cloud's: `https://x.blob.core.chinacloudapi.cn`,
    /// or Azurite's, with the account in its path.
    pub endpoint: Option<String>,
}

impl Environment {
    /// Reads the three variables; an empty one counts as missing.
    pub fn read() -> Self {
        Self {
            account: variable("AZURE_STORAGE_ACCOUNT_NAME"),
            key: variable("AZURE_STORAGE_ACCOUNT_KEY").map(Secret::new),
            endpoint: variable("AZURE_STORAGE_ENDPOINT"),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the contract names these variables, not configuration keys")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// Why an endpoint cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BadEndpoint {
    NotAUrl,
    Plaintext,
}

impl fmt::Display for BadEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAUrl => {
                "it is not a URL; write https://ACCOUNT.blob.core.windows.net, or http://127.0.0.1:10000/ACCOUNT for Azurite"
            }
            Self::Plaintext => "http is accepted for loopback addresses only; write https",
        })
    }
}

/// Whether the endpoint is plaintext, which it may be on loopback only.
pub(super) fn plaintext(endpoint: &str) -> Result<bool, BadEndpoint> {
    let url = reqwest::Url::parse(endpoint).map_err(|_| BadEndpoint::NotAUrl)?;
    let host = url.host_str().ok_or(BadEndpoint::NotAUrl)?;
    match url.scheme() {
        "https" => Ok(false),
        "http" => {
            let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
            let loopback = host == "localhost" || address.is_ok_and(|a| a.is_loopback());
            if loopback { Ok(true) } else { Err(BadEndpoint::Plaintext) }
        }
        _ => Err(BadEndpoint::NotAUrl),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plaintext_is_for_loopback() {
        assert_eq!(plaintext("http://127.0.0.1:10000/devstoreaccount1"), Ok(true));
        assert_eq!(plaintext("http://localhost:10000/devstoreaccount1"), Ok(true));
        assert_eq!(plaintext("http://[::1]:10000/devstoreaccount1"), Ok(true));
        assert_eq!(plaintext("https://x.blob.core.windows.net"), Ok(false));
        assert_eq!(plaintext("http://x.blob.core.windows.net"), Err(BadEndpoint::Plaintext));
        assert_eq!(plaintext("http://127.0.0.1.example.com"), Err(BadEndpoint::Plaintext));
        assert_eq!(plaintext("x.blob.core.windows.net"), Err(BadEndpoint::NotAUrl));
        assert_eq!(plaintext("ftp://127.0.0.1"), Err(BadEndpoint::NotAUrl));
    }
}
