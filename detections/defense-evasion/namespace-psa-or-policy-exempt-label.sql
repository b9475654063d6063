-- /// detection
-- title = "A namespace was taken out of the policies"
-- severity = "high"
-- status = "stable"
-- attack = ["T1562.001"]
-- section = [8, 5]
-- key = ["cluster", "name"]
-- suppress = "1d"
-- summary = "{username} wrote ({verb}) namespace {name} of {cluster} with a label that policy engines pass over, from {client_ip}"
--
-- description = """
-- Gatekeeper and Azure Policy, the AKS admissions enforcer and the Sigstore controller ask nothing about namespaces
-- with certain labels: one label and every policy is off there, without a trace in the policies. Fires on a create or
-- update with such a label and on a patch that sets it; a patch of something else stays silent, and so do dry runs,
-- AKS and the identities of lists/workload_deployers.csv. Without a body (level Metadata, or cut before the labels)
-- the rule stays silent. Take the label off, then look at everything made in the namespace meanwhile.
-- """
-- false_positives = [
--   "Operators made with kubebuilder, whose manifests label their own namespace control-plane, installed by hand: add its name to lists/policy_exempt_namespaces.csv",
-- ]
-- follow_up = ["object-history", "changes-by-namespace", "identity-timeline"]
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
    AND NOT listed('policy_exempt_namespaces', name)
    AND (
        (
            regexp_like(object -> 'metadata' ->> 'labels', '"(admission\.gatekeeper\.sh/ignore|control-plane|kubernetes\.azure\.com/managedby|policy\.sigstore\.dev/exclude|admissions\.enforcer/disabled)"\s*:\s*"')
            AND (verb <> 'patch' OR regexp_like(request_object, '"(admission\.gatekeeper\.sh/ignore|control-plane|kubernetes\.azure\.com/managedby|policy\.sigstore\.dev/exclude|admissions\.enforcer/disabled)"|/(admission\.gatekeeper\.sh~1ignore|control-plane|kubernetes\.azure\.com~1managedby|policy\.sigstore\.dev~1exclude|admissions\.enforcer~1disabled)"'))
        )
        OR (
            response_object IS NULL
            AND regexp_like(
                request_object,
                '"(add|replace)"[^{}]*/(admission\.gatekeeper\.sh~1ignore|control-plane|kubernetes\.azure\.com~1managedby|policy\.sigstore\.dev~1exclude|admissions\.enforcer~1disabled)"|/(admission\.gatekeeper\.sh~1ignore|control-plane|kubernetes\.azure\.com~1managedby|policy\.sigstore\.dev~1exclude|admissions\.enforcer~1disabled)"[^{}]*"(add|replace)"'
            )
        )
    )
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
