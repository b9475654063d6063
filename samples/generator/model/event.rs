//! One audit event, written with its fields in the order in which kube-apiserver writes them: who and
//! what first, bodies next, times and annotations last. That order is what a cut record leaves.

use chrono::{DateTime, SecondsFormat};
use serde_json::{Map, Value, json};

use super::Scene;
use super::identity::Actor;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Metadata,
    Request,
    RequestResponse,
}

/// What a request is about.
#[derive(Debug, Clone, Default)]
pub struct Target {
    /// Empty for the core group.
    pub group: &'static str,
    pub resource: &'static str,
    pub namespace: String,
    pub name: String,
    pub subresource: &'static str,
    /// With its question mark.
    pub query: String,
    /// A path outside the resources, such as `/livez`; then nothing else is set but the query.
    pub path: &'static str,
}

impl Target {
    pub fn new(group: &'static str, resource: &'static str, namespace: &str, name: &str) -> Self {
        Self { group, resource, namespace: namespace.into(), name: name.into(), ..Self::default() }
    }

    /// An object of the core group.
    pub fn core(resource: &'static str, namespace: &str, name: &str) -> Self {
        Self::new("", resource, namespace, name)
    }

    pub fn path(path: &'static str) -> Self {
        Self { path, ..Self::default() }
    }

    pub fn sub(mut self, subresource: &'static str) -> Self {
        self.subresource = subresource;
        self
    }

    pub fn query(mut self, query: &str) -> Self {
        self.query = format!("?{query}");
        self
    }

    fn version(&self) -> &'static str {
        match self.group {
            "metrics.k8s.io" | "external-secrets.io" => "v1beta1",
            "autoscaling" => "v2",
            _ => "v1",
        }
    }

    /// `requestURI`; a create names no object in it unless it is about a subresource.
    fn uri(&self, verb: &str) -> String {
        if !self.path.is_empty() {
            return format!("{}{}", self.path, self.query);
        }
        let mut uri = match self.group {
            "" => "/api/v1".to_owned(),
            group => format!("/apis/{group}/{}", self.version()),
        };
        let namespaced = !self.namespace.is_empty() && self.resource != "namespaces";
        if namespaced {
            uri += &format!("/namespaces/{}", self.namespace);
        }
        uri += &format!("/{}", self.resource);
        // A watch of one object names it in a field selector, which the reference resolves.
        let collection = matches!(verb, "list" | "watch" | "deletecollection");
        let named = !collection && (verb != "create" || !self.subresource.is_empty());
        if !self.name.is_empty() && named {
            uri += &format!("/{}", self.name);
        }
        if !self.subresource.is_empty() {
            uri += &format!("/{}", self.subresource);
        }
        uri + &self.query
    }

    fn reference(&self, request: Option<&Value>) -> Option<Value> {
        if !self.path.is_empty() {
            return None;
        }
        let mut map = Map::new();
        let mut put = |key: &str, value: &str| {
            if !value.is_empty() {
                map.insert(key.into(), json!(value));
            }
        };
        let sent = |key: &str| {
            request.and_then(|r| r.pointer(&format!("/metadata/{key}"))).and_then(Value::as_str).unwrap_or("")
        };
        put("resource", self.resource);
        put("namespace", &self.namespace);
        put("name", &self.name);
        put("uid", sent("uid"));
        put("apiGroup", self.group);
        put("apiVersion", self.version());
        put("resourceVersion", sent("resourceVersion"));
        put("subresource", self.subresource);
        Some(Value::Object(map))
    }
}

/// An audit event; see [`Event::text`] for its JSON.
#[derive(Debug, Clone)]
pub struct Event {
    /// Stage timestamp, microseconds since the epoch.
    pub at: i64,
    /// Microseconds from the request's arrival to this stage.
    pub took: i64,
    pub level: Level,
    pub audit_id: String,
    pub stage: &'static str,
    pub verb: &'static str,
    pub actor: Actor,
    pub impersonated: Option<Value>,
    pub target: Target,
    pub status: Value,
    pub request: Option<Value>,
    pub response: Option<Value>,
    pub annotations: Vec<(String, String)>,
}

impl Event {
    /// A successful request at level Metadata; the other methods say how it differs.
    pub fn new(scene: &mut Scene, actor: Actor, verb: &'static str, target: Target) -> Self {
        let code = if verb == "create" { 201 } else { 200 };
        let reason = actor.reason.clone();
        Self {
            at: scene.at,
            took: scene.random.between(1_800, 31_000),
            level: Level::Metadata,
            audit_id: scene.random.uuid(),
            stage: "ResponseComplete",
            verb,
            actor,
            impersonated: None,
            target,
            status: json!({"metadata": {}, "code": code}),
            request: None,
            response: None,
            annotations: vec![
                ("authorization.k8s.io/decision".into(), "allow".into()),
                ("authorization.k8s.io/reason".into(), reason),
            ],
        }
    }

    /// Level Request: the body that was sent, if any.
    pub fn request(mut self, request: Value) -> Self {
        self.level = Level::Request;
        self.request = Some(request);
        self
    }

    /// Level RequestResponse with both bodies.
    pub fn bodies(mut self, request: Value, response: Value) -> Self {
        self.level = Level::RequestResponse;
        self.request = Some(request);
        self.response = Some(response);
        self
    }

    /// A read at level Request, which has nothing to show but says so.
    pub fn at_request(mut self) -> Self {
        self.level = Level::Request;
        self
    }

    /// Refused by every authorizer. `text` completes "User X cannot …".
    pub fn denied(mut self) -> Self {
        let t = &self.target;
        let kind = match t.group {
            "" => t.resource.to_owned(),
            group => format!("{}.{group}", t.resource),
        };
        let place = match t.namespace.as_str() {
            "" => "at the cluster scope".to_owned(),
            namespace => format!("in the namespace \"{namespace}\""),
        };
        let message = if t.path.is_empty() {
            format!(
                "{kind} is forbidden: User \"{}\" cannot {} resource \"{}\" in API group \"{}\" {place}",
                self.actor.username, self.verb, t.resource, t.group
            )
        } else {
            format!("forbidden: User \"{}\" cannot {} path \"{}\"", self.actor.username, self.verb, t.path)
        };
        self.status = json!({"metadata": {}, "status": "Failure", "message": message,
            "reason": "Forbidden", "details": {"kind": t.resource}, "code": 403});
        self.level = Level::Metadata;
        (self.request, self.response) = (None, None);
        self.annotations = vec![
            ("authorization.k8s.io/decision".into(), "forbid".into()),
            ("authorization.k8s.io/reason".into(), String::new()),
        ];
        self
    }

    /// A connection that is open now: exec and port-forward over WebSocket, or a watch (code 200).
    pub fn started(mut self, code: u16) -> Self {
        self.stage = "ResponseStarted";
        self.status = json!({"metadata": {}, "code": code});
        self
    }

    pub fn annotate(mut self, key: &str, value: &str) -> Self {
        self.annotations.push((key.into(), value.into()));
        self
    }

    /// The JSON kube-apiserver logs, without a final newline.
    pub fn text(&self) -> String {
        let mut map = Map::new();
        let mut put = |key: &str, value: Value| {
            map.insert(key.into(), value);
        };
        put("kind", json!("Event"));
        put("apiVersion", json!("audit.k8s.io/v1"));
        put("level", json!(format!("{:?}", self.level)));
        put("auditID", json!(self.audit_id));
        put("stage", json!(self.stage));
        put("requestURI", json!(self.target.uri(self.verb)));
        put("verb", json!(self.verb));
        put("user", self.actor.user());
        if let Some(user) = &self.impersonated {
            put("impersonatedUser", user.clone());
        }
        put("sourceIPs", json!([self.actor.address]));
        put("userAgent", json!(self.actor.agent));
        if let Some(reference) = self.target.reference(self.request.as_ref()) {
            put("objectRef", reference);
        }
        put("responseStatus", self.status.clone());
        if let Some(body) = &self.request {
            put("requestObject", body.clone());
        }
        if let Some(body) = &self.response {
            put("responseObject", body.clone());
        }
        put("requestReceivedTimestamp", json!(micros(self.at - self.took)));
        put("stageTimestamp", json!(micros(self.at)));
        let annotations = self.annotations.iter().map(|(k, v)| (k.clone(), json!(v)));
        put("annotations", Value::Object(annotations.collect()));
        Value::Object(map).to_string()
    }
}

/// RFC 3339 with six digits, as in an audit event.
pub fn micros(at: i64) -> String {
    DateTime::from_timestamp_micros(at).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// RFC 3339 without a fraction, as in the metadata of an object.
pub fn seconds(at: i64) -> String {
    DateTime::from_timestamp_micros(at).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Secs, true)
}
