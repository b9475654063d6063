//! What the sinks that speak HTTP share: a client with limits on every wait, answers with the time to wait
//! that they ask for, and reasons a person can act on. A URL may hold a secret, so that no reason has more
//! of it than the host, and what a server says is cleaned of secrets before it is quoted.

use std::error::Error;
use std::net::IpAddr;
use std::time::Duration;

use chrono::DateTime;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, StatusCode, Url};

/// How long a request may take.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    pub connect: Duration,
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), total: Duration::from_secs(30) }
    }
}

/// What a server answered.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    /// What `Retry-After` says.
    pub after: Option<Duration>,
    /// The beginning of the body.
    pub body: String,
}

/// A URL to send to: https, or http to this machine.
pub fn target(text: &str) -> Result<Url, String> {
    // The parser's own error has nothing of the text in it.
    let url = Url::parse(text).map_err(|error| format!("the URL cannot be read: {error}"))?;
    match url.scheme() {
        _ if url.host_str().is_none_or(str::is_empty) => Err("the URL names no host".to_owned()),
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => Err(format!(
            "plain http to {} would show everybody the alerts: use https (http is for loopback addresses only)",
            host(&url)
        )),
        other => Err(format!("\"{other}\" is no way to send alerts: use https")),
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Host and port, the part of a URL that may be shown.
pub fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// A client for `url`. Redirects are not followed: they would turn a POST into a GET that says 200.
pub fn client(url: &Url, timeouts: Timeouts) -> Result<Client, String> {
    let mut builder = Client::builder()
        .user_agent(concat!("aksentry/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(timeouts.connect)
        .timeout(timeouts.total)
        .redirect(reqwest::redirect::Policy::none());
    if is_loopback(url) {
        // A proxy would carry what is in plain text because it stays on this machine to another one.
        builder = builder.no_proxy();
    }
    builder.build().map_err(|error| format!("cannot make an HTTP client: {}", root(&error)))
}

/// How much of a body is read; messages are shorter, and a sink has no use for more.
const MAX_BODY: usize = 16 * 1024;

/// Sends and reads the answer; `now` is in microseconds, for a `Retry-After` that is a date. The error is
/// a reason to try again later: the connection, the name, TLS or the server's time.
pub async fn exchange(
    request: RequestBuilder,
    url: &Url,
    timeouts: Timeouts,
    now: i64,
) -> Result<Answer, String> {
    let mut response = request.send().await.map_err(|error| reason(&error.without_url(), url, timeouts))?;
    let status = response.status();
    let after = retry_after(response.headers(), now);
    // Read after a success as well, for the connection to be used again. An error while reading costs the
    // explanation, not the status.
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() >= MAX_BODY {
            body.truncate(MAX_BODY);
            break;
        }
    }
    Ok(Answer { status, after, body: String::from_utf8_lossy(&body).into_owned() })
}

/// Why there is no answer.
fn reason(error: &reqwest::Error, url: &Url, timeouts: Timeouts) -> String {
    let host = host(url);
    let cause = root(error);
    if error.is_timeout() && error.is_connect() {
        format!(
            "no connection to {host} within {} s: check firewall and proxy",
            timeouts.connect.as_secs_f32()
        )
    } else if error.is_timeout() {
        format!("no answer from {host} within {} s", timeouts.total.as_secs_f32())
    } else if causes(error).any(|cause| cause.to_string() == "dns error") {
        format!("the name {host} cannot be resolved: check it, and the DNS of this machine ({cause})")
    } else if causes(error).any(is_tls) {
        format!(
            "no trusted TLS connection to {host}: {cause}; SSL_CERT_FILE names a private authority to trust"
        )
    } else if error.is_connect() {
        format!("cannot connect to {host}: {cause}; check the address, and firewall and proxy on the way")
    } else {
        format!("the connection to {host} broke: {cause}")
    }
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |error| (*error).source())
}

fn root(error: &reqwest::Error) -> String {
    causes(error).last().map_or_else(|| error.to_string(), ToString::to_string)
}

/// An I/O error hides what it is made of, which may be another one, from its `source`.
fn is_tls(error: &(dyn Error + 'static)) -> bool {
    error.is::<rustls::Error>()
        || error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref)
            .is_some_and(|inside| is_tls(inside))
}

/// No server makes us wait longer: it may be wrong about the date.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

fn retry_after(headers: &HeaderMap, now: i64) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date = DateTime::parse_from_rfc2822(text).ok()?.timestamp_micros();
            Duration::from_micros(u64::try_from(date.saturating_sub(now)).unwrap_or(0))
        }
    };
    Some(wait.min(LONGEST_WAIT))
}

const LONGEST_QUOTE: usize = 200;

/// The first characters of what a server said, on one line, without secrets.
pub fn quote(text: &str, secrets: &[String]) -> String {
    let mut clean = text.to_owned();
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        clean = clean.replace(secret.as_str(), "***");
    }
    let words = clean.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let line = words.collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST_QUOTE) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None if line.is_empty() => "(it gave no reason)".to_owned(),
        None => line,
    }
}

/// A shorter piece of a URL is a word that anything may have, not a secret.
const SHORTEST_SECRET: usize = 8;

/// What of a URL must not be quoted, longest first. Servers like to repeat the path they do not know.
pub fn secrets_of(url: &Url) -> Vec<String> {
    let mut secrets = vec![url.as_str().to_owned()];
    let path = url.path();
    if let Some(query) = url.query() {
        secrets.push(format!("{path}?{query}"));
        secrets.push(query.to_owned());
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            secrets
                .extend([name, value].map(|part| part.into_owned()).into_iter().filter(|part| is_long(part)));
        }
        let parts = query.split(['&', '=']).map(str::to_owned);
        secrets.extend(parts.filter(|part| is_long(part)));
    }
    if path.len() > 1 {
        secrets.push(path.to_owned());
    }
    secrets.extend(path.split('/').map(str::to_owned).filter(|part| is_long(part)));
    secrets.extend(url.password().map(str::to_owned));
    secrets.retain(|secret| !secret.is_empty());
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    secrets.dedup();
    secrets
}

fn is_long(text: &str) -> bool {
    text.len() >= SHORTEST_SECRET
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(text: &str) -> HeaderMap {
        HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())])
    }

    #[test]
    fn the_wait_is_in_seconds_or_until_a_date_and_never_absurd() {
        let noon = 1_767_268_800_000_000; // 2026-01-01T12:00:00Z
        let wait = |text: &str| retry_after(&headers(text), noon);
        assert_eq!(wait("7"), Some(Duration::from_secs(7)));
        assert_eq!(wait(" 0 "), Some(Duration::ZERO));
        assert_eq!(wait("Thu, 01 Jan 2026 12:01:30 GMT"), Some(Duration::from_secs(90)));
        assert_eq!(wait("Thu, 01 Jan 2026 11:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("99999999"), Some(LONGEST_WAIT));
        assert_eq!(wait("Fri, 01 Jan 2100 12:00:00 GMT"), Some(LONGEST_WAIT));
        assert_eq!(wait("soon"), None);
        assert_eq!(wait("-3"), None);
        assert_eq!(retry_after(&HeaderMap::new(), noon), None);
    }

    #[test]
    fn plain_text_goes_to_this_machine_only() {
        for good in ["https://x.example/a", "http://127.0.0.1:1/", "http://[::1]:8/x", "http://localhost/"] {
            target(good).unwrap_or_else(|error| panic!("{good}: {error}"));
        }
        for (bad, why) in [
            ("http://hooks.example/TOPSECRETPATH", "use https"),
            ("http://127.0.0.1.example/TOPSECRETPATH", "use https"),
            ("ftp://hooks.example/TOPSECRETPATH", "use https"),
            ("TOPSECRETPATH", "cannot be read"),
            ("https://", "cannot be read"),
        ] {
            let error = target(bad).unwrap_err();
            assert!(error.contains(why) && !error.contains("TOPSECRET"), "{bad}: {error}");
        }
    }

    #[test]
    fn a_quote_has_neither_secrets_nor_lines() {
        let url =
            target("https://u:passw@hooks.example/services/T0/B1/abcdefghij?sig=0123456789&x=1").unwrap();
        let secrets = secrets_of(&url);
        let said =
            "Cannot POST /services/T0/B1/abcdefghij?sig=0123456789&x=1\n\tsig 0123456789, abcdefghij, passw";
        let quoted = quote(said, &secrets);
        for secret in ["abcdefghij", "0123456789", "passw", "T0/B1"] {
            assert!(!quoted.contains(secret), "{quoted}");
        }
        assert!(quoted.starts_with("Cannot POST ***"), "{quoted}");
        assert_eq!(quote(&"é\r\n".repeat(500), &[]).chars().count(), LONGEST_QUOTE + 1);
        assert_eq!(quote(" \n", &[]), "(it gave no reason)");
    }
}
