//! Field names of Sigma rules, and where each is in our tables.
//!
//! The fields are those of a Kubernetes audit event. A prefix that collectors put before them
//! (`properties.log.`) is passed over; of the record around the event there are a few.

use crate::rules::closest;

/// Where a field is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    /// As SQL: a column, or an expression that reads a body.
    pub sql: String,
    pub kind: Kind,
    /// The column it is in.
    pub column: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    /// Text that the API server writes in one way only, in these words among others.
    Word(&'static [&'static str]),
    Int,
    /// A list of texts, any of which may match.
    List,
    /// Values in a body, any of which may match.
    Body,
    Time,
}

const VERBS: &[&str] = &[
    "get",
    "list",
    "watch",
    "create",
    "update",
    "patch",
    "delete",
    "deletecollection",
    "proxy",
    "head",
    "options",
    "post",
    "put",
];
const LEVELS: &[&str] = &["None", "Metadata", "Request", "RequestResponse"];
const STAGES: &[&str] = &["RequestReceived", "ResponseStarted", "ResponseComplete", "Panic"];
const DECISIONS: &[&str] = &["allow", "forbid"];

/// Field, column, kind.
const FIELDS: &[(&str, &str, Kind)] = &[
    ("auditID", "audit_id", Kind::Text),
    ("level", "level", Kind::Word(LEVELS)),
    ("stage", "stage", Kind::Word(STAGES)),
    ("verb", "verb", Kind::Word(VERBS)),
    ("requestURI", "request_uri", Kind::Text),
    ("user.username", "username", Kind::Text),
    ("user.uid", "user_uid", Kind::Text),
    ("user.groups", "groups", Kind::List),
    ("impersonatedUser.username", "impersonated_username", Kind::Text),
    ("impersonatedUser.groups", "impersonated_groups", Kind::List),
    ("sourceIPs", "source_ips", Kind::List),
    ("userAgent", "user_agent", Kind::Text),
    ("objectRef.apiGroup", "api_group", Kind::Text),
    ("objectRef.apiVersion", "api_version", Kind::Text),
    ("objectRef.resource", "resource", Kind::Text),
    ("objectRef.subresource", "subresource", Kind::Text),
    ("objectRef.namespace", "namespace", Kind::Text),
    ("objectRef.name", "name", Kind::Text),
    ("objectRef.uid", "object_uid", Kind::Text),
    ("responseStatus.code", "status_code", Kind::Int),
    ("responseStatus.reason", "status_reason", Kind::Text),
    ("responseStatus.message", "status_message", Kind::Text),
    ("annotations.authorization.k8s.io/decision", "decision", Kind::Word(DECISIONS)),
    ("annotations.authorization.k8s.io/reason", "decision_reason", Kind::Text),
    ("requestReceivedTimestamp", "received_time", Kind::Time),
    ("stageTimestamp", "time", Kind::Time),
    ("user.extra", "user_extra", Kind::Text),
    ("requestObject", "request_object", Kind::Text),
    ("responseObject", "response_object", Kind::Text),
    ("annotations", "annotations", Kind::Text),
];

/// Fields with anything below them.
const BODIES: &[&str] = &["requestObject", "responseObject", "annotations", "user.extra"];

/// Fields of the record around the event, by the names Azure gives them.
const RECORD: &[(&str, &str, Kind)] = &[
    ("category", "category", Kind::Text),
    ("resourceId", "cluster", Kind::Text),
    ("time", "record_time", Kind::Time),
    ("properties.pod", "pod", Kind::Text),
];

/// What collectors put before the fields of the event.
const PREFIXES: &[&str] = &["properties.log.", "log.", "kubernetes.audit."];

/// Where people look for a value that is somewhere else.
const ELSEWHERE: &[(&str, &str)] = &[
    ("hostPath", "requestObject.spec.volumes.hostPath.path"),
    ("capabilities", "requestObject.spec.containers.securityContext.capabilities.add"),
    ("privileged", "requestObject.spec.containers.securityContext.privileged"),
    ("hostNetwork", "requestObject.spec.hostNetwork"),
    ("hostPID", "requestObject.spec.hostPID"),
    ("image", "requestObject.spec.containers.image"),
    ("responseStatus.status", "responseStatus.code"),
    ("responseStatus", "responseStatus.code"),
    ("user", "user.username"),
    ("user.name", "user.username"),
    ("sourceIP", "sourceIPs"),
    ("source.ip", "sourceIPs"),
];

/// Finds a field; the error says what may have been meant.
pub(super) fn resolve(name: &str) -> Result<Field, String> {
    let written = name;
    if let Some((_, column, kind)) = RECORD.iter().find(|(known, ..)| *known == name) {
        return Ok(Field { sql: (*column).into(), kind: *kind, column });
    }
    let name = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name);
    let name = without_brackets(name);
    let name = name.as_str();
    // One address of a list, and any of a list, are asked for in the same words.
    let whole = FIELDS.iter().find(|(known, ..)| *known == name);
    if let Some((_, column, kind)) = whole {
        return Ok(Field { sql: (*column).into(), kind: *kind, column });
    }
    for body in BODIES {
        let Some(path) = name.strip_prefix(body).and_then(|rest| rest.strip_prefix('.')) else { continue };
        if path.is_empty() || path.split('.').any(str::is_empty) {
            return Err(format!(
                "\"{written}\" names nothing in {body}; write a path such as {body}.metadata.name"
            ));
        }
        let Some((_, column, _)) = FIELDS.iter().find(|(known, ..)| known == body) else { continue };
        let sql = format!("json_values({column}, {})", quoted(path));
        return Ok(Field { sql, kind: Kind::Body, column });
    }
    Err(format!("no field \"{written}\" in an audit event{}", meant(name)))
}

fn meant(name: &str) -> String {
    let known = || FIELDS.iter().chain(RECORD).map(|(known, ..)| *known);
    let last = |path: &str| path.rsplit('.').next().unwrap_or_default().to_lowercase();
    let own = || FIELDS.iter().find(|(_, column, _)| *column == name).map(|(known, ..)| *known);
    let elsewhere = ELSEWHERE.iter().find(|(from, _)| from.eq_ignore_ascii_case(name)).map(|(_, to)| *to);
    let same_end = || known().find(|path| last(path) == last(name));
    match elsewhere.or_else(own).or_else(|| closest(name, known())).or_else(same_end) {
        Some(found) => format!("; did you mean \"{found}\"?"),
        None => "; docs/sigma.md lists the fields".into(),
    }
}

/// `containers[0].image` as `containers.0.image`, `containers[].image` and `containers[*].image` as
/// `containers.image`: what goes for lists needs no mark.
fn without_brackets(name: &str) -> String {
    let mut plain = String::new();
    let mut rest = name;
    while let Some((before, (inside, behind))) =
        rest.split_once('[').and_then(|(before, behind)| Some((before, behind.split_once(']')?)))
    {
        plain += before;
        match inside.trim() {
            "" | "*" => {}
            key => {
                plain.push('.');
                plain += key.trim_matches(['\'', '"']);
            }
        }
        rest = behind;
    }
    plain + rest
}

/// A text as SQL writes it.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields() {
        for (name, sql) in [
            ("verb", "verb"),
            ("properties.log.objectRef.resource", "resource"),
            (
                "requestObject.spec.containers[*].image",
                "json_values(request_object, 'spec.containers.image')",
            ),
            (
                "requestObject.spec.containers[0].image",
                "json_values(request_object, 'spec.containers.0.image')",
            ),
            ("annotations.authorization.k8s.io/decision", "decision"),
            (
                "annotations['pod-security.kubernetes.io/audit']",
                "json_values(annotations, 'pod-security.kubernetes.io/audit')",
            ),
            ("requestObject.a'b", "json_values(request_object, 'a''b')"),
            ("user.extra.oid", "json_values(user_extra, 'oid')"),
        ] {
            assert_eq!(resolve(name).map(|field| field.sql), Ok(sql.to_owned()), "{name}");
        }
        for (name, meant) in [
            ("objectRef.resourcee", "objectRef.resource"),
            ("apiGroup", "objectRef.apiGroup"),
            ("hostPath", "requestObject.spec.volumes.hostPath.path"),
            ("username", "user.username"),
            ("responseStatus.status", "responseStatus.code"),
            ("process.executable.path", "docs/sigma.md"),
        ] {
            let error = resolve(name).unwrap_err();
            assert!(error.contains(meant), "{name}: {error}");
        }
        assert!(resolve("requestObject..x").is_err());
    }

    #[test]
    fn every_column_exists() {
        for (field, column, _) in FIELDS.iter().chain(RECORD) {
            assert!(
                crate::event::schema::AUDIT.iter().any(|known| known.name == *column),
                "{field}: {column}"
            );
        }
    }
}
