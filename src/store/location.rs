//! The written form of a place: `az://container/prefix`, `file:///folder`. What people write instead is
//! answered with what to write.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where something is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A container of the storage account that the environment names, and a prefix inside (may be empty).
    Azure { container: String, prefix: String },
    /// A folder; made when it is opened.
    Folder(PathBuf),
}

/// Why a text names no location, and what to write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot use \"{text}\" as a storage location: {reason}")]
pub struct LocationError {
    pub text: String,
    pub reason: String,
}

impl Location {
    /// Reads `az://container/prefix` or `file:///folder`; the folder is taken as written, without `%`-escapes.
    pub fn parse(text: &str) -> Result<Location, LocationError> {
        let text = text.trim();
        parse(text).map_err(|reason| LocationError { text: without_query(text), reason })
    }
}

/// What stands behind a question mark may be a shared access signature.
fn without_query(text: &str) -> String {
    match text.split_once('?') {
        Some((before, _)) => format!("{before}?…"),
        None => text.to_owned(),
    }
}

fn parse(text: &str) -> Result<Location, String> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(match text {
            "" => "it is empty; write az://CONTAINER/PREFIX or file:///FOLDER".to_owned(),
            path if path.starts_with('/') => format!("write file://{path}"),
            _ => "write az://CONTAINER/PREFIX or file:///FOLDER (an absolute path)".to_owned(),
        });
    };
    match scheme.to_ascii_lowercase().as_str() {
        "az" => azure(rest),
        "file" => folder(rest),
        "http" | "https" => Err(instead_of_http(rest)),
        "abfs" | "abfss" | "wasb" | "wasbs" | "adl" => Err(instead_of_hadoop(rest)),
        "azure" => Err(format!("write az://{rest}")),
        "s3" | "s3a" | "gs" | "gcs" => {
            Err("only Azure storage and folders are supported; write az://CONTAINER/PREFIX or file:///FOLDER"
                .to_owned())
        }
        _ => Err(format!("\"{scheme}\" is not known here; write az://CONTAINER/PREFIX or file:///FOLDER")),
    }
}

fn azure(rest: &str) -> Result<Location, String> {
    let (container, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if container.is_empty() {
        return Err("the container is missing; write az://CONTAINER/PREFIX".to_owned());
    }
    if container.contains(['@', '.']) {
        return Err("the part behind az:// is the container alone; the account comes from \
             AZURE_STORAGE_ACCOUNT_NAME"
            .to_owned());
    }
    let letters = container.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let hyphens = container.starts_with('-') || container.ends_with('-') || container.contains("--");
    if !letters || hyphens || !(3..=63).contains(&container.len()) {
        return Err(format!(
            "\"{container}\" is no container name: 3 to 63 lower-case letters, digits and single hyphens"
        ));
    }
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    if !prefix.is_empty() && prefix.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err("the prefix has an empty part, or \".\" or \"..\"".to_owned());
    }
    if prefix.contains(['?', '#', '\\', '%', '*']) || prefix.chars().any(char::is_control) {
        return Err("the prefix may not hold ? # \\ % * or control characters".to_owned());
    }
    Ok(Location::Azure { container: container.to_owned(), prefix: prefix.to_owned() })
}

fn folder(rest: &str) -> Result<Location, String> {
    let path = rest.strip_prefix("localhost").unwrap_or(rest);
    if !path.starts_with('/') {
        return Err(format!("a folder is an absolute path behind three slashes: file:///{path}"));
    }
    if path.contains('\0') {
        return Err("a path holds no NUL".to_owned());
    }
    let trimmed = path.trim_end_matches('/');
    Ok(Location::Folder(PathBuf::from(if trimmed.is_empty() { "/" } else { trimmed })))
}

/// `https://account.blob.core.windows.net/container/prefix`
fn instead_of_http(rest: &str) -> String {
    let path = rest.split('?').next().unwrap_or(rest);
    match path.split_once('/') {
        Some((host, path)) if host.contains(".blob.") && !path.is_empty() => {
            let account = host.split('.').next().unwrap_or(host);
            format!("write az://{path} and set AZURE_STORAGE_ACCOUNT_NAME={account}")
        }
        _ => "write az://CONTAINER/PREFIX; the account comes from AZURE_STORAGE_ACCOUNT_NAME, its address, \
              if it is not the public cloud's, from AZURE_STORAGE_ENDPOINT"
            .to_owned(),
    }
}

/// `abfss://container@account.dfs.core.windows.net/prefix`
fn instead_of_hadoop(rest: &str) -> String {
    if let Some((container, behind)) = rest.split_once('@') {
        let (host, prefix) = behind.split_once('/').unwrap_or((behind, ""));
        let account = host.split('.').next().unwrap_or(host);
        let slash = if prefix.is_empty() { "" } else { "/" };
        return format!("write az://{container}{slash}{prefix} and set AZURE_STORAGE_ACCOUNT_NAME={account}");
    }
    "write az://CONTAINER/PREFIX; the account comes from AZURE_STORAGE_ACCOUNT_NAME".to_owned()
}

impl FromStr for Location {
    type Err = LocationError;
    fn from_str(text: &str) -> Result<Self, LocationError> {
        Self::parse(text)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Azure { container, prefix } if prefix.is_empty() => write!(f, "az://{container}"),
            Self::Azure { container, prefix } => write!(f, "az://{container}/{prefix}"),
            Self::Folder(path) => write!(f, "file://{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_ones_are_written_as_they_were_read() {
        for text in
            ["az://checkpoints", "az://audit-archive/v1", "az://abc/a/b=c", "file:///var/lib/x y", "file:///"]
        {
            assert_eq!(Location::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(
            Location::parse("az://abc/v1/").unwrap(),
            Location::Azure { container: "abc".into(), prefix: "v1".into() }
        );
        assert_eq!(Location::parse(" file:///a/b// ").unwrap(), Location::Folder("/a/b".into()));
        assert_eq!(Location::parse("FILE://localhost/a").unwrap(), Location::Folder("/a".into()));
    }

    #[test]
    fn others_are_told_what_to_write() {
        for (text, says) in [
            ("", "empty"),
            ("/var/lib", "write file:///var/lib"),
            ("archive", "absolute path"),
            ("file://archive", "file:///archive"),
            ("az://", "container is missing"),
            ("az://acct.blob.core.windows.net/c", "AZURE_STORAGE_ACCOUNT_NAME"),
            ("az://Upper", "lower-case"),
            ("az://ab", "3 to 63"),
            ("az://abc/../x", ".."),
            ("az://abc/a//b", "empty part"),
            (
                "https://acct.blob.core.windows.net/c1/v1?sig=SECRET",
                "write az://c1/v1 and set AZURE_STORAGE_ACCOUNT_NAME=acct",
            ),
            ("http://127.0.0.1:10000/devstoreaccount1", "AZURE_STORAGE_ENDPOINT"),
            (
                "abfss://c1@acct.dfs.core.windows.net/v1",
                "write az://c1/v1 and set AZURE_STORAGE_ACCOUNT_NAME=acct",
            ),
            ("s3://bucket/x", "only Azure storage"),
            ("ftp://x", "not known"),
        ] {
            let error = Location::parse(text).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
            assert!(!error.contains("SECRET"), "{error}");
        }
    }
}
