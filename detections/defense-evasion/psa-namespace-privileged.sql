-- /// detection
-- title = "A namespace was opened to privileged pods"
-- severity = "high"
-- status = "stable"
-- attack = ["T1562.001"]
-- section = [5]
-- key = ["cluster", "name"]
-- suppress = "1d"
-- summary = "{username} wrote ({verb}) namespace {name} of {cluster} with pod security privileged, from {client_ip}"
--
-- description = """
-- With pod-security.kubernetes.io/enforce = privileged nothing is refused in a namespace: the way to the node is one
-- pod long. Fires on a create or update with the label and on a patch that sets it; a patch of something else in a
-- namespace that has it stays silent, and so do dry runs, AKS and the identities of lists/workload_deployers.csv.
-- psa-label-removed sees levels fall below what they were. Without a body (level Metadata, or cut before the labels)
-- the rule stays silent. Ask what needs it, and look at the pods made there since.
-- """
-- false_positives = [
--   "Namespaces for node agents, CSI drivers and monitoring: add the name to lists/privileged_namespaces.csv",
-- ]
-- follow_up = ["object-history", "privileged-workloads", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    verb,
    name,
    coalesce(object -> 'metadata' ->> 'labels', request_object) AS labels,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('create', 'update', 'patch')
    AND resource = 'namespaces'
    AND coalesce(subresource, 'status') IN ('status', 'finalize')
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('workload_deployers', username)
    AND NOT listed('cleanup_controllers', username)
    AND NOT listed('privileged_namespaces', name)
    AND (
        (
            regexp_like(object -> 'metadata' ->> 'labels', '"pod-security\.kubernetes\.io/enforce"\s*:\s*"privileged"')
            AND (verb <> 'patch' OR regexp_like(request_object, '"pod-security\.kubernetes\.io/enforce"|/pod-security\.kubernetes\.io~1enforce"'))
        )
        OR (
            response_object IS NULL
            AND regexp_like(
                request_object,
                '/pod-security\.kubernetes\.io~1enforce"[^{}]*"privileged"|"privileged"[^{}]*/pod-security\.kubernetes\.io~1enforce"'
            )
        )
    )
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
