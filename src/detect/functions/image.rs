//! Functions over image references, by the grammar of `docker pull`.

use std::borrow::Cow;

use super::FunctionDoc;
use super::function::{Args, Definition, Parameter, text, unchecked};

/// A reference in its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Image<'a> {
    registry: Cow<'a, str>,
    repository: Cow<'a, str>,
    tag: Option<&'a str>,
    digest: Option<&'a str>,
}

const HUB: &str = "docker.io";

impl<'a> Image<'a> {
    /// `None` for text that is no reference.
    fn parse(reference: &'a str) -> Option<Image<'a>> {
        let (name, digest) = match reference.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (reference, None),
        };
        // A colon before the last slash belongs to the registry's port.
        let (name, tag) = match name.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (name, None),
        };
        let (registry, path) = match name.split_once('/') {
            Some((first, rest)) if is_registry(first) => (first, rest),
            _ => (HUB, name),
        };
        let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, ':' | '@' | '?' | '#' | '\\');
        let sound = |part: &str| !part.is_empty() && !part.contains(odd);
        if !path.split('/').all(sound)
            || !tag.is_none_or(sound)
            || !digest.is_none_or(|digest| {
                digest.split_once(':').is_some_and(|(kind, hex)| sound(kind) && sound(hex))
            })
        {
            return None;
        }
        let registry = match registry.to_ascii_lowercase().as_str() {
            HUB | "index.docker.io" => Cow::Borrowed(HUB),
            lower if lower == registry => Cow::Borrowed(registry),
            lower => Cow::Owned(lower.to_string()),
        };
        let repository = if registry == HUB && !path.contains('/') {
            Cow::Owned(format!("library/{path}"))
        } else {
            Cow::Borrowed(path)
        };
        Some(Image { registry, repository, tag, digest })
    }
}

/// Whether the first part of a name is a registry and not the first folder of a repository.
fn is_registry(part: &str) -> bool {
    part.contains(['.', ':']) || part == "localhost" || part.bytes().any(|b| b.is_ascii_uppercase())
}

fn image(args: &Args, row: usize) -> Option<Image<'_>> {
    Image::parse(args.text(0, row)?)
}

pub(super) const FUNCTIONS: &[Definition] = &[
    Definition {
        doc: FunctionDoc {
            name: "image_registry",
            signature: "image_registry(image)",
            returns: "text",
            doc: "registry of an image reference, lower case; `docker.io` where none is named",
        },
        parameters: &[Parameter::Text],
        returns: text,
        expensive: false,
        check: unchecked,
        run: |args| args.texts(|row| Some(image(args, row)?.registry)),
    },
    Definition {
        doc: FunctionDoc {
            name: "image_repository",
            signature: "image_repository(image)",
            returns: "text",
            doc: "repository of an image reference; `library/nginx` for `nginx`",
        },
        parameters: &[Parameter::Text],
        returns: text,
        expensive: false,
        check: unchecked,
        run: |args| args.texts(|row| Some(image(args, row)?.repository)),
    },
    Definition {
        doc: FunctionDoc {
            name: "image_tag",
            signature: "image_tag(image)",
            returns: "text",
            doc: "tag of an image reference, null where there is none",
        },
        parameters: &[Parameter::Text],
        returns: text,
        expensive: false,
        check: unchecked,
        run: |args| args.texts(|row| image(args, row)?.tag.map(Cow::Borrowed)),
    },
    Definition {
        doc: FunctionDoc {
            name: "image_digest",
            signature: "image_digest(image)",
            returns: "text",
            doc: "digest of an image reference such as `sha256:…`, null where there is none",
        },
        parameters: &[Parameter::Text],
        returns: text,
        expensive: false,
        check: unchecked,
        run: |args| args.texts(|row| image(args, row)?.digest.map(Cow::Borrowed)),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references() {
        for (reference, registry, repository, tag, digest) in [
            ("nginx", "docker.io", "library/nginx", None, None),
            ("nginx:1.27", "docker.io", "library/nginx", Some("1.27"), None),
            ("docker.io/nginx", "docker.io", "library/nginx", None, None),
            ("index.docker.io/a/b", "docker.io", "a/b", None, None),
            ("alpine/git", "docker.io", "alpine/git", None, None),
            ("MyRegistry/app", "myregistry", "app", None, None),
            (
                "mcr.microsoft.com/oss/kubernetes/pause:3.6",
                "mcr.microsoft.com",
                "oss/kubernetes/pause",
                Some("3.6"),
                None,
            ),
            ("localhost:5000/a/b:tag@sha256:0123", "localhost:5000", "a/b", Some("tag"), Some("sha256:0123")),
            ("localhost/a", "localhost", "a", None, None),
            ("r.example.com:443/a@sha256:ff", "r.example.com:443", "a", None, Some("sha256:ff")),
            ("[2001:db8::1]:5000/a", "[2001:db8::1]:5000", "a", None, None),
        ] {
            let expected = Image { registry: registry.into(), repository: repository.into(), tag, digest };
            assert_eq!(Image::parse(reference), Some(expected), "{reference}");
        }
    }

    #[test]
    fn what_is_no_reference() {
        for text in
            ["", " ", "a b", "a//b", "/a", "a/", "a:", "a@", "a@sha256", "a@sha256:", "https://x/y", "a\nb"]
        {
            assert_eq!(Image::parse(text), None, "{text:?}");
        }
    }
}
