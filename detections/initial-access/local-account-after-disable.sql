-- /// detection
-- title = "A local account was used where they are disabled"
-- severity = "critical"
-- status = "stable"
-- attack = ["T1078.001"]
-- section = [1]
-- categories = ["kube-audit"]
-- key = ["cluster", "username", "client_ip"]
-- suppress = "1d"
-- summary = "{username} ({principal_class}) was used on {cluster}, whose local accounts are disabled, from {addresses}: first {verb} {request_uri}"
--
-- description = """
-- Disabling local accounts is meant to end certificates: a client certificate that still works there was issued by
-- hand, survived the rotation, or the setting was turned back. Needs lists/entra_only_clusters.csv (resource ids of
-- clusters with local accounts disabled); silent until it is filled. Every request counts, refused ones too. From
-- Kubernetes 1.32 on a certificate shows in the identity's credential id, before that only the known local accounts are
-- seen. No body is needed. Rotate the cluster's certificates, and look at who fetched credentials in the Azure activity
-- log.
-- """
-- false_positives = [
--   "The hours after local accounts were disabled, before certificates are rotated",
-- ]
-- follow_up = ["identity-timeline", "address-timeline"]
-- ///

SELECT
    cluster,
    username,
    principal_class,
    client_ip,
    verb,
    request_uri,
    status_code,
    array_to_string(source_ips, ', ') AS addresses,
    user_agent
FROM audit
WHERE
    stage IN ('ResponseComplete', 'ResponseStarted')
    AND listed('entra_only_clusters', cluster)
    AND (
        principal_class = 'local-admin'
        OR (
            (user_extra -> 'authentication.kubernetes.io/credential-id' ->> 0) LIKE 'X509SHA256=%'
            AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node')
        )
    )
    AND NOT coalesce(
        array_length(source_ips) = 1 AND client_ip IN ('127.0.0.1', '::1'),
        false
    )
