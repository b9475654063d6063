//! `samples/README.md`, made from the story itself so that its times and audit ids are the real ones.

use std::fmt::Write;

use crate::model::event::seconds;
use crate::scenario::Scenario;
use crate::tale::{Deed, Step};

const BEGINNING: &str = "\
# Samples

Two days of three made-up AKS clusters of a made-up company, 2026-03-10 and 2026-03-11 (UTC), as they would arrive from a
diagnostic setting. The first day is quiet. On the evening of the second somebody breaks in.

```
cargo run --release -- replay samples/hub                # as Event Hubs bodies, one a line
cargo run --release -- replay samples/storage            # the same evening of one cluster, as a storage account keeps it
cargo run --release --example generate-samples           # writes all of this again
cargo run --release --example generate-samples -- --check   # or says what differs
cargo run --release --example generate-samples -- --events 1000000 > big.ndjson   # normal traffic to measure with
```

Everything here, this page too, is written by `generator/`: no clock and no chance, so the same bytes on every run.
`expected.json` has what a run must count and which events take part in which rule (for `cluster-silent`, when the last record was written). All names, ids and tenants are invented.

| cluster | envelope | audit categories |
|---|---|---|
| `aks-payments-prod-weu` | of 2025 | kube-audit and kube-audit-admin: whatever is not a read comes twice |
| `aks-shop-prod-neu` | of 2025, slashes escaped | kube-audit |
| `aks-batch-eus` | of 2020 to 2023 | kube-audit-admin: no get, list or watch |

`hub/2026-03-10-part-2.ndjson.gz` is compressed, some messages are delivered twice, node reports over 16 KiB are cut, a body
is `skipped-too-big-size-object`, and a stack trace comes as one record a line.

Identities whose harmless work looks like an attack, and which the rules' lists should know: `ingress-nginx:ingress-nginx`
(watches all secrets), `external-secrets:external-secrets` and `cert-manager:cert-manager` (secrets),
`cert-manager:cert-manager-cainjector` and `gatekeeper-system:gatekeeper-admin` (webhook configurations),
`flux-system:kustomize-controller` (patches, most of them dry runs).

## The break-in

All of it on `aks-payments-prod-weu`, from 185.220.101.34 (the last account from 185.220.101.51). A row stands for one request or for
several of a kind; the audit id is the first one's. `local-admin-account-used` goes for every request of `masterclient`.
";

const END: &str = "
## What must stay silent

- the whole first day, and the other two clusters on both;
- AKS itself: `aksService` reconciling `aks-cluster-admin-binding` and `aks-service` and creating the `ama-logs` DaemonSet,
  daemon-set-controller making privileged pods of `mcr.microsoft.com` images, kubelets asking for pods' tokens, the certificate
  controller approving a kubelet's, the namespace controller and the garbage collector taking `preview-118` down with its policies;
- Contoso: an internal load balancer, a role for metrics, a `view` binding, three pods deleted by hand, the impersonation of an
  ordinary colleague, a developer refused on pods six times over, probes without credentials, the pipeline's roll-outs;
- cut records of kubelets' node reports.

`entra-user-first-seen` can only fire here if it learns for a day or less: the first day is all there is to learn from.
";

pub fn readme(scenario: &Scenario) -> String {
    let mut page = BEGINNING.to_owned();
    for (n, step) in scenario.steps.iter().enumerate() {
        let _ = write!(page, "\n### {}. {}\n\n{}\n", n + 1, step.title, step.text);
        if !step.deeds.is_empty() {
            page += "\n| time (UTC) | who | what | audit id | rules |\n|---|---|---|---|---|\n";
            for row in rows(step) {
                page += &row;
            }
        }
    }
    page + END
}

/// One row for each run of deeds of the same kind, by time.
fn rows(step: &Step) -> Vec<String> {
    let mut deeds: Vec<&Deed> = step.deeds.iter().collect();
    deeds.sort_by_key(|d| d.event.at);
    deeds.chunk_by(|a, b| kind(a) == kind(b)).map(|run| row(run[0], run.len())).collect()
}

/// What a row says of a deed, but for its object and time.
fn kind(deed: &Deed) -> (&str, &str, &str, &str, &str, &[&str]) {
    let e = &deed.event;
    (e.verb, e.target.path, e.target.resource, e.target.subresource, &e.actor.username, &deed.rules)
}

fn row(deed: &Deed, count: usize) -> String {
    let event = &deed.event;
    let target = &event.target;
    let mut what = match (target.path, target.resource) {
        ("", resource) => format!("{} {resource}", event.verb),
        (path, _) => format!("{} {path}", event.verb),
    };
    if !target.subresource.is_empty() {
        what += &format!("/{}", target.subresource);
    }
    let place: Vec<&str> =
        [target.namespace.as_str(), target.name.as_str()].into_iter().filter(|p| !p.is_empty()).collect();
    if count > 1 {
        what += &format!(", {count} of them");
    } else if !place.is_empty() {
        what += &format!(" `{}`", place.join("/"));
    }
    let rules: Vec<String> = deed
        .rules
        .iter()
        .filter(|r| **r != "local-admin-account-used" || deed.rules.len() == 1)
        .map(|r| format!("`{r}`"))
        .collect();
    format!(
        "| {} | {} | {what}: {} | `{}` | {} |\n",
        seconds(event.at).replace("2026-03-11T", "").replace('Z', ""),
        event.actor.username.replace("system:serviceaccount:", "…:"),
        event.status["code"],
        event.audit_id,
        rules.join(", ")
    )
}
