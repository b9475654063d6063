-- /// detection
-- title = "A node's identity was used from a pod's address"
-- severity = "critical"
-- status = "stable"
-- attack = ["T1552.005", "T1078"]
-- section = [1, 7]
-- categories = ["kube-audit"]
-- key = ["cluster", "username", "client_ip"]
-- suppress = "1d"
-- summary = "{username} was used on {cluster} from {addresses}, which is in the range of pods: first {verb} {request_uri} ({status_code}) with {user_agent}"
--
-- description = """
-- A node's certificate belongs to the kubelet, which comes from the node's address. From a pod's address it was read
-- off the node's disk, or got by its bootstrap token from the metadata service, by whoever is in that pod. Needs
-- lists/pod_networks.csv (ranges of pods that reach the API server with their own address, such as Azure CNI with a pod
-- subnet in private clusters; one list for all clusters) and is silent until it is filled; where pods come by the
-- node's or the outbound address this cannot be seen, and node-identity-non-kubelet-ua is what is left. Refused
-- requests count. No body is needed. Remove the pod and the node.
-- """
-- false_positives = [
--   "A range of pods that holds nodes in another cluster: list narrower ranges",
-- ]
-- follow_up = ["address-timeline", "identity-timeline", "privileged-workloads"]
-- ///

SELECT
    cluster,
    username,
    client_ip,
    array_to_string(source_ips, ', ') AS addresses,
    verb,
    request_uri,
    status_code,
    user_agent
FROM audit
WHERE
    stage IN ('ResponseComplete', 'ResponseStarted')
    AND principal_class = 'node'
    AND (listed('pod_networks', client_ip) OR listed('pod_networks', source_ips[-1]))
