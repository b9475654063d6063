-- /// detection
-- title = "The cluster's local admin account was used"
-- severity = "high"
-- status = "stable"
-- attack = ["T1078.001", "T1078.004"]
-- section = [1]
-- categories = ["kube-audit"]
-- key = ["cluster", "username", "client_ip"]
-- suppress = "1d"
-- summary = "{username} (local admin) was used on {cluster} from {addresses}: first {verb} {request_uri}"
--
-- description = """
-- az aks get-credentials --admin hands out a certificate that is in system:masters: no Entra sign-in, no conditional
-- access, no name in the log, no RBAC, and it is valid for years. Every request counts, allowed or not. Only requests whose
-- every address is the API server's own loopback are left out; a forged X-Forwarded-For does not hide the rest. No body is
-- needed. Ask who fetched the credentials (Azure activity log), rotate them with az aks rotate-certs, and disable local
-- accounts.
-- """
-- false_positives = [
--   "Clusters without Entra integration, where everyone is the local admin: add the cluster to lists/local_admin_clusters.csv",
-- ]
-- follow_up = ["address-timeline", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    client_ip,
    verb,
    request_uri,
    array_to_string(source_ips, ', ') AS addresses,
    user_agent
FROM audit
WHERE
    stage IN ('ResponseComplete', 'ResponseStarted')
    AND principal_class = 'local-admin'
    AND NOT listed('local_admin_clusters', cluster)
    AND NOT coalesce(
        array_length(source_ips) = 1 AND client_ip IN ('127.0.0.1', '::1'),
        false
    )
