-- /// detection
-- title = "Someone deleted many pods or workloads"
-- severity = "high"
-- status = "stable"
-- attack = ["T1489", "T1485"]
-- section = [6]
-- window = "5m"
-- key = ["cluster", "username"]
-- suppress = "1h"
-- summary = "{username} deleted {objects} pods or workloads in {namespaces} namespaces of {cluster} within 5 minutes, from {client_ip}"
--
-- description = """
-- Twenty different pods or workloads in five minutes is an outage, meant or not, and also what follows an intrusion that is cleaned
-- up. People and applications that sign in from outside count; service accounts, whose job it often is, do not. A
-- deletecollection counts as one object: its members are not in the log. No body is needed. A dry run counts when it asks
-- in its body, as kubectl does.
-- """
-- false_positives = [
--   "kubectl delete -f of a large application, namespace clean-up: look at the names",
-- ]
-- follow_up = ["identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    count(DISTINCT concat(resource, '/', namespace, '/', name)) AS objects,
    count(DISTINCT namespace) AS namespaces,
    substr(string_agg(DISTINCT namespace, ', ' ORDER BY namespace), 1, 500) AS names,
    min(client_ip) AS client_ip,
    min(user_agent) AS user_agent,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('delete', 'deletecollection')
    AND resource IN (
        'pods', 'deployments', 'daemonsets', 'statefulsets', 'replicasets',
        'jobs', 'cronjobs', 'replicationcontrollers'
    )
    AND subresource IS NULL
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node', 'system-sa', 'service-account')
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
GROUP BY cluster, username
HAVING count(DISTINCT concat(resource, '/', namespace, '/', name)) >= 20
