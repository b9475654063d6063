-- /// detection
-- title = "One identity found out by trying what it may do"
-- severity = "medium"
-- status = "stable"
-- attack = ["T1613", "T1069.003"]
-- section = [6]
-- categories = ["kube-audit"]
-- window = "10m"
-- key = ["cluster", "username", "client_ip"]
-- suppress = "6h"
-- summary = "{username} tried {uris} different requests on {cluster} within 10 minutes: {allowed} kinds allowed, {refused} refused ({refused_on}), from {client_ip}"
--
-- description = """
-- Software asks for what it may have; a mixture of allowed and refused requests over many kinds from one address is
-- somebody trying out a credential. Three kinds allowed, three others refused and eight different requests within ten
-- minutes count; a retry of the same request counts once. Only refusals at all are api-denied-distinct-resources. AKS,
-- nodes, the control plane and requests without credentials are left out. No body is needed. Look at what was allowed.
-- """
-- false_positives = [
--   "k9s, Lens and the portal opened by people with few rights: look at user_agent",
-- ]
-- follow_up = ["identity-timeline", "denied-by-identity", "address-timeline"]
-- ///

SELECT
    cluster,
    username,
    client_ip,
    count(DISTINCT request_uri) AS uris,
    count(DISTINCT resource) FILTER (WHERE status_code < 300) AS allowed,
    count(DISTINCT resource) FILTER (WHERE status_code = 403) AS refused,
    substr(string_agg(DISTINCT resource, ', ' ORDER BY resource) FILTER (WHERE status_code = 403), 1, 500) AS refused_on,
    min(user_agent) AS user_agent,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE
    stage IN ('ResponseComplete', 'ResponseStarted')
    AND (status_code BETWEEN 200 AND 299 OR status_code = 403)
    AND resource IS NOT NULL
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node', 'anonymous')
    AND NOT listed('cluster_readers', username)
GROUP BY cluster, username, client_ip
HAVING
    count(DISTINCT resource) FILTER (WHERE status_code = 403) >= 3
    AND count(DISTINCT resource) FILTER (WHERE status_code < 300) >= 3
    AND count(DISTINCT request_uri) >= 8
