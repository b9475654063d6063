-- /// detection
-- title = "Someone approved their own certificate request"
-- severity = "critical"
-- status = "stable"
-- attack = ["T1649", "T1098"]
-- section = [1]
-- window = "1h"
-- step = "1m"
-- key = ["cluster", "username", "name"]
-- suppress = "1d"
-- summary = "{username} requested and approved certificate {name} in {cluster} within an hour, from {client_ip}"
--
-- description = """
-- Requesting and approving are two people's work; one identity that does both makes itself a certificate that outlives
-- its access and cannot be revoked. The same identity created the request and approved it within an hour, in that
-- order. Only what signs in to the API server counts, not certificates of servers, which operators make for themselves.
-- lists/csr_approvers.csv and AKS are left out; a denial does not count. Without a body (level Metadata) the signer is
-- not known, an approval cannot be told from a denial, and both count. Dry runs do not count. Rotate the cluster's
-- certificates, and look for requests of the name inside the certificate.
-- """
-- false_positives = [
--   "Scripts of test clusters that make certificates for people: use Entra sign-in",
-- ]
-- follow_up = ["object-history", "identity-timeline", "tokens-created"]
-- ///

SELECT
    cluster,
    username,
    name,
    min(client_ip) AS client_ip,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND resource = 'certificatesigningrequests'
    AND (
        (
            verb = 'create'
            AND subresource IS NULL
            AND starts_with(
                coalesce(object -> 'spec' ->> 'signerName', 'kubernetes.io/kube-apiserver-client'),
                'kubernetes.io/kube-apiserver-client'
            )
        )
        OR (
            verb IN ('update', 'patch')
            AND subresource = 'approval'
            AND (
                object IS NULL
                OR regexp_like(concat(object, request_object), '"type"\s*:\s*"Approved"')
                OR (truncated AND NOT regexp_like(object, '"type"\s*:\s*"Denied"'))
            )
        )
    )
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('csr_approvers', username)
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
GROUP BY cluster, username, name
HAVING min(time) FILTER (WHERE verb = 'create') < max(time) FILTER (WHERE verb <> 'create')
