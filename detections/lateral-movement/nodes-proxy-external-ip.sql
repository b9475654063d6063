-- /// detection
-- title = "Someone outside tried to run commands through the kubelet"
-- severity = "critical"
-- status = "stable"
-- attack = ["T1609", "T1210", "T1190"]
-- section = [7, 2]
-- categories = ["kube-audit"]
-- key = ["cluster", "client_ip"]
-- suppress = "1h"
-- summary = "{username} tried the kubelet of {name} of {cluster} from outside ({verb} {request_uri}): {status_code}, from {client_ip}"
--
-- description = """
-- The command paths of nodes/proxy, tried from a public address that is neither the clusters' own nor Azure's
-- (lists/cluster_networks.csv). Unlike nodes-proxy-command-endpoint it counts refused attempts of a known identity too:
-- somebody outside holds a credential and knows what to do with it. Anonymous attempts that are refused are the internet's
-- noise. No body is needed. Revoke the credential; close the API server to the address (authorised ranges).
-- """
-- false_positives = [
--   "None is known",
-- ]
-- follow_up = ["address-timeline", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    name,
    verb,
    request_uri,
    status_code,
    client_ip,
    user_agent
FROM audit
WHERE
    stage IN ('ResponseComplete', 'ResponseStarted')
    AND resource = 'nodes'
    AND subresource = 'proxy'
    AND regexp_like(request_uri, '(?i)/proxy/+(\.{1,2}/+)*((run|exec|attach|portforward|cri|containerlogs|checkpoint|debug)(/|\?|$)|[^/?]*%)')
    AND is_public(client_ip)
    AND NOT listed('cluster_networks', client_ip)
    AND (status_code NOT IN (401, 403) OR coalesce(principal_class, 'other') <> 'anonymous')
