-- /// detection
-- title = "The lease of a system component was taken"
-- severity = "high"
-- status = "stable"
-- attack = ["T1489", "T1557"]
-- section = [6]
-- suppress = "1d"
-- key = ["cluster", "username", "name"]
-- summary = "{username} did {verb} on lease {name} of kube-system in {cluster}, from {client_ip}"
--
-- description = """
-- Whoever holds the lease is the leader; written by another, the scheduler, the controllers or the autoscaler stop
-- working and no alarm tells why. Fires for leases of the control plane written by any identity but AKS's and the
-- control plane's, and for any lease of kube-system written by a person, a pipeline or the local admin. Controllers of
-- your own that keep their lease in kube-system (cert-manager does) are known by being service accounts. No body is
-- needed; dry runs do not count. Delete the lease and find out who wrote it.
-- """
-- false_positives = [
--   "A lease that is stuck, deleted by hand",
-- ]
-- follow_up = ["identity-timeline", "object-history"]
-- ///

SELECT
    cluster,
    username,
    verb,
    coalesce(name, '(all)') AS name,
    object -> 'spec' ->> 'holderIdentity' AS holder,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('create', 'update', 'patch', 'delete', 'deletecollection')
    AND resource = 'leases'
    AND namespace = 'kube-system'
    AND (
        principal_class IN ('entra-user', 'entra-app', 'local-admin', 'other')
        OR (
            regexp_like(name, '^(kube-scheduler|kube-controller-manager|cloud-controller-manager|cluster-autoscaler|apiserver-[a-z0-9]+)$')
            AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'system-sa')
        )
        OR (name IN ('kube-scheduler', 'kube-controller-manager') AND principal_class = 'system-sa')
    )
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
