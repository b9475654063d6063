//! Shared access signatures: whether a token was signed with the key of the hub, and still counts.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::identity::Secret;

const MICROS: i64 = 1_000_000;

/// Checks `SharedAccessSignature sr=…&sig=…&se=…&skn=…`; the error is the service's words for it.
pub(super) fn check(token: &str, name: &str, key: &Secret, now: i64) -> Result<(), &'static str> {
    const MALFORMED: &str = "MalformedToken: the token is no shared access signature.";
    let fields = token.strip_prefix("SharedAccessSignature ").ok_or(MALFORMED)?;
    let raw = |name: &str| {
        let field = fields.split('&').find_map(|field| field.split_once('=').filter(|(key, _)| *key == name));
        field.map(|(_, value)| value).ok_or(MALFORMED)
    };
    // The resource is signed as it is written, percent signs and all.
    let (resource, expiry) = (raw("sr")?, raw("se")?);
    let decoded = |name: &str| {
        let mut pairs = form_urlencoded::parse(fields.as_bytes());
        pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned()).ok_or(MALFORMED)
    };
    let signature = STANDARD.decode(decoded("sig")?).map_err(|_| MALFORMED)?;
    let expires: i64 = expiry.parse().map_err(|_| MALFORMED)?;

    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose().as_bytes()).map_err(|_| MALFORMED)?;
    mac.update(format!("{resource}\n{expiry}").as_bytes());
    if decoded("skn")? != name || mac.verify_slice(&signature).is_err() {
        return Err("InvalidSignature: The token has an invalid signature.");
    }
    if expires.saturating_mul(MICROS) <= now {
        return Err("ExpiredToken: The token is expired.");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(sr: &str, se: i64, sig: &str) -> String {
        let sig: String = form_urlencoded::byte_serialize(sig.as_bytes()).collect();
        format!("SharedAccessSignature sr={sr}&sig={sig}&se={se}&skn=root")
    }

    /// `printf 'amqps%%3a%%2f%%2fns%%2fh\n2000000000' | openssl dgst -sha256 -hmac key -binary | base64`
    const SIGNATURE: &str = "yI+5t2JCFZqfYGlJ3K2zXNuNUJYuHTsSQXzovkHh3vs=";

    #[test]
    fn only_the_key_opens_and_only_in_time() {
        let (sr, se) = ("amqps%3a%2f%2fns%2fh", 2_000_000_000);
        let key = Secret::new("key");
        let now = 1_999_999_999 * MICROS;
        let good = token(sr, se, SIGNATURE);
        assert_eq!(check(&good, "root", &key, now), Ok(()));
        assert!(check(&good, "root", &key, se * MICROS).unwrap_err().starts_with("ExpiredToken"));
        assert!(check(&good, "other", &key, now).unwrap_err().starts_with("InvalidSignature"));
        let wrong = Secret::new("wrong");
        assert!(check(&good, "root", &wrong, now).unwrap_err().starts_with("InvalidSignature"));
        let longer = token(sr, se + 1, SIGNATURE);
        assert!(check(&longer, "root", &key, now).unwrap_err().starts_with("InvalidSignature"));
        for text in
            ["", "eyJ0", "SharedAccessSignature sr=a", "SharedAccessSignature sr=a&sig=%ff&se=1&skn=root"]
        {
            assert!(check(text, "root", &key, now).unwrap_err().starts_with("MalformedToken"), "{text}");
        }
    }
}
