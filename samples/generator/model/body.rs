//! Objects as they stand in `requestObject` and `responseObject`: what a client sends, and what the API
//! server makes of it (uid, times, managed fields, defaults).

use serde_json::{Map, Value, json};

use super::Scene;
use super::event::seconds;

/// Fields of a pod that differ between the pods we make.
#[derive(Debug, Clone, Default)]
pub struct Pod {
    pub namespace: String,
    /// Whole name, or (with an owner) the prefix of a generated one.
    pub name: String,
    pub app: String,
    /// Kind and name of the controller that makes it.
    pub owner: Option<(&'static str, String)>,
    pub service_account: String,
    pub containers: Vec<Value>,
    pub volumes: Vec<Value>,
    /// Host namespaces, node name and other fields at the top of the specification.
    pub spec: Vec<(&'static str, Value)>,
    pub annotations: Vec<(&'static str, String)>,
}

impl Pod {
    /// The specification as sent.
    pub fn spec(&self) -> Value {
        let mut spec = Map::new();
        spec.insert("volumes".into(), json!(self.volumes));
        spec.insert("containers".into(), json!(self.containers));
        spec.insert("restartPolicy".into(), json!("Always"));
        spec.insert("terminationGracePeriodSeconds".into(), json!(30));
        spec.insert("dnsPolicy".into(), json!("ClusterFirst"));
        if !self.service_account.is_empty() {
            spec.insert("serviceAccountName".into(), json!(self.service_account));
        }
        for (key, value) in &self.spec {
            spec.insert((*key).into(), value.clone());
        }
        spec.insert("schedulerName".into(), json!("default-scheduler"));
        spec.insert("enableServiceLinks".into(), json!(true));
        Value::Object(spec)
    }

    fn metadata(&self, scene: &mut Scene) -> Map<String, Value> {
        let mut meta = Map::new();
        match &self.owner {
            Some(_) => meta.insert("generateName".into(), json!(format!("{}-", self.name))),
            None => meta.insert("name".into(), json!(self.name)),
        };
        meta.insert("namespace".into(), json!(self.namespace));
        meta.insert("creationTimestamp".into(), Value::Null);
        meta.insert("labels".into(), json!({"app.kubernetes.io/name": self.app}));
        if !self.annotations.is_empty() {
            let all = self.annotations.iter().map(|(k, v)| ((*k).to_owned(), json!(v)));
            meta.insert("annotations".into(), Value::Object(all.collect()));
        }
        if let Some((kind, name)) = &self.owner {
            let version = if *kind == "Job" { "batch/v1" } else { "apps/v1" };
            meta.insert(
                "ownerReferences".into(),
                json!([{"apiVersion": version, "kind": kind, "name": name, "uid": scene.random.uuid(),
                    "controller": true, "blockOwnerDeletion": true}]),
            );
        }
        meta
    }

    /// The pod as sent and as answered; the answer carries the whole name and uid.
    pub fn bodies(&self, scene: &mut Scene) -> (Value, Value) {
        let meta = self.metadata(scene);
        let request =
            json!({"kind": "Pod", "apiVersion": "v1", "metadata": meta, "spec": self.spec(), "status": {}});
        let mut response = request.clone();
        let name = match &self.owner {
            Some(_) => format!("{}-{}", self.name, scene.random.suffix(5)),
            None => self.name.clone(),
        };
        let manager = if self.owner.is_some() { "kube-controller-manager" } else { "kubectl-create" };
        stored(scene, &mut response, &name, manager);
        if let Some(spec) = response.get_mut("spec").and_then(Value::as_object_mut) {
            spec.entry("serviceAccount").or_insert(json!("default"));
            spec.insert("tolerations".into(), json!([
                {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
                {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
            ]));
            spec.insert("preemptionPolicy".into(), json!("PreemptLowerPriority"));
        }
        if let Some(status) = response.get_mut("status") {
            *status = json!({"phase": "Pending", "qosClass": "Burstable"});
        }
        (request, response)
    }
}

/// Turns an object as sent into the object as stored: name, uid, version, time, managed fields.
pub fn stored(scene: &mut Scene, object: &mut Value, name: &str, manager: &str) {
    let version = resource_version(scene);
    let uid = scene.random.uuid();
    let at = seconds(scene.at);
    let fields = object.get("spec").map(managed).unwrap_or_else(|| json!({"f:data": {}}));
    let api = object.get("apiVersion").cloned().unwrap_or_default();
    let Some(meta) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    meta.insert("name".into(), json!(name));
    meta.insert("uid".into(), json!(uid));
    meta.insert("resourceVersion".into(), json!(version));
    meta.insert("creationTimestamp".into(), json!(at));
    meta.insert(
        "managedFields".into(),
        json!([{"manager": manager, "operation": "Update", "apiVersion": api, "time": at,
            "fieldsType": "FieldsV1", "fieldsV1": {"f:metadata": {"f:labels": {}}, "f:spec": fields}}]),
    );
}

/// `fieldsV1` of a value: every key, two levels down.
fn managed(spec: &Value) -> Value {
    let keys =
        |v: &Value| -> Vec<String> { v.as_object().map(|m| m.keys().cloned().collect()).unwrap_or_default() };
    let mut all = Map::new();
    for key in keys(spec) {
        let below = keys(&spec[&key]).into_iter().map(|k| (format!("f:{k}"), json!({})));
        all.insert(format!("f:{key}"), Value::Object(below.collect()));
    }
    Value::Object(all)
}

/// A resource version that grows with time, as etcd's revision does.
pub fn resource_version(scene: &mut Scene) -> String {
    (scene.at / 200_000 - 8_800_000_000 + scene.random.between(0, 400)).unsigned_abs().to_string()
}

/// A container of an application.
pub fn container(name: &str, image: &str) -> Value {
    json!({"name": name, "image": image,
        "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
        "env": [{"name": "LOG_LEVEL", "value": "info"},
            {"name": "DATABASE_URL", "valueFrom": {"secretKeyRef": {"name": format!("{name}-db"), "key": "url"}}}],
        "resources": {"limits": {"cpu": "500m", "memory": "512Mi"}, "requests": {"cpu": "100m", "memory": "256Mi"}},
        "livenessProbe": {"httpGet": {"path": "/healthz", "port": "http", "scheme": "HTTP"},
            "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3},
        "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
        "imagePullPolicy": "IfNotPresent",
        "securityContext": {"capabilities": {"drop": ["ALL"]}, "runAsNonRoot": true,
            "readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false}})
}

/// The image an application runs in its `build`th version.
pub fn image(app: &str, build: u64) -> String {
    format!("contosoprod.azurecr.io/{app}:2026.3.{build}")
}

/// A pod as a ReplicaSet of an application makes it.
pub fn app_pod(namespace: &str, app: &str, build: u64, set: &str) -> Pod {
    Pod {
        namespace: namespace.into(),
        name: format!("{app}-{set}"),
        app: app.into(),
        owner: Some(("ReplicaSet", format!("{app}-{set}"))),
        service_account: app.into(),
        containers: vec![container(app, &image(app, build))],
        volumes: vec![json!({"name": "tmp", "emptyDir": {}})],
        spec: vec![(
            "securityContext",
            json!({"fsGroup": 2000, "seccompProfile": {"type": "RuntimeDefault"}}),
        )],
        ..Pod::default()
    }
}

/// One of AKS's own node agents, privileged and on the host's paths as they are.
pub fn node_agent(name: &str, node: &str) -> Pod {
    let socket = |name: &str| json!({"name": name, "mountPath": "/csi", "mountPropagation": "Bidirectional"});
    Pod {
        namespace: "kube-system".into(),
        name: name.into(),
        app: name.into(),
        owner: Some(("DaemonSet", name.into())),
        service_account: name.into(),
        containers: vec![json!({"name": "azuredisk",
            "image": "mcr.microsoft.com/oss/v2/kubernetes-csi/azuredisk-csi:v1.33.5",
            "args": ["--v=5", "--endpoint=$(CSI_ENDPOINT)", "--nodeid=$(KUBE_NODE_NAME)"],
            "resources": {"requests": {"cpu": "10m", "memory": "20Mi"}},
            "volumeMounts": [socket("socket-dir"), {"name": "azure-cred", "mountPath": "/etc/kubernetes/"}],
            "securityContext": {"privileged": true}})],
        volumes: vec![
            json!({"name": "socket-dir", "hostPath": {"path": "/var/lib/kubelet/plugins/disk.csi.azure.com", "type": "DirectoryOrCreate"}}),
            json!({"name": "mountpoint-dir", "hostPath": {"path": "/var/lib/kubelet/", "type": "DirectoryOrCreate"}}),
            json!({"name": "azure-cred", "hostPath": {"path": "/etc/kubernetes/", "type": "DirectoryOrCreate"}}),
            json!({"name": "device-dir", "hostPath": {"path": "/dev", "type": "Directory"}}),
        ],
        spec: vec![
            ("hostNetwork", json!(true)),
            ("priorityClassName", json!("system-node-critical")),
            (
                "affinity",
                json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}]}}}),
            ),
        ],
        ..Pod::default()
    }
}

/// A workload of `kind` around a pod: as sent.
pub fn workload(kind: &str, pod: &Pod, replicas: Option<u64>) -> Value {
    let labels = json!({"app.kubernetes.io/name": pod.app});
    let mut spec = Map::new();
    if let Some(n) = replicas {
        spec.insert("replicas".into(), json!(n));
    }
    spec.insert("selector".into(), json!({"matchLabels": labels}));
    spec.insert(
        "template".into(),
        json!({"metadata": {"creationTimestamp": null, "labels": labels}, "spec": pod.spec()}),
    );
    json!({"kind": kind, "apiVersion": "apps/v1",
        "metadata": {"name": pod.name, "namespace": pod.namespace, "creationTimestamp": null, "labels": labels},
        "spec": spec, "status": {}})
}

/// A deployment as the server answers a patch of it: the whole object with its conditions.
pub fn deployment(scene: &mut Scene, namespace: &str, app: &str, build: u64) -> Value {
    let mut pod = app_pod(namespace, app, build, "");
    pod.name = app.into();
    let mut object = workload("Deployment", &pod, Some(3));
    stored(scene, &mut object, app, "kustomize-controller");
    let at = seconds(scene.at);
    object["metadata"]["generation"] = json!(build);
    object["status"] = json!({"observedGeneration": build, "replicas": 3, "updatedReplicas": 3,
        "readyReplicas": 3, "availableReplicas": 3, "conditions": [
            {"type": "Available", "status": "True", "lastUpdateTime": at, "lastTransitionTime": at,
                "reason": "MinimumReplicasAvailable", "message": "Deployment has minimum availability."},
            {"type": "Progressing", "status": "True", "lastUpdateTime": at, "lastTransitionTime": at,
                "reason": "NewReplicaSetAvailable", "message": format!("ReplicaSet \"{app}\" has successfully progressed.")}]});
    object
}

/// A namespace as the server answers: `level` is its Pod Security level, if it has one.
pub fn namespace(scene: &mut Scene, name: &str, level: Option<&str>) -> Value {
    let mut labels = Map::new();
    labels.insert("kubernetes.io/metadata.name".into(), json!(name));
    if let Some(level) = level {
        labels.insert("pod-security.kubernetes.io/enforce".into(), json!(level));
    }
    labels.insert("team".into(), json!(name));
    let version = resource_version(scene);
    json!({"kind": "Namespace", "apiVersion": "v1",
        "metadata": {"name": name, "uid": scene.random.uuid(), "resourceVersion": version,
            "creationTimestamp": "2025-02-18T08:11:42Z", "labels": labels},
        "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}})
}

/// A service as sent.
pub fn service(namespace: &str, name: &str, kind: &str, port: u64, annotations: Value) -> Value {
    json!({"kind": "Service", "apiVersion": "v1",
        "metadata": {"name": name, "namespace": namespace, "creationTimestamp": null, "annotations": annotations},
        "spec": {"ports": [{"protocol": "TCP", "port": port, "targetPort": port}],
            "selector": {"app.kubernetes.io/name": name}, "type": kind},
        "status": {"loadBalancer": {}}})
}

/// An answer that is only "it is gone".
pub fn deleted(scene: &mut Scene, resource: &str, name: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
        "details": {"name": name, "kind": resource, "uid": scene.random.uuid()}})
}
