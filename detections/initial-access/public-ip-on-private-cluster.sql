-- /// detection
-- title = "A public address reached a private cluster"
-- severity = "critical"
-- status = "stable"
-- attack = ["T1133"]
-- section = [2]
-- categories = ["kube-audit"]
-- key = ["cluster", "username", "client_ip"]
-- suppress = "1d"
-- summary = "{username} reached private cluster {cluster} from public address {client_ip}: {verb} {request_uri}"
--
-- description = """
-- The API server of a private cluster has no public address, so no request can come from one: it was made public,
-- somebody forwards connections into the network, or a client forges X-Forwarded-For. Only for clusters of
-- lists/private_clusters.csv, which ships with an example, so the rule is silent until it is yours. Refused and
-- anonymous requests count, AKS's own and lists/private_cluster_addresses.csv do not. No body is needed. Check the
-- cluster's network settings (az aks show) and the private endpoint, then what the identity did.
-- """
-- false_positives = [
--   "A proxy in front of the API server that adds X-Forwarded-For: add its clients' ranges to lists/private_cluster_addresses.csv",
-- ]
-- follow_up = ["address-timeline", "identity-timeline"]
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
    stage IN ('ResponseComplete', 'ResponseStarted')
    AND is_public(client_ip)
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND listed('private_clusters', cluster)
    AND NOT listed('private_cluster_addresses', client_ip)
