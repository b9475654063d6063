-- /// detection
-- title = "A run-command pod was used for something privileged"
-- severity = "high"
-- status = "shadow"
-- attack = ["T1609", "T1651"]
-- section = [1]
-- categories = ["kube-audit"]
-- window = "10m"
-- key = ["cluster", "username"]
-- suppress = "1h"
-- summary = "{username} did {operations} on {cluster} from a run-command pod (az aks command invoke), from {client_ip}"
--
-- description = """
-- A command run through Azure that lists secrets, goes into pods, asks for tokens, or writes roles, webhooks or
-- anything in a system namespace, within ten minutes after its pod was made. A request belongs to the pod if its
-- identity is a service account of aks-command or a token bound to the pod, or if it comes from the address the kubelet
-- reported for it (in the status patch's body; at level Metadata only the identity is left). Which identity such
-- commands have is not confirmed on a live cluster, therefore shadow: counted, not sent. The Azure activity log
-- (runCommand) has the caller.
-- """
-- false_positives = [
--   "Pipelines that patch private clusters this way",
-- ]
-- follow_up = ["exec-sessions", "identity-timeline", "address-timeline"]
-- ///

SELECT
    act.cluster,
    act.username,
    string_agg(
        DISTINCT concat(act.verb, ' ', act.resource, coalesce('/' || act.subresource, '')), ', '
        ORDER BY concat(act.verb, ' ', act.resource, coalesce('/' || act.subresource, ''))
    ) AS operations,
    min(act.client_ip) AS client_ip,
    min(act.time) AS first_seen,
    max(act.time) AS last_seen
FROM (
    SELECT
        cluster,
        min(time) AS time,
        array_agg(object -> 'status' ->> 'podIP') AS addresses
    FROM audit
    WHERE
        stage = 'ResponseComplete'
        AND status_code BETWEEN 200 AND 299
        AND resource = 'pods'
        AND namespace = 'aks-command'
        AND verb IN ('create', 'patch', 'update')
        AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
    GROUP BY cluster
) AS pod
JOIN audit AS act
    ON coalesce(act.cluster, '') = coalesce(pod.cluster, '')
    AND act.time > pod.time
WHERE
    act.stage IN ('ResponseComplete', 'ResponseStarted')
    AND (act.status_code BETWEEN 200 AND 299 OR act.status_code = 101)
    AND coalesce(act.principal_class, 'other') NOT IN ('aks', 'system', 'node')
    AND (
        (act.resource = 'secrets' AND act.verb IN ('list', 'watch'))
        OR act.subresource IN ('exec', 'attach', 'ephemeralcontainers', 'token', 'approval')
        OR (
            act.verb IN ('create', 'update', 'patch', 'delete', 'deletecollection')
            AND (
                act.api_group IN ('rbac.authorization.k8s.io', 'admissionregistration.k8s.io')
                OR (listed('system_namespaces', act.namespace) AND act.namespace <> 'aks-command')
            )
        )
    )
    AND (
        sa_namespace(act.username) = 'aks-command'
        OR starts_with(act.user_extra -> 'authentication.kubernetes.io/pod-name' ->> 0, 'command-')
        OR array_has(pod.addresses, act.client_ip)
    )
    AND coalesce(query_param(act.request_uri, 'dryRun'), '') <> 'All'
GROUP BY act.cluster, act.username
