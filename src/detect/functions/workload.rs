//! Functions over pods and whatever makes pods: containers, volumes, what is shared with the node.
//!
//! A body is searched for its pod specification in one place, [`pod_spec`]. What an object does not say is an empty list; an object without a pod specification is null.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanBuilder, Int64Builder, ListBuilder, StringViewBuilder};
use arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::Result;

use super::FunctionDoc;
use super::function::{Args, Definition, Parameter, struct_list, struct_lists, text, text_list, unchecked};
use crate::event::json::Node;
use crate::event::schema::list_item;

/// The specification of a pod, also one inside a workload.
#[derive(Debug, Clone, Copy)]
struct PodSpec<'a>(Node<'a>);

/// Keys by which a pod specification is told from other things called `spec`; a patch may hold only
/// one of them.
const POD_KEYS: [&str; 15] = [
    "containers",
    "initContainers",
    "ephemeralContainers",
    "volumes",
    "hostNetwork",
    "hostPID",
    "hostIPC",
    "hostUsers",
    "serviceAccountName",
    "serviceAccount",
    "automountServiceAccountToken",
    "securityContext",
    "nodeName",
    "shareProcessNamespace",
    "restartPolicy",
];

/// The lists of containers in a specification and how `containers()` calls their members.
const CONTAINER_KINDS: [(&str, &str); 3] =
    [("containers", "container"), ("initContainers", "init"), ("ephemeralContainers", "ephemeral")];

impl<'a> PodSpec<'a> {
    /// Finds the specification in the body of a pod, workload or pod template.
    fn of(body: &'a str) -> Option<PodSpec<'a>> {
        // Bodies are long, so each level is gone through once.
        let [spec, template] = Node::new(body).first(["spec", "template"]);
        let inner = spec.map(|spec| spec.first(["template", "jobTemplate"])).unwrap_or_default();
        let [workload, job] = inner;
        let candidates = [
            workload.and_then(|template| template.get("spec")),
            job.and_then(|job| job.path(&["spec", "template", "spec"])),
            template.and_then(|template| template.get("spec")),
            spec,
        ];
        let is_pod = |node: &Node| node.entries().any(|(key, _)| POD_KEYS.contains(&key.as_ref()));
        candidates.into_iter().flatten().find(is_pod).map(PodSpec)
    }

    /// Every container with its kind.
    fn containers(self) -> impl Iterator<Item = (&'static str, Node<'a>)> {
        let lists = self.0.first(CONTAINER_KINDS.map(|(key, _)| key)).into_iter().zip(CONTAINER_KINDS);
        lists.flat_map(|(list, (_, kind))| {
            list.into_iter().flat_map(move |list| list.items().map(move |container| (kind, container)))
        })
    }

    fn privileged(self) -> Vec<Cow<'a, str>> {
        let privileged =
            |(_, container): &(&str, Node<'a>)| context_bool(*container, "privileged") == Some(true);
        self.containers().filter(privileged).map(|(_, c)| text_of(c, "name").unwrap_or_default()).collect()
    }

    fn added_capabilities(self) -> Vec<Cow<'a, str>> {
        let mut all: Vec<Cow<str>> = Vec::new();
        for capability in self.containers().flat_map(|(_, container)| capabilities(container)) {
            if !all.contains(&capability) {
                all.push(capability);
            }
        }
        all
    }

    fn host_paths(self) -> Vec<Cow<'a, str>> {
        let volumes = self.0.get("volumes").into_iter().flat_map(Node::items);
        let paths = volumes.filter_map(|volume| volume.path(&["hostPath", "path"])?.text());
        paths.map(|path| Cow::Owned(normalised(&path))).collect()
    }

    /// Secrets that are mounted, taken into the environment, or used to pull images; each once.
    fn secrets(self) -> Vec<Cow<'a, str>> {
        let list = |node: Node<'a>, key: &str| node.get(key).into_iter().flat_map(Node::items);
        let volumes = list(self.0, "volumes").flat_map(|volume| {
            let sources = volume.get("projected").into_iter().flat_map(move |node| list(node, "sources"));
            let projected = sources.filter_map(|source| source.path(&["secret", "name"]));
            volume.path(&["secret", "secretName"]).into_iter().chain(projected)
        });
        let environment = self.containers().flat_map(|(_, container)| {
            let keys =
                list(container, "env").filter_map(|env| env.path(&["valueFrom", "secretKeyRef", "name"]));
            keys.chain(list(container, "envFrom").filter_map(|from| from.path(&["secretRef", "name"])))
        });
        let pulling = list(self.0, "imagePullSecrets").filter_map(|secret| secret.get("name"));
        let mut names: Vec<Cow<str>> =
            volumes.chain(environment).chain(pulling).filter_map(Node::text).collect();
        names.sort();
        names.dedup();
        names
    }

    fn host_namespaces(self) -> Vec<Cow<'a, str>> {
        let values = self.0.first(["hostNetwork", "hostPID", "hostIPC"]).into_iter();
        let shared =
            values.zip(["network", "pid", "ipc"]).filter(|(v, _)| v.and_then(Node::bool) == Some(true));
        shared.map(|(_, name)| Cow::Borrowed(name)).collect()
    }

    fn service_account(self) -> Option<Cow<'a, str>> {
        let named = ["serviceAccountName", "serviceAccount"]
            .into_iter()
            .filter_map(|key| text_of(self.0, key))
            .find(|name| !name.is_empty());
        // A whole specification that names none runs as `default`; of a patch nothing is known.
        named.or_else(|| self.0.get("containers").map(|_| Cow::Borrowed("default")))
    }
}

fn text_of<'a>(node: Node<'a>, key: &str) -> Option<Cow<'a, str>> {
    node.get(key)?.text()
}

fn context_bool(node: Node<'_>, key: &str) -> Option<bool> {
    node.path(&["securityContext", key])?.bool()
}

fn texts_of<'a>(node: Node<'a>, path: &[&str]) -> impl Iterator<Item = Cow<'a, str>> {
    node.path(path).into_iter().flat_map(Node::items).filter_map(Node::text)
}

/// Capabilities a container adds, upper case and without `CAP_`.
fn capabilities(container: Node<'_>) -> impl Iterator<Item = Cow<'_, str>> {
    texts_of(container, &["securityContext", "capabilities", "add"]).map(|name| {
        let upper = name.to_ascii_uppercase();
        match upper.strip_prefix("CAP_") {
            Some(rest) => Cow::Owned(rest.to_string()),
            None if upper == name => name,
            None => Cow::Owned(upper),
        }
    })
}

/// A path without doubled or trailing slashes, `.` and `..`; never above the root.
pub(super) fn normalised(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("{}{}", if path.starts_with('/') { "/" } else { "" }, parts.join("/"))
}

/// Name of the function that gives the specification itself.
pub(super) const POD_SPEC: &str = "pod_spec";

fn pod_spec(args: &Args, row: usize) -> Option<PodSpec<'_>> {
    let body = args.text(0, row)?;
    if args.specified { Some(PodSpec(Node::new(body))) } else { PodSpec::of(body) }
}

fn list_of(name: &str, item: DataType) -> Field {
    Field::new(name, DataType::List(Arc::new(Field::new("item", item, true))), true)
}

/// Fields of a row of `containers()`, in order.
fn container_fields() -> Fields {
    let field = |name, data_type| Field::new(name, data_type, true);
    Fields::from(vec![
        field("kind", DataType::Utf8View),
        field("name", DataType::Utf8View),
        field("image", DataType::Utf8View),
        field("privileged", DataType::Boolean),
        field("run_as_user", DataType::Int64),
        field("run_as_non_root", DataType::Boolean),
        field("allow_privilege_escalation", DataType::Boolean),
        field("read_only_root_filesystem", DataType::Boolean),
        list_of("capabilities_add", DataType::Utf8View),
        list_of("command", DataType::Utf8View),
        list_of("args", DataType::Utf8View),
        list_of("host_ports", DataType::Int64),
    ])
}

fn containers_type() -> DataType {
    struct_list(container_fields())
}

/// The columns of [`container_fields`] being filled, one row per container.
struct Containers {
    texts: [StringViewBuilder; 3],
    privileged: BooleanBuilder,
    run_as_user: Int64Builder,
    flags: [BooleanBuilder; 3],
    lists: [ListBuilder<StringViewBuilder>; 3],
    host_ports: ListBuilder<Int64Builder>,
}

impl Containers {
    fn new() -> Self {
        let list = || ListBuilder::new(StringViewBuilder::new()).with_field(list_item());
        Self {
            texts: Default::default(),
            privileged: BooleanBuilder::new(),
            run_as_user: Int64Builder::new(),
            flags: [BooleanBuilder::new(), BooleanBuilder::new(), BooleanBuilder::new()],
            lists: [list(), list(), list()],
            host_ports: ListBuilder::new(Int64Builder::new()),
        }
    }

    fn push(&mut self, spec: PodSpec<'_>, kind: &'static str, container: Node<'_>) {
        let texts = [Some(Cow::Borrowed(kind)), text_of(container, "name"), text_of(container, "image")];
        self.texts.iter_mut().zip(texts).for_each(|(builder, text)| builder.append_option(text));
        self.privileged.append_option(context_bool(container, "privileged"));
        // What a container leaves open is decided by the pod.
        let user = |node: Node| node.path(&["securityContext", "runAsUser"])?.int();
        self.run_as_user.append_option(user(container).or_else(|| user(spec.0)));
        let non_root =
            context_bool(container, "runAsNonRoot").or_else(|| context_bool(spec.0, "runAsNonRoot"));
        let flags = [
            non_root,
            context_bool(container, "allowPrivilegeEscalation"),
            context_bool(container, "readOnlyRootFilesystem"),
        ];
        self.flags.iter_mut().zip(flags).for_each(|(builder, flag)| builder.append_option(flag));
        let [added, command, args] = &mut self.lists;
        append_all(added, capabilities(container));
        append_all(command, texts_of(container, &["command"]));
        append_all(args, texts_of(container, &["args"]));
        let ports = container.get("ports").into_iter().flat_map(Node::items);
        for port in ports.filter_map(|port| port.get("hostPort")?.int()).filter(|port| *port != 0) {
            self.host_ports.values().append_value(port);
        }
        self.host_ports.append(true);
    }

    fn finish(mut self) -> Vec<ArrayRef> {
        let [kind, name, image] = &mut self.texts;
        let [non_root, escalation, read_only] = &mut self.flags;
        let [added, command, args] = &mut self.lists;
        vec![
            Arc::new(kind.finish()),
            Arc::new(name.finish()),
            Arc::new(image.finish()),
            Arc::new(self.privileged.finish()),
            Arc::new(self.run_as_user.finish()),
            Arc::new(non_root.finish()),
            Arc::new(escalation.finish()),
            Arc::new(read_only.finish()),
            Arc::new(added.finish()),
            Arc::new(command.finish()),
            Arc::new(args.finish()),
            Arc::new(self.host_ports.finish()),
        ]
    }
}

/// Appends one list.
pub(super) fn append_all<'a>(
    builder: &mut ListBuilder<StringViewBuilder>,
    items: impl Iterator<Item = Cow<'a, str>>,
) {
    items.for_each(|item| builder.values().append_value(item));
    builder.append(true);
}

fn containers(args: &Args) -> Result<ArrayRef> {
    let mut columns = Containers::new();
    let mut lengths = Vec::with_capacity(args.rows());
    for row in 0..args.rows() {
        lengths.push(pod_spec(args, row).map(|spec| {
            spec.containers().map(|(kind, container)| columns.push(spec, kind, container)).count()
        }));
    }
    struct_lists(container_fields(), &lengths, columns.finish())
}

pub(super) const FUNCTIONS: &[Definition] = &[
    Definition {
        doc: FunctionDoc {
            name: "containers",
            signature: "containers(object)",
            returns: "list of struct",
            doc: "every container of a pod or workload of any kind (Pod, Deployment, DaemonSet, StatefulSet, ReplicaSet, ReplicationController, Job, CronJob, PodTemplate), init and ephemeral ones too: `kind` (`container`, `init`, `ephemeral`), `name`, `image`, `privileged`, `run_as_user` and `run_as_non_root` (the pod's where the container has none), `allow_privilege_escalation`, `read_only_root_filesystem`, `capabilities_add`, `command`, `args`, `host_ports`. Use with `unnest`",
        },
        parameters: &[Parameter::Text],
        returns: containers_type,
        expensive: true,
        check: unchecked,
        run: containers,
    },
    Definition {
        doc: FunctionDoc {
            name: POD_SPEC,
            signature: "pod_spec(object)",
            returns: "json",
            doc: "the pod specification of a pod or workload of any kind",
        },
        parameters: &[Parameter::Text],
        returns: text,
        expensive: true,
        check: unchecked,
        run: |args| args.texts(|row| Some(Cow::Borrowed(pod_spec(args, row)?.0.raw()))),
    },
    Definition {
        doc: FunctionDoc {
            name: "container_images",
            signature: "container_images(object)",
            returns: "text[]",
            doc: "images of all containers",
        },
        parameters: &[Parameter::Text],
        returns: text_list,
        expensive: true,
        check: unchecked,
        run: |args| {
            args.text_lists(|row| {
                let containers = pod_spec(args, row)?.containers();
                Some(containers.filter_map(|(_, container)| text_of(container, "image")).collect())
            })
        },
    },
    Definition {
        doc: FunctionDoc {
            name: "privileged_containers",
            signature: "privileged_containers(object)",
            returns: "text[]",
            doc: "names of containers with `privileged: true`",
        },
        parameters: &[Parameter::Text],
        returns: text_list,
        expensive: true,
        check: unchecked,
        run: |args| args.text_lists(|row| Some(pod_spec(args, row)?.privileged())),
    },
    Definition {
        doc: FunctionDoc {
            name: "added_capabilities",
            signature: "added_capabilities(object)",
            returns: "text[]",
            doc: "capabilities added by any container, upper case, without `CAP_`",
        },
        parameters: &[Parameter::Text],
        returns: text_list,
        expensive: true,
        check: unchecked,
        run: |args| args.text_lists(|row| Some(pod_spec(args, row)?.added_capabilities())),
    },
    Definition {
        doc: FunctionDoc {
            name: "host_paths",
            signature: "host_paths(object)",
            returns: "text[]",
            doc: "hostPath volumes, normalised (`//`, `.`, `..`, trailing `/`)",
        },
        parameters: &[Parameter::Text],
        returns: text_list,
        expensive: true,
        check: unchecked,
        run: |args| args.text_lists(|row| Some(pod_spec(args, row)?.host_paths())),
    },
    Definition {
        doc: FunctionDoc {
            name: "pod_secrets",
            signature: "pod_secrets(object)",
            returns: "text[]",
            doc: "secrets that a pod mounts, takes into its environment or pulls images with, in order of name",
        },
        parameters: &[Parameter::Text],
        returns: text_list,
        expensive: true,
        check: unchecked,
        run: |args| args.text_lists(|row| Some(pod_spec(args, row)?.secrets())),
    },
    Definition {
        doc: FunctionDoc {
            name: "host_namespaces",
            signature: "host_namespaces(object)",
            returns: "text[]",
            doc: "those of `network`, `pid`, `ipc` that are shared with the node",
        },
        parameters: &[Parameter::Text],
        returns: text_list,
        expensive: true,
        check: unchecked,
        run: |args| args.text_lists(|row| Some(pod_spec(args, row)?.host_namespaces())),
    },
    Definition {
        doc: FunctionDoc {
            name: "pod_service_account",
            signature: "pod_service_account(object)",
            returns: "text",
            doc: "service account the pod runs as, `default` where none is named",
        },
        parameters: &[Parameter::Text],
        returns: text,
        expensive: true,
        check: unchecked,
        run: |args| args.texts(|row| pod_spec(args, row)?.service_account()),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_normalised() {
        for (path, expected) in [
            ("/", "/"),
            ("//", "/"),
            ("/var//run/./docker.sock/", "/var/run/docker.sock"),
            ("/a/../../etc", "/etc"),
            ("", ""),
            ("a/./b", "a/b"),
            ("/..", "/"),
        ] {
            assert_eq!(normalised(path), expected, "{path}");
        }
    }

    #[test]
    fn the_specification_of_every_kind() {
        let spec = r#"{"containers":[{"name":"a"}]}"#;
        for body in [
            format!(r#"{{"kind":"Pod","spec":{spec}}}"#),
            format!(
                r#"{{"kind":"Deployment","spec":{{"selector":{{}},"template":{{"metadata":{{}},"spec":{spec}}}}}}}"#
            ),
            format!(
                r#"{{"kind":"CronJob","spec":{{"jobTemplate":{{"spec":{{"template":{{"spec":{spec}}}}}}}}}}}"#
            ),
            format!(r#"{{"kind":"PodTemplate","template":{{"spec":{spec}}}}}"#),
        ] {
            assert_eq!(PodSpec::of(&body).map(|found| found.0.raw()), Some(spec), "{body}");
        }
        for body in [
            r#"{"kind":"Service","spec":{"ports":[]}}"#,
            r#"{"kind":"NodePool","spec":{"template":{"spec":{"taints":[]}}}}"#,
            r#"{"spec":null}"#,
            r#"{"spec":"x"}"#,
            "[]",
            "7",
            "no json",
            "",
        ] {
            assert!(PodSpec::of(body).is_none(), "{body}");
        }
    }

    #[test]
    fn the_account_of_a_patch_is_not_guessed() {
        let account = |spec: &str| {
            let body = format!(r#"{{"spec":{spec}}}"#);
            PodSpec::of(&body).and_then(PodSpec::service_account).map(Cow::into_owned)
        };
        assert_eq!(account(r#"{"serviceAccountName":"x","containers":[]}"#).as_deref(), Some("x"));
        assert_eq!(account(r#"{"serviceAccount":"old","serviceAccountName":""}"#).as_deref(), Some("old"));
        assert_eq!(account(r#"{"containers":[]}"#).as_deref(), Some("default"));
        assert_eq!(account(r#"{"hostNetwork":true}"#), None);
    }

    #[test]
    fn the_secrets_of_a_pod() {
        let body = r#"{"spec":{"imagePullSecrets":[{"name":"pull"}],
            "volumes":[{"secret":{"secretName":"tls"}},{"emptyDir":{}},{"projected":{"sources":[{"secret":{"name":"p"}},{"configMap":{"name":"no"}}]}}],
            "initContainers":[{"envFrom":[{"secretRef":{"name":"all"}},{"configMapRef":{"name":"no"}}]}],
            "containers":[{"env":[{"name":"A","value":"secret"},{"name":"B","valueFrom":{"secretKeyRef":{"name":"tls","key":"no"}}}]}]}}"#;
        assert_eq!(
            PodSpec::of(body).map(PodSpec::secrets),
            Some(["all", "p", "pull", "tls"].map(Cow::from).into())
        );
        let without = r#"{"spec":{"containers":[{"name":"a"}]}}"#;
        assert_eq!(PodSpec::of(without).map(PodSpec::secrets), Some(Vec::new()));
    }
}
