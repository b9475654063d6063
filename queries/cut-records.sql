-- /// query
-- title = "Records that were cut, and who made them"
-- topic = "logs"
-- section = [6]
-- see_also = ["log-completeness", "object-history"]
--
-- description = """
-- Records that arrived incomplete: cut by Azure (their end is missing, verdict and
-- bodies perhaps too) or without a body because it was too large. Nodes' status
-- reports are, all day, and are left out unless asked for. Anyone can make a
-- record too long by filling an object with annotations: what was written that way
-- must be looked up in the cluster.
-- """
--
-- [params]
-- platform = { type = "bool", description = "Whether records of nodes and identities of AKS and Kubernetes are shown", default = false }
-- ///

SELECT
    time,
    cluster,
    username,
    client_ip,
    verb,
    resource,
    subresource,
    namespace,
    name,
    truncated,
    body_skipped,
    octet_length(request_object) AS request_bytes,
    status_code,
    audit_id
FROM audit
WHERE
    (truncated OR body_skipped)
    AND ($platform OR coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node', 'system-sa'))
ORDER BY time, audit_id
