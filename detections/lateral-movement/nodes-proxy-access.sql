-- /// detection
-- title = "The kubelet was reached through the API server"
-- severity = "high"
-- status = "stable"
-- attack = ["T1210", "T1609", "T1611"]
-- section = [7]
-- categories = ["kube-audit"]
-- key = ["cluster", "username", "name"]
-- suppress = "1h"
-- summary = "{username} reached the kubelet of {name} of {cluster} ({verb} {request_uri}), from {client_ip}"
--
-- description = """
-- nodes/proxy speaks to the kubelet with the API server's own credential: lists of all pods with their environment, logs,
-- configuration, and through other paths commands, none of which is checked again or logged as exec. Metrics, statistics
-- and health checks are left out; paths that run commands are nodes-proxy-command-endpoint's. Only requests that succeeded
-- count. kube-audit-admin does not carry the gets. No body is needed. Take nodes/proxy out of the role that allowed it
-- (decision_reason).
-- """
-- false_positives = [
--   "Monitoring that reads /pods of kubelets this way: give it metrics paths, or nodes/metrics rights",
-- ]
-- follow_up = ["identity-timeline", "address-timeline"]
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
    AND (status_code BETWEEN 200 AND 299 OR status_code = 101)
    AND resource = 'nodes'
    AND subresource = 'proxy'
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT regexp_like(request_uri, '/proxy/(metrics(/(cadvisor|resource|probes|slis))?|stats/summary|healthz)/?(\?|$)')
    AND NOT regexp_like(request_uri, '(?i)/proxy/+(run|exec|attach|portforward|cri|containerlogs|checkpoint|debug)(/|\?|$)')
