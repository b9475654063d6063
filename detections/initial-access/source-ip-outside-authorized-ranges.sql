-- /// detection
-- title = "A request came from outside the authorised ranges"
-- severity = "high"
-- status = "stable"
-- attack = ["T1190", "T1078"]
-- section = [2, 1]
-- categories = ["kube-audit"]
-- key = ["cluster", "username", "client_ip"]
-- suppress = "1d"
-- summary = "{username} reached {cluster} from {client_ip}, which is not in its authorised ranges: {verb} {request_uri}"
--
-- description = """
-- A cluster with authorised address ranges answers nobody else; a request from another address means that the ranges
-- were opened, differ from what you believe, or are passed by a proxy. Only for clusters of
-- lists/restricted_clusters.csv, with the ranges of lists/authorized_ranges.csv; both ship with examples, so the rule
-- is silent until they are yours. Refused requests of known identities count, anonymous ones and AKS's own do not;
-- nodes and service accounts may also come from lists/cluster_networks.csv. The first address may be forged by
-- X-Forwarded-For. No body is needed. Compare the ranges (az aks show) with the list, and look at what the identity
-- did.
-- """
-- false_positives = [
--   "Azure portal, Cloud Shell and hosted build agents let in for a while: add their ranges with the reason",
-- ]
-- follow_up = ["address-timeline", "identity-timeline", "requests-by-address-range"]
-- ///

SELECT
    cluster,
    username,
    client_ip,
    verb,
    request_uri,
    status_code,
    user_agent
FROM audit
WHERE
    is_public(client_ip)
    AND status_code <> 401
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'anonymous')
    AND listed('restricted_clusters', cluster)
    AND NOT listed('authorized_ranges', client_ip)
    AND NOT (
        coalesce(principal_class, 'other') IN ('node', 'service-account', 'system-sa')
        AND listed('cluster_networks', client_ip)
    )
