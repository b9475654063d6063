//! `[[sink]]`: where alerts go, one table each.

use std::str::FromStr;
use std::time::Duration;

use lettre::message::Mailbox;

use super::SinkConfig;
use super::address::{self, Wanted};
use super::auth::{self, For};
use super::reader::{Place, Table, Text, unknown_word};
use crate::alert::Severity;
use crate::identity::Secret;
use crate::sink::Config;
use crate::sink::MailAuth;
use crate::sink::MailServer;
use crate::sink::WebhookShape;

/// Every type with the tables whose keys it has.
const TYPES: [(&str, &[&str]); 4] = [
    ("sentinel", &["sink", "sink.sentinel"]),
    ("email", &["sink", "sink.email"]),
    ("webhook", &["sink", "sink.webhook"]),
    ("file", &["sink", "sink.file"]),
];

/// All sinks that could be read.
pub(super) fn read(root: &Table) -> Vec<SinkConfig> {
    let Some(value) = root.get("sink") else { return Vec::new() };
    let Some(list) = value.get_ref().as_array() else {
        root.doc.problem(
            root.place_of("sink"),
            "sinks are a list; write [[sink]] with two brackets, once for each sink",
        );
        return Vec::new();
    };
    let mut sinks: Vec<(SinkConfig, Place)> = Vec::new();
    for item in list.iter() {
        let place = root.doc.place(item.span().start);
        let Some(table) = item.get_ref().as_table() else {
            root.doc.problem(place, "a sink is a table; write [[sink]] and its keys below");
            continue;
        };
        let table = Table::new(root.doc, table, &["sink"], "[[sink]]", place);
        let Some(kind) = kind(table) else { continue };
        let name = kind.name(&sinks);
        let min_severity = kind.table.parsed("min_severity").unwrap_or(Severity::Informational);
        if let Some(sink) = kind.config() {
            sinks.push((SinkConfig { name, min_severity, kind: sink }, kind.table.place));
        }
    }
    sinks.into_iter().map(|(sink, _)| sink).collect()
}

/// A sink's table whose type is known.
struct Typed<'a> {
    table: Table<'a>,
    kind: &'static str,
}

fn kind(mut table: Table) -> Option<Typed> {
    let text = table.required("type");
    let Some((kind, names)) = TYPES.iter().find(|(name, _)| *name == text.text) else {
        let words: Vec<&str> = TYPES.iter().map(|(name, _)| *name).collect();
        if !text.text.is_empty() {
            table.doc.problem(text.place, unknown_word("type of sink", text.text, &words));
        }
        return None;
    };
    table.names = names.to_vec();
    table.shown = format!("a sink of type \"{kind}\"");
    Some(Typed { table: table.known(), kind })
}

impl Typed<'_> {
    /// The sink's name; two of one name would share what waits in the outbox.
    fn name(&self, earlier: &[(SinkConfig, Place)]) -> String {
        let taken = |name: &str| earlier.iter().find(|(sink, _)| sink.name == name);
        let Some(text) = self.table.text("name") else {
            let further = (2..).map(|n| format!("{}-{n}", self.kind));
            let mut names = std::iter::once(self.kind.to_owned()).chain(further);
            return names.find(|name| taken(name).is_none()).unwrap_or_default();
        };
        let sound = text.text.len() <= 40
            && text.text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !sound {
            self.table.wrong("name", text.place, "at most 40 lower case letters, digits and dashes");
        }
        if let Some((_, (line, _))) = taken(text.text) {
            let message =
                format!("name \"{}\" is that of the sink in line {line}; give this one another", text.text);
            self.table.doc.problem(text.place, message);
        }
        text.text.to_owned()
    }

    /// What the type needs; `None` beside a problem.
    fn config(&self) -> Option<Config> {
        match self.kind {
            "sentinel" => self.sentinel(),
            "email" => self.email(),
            "webhook" => self.webhook(),
            _ => self.file(),
        }
    }

    fn sentinel(&self) -> Option<Config> {
        let table = &self.table;
        let endpoint = table.required("endpoint");
        let wanted =
            Wanted { name: "endpoint", secure: &["https"], plain: &["http"], shown: true, path: false };
        let address = (!endpoint.text.is_empty())
            .then(|| address::parse(table.doc, endpoint.text, endpoint.place, &wanted));
        let rule_id = table.required("rule_id");
        if !rule_id.text.is_empty() && !is_rule_id(rule_id.text) {
            table.doc.problem(rule_id.place, format!("rule_id \"{}\" is no immutable id of a data collection rule, which is dcr- and 32 hexadecimal digits; `az monitor data-collection rule show` prints it as immutableId", rule_id.text));
        }
        let stream = table.required("stream");
        if !stream.text.is_empty() && !is_stream(stream.text) {
            table.doc.problem(stream.place, format!("stream \"{}\" is no stream of a data collection rule; write it as the rule declares it, such as \"Custom-AksentryAlerts\"", stream.text));
        }
        let auth = auth::read(table, For::Tokens);
        address??;
        Some(Config::Sentinel {
            endpoint: endpoint.text.trim_end_matches('/').to_owned(),
            rule_id: rule_id.text.to_owned(),
            stream: stream.text.to_owned(),
            auth,
        })
    }

    fn email(&self) -> Option<Config> {
        let table = &self.table;
        let server = self.mail_server(table.required("server"));
        let auth = self.mail_auth();
        let from = table.required("from");
        self.mailbox(from);
        let to = table.required_texts("to", "a list of mail addresses");
        to.iter().for_each(|to| self.mailbox(*to));
        Some(Config::Email {
            server: server?,
            auth,
            from: from.text.to_owned(),
            to: to.iter().map(|to| to.text.to_owned()).collect(),
            digest: table.duration("digest", "0s", "1d").unwrap_or(Duration::ZERO),
        })
    }

    fn mailbox(&self, text: Text) {
        let is_address = Mailbox::from_str(text.text).is_ok_and(|mailbox| !mailbox.email.domain().is_empty());
        if !is_address && text.place != self.table.place {
            let message = format!(
                "{} \"{}\" is no mail address; write one such as soc@contoso.com",
                text.key, text.text
            );
            self.table.doc.problem(text.place, message);
        }
    }

    /// Sign-in and alerts go over TLS, with STARTTLS or from the first byte: both protocols are fine
    /// for any host, and what loopback may do without is the sink's to decide.
    fn mail_server(&self, text: Text) -> Option<MailServer> {
        if text.text.is_empty() {
            return None;
        }
        let wanted =
            Wanted { name: "server", secure: &["smtp", "smtps"], plain: &[], shown: true, path: false };
        let address = address::parse(self.table.doc, text.text, text.place, &wanted)?;
        let implicit_tls = address.scheme == "smtps";
        Some(MailServer {
            host: address.host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: address.url.port().unwrap_or(if implicit_tls { 465 } else { 587 }),
            implicit_tls,
        })
    }

    fn mail_auth(&self) -> MailAuth {
        let Some(auth) = self.table.table("auth", &["sink.email.auth"], "auth of a sink of type \"email\"")
        else {
            return MailAuth::None;
        };
        let kind = auth.required("kind");
        let own: &[&str] = match kind.text {
            "none" | "" => &[],
            "login" => &["user", "password_env"],
            "xoauth2" => &["user", "auth", "scope"],
            other => {
                let message = unknown_word("kind of auth", other, &["login", "xoauth2", "none"]);
                auth.doc.problem(kind.place, message);
                return MailAuth::None;
            }
        };
        auth::foreign_keys(&auth, "sink.email.auth", kind, own);
        let user = || auth.required("user").text.to_owned();
        match kind.text {
            "login" => MailAuth::Login {
                user: user(),
                password: auth::secret(&auth, "password_env", "the password"),
            },
            "xoauth2" => MailAuth::XOAuth2 {
                user: user(),
                auth: auth::read(&auth, For::Tokens),
                scope: auth.text("scope").map(|scope| scope.text.to_owned()),
            },
            _ => MailAuth::None,
        }
    }

    fn webhook(&self) -> Option<Config> {
        let table = &self.table;
        let shape = table.one_of(
            "shape",
            &[
                ("generic", WebhookShape::Generic),
                ("teams", WebhookShape::Teams),
                ("slack", WebhookShape::Slack),
            ],
        );
        let hmac = table.text("hmac_env").and_then(|name| table.doc.secret(name, "the key of the signature"));
        // Who wrote `url` has been told of `url_env` already.
        if !table.has("url_env") && table.has("url") {
            return None;
        }
        let name = table.required("url_env");
        let url: Secret = auth::secret_of(table, name, "the address of the webhook")?;
        let wanted = Wanted {
            name: &format!("the address in {}", name.text),
            secure: &["https"],
            plain: &["http"],
            shown: false,
            path: true,
        };
        address::parse(table.doc, url.expose(), name.place, &wanted)?;
        Some(Config::Webhook { url, shape: shape.unwrap_or_default(), hmac })
    }

    fn file(&self) -> Option<Config> {
        let path = self.table.required("path").text;
        (!path.is_empty()).then(|| Config::File { path: path.into() })
    }
}

fn is_rule_id(text: &str) -> bool {
    let Some(digits) = text.strip_prefix("dcr-") else { return false };
    digits.len() == 32 && digits.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase())
}

fn is_stream(text: &str) -> bool {
    let name = text.strip_prefix("Custom-").or_else(|| text.strip_prefix("Microsoft-"));
    name.is_some_and(|name| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
    })
}
