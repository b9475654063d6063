-- /// detection
-- title = "A Gatekeeper policy was made to warn only, or to skip namespaces"
-- severity = "high"
-- status = "stable"
-- attack = ["T1562.001"]
-- section = [8]
-- suppress = "1d"
-- key = ["cluster", "username", "resource", "name"]
-- summary = "{username} loosened {resource} {name} of {cluster}, from {client_ip}: {request}"
--
-- description = """
-- The policy is still there and looks right in a list; it only does not refuse any more. Fires when a patch sets
-- enforcementAction to dryrun, warn or scoped or names excludedNamespaces, and when a constraint is replaced by one that
-- only warns. lists/policy_managers.csv (Azure Policy writes dryrun for effect audit), lists/workload_deployers.csv and
-- AKS are left out. Without a body (level Metadata) or when it was cut the rule stays silent;
-- gatekeeper-constraint-changed reports the write. Dry runs do not count. Set it back, and see what was admitted.
-- """
-- false_positives = [
--   "A policy that is introduced step by step, by hand",
-- ]
-- follow_up = ["object-history", "identity-timeline", "admission-denials"]
-- ///

SELECT
    cluster,
    username,
    verb,
    resource,
    name,
    substr(request_object, 1, 500) AS request,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('update', 'patch')
    AND api_group = 'constraints.gatekeeper.sh'
    AND subresource IS NULL
    AND (
        regexp_like(request_object, '"enforcementAction"\s*:\s*"(dryrun|warn|scoped)"|/enforcementAction"[^{}]*"(dryrun|warn|scoped)"|"(dryrun|warn|scoped)"[^{}]*/enforcementAction"')
        OR (verb = 'patch' AND request_object LIKE '%excludedNamespaces%')
    )
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('policy_managers', username)
    AND NOT listed('workload_deployers', username)
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
