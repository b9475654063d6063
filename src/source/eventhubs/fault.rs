//! What the SDK's errors mean to us. Its error types that name AMQP conditions are not public in the
//! versions used, so their text is read; it is made from the conditions' names and the service's words.

use std::error::Error;

use azure_messaging_eventhubs::EventHubsError;

use super::Config;
use crate::identity::IdentityError;

/// Why a connection is of no use any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// Somebody else reads the partition now.
    Stolen(String),
    /// The service does not take our token, or we have no right.
    Unauthorized(String),
    /// Trying again changes nothing until somebody changes something; says what.
    Refused(String),
    /// Worth another attempt.
    Passing(String),
}

impl Fault {
    pub(super) fn timeout(what: &str, after: std::time::Duration) -> Self {
        Self::Passing(format!("{what}: no answer in {after:?}"))
    }

    pub(super) fn text(&self) -> &str {
        match self {
            Self::Stolen(text) | Self::Unauthorized(text) | Self::Refused(text) | Self::Passing(text) => text,
        }
    }

    /// Whether somebody has to change something.
    pub(super) fn is_permanent(&self) -> bool {
        matches!(self, Self::Unauthorized(_) | Self::Refused(_))
    }

    /// The meaning of an error; `who` is how we signed in.
    pub(super) fn of(error: &EventHubsError, config: &Config, who: &str) -> Self {
        let causes = causes(error);
        if let Some(identity) = causes.iter().find_map(|cause| cause.downcast_ref::<IdentityError>()) {
            let text = identity.to_string();
            return if identity.is_transient() { Self::Passing(text) } else { Self::Refused(text) };
        }
        let text = causes.iter().map(ToString::to_string).collect::<Vec<_>>().join(": ");
        Self::read(&text, &root(&causes), config, who)
    }

    /// `text` is all that is known, `root` what to show of it.
    fn read(text: &str, root: &str, config: &Config, who: &str) -> Self {
        let Config { namespace, hub, consumer_group: group, .. } = config;
        let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
        if has(&["Consumer disconnected by broker", "LinkStolen"]) {
            return Self::Stolen("another receiver took the partition".to_owned());
        }
        if has(&["condition: NotFound", "status code: 404"]) {
            return Self::Refused(format!(
                "{namespace} has no event hub {hub:?}, or that no consumer group {group:?}: correct hub and \
                 consumer_group, or create them ({root})"
            ));
        }
        if has(&["condition: UnauthorizedAccess", "status code: 401", "status code: 403"]) {
            return Self::Unauthorized(format!(
                "event hub {hub:?} of {namespace} refuses us (signed in by {who}): assign the role \"Azure \
                 Event Hubs Data Receiver\" on the hub or its namespace, which takes effect after some \
                 minutes; a connection string needs the right to listen ({root})"
            ));
        }
        // A resolver that is away says "Temporary failure in name resolution".
        if has(&["failed to lookup address"]) && !has(&["Temporary failure", "try again"]) {
            return Self::Refused(format!(
                "there is no host {:?}: correct namespace, which is fully qualified, as \
                 contoso.servicebus.windows.net ({root})",
                config.endpoint.as_deref().unwrap_or(namespace),
            ));
        }
        if has(&["invalid peer certificate"]) {
            return Self::Refused(format!(
                "the certificate of {namespace} is not trusted: SSL_CERT_FILE adds a private authority ({root})"
            ));
        }
        Self::Passing(root.to_owned())
    }
}

const DEEPEST: usize = 16;
const LONGEST: usize = 300;

fn causes(error: &EventHubsError) -> Vec<&(dyn Error + 'static)> {
    let first: &(dyn Error + 'static) = error;
    std::iter::successors(Some(first), |&error| error.source()).take(DEEPEST).collect()
}

/// The innermost cause, which is what happened; the others say where in the SDK it was noticed.
fn root(causes: &[&(dyn Error + 'static)]) -> String {
    let text = causes.last().map(ToString::to_string).unwrap_or_default();
    // "AMQP Described Error: condition: NotFound, description: Some(\"…\"), info: …"
    let described = text.split_once("description: Some(\"").and_then(|(_, rest)| rest.split_once("\")"));
    let text = described.map_or(text.as_str(), |(description, _)| description);
    let line = text.lines().next().unwrap_or_default().trim();
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::identity::Auth;
    use crate::source::eventhubs::Start;
    use crate::source::eventhubs::Timing;
    use crate::source::eventhubs::Transport;

    fn read(text: &str) -> Fault {
        let config = Config {
            namespace: "contoso.servicebus.windows.net".to_owned(),
            hub: "audit".to_owned(),
            consumer_group: "aksentry".to_owned(),
            start: Start::Earliest,
            endpoint: None,
            transport: Transport::Tcp,
            auth: Auth::Auto,
            replica: "a".to_owned(),
            prefetch_bytes: 1 << 20,
            lease: Duration::from_secs(30),
            timing: Timing::default(),
        };
        Fault::read(text, text, &config, "workload identity of client x")
    }

    #[test]
    fn what_nobody_needs_to_change_is_tried_again() {
        for text in [
            "Connection refused (os error 111)",
            "Connection reset by peer (os error 104)",
            "failed to lookup address information: Temporary failure in name resolution",
            "AMQP Described Error: condition: InternalError, description: None, info: []",
            "Management API returned status code: 503",
        ] {
            assert!(!read(text).is_permanent(), "{text}");
        }
    }

    #[test]
    fn what_somebody_has_to_change_is_said() {
        for (text, says) in [
            ("condition: NotFound, description: None", "correct hub and consumer_group"),
            ("condition: UnauthorizedAccess", "workload identity of client x): assign the role"),
            ("Management API returned status code: 401", "Azure Event Hubs Data Receiver"),
            ("failed to lookup address information: Name or service not known", "correct namespace"),
            ("invalid peer certificate: UnknownIssuer", "SSL_CERT_FILE"),
        ] {
            let fault = read(text);
            assert!(fault.is_permanent() && fault.text().contains(says), "{}", fault.text());
        }
        assert!(matches!(read("condition: LinkStolen"), Fault::Stolen(_)));
    }
}
