-- /// detection
-- title = "A workload's or the system's identity came from outside"
-- severity = "high"
-- status = "stable"
-- attack = ["T1528", "T1078"]
-- section = [1, 2]
-- key = ["cluster", "username"]
-- suppress = "1d"
-- summary = "{username} ({principal_class}) was used on {cluster} from {addresses}: first {verb} {request_uri}, with {user_agent}"
--
-- description = """
-- Service accounts, nodes and the control plane live in the cluster, whose requests come from private addresses or from
-- Azure's. One from any other public address is a token or certificate that was taken elsewhere.
-- lists/cluster_networks.csv holds Azure's ranges, coarsely, so a machine rented in Azure is not seen here. The first and
-- the last address count, so a forged X-Forwarded-For does not hide the client. Refused requests count. No body is needed.
-- Delete the service account's token or the node, then look at everything that address did.
-- """
-- false_positives = [
--   "Clusters that leave through a firewall outside Azure: add its addresses to lists/cluster_networks.csv",
--   "Argo CD or CI in another cloud signing in with a service account: use workload identity, or add its address there",
-- ]
-- follow_up = ["address-timeline", "identity-timeline", "tokens-created"]
-- ///

SELECT
    cluster,
    username,
    principal_class,
    array_to_string(source_ips, ', ') AS addresses,
    client_ip,
    verb,
    request_uri,
    status_code,
    user_agent
FROM audit
WHERE
    stage IN ('ResponseComplete', 'ResponseStarted')
    AND principal_class IN ('aks', 'system', 'node', 'system-sa', 'service-account')
    AND (
        (is_public(client_ip) AND NOT listed('cluster_networks', client_ip))
        OR (
            is_public(source_ips[-1])
            AND NOT listed('cluster_networks', source_ips[-1])
        )
    )
