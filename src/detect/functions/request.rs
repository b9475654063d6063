//! Functions over the request itself: its parameters, the command of an exec, who made it.

use std::borrow::Cow;

use super::FunctionDoc;
use super::function::{Definition, Parameter, text, unchecked};
use crate::event::json::Node;

/// Names and decoded values of a request's parameters; `+` is a blank.
fn parameters(uri: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    let query = uri.split_once('?').map_or("", |(_, query)| query);
    form_urlencoded::parse(query.as_bytes())
}

/// The command of an exec: WebSocket clients have it in the address only, others in both places.
fn exec_command(uri: Option<&str>, body: Option<&str>) -> Option<String> {
    let mut words: Vec<Cow<str>> = parameters(uri.unwrap_or_default())
        .filter(|(name, _)| name == "command")
        .map(|(_, value)| value)
        .collect();
    if words.is_empty() {
        words = Node::new(body?).get("command")?.items().filter_map(Node::text).collect();
    }
    (!words.is_empty()).then(|| words.join(" "))
}

/// Namespace and name of a service account's username.
fn service_account(username: &str) -> Option<(&str, &str)> {
    let (namespace, name) = username.strip_prefix("system:serviceaccount:")?.split_once(':')?;
    (!namespace.is_empty() && !name.is_empty() && !name.contains(':')).then_some((namespace, name))
}

pub(super) const FUNCTIONS: &[Definition] = &[
    Definition {
        doc: FunctionDoc {
            name: "exec_command",
            signature: "exec_command(request_uri, object)",
            returns: "text",
            doc: "command of an exec or attach, decoded and joined with spaces; either argument may be null",
        },
        parameters: &[Parameter::Text, Parameter::Text],
        returns: text,
        expensive: true,
        check: unchecked,
        run: |args| args.texts(|row| exec_command(args.text(0, row), args.text(1, row)).map(Cow::Owned)),
    },
    Definition {
        doc: FunctionDoc {
            name: "query_param",
            signature: "query_param(request_uri, 'name')",
            returns: "text",
            doc: "first value of a parameter of the request, decoded",
        },
        parameters: &[Parameter::Text, Parameter::Text],
        returns: text,
        expensive: false,
        check: unchecked,
        run: |args| {
            args.texts(|row| {
                let (uri, wanted) = (args.text(0, row)?, args.text(1, row)?);
                parameters(uri).find(|(name, _)| name == wanted).map(|(_, value)| value)
            })
        },
    },
    Definition {
        doc: FunctionDoc {
            name: "sa_namespace",
            signature: "sa_namespace(username)",
            returns: "text",
            doc: "namespace in a service account's username, else null",
        },
        parameters: &[Parameter::Text],
        returns: text,
        expensive: false,
        check: unchecked,
        run: |args| {
            args.texts(|row| service_account(args.text(0, row)?).map(|(namespace, _)| namespace.into()))
        },
    },
    Definition {
        doc: FunctionDoc {
            name: "sa_name",
            signature: "sa_name(username)",
            returns: "text",
            doc: "name in a service account's username, else null",
        },
        parameters: &[Parameter::Text],
        returns: text,
        expensive: false,
        check: unchecked,
        run: |args| args.texts(|row| service_account(args.text(0, row)?).map(|(_, name)| name.into())),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands() {
        let uri = "/api/v1/namespaces/a/pods/b/exec?command=sh&command=-c&container=x&command=cat+%2Fetc%2Fpasswd%3B%20id";
        assert_eq!(exec_command(Some(uri), None).as_deref(), Some("sh -c cat /etc/passwd; id"));
        let body = r#"{"kind":"PodExecOptions","command":["bash","-c","echo \"x\""]}"#;
        assert_eq!(exec_command(Some("/exec?stdin=true"), Some(body)).as_deref(), Some("bash -c echo \"x\""));
        assert_eq!(exec_command(None, Some(body)).as_deref(), Some("bash -c echo \"x\""));
        assert_eq!(exec_command(Some("/exec?command=%ff"), None).as_deref(), Some("\u{FFFD}"));
        for (uri, body) in [
            (None, None),
            (Some("/exec"), Some("[]")),
            (Some("?"), Some("no json")),
            (Some("/x"), Some("{\"command\":7}")),
        ] {
            assert_eq!(exec_command(uri, body), None);
        }
    }

    #[test]
    fn service_accounts() {
        assert_eq!(
            service_account("system:serviceaccount:kube-system:coredns"),
            Some(("kube-system", "coredns"))
        );
        for text in [
            "",
            "alice",
            "system:serviceaccount:a",
            "system:serviceaccount::b",
            "system:serviceaccount:a:",
            "system:serviceaccount:a:b:c",
        ] {
            assert_eq!(service_account(text), None, "{text}");
        }
    }
}
