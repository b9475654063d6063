//! The two tables an analyst sees: their columns, types and what each column means.
//!
//! This file is the only place that names the columns. `docs/columns.md` is generated from it.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

/// A column as documented to analysts.
#[derive(Debug, Clone)]
pub struct Column {
    pub name: &'static str,
    pub kind: Kind,
    /// JSON path in the record, or how the value is derived.
    pub source: &'static str,
    pub meaning: &'static str,
}

/// The few types columns have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `Timestamp(Microsecond, "+00:00")`
    Time,
    /// `Utf8View`
    Text,
    /// `Utf8View` holding JSON text
    Json,
    /// `List<Utf8View>`
    TextList,
    /// `Int64`
    Int,
    /// `Boolean`, never null
    Bool,
}

impl Kind {
    pub fn data_type(self) -> DataType {
        match self {
            Kind::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())),
            Kind::Text | Kind::Json => DataType::Utf8View,
            Kind::TextList => DataType::List(Arc::new(list_item())),
            Kind::Int => DataType::Int64,
            Kind::Bool => DataType::Boolean,
        }
    }

    /// The name used in the documentation and in messages.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Time => "timestamp",
            Kind::Text => "text",
            Kind::Json => "json",
            Kind::TextList => "text[]",
            Kind::Int => "int",
            Kind::Bool => "bool",
        }
    }
}

/// The item field of every `text[]` column.
pub fn list_item() -> Field {
    Field::new("item", DataType::Utf8View, true)
}

const fn column(name: &'static str, kind: Kind, source: &'static str, meaning: &'static str) -> Column {
    Column { name, kind, source, meaning }
}

use Kind::{Bool, Int, Json, Text, TextList, Time};

/// Columns of `audit`, in order: one row per API-server audit event.
pub const AUDIT: &[Column] = &[
    column(
        "time",
        Time,
        "log.stageTimestamp, else log.requestReceivedTimestamp (v1beta1: log.timestamp), else $.time",
        "event time; null only where the record holds no time at all",
    ),
    column(
        "cluster",
        Text,
        "$.resourceId, lower case",
        "resource id of the cluster; null where the record carries none (a plain audit.log)",
    ),
    column(
        "category",
        Text,
        "$.category",
        "diagnostic log category the record came under; null where it carries none",
    ),
    column("record_time", Time, "$.time", "upload time of the record"),
    column("audit_id", Text, "log.auditID", "id of the request, shared by its stages"),
    column("level", Text, "log.level", "Metadata, Request or RequestResponse; decides which bodies exist"),
    column("stage", Text, "log.stage", "RequestReceived, ResponseStarted, ResponseComplete or Panic"),
    column(
        "verb",
        Text,
        "log.verb",
        "get, list, watch, create, update, patch, delete, deletecollection; exec over WebSocket is a get",
    ),
    column("request_uri", Text, "log.requestURI", "path and query as sent, still URL-encoded"),
    column(
        "username",
        Text,
        "log.user.username",
        "who authenticated (an Entra user's UPN or object id, a service account, masterclient, …)",
    ),
    column("user_uid", Text, "log.user.uid", "uid of that identity"),
    column("groups", TextList, "log.user.groups", "groups of that identity"),
    column(
        "user_extra",
        Json,
        "log.user.extra",
        "extra attributes: oid, pod-name, node-name, credential-id, …",
    ),
    column(
        "principal_class",
        Text,
        "derived from username, groups and extra",
        "aks, system, node, system-sa, service-account, local-admin, entra-user, entra-app, anonymous or other; see the table of classes",
    ),
    column(
        "impersonated_username",
        Text,
        "log.impersonatedUser.username",
        "who the request was made as, if not as oneself",
    ),
    column(
        "impersonated_groups",
        TextList,
        "log.impersonatedUser.groups",
        "groups of the impersonated identity",
    ),
    column("source_ips", TextList, "log.sourceIPs", "addresses the request passed, the client first"),
    column("client_ip", Text, "log.sourceIPs[0]", "address of the client as the API server saw it"),
    column("user_agent", Text, "log.userAgent", "user agent as sent"),
    column("api_group", Text, "log.objectRef.apiGroup", "null for the core group"),
    column("api_version", Text, "log.objectRef.apiVersion", "version of the API that was called"),
    column(
        "resource",
        Text,
        "log.objectRef.resource",
        "plural, lower case: pods, secrets, clusterrolebindings",
    ),
    column("subresource", Text, "log.objectRef.subresource", "exec, token, approval, status, …"),
    column(
        "namespace",
        Text,
        "log.objectRef.namespace",
        "null for cluster-scoped objects and for requests over all namespaces",
    ),
    column(
        "name",
        Text,
        "log.objectRef.name, else metadata.name of the response or request body",
        "name of the object",
    ),
    column("object_uid", Text, "log.objectRef.uid", "uid of the object"),
    column(
        "status_code",
        Int,
        "log.responseStatus.code",
        "HTTP status; 101 for an upgraded connection; null before the response",
    ),
    column("status_reason", Text, "log.responseStatus.reason", "Forbidden, AlreadyExists, …"),
    column("status_message", Text, "log.responseStatus.message", "message of a failure"),
    column(
        "request_object",
        Json,
        "log.requestObject",
        "body of the request; null at level Metadata, when skipped, or when it was cut away",
    ),
    column(
        "response_object",
        Json,
        "log.responseObject",
        "body of the response; null below level RequestResponse, when skipped, or when it was cut away",
    ),
    column(
        "object",
        Json,
        "for patch (and for exec, which has no body of its own) the response body, else the request body; the other one where it is missing",
        "the object as it was written: what body functions read",
    ),
    column(
        "body_skipped",
        Bool,
        "log.requestObject or log.responseObject is \"skipped-too-big-size-object\", or annotation audit.k8s.io/truncated",
        "the API server left a body out because of its size",
    ),
    column("annotations", Json, "log.annotations", "audit annotations; lost when the record was cut"),
    column(
        "decision",
        Text,
        "log.annotations[\"authorization.k8s.io/decision\"]",
        "allow or forbid; lost when the record was cut, so prefer status_code",
    ),
    column(
        "decision_reason",
        Text,
        "log.annotations[\"authorization.k8s.io/reason\"]",
        "which binding or Azure role assignment allowed it",
    ),
    column("received_time", Time, "log.requestReceivedTimestamp", "when the API server received the request"),
    column(
        "truncated",
        Bool,
        "log ends before its JSON does",
        "the record was cut: columns after the cut are null, bodies hold what came before it",
    ),
    column("pod", Text, "$.properties.pod", "API-server pod that wrote the record"),
];

/// Columns of `control_plane`, in order: one row per record of every other category.
pub const CONTROL_PLANE: &[Column] = &[
    column(
        "time",
        Time,
        "klog header with the year of $.time, else $.time",
        "event time; null only where the record holds no time at all",
    ),
    column(
        "cluster",
        Text,
        "$.resourceId, lower case",
        "resource id of the cluster (of another Azure resource where the hub is shared)",
    ),
    column(
        "category",
        Text,
        "$.category",
        "guard, kube-apiserver, kube-controller-manager, kube-scheduler, cluster-autoscaler, cloud-controller-manager, csi-*, …",
    ),
    column("record_time", Time, "$.time", "upload time of the record"),
    column(
        "severity",
        Text,
        "first letter of the klog header",
        "info, warning, error or fatal; null without a header",
    ),
    column(
        "component",
        Text,
        "name of $.properties.pod without its generated suffix, else the category",
        "which control-plane component wrote the line",
    ),
    column(
        "message",
        Text,
        "properties.log after the klog header",
        "the line without its header and final newline",
    ),
    column(
        "source_file",
        Text,
        "klog header",
        "file of the statement that logged, such as static_autoscaler.go",
    ),
    column("source_line", Int, "klog header", "line of that statement"),
    column("thread", Int, "klog header", "thread id"),
    column("pod", Text, "$.properties.pod", "pod that wrote the line"),
    column("stream", Text, "$.properties.stream", "stdout or stderr"),
    column("raw", Text, "properties.log, else the whole record", "the text as it was logged"),
];

/// Every value a column can have, where there are few; `None` where there is no end of them. A verb of a
/// request that is for no resource is its HTTP method in lower case.
pub fn values(column: &str) -> Option<&'static [&'static str]> {
    Some(match column {
        "level" => &["Metadata", "Request", "RequestResponse"],
        "stage" => &["RequestReceived", "ResponseStarted", "ResponseComplete", "Panic"],
        "verb" => &[
            "get",
            "list",
            "watch",
            "create",
            "update",
            "patch",
            "delete",
            "deletecollection",
            "proxy",
            "connect",
            "head",
            "options",
            "post",
            "put",
            "trace",
        ],
        "principal_class" => &[
            "anonymous",
            "node",
            "system-sa",
            "service-account",
            "system",
            "aks",
            "local-admin",
            "entra-app",
            "entra-user",
            "other",
        ],
        "decision" => &["allow", "forbid"],
        "severity" => &["info", "warning", "error", "fatal"],
        "stream" => &["stdout", "stderr"],
        _ => return None,
    })
}

fn schema_of(columns: &[Column]) -> SchemaRef {
    Arc::new(Schema::new(
        columns
            .iter()
            .map(|c| Field::new(c.name, c.kind.data_type(), c.kind != Kind::Bool))
            .collect::<Vec<_>>(),
    ))
}

/// Arrow schema of the `audit` table.
pub fn audit() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| schema_of(AUDIT));
    SCHEMA.clone()
}

/// Arrow schema of the `control_plane` table.
pub fn control_plane() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| schema_of(CONTROL_PLANE));
    SCHEMA.clone()
}

/// The tables by name, as SQL sees them.
pub const TABLES: &[(&str, &[Column])] = &[("audit", AUDIT), ("control_plane", CONTROL_PLANE)];
