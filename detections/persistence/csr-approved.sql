-- /// detection
-- title = "A certificate request was approved by hand"
-- severity = "high"
-- status = "stable"
-- attack = ["T1649", "T1098"]
-- section = [1]
-- key = ["cluster", "username", "name"]
-- suppress = "1d"
-- summary = "{username} approved the certificate request {name} for {signer} in {cluster}, from {client_ip}"
--
-- description = """
-- A client certificate signed by the cluster outlives every token, cannot be revoked, and may carry any name and group.
-- On AKS the controllers approve what kubelets need; a person or a workload approving is rare. A denial is silent. Without
-- a body (level Metadata) or with one cut before its conditions, approval cannot be told from denial, and the rule fires:
-- signer is then empty. Read the request's subject; if it is not wanted, the name in it must lose its bindings.
-- """
-- false_positives = [
--   "cert-manager's approver and other approvers you run: add them to lists/csr_approvers.csv",
-- ]
-- follow_up = ["object-history", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    verb,
    name,
    object -> 'spec' ->> 'signerName' AS signer,
    object -> 'spec' ->> 'username' AS requested_by,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('update', 'patch')
    AND resource = 'certificatesigningrequests'
    AND subresource = 'approval'
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('csr_approvers', username)
    AND (
        object IS NULL
        OR regexp_like(object, '"type"\s*:\s*"Approved"')
        OR regexp_like(request_object, '"type"\s*:\s*"Approved"')
        OR (truncated AND NOT regexp_like(object, '"type"\s*:\s*"Denied"'))
    )
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
